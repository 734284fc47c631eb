package actor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// tcp is a node's end of the network between processes: for each address that
// it sends to, one link for each channel, and a goroutine for each connection
// that others have opened. All arrive at one port.
type tcp struct {
	node      *Node
	listener  net.Listener
	accepting chan struct{} // closed when nothing is accepted any more
	links     sync.Map      // inputKey → *link
	ins       sync.Map      // *incoming → nil
	inputs    sync.Map      // inputKey → *incoming, the latest from there
	speaking  sync.Mutex    // guards changes of inputs, and incoming.last
	pace      pace          // of all bulk transfers
	closed    atomic.Bool
}

// startTCP opens a node over TCP and sets its address and transport before
// anybody can find it.
func startTCP(n *Node) error {
	l, err := listen(n)
	if err != nil {
		return err
	}
	t := &tcp{node: n, listener: l, accepting: make(chan struct{}), pace: pace{rate: float64(n.cfg.BulkRate)}}
	n.transport = t
	n.crew.most = keptWorkers
	holdFloor(n)
	go t.accept()
	return nil
}

// listen opens the port and sets the node's address.
func listen(n *Node) (l net.Listener, err error) {
	if l = n.cfg.Listener; l == nil {
		if l, err = net.Listen("tcp", n.cfg.Addr); errors.Is(err, syscall.EADDRINUSE) {
			return nil, &PortInUse{Addr: n.cfg.Addr, Cause: err}
		} else if err != nil {
			return nil, fmt.Errorf("actor: listening on %q: %w", n.cfg.Addr, err)
		}
	}
	a, ok := l.Addr().(*net.TCPAddr)
	n.addr = n.cfg.Advertise
	switch {
	case !ok:
		err = fmt.Errorf("actor: Config.Listener is on %v, which is not TCP", l.Addr())
	case n.addr == "" && a.IP.IsUnspecified():
		err = fmt.Errorf("actor: %v is all interfaces, at which nobody can reach this node: set Config.Advertise", a)
	case n.addr == "":
		n.addr = a.String()
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// accept lets connections in until the listener is closed.
func (t *tcp) accept() {
	defer close(t.accepting)
	order := uint64(0)
	for pause := time.Duration(0); ; {
		conn, err := t.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			order++
			go t.admit(conn, order)
		case t.closed.Load() || errors.Is(err, net.ErrClosed):
			return
		default: // out of file descriptors, say
			pause = min(max(2*pause, time.Millisecond), time.Second)
			t.node.warn("connections cannot be accepted", err)
			time.Sleep(pause)
		}
	}
}

// admit shakes hands and reads what comes, until the connection ends.
func (t *tcp) admit(raw net.Conn, order uint64) {
	conn, ch, who, err := t.node.guard.accept(raw)
	if err == nil && ch >= byte(channels) {
		_ = conn.Close()
		err = &Foreign{Addr: raw.RemoteAddr().String(), Reason: "it takes this port for another: compare addresses and ports"}
	}
	if err != nil {
		_ = raw.Close()
		if errors.As(err, new(*Foreign)) || errors.As(err, new(*LimitReached)) {
			t.node.warn("a connection was refused", err)
		}
		return
	}
	t.serve(conn, Channel(ch), who, order)
}

// open dials and shakes hands. A kernel also accepts connections for a process
// that is stopped or dying: an answer is waited for no longer than a dial.
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
	return &watched{Conn: secure, over: make(chan struct{})}, who, nil
}

func (t *tcp) send(o outgoing) error {
	if t.closed.Load() {
		return errStopped
	}
	if o.to == t.node.addr {
		if o.begin() {
			a := new(arrival) // what o points to may be used again
			o.env.bare(&a.env)
			a.env.Payload = bytes.Clone(o.env.Payload)
			t.node.receive(a, origin{identity: identity{silo: t.node.cfg.Silo}, channel: o.channel()})
		}
		return nil
	}
	for {
		if err := t.link(o.to, o.channel()).send(o); err != errLinkOver {
			return err
		}
	}
}

var errStopped = errors.New("this node has stopped")

// inputKey is an address and a channel: who speaks, or who is spoken to.
type inputKey struct {
	addr    string
	channel Channel
}

func (t *tcp) link(addr string, ch Channel) *link {
	key := inputKey{addr, ch}
	if l, ok := t.links.Load(key); ok {
		return l.(*link)
	}
	l, _ := t.links.LoadOrStore(key, newLink(t, addr, ch))
	if t.closed.Load() { // close may have looked before
		l.(*link).close()
	}
	return l.(*link)
}

// enter notes that in.sender speaks on in. A later connection from there says
// that the one before is lost at the other end. It reports false when a client
// says that it is at the address of a silo.
func (t *tcp) enter(in *incoming) bool {
	t.speaking.Lock()
	defer t.speaking.Unlock()
	key, last := inputKey{in.sender, in.from.channel}, t.node.ids.Load()
	if known, ok := t.inputs.Load(key); ok {
		switch other := known.(*incoming); {
		case other.from.silo && !in.from.silo:
			return false
		case other.from.silo == in.from.silo && other.order > in.order:
			in.last = last
			return true
		default:
			other.last = last
		}
	}
	t.inputs.Store(key, in)
	return true
}

// leave ends what in brought and would have brought.
func (t *tcp) leave(in *incoming) {
	n, ch := t.node, in.from.channel
	t.speaking.Lock()
	latest, last := t.inputs.CompareAndDelete(inputKey{in.sender, ch}, in), in.last
	t.speaking.Unlock()
	switch {
	case !in.from.silo && in.from.peer.silo.Load(): // in a silo's name, which was not known to be one
		n.served.cancelOver(in.from.row)
	case latest:
		n.callerLost(in.sender, ch)
	default:
		n.served.cancelOver(in.from.row)
		n.calls.failUpTo(last, in.sender, ch)
	}
}

// unanswered ends the connection from addr: what was asked over it has been
// answered, and the answer is lost.
func (t *tcp) unanswered(addr string, ch Channel, why error) {
	if in, ok := t.inputs.Load(inputKey{addr, ch}); ok && !t.closed.Load() {
		t.node.warn("answers cannot be sent to "+addr+" (is this what it should advertise?)", why)
		go in.(*incoming).conn.Close() // inside TLS it may take a while
	}
}

func (t *tcp) reset(addr string, ch Channel) {
	if l, ok := t.links.Load(inputKey{addr, ch}); ok {
		l.(*link).reset()
	}
}

// flush waits, on each link, until the other end has taken in what was sent,
// two seconds at most: a peer that is gone in silence must not hold up a
// departure.
func (t *tcp) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	t.links.Range(func(_, l any) bool {
		all.Go(func() { l.(*link).flush(ctx) })
		return true
	})
	all.Wait()
}

func (t *tcp) close() {
	t.closed.Store(true)
	dropFloor(t.node)
	_ = t.listener.Close()
	t.links.Range(func(_, l any) bool {
		l.(*link).close()
		return true
	})
	t.ins.Range(func(in, _ any) bool {
		_ = in.(*incoming).conn.Close()
		return true
	})
}

// release waits until nobody listens any more, so that who has stopped a node
// can start the next one there.
func (t *tcp) release(ctx context.Context) {
	select {
	case <-t.accepting:
	case <-ctx.Done():
	}
}

// watched is a connection that tells when it ends, however it does.
type watched struct {
	net.Conn
	once sync.Once
	over chan struct{} // closed when it has ended
}

// end closes first, so that nothing can be written once its end is told.
func (w *watched) end() {
	w.once.Do(func() {
		_ = w.Conn.Close()
		close(w.over)
	})
}
