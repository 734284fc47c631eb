package actor

import (
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
)

// inboxes queue notifications for their handlers: one queue, and while it is
// not empty one goroutine, for each (sender, service). An empty one costs
// nothing.
type inboxes struct {
	node  *Node
	seed  maphash.Seed
	bytes atomic.Int64 // of all payloads that wait
	shard [16]struct {
		sync.Mutex
		boxes map[inboxKey]*inbox
		_     [48]byte // a cache line each
	}
}

type inboxKey struct {
	sender  string
	service Service
}

// inbox is guarded by its shard. It is in the table while its goroutine runs.
type inbox struct{ waiting []notification }

type notification struct {
	*Envelope
	from origin
}

// notifyOverhead is what a queued notification costs beyond its payload.
const notifyOverhead = 256

func (b *inboxes) init(n *Node) {
	b.node, b.seed = n, maphash.MakeSeed()
	for i := range b.shard {
		b.shard[i].boxes = map[inboxKey]*inbox{}
	}
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
	s := &b.shard[maphash.Comparable(b.seed, key)%uint64(len(b.shard))]
	s.Lock()
	box := s.boxes[key]
	switch {
	case box == nil:
		box = &inbox{waiting: []notification{{env, from}}}
		s.boxes[key] = box
		go b.drain(&s.Mutex, s.boxes, key, box, h)
	case len(box.waiting) >= n.cfg.NotifyQueue:
		b.bytes.Add(-size)
		s.Unlock()
		n.garbage("a notification: its handler is too slow", env)
		return false
	default:
		box.waiting = append(box.waiting, notification{env, from})
	}
	s.Unlock()
	return true
}

// drain hands an inbox to its handler until it is empty.
func (b *inboxes) drain(mu *sync.Mutex, boxes map[inboxKey]*inbox, key inboxKey, box *inbox, h func(Peer, []byte)) {
	for {
		mu.Lock()
		batch := box.waiting
		box.waiting = nil
		if len(batch) == 0 {
			delete(boxes, key)
			mu.Unlock()
			return
		}
		mu.Unlock()
		for _, env := range batch {
			b.bytes.Add(-int64(len(env.Payload) + notifyOverhead))
			if !b.node.left.Load() {
				b.deliver(h, env)
			}
		}
	}
}

func (b *inboxes) deliver(h func(Peer, []byte), env notification) {
	defer func() {
		if r := recover(); r != nil {
			b.node.cfg.Logger.Error("a notification's handler panicked", slog.String("node", b.node.addr),
				slog.Uint64("service", uint64(env.Service)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	h(env.from.sender(env.Envelope), env.Payload)
}

// close drops what waits; a handler that is running finishes.
func (b *inboxes) close() {
	for i := range b.shard {
		s := &b.shard[i]
		s.Lock()
		for _, box := range s.boxes {
			for _, env := range box.waiting {
				b.bytes.Add(-int64(len(env.Payload) + notifyOverhead))
			}
			box.waiting = nil
		}
		s.Unlock()
	}
}

// validText makes text fit for a protobuf string.
func validText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
