package silo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// serveLeader is the handler of link.ServicePropose.
func (s *Silo) serveLeader(ctx context.Context, from actor.Peer, payload []byte) ([]byte, error) {
	r, err := link.DecodeLeaderRequest(payload)
	if err != nil {
		return nil, err
	}
	if !from.Silo {
		if r.Op == link.OpLoad {
			return nil, errSilosOnly
		}
		if r.Op == link.OpPropose {
			if err := s.entryDenied(ctx, from, r.Entry); err != nil {
				return (&link.LeaderReply{Status: link.LeaderDenied, Detail: err.Error()}).Append(nil), nil
			}
		}
	}
	return s.lead(ctx, r).Append(nil), nil
}

// lead does what is asked of the leader of the log, if that is this silo.
func (s *Silo) lead(ctx context.Context, r *link.LeaderRequest) *link.LeaderReply {
	elsewhere := func() *link.LeaderReply {
		leader, _ := s.group.Leader()
		return &link.LeaderReply{Status: link.LeaderElsewhere, Leader: view.SiloID(leader.ID), Detail: "silo " + s.addr + " does not lead the log"}
	}
	switch r.Op {
	case link.OpPropose:
		result, err := s.group.Propose(ctx, append([]byte{entryCommit}, r.Entry...))
		switch {
		case err == nil:
			return &link.LeaderReply{Status: link.LeaderOK, Result: result}
		case errors.Is(err, consensus.ErrNotLeader):
			return elsewhere()
		case errors.Is(err, consensus.ErrInDoubt):
			return &link.LeaderReply{Status: link.LeaderInDoubt, Detail: err.Error()}
		case errors.As(err, new(*consensus.TooLarge)):
			return &link.LeaderReply{Status: link.LeaderTooLarge, Detail: err.Error()}
		}
		return &link.LeaderReply{Status: link.LeaderRefused, Detail: err.Error()}
	case link.OpLoad:
		// No leadership is confirmed: a stale answer makes a block fail that is tried again, no more.
		if !s.group.IsLeader() {
			return elsewhere()
		}
		version, value, _ := s.ledger.Get(r.Key)
		return &link.LeaderReply{Status: link.LeaderOK, Version: version, Value: value}
	case link.OpValidate:
		at, err := s.group.ReadIndex(ctx)
		if errors.Is(err, consensus.ErrNotLeader) {
			return elsewhere()
		}
		if err == nil {
			err = s.group.WaitApplied(ctx, at)
		}
		if err != nil {
			return &link.LeaderReply{Status: link.LeaderRefused, Detail: err.Error()}
		}
		return &link.LeaderReply{Status: link.LeaderOK, Stale: s.ledger.Validate(r.Reads)}
	}
	return &link.LeaderReply{Status: link.LeaderRefused, Detail: "an unknown operation: this silo is older than who asks"}
}

// signs are the last signs of life of each silo, as the leader of the log sees them.
type signs struct {
	mu   sync.Mutex
	last map[view.SiloID]sign
}

type sign struct {
	incarnation uint64
	addr        string
	at          time.Time
}

// beat is how often silos say that they live.
const beat = 200 * time.Millisecond

// alive is the handler of link.ServiceAlive: another silo's entry for itself.
func (s *Silo) alive(from actor.Peer, payload []byte) {
	e, err := view.DecodeEntry(payload)
	if err != nil || !from.Silo {
		return
	}
	s.heard(e)
	s.compareSettings(e, payload)
}

func (s *Silo) heard(e view.Entry) {
	if _, member := s.views.Current().Member(e.Silo); !member {
		return
	}
	s.signs.mu.Lock()
	defer s.signs.mu.Unlock()
	if had := s.signs.last[e.Silo]; e.Incarnation >= had.incarnation {
		s.signs.last[e.Silo] = sign{e.Incarnation, e.Addr, time.Now()}
	}
}

// live says to all that this silo lives, and, while it leads the log, writes into it who does not.
func (s *Silo) live() {
	defer s.loops.Done()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	self := view.Entry{Silo: s.id, Addr: s.addr, Incarnation: s.incarnation, Up: true}
	payload := s.appendSettings(self.Append(nil))
	var leading bool
	var since, last time.Time
	for {
		// A silo that was itself away, paused or starved, has heard nobody, and knows nothing of them.
		if time.Since(last) > s.config.Silence/2 {
			since = time.Now()
		}
		last = time.Now()
		for _, other := range s.views.Current().Members {
			if other.ID != s.id {
				// A silo that cannot be reached hears nothing; that is the point.
				_ = s.node.Notify(other.Addr, link.ServiceAlive, payload)
			}
		}
		s.heard(self)
		if now := s.group.IsLeader(); now != leading {
			leading, since = now, time.Now()
		}
		if leading {
			s.judge(since)
		}
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
	}
}

// judge writes into the log which silos are up and which are not. A leader gives everybody the whole
// time from the moment when it began to lead, or was back from a pause.
func (s *Silo) judge(since time.Time) {
	for _, e := range s.verdicts(since) {
		ctx, cancel := context.WithTimeout(s.life, time.Second)
		_, err := s.group.Propose(ctx, append([]byte{entryView}, e.Append(nil)...))
		cancel()
		if err == nil {
			s.log.Info("silo", "addr", e.Addr, "up", e.Up)
		}
	}
}

func (s *Silo) verdicts(since time.Time) (entries []view.Entry) {
	s.signs.mu.Lock()
	defer s.signs.mu.Unlock()
	for _, silo := range s.views.Current().Members {
		last := s.signs.last[silo.ID]
		fresh := time.Since(last.at) < s.config.Silence
		switch {
		case fresh && (!silo.Up || last.incarnation > silo.Incarnation) && last.incarnation >= silo.Incarnation:
			entries = append(entries, view.Entry{Silo: silo.ID, Addr: last.addr, Incarnation: last.incarnation, Up: true})
		case !fresh && silo.Up && time.Since(since) > s.config.Silence:
			entries = append(entries, view.Entry{Silo: silo.ID, Addr: silo.Addr, Incarnation: silo.Incarnation})
		}
	}
	return entries
}
