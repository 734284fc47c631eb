package actor

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Handler answers requests. It runs on a goroutine of its own. ctx carries the
// caller's deadline and is cancelled when the caller cancels, is gone, or this
// node stops without waiting. The payload is the handler's to keep; the answer
// may alias it. An error arrives at the caller as a [*RemoteFailure] (see
// [WireError]), one made by [Refuse] as [ErrNotExecuted]; a panic is recovered
// into an error.
type Handler func(ctx context.Context, from Peer, payload []byte) ([]byte, error)

// Node is one end of the network. All methods may be called from any
// goroutine.
type Node struct {
	cfg       Config
	addr      string
	transport transport

	mu       sync.Mutex // guards replacement of the maps behind the three pointers
	handlers atomic.Pointer[map[Service]Handler]
	notified atomic.Pointer[map[Service]func(Peer, []byte)]
	onGone   atomic.Pointer[[]func(string)]

	ids     atomic.Uint64
	calls   callTable
	served  servedTable
	inboxes inboxes
	peers   sync.Map // address → *peer

	work    work
	left    atomic.Bool // Stop has come to its end
	dropped atomic.Uint64
}

// transport carries envelopes. It calls back Node.receive, failCalls, peerGone
// and callerLost, outgoing.begin and Node.refuse.
type transport interface {
	// send takes o over. An error says that it was not sent and never will be;
	// otherwise o is on its way, or is refused later. It does not block on the
	// network. Envelopes that one goroutine sends to one address arrive in
	// order while the connection lives.
	send(o outgoing) error
	// reset drops the connection to addr, if any.
	reset(addr string)
	// flush returns when everything sent has been taken in by the other ends,
	// or when ctx ends.
	flush(ctx context.Context)
	// close ends all connections. No call back comes after it.
	close()
}

// outgoing is an envelope on its way to an address. call is nil unless it is a
// request.
type outgoing struct {
	to   string
	env  *Envelope
	call *call
}

// peer counts what this node has in flight to one address.
type peer struct {
	calls, bytes atomic.Int64
	incarnation  atomic.Uint64 // the last that was heard of; 0: none
}

// Start opens a node. Requests that arrive before their service has a handler
// are refused as not executed. A taken port is a [*PortInUse].
func Start(cfg Config) (*Node, error) {
	if len(cfg.Advertise) > maxAddr || !utf8.ValidString(cfg.Advertise) || len(cfg.Addr) > maxAddr || !utf8.ValidString(cfg.Addr) {
		return nil, fmt.Errorf("actor: an address must be UTF-8 of at most %d bytes: %q, %q", maxAddr, cfg.Advertise, cfg.Addr)
	}
	n := &Node{cfg: cfg.withDefaults()}
	n.calls.init()
	n.served.init()
	n.inboxes.init(n)
	n.work.init()
	var err error
	if cfg.Network != nil {
		err = cfg.Network.join(n)
	} else {
		err = startRemote(n)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Addr is the address by which others reach this node.
func (n *Node) Addr() string { return n.addr }

// Incarnation is the number of this run.
func (n *Node) Incarnation() uint64 { return n.cfg.Incarnation }

// Limit is the largest payload in bytes.
func (n *Node) Limit() int { return n.cfg.Limit }

// Dropped counts the messages that this node had to drop: notifications beyond
// the bound of their queue or without a handler, and garbage.
func (n *Node) Dropped() uint64 { return n.dropped.Load() }

// Handle sets the handler of requests to s. A service has one; a second panics.
func (n *Node) Handle(s Service, h Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	register(&n.handlers, s, h)
}

// HandleNotify sets the handler of notifications to s. It is called in order
// for each sender, on a goroutine for each (sender, service), never on the
// transport's. The payload is the handler's to keep.
func (n *Node) HandleNotify(s Service, h func(from Peer, payload []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	register(&n.notified, s, h)
}

func register[H any](p *atomic.Pointer[map[Service]H], s Service, h H) {
	next := map[Service]H{}
	if old := p.Load(); old != nil {
		next = maps.Clone(*old)
	}
	if _, taken := next[s]; taken {
		panic(fmt.Sprintf("actor: service %d has a handler already", s))
	}
	next[s] = h
	p.Store(&next)
}

func lookup[H any](p *atomic.Pointer[map[Service]H], s Service) (H, bool) {
	if m := p.Load(); m != nil {
		h, ok := (*m)[s]
		return h, ok
	}
	var none H
	return none, false
}

// OnPeerGone adds a function that is called, on a goroutine of its own, each
// time a connection to or from addr is lost. It is a hint: the peer may be
// alive, and a peer that vanishes without a word is noticed only by keepalive.
func (n *Node) OnPeerGone(f func(addr string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var next []func(string)
	if old := n.onGone.Load(); old != nil {
		next = append(next, *old...)
	}
	next = append(next, f)
	n.onGone.Store(&next)
}

// Fail says that the peer at addr is known to be gone: all requests in flight
// to it fail at once with [ErrUnknown], its requests being served here are
// cancelled, and its connection is dropped. A later request dials anew.
func (n *Node) Fail(addr string) {
	n.transport.reset(addr)
	n.calls.fail(addr, "the peer is gone", true)
	n.served.cancelFrom(addr)
}

// failCalls ends what has begun and waits for addr, since the connection to it
// is lost. delivered says whether any of it may have been written.
func (n *Node) failCalls(addr string, delivered bool) {
	n.calls.fail(addr, "the connection was lost", delivered)
}

// peerGone tells those who asked.
func (n *Node) peerGone(addr string) {
	if fs := n.onGone.Load(); fs != nil && !n.left.Load() {
		for _, f := range *fs {
			go f(addr)
		}
	}
}

// callerLost is told by the transport that what comes from addr has ended: its
// answers to us are lost, and nobody waits for ours.
func (n *Node) callerLost(addr string) {
	n.served.cancelFrom(addr)
	n.failCalls(addr, true)
	n.peerGone(addr)
}

func (n *Node) peer(addr string) *peer {
	if p, ok := n.peers.Load(addr); ok {
		return p.(*peer)
	}
	p, _ := n.peers.LoadOrStore(addr, new(peer))
	return p.(*peer)
}

// Stop drains the node: new requests from others are refused as not executed,
// those being served are finished and answered while ctx lasts and cancelled
// then, and the node leaves. Requests that this node still waits for end as
// [ErrUnknown]. Stopping twice is harmless. The error is ctx's, when handlers
// had to be cut short.
func (n *Node) Stop(ctx context.Context) error {
	if !n.work.stop() {
		return nil
	}
	var err error
	select {
	case <-n.work.idle:
		n.transport.flush(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	}
	n.left.Store(true)
	n.transport.close()
	n.served.cancelAll()
	n.calls.failAll("this node has stopped")
	n.inboxes.close()
	return err
}

// work counts the requests being served, so that they can be bounded and
// waited for.
type work struct {
	mu       sync.Mutex
	requests int
	bytes    int
	stopping bool
	idle     chan struct{} // closed when stopping and requests is 0
}

func (w *work) init() { w.idle = make(chan struct{}) }

// begin admits a request of size bytes, or says why not.
func (w *work) begin(size, requests, bytes int) (refused string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopping:
		return "the node is stopping: ask another"
	case w.requests >= requests || w.bytes+size > bytes:
		return "overloaded: too many requests are being served, try again later"
	}
	w.requests++
	w.bytes += size
	return ""
}

func (w *work) end(size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests--
	w.bytes -= size
	if w.stopping && w.requests == 0 {
		close(w.idle)
	}
}

// stop reports whether it is the first.
func (w *work) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return false
	}
	w.stopping = true
	if w.requests == 0 {
		close(w.idle)
	}
	return true
}
