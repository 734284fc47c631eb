package host

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// ready returns the implementation, made and activated in the first turn. The error is a *wire.CallError: the method
// was not called.
func (a *activation) ready(t *turn, method string) (any, error) {
	a.wake()
	impl := a.impl
	a.rest()
	if impl != nil {
		return impl, nil
	}
	err := a.guard("activation", func() (err error) {
		if impl, err = a.make(t); err != nil {
			return err
		}
		memory, ok := a.host.memories.take(a.host, a.id(), a.token)
		to, takes := impl.(grains.HandsOver)
		if !ok || !takes {
			return nil
		}
		if err := a.guard("TakeOver", func() error {
			return a.first(t, func(ctx context.Context) error { return to.TakeOver(ctx, memory) })
		}); err != nil {
			a.host.Logger.Warn("a grain did not take over the memory of its former activation, and starts without",
				slog.String("grain", a.id().String()), slog.Any("error", err))
			impl, err = a.make(t)
			return err
		}
		return nil
	})
	if err != nil {
		a.wake()
		wounds := a.end()
		a.rest()
		a.act(wounds)
		a.host.leave(a, "its activation failed")
		var failed error
		if panicked := a.guard("activation", func() error {
			failed = wire.NotActivated(a.id(), method, err, t.method.ErrorTable())
			return nil
		}); panicked != nil { // what OnActivate has returned is no error
			failed = wire.NotActivated(a.id(), method, panicked, nil)
		}
		return nil, failed
	}
	a.wake()
	a.impl = impl
	_ = a.signal(a.turnstile.Warm()) // wounds nobody: who shares the turn is plain
	a.rest()
	return impl, nil
}

// make makes an instance and activates it.
func (a *activation) make(t *turn) (any, error) {
	grain := a.core.NewGrain()
	impl := a.kind.New(grain)
	a.bind(grain)
	if on, ok := impl.(interface{ OnActivate(context.Context) error }); ok {
		return impl, a.first(t, on.OnActivate)
	}
	return impl, nil
}

// first runs what comes before the method that t is for, in a turn that is lost when t is. A block that is begun
// there must not take the call's id.
func (a *activation) first(t *turn, f func(context.Context) error) error {
	before := t.without()
	a.wake()
	a.turns = append(a.turns, before)
	a.rest()
	defer func() {
		a.wake()
		a.turns = slices.DeleteFunc(a.turns, func(o *turn) bool { return o == before })
		a.rest()
	}()
	if why := t.isLost(); why != nil {
		_ = before.lose(why)
	}
	return f(before)
}

// bind takes over the grain's fields of transactional state.
func (a *activation) bind(grain *wire.Grain) {
	a.wake()
	defer a.rest()
	a.cells = nil
	for _, c := range grain.Cells() {
		a.cells = append(a.cells, &cell{Cell: c, key: commit.StateKey{Grain: a.id(), State: c.Number()}})
	}
}

// end refuses all calls that wait and all that come; the turns that run, or were given up for a while, go
// on. a.mu is held; the wounds are to be acted on without it.
func (a *activation) end() (wounds []commit.Attempt) {
	a.ended = true
	if !a.host.faults.keepWaiters {
		for call, w := range a.waiting {
			if !w.back {
				delete(a.waiting, call)
				// Nothing is granted by this: who waits is refused, who yielded waits for those that run.
				wounds = append(wounds, a.signal(a.turnstile.Cancel(call))...)
				close(w.done)
			}
		}
	}
	a.settle()
	return wounds
}

// settle closes quiet when the activation has ended and no turn is left; a.mu is held.
func (a *activation) settle() {
	if !a.ended || a.yielded > 0 || a.turnstile.Running() {
		return
	}
	if !a.settled && a.parting != nil {
		close(a.parting.quiet)
	}
	a.settled = true
}

// ending is how an activation ends.
type ending struct {
	why string
	to  view.SiloID     // takes over what the grain remembers; "": nobody
	in  context.Context // bounds that
}

// stop ends the activation: what waits is refused, so that its callers go elsewhere; what runs ends; the
// grain is deactivated, and only then another activation may take its place. The error says that ctx ended
// first, or is OnDeactivate's. One call stops it; others only wait.
func (a *activation) stop(ctx context.Context, e ending) error {
	a.wake()
	wounds := a.end()
	first, parting := !a.stopping && !a.vanished, a.part()
	a.stopping = true
	a.rest()
	a.act(wounds)
	if !first {
		select {
		case <-parting.gone:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s still runs a turn: %w", a.id(), ctx.Err())
		}
	}
	select {
	case <-parting.quiet:
	case <-ctx.Done():
		return fmt.Errorf("%s still runs a turn: %w", a.id(), ctx.Err())
	}
	defer a.vanish()
	defer a.host.forget(a)
	a.host.logDeactivated(a, e.why)
	a.endStreams()
	a.wake()
	dropped := a.dropped
	a.rest()
	if a.impl == nil || dropped {
		return nil
	}
	if e.to != "" {
		a.handOver(e)
	}
	if off, ok := a.impl.(leaver); ok {
		return a.guard("OnDeactivate", func() error { return off.OnDeactivate(ctx) })
	}
	return nil
}

// lost ends an activation whose grant is not held any more. Its grain is told nothing: what OnDeactivate would
// save comes too late, because another activation may have begun.
func (a *activation) lost(in *view.Table) {
	why := fmt.Errorf("in view %d its slot has another holder, or was acquired anew", in.Number)
	a.wake()
	a.dropped = true
	a.rest()
	a.revoke(why)
	if !a.host.retire(a, math.MaxInt64, why.Error()) { // it is not idle
		a.host.leave(a, why.Error())
	}
}

// drop ends the activation at once and tells its grain nothing: it is not this silo's any more.
func (a *activation) drop(why error) {
	a.wake()
	a.dropped = true
	wounds := a.end()
	a.rest()
	a.act(wounds)
	a.revoke(why)
	a.host.forget(a)
	a.host.sealing.begin(func() { a.host.finish(a, ending{why: why.Error()}) })
}

func (a *activation) isDropped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropped
}

func (a *activation) isStopping() bool {
	a.wake()
	defer a.rest()
	return a.stopping
}
