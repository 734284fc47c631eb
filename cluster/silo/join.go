package silo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
)

// NotResolved says that Config.Join did not yield all the silos that Config.Expect says there are. It wraps
// the context's error.
type NotResolved struct {
	Join   string
	Expect int
	Last   error // what was wrong when it was last looked at
	Cause  error
}

func (e *NotResolved) Error() string {
	return fmt.Sprintf("%s does not yield the %d silos of Config.Expect: %v (%v)", e.Join, e.Expect, e.Last, e.Cause)
}

func (e *NotResolved) Unwrap() []error { return []error{e.Last, e.Cause} }

// resolveAgain is how long a list that was not written out is believed while the others do not agree.
const resolveAgain = 2 * time.Second

// agree founds the cluster with all that Join yields, or finds that it is founded. It gives up, ctx, with the
// *actor.Foreign of a silo that does not take this one for one of its cluster's.
func (s *Silo) agree(ctx context.Context, give context.CancelCauseFunc) ([]consensus.Server, string, error) {
	ask := func(ctx context.Context, addr string) (consensus.Answer, error) {
		b, err := s.node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, link.ServiceFounding, nil)
		if foreign := (*actor.Foreign)(nil); errors.As(err, &foreign) {
			give(foreign)
		}
		if err != nil {
			return consensus.Answer{}, err
		}
		return consensus.DecodeAnswer(b)
	}
	list, written := s.source.(discovery.Static)
	if f, ok := s.store.Founded(); ok && !written {
		for _, founder := range f.Founders {
			list = append(list, founder.Addr)
		}
		written = true
	}
	if written {
		return consensus.Found(ctx, s.store, s.addr, list, ask)
	}
	for {
		list, err := s.resolve(ctx)
		if err != nil {
			return nil, "", err
		}
		bounded, cancel := context.WithTimeout(ctx, resolveAgain)
		founders, id, err := consensus.Found(bounded, s.store, s.addr, list, ask)
		cancel()
		if missing := new(*consensus.NotFounded); !errors.As(err, missing) || ctx.Err() != nil {
			return founders, id, err
		}
	}
}

// resolve waits until Join yields as many addresses as are expected, this silo's own among them.
func (s *Silo) resolve(ctx context.Context) ([]string, error) {
	var wrong error
	for seeds, err := range s.source.Watch(ctx) {
		switch {
		case err != nil:
			wrong = err
		case len(seeds) != s.config.Expect:
			wrong = fmt.Errorf("it yields %d: %.500v", len(seeds), seeds)
		case !slices.Contains(seeds, s.addr):
			wrong = fmt.Errorf("it lacks this silo's own address %s (Config.Advertise): %.500v", s.addr, seeds)
		default:
			return seeds, s.config.checkPorts(seeds)
		}
	}
	if wrong == nil {
		wrong = errors.New("it has not answered")
	}
	return nil, &NotResolved{s.source.String(), s.config.Expect, wrong, context.Cause(ctx)}
}
