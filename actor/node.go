package actor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
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
	idle    sync.Pool // of *call, to be used again
	served  servedTable
	inboxes inboxes
	peers   sync.Map   // address → *peer
	holding sync.Mutex // guards peer.held, and the removal of peers

	guard   *Guard
	work    work
	crew    crew
	arrives arrivals
	left    atomic.Bool // Stop has come to its end
	dropped atomic.Uint64
	refused atomic.Uint64
	warned  atomic.Int64 // when warn last logged, in seconds
}

// transport carries envelopes, each on the channel of its service. It calls
// back Node.receive, failCalls, peerGone and callerLost, outgoing.begin and
// Node.refuse.
type transport interface {
	// send takes o over. An error says that it was not sent and never will be;
	// otherwise o is on its way, or is refused later. It does not block on the
	// network. Envelopes that one goroutine sends to one address on one channel
	// other than Bulk arrive in order while the connection lives.
	send(o outgoing) error
	// reset drops the connection to addr, if any.
	reset(addr string, ch Channel)
	// flush returns when everything sent has been taken in by the other ends,
	// or when ctx ends.
	flush(ctx context.Context)
	// close ends all connections. No call back comes after it.
	close()
	// release returns when the address is free for another node, soon, or when ctx ends. It comes after close.
	release(ctx context.Context)
}

// outgoing is an envelope on its way to an address. call is nil unless it is a
// request.
type outgoing struct {
	to   string
	env  *Envelope
	call *call
	silo bool // only where the other end has shown to be a silo
}

func (o outgoing) channel() Channel { return Service(o.env.Service).Channel() }

// origin is how an envelope came: from whom, and on which channel.
type origin struct {
	identity
	channel Channel
	peer    *peer // what this node knows of who speaks there, if that was looked up
	row     *row  // where requests wait for a worker, if they came over a connection
}

// peer is what a node knows of one address.
type peer struct {
	held int         // connections to and from there; without any it is forgotten
	silo atomic.Bool // who was reached there has shown to be a silo
	on   [channels]struct {
		calls, bytes atomic.Int64  // this node's requests that are unanswered
		serving      atomic.Int64  // its requests that are being served here
		incarnation  atomic.Uint64 // the last that was heard of; 0: none
	}
}

func notASilo(addr string) error {
	return &Foreign{Addr: addr, Reason: "it has not shown to be a silo: its certificate does not bear the name of those, or it says that it is a client"}
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
	if n.guard, err = newGuard(n.cfg); err != nil {
		return nil, err
	}
	if cfg.Network != nil {
		err = cfg.Network.join(n)
	} else {
		err = startTCP(n)
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

// Limit is the largest payload in bytes, on channels other than Bulk.
func (n *Node) Limit() int { return n.cfg.Limit }

// Guard begins and checks this node's connections, and others of its process.
func (n *Node) Guard() *Guard { return n.guard }

// Dropped counts the messages that this node had to drop: notifications beyond
// the bound of their queue or without a handler, and garbage.
func (n *Node) Dropped() uint64 { return n.dropped.Load() }

// Refused counts the requests of others that this node had no room for, by the
// bounds of its Config.
func (n *Node) Refused() uint64 { return n.refused.Load() }

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
	p := n.hold(addr)
	defer n.letGo(addr, p)
	for ch := range channels {
		n.transport.reset(addr, ch)
		n.calls.fail(addr, ch, "the peer is gone", true)
		n.served.cancelFrom(p, ch)
	}
}

// failCalls ends what has begun and waits for addr, since the connection to it
// is lost. delivered says whether any of it may have been written.
func (n *Node) failCalls(addr string, ch Channel, delivered bool) {
	n.calls.fail(addr, ch, "the connection was lost", delivered)
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
func (n *Node) callerLost(addr string, ch Channel) {
	n.served.cancelFrom(n.peer(addr), ch)
	n.failCalls(addr, ch, true)
	n.peerGone(addr)
}

// reached is told by the transport that it has connected to addr: whoever
// speaks next from there is at the other end.
func (n *Node) reached(addr string, ch Channel, who identity) {
	p := n.peer(addr)
	p.silo.Store(who.silo)
	p.on[ch].incarnation.Store(0)
}

// hello is the first envelope on a connection of the channel that s is on.
func (n *Node) hello(s Service) *Envelope {
	return &Envelope{Codec: codec, Kind: Kind_KIND_HELLO, Service: uint32(s), Sender: n.addr, SenderIncarnation: n.cfg.Incarnation}
}

func (n *Node) peer(addr string) *peer {
	if p, ok := n.peers.Load(addr); ok {
		return p.(*peer)
	}
	p, _ := n.peers.LoadOrStore(addr, new(peer))
	return p.(*peer)
}

// hold is peer for a connection, until it calls letGo.
func (n *Node) hold(addr string) *peer {
	n.holding.Lock()
	defer n.holding.Unlock()
	p := n.peer(addr)
	p.held++
	return p
}

// letGo ends a connection's hold of p, and forgets p when it was the last.
func (n *Node) letGo(addr string, p *peer) {
	n.holding.Lock()
	defer n.holding.Unlock()
	if p.held--; p.held == 0 {
		n.peers.CompareAndDelete(addr, p)
	}
}

// forget forgets addr, unless there is a connection to or from there.
func (n *Node) forget(addr string) {
	n.letGo(addr, n.hold(addr))
}

// Stop drains the node: new requests from others are refused as not executed,
// those being served are finished and answered while ctx lasts and cancelled
// then, and the node leaves. Requests that this node still waits for end as
// [ErrUnknown]. Afterwards the port is free, unless ctx ended first. Stopping
// twice is harmless. The error is ctx's, when handlers had to be cut short.
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
	n.crew.stop()
	n.calls.failAll("this node has stopped")
	n.inboxes.close()
	n.transport.release(ctx)
	return err
}

// warn tells, in the log, of what others may have caused: the first of each
// burst, so that a stranger cannot fill it.
func (n *Node) warn(what string, err error) {
	now := time.Now().Unix()
	if last := n.warned.Load(); now-last >= 10 && n.warned.CompareAndSwap(last, now) {
		n.cfg.Logger.Warn(what, slog.String("node", n.addr), slog.Any("error", err))
	}
}
