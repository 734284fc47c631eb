package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Router sends calls to the silo that owns the grain, and again where one did not execute.
type Router struct {
	Peers Peers // of ServiceCalls
	// Refresh asks for a view with at least that number; it returns when there is one, or soon.
	Refresh func(ctx context.Context, number uint64)

	retryUnknown bool // a fault for tests: what may have run is made again
}

// Calling is what a call takes along of the turn or block that it is made in.
type Calling struct {
	Root  wire.BlockID
	Retry bool
	Chain []Link
	In    *Branch // nil outside any block
}

// DefaultTimeout bounds a call whose context has no deadline.
const DefaultTimeout = 30 * time.Second

var errDefault = fmt.Errorf("%v have passed, which is the limit for a context without a deadline", DefaultTimeout)

// Bounded returns ctx, with the default limit where it has no deadline.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, DefaultTimeout, errDefault)
}

// ErrMoved says that the view has changed and the grain is this node's own now: run it here.
var ErrMoved = errors.New("the grain is here now")

// Call makes the call at the silo that owns the grain. Self is this node, for which Call returns
// ErrMoved where it turns out to be the owner; "" for a client. A call that surely did not execute is
// made again until ctx ends, with the silos that newer views name.
func (r *Router) Call(ctx context.Context, self view.SiloID, to wire.ID, inv wire.Invocation, c Calling) error {
	ctx, cancel := Bounded(ctx)
	defer cancel()
	req := &CallRequest{To: to, Method: inv.Method().Number, Args: inv.AppendArgs(nil), Root: c.Root, Retry: c.Retry, Chain: c.Chain}
	if c.In != nil {
		req.Block, req.Coordinator = c.In.Holder, c.In.Coordinator
	}
	payload := req.Append(nil)
	refused := "no silo is up"
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		v := r.Peers.Views.Current()
		next := uint64(0)
		if owner, ok := v.Owner(to); ok {
			if owner.ID == self {
				return ErrMoved
			}
			done, again, err := r.attempt(ctx, owner, to, inv, c, payload)
			if done {
				return err
			}
			refused, next = err.Error(), again
		}
		if !r.wait(ctx, pause, next) {
			return &wire.CallError{To: to, Method: inv.Method().Name, Cause: wire.ErrNotExecuted,
				Detail: fmt.Sprintf("gave up when the context ended (%v); the last refusal: %s", context.Cause(ctx), refused)}
		}
	}
}

// wait waits for a view of at least that number, or for the pause; false when ctx ends.
func (r *Router) wait(ctx context.Context, pause time.Duration, number uint64) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	if number > 0 {
		bounded, cancel := context.WithTimeout(ctx, 4*pause)
		r.Refresh(bounded, number)
		cancel()
	}
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// attempt sends the call once. Done is false where it did not execute and another silo, or the same one
// later, may take it; number is then the view to wait for.
func (r *Router) attempt(ctx context.Context, owner view.Member, to wire.ID, inv wire.Invocation, c Calling, payload []byte) (done bool, number uint64, err error) {
	if c.In != nil {
		c.In.Join(commit.Participant{Node: owner.Addr, Grain: to})
	}
	method := inv.Method().Name
	fail := func(cause error, detail string) error {
		e := &wire.CallError{To: to, Method: method, Cause: cause, Detail: detail}
		if cause == wire.ErrUnknown {
			e.Call = c.Root
		}
		return e
	}
	lost := func(err error) error { // it may have run, and what it did in the block did not arrive
		if c.In != nil {
			c.In.Doom(err)
		}
		return err
	}
	b, err := r.Peers.Node.RequestPeer(ctx, actor.Peer{Addr: owner.Addr, Silo: true}, r.Peers.Service, payload)
	if err != nil {
		var large *actor.TooLarge
		switch fate := Fate(err); {
		case errors.As(err, &large) && !large.Reply: // it was not sent
			return true, 0, fail(wire.ErrTooLarge, err.Error())
		case (fate == wire.ErrNotExecuted || r.retryUnknown) && ctx.Err() == nil:
			return false, r.Peers.Views.Current().Number + 1, err
		case fate == nil:
			return true, 0, lost(fail(wire.ErrUnknown, err.Error()))
		default:
			return true, 0, lost(fail(fate, "silo "+owner.Addr+": "+err.Error()))
		}
	}
	reply, err := DecodeCallReply(b)
	if err != nil {
		return true, 0, lost(fail(wire.ErrUnknown, "the reply of "+owner.Addr+": "+err.Error()))
	}
	if c.In != nil {
		c.In.Merge(reply.Record...)
		if len(reply.Doomed) > 0 {
			c.In.Doom(fmt.Errorf("silo %s: %w", owner.Addr, wire.DecodeError(reply.Doomed, nil)))
		}
	}
	switch reply.Status {
	case StatusOK:
		if err := inv.DecodeResult(reply.Result); err != nil {
			return true, 0, fail(wire.ErrUnknown, "it ran, and its result cannot be decoded here: "+err.Error())
		}
		return true, 0, nil
	case StatusError:
		return true, 0, inv.DecodeError(reply.Error)
	case StatusNotOwner:
		return false, reply.Number, fmt.Errorf("silo %s: the grain is elsewhere in view %d", owner.Addr, reply.Number)
	case StatusRefused:
		return false, 0, errors.New(reply.Detail)
	case StatusNoKind:
		return true, 0, fail(wire.ErrNoSuchKind, reply.Detail)
	case StatusNoMethod:
		return true, 0, fail(wire.ErrNoSuchMethod, reply.Detail)
	case StatusCycle:
		return true, 0, fail(wire.ErrCycle, reply.Detail)
	case StatusReplyLost:
		return true, 0, fail(wire.ErrReplyLost, reply.Detail)
	case StatusDenied:
		return true, 0, fail(wire.ErrDenied, reply.Detail)
	case StatusResultLost:
		return true, 0, fail(wire.ErrTooLarge, reply.Detail)
	}
	return true, 0, lost(fail(wire.ErrUnknown, reply.Detail))
}
