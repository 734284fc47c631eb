package host

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// publisher is a station's output as a sequence of changes, and those who are sent it. It keeps nothing for
// one of them, but the last changes for whoever missed some. It is pure but for send; its station's lock
// guards it.
type publisher struct {
	node        string
	incarnation uint64
	limit       int // most bytes of one message
	timing      timing
	send        func(addr string, payload []byte)

	seq         uint64
	frontier    frontiers
	recent      []change // the last ones up to seq, within maxRecentBytes
	recentBytes int
	untold      bool // the frontier has advanced since anything was sent
	told        time.Time
	subscribers map[subscriber]time.Time // when it was heard last
	snapshots   map[uint64]*snapshot     // by the number they were taken at
}

// subscriber is one subscription of one run of a process.
type subscriber struct {
	addr       string
	sender, id uint64
}

// snapshot is an output at one number of the sequence, in pages.
type snapshot struct {
	pages    [][]byte
	frontier frontiers
	used     time.Time
}

const (
	// maxParts: a change of more parts is not sent; it is cheaper to let each subscriber fetch at its own
	// speed than to push it to all at once.
	maxParts = 32
	// maxSnapshots are kept at a time; who fetches an older one begins again.
	maxSnapshots = 4
	// maxRecentBytes of changes are kept: one that is lost costs no snapshot of the whole output then.
	maxRecentBytes = 1 << 20
)

// emit makes batch, which may be empty, the next change.
func (p *publisher) emit(batch []byte, f frontiers, reset bool, now time.Time) {
	p.frontier = f
	if len(batch) == 0 {
		p.untold = true
		return
	}
	m := message{Type: tellChange, Node: p.node, Incarnation: p.incarnation, From: p.seq, To: p.seq + 1, Frontier: f, Reset: reset}
	p.seq++
	p.remember(change{p.incarnation, m.From, m.To, batch, nil, reset})
	if len(p.subscribers) == 0 {
		return
	}
	cut := slices.Collect(flow.SplitBatch(batch, room(p.limit, p.node, f)))
	if len(cut) > maxParts {
		p.beat(now) // shows the gap at once
		return
	}
	for i, part := range cut {
		m.Batch, m.Part, m.Last = part, uint64(i), i == len(cut)-1
		p.tell(&m)
	}
	p.untold, p.told = false, now
}

func (p *publisher) remember(c change) {
	p.recent = append(p.recent, c)
	p.recentBytes += len(c.batch)
	for p.recentBytes > maxRecentBytes {
		p.recentBytes -= len(p.recent[0].batch)
		p.recent[0] = change{}
		p.recent = p.recent[1:]
	}
}

// since returns what came after seq as one change, nil when that is not kept or does not fit in a message.
func (p *publisher) since(seq uint64) *message {
	if len(p.recent) == 0 || seq < p.recent[0].from || seq >= p.seq {
		return nil
	}
	m := &message{Type: answerChange, Incarnation: p.incarnation, From: seq, To: p.seq, Frontier: p.frontier}
	var batches [][]byte
	for _, c := range p.recent[seq-p.recent[0].from:] {
		batches = append(batches, c.batch)
		m.Reset = m.Reset || c.reset
	}
	var err error
	if m.Batch, err = sum(batches); err != nil || len(m.Batch) > room(p.limit, p.node, p.frontier) {
		return nil
	}
	return m
}

// beat tells subscribers where the output is.
func (p *publisher) beat(now time.Time) {
	p.tell(&message{Type: tellChange, Node: p.node, Incarnation: p.incarnation, From: p.seq, To: p.seq, Frontier: p.frontier, Last: true})
	p.untold, p.told = false, now
}

func (p *publisher) tell(m *message) {
	body := m.append(nil)
	for s := range p.subscribers {
		p.send(s.addr, wire.AppendUint(slices.Clip(body), 3, s.id))
	}
}

// tick sends heartbeats, and forgets subscribers that are silent and snapshots that nobody fetches.
func (p *publisher) tick(now time.Time) {
	maps.DeleteFunc(p.subscribers, func(_ subscriber, heard time.Time) bool { return now.Sub(heard) > p.timing.expire })
	maps.DeleteFunc(p.snapshots, func(_ uint64, s *snapshot) bool { return now.Sub(s.used) > p.timing.expire })
	if len(p.subscribers) > 0 && (p.untold || now.Sub(p.told) >= p.timing.beat) {
		p.beat(now)
	}
}

// maxSubscribers is how many a station may have.
const maxSubscribers = 1 << 16

// subscribe adds s, which holds the output of the run incarnation at seq, and answers it. take makes the
// batches of a snapshot of at most limit bytes.
func (p *publisher) subscribe(s subscriber, incarnation, seq uint64, take func(limit int) iter.Seq[[]byte], now time.Time) *message {
	if _, known := p.subscribers[s]; !known && len(p.subscribers) >= maxSubscribers {
		return refusal("the operator has too many subscribers")
	}
	p.subscribers[s] = now
	if incarnation == p.incarnation && seq == p.seq {
		return &message{Type: answerCurrent, Incarnation: incarnation, To: seq, Frontier: p.frontier}
	}
	if incarnation == p.incarnation {
		if m := p.since(seq); m != nil {
			return m
		}
	}
	if p.snapshots[p.seq] == nil {
		for len(p.snapshots) >= maxSnapshots {
			delete(p.snapshots, slices.Min(slices.Collect(maps.Keys(p.snapshots))))
		}
		limit := room(p.limit, p.node, p.frontier)
		p.snapshots[p.seq] = &snapshot{slices.Collect(take(limit)), p.frontier, now}
	}
	return p.page(p.incarnation, p.seq, 0, now)
}

// page is a page of the snapshot at seq.
func (p *publisher) page(incarnation, seq, n uint64, now time.Time) *message {
	s := p.snapshots[seq]
	if incarnation != p.incarnation || s == nil || n > 0 && n >= uint64(len(s.pages)) {
		return &message{Type: answerRefused, Text: "the snapshot is no longer kept: begin again"}
	}
	s.used = now
	m := &message{Type: answerPage, Incarnation: incarnation, To: seq, Frontier: s.frontier, Part: n, Last: n+1 >= uint64(len(s.pages))}
	if len(s.pages) > 0 {
		m.Batch = s.pages[n]
	}
	return m
}
