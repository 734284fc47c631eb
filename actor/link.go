package actor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A connection carries frames: kind (1 byte), number (4), length (4), bytes. On
// channels other than Bulk each envelope is one frame; bulk.go says how those of
// Bulk are cut. A ping is answered by a pong, the only frame that goes the other
// way: answers to requests come on a connection that the other node has opened.
const (
	frameBegin byte = iota + 1
	frameData
	frameAbort
	framePing
	framePong
	frameWhole

	frameHead = 9

	beatEvery = 2 * time.Second // between pings
	silence   = 5 * time.Second // without a word from the other end, the connection is lost

	// queueOverhead is what an envelope costs in a queue beyond its payload.
	queueOverhead = 256
	// envelopeOverhead bounds what an envelope adds to its payload: an error's
	// text, an address, and what is of fixed size.
	envelopeOverhead = maxText + maxAddr + 512
)

func appendHead(b []byte, kind byte, number, length uint32) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kind), number)
	return binary.BigEndian.AppendUint32(b, length)
}

// link is what a node has to one address on one channel. One goroutine dials
// and writes; it runs while there is something to write or a connection, and
// the link ends with it.
type link struct {
	tcp     *tcp
	addr    string
	channel Channel
	wake    chan struct{} // capacity 1: there is something to write
	over    chan struct{} // closed by close
	pinged  uint32        // the last ping on this connection; of who writes

	mu      sync.Mutex // taken before the shards of Node.calls, after nothing
	running bool
	closed  bool
	gone    bool       // it has ended: another takes its place
	waiting []outgoing // in order
	bytes   int        // of waiting and of what is being written
	conn    *watched   // nil while there is none
	pings   uint32     // pings asked for by flush
	ponged  uint32     // pings answered
	changed chan struct{}
}

// writer is what writes to one connection of a link.
type writer interface {
	// write writes a part of what waits. More says that there may be some left.
	write() (more bool, err error)
	// rest gives memory back that quiet connections do not need.
	rest()
	// pending is how many bytes of the link's queue it holds when it has ended.
	pending() int
}

var errLinkOver = errors.New("the link has ended")

var errQueueFull = errors.New("overloaded: too many answers wait for the connection to this peer")

func newLink(t *tcp, addr string, ch Channel) *link {
	return &link{tcp: t, addr: addr, channel: ch, wake: make(chan struct{}, 1), over: make(chan struct{}), changed: make(chan struct{})}
}

// send queues o. Replies have twice the room, so that requests cannot starve
// them; a peer that takes nothing in loses its connection then, or the one over
// which it asked, which tells it that answers are missing.
func (l *link) send(o outgoing) error {
	size, room := o.queued(), l.tcp.node.cfg.queueBytes(l.channel)
	reply := o.env.Kind == Kind_KIND_REPLY
	if reply {
		room *= 2
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return errStopped
	case l.gone:
		l.mu.Unlock()
		return errLinkOver
	case l.bytes+size > room && reply:
		conn := l.conn
		l.mu.Unlock()
		if conn != nil {
			go conn.end() // inside TLS it may take a while
		} else {
			l.tcp.unanswered(l.addr, l.channel, errQueueFull)
		}
		return errQueueFull
	case l.bytes+size > room:
		l.mu.Unlock()
		return &LimitReached{What: "bytes that wait for the connection to " + l.addr + " on " + l.channel.String(), Limit: room}
	}
	l.waiting, l.bytes = append(l.waiting, o), l.bytes+size
	first := len(l.waiting) == 1 // else it has been woken, and takes this too
	if !l.running {
		l.running = true
		go l.run()
	}
	l.mu.Unlock()
	if first {
		l.rouse()
	}
	return nil
}

// queued is what o counts in a queue.
func (o outgoing) queued() int { return len(o.env.Payload) + queueOverhead }

func (l *link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run connects and writes, anew while something waits.
func (l *link) run() {
	defer l.tcp.node.forget(l.addr)
	for {
		conn, who, err := l.tcp.open(l.addr, l.channel)
		l.mu.Lock()
		switch {
		case err != nil:
			waiting := l.takeWaiting()
			l.mu.Unlock()
			l.refuse(waiting, err)
			l.mu.Lock()
		case l.closed:
			conn.end()
		default:
			l.conn = conn
			l.mu.Unlock()
			l.use(conn, who)
			l.mu.Lock()
			l.conn = nil
		}
		if l.closed || len(l.waiting) == 0 {
			l.running, l.gone = false, true
			l.tcp.links.CompareAndDelete(inputKey{l.addr, l.channel}, l)
			waiting := l.takeWaiting()
			l.mu.Unlock()
			l.refuse(waiting, errStopped)
			return
		}
		l.mu.Unlock()
	}
}

// takeWaiting empties the queue. l.mu is held.
func (l *link) takeWaiting() []outgoing {
	waiting := l.waiting
	l.waiting = nil
	for _, o := range waiting {
		l.bytes -= o.queued()
	}
	return waiting
}

// refuse ends what waits. Who waits for an answer among it learns that it is
// lost.
func (l *link) refuse(waiting []outgoing, why error) {
	answers := false
	for _, o := range waiting {
		l.tcp.node.refuse(o, why)
		answers = answers || o.env.Kind == Kind_KIND_REPLY
	}
	if answers {
		l.tcp.unanswered(l.addr, l.channel, why)
	}
}

// written says that so many bytes of the queue are no more.
func (l *link) written(bytes int) {
	l.mu.Lock()
	l.bytes -= bytes
	l.mu.Unlock()
}

// use writes to one connection until it is lost.
func (l *link) use(conn *watched, who identity) {
	n := l.tcp.node
	defer n.letGo(l.addr, n.hold(l.addr))
	n.reached(l.addr, l.channel, who)
	go l.readPongs(conn)
	var wrote atomic.Bool
	hello := outgoing{to: l.addr, env: n.hello(Service(l.channel) << channelShift)}
	var w writer
	if l.channel == Bulk {
		w = newBulkWriter(l, conn, who, &wrote, hello)
	} else {
		w = newStreamWriter(l, conn, who, &wrote, hello)
	}
	l.write(conn, w)
	conn.end()
	l.mu.Lock()
	l.bytes -= w.pending()
	// Nothing of a later connection can be among them: this goroutine makes it.
	n.failCalls(l.addr, l.channel, wrote.Load())
	l.mu.Unlock()
	n.peerGone(l.addr)
}

// write writes until the connection or the link ends.
func (l *link) write(conn *watched, w writer) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	l.pinged = 0
	for {
		more, err := w.write()
		if err != nil {
			return
		}
		if !more {
			// What a flush waits for comes behind all that was sent before it.
			l.mu.Lock()
			wanted := l.pings
			l.mu.Unlock()
			if wanted != l.pinged {
				l.pinged = wanted
				if l.ping(conn) != nil {
					return
				}
				continue
			}
			select {
			case <-l.wake:
				continue
			case <-beat.C:
				w.rest()
			case <-conn.over:
				return
			case <-l.over:
				return
			}
		} else {
			select {
			case <-beat.C:
			case <-conn.over:
				return
			case <-l.over:
				return
			default:
				continue
			}
		}
		if l.ping(conn) != nil {
			return
		}
	}
}

func (l *link) ping(conn net.Conn) error {
	_, err := conn.Write(appendHead(nil, framePing, l.pinged, 0))
	return err
}

// readPongs reads the little that comes back.
func (l *link) readPongs(conn *watched) {
	var head [frameHead]byte
	for {
		_ = conn.SetReadDeadline(time.Now().Add(silence))
		if _, err := io.ReadFull(conn, head[:]); err != nil || head[0] != framePong || binary.BigEndian.Uint32(head[5:]) != 0 {
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
func (l *link) flush(ctx context.Context) {
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

func (l *link) reset() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.end()
	}
}

func (l *link) close() {
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
	l.refuse(waiting, errStopped)
}
