package actor

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// inboxes queue notifications for their handlers: an actor of protoactor-go for
// each (sender, service) that has sent anything for a while. Its mailbox keeps
// the order; what bounds it is here.
type inboxes struct {
	node   *Node
	start  sync.Once
	system *protoactor.ActorSystem // made for the first who is notified: it costs 3 MB
	seed   maphash.Seed
	bytes  atomic.Int64 // of all payloads that wait
	shard  [16]struct {
		sync.Mutex
		boxes map[inboxKey]*inbox
		swept time.Time // when idle ones were looked for last
		_     [24]byte  // a cache line each
	}
}

type inboxKey struct {
	sender  string
	service Service
}

// inbox is the actor that hands on what one sender sends to one service. It is
// in the table from its first message until its actor stops, when none is
// waiting: an actor that stops drops what is in its mailbox.
type inbox struct {
	in      *inboxes
	mu      *sync.Mutex // of its shard
	key     inboxKey
	handler func(Peer, []byte)
	pid     *protoactor.PID
	waiting int       // in the mailbox, guarded by mu
	busy    bool      // the same
	used    time.Time // the same
}

// notification is the message of an inbox.
type notification struct {
	*Envelope
	from origin
}

const (
	// notifyOverhead is what a queued notification costs beyond its payload.
	notifyOverhead = 384
	// keptInbox is how long an inbox without messages is kept, at least. One costs 1 kB. (An actor's own
	// receive timeout would do, but its timer and the actor race in protoactor-go.)
	keptInbox = 10 * time.Second
)

func (b *inboxes) init(n *Node) {
	b.node, b.seed = n, maphash.MakeSeed()
	for i := range b.shard {
		b.shard[i].boxes = map[inboxKey]*inbox{}
	}
}

// root is where the actors are started.
func (b *inboxes) root() *protoactor.RootContext {
	b.start.Do(func() {
		b.system = protoactor.NewActorSystem(func(c *protoactor.Config) {
			c.LoggerFactory = func(*protoactor.ActorSystem) *slog.Logger { return slog.New(demoted{b.node.cfg.Logger.Handler()}) }
		})
	})
	return b.system.Root
}

// put reports whether it keeps env.
func (b *inboxes) put(env *Envelope, from origin) (kept bool) {
	n := b.node
	h, ok := lookup(&n.notified, Service(env.Service))
	size := int64(len(env.Payload) + notifyOverhead)
	if !ok || len(env.Payload) > n.cfg.limit(from.channel) {
		n.garbage("a notification that nobody handles or over the limit", env)
		return false
	}
	if b.bytes.Add(size) > int64(n.cfg.NotifyQueueBytes) {
		b.bytes.Add(-size)
		n.garbage("a notification: too many bytes wait", env)
		return false
	}
	key := inboxKey{env.Sender, Service(env.Service)}
	s := &b.shard[b.of(key)]
	s.Lock()
	now := time.Now()
	if now.Sub(s.swept) > keptInbox {
		s.swept = now
		b.sweep(s.boxes, now.Add(-keptInbox))
	}
	box := s.boxes[key]
	switch {
	case n.left.Load():
		b.bytes.Add(-size)
		s.Unlock()
		return false
	case box == nil:
		box = &inbox{in: b, mu: &s.Mutex, key: key, handler: h}
		box.pid = b.root().Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return box }))
		s.boxes[key] = box
	case box.waiting >= n.cfg.NotifyQueue:
		b.bytes.Add(-size)
		s.Unlock()
		n.garbage("a notification: its handler is too slow", env)
		return false
	}
	box.waiting, box.used = box.waiting+1, now
	// Under the lock, so that a sender's messages keep their order and none comes behind the actor's end.
	b.root().Send(box.pid, &notification{env, from})
	s.Unlock()
	return true
}

// sweep ends the inboxes of a shard, which is locked, that were not used since.
func (b *inboxes) sweep(boxes map[inboxKey]*inbox, since time.Time) {
	for key, box := range boxes {
		if box.waiting == 0 && !box.busy && box.used.Before(since) {
			delete(boxes, key)
			b.root().Stop(box.pid)
		}
	}
}

// Receive implements protoactor.Actor.
func (x *inbox) Receive(c protoactor.Context) {
	m, ok := c.Message().(*notification)
	if !ok { // it starts, or stops
		return
	}
	x.in.bytes.Add(-int64(len(m.Payload) + notifyOverhead))
	x.is(true)
	defer x.is(false)
	if !x.in.node.left.Load() {
		x.deliver(m)
	}
}

// is says that a message is being handled, or has been.
func (x *inbox) is(busy bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy = busy; busy {
		x.waiting--
	}
}

func (x *inbox) deliver(env *notification) {
	n := x.in.node
	defer func() {
		if r := recover(); r != nil {
			n.cfg.Logger.Error("a notification's handler panicked", slog.String("node", n.addr),
				slog.Uint64("service", uint64(env.Service)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	x.handler(env.from.sender(env.Envelope), env.Payload)
}

func (b *inboxes) of(key inboxKey) uint64 {
	return maphash.Comparable(b.seed, key) % uint64(len(b.shard))
}

// close ends the actors: what waits is dropped, a handler that is running
// finishes. Node.left is set.
func (b *inboxes) close() {
	for i := range b.shard {
		s := &b.shard[i]
		s.Lock()
		for key, box := range s.boxes {
			delete(s.boxes, key)
			b.root().Stop(box.pid)
		}
		s.Unlock()
	}
	b.start.Do(func() {}) // none is started any more
	if b.system != nil {
		b.system.Shutdown()
	}
}

// demoted is a handler of log/slog in which what protoactor-go has to say is of
// the level debug: it logs what is normal here, such as that it has started.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = min(r.Level, slog.LevelDebug)
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(a []slog.Attr) slog.Handler { return demoted{d.Handler.WithAttrs(a)} }

func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

// validText makes text fit for a protobuf string.
func validText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
