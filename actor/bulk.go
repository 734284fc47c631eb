package actor

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
)

// The connection of the Bulk channel carries frames: kind (1 byte), transfer
// (4), length (4), bytes. One envelope is one transfer: a begin frame, whose
// bytes are the size of the payload (uvarint), the size of the rest of the
// envelope (uvarint), that rest, and the first bytes of the payload; data
// frames with what follows; or an abort. A ping is answered by a pong, the only
// frame that goes the other way.
//
// A few transfers take turns, a chunk each, so that a small one does not wait
// for a large one; the others wait in a queue that is bounded in bytes. Nothing
// but those chunks is in flight: what the other end has not read holds up the
// writer, and the writer alone. The other end makes room for a whole transfer
// before it takes its first byte, or refuses it; it never stops reading.
const (
	frameBegin byte = iota + 1
	frameData
	frameAbort
	framePing
	framePong

	frameHead = 9
	// chunkBytes is what one transfer sends in its turn: short beside the time
	// for which an operating system lets a thread run, long beside a system call.
	chunkBytes = 64 << 10
	// bulkAtOnce is how many transfers take turns on a connection.
	bulkAtOnce = 4

	bulkBeat    = 2 * time.Second // between pings
	bulkSilence = 5 * time.Second // without a word from the other end, the connection is lost
)

// bulkLink is what a node has to one address on the Bulk channel. One
// goroutine dials and writes; it runs while there is something to write or a
// connection, and ends with the link.
type bulkLink struct {
	tcp  *tcp
	addr string
	wake chan struct{} // capacity 1: there is something to write
	over chan struct{} // closed by close

	mu      sync.Mutex
	running bool
	closed  bool
	waiting []outgoing // in order
	bytes   int        // of waiting and of the transfers that take turns
	conn    *watched   // nil while there is none
	pings   uint32     // pings asked for by flush
	ponged  uint32     // pings answered
	changed chan struct{}
}

// transfer is an envelope that is being written.
type transfer struct {
	outgoing
	id   uint32
	head []byte // what remains to be written of the begin frame
	rest []byte // and of the payload
	size int
}

func (t *tcp) bulk(addr string) *bulkLink {
	if l, ok := t.bulks.Load(addr); ok {
		return l.(*bulkLink)
	}
	l, _ := t.bulks.LoadOrStore(addr, &bulkLink{tcp: t, addr: addr, wake: make(chan struct{}, 1), over: make(chan struct{}), changed: make(chan struct{})})
	return l.(*bulkLink)
}

func (l *bulkLink) send(o outgoing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	size, room := len(o.env.Payload)+queueOverhead, l.tcp.node.cfg.BulkBytes
	if o.env.Kind == Kind_KIND_REPLY {
		room *= 2 // requests cannot starve replies
	}
	switch {
	case l.closed:
		return errStopped
	case l.bytes+size > room && o.env.Kind == Kind_KIND_REPLY:
		if l.conn != nil {
			go l.conn.end() // it tells the other end that answers are missing
		}
		return errQueueFull
	case l.bytes+size > room:
		return &LimitReached{What: "bytes that wait for the bulk connection to " + l.addr, Limit: room}
	}
	l.waiting, l.bytes = append(l.waiting, o), l.bytes+size
	if !l.running {
		l.running = true
		go l.run()
	}
	l.rouse()
	return nil
}

func (l *bulkLink) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run connects and writes, anew while something waits.
func (l *bulkLink) run() {
	for {
		conn, who, err := l.tcp.open(l.addr, Bulk)
		lost := make(chan struct{}) // closed when the connection is
		if err == nil {
			conn.ended = func() { close(lost) }
		}
		l.mu.Lock()
		if err == nil && !l.closed {
			l.conn = conn
			l.mu.Unlock()
			l.use(conn, who, lost)
			l.mu.Lock()
			l.conn = nil
		} else if err == nil {
			conn.end()
		} else {
			waiting := l.takeWaiting()
			l.mu.Unlock()
			for _, o := range waiting {
				l.tcp.node.refuse(o, err)
			}
			l.mu.Lock()
		}
		if l.closed || len(l.waiting) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// takeWaiting empties the queue. l.mu is held.
func (l *bulkLink) takeWaiting() []outgoing {
	waiting := l.waiting
	l.waiting = nil
	for _, o := range waiting {
		l.bytes -= len(o.env.Payload) + queueOverhead
	}
	return waiting
}

// use writes to one connection until it is lost.
func (l *bulkLink) use(conn *watched, who identity, lost <-chan struct{}) {
	n := l.tcp.node
	n.reached(l.addr, Bulk, who)
	go l.readPongs(conn)
	w := &bulkWriter{link: l, conn: conn, who: who, lost: lost, buf: make([]byte, 0, frameHead+chunkBytes+maxHead)}
	w.active = append(w.active, w.begin(outgoing{to: l.addr, env: n.hello(OnBulk)}))
	w.run()
	conn.end()
	l.mu.Lock()
	for _, t := range w.active {
		l.bytes -= t.size
	}
	// Nothing of a later connection can be among them: this goroutine makes it.
	n.failCalls(l.addr, Bulk, w.wrote.Load())
	l.mu.Unlock()
	n.peerGone(l.addr)
}

// readPongs reads the little that comes back.
func (l *bulkLink) readPongs(conn *watched) {
	var head [frameHead]byte
	for {
		_ = conn.SetReadDeadline(time.Now().Add(bulkSilence))
		if _, err := readFull(conn, head[:]); err != nil || head[0] != framePong || binary.BigEndian.Uint32(head[5:]) != 0 {
			conn.end()
			return
		}
		l.mu.Lock()
		l.ponged = binary.BigEndian.Uint32(head[1:])
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
	}
}

// flush returns when the other end has taken in all that was sent before.
func (l *bulkLink) flush(ctx context.Context) {
	l.mu.Lock()
	if l.conn == nil && len(l.waiting) == 0 {
		l.mu.Unlock()
		return
	}
	l.pings++
	l.mu.Unlock()
	l.rouse()
	for {
		l.mu.Lock()
		done := l.bytes == 0 && int32(l.ponged-l.pings) >= 0 || !l.running
		changed := l.changed
		l.mu.Unlock()
		if done {
			return
		}
		poll := time.NewTimer(10 * time.Millisecond)
		select {
		case <-changed:
		case <-poll.C:
			l.rouse()
		case <-ctx.Done():
			poll.Stop()
			return
		}
		poll.Stop()
	}
}

func (l *bulkLink) reset() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.end()
	}
}

func (l *bulkLink) close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.over)
	conn, waiting := l.conn, l.takeWaiting()
	l.mu.Unlock()
	if conn != nil {
		conn.end()
	}
	for _, o := range waiting {
		l.tcp.node.refuse(o, errStopped)
	}
}

// maxHead bounds the rest of an envelope, without its payload.
const maxHead = envelopeOverhead + maxAddr

// bulkWriter writes to one connection.
type bulkWriter struct {
	link   *bulkLink
	conn   *watched
	who    identity
	lost   <-chan struct{}
	wrote  atomic.Bool // an envelope may have been written
	active []*transfer // that take turns
	ids    uint32
	pinged uint32
	buf    []byte
}

var errAborted = errors.New("nobody waits for it any more")

// run writes until the connection or the link ends.
func (w *bulkWriter) run() {
	beat := time.NewTicker(bulkBeat)
	defer beat.Stop()
	for {
		w.admit()
		if len(w.active) == 0 {
			if !w.pingForFlush() {
				return
			}
			select {
			case <-w.link.wake:
			case <-beat.C:
				if !w.ping(w.pinged) {
					return
				}
			case <-w.lost:
				return
			case <-w.link.over:
				return
			}
			continue
		}
		select {
		case <-beat.C:
			if !w.ping(w.pinged) {
				return
			}
		case <-w.lost:
			return
		case <-w.link.over:
			return
		default:
		}
		t := w.active[0]
		copy(w.active, w.active[1:])
		w.active = w.active[:len(w.active)-1]
		more, err := w.step(t)
		if more {
			w.active = append(w.active, t)
		}
		if err != nil {
			if !more {
				w.active = append(w.active, t)
			}
			return
		}
		if !more {
			w.link.mu.Lock()
			w.link.bytes -= t.size
			w.link.mu.Unlock()
		}
	}
}

// admit lets what waits take its turns.
func (w *bulkWriter) admit() {
	l := w.link
	for len(w.active) < bulkAtOnce {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.mu.Unlock()
			return
		}
		o := l.waiting[0]
		l.waiting[0] = outgoing{}
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		size := len(o.env.Payload) + queueOverhead
		drop := func() {
			l.mu.Lock()
			l.bytes -= size
			l.mu.Unlock()
		}
		if o.silo && !w.who.silo {
			drop()
			l.tcp.node.refuse(o, notASilo(l.addr))
			continue
		}
		if !o.begin() {
			drop()
			continue
		}
		w.wrote.Store(true)
		t := w.begin(o)
		t.size = size
		w.active = append(w.active, t)
	}
}

func (w *bulkWriter) begin(o outgoing) *transfer {
	w.ids++
	t := &transfer{outgoing: o, id: w.ids, rest: o.env.Payload}
	env := o.env
	bare := &Envelope{
		Codec: env.Codec, Kind: env.Kind, Id: env.Id, Service: env.Service, Sender: env.Sender,
		SenderIncarnation: env.SenderIncarnation, TargetIncarnation: env.TargetIncarnation, Remaining: env.Remaining,
		Status: env.Status, Text: env.Text, Size: env.Size, Limit: env.Limit,
	}
	head, _ := proto.Marshal(bare) // cannot fail: its texts are valid
	t.head = binary.AppendUvarint(nil, uint64(len(t.rest)))
	t.head = binary.AppendUvarint(t.head, uint64(len(head)))
	t.head = append(t.head, head...)
	return t
}

// step writes one frame of t. More says that there are others to come.
func (w *bulkWriter) step(t *transfer) (more bool, err error) {
	kind := frameData
	if t.head != nil {
		kind = frameBegin
	}
	if t.call != nil && t.call.over.Load() { // its caller has gone, or knows the answer
		if kind == frameBegin {
			return false, nil
		}
		return false, w.frame(frameAbort, t.id, nil, nil)
	}
	n := min(len(t.rest), chunkBytes)
	if wait := w.link.tcp.pace.take(n, time.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.lost:
			timer.Stop()
			return false, errAborted
		}
	}
	err = w.frame(kind, t.id, t.head, t.rest[:n])
	t.head, t.rest = nil, t.rest[n:]
	return len(t.rest) > 0, err
}

// pingForFlush sends the ping that a flush waits for.
func (w *bulkWriter) pingForFlush() bool {
	w.link.mu.Lock()
	wanted := w.link.pings
	w.link.mu.Unlock()
	if wanted == w.pinged {
		return true
	}
	w.pinged = wanted
	return w.ping(wanted)
}

func (w *bulkWriter) ping(number uint32) bool { return w.frame(framePing, number, nil, nil) == nil }

func (w *bulkWriter) frame(kind byte, id uint32, head, data []byte) error {
	b := append(w.buf[:0], kind, 0, 0, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[1:], id)
	binary.BigEndian.PutUint32(b[5:], uint32(len(head)+len(data)))
	b = append(append(b, head...), data...)
	_, err := w.conn.Write(b)
	return err
}
