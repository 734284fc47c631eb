package host

import (
	"context"
	"errors"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// send begins a one-way call, which the grain of by makes if by is not nil.
func (h *Host) send(ctx context.Context, by *activation, to wire.ID, inv wire.Invocation) error {
	grant := by.asks()
	return h.outbox.Send(ctx, to, inv, func(ctx context.Context) error { return h.deliver(ctx, grant, to, inv) })
}

// deliver makes a call that no turn waits for, until it has run here, or another silo has taken it in.
func (h *Host) deliver(ctx context.Context, by view.Grant, to wire.ID, inv wire.Invocation) error {
	here := func(wire.BlockID, bool) (done bool, refused, err error) {
		return h.here(ctx, by, to, inv, wire.BlockID{}, false)
	}
	if done, _, err := here(wire.BlockID{}, false); done {
		return err
	}
	return h.Router.Call(ctx, h.Self, to, inv, link.Calling{By: by, Here: here})
}

// take answers a one-way call as soon as it has the turn or waits for it, and goes on with it.
func (h *Host) take(ctx context.Context, s *service) (*link.CallReply, error) {
	req := &s.req
	type answer struct {
		reply   *link.CallReply
		refused error
	}
	admitted := make(chan struct{})
	first := make(chan answer, 1) // one: the call is made once before its caller has its answer
	name := ""
	if k := h.Kinds[req.To.Kind()].Grain(); k != nil && k.Method(req.Method) != nil {
		name = k.Method(req.Method).Info().Name
	}
	err := h.outbox.Go(ctx, req.To, name, len(req.Args), func(ctx context.Context) error {
		in := false
		reply, refused := h.serve(ctx, s, func() {
			in = true
			close(admitted)
		})
		if !in {
			first <- answer{reply, refused}
			return link.ErrTold
		}
		return h.taken(ctx, req, reply, refused)
	})
	if err != nil {
		return &link.CallReply{Status: link.StatusOverloaded, Detail: err.Error()}, nil
	}
	select {
	case <-admitted:
		return &link.CallReply{Status: link.StatusOK}, nil
	case a := <-first:
		return a.reply, a.refused
	case <-ctx.Done(): // nobody waits for the answer; the call goes on
		return &link.CallReply{Status: link.StatusUnknown, Detail: "the call was waited for no longer: " + ctx.Err().Error()}, nil
	}
}

// taken sees to a one-way call that was taken in, and has had its first try.
func (h *Host) taken(ctx context.Context, req *link.CallRequest, reply *link.CallReply, refused error) error {
	method := h.Kinds[req.To.Kind()].Grain().Method(req.Method)
	if refused == nil {
		switch reply.Status {
		case link.StatusOK:
			return nil
		case link.StatusError:
			return wire.DecodeError(reply.Error, method.ErrorTable())
		case link.StatusUnknown:
			return &wire.CallError{To: req.To, Method: method.Info().Name, Cause: wire.ErrUnknown, Detail: reply.Detail}
		case link.StatusRefused: // the activation has ended, or so has the time
		default:
			return &wire.CallError{To: req.To, Method: method.Info().Name, Cause: wire.ErrNotExecuted, Detail: reply.Detail}
		}
	}
	return h.deliver(ctx, req.By, req.To, &relayed{served{method: method, args: req.Args}})
}

// relayed is a one-way call that came encoded, and is made again, perhaps at another silo.
type relayed struct{ served }

func (r *relayed) Method() wire.Handler { return r.method }

func (r *relayed) Traits() wire.Traits {
	t := r.method.Info().Traits
	t.OneWay = true
	return t
}

func (r *relayed) AppendArgs(b []byte) []byte { return append(b, r.args...) }

func (r *relayed) DecodeResult([]byte) error { return nil }

func (r *relayed) DecodeError(b []byte) error {
	return wire.DecodeError(b, r.method.ErrorTable())
}

// settle lets the one-way calls end that are on their way when the host stops, for half of its time.
func (h *Host) settle(ctx context.Context) {
	within := settleTime
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline) / 2
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, errSettled)
	defer cancel()
	h.outbox.Wait(ctx)
	h.settled.Store(true)
}

// settleTime is for how long Stop waits for one-way calls where its context has no deadline.
const settleTime = 10 * time.Second

var errSettled = errors.New("one-way calls are still on their way")

// OneWay is what became of the one-way calls of this silo.
func (h *Host) OneWay() wire.OneWayCounts { return h.outbox.Counts() }
