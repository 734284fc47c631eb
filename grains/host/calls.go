package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// errEnded: not executed; the activation ends.
var errEnded = errors.New("the activation ended before the call's turn")

// errRefused: the turnstile did not let a call in.
var errRefused = errors.New("refused")

// Call runs a call that a place in this process makes: here if this silo holds the grain, else through
// the router.
func (h *Host) Call(ctx context.Context, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) error {
	if from := turnOf(ctx); from != nil { // the silo's own Caller, in a grain's turn
		return from.activation.call(ctx, to, inv, root, retry)
	}
	return h.call(ctx, nil, to, inv, root, retry)
}

// call makes a call, which the grain of by makes if by is not nil.
func (h *Host) call(ctx context.Context, by *activation, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) error {
	if inv.Traits().OneWay {
		return h.send(ctx, by, to, inv)
	}
	if ctx.Err() != nil {
		return wire.Ended(ctx, to, inv.Method().Info().Name)
	}
	done, _, err := h.here(ctx, by.asks(), to, inv, root, retry)
	switch {
	case !done:
		err = h.elsewhere(ctx, by, to, inv, link.Calling{Root: root, Retry: retry})
	case err != nil && link.Unproven(err, to) && link.Repeats(ctx, inv):
		err = h.elsewhere(ctx, by, to, inv, link.Calling{Root: root, Retry: retry, Unsure: true})
	}
	if stale, ok := err.(*link.Stale); ok && by != nil {
		if t := turnOf(ctx); t != nil && t.activation == by {
			return t.lose(stale)
		}
	}
	return err
}

// asks is the grant of the grain that calls, zero where none does.
func (a *activation) asks() view.Grant {
	if a == nil {
		return view.Grant{}
	}
	return a.grant()
}

// elsewhere makes a call that could not be made here, or could not be made here yet.
func (h *Host) elsewhere(ctx context.Context, by *activation, to wire.ID, inv wire.Invocation, c link.Calling) error {
	c.In, c.By = link.BranchOf(wire.BlockOf(ctx)), by.asks()
	c.Chain = turnOf(ctx).links(c.In)
	c.Here = func(root wire.BlockID, retry bool) (done bool, refused, err error) {
		return h.here(ctx, c.By, to, inv, root, retry)
	}
	if by != nil {
		c.May = func() error { return by.goOn(ctx) }
	}
	return h.Router.Call(ctx, h.Self, to, inv, c)
}

// here makes a call here, if this silo holds the grain. Done is false where it was not executed and may be
// made again, here or elsewhere; refused then says why.
func (h *Host) here(ctx context.Context, by view.Grant, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) (done bool, refused, err error) {
	info := inv.Method().Info()
	name := info.Name
	kind, ok := h.Kinds[to.Kind()]
	if !ok || kind.Grain() == nil {
		if h.holds(to) {
			return true, nil, &wire.CallError{To: to, Method: name, Cause: wire.ErrNoSuchKind,
				Detail: "add the Grains() of its package to the Config.Grains of every silo"}
		}
		return false, errNotHosted, nil
	}
	r := running{
		from: turnOf(ctx), in: link.BranchOf(wire.BlockOf(ctx)), root: root, method: inv.Method(), name: name, traits: inv.Traits(), what: inv, by: by,
	}
	resumed := false
	var since waitingSince
	for {
		if crowded := h.crowded(to, &r); crowded != nil {
			if _, refused := h.activate(to); refused != nil {
				return false, refused, nil // another silo may have room
			}
			return true, nil, crowded
		}
		a, refused := h.reach(to, kind.Grain())
		if refused != nil {
			return false, refused, nil
		}
		if r.from == nil && h.draining.Load() && (!r.traits.OneWay || h.settled.Load()) {
			return true, nil, &wire.CallError{To: to, Method: name, Cause: wire.ErrNotExecuted, Detail: "this silo is stopping"}
		}
		if retry && !resumed {
			reply, tried, done, err := h.Blocks.Resume(ctx, root)
			if err != nil {
				return true, nil, &wire.CallError{To: to, Method: name, Cause: cause(err), Call: root, Detail: err.Error()}
			}
			if done {
				return true, nil, inv.DecodeResult(reply)
			}
			r.after, resumed = tried, true
		}
		if r.in != nil {
			r.in.Join(commit.Participant{Node: h.Addr, Grain: to})
		}
		verdict, err := a.run(ctx, r)
		if verdict != notRun {
			return true, nil, err
		}
		if refused := h.notRun(a, err); refused != nil {
			if stale, ok := refused.(*view.StaleToken); ok {
				return true, nil, &link.Stale{CallError: wire.CallError{To: to, Method: name, Cause: wire.ErrFenced, Detail: stale.Error()}}
			}
			if _, ok := refused.(*view.Refusal); ok {
				return false, refused, nil
			}
			return true, nil, err
		}
		h.awaitSuccessor(ctx, a)
		_, bounded := ctx.Deadline()
		if ctx.Err() != nil || !bounded && since.tooLong() {
			h.load.expired.Add(1)
			return true, nil, &wire.CallError{To: to, Method: name, Cause: wire.ErrNotExecuted, Detail: err.Error(), Ended: wire.EndOf(ctx)}
		}
	}
}

var errNotHosted = errors.New("this silo does not host the kind")

// holds says whether this silo holds the slot of a grain, whatever it may serve.
func (h *Host) holds(id wire.ID) bool {
	owner, ok := h.Standing().Table().Owner(id)
	return ok && owner.ID == h.Self
}

// notRun looks after a call that did not run: the error is to be passed on, nil where the activation has
// ended and another will take its place here.
func (h *Host) notRun(a *activation, err error) error {
	if lost(err) {
		// It is never served under this grant again; perhaps under another. One in a slot that is sealed is
		// Seal's to end.
		if t := h.newest(); !h.held(t, a) {
			a.lost(t)
		}
	} else if err != errEnded {
		return err
	}
	_, refused := h.activate(a.id())
	return refused
}

// awaitSuccessor waits until another activation may take the place of one that ends, here or elsewhere; not
// for long, because a call that is made again tells the turns that are left who waits for them.
func (h *Host) awaitSuccessor(ctx context.Context, a *activation) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	moved := make(chan struct{}, 1) // one: that there was a change is enough
	defer h.Views.Subscribe(func(*view.Table) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})()
	gone := a.gone()
	for h.holds(a.id()) {
		select {
		case <-moved:
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// cause is the error of package wire that err is, ErrUnknown where it is none.
func cause(err error) error {
	for _, known := range []error{wire.ErrReplyLost, wire.ErrNotExecuted, wire.ErrAborted} {
		if errors.Is(err, known) {
			return known
		}
	}
	return wire.ErrUnknown
}

// Serve runs a call that came from another silo, or sends it on, once, to the silo that has the grain; it is
// the handler of link.ServiceCalls. What a client sends is for ServeClient.
func (h *Host) Serve(ctx context.Context, payload []byte) ([]byte, error) {
	return h.answer(ctx, payload, false)
}

// ServeClient is Serve for what came from a client: that a grain calls, or waits, is not believed.
func (h *Host) ServeClient(ctx context.Context, payload []byte) ([]byte, error) {
	return h.answer(ctx, payload, true)
}

// service is the memory that one call from elsewhere needs here. It is used again when the reply is encoded,
// but for calls that nobody waits for, which may be on their way then.
type service struct {
	req    link.CallRequest
	served served
	reply  link.CallReply
}

// services are those that nobody has. None keeps more than maxScratch bytes of a result.
var services = sync.Pool{New: func() any { return new(service) }}

const maxScratch = 64 << 10

// answer serves a call and encodes the reply.
func (h *Host) answer(ctx context.Context, payload []byte, client bool) ([]byte, error) {
	s := services.Get().(*service)
	req := &s.req
	if err := req.Decode(payload); err != nil {
		return nil, fmt.Errorf("a call: %w", err)
	}
	if client {
		req.By, req.Chain = view.Grant{}, nil
	}
	ctx = wire.WithValues(ctx, req.Values)
	var reply *link.CallReply
	var refused error
	if req.OneWay && req.Block.IsPlain() {
		reply, refused = h.take(ctx, s)
	} else {
		reply, refused = h.serve(ctx, s, nil)
		if len(h.Incoming) == 0 { // an interceptor could go on with the call when it is over
			defer s.again()
		}
	}
	if refused != nil {
		if to, ok := h.forwards(refused, req); ok {
			if b, ok := h.forward(ctx, to, req); ok {
				return b, nil
			}
		}
		reply = refusal(refused)
	}
	b := reply.Append(nil)
	if len(b) > h.Limit {
		reply.Status, reply.Result, reply.Error = link.StatusResultLost, nil, nil
		reply.Detail = fmt.Sprintf("it ran, and its reply of %d bytes is over the limit of %d", len(b), h.Limit)
		b = reply.Append(nil)
	}
	return b, nil
}

// again gives the memory back.
func (s *service) again() {
	scratch := s.served.scratch
	if cap(scratch) > maxScratch {
		scratch = nil
	}
	*s = service{served: served{scratch: scratch[:0]}}
	services.Put(s)
}

func (h *Host) forwards(refused error, req *link.CallRequest) (view.Member, bool) {
	return h.Standing().Forward(refused, req.Forwarded && !h.faults.forwardAgain)
}

// forward sends a call on to the silo that holds the grain. It is not ok where it surely did not get there:
// then the caller is told where the grain is, and tries for itself.
func (h *Host) forward(ctx context.Context, to view.Member, req *link.CallRequest) (reply []byte, ok bool) {
	req.Forwarded = true
	b, err := h.Router.Peers.Node.RequestPeer(ctx, actor.Peer{Addr: to.Addr, Silo: true}, h.Router.Peers.Service, req.Append(nil))
	switch {
	case err == nil:
		return b, true
	case link.Fate(err) == wire.ErrNotExecuted:
		return nil, false
	}
	unknown := link.CallReply{Status: link.StatusUnknown, Detail: "sent on to silo " + to.Addr + ": " + err.Error()}
	return unknown.Append(nil), true
}

// refusal is the reply to a call that this silo does not serve.
func refusal(err error) *link.CallReply {
	reply := &link.CallReply{Status: link.StatusRefused, Detail: err.Error()}
	switch err := err.(type) {
	case *view.StaleToken:
		reply.Status = link.StatusStale
	case *view.Refusal:
		reply.Number = err.View
		switch err.Reason {
		case view.Elsewhere:
			reply.Status, reply.Holder, reply.Detail = link.StatusNotOwner, err.Holder.Addr, ""
		case view.NoLease:
			reply.Status = link.StatusNoLease
		default:
			reply.Status = link.StatusMoving
		}
	}
	return reply
}

// served is a call that came encoded.
type served struct {
	method       wire.Handler
	args, result []byte
	scratch      []byte             // for the result
	bad          *wire.BadArguments // why the method was not called
}

// Run implements runner. The error is a *failure.
func (s *served) Run(ctx context.Context, impl any) (err error) {
	s.result, err = s.method.Serve(ctx, impl, s.args, s.scratch[:0])
	if cap(s.result) > cap(s.scratch) {
		s.scratch = s.result
	}
	if err == nil {
		return nil
	}
	s.bad, _ = err.(*wire.BadArguments)
	return s.fail(err)
}

// fail is a method's error with its encoding, which is made while a panic is still the method's: its error may
// have none of the methods that an error needs.
func (s *served) fail(err error) error {
	return &failure{err, wire.AppendMethodError(nil, err, s.method.ErrorTable())}
}

// failure is an error of a method that came encoded, as interceptors see it, and as it travels.
type failure struct {
	error
	encoded []byte
}

func (f *failure) Unwrap() error { return f.error }

// serve runs the call s.req; admitted, if not nil, is called when it has the turn, or waits for it. Refused is
// not nil where it was not executed because of who holds what: a *view.Refusal or a *view.StaleToken. The reply
// may be a part of s.
func (h *Host) serve(ctx context.Context, s *service, admitted func()) (_ *link.CallReply, refused error) {
	req := &s.req
	refuse := func(s link.Status, detail string) *link.CallReply { return &link.CallReply{Status: s, Detail: detail} }
	if h.draining.Load() {
		return refuse(link.StatusRefused, "the silo is stopping"), nil
	}
	kind, ok := h.Kinds[req.To.Kind()]
	if !ok || kind.Grain() == nil {
		return refuse(link.StatusNoKind, "silo "+h.Addr+" was not given it: add the Grains() of its package to Config.Grains of every silo"), nil
	}
	method := kind.Grain().Method(req.Method)
	if reply := h.stranger(req, kind.Grain(), method); reply != nil {
		if _, refused := h.activate(req.To); refused != nil {
			return nil, refused // the silo that has the grain may be of another build
		}
		return reply, nil
	}
	info := method.Info()
	served := &s.served
	served.method, served.args = method, req.Args
	r := running{chain: req.Chain, root: req.Root, method: method, name: info.Name, traits: info.Traits, what: served, by: req.By, size: len(req.Args), admitted: admitted}
	if crowded := h.crowded(req.To, &r); crowded != nil {
		if _, refused := h.activate(req.To); refused != nil {
			return nil, refused // another silo may have room
		}
		return refuse(link.StatusOverloaded, crowded.(*wire.CallError).Detail), nil
	}
	a, refused := h.reach(req.To, kind.Grain())
	if refused != nil {
		return nil, refused
	}
	if req.Retry {
		reply, tried, done, err := h.Blocks.Resume(ctx, req.Root)
		switch {
		case errors.Is(err, wire.ErrReplyLost):
			return refuse(link.StatusReplyLost, ""), nil
		case err != nil:
			return refuse(link.StatusUnknown, err.Error()), nil
		case done:
			return &link.CallReply{Status: link.StatusOK, Result: reply}, nil
		}
		r.after = tried
	}
	if !req.Block.IsPlain() {
		r.in = link.NewBranch(req.Block, req.Coordinator)
		ctx = wire.WithBlock(ctx, r.in)
	}
	verdict, err := a.run(ctx, r)
	if verdict == notRun {
		if refused := h.notRun(a, err); refused == nil {
			return refuse(link.StatusRefused, errEnded.Error()), nil
		} else if _, ok := refused.(*view.Refusal); ok {
			return nil, refused
		} else if _, ok := refused.(*view.StaleToken); ok {
			return nil, refused
		}
	}
	reply := &s.reply
	reply.Status, reply.Result = link.StatusOK, served.result
	var call *wire.CallError
	switch {
	case verdict == unproven:
		reply = refuse(link.StatusUnknown, err.Error())
	case served.bad != nil:
		reply = h.unreadable(req, kind.Grain(), served.bad)
	case err == nil:
	case errors.As(err, &call) && verdict == notRun && call.Cause == wire.ErrCycle:
		reply = refuse(link.StatusCycle, call.Detail)
	case errors.As(err, &call) && verdict == notRun && call.Cause == wire.ErrOverloaded:
		reply = refuse(link.StatusOverloaded, call.Detail)
	case verdict == notRun && !errors.Is(err, wire.ErrAborted) && !errors.Is(err, context.DeadlineExceeded):
		reply = refuse(link.StatusRefused, err.Error())
	default: // one that has waited for as long as it may is not to be made again
		reply = &link.CallReply{Status: link.StatusError}
		if f, ok := err.(*failure); ok {
			reply.Error = f.encoded
		} else {
			reply.Error = wire.AppendError(nil, err, method.ErrorTable())
		}
	}
	if r.in != nil {
		reply.Record = r.in.Records()
		if err := r.in.Err(); err != nil {
			reply.Doomed = wire.AppendError(nil, err, nil)
		}
	}
	return reply, nil
}
