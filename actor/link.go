package actor

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

const (
	// patience bounds the wait for remote to let go of a lost connection
	// before what waits is refused. It usually takes a millisecond.
	patience = 150 * time.Millisecond
	// oblivion is when a link stops waiting for it at all: longer than the two
	// seconds for which remote sleeps after a failed attempt.
	oblivion = 5 * time.Second
	// queueOverhead is what an envelope costs in a queue beyond its payload.
	queueOverhead = 256
)

// tcpLink is what a node has to one address on one channel other than Bulk.
// remote makes its endpoint for an
// address on the first message and drops it when it says so by an event; the
// link dials, hands the open connection to it, and keeps messages back while
// an earlier endpoint is still there, since that would lose them.
type tcpLink struct {
	tcp     *tcp
	addr    string
	channel Channel
	name    string // of addr and channel, to remote
	pid     *protoactor.PID

	mu      sync.RWMutex // taken before the shards of Node.calls, after nothing
	state   linkState
	gen     *generation // while up or broken
	waiting []outgoing  // in order, while dialing or broken
	bytes   int         // of waiting
}

type linkState uint8

const (
	linkIdle    linkState = iota // nothing is connected
	linkDialing                  // a goroutine runs dial
	linkUp                       // remote has the connection
	linkBroken                   // the connection is lost, remote has not said so yet
	linkClosed
)

// generation is one connection of a link.
type generation struct {
	link   *tcpLink
	conn   *watched
	who    identity
	queued atomic.Int64 // bytes given to remote and not yet to the connection
	wrote  atomic.Bool  // an envelope may have been written
	stream atomic.Pointer[outStream]
	ended  bool          // remote has said so; guarded by link.mu
	over   chan struct{} // closed when the connection is
}

var (
	errQueueFull = errors.New("overloaded: too many answers wait for the connection to this peer")
	errBroken    = errors.New("the connection was just lost, try again")
)

func (l *tcpLink) send(o outgoing) error {
	l.mu.RLock()
	if l.state == linkUp {
		defer l.mu.RUnlock()
		return l.pass(o)
	}
	l.mu.RUnlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.state {
	case linkUp:
		return l.pass(o)
	case linkClosed:
		return errStopped
	}
	size := len(o.env.Payload) + queueOverhead
	if room := l.tcp.node.cfg.PeerQueueBytes; l.bytes+size > room {
		return l.full(room)
	}
	l.waiting, l.bytes = append(l.waiting, o), l.bytes+size
	if l.state == linkIdle {
		l.state = linkDialing
		go l.dial()
	}
	return nil
}

func (l *tcpLink) full(room int) error {
	return &LimitReached{What: "bytes that wait for the connection to " + l.addr, Limit: room}
}

// pass gives o to remote. l.mu is held, for reading at least, and l is up.
// Replies have twice the room, so that requests cannot starve them; a peer
// that takes nothing in loses its connection then, which tells it that answers
// are missing.
func (l *tcpLink) pass(o outgoing) error {
	size, room := int64(proto.Size(o.env)+queueOverhead), int64(l.tcp.node.cfg.PeerQueueBytes)
	reply := o.env.Kind == Kind_KIND_REPLY
	if reply {
		room *= 2
	}
	if o.silo && !l.gen.who.silo {
		return notASilo(l.addr)
	}
	if l.gen.queued.Add(size) > room {
		l.gen.queued.Add(-size)
		if reply {
			go l.gen.conn.end()
			return errQueueFull
		}
		return l.full(int(room))
	}
	if !o.begin() {
		l.gen.queued.Add(-size)
		return nil
	}
	l.tcp.system.Root.Send(l.pid, o.env)
	return nil
}

// dial connects and sends what waits, or refuses it.
func (l *tcpLink) dial() {
	conn, who, err := l.tcp.open(l.addr, l.channel)
	g := &generation{link: l, who: who, over: make(chan struct{})}
	l.mu.Lock()
	if l.state != linkDialing { // closed meanwhile
		l.mu.Unlock()
		if err == nil {
			_ = conn.Close()
		}
		return
	}
	waiting := l.waiting
	l.waiting, l.bytes = nil, 0
	if err != nil {
		l.state = linkIdle
		l.mu.Unlock()
		l.refuse(waiting, err)
		return
	}
	conn.ended, g.conn, l.gen = g.lost, conn, g
	l.tcp.tickets.put(l.name, conn)
	l.state = linkUp
	n := l.tcp.node
	n.reached(l.addr, l.channel, who)
	_ = l.pass(outgoing{to: l.addr, env: n.hello(Service(l.channel) << channelShift)})
	refused := map[error][]outgoing{}
	for _, o := range waiting {
		if err := l.pass(o); err != nil {
			refused[err] = append(refused[err], o)
		}
	}
	l.mu.Unlock()
	for err, some := range refused {
		l.refuse(some, err)
	}
}

// open dials and shakes hands. A kernel also accepts connections for a process
// that is stopped or dying, and remote would spend two seconds on finding out.
func (t *tcp) open(addr string, ch Channel) (*watched, identity, error) {
	timeout := t.node.cfg.DialTimeout
	until := time.Now().Add(timeout)
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, identity{}, err
	}
	secure, who, err := t.node.guard.dial(conn, byte(ch), until)
	if err != nil {
		_ = conn.Close()
		return nil, identity{}, err
	}
	return &watched{Conn: secure, ended: func() {}}, who, nil
}

func (l *tcpLink) refuse(waiting []outgoing, why error) {
	for _, o := range waiting {
		l.tcp.node.refuse(o, why)
	}
}

// lost is told once by the connection that it is closed.
func (g *generation) lost() {
	l := g.link
	close(g.over)
	l.tcp.tickets.drop(l.name, g.conn)
	l.mu.Lock()
	if l.gen != g || l.state != linkUp {
		l.mu.Unlock()
		return
	}
	l.state = linkBroken
	if g.ended {
		l.state, l.gen = linkIdle, nil
	} else {
		time.AfterFunc(patience, func() { l.giveUp(g, false) })
		time.AfterFunc(oblivion, func() { l.giveUp(g, true) })
	}
	// Under the lock, so that no request on a later connection is among them.
	// The connection is closed: what is not written by now never will be.
	l.tcp.node.failCalls(l.addr, l.channel, g.wrote.Load())
	l.mu.Unlock()
	l.tcp.node.peerGone(l.addr)
}

// terminated is told by remote, by an event, that it has dropped its endpoint.
func (l *tcpLink) terminated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.state {
	case linkUp: // the stream ended before its connection
		l.gen.ended = true
		go l.gen.conn.end()
	case linkBroken:
		l.renew()
	}
}

// renew dials for what waits. l.mu is held, l is broken and remote's endpoint
// is no more.
func (l *tcpLink) renew() {
	l.state, l.gen = linkIdle, nil
	if len(l.waiting) > 0 {
		l.state = linkDialing
		go l.dial()
	}
}

// giveUp refuses what waits behind a connection that remote holds on to.
func (l *tcpLink) giveUp(g *generation, forget bool) {
	l.mu.Lock()
	if l.gen != g || l.state != linkBroken {
		l.mu.Unlock()
		return
	}
	waiting := l.waiting
	l.waiting, l.bytes = nil, 0
	if forget {
		l.renew()
	} else {
		time.AfterFunc(patience, func() { l.giveUp(g, false) })
	}
	l.mu.Unlock()
	l.refuse(waiting, errBroken)
}

// reset ends the connection, if there is one.
func (l *tcpLink) reset() {
	l.mu.RLock()
	g := l.gen
	l.mu.RUnlock()
	if g != nil {
		g.conn.end()
	}
}

func (l *tcpLink) flush(ctx context.Context) {
	l.mu.RLock()
	g, up := l.gen, l.state == linkUp
	l.mu.RUnlock()
	if !up {
		return
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for g.queued.Load() > 0 || g.stream.Load() == nil {
		select {
		case <-poll.C:
		case <-g.over:
			return
		case <-ctx.Done():
			return
		}
	}
	s := g.stream.Load()
	if s.CloseSend() != nil {
		return
	}
	select {
	case <-s.ended:
	case <-g.over:
	case <-ctx.Done():
	}
}

func (l *tcpLink) close() {
	l.mu.Lock()
	g, waiting := l.gen, l.waiting
	l.state, l.gen, l.waiting, l.bytes = linkClosed, nil, nil, 0
	l.mu.Unlock()
	if g != nil {
		g.conn.end()
	}
	l.refuse(waiting, errStopped)
}

// watched is a connection that tells when it ends, however it does.
type watched struct {
	net.Conn
	once  sync.Once
	ended func()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			w.end()
		}
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.Conn.Close()
	w.end()
	return err
}

// end closes first, so that nothing can be written once ended is told.
func (w *watched) end() {
	w.once.Do(func() {
		_ = w.Conn.Close()
		w.ended()
	})
}

// tickets hold open connections until gRPC asks for them, by the link's name.
// It never dials by itself.
type tickets struct {
	mu    sync.Mutex
	conns map[string]*watched
}

func (t *tickets) put(name string, c *watched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = map[string]*watched{}
	}
	t.conns[name] = c
}

func (t *tickets) drop(name string, c *watched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns[name] == c {
		delete(t.conns, name)
	}
}

func (t *tickets) take(_ context.Context, name string) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.conns[name]
	if c == nil {
		return nil, errors.New("no open connection: the link dials")
	}
	delete(t.conns, name)
	return c, nil
}
