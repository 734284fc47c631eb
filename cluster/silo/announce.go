package silo

import (
	"context"
	"time"

	"github.com/martinelli-go/martinelli/cluster/discovery"
)

// announce says at the source of Config.Join, where that takes addresses, that this silo is there, until the
// run ends. That it cannot say so is no reason to fail: the list may be somebody else's, and only be read here.
func (s *run) announce() {
	to, takes := s.source.(discovery.Announcer)
	if !takes || s.announced {
		return
	}
	s.announced = true
	s.loops.Go(func() {
		for said, pause := "", time.Second; ; pause = min(2*pause, announceAgain) {
			withdraw, err := to.Announce(s.life, s.addr)
			if err == nil {
				<-s.life.Done()
				s.withdraw(withdraw)
				return
			}
			if s.life.Err() != nil {
				return
			}
			if text := err.Error(); text != said {
				said = text
				s.log.Warn("this silo cannot announce itself: others find it only if somebody else names it", "error", err)
			}
			select {
			case <-time.After(pause):
			case <-s.life.Done():
				return
			}
		}
	})
}

// announceAgain is the longest pause before a silo that could not announce itself tries again.
const announceAgain = 15 * time.Second

func (s *run) withdraw(withdraw func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	if err := withdraw(ctx); err != nil {
		s.log.Warn("this silo stops, and could not take back that it is there", "error", err)
	}
}

// withdrawTime bounds how long a silo that stops tries to take back that it is there.
const withdrawTime = 2 * time.Second
