package actor

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
)

// On the Bulk channel one envelope is one transfer: a begin frame, whose bytes
// are the size of the payload (uvarint), the size of the rest of the envelope
// (uvarint), that rest, and the first bytes of the payload; data frames with what
// follows; or an abort. The number of a frame is its transfer's.
//
// A few transfers take turns, a chunk each, so that a small one does not wait
// for a large one; the others wait in a queue that is bounded in bytes. Nothing
// but those chunks is in flight: what the other end has not read holds up the
// writer, and the writer alone. The other end makes room for a whole transfer
// before it takes its first byte, or refuses it; it never stops reading.
const (
	// chunkBytes is what one transfer sends in its turn: short beside the time
	// for which an operating system lets a thread run, long beside a system call.
	chunkBytes = 64 << 10
	// bulkAtOnce is how many transfers take turns on a connection.
	bulkAtOnce = 4
	// maxHead bounds the rest of an envelope, without its payload.
	maxHead = envelopeOverhead + maxAddr
)

// transfer is an envelope that is being written.
type transfer struct {
	outgoing
	id   uint32
	head []byte // what remains to be written of the begin frame
	rest []byte // and of the payload
	size int
}

// bulkWriter writes to one connection of the Bulk channel.
type bulkWriter struct {
	link   *link
	conn   *watched
	who    identity
	wrote  *atomic.Bool // an envelope may have been written
	active []*transfer  // that take turns
	ids    uint32
	buf    []byte
}

func newBulkWriter(l *link, conn *watched, who identity, wrote *atomic.Bool, hello outgoing) *bulkWriter {
	w := &bulkWriter{link: l, conn: conn, who: who, wrote: wrote}
	w.active = append(w.active, w.begin(hello))
	return w
}

var errAborted = errors.New("nobody waits for it any more")

// write writes one frame, of the transfer whose turn it is.
func (w *bulkWriter) write() (more bool, err error) {
	w.admit()
	if len(w.active) == 0 {
		return false, nil
	}
	t := w.active[0]
	more, err = w.step(t)
	if err != nil {
		return false, err
	}
	copy(w.active, w.active[1:])
	last := len(w.active) - 1
	w.active[last] = t
	if !more {
		w.active[last] = nil
		w.active = w.active[:last]
		w.link.written(t.size)
	}
	return true, nil
}

func (w *bulkWriter) pending() (bytes int) {
	for _, t := range w.active {
		bytes += t.size
	}
	return bytes
}

func (w *bulkWriter) rest() { w.buf = nil }

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
		size := o.queued()
		if o.silo && !w.who.silo {
			l.written(size)
			l.tcp.node.refuse(o, notASilo(l.addr))
			continue
		}
		if !o.begin() {
			l.written(size)
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
	var bare Envelope
	o.env.bare(&bare)
	head := appendEnvelope(nil, &bare)
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
	for wait := w.link.tcp.pace.take(n, time.Now()); wait > 0; wait -= beatEvery {
		timer := time.NewTimer(min(wait, beatEvery))
		select {
		case <-timer.C:
		case <-w.conn.over:
			timer.Stop()
			return false, errAborted
		}
		if wait > beatEvery { // it is slow, and not gone
			if err := w.link.ping(w.conn); err != nil {
				return false, err
			}
		}
	}
	err = w.frame(kind, t.id, t.head, t.rest[:n])
	t.head, t.rest = nil, t.rest[n:]
	return len(t.rest) > 0, err
}

func (w *bulkWriter) frame(kind byte, number uint32, head, data []byte) error {
	if w.buf == nil {
		w.buf = make([]byte, 0, frameHead+chunkBytes+maxHead)
	}
	b := appendHead(w.buf[:0], kind, number, uint32(len(head)+len(data)))
	b = append(append(b, head...), data...)
	_, err := w.conn.Write(b)
	return err
}
