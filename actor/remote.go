package actor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
)

// gateway is the name of the one process that others may send to. It does not
// exist: what is for it is taken out of the stream before remote sees it.
const gateway = "martinelli"

// tcp is a node's end of the network between processes: for each address that
// it sends to, one link for each channel. Those other than Bulk are endpoints of
// remote, which knows them as addresses of their own; Bulk is not remote's
// business (bulk.go). All arrive at one port.
type tcp struct {
	node    *Node
	at      string // the address that is listened on
	system  *protoactor.ActorSystem
	remote  *remote.Remote
	events  *eventstream.Subscription
	links   sync.Map // name → *tcpLink
	bulks   sync.Map // address → *bulkLink
	bulkIns sync.Map // *bulkIn → nil
	tickets tickets
	inputs  sync.Map // inputKey → *inStream or *bulkIn, the latest from there
	pace    pace     // of all bulk transfers
	closed  atomic.Bool
}

// startRemote opens a node over TCP and sets its address and transport before
// anybody can find it.
func startRemote(n *Node) error {
	host, port, err := claim(n)
	if err != nil {
		return err
	}
	t := &tcp{node: n, at: net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)), pace: pace{rate: float64(n.cfg.BulkRate)}}
	t.system = protoactor.NewActorSystem(func(c *protoactor.Config) {
		c.LoggerFactory = func(*protoactor.ActorSystem) *slog.Logger { return slog.New(demoted{n.cfg.Logger.Handler()}) }
	})
	n.transport = t
	t.remote = remote.NewRemote(t.system, remote.Configure(host, port, append(t.guards(),
		remote.WithAdvertisedHost(n.addr),
		// The writer's queue is bounded by each link; these are its ring's
		// first size and how many messages it takes at a time.
		remote.WithEndpointWriterQueueSize(1024),
		remote.WithEndpointWriterBatchSize(512),
		// It waits two seconds after each failed attempt. An attempt starts
		// from a connection that is already open, so one is enough.
		func(c *remote.Config) { c.MaxRetryCount = 1 },
	)...))
	if err := t.start(); err != nil {
		return &PortInUse{Addr: t.at, Cause: err}
	}
	t.events = t.system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*remote.EndpointTerminatedEvent); ok {
			if l, ok := t.links.Load(e.Address); ok {
				l.(*tcpLink).terminated()
			}
		}
	})
	return nil
}

// claim finds out that the port is free, and sets the node's address. remote
// listens for itself and panics when it cannot: what is returned is free now,
// and start turns a lost race into an error.
func claim(n *Node) (host string, port int, err error) {
	l := n.cfg.Listener
	if l == nil {
		if l, err = net.Listen("tcp", n.cfg.Addr); errors.Is(err, syscall.EADDRINUSE) {
			return "", 0, &PortInUse{Addr: n.cfg.Addr, Cause: err}
		} else if err != nil {
			return "", 0, fmt.Errorf("actor: listening on %q: %w", n.cfg.Addr, err)
		}
	}
	a, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return "", 0, fmt.Errorf("actor: handing over the listener on %v: %w", l.Addr(), err)
	}
	if !ok {
		return "", 0, fmt.Errorf("actor: Config.Listener is on %v, which is not TCP", l.Addr())
	}
	n.addr = n.cfg.Advertise
	if n.addr == "" {
		if a.IP.IsUnspecified() {
			return "", 0, fmt.Errorf("actor: %v is all interfaces, at which nobody can reach this node: set Config.Advertise", a)
		}
		n.addr = a.String()
	}
	host = a.IP.String()
	if a.IP.To4() == nil {
		host = "[" + host + "]"
	}
	return host, a.Port, nil
}

// start runs remote.Start, which panics when something is wrong.
func (t *tcp) start() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("remote did not start: %v", r)
		}
	}()
	t.remote.Start()
	return nil
}

func (t *tcp) send(o outgoing) error {
	if t.closed.Load() {
		return errStopped
	}
	if o.to == t.node.addr {
		if o.begin() {
			o.env.Payload = bytes.Clone(o.env.Payload)
			self := identity{silo: t.node.cfg.Silo}
			t.node.receive(o.env, origin{self, o.channel()})
		}
		return nil
	}
	if o.channel() == Bulk {
		return t.bulk(o.to).send(o)
	}
	return t.link(o.to, o.channel()).send(o)
}

var errStopped = errors.New("this node has stopped")

// inputKey is who speaks, and on which channel.
type inputKey struct {
	sender  string
	channel Channel
}

// nameOf is what remote takes for the address of a link.
func nameOf(addr string, ch Channel) string {
	if ch == Calls {
		return addr
	}
	return addr + "~" + ch.String()
}

func (t *tcp) link(addr string, ch Channel) *tcpLink {
	name := nameOf(addr, ch)
	if l, ok := t.links.Load(name); ok {
		return l.(*tcpLink)
	}
	l, _ := t.links.LoadOrStore(name, &tcpLink{tcp: t, addr: addr, channel: ch, name: name, pid: protoactor.NewPID(name, gateway)})
	return l.(*tcpLink)
}

func (t *tcp) reset(addr string, ch Channel) {
	if ch == Bulk {
		if l, ok := t.bulks.Load(addr); ok {
			l.(*bulkLink).reset()
		}
		return
	}
	if l, ok := t.links.Load(nameOf(addr, ch)); ok {
		l.(*tcpLink).reset()
	}
}

// flush ends the stream on each link behind what was sent and waits until the
// other end has read it all, two seconds at most: a peer that is gone in
// silence must not hold up a departure.
func (t *tcp) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	t.links.Range(func(_, l any) bool {
		all.Go(func() { l.(*tcpLink).flush(ctx) })
		return true
	})
	t.bulks.Range(func(_, l any) bool {
		all.Go(func() { l.(*bulkLink).flush(ctx) })
		return true
	})
	all.Wait()
}

// close leaves remote's own actors behind: its graceful way out waits for its
// peers, and tells them so that they see two terminations, the second of which
// would hit a successor at this address.
func (t *tcp) close() {
	t.closed.Store(true)
	t.system.EventStream.Unsubscribe(t.events)
	t.links.Range(func(_, l any) bool {
		l.(*tcpLink).close()
		return true
	})
	t.bulks.Range(func(_, l any) bool {
		l.(*bulkLink).close()
		return true
	})
	t.bulkIns.Range(func(in, _ any) bool {
		_ = in.(*bulkIn).conn.Close()
		return true
	})
	t.remote.Shutdown(false)
	t.system.Shutdown()
}

// release waits until nobody listens any more, so that who has stopped a node
// can start the next one there. remote serves on a goroutine of its own: when
// that has not begun by the time of Shutdown, it gives the port back once it
// does. In a second it has, or somebody else listens there.
func (t *tcp) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.at)
		if err != nil {
			return
		}
		_ = conn.Close()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// demoted logs what remote says at Debug: to it each lost connection is an
// error.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(a []slog.Attr) slog.Handler { return demoted{d.Handler.WithAttrs(a)} }
func (d demoted) WithGroup(g string) slog.Handler      { return demoted{d.Handler.WithGroup(g)} }
