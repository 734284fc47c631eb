package silo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// leave gives everything away, and returns when the silo has left the view, when there is nobody who could
// take anything, when the silo is cut off, or with ctx.
func (m *membership) leave(ctx context.Context) {
	m.step(view.Stop{})
	tick := time.NewTicker(m.tickEvery())
	defer tick.Stop()
	var together time.Time // since when nobody is there who does not leave too
	for cutOff := 0; ; {
		switch {
		case m.somebodyElse():
			together = time.Time{}
		case together.IsZero():
			together = time.Now()
			fallthrough
		default:
			if time.Since(together) > togetherTime || m.allKnow(ctx) {
				return
			}
		}
		if m.Standing().Leased(m.now()) {
			cutOff = 0
		} else if cutOff++; time.Duration(cutOff)*m.tickEvery() > m.times.Wait() {
			return
		}
		select {
		case <-tick.C:
		case <-m.left:
			return
		case <-m.removed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// togetherTime is how long a silo stays, at most, until the others that leave know that nobody is left.
const togetherTime = 2 * time.Second

// allKnow says whether the others that are there, all of which leave, know that this silo leaves too. One that goes
// before that takes its vote along, and they wait for it until their leases have run out.
func (m *membership) allKnow(ctx context.Context) bool {
	t := m.views.Current()
	others := slices.DeleteFunc(t.Living(), func(o view.Member) bool { return o.ID == m.self.ID })
	if len(others) == 0 {
		return true
	}
	if own, ok := t.Has(m.self); ok && own.State != view.Leaving {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, togetherTime/4)
	defer cancel()
	var asked sync.WaitGroup
	var behind atomic.Bool
	for _, o := range others {
		asked.Go(func() {
			b, err := m.node.Request(ctx, o.Addr, link.ServiceView, nil)
			if errors.Is(err, actor.ErrNotExecuted) && ctx.Err() == nil {
				return // it has gone
			}
			if theirs, bad := view.DecodeTable(b); err != nil || bad != nil || theirs.Number < t.Number {
				behind.Store(true)
			}
		})
	}
	asked.Wait()
	return !behind.Load()
}

// hasLeft says that the silo has left the view as it wanted to.
func (m *membership) hasLeft() bool {
	select {
	case <-m.left:
		return true
	default:
		return false
	}
}

func (m *membership) somebodyElse() bool {
	return slices.ContainsFunc(m.views.Current().Members, func(o view.Member) bool { return o.State == view.Active && o.ID != m.self.ID })
}
