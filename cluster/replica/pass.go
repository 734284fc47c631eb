package replica

import (
	"math"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	// passRanges and passEntries bound one comparison, in ranges and in variables.
	passRanges  = 512
	passEntries = bucketSize * passRanges
	// passGrace is how long, in Config.Retry, the node with the higher id waits for the pass of the other.
	passGrace = 4
)

// pass is this side's progress through the space of positions.
type pass struct {
	wanted   bool          // one is to begin at the time at
	at       time.Duration // also: when the next comparison may be made
	complete bool          // one has been completed in this session, since Replaced
	slow     bool          // the one under way is for safety only and takes its time

	running bool
	listed  bool   // all is compared, and repairs are under way
	cursor  uint64 // everything below has been compared
	request uint64 // the comparison without its answer; 0: none
	last    uint64 // the last position that it speaks of
	sentAt  time.Duration
	wait    time.Duration
}

// pumpPass begins a pass, makes its next comparison or repeats it.
func (m *Machine) pumpPass(p *peer) {
	ps := &p.pass
	if ps.wanted && !ps.running && m.now >= ps.at {
		*ps = pass{running: true, at: m.now, complete: ps.complete, slow: ps.complete}
		clear(p.stuck) // what still cannot be brought over is found again
	}
	if !ps.running || ps.listed {
		return
	}
	switch {
	case ps.request != 0:
		if m.now-ps.sentAt < ps.wait {
			return
		}
		ps.wait = min(2*ps.wait, maxBackoff*m.cfg.Retry)
	case m.now < ps.at || p.dirty.len() > passPause:
		return
	default:
		m.requests++
		ps.request, ps.wait, ps.last = m.requests, m.cfg.Retry, 0
	}
	ps.sentAt = m.now
	m.compare(p)
}

// compare sends the sums of the next ranges.
func (m *Machine) compare(p *peer) {
	ps := &p.pass
	s := &sums{id: ps.request, lo: ps.cursor, shift: m.index.shift()}
	compared := 0
	m.index.walk(ps.cursor, math.MaxUint64, func(last uint64, entries []*entry) bool {
		s.sums = append(s.sums, m.sum(p, entries))
		ps.last = max(ps.last, last) // when repeated, an answer to the first may still come
		compared += len(entries)
		return len(s.sums) < passRanges && compared < passEntries
	})
	if ps.slow {
		part := float64(compared) / float64(max(1, m.Len()))
		ps.at = m.now + time.Duration(part*float64(m.cfg.AntiEntropy))
	}
	m.send(p, message{sums: s})
}

// sum adds up the states of what is shared with p. A variable in its empty state counts as absent.
func (m *Machine) sum(p *peer, entries []*entry) (sum uint64) {
	for _, e := range entries {
		if m.shares(e, p) {
			if h := m.hash(e); h != 0 {
				sum += mix(e.position, h)
			}
		}
	}
	return sum
}

// serving notes that the neighbour's own pass is under way, so that this side need not begin one.
func (m *Machine) serving(p *peer) {
	if ps := &p.pass; ps.wanted && !ps.running && !ps.complete && m.cfg.Self > p.id {
		ps.at = max(ps.at, m.now+passGrace*m.cfg.Retry)
	}
}

// onMark hears that the neighbour's pass is complete and all that it brought has arrived.
func (m *Machine) onMark(p *peer) {
	switch ps := &p.pass; {
	case !ps.wanted || ps.running || m.cfg.Self < p.id:
	case ps.complete:
		ps.at = m.now + 2*m.cfg.AntiEntropy
	default:
		ps.at = m.now
	}
}

// onSums answers with what this side holds in the ranges that differ, as far as a message takes it.
func (m *Machine) onSums(p *peer, s *sums) {
	m.serving(p)
	answer := &pages{id: s.id, last: s.last()}
	size, visited := 0, 0
	lo := s.lo
	for i, want := range s.sums {
		last := s.rangeEnd(i)
		if !m.differs(p, lo, last, want, &visited) {
			if visited > passEntries {
				answer.last = last
				break
			}
			lo = last + 1
			continue
		}
		seg := segment{lo: lo, last: last}
		m.index.walk(lo, last, func(bucketLast uint64, entries []*entry) bool {
			for _, e := range entries {
				if m.shares(e, p) {
					if h := m.hash(e); h != 0 {
						seg.entries = append(seg.entries, keyHash{e.key, h})
						size += len(e.key.Key()) + 16
					}
				}
			}
			visited += len(entries)
			seg.last = bucketLast
			return size < m.cfg.MaxPage && visited <= passEntries
		})
		answer.segments = append(answer.segments, seg)
		size += 24
		if seg.last < last || size >= m.cfg.MaxPage || visited > passEntries {
			answer.last = seg.last
			break
		}
		lo = last + 1
	}
	m.send(p, message{pages: answer})
}

// differs compares a range's sum. A range in which this side has far more than the other expects is taken
// to differ without adding up.
func (m *Machine) differs(p *peer, lo, last, want uint64, visited *int) bool {
	if m.index.count(lo, last) > 64 {
		return true
	}
	var sum uint64
	m.index.walk(lo, last, func(_ uint64, entries []*entry) bool {
		sum += m.sum(p, entries)
		*visited += len(entries)
		return true
	})
	return sum != want
}

// onPages marks what differs and goes on with the pass.
func (m *Machine) onPages(p *peer, pg *pages) {
	ps := &p.pass
	if pg.id != ps.request || ps.request == 0 {
		return
	}
	if pg.last < ps.cursor || pg.last > ps.last {
		m.failed(wire.ID{}, p.id, &MessageError{From: p.id, Why: "an answer to another comparison than was asked for"})
		return
	}
	cursor := ps.cursor
	ps.request = 0
	ps.cursor = pg.last + 1
	ps.listed = pg.last == math.MaxUint64
	for _, s := range pg.segments {
		if s.lo <= s.last && s.lo >= cursor && s.last <= pg.last {
			m.differing(p, s)
		}
	}
}

// differing marks what is not the same on both sides of a segment.
func (m *Machine) differing(p *peer, s segment) {
	theirs := make(map[wire.ID]uint64, len(s.entries))
	for _, kh := range s.entries {
		theirs[kh.key] = kh.hash
	}
	m.index.walk(s.lo, s.last, func(_ uint64, entries []*entry) bool {
		for _, e := range entries {
			if m.shares(e, p) && theirs[e.key] != m.hash(e) {
				m.mark(p, e)
			}
			delete(theirs, e.key)
		}
		return true
	})
	for _, kh := range s.entries { // what this side does not know yet
		if _, unknown := theirs[kh.key]; !unknown || !m.cfg.Shares(kh.key, p.id) {
			continue
		}
		delete(theirs, kh.key)
		if e := m.entry(kh.key, p.id); e != nil {
			m.mark(p, e)
		}
	}
}

// finishPass ends a pass that has compared all, now that its repairs are done, tells the neighbour, and plans the next one.
func (m *Machine) finishPass(p *peer) {
	ps := &p.pass
	if !ps.running || !ps.listed {
		return
	}
	*ps = pass{complete: true}
	if m.cfg.AntiEntropy > 0 {
		ps.wanted, ps.at = true, m.now+m.cfg.AntiEntropy
		if m.cfg.Self > p.id {
			ps.at = m.now + 2*m.cfg.AntiEntropy
		}
	}
	p.caughtUp = m.ticket
	m.append(p, frame{})
}
