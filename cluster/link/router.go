package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
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
	// Leased says whether this silo has a lease; nil for a client, which needs none.
	Leased func() bool
	// Patience is how long a call is made again while all that it meets are silos without a lease, or this
	// silo has none and reaches nobody. Longer rides out more of an election; shorter lets callers turn to
	// another silo sooner. Default 3 s.
	Patience time.Duration

	retryUnknown bool // a fault for tests: what may have run is made again
	everPatient  bool // another: calls are made again until their contexts end
}

// Calling is what a call takes along of the turn or block that it is made in.
type Calling struct {
	Root  wire.BlockID
	Retry bool
	Chain []Link
	In    *Branch // nil outside any block
	By    view.Grant
	// Here makes the call at this silo, which holds the grain as far as the router knows. Done is false
	// where it was not executed; refused is then a *view.Refusal or says why in another way.
	// Root and retry are those of the try.
	Here func(root wire.BlockID, retry bool) (done bool, refused, err error)
	// May is asked before each try whether whoever calls may still do so; nil: yes.
	May func() error
	// Unsure says that the call was made before, and may have run.
	Unsure bool
}

// Stale is the error of a call that was refused because the grain that called has a successor. It was not
// executed, and the caller's turn is over.
type Stale struct{ CallError wire.CallError }

func (e *Stale) Error() string { return e.CallError.Error() }

// Unwrap gives the *wire.CallError, whose cause is wire.ErrFenced.
func (e *Stale) Unwrap() error { return &e.CallError }

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

// Call makes the call at the silo that owns the grain. Self is this node, where c.Here makes it; "" for a
// client. A call that surely did not execute is made again until ctx ends, with the silos that newer views
// and refusals name; for Patience alone while there is no lease wherever it comes, and then the error is
// wire.ErrNoLease. One that may have run is made again too where that does no harm, outside of blocks; see
// Repeats. An error of c.May is returned as it is; *Stale says that who calls must end.
func (r *Router) Call(ctx context.Context, self view.SiloID, to wire.ID, inv wire.Invocation, c Calling) error {
	ctx, cancel := Bounded(ctx)
	defer cancel()
	j := &journey{Router: r, ctx: ctx, to: to, inv: inv, c: c}
	j.again()
	j.payload = encode(ctx, to, inv, &j.c)
	var refused error
	var newest uint64      // of the views that refusals named
	var straight string    // where the newest of them says that the grain is
	var hopeless time.Time // since when there is no lease wherever the call comes
	pause := firstPause
	for {
		var answer refusal
		if c.May != nil {
			if err := c.May(); err != nil {
				return err
			}
		}
		v := r.Peers.Views.Current()
		owner, ok := v.Owner(to)
		switch {
		case straight != "":
			answer = j.attempt(ctx, straight)
		case !ok && unheardOf(v, to.Kind()):
			return j.fail(wire.ErrNoSuchKind, fmt.Sprintf("none of the silos in view %d was given it: add the Grains() of its package to Config.Grains", v.Number))
		case !ok:
			answer.why = errors.New("no silo that is active can serve it")
		case owner.ID == self:
			answer = j.here(ctx)
		default:
			answer = j.attempt(ctx, owner.Addr)
		}
		if answer.done {
			return answer.why
		}
		if answer.unsure && !j.c.Unsure {
			j.c.Unsure = true
			j.again()
			j.payload = encode(ctx, to, inv, &j.c)
		}
		refused, straight = answer.why, ""
		if answer.holder != "" && answer.view > newest {
			// Views only grow, so that two silos that disagree send nobody to and fro.
			newest = answer.view
			if at, _ := v.At(answer.holder); self == "" || at.ID != self {
				straight = answer.holder
				continue
			}
		}
		if !answer.hopeless {
			hopeless = time.Time{}
		} else if hopeless.IsZero() {
			hopeless = time.Now()
		} else if time.Since(hopeless) > r.patience() {
			return j.fail(wire.ErrNoLease, refused.Error())
		}
		if !r.wait(ctx, pause, answer.view) {
			return j.fail(wire.ErrNotExecuted, fmt.Sprintf("gave up when the context ended (%v); the last refusal: %s", context.Cause(ctx), refused))
		}
		pause = min(2*pause, lastPause)
	}
}

// scratch is memory for arguments until they are in a request.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the largest that is kept.
const maxScratch = 64 << 10

// encode is the request of a call.
func encode(ctx context.Context, to wire.ID, inv wire.Invocation, c *Calling) []byte {
	args := scratch.Get().(*[]byte)
	*args = inv.AppendArgs((*args)[:0])
	method := inv.Method().Info()
	req := CallRequest{To: to, Method: method.Number, Args: *args, Root: c.Root, Retry: c.Retry, Chain: c.Chain, By: c.By, Values: wire.ValuesOf(ctx), OneWay: inv.Traits().OneWay}
	if c.In != nil {
		req.Block, req.Coordinator = c.In.Holder, c.In.Coordinator
	}
	if method.Of != nil {
		req.Of = *method.Of
	}
	b := req.Append(nil)
	if cap(*args) <= maxScratch {
		scratch.Put(args)
	}
	return b
}

// unheardOf says that no silo that the view remembers hosts the kind, and that there are silos.
func unheardOf(v *view.Table, kind string) bool {
	some := false
	for i := range v.Members {
		if v.Members[i].Hosts(kind) {
			return false
		}
		some = some || v.Members[i].State == view.Active
	}
	return some
}

const (
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

func (r *Router) patience() time.Duration {
	switch {
	case r.everPatient:
		return time.Duration(math.MaxInt64)
	case r.Patience <= 0:
		return 3 * time.Second
	}
	return r.Patience
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

// Unproven says that err is not a method's own: it may have run, and nobody knows.
func Unproven(err error, to wire.ID) bool {
	e, ok := err.(*wire.CallError)
	return ok && e.To == to && e.Cause == wire.ErrUnknown
}

// journey is a call on its way.
type journey struct {
	*Router
	ctx     context.Context // the call's, to ask whether it has ended
	to      wire.ID
	inv     wire.Invocation
	c       Calling
	payload []byte
}

// refusal is what became of one try. Where done is false it was not executed, and another silo, or the same
// one later, may take it.
type refusal struct {
	done     bool
	why      error  // nil where it is done, and went well
	view     uint64 // the view to wait for, or that knows the holder
	holder   string // the address of who holds the grain, if who refuses knows
	hopeless bool   // there is no lease
	unsure   bool   // it may have been executed, and is made again all the same
}

// Repeats says whether a call that may have run is made again: outside of blocks, where the method says that
// it does no harm.
func Repeats(ctx context.Context, inv wire.Invocation) bool {
	t := inv.Traits()
	return (t.Idempotent || t.ReadOnly) && wire.BlockOf(ctx) == nil
}

// again prepares a try of a call that may have run. A block that it begins, or began, keeps the call's name,
// by which it commits once; what changes nothing needs none.
func (j *journey) again() {
	if !j.c.Unsure || j.c.Root.IsZero() {
		return
	}
	if j.inv.Traits().ReadOnly {
		j.c.Root, j.c.Retry = wire.BlockID{}, false
		return
	}
	j.c.Retry = true
}

// unsure is what became of a try of which nobody knows whether it ran. It ends the call, or does not; err says
// the same to the caller.
func (j *journey) unsure(ctx context.Context, err refusal) refusal {
	if err.done && ctx.Err() == nil && Repeats(ctx, j.inv) {
		return refusal{why: err.why, view: j.Peers.Views.Current().Number + 1, unsure: true}
	}
	return err
}

func (j *journey) fail(cause error, detail string) error {
	if j.c.Unsure && !errors.Is(cause, wire.ErrTooLarge) && cause != wire.ErrReplyLost && cause != wire.ErrUnknown {
		detail = fmt.Sprintf("it may have run, was made again, and then: %s (%v)", detail, cause)
		cause = wire.ErrUnknown
	}
	e := &wire.CallError{To: j.to, Method: j.inv.Method().Info().Name, Cause: cause, Detail: detail}
	if cause == wire.ErrUnknown {
		e.Call = j.c.Root
	}
	if cause == wire.ErrUnknown || cause == wire.ErrNotExecuted {
		e.Ended = j.ctx.Err()
	}
	return e
}

// lost says that it may have run, and that what it did in the block did not arrive.
func (j *journey) lost(cause error, detail string) refusal {
	err := j.fail(cause, detail)
	if j.c.In != nil {
		j.c.In.Doom(err)
	}
	return refusal{done: true, why: err}
}

func (j *journey) failed(cause error, detail string) refusal {
	return refusal{done: true, why: j.fail(cause, detail)}
}

// own is an error that came of a try: where that did not run, an earlier one may have.
func (j *journey) own(err error) error {
	if call, ok := err.(*wire.CallError); ok && j.c.Unsure && errors.Is(call.Cause, wire.ErrNotExecuted) {
		return j.fail(wire.ErrNotExecuted, call.Detail)
	}
	return err
}

// here makes the call at this silo.
func (j *journey) here(ctx context.Context) refusal {
	done, refused, err := j.c.Here(j.c.Root, j.c.Retry)
	if done && Unproven(err, j.to) {
		return j.unsure(ctx, refusal{done: true, why: err})
	}
	if done {
		return refusal{done: true, why: j.own(err)}
	}
	r := refusal{why: refused}
	if v := (*view.Refusal)(nil); errors.As(refused, &v) {
		r.hopeless = v.Reason == view.NoLease
		if v.Reason == view.Elsewhere {
			r.view, r.holder = v.View, v.Holder.Addr
		}
	}
	return r
}

// attempt sends the call once.
func (j *journey) attempt(ctx context.Context, addr string) refusal {
	if j.c.In != nil {
		j.c.In.Join(commit.Participant{Node: addr, Grain: j.to})
	}
	b, err := j.Peers.Node.RequestPeer(ctx, actor.Peer{Addr: addr, Silo: true}, j.Peers.Service, j.payload)
	if err != nil {
		var large *actor.TooLarge
		switch fate := Fate(err); {
		case errors.As(err, &large) && !large.Reply: // it was not sent
			return j.failed(errTooLarge, err.Error())
		case fate == wire.ErrNotExecuted && errors.As(err, new(*actor.LimitReached)): // there is too much already
			return j.failed(wire.ErrOverloaded, err.Error())
		case (fate == wire.ErrNotExecuted || j.retryUnknown) && ctx.Err() == nil:
			alone := j.Leased != nil && !j.Leased()
			return refusal{why: err, view: j.Peers.Views.Current().Number + 1, hopeless: alone}
		case fate == nil:
			return j.lost(wire.ErrUnknown, err.Error())
		case fate == wire.ErrUnknown:
			return j.unsure(ctx, j.lost(fate, "silo "+addr+": "+err.Error()))
		default:
			return j.lost(fate, "silo "+addr+": "+err.Error())
		}
	}
	reply, err := DecodeCallReply(b)
	if err != nil {
		return j.lost(wire.ErrUnknown, "the reply of "+addr+": "+err.Error())
	}
	if j.c.In != nil {
		j.c.In.Merge(reply.Record...)
		if len(reply.Doomed) > 0 {
			j.c.In.Doom(fmt.Errorf("silo %s: %w", addr, wire.DecodeError(reply.Doomed, nil)))
		}
	}
	return j.answered(ctx, addr, &reply)
}

// called adds to what a silo says of the caller which node that is.
func (j *journey) called(reply *CallReply) string {
	return "called from " + j.Peers.Node.Addr() + ": " + reply.Detail
}

// answered reads a reply.
func (j *journey) answered(ctx context.Context, addr string, reply *CallReply) refusal {
	switch reply.Status {
	case StatusOK:
		if j.inv.Traits().OneWay {
			return refusal{done: true}
		}
		if err := j.inv.DecodeResult(reply.Result); err != nil {
			return j.failed(wire.ErrUnknown, "it ran, and its result cannot be decoded here: "+err.Error())
		}
		return refusal{done: true}
	case StatusError:
		return refusal{done: true, why: j.own(j.inv.DecodeError(reply.Error))}
	case StatusNotOwner:
		return refusal{why: fmt.Errorf("silo %s: the grain is elsewhere in view %d", addr, reply.Number), view: reply.Number, holder: reply.Holder}
	case StatusMoving:
		return refusal{why: errors.New(reply.Detail), view: reply.Number + 1}
	case StatusNoLease:
		return refusal{why: errors.New(reply.Detail), hopeless: true}
	case StatusRefused:
		return refusal{why: errors.New(reply.Detail)}
	case StatusStale:
		stale := &Stale{wire.CallError{To: j.to, Method: j.inv.Method().Info().Name, Cause: wire.ErrFenced, Detail: "silo " + addr + ": " + reply.Detail}}
		return refusal{done: true, why: stale}
	case StatusNoKind:
		return j.failed(wire.ErrNoSuchKind, reply.Detail)
	case StatusNoMethod:
		return j.failed(wire.ErrNoSuchMethod, j.called(reply))
	case StatusCycle:
		return j.failed(wire.ErrCycle, reply.Detail)
	case StatusOverloaded:
		return j.failed(wire.ErrOverloaded, "silo "+addr+": "+reply.Detail)
	case StatusIncompatible:
		return j.failed(wire.ErrIncompatible, j.called(reply))
	case StatusReplyLost:
		return j.failed(wire.ErrReplyLost, reply.Detail)
	case StatusDenied:
		return j.failed(wire.ErrDenied, reply.Detail)
	case StatusResultLost:
		return j.failed(wire.ErrTooLarge, reply.Detail)
	case StatusUnknown:
		return j.unsure(ctx, j.lost(wire.ErrUnknown, reply.Detail))
	}
	return j.lost(wire.ErrUnknown, reply.Detail)
}
