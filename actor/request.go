package actor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// codec is the version of the rules that envelopes follow.
const codec = 1

// call is a request that waits for its end. Whoever takes it out of the table
// answers it, exactly once, and does not touch it again.
type call struct {
	env     Envelope // the request
	to      Peer
	service Service
	size    int
	answer  chan answer // capacity 1
	// begun decides between the transport, which sets it before the request
	// may leave this process, and a caller that gives up: only a request that
	// never begins is surely not executed.
	begun atomic.Bool
	// sent is set by the transport when it has no use for the call any more. It
	// need not be.
	sent atomic.Bool
	// over is set when it is out of the table: nobody waits for it any more.
	over  atomic.Bool
	timer *time.Timer // of a request whose context has no deadline; nil until there was one
}

// newCall makes a request, of the memory of one that has had its answer.
func (n *Node) newCall(to Peer, s Service, size int) *call {
	c, ok := n.idle.Get().(*call)
	if !ok {
		c = &call{answer: make(chan answer, 1)}
	}
	c.to, c.service, c.size = to, s, size
	return c
}

// answered ends a request whose answer has been received. If that has come from
// the other end nobody else knows c, which has left the table and the transport,
// and it may be used again.
func (n *Node) answered(c *call, a answer) ([]byte, error) {
	if a.replied && c.sent.Load() {
		if c.timer != nil {
			c.timer.Stop()
		}
		c.begun.Store(false)
		c.sent.Store(false)
		c.over.Store(false)
		c.env.Payload, c.to = nil, Peer{}
		n.idle.Put(c)
	}
	return a.payload, a.err
}

type answer struct {
	payload []byte
	err     error
	replied bool // by the other end
}

func (c *call) error(fate error, reason string, cause error) error {
	return &CallError{To: c.to.Addr, Service: c.service, Fate: fate, Reason: reason, Cause: cause}
}

// Request sends payload to service s of the node at the address to and waits
// for the answer, which is the caller's to keep; payload must not be changed
// afterwards unless the request ended without an error. The deadline and
// cancellation of ctx reach the handler; a ctx without a deadline gets
// Config.Timeout. Errors: [ErrNotExecuted] (as [*TooLarge] for a payload over
// the limit, wrapping [*LimitReached] for what a bound refused and [*Foreign]
// for a node that is not of the cluster), [ErrUnknown], [*RemoteFailure], and
// [*TooLarge] for an answer over the limit.
func (n *Node) Request(ctx context.Context, to string, s Service, payload []byte) ([]byte, error) {
	return n.RequestPeer(ctx, Peer{Addr: to}, s, payload)
}

// RequestPeer is [Node.Request] to one incarnation: another that answers at
// the address refuses it as not executed. With to.Silo it is refused, as a
// [*Foreign], where the other end has not shown to be a silo.
func (n *Node) RequestPeer(ctx context.Context, to Peer, s Service, payload []byte) ([]byte, error) {
	c := n.newCall(to, s, len(payload))
	if err := ctx.Err(); err != nil {
		return nil, c.error(ErrNotExecuted, "the context had ended before the request was sent", err)
	}
	ch := s.Channel()
	if limit := n.cfg.limit(ch); len(payload) > limit {
		return nil, &TooLarge{Size: len(payload), Limit: limit}
	}
	p := &n.peer(to.Addr).on[ch]
	calls, bytes := p.calls.Add(1), p.bytes.Add(int64(c.size))
	defer p.calls.Add(-1)
	defer p.bytes.Add(int64(-c.size))
	switch {
	case calls > int64(n.cfg.PeerInFlight):
		return nil, c.error(ErrNotExecuted, "not sent", &LimitReached{"unanswered requests to this peer", n.cfg.PeerInFlight})
	case bytes > int64(n.cfg.queueBytes(ch)):
		return nil, c.error(ErrNotExecuted, "not sent", &LimitReached{"bytes of the unanswered requests to this peer", n.cfg.queueBytes(ch)})
	}

	remaining := n.cfg.Timeout
	deadline, bounded := ctx.Deadline()
	if bounded {
		remaining = max(time.Until(deadline), 1)
	}
	id := n.ids.Add(1)
	env := &c.env
	env.Codec, env.Kind, env.Id, env.Service = codec, Kind_KIND_REQUEST, id, uint32(s)
	env.Sender, env.SenderIncarnation, env.TargetIncarnation = n.addr, n.cfg.Incarnation, to.Incarnation
	env.Remaining, env.Payload = int64(remaining), payload
	n.calls.add(id, c)
	if n.left.Load() {
		n.calls.take(id)
		return nil, c.error(ErrNotExecuted, "this node has stopped", nil)
	}
	err := n.transport.send(outgoing{to: to.Addr, call: c, silo: to.Silo || n.cfg.SilosOnly, env: env})
	if err != nil {
		n.calls.take(id)
		return nil, c.error(ErrNotExecuted, "not sent", err)
	}

	var timeout <-chan time.Time
	if !bounded {
		if c.timer == nil {
			c.timer = time.NewTimer(remaining)
		} else {
			c.timer.Reset(remaining)
		}
		timeout = c.timer.C
	}
	select {
	case a := <-c.answer:
		return n.answered(c, a)
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout:
		err = context.DeadlineExceeded
	}
	if n.calls.take(id) == nil { // the answer is being given
		return n.answered(c, <-c.answer)
	}
	if !c.begun.Swap(true) {
		return nil, c.error(ErrNotExecuted, "gave up before it was sent", err)
	}
	_ = n.transport.send(outgoing{to: to.Addr, env: &Envelope{
		Codec: codec, Kind: Kind_KIND_CANCEL, Id: id, Service: uint32(s),
		Sender: n.addr, SenderIncarnation: n.cfg.Incarnation, TargetIncarnation: to.Incarnation,
	}}) // best effort: the handler has the deadline too
	return nil, c.error(ErrUnknown, "gave up waiting for the answer", err)
}

// Notify sends payload to service s of the node at the address to, at most
// once, and in order for each (destination, service) while the connection
// lives, on channels other than Bulk. It does not wait: an error, always
// [ErrNotExecuted], says that the notification was surely not sent; nil says
// nothing about its arrival.
// payload must not be changed afterwards.
func (n *Node) Notify(to string, s Service, payload []byte) error {
	if limit := n.cfg.limit(s.Channel()); len(payload) > limit {
		return &TooLarge{Size: len(payload), Limit: limit}
	}
	if n.left.Load() {
		return &CallError{To: to, Service: s, Fate: ErrNotExecuted, Reason: "this node has stopped"}
	}
	err := n.transport.send(outgoing{to: to, silo: n.cfg.SilosOnly, env: &Envelope{
		Codec: codec, Kind: Kind_KIND_NOTIFY, Service: uint32(s),
		Sender: n.addr, SenderIncarnation: n.cfg.Incarnation, Payload: payload,
	}})
	if err != nil {
		return &CallError{To: to, Service: s, Fate: ErrNotExecuted, Reason: "not sent", Cause: err}
	}
	return nil
}

// refuse ends a request that the transport took over and could not send after
// all.
func (n *Node) refuse(o outgoing, cause error) {
	if o.call == nil {
		return
	}
	if c := n.calls.take(o.env.Id); c != nil {
		c.answer <- answer{err: c.error(ErrNotExecuted, "not sent", cause)}
	}
}

// begin is called by the transport before o may leave this process. It reports
// false when its caller has given up meanwhile: o must then be dropped.
func (o outgoing) begin() bool { return o.call == nil || !o.call.begun.Swap(true) }

// sent is called by the transport, if at all, when it has looked at o for the
// last time.
func (o outgoing) sent() {
	if o.call != nil {
		o.call.sent.Store(true)
	}
}

// asked takes the request that env, which came from there, answers.
func (n *Node) asked(env *Envelope, from origin) *call {
	return n.calls.takeIf(env.Id, func(c *call) bool {
		// What has not left, and what a silo was asked, no client can have heard:
		// it has guessed.
		return c.begun.Load() && c.service.Channel() == from.channel && (from.silo || !n.peer(c.to.Addr).silo.Load())
	})
}

// reply ends the request that env answers.
func (n *Node) reply(env *Envelope, from origin) {
	c := n.asked(env, from)
	if c == nil {
		return // it was given up
	}
	a := answer{replied: true}
	switch env.Status {
	case Status_STATUS_OK:
		a.payload = env.Payload
	case Status_STATUS_FAILED:
		a.err = &RemoteFailure{From: c.to.Addr, Payload: env.Payload, Text: env.Text}
	case Status_STATUS_NOT_EXECUTED:
		if env.Limit > 0 {
			a.err = c.error(ErrNotExecuted, "refused there", &LimitReached{What: env.Text, Limit: int(min(env.Limit, 1<<62))})
		} else {
			a.err = c.error(ErrNotExecuted, env.Text, nil)
		}
	case Status_STATUS_REQUEST_TOO_LARGE, Status_STATUS_REPLY_TOO_LARGE:
		a.err = &TooLarge{Size: int(env.Size), Limit: int(env.Limit), Reply: env.Status == Status_STATUS_REPLY_TOO_LARGE}
	default:
		a.err = c.error(ErrUnknown, "the answer's status is not known here: do all nodes run the same version?", nil)
	}
	c.answer <- a
}

// shards spreads the tables' locks; a power of two.
const shards = 64

// callTable holds the requests in flight by id.
type callTable struct {
	shard [shards]struct {
		sync.Mutex
		calls map[uint64]*call
		_     [48]byte // a cache line each
	}
}

func (t *callTable) init() {
	for i := range t.shard {
		t.shard[i].calls = map[uint64]*call{}
	}
}

func (t *callTable) add(id uint64, c *call) {
	s := &t.shard[id%shards]
	s.Lock()
	s.calls[id] = c
	s.Unlock()
}

// take removes a call and makes the caller the one to answer it; nil when
// another has it.
func (t *callTable) take(id uint64) *call {
	return t.takeIf(id, func(*call) bool { return true })
}

func (t *callTable) takeIf(id uint64, which func(*call) bool) *call {
	s := &t.shard[id%shards]
	s.Lock()
	defer s.Unlock()
	c := s.calls[id]
	if c == nil || !which(c) {
		return nil
	}
	delete(s.calls, id)
	c.over.Store(true)
	return c
}

// fail ends the calls to addr that have begun; those that still wait for a
// connection are the transport's to send or refuse. It costs a pass over all
// calls of the node.
func (t *callTable) fail(addr string, ch Channel, reason string, delivered bool) {
	fate := ErrUnknown
	if !delivered {
		fate = ErrNotExecuted
	}
	t.end(fate, reason, func(c *call) bool { return c.to.Addr == addr && c.service.Channel() == ch && c.begun.Load() })
}

// failUpTo ends, as unknown, those to addr that have begun, up to a number.
func (t *callTable) failUpTo(last uint64, addr string, ch Channel) {
	t.end(ErrUnknown, "the connection was lost", func(c *call) bool {
		return c.env.Id <= last && c.to.Addr == addr && c.service.Channel() == ch && c.begun.Load()
	})
}

func (t *callTable) failAll(reason string) {
	t.end(ErrUnknown, reason, func(*call) bool { return true })
}

var errGone = errors.New("no answer will come")

func (t *callTable) end(fate error, reason string, which func(*call) bool) {
	for i := range t.shard {
		s := &t.shard[i]
		s.Lock()
		for id, c := range s.calls {
			if which(c) {
				delete(s.calls, id)
				c.over.Store(true)
				c.answer <- answer{err: c.error(fate, reason, errGone)} // has room: the table was its only owner
			}
		}
		s.Unlock()
	}
}
