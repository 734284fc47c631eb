package host

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// engine is embedded so that its methods other than those defined here serve the activation.
type engine = wire.Engine

// activation is one grain in memory. Its turnstile says who runs; mu guards all fields below it, and is
// held only for a step.
type activation struct {
	engine
	host   *Host
	id     wire.ID
	kind   *wire.GrainKind
	number uint64 // names this activation, ever

	mu        sync.Mutex
	turnstile commit.Turnstile
	waiting   map[commit.CallID]*waiter
	impl      any // nil before the first turn
	cells     []*cell
	ended     bool
	used      time.Time
	stopped   chan struct{} // closed when ended and the last turn has left; made by leave
}

// waiter is a call that waits for the turn or the lock.
type waiter struct {
	granted bool
	done    chan struct{}
}

// cell is one state field, and what is known of its version.
type cell struct {
	wire.Cell
	key      commit.StateKey
	versions commit.Versions
	owner    commit.Attempt // that touched it last
	dirty    bool           // holds a draft of owner's
}

func newActivation(h *Host, id wire.ID, kind *wire.GrainKind) *activation {
	return &activation{engine: h.Engine, host: h, id: id, kind: kind, number: h.epoch + h.calls.Add(1), used: time.Now()}
}

// running is a call to be admitted.
type running struct {
	from   *turn
	chain  []link.Link
	in     *link.Branch
	root   wire.BlockID
	after  uint32
	result any
	name   string
	method func(ctx context.Context, impl any) error
}

// run admits a call, runs it and lets the next one in. Where ran is false the method was not called; the
// error is then errNotOwner, errRefused or a *wire.CallError.
func (a *activation) run(ctx context.Context, r running) (ran bool, err error) {
	t := &turn{
		Context: ctx, activation: a, call: commit.CallID(a.host.calls.Add(1)),
		from: r.from, chain: r.chain, in: r.in, root: r.root, after: r.after, result: r.result,
	}
	within, err := a.within(t, r.name)
	if err != nil {
		return false, err
	}
	if err := a.enter(ctx, t, within, r.name); err != nil {
		return false, err
	}
	defer a.exit(t)
	if !a.host.owns(a.id) {
		return false, errNotOwner
	}
	impl, err := a.ready(t)
	if err != nil {
		return true, err
	}
	err = a.guard(r.name, func() error { return r.method(t, impl) })
	if r.in != nil {
		a.report(r.in)
	}
	return true, err
}

// within finds the turn of this grain that waits for the call: in one block it is run inside of; else the
// call would wait for ever.
func (a *activation) within(t *turn, method string) (commit.CallID, error) {
	waiting, found := t.from.waits(a.id, t.in)
	if !found {
		waiting, found = linkOf(t.chain, a.id)
	}
	if !found {
		return 0, nil
	}
	if waiting.InBlock {
		return waiting.Call, nil
	}
	var path []string
	for _, l := range append(t.from.links(t.in), t.chain...) {
		path = append(path, l.Grain.String())
	}
	return 0, &wire.CallError{To: a.id, Method: method, Cause: wire.ErrCycle,
		Detail: strings.Join(append(path, a.id.String()), " → ") + ": return first, or make the calls in one atomic block"}
}

// enter waits until the call has the turn.
func (a *activation) enter(ctx context.Context, t *turn, within commit.CallID, method string) error {
	var by commit.Holder
	if t.in != nil {
		by = t.in.Holder
		a.host.presence.join(by.Attempt, t.in.Coordinator, a)
	}
	a.mu.Lock()
	granted, out := a.turnstile.Arrive(t.call, by, within)
	var w *waiter
	if !granted {
		w = a.wait(t.call)
	}
	signals := a.signal(out)
	a.mu.Unlock()
	a.act(signals)
	if granted {
		return nil
	}
	err := a.await(ctx, t.call, w)
	if err == nil || err == errRefused {
		return err
	}
	return &wire.CallError{To: a.id, Method: method, Cause: wire.ErrNotExecuted, Detail: "gave up waiting for its turn: " + err.Error()}
}

// exit ends a turn.
func (a *activation) exit(t *turn) {
	a.mu.Lock()
	a.used = time.Now()
	signals := a.signal(a.turnstile.Leave(t.call))
	a.finishIfEnded()
	a.mu.Unlock()
	a.act(signals)
}

// wait notes a waiting call; a.mu is held.
func (a *activation) wait(call commit.CallID) *waiter {
	w := &waiter{done: make(chan struct{})}
	if a.waiting == nil {
		a.waiting = map[commit.CallID]*waiter{}
	}
	a.waiting[call] = w
	return w
}

// await waits for a call to be granted what it waits for. It returns errRefused, or ctx's error, after
// which the call waits no longer.
func (a *activation) await(ctx context.Context, call commit.CallID, w *waiter) error {
	select {
	case <-w.done:
	case <-ctx.Done():
		a.mu.Lock()
		select {
		case <-w.done: // answered meanwhile
			a.mu.Unlock()
		default:
			delete(a.waiting, call)
			signals := a.signal(a.turnstile.Cancel(call))
			a.mu.Unlock()
			a.act(signals)
			return ctx.Err()
		}
	}
	if !w.granted {
		return errRefused
	}
	return nil
}

// signal tells waiters what the turnstile says and returns the wounds, to be acted on without a.mu.
func (a *activation) signal(signals []commit.Signal) (wounds []commit.Attempt) {
	for _, s := range signals {
		switch s.Kind {
		case commit.Wound:
			wounds = append(wounds, s.Attempt)
		case commit.Grant, commit.Refuse:
			if w := a.waiting[s.Call]; w != nil {
				delete(a.waiting, s.Call)
				w.granted = s.Kind == commit.Grant
				close(w.done)
			}
		}
	}
	return wounds
}

func (a *activation) act(wounds []commit.Attempt) {
	for _, v := range wounds {
		if coordinator, ok := a.host.presence.coordinator(v); ok {
			a.host.Blocks.Wound(coordinator, v)
		}
	}
}

// ready returns the implementation, made and activated in the first turn.
func (a *activation) ready(t *turn) (any, error) {
	a.mu.Lock()
	impl := a.impl
	a.mu.Unlock()
	if impl != nil {
		return impl, nil
	}
	grain := wire.NewGrain(a.id, a)
	err := a.guard("activation", func() error {
		impl = a.kind.New(grain)
		if on, ok := impl.(interface{ OnActivate(context.Context) error }); ok {
			return on.OnActivate(t)
		}
		return nil
	})
	if err != nil {
		a.host.forget(a)
		a.mu.Lock()
		a.ended = true
		signals := a.signal(a.turnstile.Close())
		a.mu.Unlock()
		a.act(signals)
		return nil, fmt.Errorf("activating %s: %w", a.id, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.impl = impl
	for _, c := range grain.Cells() {
		a.cells = append(a.cells, &cell{Cell: c, key: commit.StateKey{Grain: a.id, State: c.Number()}})
	}
	return impl, nil
}

// guard turns a panic of user code into an error, with its stack in the log.
func (a *activation) guard(method string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.host.Logger.Error("a grain panicked", "grain", a.id.String(), "method", method, "panic", p, "stack", string(debug.Stack()))
			err = &wire.CallError{To: a.id, Method: method, Cause: wire.ErrPanic, Detail: fmt.Sprint(p)}
		}
	}()
	return f()
}

// idleSince says whether nothing has run since that time, nor waits or is held.
func (a *activation) idleSince(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used.Before(t) && a.turnstile.Idle()
}

// leave ends the activation: what waits is refused, so that its callers go elsewhere; what runs ends;
// then the grain is deactivated.
func (a *activation) leave(why string) {
	if err := a.stop(context.Background(), why); err != nil {
		a.host.Logger.Warn("deactivation", slog.String("grain", a.id.String()), slog.Any("error", err))
	}
}

func (a *activation) stop(ctx context.Context, why string) error {
	a.host.forget(a)
	a.mu.Lock()
	if a.stopped == nil {
		a.stopped = make(chan struct{})
	}
	first := !a.ended
	a.ended = true
	signals := a.signal(a.turnstile.Close())
	a.finishIfEnded()
	a.mu.Unlock()
	a.act(signals)
	select {
	case <-a.stopped:
	case <-ctx.Done():
		return fmt.Errorf("%s still runs a turn: %w", a.id, ctx.Err())
	}
	if !first || a.impl == nil {
		return nil
	}
	if off, ok := a.impl.(interface{ OnDeactivate(context.Context) error }); ok {
		return a.guard("OnDeactivate", func() error { return off.OnDeactivate(ctx) })
	}
	a.host.Logger.Debug("deactivated", "grain", a.id.String(), "why", why)
	return nil
}

// finishIfEnded closes stopped when the activation has ended and nothing runs; a.mu is held.
func (a *activation) finishIfEnded() {
	if !a.ended || a.stopped == nil || a.turnstile.Running() {
		return
	}
	select {
	case <-a.stopped:
	default:
		close(a.stopped)
	}
}
