package replica

import (
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	// maxDirty is the number of variables that are known to differ from a neighbour's, or may, before
	// knowing them by name is given up for a pass over everything.
	maxDirty = 1 << 16
	// passPause is the number of them at which a pass waits until they are repaired.
	passPause = 1 << 12
)

// repair is what this side has found to differ and asks about.
type repair struct {
	dirty dirtySet
	asked []*question      // at most maxFlight
	stuck map[wire.ID]bool // what cannot be brought over

	collapsed bool // a window was given up, and its repair is under way

	caughtUp uint64 // the ticket of the last novelty that the last complete pass brought
}

func newRepair() repair {
	return repair{dirty: dirtySet{in: map[*entry]bool{}}, stuck: map[wire.ID]bool{}}
}

// dirtySet is a queue without doublets.
type dirtySet struct {
	queue fifo[*entry]
	in    map[*entry]bool
}

func (d *dirtySet) len() int          { return d.queue.len() }
func (d *dirtySet) has(e *entry) bool { return d.in[e] }
func (d *dirtySet) pop() *entry       { e := d.queue.pop(); delete(d.in, e); return e }
func (d *dirtySet) clear()            { d.queue.clear(); clear(d.in) }
func (d *dirtySet) add(e *entry) {
	if !d.in[e] {
		d.in[e] = true
		d.queue.push(e)
	}
}

// question is a digests message without its answer.
type question struct {
	id     uint64
	about  []*entry
	sentAt time.Duration
	wait   time.Duration
}

// mark notes that a variable differs from the neighbour's, or may.
func (m *Machine) mark(p *peer, e *entry) {
	m.touch(p)
	if p.dirty.len() >= maxDirty && !p.dirty.has(e) {
		p.dirty.clear()
		p.pass = pass{wanted: true, at: m.now}
		return
	}
	p.dirty.add(e)
}

// pumpRepair repeats questions that have waited for too long and asks new ones, as long as the window has
// room for what the answers will put into it.
func (m *Machine) pumpRepair(p *peer) {
	p.asked = slices.DeleteFunc(p.asked, func(q *question) bool {
		if m.now-q.sentAt >= q.wait {
			q.sentAt, q.wait = m.now, min(2*q.wait, maxBackoff*m.cfg.Retry)
			m.ask(p, q)
		}
		return len(q.about) == 0
	})
	for len(p.asked) < maxFlight && p.dirty.len() > 0 && p.bytes <= m.cfg.Window/2 {
		m.requests++
		q := &question{id: m.requests, sentAt: m.now, wait: m.cfg.Retry}
		if m.ask(p, q); len(q.about) > 0 {
			p.asked = append(p.asked, q)
		}
	}
	if p.dirty.len() > 0 || len(p.asked) > 0 {
		return
	}
	if p.collapsed {
		p.collapsed = false
		m.append(p, frame{})
	}
	m.finishPass(p)
}

// ask sends a question: about what it was about, or else about the first of what is dirty. Afterwards it
// is about what could be asked.
func (m *Machine) ask(p *peer, q *question) {
	d := &digests{id: q.id}
	size := 0
	impossible := func(e *entry) bool {
		if e.gone || !m.shares(e, p) {
			return true
		}
		digest := e.object.Digest()
		if !m.fits(p, e.key, len(digest)) {
			p.stuck[e.key] = true
			return true
		}
		d.items = append(d.items, keyDigest{e.key, digest})
		size += len(digest) + len(e.key.Key()) + 16
		return false
	}
	if len(q.about) > 0 {
		q.about = slices.DeleteFunc(q.about, impossible)
	} else {
		for p.dirty.len() > 0 && size < m.cfg.MaxMessage/2 {
			if e := p.dirty.pop(); !impossible(e) {
				q.about = append(q.about, e)
			}
		}
	}
	if len(d.items) > 0 {
		m.send(p, message{digests: d})
	}
}

// onDigests answers a question, as far as a message takes it.
func (m *Machine) onDigests(p *peer, d *digests) {
	m.serving(p)
	a := &answers{id: d.id}
	size := 0
	for _, item := range d.items {
		one, bytes := m.answer(p, item)
		if size += bytes; size > m.cfg.MaxMessage && len(a.items) > 0 {
			break
		}
		a.items = append(a.items, one)
	}
	m.send(p, message{answers: a})
}

func (m *Machine) answer(p *peer, item keyDigest) (answer, int) {
	one := answer{key: item.key}
	size := len(item.key.Key()) + 16
	e := m.index.byKey[item.key]
	switch {
	case e == nil:
		one.refused = !m.cfg.Shares(item.key, p.id)
		return one, size // this side has nothing and knows nothing
	case !m.shares(e, p):
		one.refused = true
		return one, size
	}
	delta, err := e.object.Since(item.digest)
	if err != nil {
		m.failed(e.key, p.id, &ObjectError{Key: e.key, Peer: p.id, Op: "since", Err: err})
		one.refused = true
		return one, size
	}
	one.digest = e.object.Digest()
	if all := len(delta) + len(one.digest); !m.fits(p, e.key, all) {
		one.tooLarge, delta = uint64(all), nil
		if len(one.digest) > m.cfg.MaxDelta {
			one.digest, one.refused = nil, true
		}
	}
	one.delta = delta
	return one, size + len(delta) + len(one.digest)
}

// onAnswers joins what this side lacked, and puts into the stream what the other side lacks.
func (m *Machine) onAnswers(p *peer, a *answers) {
	at := slices.IndexFunc(p.asked, func(q *question) bool { return q.id == a.id })
	if at < 0 {
		return
	}
	q := p.asked[at]
	open := make(map[wire.ID]*entry, len(q.about))
	for _, e := range q.about {
		open[e.key] = e
	}
	before := len(open)
	for _, item := range a.items {
		if e := open[item.key]; e != nil {
			delete(open, item.key)
			if !e.gone {
				m.onAnswer(p, e, item)
			}
		}
	}
	if len(open) == before {
		return // asked again when the wait is over
	}
	p.asked = slices.Delete(p.asked, at, at+1)
	for _, e := range q.about {
		if open[e.key] != nil {
			m.mark(p, e)
		}
	}
}

func (m *Machine) onAnswer(p *peer, e *entry, item answer) {
	delete(p.stuck, e.key)
	if item.tooLarge > 0 {
		m.failed(e.key, p.id, &TooLargeError{Key: e.key, Peer: m.cfg.Self, Size: int(min(item.tooLarge, 1<<40)), Limit: m.cfg.MaxDelta})
		p.stuck[e.key] = true
	}
	if item.refused {
		return
	}
	if len(item.delta) > 0 {
		m.join(p, e, item.delta)
	}
	lacking, err := e.object.Since(item.digest)
	if err != nil {
		m.failed(e.key, p.id, &ObjectError{Key: e.key, Peer: p.id, Op: "since", Err: err})
		p.stuck[e.key] = true
		return
	}
	if len(lacking) == 0 {
		return
	}
	if !m.fits(p, e.key, len(lacking)) {
		p.stuck[e.key] = true
		return
	}
	f := frame{e.key, lacking}
	if p.bytes > 0 && p.bytes+f.size() > m.cfg.Window {
		m.mark(p, e) // asked again when the window has drained
		return
	}
	m.append(p, f)
}
