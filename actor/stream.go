package actor

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
)

const (
	// batchBytes is how much is written at a time: long beside a system call,
	// short beside what a kernel buffers, so that pings are not late.
	batchBytes = 64 << 10
	// keptBytes is the largest buffer that a connection keeps for its next batch.
	keptBytes = 2 * batchBytes
	// keptQueue is the same for a queue, in envelopes.
	keptQueue = 2048
)

// streamWriter writes to one connection of a channel other than Bulk: all that
// waits, in order, as few times as it can. Nobody waits for a batch to become
// larger: it is what came while the one before was being written, and what the
// goroutines that can run now add to it.
type streamWriter struct {
	link  *link
	conn  *watched
	who   identity
	wrote *atomic.Bool // an envelope may have been written
	taken []outgoing   // from the queue
	next  int          // of taken
	buf   []byte
	held  int // bytes of the queue that are in buf
}

func newStreamWriter(l *link, conn *watched, who identity, wrote *atomic.Bool, hello outgoing) *streamWriter {
	w := &streamWriter{link: l, conn: conn, who: who, wrote: wrote}
	w.append(hello.env)
	return w
}

// write writes one batch.
func (w *streamWriter) write() (more bool, err error) {
	if w.next == len(w.taken) {
		runtime.Gosched()
		w.take()
	}
	for w.next < len(w.taken) && len(w.buf) < batchBytes {
		o := &w.taken[w.next]
		w.next++
		size := o.queued()
		switch {
		case o.silo && !w.who.silo:
			w.link.written(size)
			w.link.tcp.node.refuse(*o, notASilo(w.link.addr))
		case !o.begin():
			w.link.written(size)
		default:
			w.held += size
			w.append(o.env)
			o.sent()
		}
		*o = outgoing{}
	}
	if len(w.buf) == 0 {
		return false, nil
	}
	w.wrote.Store(true)
	if _, err := w.conn.Write(w.buf); err != nil {
		return false, err
	}
	w.link.written(w.held)
	w.held, w.buf = 0, w.buf[:0]
	if cap(w.buf) > keptBytes {
		w.buf = nil
	}
	return true, nil
}

// take empties the link's queue, and gives it the memory of the last.
func (w *streamWriter) take() {
	spare := w.taken[:0]
	if cap(spare) > keptQueue {
		spare = nil
	}
	w.link.mu.Lock()
	w.taken, w.next = w.link.waiting, 0
	w.link.waiting = spare
	w.link.mu.Unlock()
}

// rest leaves the queue's memory too, if it is empty.
func (w *streamWriter) rest() {
	w.buf, w.taken, w.next = nil, nil, 0
	w.link.mu.Lock()
	if len(w.link.waiting) == 0 {
		w.link.waiting = nil
	}
	w.link.mu.Unlock()
}

func (w *streamWriter) append(env *Envelope) {
	at := len(w.buf)
	w.buf = appendEnvelope(appendHead(w.buf, frameWhole, 0, 0), env)
	binary.BigEndian.PutUint32(w.buf[at+5:], uint32(len(w.buf)-at-frameHead))
}

// pending gives what was not begun back to the queue, for the next connection.
func (w *streamWriter) pending() int {
	left := w.taken[w.next:]
	if len(left) > 0 {
		w.link.waiting = append(left[:len(left):len(left)], w.link.waiting...)
	}
	w.taken, w.next = nil, 0
	return w.held
}
