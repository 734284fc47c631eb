package silo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/link"
)

const (
	// seedsAtOnce is how many seeds are asked at the same time: one that is gone may not even refuse.
	seedsAtOnce = 16
	// seedTimeout is how long one of them may take.
	seedTimeout = time.Second
	// seedGrace is how long others may still answer after the first one that is of a cluster: that one may be cut
	// off, and be the quickest all the same.
	seedGrace = 200 * time.Millisecond
)

// reached asks which seeds are there, in any order, until some that are of a cluster have answered, or all have
// been asked: who is gone takes its time, and it must not be everybody's. Those of a cluster come first; where of
// is not empty, it is that one, and those of others are returned only where nobody else is there. Where nobody
// answered the error is a *consensus.NotJoined, or an *actor.Foreign if one took this silo for a stranger.
func (s *run) reached(ctx context.Context, seeds []string, of string) ([]string, error) {
	type heard struct {
		addr   string
		answer consensus.Answer
		err    error
	}
	asking, enough := context.WithCancel(ctx)
	defer enough()
	all := make(chan heard, len(seeds)) // none waits
	go func() {
		defer close(all)
		var asks errgroup.Group
		asks.SetLimit(seedsAtOnce)
		for _, i := range rand.Perm(len(seeds)) {
			asks.Go(func() error {
				limited, cancel := context.WithTimeout(asking, seedTimeout)
				defer cancel()
				h := heard{addr: seeds[i], err: asking.Err()}
				if h.err == nil {
					h.answer, h.err = s.askSeed(limited, seeds[i])
				}
				all <- h
				return nil
			})
		}
		_ = asks.Wait() // what they say is heard
	}()
	var members, others, strangers []string
	var foreign *actor.Foreign
	reasons := map[string]string{}
	for h := range all {
		switch {
		case h.err != nil:
			reasons[h.addr] = "does not answer (" + h.err.Error() + ")"
			_ = errors.As(h.err, &foreign)
		case h.answer.ClusterID != "" && of != "" && h.answer.ClusterID != of:
			strangers = append(strangers, h.addr)
		case h.answer.ClusterID != "":
			if members = append(members, h.addr); len(members) == 1 {
				time.AfterFunc(seedGrace, enough) // if it has not ended by itself
			}
		default:
			others = append(others, h.addr)
		}
	}
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	switch {
	case len(members)+len(others) > 0:
		return append(members, others...), nil
	case len(strangers) > 0:
		return strangers, nil // what they say is why it cannot join
	case foreign != nil && ctx.Err() == nil:
		return nil, foreign
	}
	return nil, &consensus.NotJoined{Reasons: reasons, Cause: errNoSeed}
}

var errNoSeed = errors.New("none of them answers")

// askSeed asks what a seed says of its store.
func (s *run) askSeed(ctx context.Context, addr string) (consensus.Answer, error) {
	b, err := s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, link.ServiceFounding, nil)
	if err != nil {
		return consensus.Answer{}, err
	}
	return consensus.DecodeAnswer(b)
}
