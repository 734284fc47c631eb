package host

// change is one change of a station's output, whole.
type change struct {
	incarnation, from, to uint64
	batch                 []byte // nil in a heartbeat
	frontier              frontiers
	reset                 bool
}

// receiver decides what of that which arrives is applied, and when a snapshot is needed. It is pure: its
// callers have the lock and send the requests. While it is not synced it keeps what arrives, within
// bounds, for after the snapshot.
type receiver struct {
	incarnation, seq uint64 // what is held; 0, 0 before the first snapshot
	frontier         frontiers
	spoiled          bool // what is held is not what seq says
	synced           bool
	ahead            []change
	aheadBytes       int
	parts            parts
}

// What is kept while a snapshot is on its way. What is more is dropped, found missing, and fetched again.
const (
	maxAhead      = 4096
	maxAheadBytes = 16 << 20
)

// take takes one message of the upstream and returns the change that is to be applied now, nil for none.
// gap says that a snapshot is needed from now on.
func (r *receiver) take(m *message) (apply *change, gap bool) {
	c, whole := r.parts.add(m)
	if !whole {
		return nil, false
	}
	if !r.synced {
		r.keep(c)
		return nil, false
	}
	return r.next(c)
}

func (r *receiver) keep(c change) {
	if len(r.ahead) >= maxAhead || r.aheadBytes+len(c.batch) > maxAheadBytes {
		r.ahead, r.aheadBytes = nil, 0
	}
	r.ahead = append(r.ahead, c)
	r.aheadBytes += len(c.batch)
}

// next decides on c while synced.
func (r *receiver) next(c change) (apply *change, gap bool) {
	switch {
	case c.incarnation != r.incarnation:
		// An upstream that was left behind; one that has begun again does not know this subscriber.
		return nil, false
	case c.from == c.to && c.to == r.seq:
		if c.frontier.behind(r.frontier) {
			return nil, false // it was overtaken
		}
		r.frontier = c.frontier
		return &c, false
	case c.to <= r.seq:
		return nil, false
	case c.from == r.seq:
		r.seq, r.frontier = c.to, c.frontier
		return &c, false
	}
	r.unsync()
	if c.from != c.to {
		r.keep(c)
	}
	return nil, true
}

// unsync says that a snapshot is asked for.
func (r *receiver) unsync() {
	r.synced = false
	r.ahead, r.aheadBytes = nil, 0
}

// forget says that only a whole snapshot will do.
func (r *receiver) forget() { r.spoiled = true }

// snapshot says that the snapshot of that run at that number is held now.
func (r *receiver) snapshot(incarnation, seq uint64, f frontiers) {
	r.incarnation, r.seq, r.frontier, r.synced, r.spoiled = incarnation, seq, f, true, false
}

// kept returns, one after the other, what arrived before the snapshot and is to be applied on it; gap as in
// take.
func (r *receiver) kept() (apply *change, gap bool) {
	for r.synced && len(r.ahead) > 0 {
		c := r.ahead[0]
		r.ahead = r.ahead[1:]
		r.aheadBytes -= len(c.batch)
		if apply, gap = r.next(c); apply != nil || gap {
			return apply, gap
		}
	}
	r.ahead = nil
	return nil, false
}

// parts puts the parts of one change together.
type parts struct {
	of   change
	next uint64 // part that is awaited, 0 when none is under way
}

// add returns the change that m completes.
func (p *parts) add(m *message) (c change, whole bool) {
	if m.Part == 0 {
		p.of = change{m.Incarnation, m.From, m.To, m.Batch, m.Frontier, m.Reset}
	} else {
		same := p.of.incarnation == m.Incarnation && p.of.from == m.From && p.of.to == m.To
		if p.next != m.Part || !same || len(p.of.batch)+len(m.Batch) > maxAheadBytes {
			*p = parts{} // the change after it shows the gap, or a heartbeat
			return change{}, false
		}
		p.of.batch = append(p.of.batch[:len(p.of.batch):len(p.of.batch)], m.Batch...)
	}
	if !m.Last {
		p.next = m.Part + 1
		return change{}, false
	}
	c = p.of
	*p = parts{}
	return c, true
}
