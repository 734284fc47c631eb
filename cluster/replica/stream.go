package replica

import (
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// maxFlight is the number of messages of a stream, and of questions, that may be without an answer. While
// a stream has so many, novelties gather and go out together: this is what makes batches under load.
const maxFlight = 4

// maxBackoff is by how much waiting for a silent neighbour grows.
const maxBackoff = 16

// peer is a neighbour. All but id, up and touched is the session with one incarnation of it.
type peer struct {
	id          machine.NodeID
	incarnation machine.Incarnation
	up          bool
	touched     bool

	// The stream to it: window holds the frames base to next-1, of which those below sent have been sent.
	stream           uint64
	window           fifo[frame]
	base, sent, next uint64
	bytes            int
	flight           fifo[uint64]  // the end of each message that was sent and not acknowledged
	waitingSince     time.Duration // when it last acknowledged something, or was first sent something
	wait             time.Duration // before sending again
	hurried          uint64        // the last number that was sent again because it was missing

	// The stream from it: everything below expected has been joined.
	inStream, expected uint64
	gaps               []early // what came too early
	gapBytes           int
	acks               fifo[ackWait]
	durable            uint64 // what an acknowledgement may say
	ackDue             bool

	repair
	pass pass
}

// early is a message that arrived before one that precedes it.
type early struct {
	*batch
	size int // of the message, which its frames alias
}

// ackWait is an acknowledgement that waits for the log.
type ackWait struct{ next, ticket uint64 }

// begin starts a session with a new incarnation: nothing of what was agreed with the one before holds.
func (m *Machine) begin(p *peer, incarnation machine.Incarnation) {
	if m.hooks.trustOld && p.incarnation != 0 {
		p.incarnation, p.up = incarnation, true
		return
	}
	m.streams++
	*p = peer{
		id: p.id, incarnation: incarnation, up: true, touched: p.touched,
		stream: m.streams, base: 1, sent: 1, next: 1, wait: m.cfg.Retry,
		repair: newRepair(),
		pass:   pass{wanted: true, at: m.now},
	}
	if m.cfg.Self > p.id { // the other one begins; this one goes first only if nothing comes
		p.pass.at = m.now + passGrace*m.cfg.Retry
	}
	if m.hooks.trustOld {
		p.pass = pass{complete: true}
	}
}

// again repeats at once all that has no answer, since the neighbour can be reached again.
func (m *Machine) again(p *peer) {
	p.sent, p.wait = p.base, m.cfg.Retry
	p.flight.clear()
	for _, q := range p.asked {
		q.sentAt, q.wait = m.now-m.cfg.Retry, m.cfg.Retry
	}
	if p.pass.request != 0 {
		p.pass.sentAt, p.pass.wait = m.now-m.cfg.Retry, m.cfg.Retry
	}
}

// push puts a novelty into the stream to p. What overflows the window goes to repair.
func (m *Machine) push(p *peer, e *entry, novelty []byte) {
	if p.dirty.has(e) {
		return // the repair that is due will bring it
	}
	f := frame{e.key, novelty}
	if !m.fits(p, e.key, len(novelty)) {
		p.stuck[e.key] = true
		return
	}
	if p.bytes+f.size() > m.cfg.Window && !m.hooks.noCollapse {
		m.collapse(p)
		if !m.hooks.forget {
			m.mark(p, e)
		}
		return
	}
	m.append(p, f)
}

// fits says whether that many bytes of a variable may go into a message, and reports when not.
func (m *Machine) fits(p *peer, key wire.ID, size int) bool {
	if size <= m.cfg.MaxDelta {
		return true
	}
	m.failed(key, p.id, &TooLargeError{Key: key, Peer: p.id, Size: size, Limit: m.cfg.MaxDelta})
	return false
}

func (m *Machine) append(p *peer, f frame) {
	p.window.push(f)
	p.bytes += f.size()
	p.next++
	m.touch(p)
}

// collapse gives up the window: its variables are repaired instead. The receiver learns from the base of
// the next message, which is the mark at the end of the repair if nothing comes before, that it need not
// wait for the numbers that are left out.
func (m *Machine) collapse(p *peer) {
	for p.window.len() > 0 {
		f := p.window.pop()
		if e := m.index.byKey[f.key]; e != nil && !m.hooks.forget {
			m.mark(p, e)
		}
	}
	p.window.clear()
	p.flight.clear()
	p.bytes, p.base, p.sent = 0, p.next, p.next
	p.collapsed = true
	m.touch(p)
}

// pump sends what may be sent to p now.
func (m *Machine) pump(p *peer) {
	if !p.up {
		return
	}
	if p.ackDue {
		a := &ack{stream: p.inStream, next: p.durable}
		if len(p.gaps) > 0 {
			a.missing, a.until = p.expected, p.gaps[0].first
			for _, g := range p.gaps {
				a.until = min(a.until, g.first)
			}
		}
		m.send(p, message{ack: a})
		p.ackDue = false
	}
	if p.flight.len() > 0 && m.now-p.waitingSince >= p.wait {
		p.sent, p.waitingSince = p.base, m.now
		p.flight.clear()
		p.wait = min(2*p.wait, maxBackoff*m.cfg.Retry)
	}
	for p.sent < p.next && p.flight.len() < maxFlight {
		if p.flight.len() == 0 {
			p.waitingSince = m.now
		}
		p.sent = m.sendFrames(p, p.sent, p.next)
		p.flight.push(p.sent)
	}
	m.pumpPass(p)
	m.pumpRepair(p)
}

// sendFrames sends one message of frames from number first on, all below end, and returns the number after
// its last.
func (m *Machine) sendFrames(p *peer, first, end uint64) uint64 {
	b := &batch{stream: p.stream, base: p.base, first: first}
	size, at := 0, first
	for ; at < end; at++ {
		f := p.window.at(int(at - p.base))
		if size += f.size(); size > m.cfg.MaxMessage && len(b.frames) > 0 {
			break
		}
		b.frames = append(b.frames, *f)
		if f.mark() {
			at++
			break
		}
	}
	m.send(p, message{batch: b})
	return at
}

func (m *Machine) onAck(p *peer, a *ack) {
	if a.stream != p.stream {
		return
	}
	if a.next > p.next { // one of the two has lost count: neither can be believed
		m.failed(wire.ID{}, p.id, &MessageError{From: p.id, Why: "it acknowledges what was never sent; the session begins anew"})
		m.begin(p, p.incarnation)
		m.touch(p)
		return
	}
	if a.next > p.base {
		for p.base < a.next {
			f := p.window.pop()
			p.bytes -= f.size()
			p.base++
		}
		p.sent = max(p.sent, p.base)
		for p.flight.len() > 0 && *p.flight.first() <= p.base {
			p.flight.pop()
		}
		p.waitingSince, p.wait = m.now, m.cfg.Retry
	}
	if n := a.missing; n >= p.base && n < min(a.until, p.sent) && n != p.hurried {
		p.hurried = n
		m.sendFrames(p, n, min(a.until, p.sent))
	}
}

// onBatch joins the frames that follow those it has, keeps what came too early, and acknowledges.
func (m *Machine) onBatch(p *peer, b *batch, size int) {
	if b.stream < p.inStream {
		return
	}
	if b.stream > p.inStream {
		p.inStream, p.expected, p.durable = b.stream, b.base, b.base
		p.gaps, p.gapBytes = nil, 0
		p.acks.clear()
	}
	p.ackDue = true
	if b.base > p.expected { // the sender left them to repair
		p.expected = b.base
	}
	if b.first > p.expected {
		known := slices.ContainsFunc(p.gaps, func(g early) bool { return g.first == b.first })
		if !known && p.gapBytes+size <= m.cfg.Window {
			p.gaps = append(p.gaps, early{b, size})
			p.gapBytes += size
		}
		return
	}
	m.take(p, b)
	for progress := true; progress; {
		progress = false
		rest := p.gaps[:0]
		for _, g := range p.gaps {
			if g.first > p.expected {
				rest = append(rest, g)
				continue
			}
			p.gapBytes -= g.size
			progress = m.take(p, g.batch) || progress
		}
		clear(p.gaps[len(rest):])
		p.gaps = rest
	}
	ticket := m.ticket // whatever of these frames was not new may still be on its way to the log
	if m.hooks.ackEarly {
		ticket = 0
	}
	p.acks.push(ackWait{p.expected, ticket})
	m.releaseAcks(p)
}

// take joins the frames of b that are new and says whether there were any.
func (m *Machine) take(p *peer, b *batch) bool {
	if end := b.first + uint64(len(b.frames)); end <= p.expected {
		return false
	}
	for _, f := range b.frames[p.expected-b.first:] {
		if f.mark() {
			m.onMark(p)
			p.expected++
			continue
		}
		before := m.ticket
		if e := m.entry(f.key, p.id); e != nil && m.shares(e, p) {
			m.join(p, e, f.delta)
		}
		if m.hooks.noopsStall && m.ticket == before {
			return true
		}
		p.expected++ // also for what brought nothing, or did not decode: the sender must not wait for it
	}
	return true
}

// releaseAcks acknowledges what is durable.
func (m *Machine) releaseAcks(p *peer) {
	for p.acks.len() > 0 && p.acks.first().ticket <= m.logged {
		p.durable = max(p.durable, p.acks.pop().next)
		p.ackDue = true
	}
	if p.ackDue {
		m.touch(p)
	}
}
