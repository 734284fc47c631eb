package crdt

import (
	"hash/maphash"
	"slices"
)

type liveRow[E comparable] struct {
	actor  Actor
	blocks []*block[E] // sorted by no, none empty
}

// find returns the index of the first block whose number is at least no: at once where counters are dense,
// and at the end.
func (r *liveRow[E]) find(no uint64, steps *int64) int {
	n := len(r.blocks)
	*steps++
	switch {
	case n == 0 || r.blocks[n-1].no < no:
		return n
	case r.blocks[n-1].no == no:
		return n - 1
	}
	low, high := 0, n-1
	if first := r.blocks[0].no; no <= first {
		high = 0
	} else if no-first < uint64(high) {
		high = int(no - first) // where it stands when no block before it is missing, or else before that
	}
	if r.blocks[high].no == no {
		return high
	}
	for low < high {
		*steps++
		if mid := int(uint(low+high) >> 1); r.blocks[mid].no < no {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// indexed is the indexed form of a store. Methods that may be called by readers count their steps where
// they are told to, for a reader changes nothing.
type indexed[E comparable] struct {
	elements spots         // one for each element, unless the store is without index by element
	multi    map[E][]Dot   // elements that several dots support, sorted; their spot is that of the first
	rows     []*liveRow[E] // sorted by actor, none empty
	blocks   []*block[E]   // by number; nil where a number is free, and at 0
	free     []uint32
	n        int    // live dots
	sum      uint64 // of the live dots' hashes
	steps    int64  // see Set.Steps; changed by changes only
	seed     maphash.Seed
	deltas   []addDelta[E] // allocated and not yet used
}

func newIndexed[E comparable]() *indexed[E] {
	return &indexed[E]{blocks: []*block[E]{nil}, seed: maphash.MakeSeed()}
}

// hash is where to look for e under d. What does not equal itself (a NaN) is found by its dot alone.
func (x *indexed[E]) hash(d Dot, e E) uint64 {
	if same := e; e != same {
		return maphash.Comparable(x.seed, d)
	}
	return maphash.Comparable(x.seed, e)
}

// hashAt implements hashed.
func (x *indexed[E]) hashAt(p spot) uint64 {
	b := x.blocks[p.block()]
	return x.hash(b.dot(p.pos()), *b.at(p.pos()))
}

func (x *indexed[E]) row(a Actor, steps *int64) (int, bool) {
	n := len(x.rows)
	*steps++
	if n > 0 && x.rows[n-1].actor == a {
		return n - 1, true
	}
	low, high := 0, n
	for low < high {
		*steps++
		if mid := int(uint(low+high) >> 1); x.rows[mid].actor < a {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < n && x.rows[low].actor == a
}

// block returns an actor's block of that number, nil when nothing lives there.
func (x *indexed[E]) block(a Actor, no uint64, steps *int64) *block[E] {
	if i, ok := x.row(a, steps); ok {
		r := x.rows[i]
		if i = r.find(no, steps); i < len(r.blocks) && r.blocks[i].no == no {
			return r.blocks[i]
		}
	}
	return nil
}

// find returns the block of a dot, nil when the dot is not live.
func (x *indexed[E]) find(d Dot, steps *int64) *block[E] {
	if b := x.block(d.Actor, d.Counter>>blockBits, steps); b != nil && b.live.has(uint8(d.Counter)) {
		return b
	}
	return nil
}

// lookup returns the slot of e in the index by element, nil when e is not there; then also the table, nil
// when there is none yet, and the free slot that a search for e has ended at.
func (x *indexed[E]) lookup(hash uint64, e E) (found *slot, t *table, free int) {
	if len(x.elements.dir) == 0 {
		return nil, nil, 0
	}
	t = x.elements.table(hash)
	tag := t.tag(hash)
	slots := t.slots
	mask := len(slots) - 1
	for i := t.home(hash); ; i = (i + 1) & mask {
		s := &slots[i]
		if *s == 0 {
			return nil, t, i
		}
		if s.tag() == tag && *x.at(s.spot()) == e {
			return s, t, 0
		}
	}
}

// slotOf is lookup for those who only read.
func (x *indexed[E]) slotOf(e E) *slot {
	found, _, _ := x.lookup(x.hash(Dot{}, e), e)
	return found
}

// at returns the element at a spot.
func (x *indexed[E]) at(p spot) *E { return x.blocks[p.block()].at(p.pos()) }

// dot returns the dot at a spot.
func (x *indexed[E]) dot(p spot) Dot { return x.blocks[p.block()].dot(p.pos()) }

// spotOf returns the spot of a live dot.
func (x *indexed[E]) spotOf(d Dot) spot { return spotOf(x.find(d, &x.steps).number, uint8(d.Counter)) }

// insert adds a live dot that is not there.
func (x *indexed[E]) insert(d Dot, e E) { x.enter(d, e, x.insertDot(x.blockFor(d), d, e)) }

// insertAll adds live dots that are not there, which are sorted: those of a block at once.
func (x *indexed[E]) insertAll(ps []pair[E]) {
	for len(ps) > 0 {
		b, n := x.blockFor(ps[0].dot), 1
		for n < len(ps) && ps[n].dot.Actor == b.actor && ps[n].dot.Counter>>blockBits == b.no {
			n++
		}
		x.insertDots(b, ps[:n])
		for i := range ps[:n] {
			p := &ps[i]
			x.enter(p.dot, p.e, spotOf(b.number, uint8(p.dot.Counter)))
		}
		ps = ps[n:]
	}
}

// enter puts a live dot that was just inserted at a spot into the index by element.
func (x *indexed[E]) enter(d Dot, e E, p spot) {
	hash := x.hash(d, e)
	x.steps++
	at, t, free := x.lookup(hash, e)
	if at == nil {
		x.elements.putAt(t, free, hash, p, x)
		return
	}
	x.enterAnother(at, d, e, p)
}

// enterAnother is enter for an element that other dots support already: the first of them is at the slot.
func (x *indexed[E]) enterAnother(at *slot, d Dot, e E, p spot) {
	first := at.spot()
	if !first.several() {
		if x.multi == nil {
			x.multi = make(map[E][]Dot)
		}
		x.multi[e] = []Dot{x.dot(first)}
	}
	dots := x.multi[e]
	i, _ := slices.BinarySearchFunc(dots, d, Dot.Compare)
	x.multi[e] = slices.Insert(dots, i, d)
	if i > 0 {
		p = first
	}
	at.set(p | severalDots)
}

// replace adds a live dot in the spot of the one that e has, if any. It does nothing and says false when e
// has several.
func (x *indexed[E]) replace(d Dot, e E) (old Dot, ok bool) {
	hash := x.hash(d, e)
	x.steps++
	at, t, free := x.lookup(hash, e)
	switch {
	case at == nil:
		x.elements.putAt(t, free, hash, x.insertDot(x.blockFor(d), d, e), x)
	case at.spot().several():
		return old, false
	default:
		old = x.dot(at.spot())
		x.removeDot(old)
		at.set(x.insertDot(x.blockFor(d), d, e))
	}
	return old, true
}

// insertDot adds a dot to its block, without the index by element.
func (x *indexed[E]) insertDot(b *block[E], d Dot, e E) spot {
	x.n++
	x.sum += d.hash()
	pos := uint8(d.Counter)
	b.insert(pos, e)
	return spotOf(b.number, pos)
}

// insertDots is insertDot of sorted dots of one block.
func (x *indexed[E]) insertDots(b *block[E], ps []pair[E]) {
	if b.live.rank(uint8(ps[0].dot.Counter)) < len(b.es) {
		for _, p := range ps {
			x.insertDot(b, p.dot, p.e)
		}
		return
	}
	es, sum := b.es, x.sum
	for i := range ps {
		p := &ps[i]
		b.live.set(uint8(p.dot.Counter))
		es = append(es, p.e)
		sum += p.dot.hash()
	}
	b.es, x.sum = es, sum
	x.n += len(ps)
}

// blockFor returns the block of a dot that is about to be inserted, a new one when there is none.
func (x *indexed[E]) blockFor(d Dot) *block[E] {
	i, ok := x.row(d.Actor, &x.steps)
	if !ok {
		x.rows = slices.Insert(x.rows, i, &liveRow[E]{actor: d.Actor})
	}
	r := x.rows[i]
	no := d.Counter >> blockBits
	i = r.find(no, &x.steps)
	if i == len(r.blocks) || r.blocks[i].no != no {
		b := x.newBlock(d.Actor, no)
		if i > 0 && i == len(r.blocks) && r.blocks[i-1].no+1 == no && len(r.blocks[i-1].es) > blockSize/2 {
			b.es = make([]E, 0, blockSize) // the actor goes on as it did
		}
		r.blocks = slices.Insert(r.blocks, i, b)
	}
	return r.blocks[i]
}

func (x *indexed[E]) newBlock(a Actor, no uint64) *block[E] {
	b := &block[E]{actor: a, no: no, number: uint32(len(x.blocks))}
	if last := len(x.free) - 1; last >= 0 {
		b.number = x.free[last]
		x.free = x.free[:last]
		x.blocks[b.number] = b
	} else {
		x.blocks = append(x.blocks, b)
	}
	return b
}

// remove takes out a dot, live or not.
func (x *indexed[E]) remove(d Dot) {
	e, at, ok := x.removeDot(d)
	if !ok {
		return
	}
	hash := x.hash(d, e)
	x.steps++
	dots, ok := x.multi[e]
	if !ok {
		x.elements.remove(hash, at, x)
		return
	}
	i, _ := slices.BinarySearchFunc(dots, d, Dot.Compare)
	if i > 0 {
		at = x.spotOf(dots[0])
	}
	t, slot := x.elements.find(hash, at)
	s := &t.slots[slot]
	dots = slices.Delete(dots, i, i+1)
	if len(dots) > 1 {
		x.multi[e] = dots
		s.set(x.spotOf(dots[0]) | severalDots)
		return
	}
	delete(x.multi, e)
	s.set(x.spotOf(dots[0]))
}

// removeDot takes out a dot, live or not, but for the index by element, and returns where it was.
func (x *indexed[E]) removeDot(d Dot) (e E, at spot, ok bool) {
	b := x.find(d, &x.steps)
	if b == nil {
		return e, 0, false
	}
	x.n--
	x.sum -= d.hash()
	pos := uint8(d.Counter)
	e = *b.at(pos)
	at = spotOf(b.number, pos)
	if len(b.es) > 1 {
		b.remove(pos)
		return e, at, true
	}
	x.blocks[b.number] = nil
	x.free = append(x.free, b.number)
	i, _ := x.row(d.Actor, &x.steps)
	r := x.rows[i]
	if len(r.blocks) == 1 {
		x.rows = slices.Delete(x.rows, i, i+1)
		return e, at, true
	}
	i = r.find(b.no, &x.steps)
	r.blocks = slices.Delete(r.blocks, i, i+1)
	return e, at, true
}

func (x *indexed[E]) appendDots(dots []Dot, e E) []Dot {
	at := x.slotOf(e)
	switch {
	case at == nil:
		return dots
	case at.spot().several():
		return append(dots, x.multi[e]...)
	default:
		return append(dots, x.dot(at.spot()))
	}
}

// each calls f with the live dots in order until f returns false.
func (x *indexed[E]) each(f func(Dot, E) bool) {
	for _, r := range x.rows {
		for _, b := range r.blocks {
			i := 0
			if !b.live.each(func(pos uint8) bool {
				i++
				return f(b.dot(pos), b.es[i-1])
			}) {
				return
			}
		}
	}
}

// within calls f with the live dots inside run in order.
func (x *indexed[E]) within(run Run, steps *int64, f func(Dot, E)) {
	i, ok := x.row(run.Actor, steps)
	if !ok {
		return
	}
	r := x.rows[i]
	for i = r.find(run.From>>blockBits, steps); i < len(r.blocks) && r.blocks[i].no <= run.To>>blockBits; i++ {
		b := r.blocks[i]
		least, most := uint8(0), uint8(blockSize-1)
		if b.no == run.From>>blockBits {
			least = uint8(run.From)
		}
		if b.no == run.To>>blockBits {
			most = uint8(run.To)
		}
		*steps++
		var inside bitmap
		inside.setRange(least, most)
		inside.and(&b.live)
		at := b.live.rank(least)
		inside.each(func(pos uint8) bool {
			*steps++
			f(b.dot(pos), b.es[at])
			at++
			return true
		})
	}
}

func (x *indexed[E]) clone() *indexed[E] {
	out := *x
	out.elements = x.elements.clone()
	out.steps = 0
	out.deltas = nil
	out.free = slices.Clone(x.free)
	out.multi = nil
	if len(x.multi) > 0 {
		out.multi = make(map[E][]Dot, len(x.multi))
		for e, dots := range x.multi {
			out.multi[e] = slices.Clone(dots)
		}
	}
	out.blocks = make([]*block[E], len(x.blocks))
	out.rows = make([]*liveRow[E], len(x.rows))
	for i, r := range x.rows {
		blocks := make([]*block[E], len(r.blocks))
		for j, b := range r.blocks {
			c := *b
			c.es = slices.Clone(b.es)
			blocks[j], out.blocks[c.number] = &c, &c
		}
		out.rows[i] = &liveRow[E]{r.actor, blocks}
	}
	return &out
}
