package crdt

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// A set's live dots are kept in one of two forms.
//
// Flat: a slice sorted by dot. Deltas have this form whatever their size, for a delta is made, encoded,
// joined somewhere and dropped. A set that is changed while it has no more than flatMax dots stays flat.
//
// Indexed: the elements by actor and blocks of 256 counters, and a hash table that says where among them an
// element stands. A block is a bitmap and the elements of its set bits in order, so that the index by dot
// costs an element's size and little more, runs of dots are visited in order, and a block's bitmap is what a
// digest hashes. The table (spots) holds no elements, so that each is held once.

const (
	flatMax   = 16
	blockBits = 8
	blockSize = 1 << blockBits
)

type pair[E comparable] struct {
	dot Dot
	e   E
}

// bitmap marks which counters of a block are live (or seen).
type bitmap [blockSize / 64]uint64

func (m *bitmap) has(pos uint8) bool { return m[pos>>6]&(1<<(pos&63)) != 0 }
func (m *bitmap) set(pos uint8)      { m[pos>>6] |= 1 << (pos & 63) }
func (m *bitmap) clear(pos uint8)    { m[pos>>6] &^= 1 << (pos & 63) }

// rank returns how many bits below pos are set.
func (m *bitmap) rank(pos uint8) int {
	n := bits.OnesCount64(m[pos>>6] & (1<<(pos&63) - 1))
	for _, w := range m[:pos>>6] {
		n += bits.OnesCount64(w)
	}
	return n
}

// setRange sets the bits from lo to hi, both included.
func (m *bitmap) setRange(lo, hi uint8) {
	for i := int(lo >> 6); i <= int(hi>>6); i++ {
		w := ^uint64(0)
		if i == int(lo>>6) {
			w &= ^uint64(0) << (lo & 63)
		}
		if i == int(hi>>6) {
			w &= ^uint64(0) >> (63 - hi&63)
		}
		m[i] |= w
	}
}

// each calls f with each set position, ascending, until f returns false.
func (m *bitmap) each(f func(pos uint8) bool) bool {
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			if !f(uint8(i<<6 + bits.TrailingZeros64(w))) {
				return false
			}
		}
	}
	return true
}

type block[E comparable] struct {
	number uint32 // its spot among indexed.blocks
	actor  Actor
	no     uint64 // counter >> blockBits
	live   bitmap
	es     []E // es[live.rank(pos)] is the element of pos
}

func (b *block[E]) dot(pos uint8) Dot { return Dot{b.actor, b.no<<blockBits | uint64(pos)} }
func (b *block[E]) at(pos uint8) *E   { return &b.es[b.live.rank(pos)] }

func (b *block[E]) insert(pos uint8, e E) {
	at := b.live.rank(pos)
	b.live.set(pos)
	if at == len(b.es) {
		b.es = append(b.es, e)
	} else {
		b.es = slices.Insert(b.es, at, e)
	}
}

func (b *block[E]) remove(pos uint8) {
	at := b.live.rank(pos)
	b.live.clear(pos)
	if len(b.es)*4 <= cap(b.es) {
		b.es = append(append(make([]E, 0, len(b.es)*2), b.es[:at]...), b.es[at+1:]...)
	} else {
		b.es = slices.Delete(b.es, at, at+1)
	}
}

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
	mask := len(t.slots) - 1
	i := t.home(hash)
	for ; t.slots[i&mask] != 0; i++ {
		if s := &t.slots[i&mask]; s.tag() == tag && *x.at(s.spot()) == e {
			return s, t, 0
		}
	}
	return nil, t, i & mask
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
func (x *indexed[E]) insert(d Dot, e E) {
	hash := x.hash(d, e)
	x.steps++
	at, t, free := x.lookup(hash, e)
	if at == nil {
		x.elements.putAt(t, free, hash, x.insertDot(d, e), x)
		return
	}
	first := at.spot()
	if !first.several() {
		if x.multi == nil {
			x.multi = make(map[E][]Dot)
		}
		x.multi[e] = []Dot{x.dot(first)}
	}
	p := x.insertDot(d, e)
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
		x.elements.putAt(t, free, hash, x.insertDot(d, e), x)
	case at.spot().several():
		return old, false
	default:
		old = x.dot(at.spot())
		x.removeDot(old)
		at.set(x.insertDot(d, e))
	}
	return old, true
}

// insertDot adds a dot without the index by element.
func (x *indexed[E]) insertDot(d Dot, e E) spot {
	x.n++
	x.sum += d.hash()
	i, ok := x.row(d.Actor, &x.steps)
	if !ok {
		x.rows = slices.Insert(x.rows, i, &liveRow[E]{actor: d.Actor})
	}
	r := x.rows[i]
	no, pos := d.Counter>>blockBits, uint8(d.Counter)
	i = r.find(no, &x.steps)
	if i == len(r.blocks) || r.blocks[i].no != no {
		b := x.newBlock(d.Actor, no)
		if i > 0 && i == len(r.blocks) && r.blocks[i-1].no+1 == no && len(r.blocks[i-1].es) > blockSize/2 {
			b.es = make([]E, 0, blockSize) // the actor goes on as it did
		}
		r.blocks = slices.Insert(r.blocks, i, b)
	}
	r.blocks[i].insert(pos, e)
	return spotOf(r.blocks[i].number, pos)
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

// store holds the live dots of a set. It is small while there is one, for most deltas have one.
type store[E comparable] struct {
	one  [1]pair[E] // the only live dot, unless it is the zero Dot; unused once there is more
	more *more[E]
}

type more[E comparable] struct {
	flat []pair[E]   // sorted by dot; unused once indexed
	big  *indexed[E] // nil while flat
}

func (s *store[E]) indexed() bool { return s.more != nil && s.more.big != nil }

// big returns the indexed form; the store must have it.
func (s *store[E]) big() *indexed[E] { return s.more.big }

// flat returns the live dots of a store that is flat, in order; elements may be set in it.
func (s *store[E]) flat() []pair[E] {
	switch {
	case s.more != nil:
		return s.more.flat
	case s.one[0].dot.IsZero():
		return nil
	default:
		return s.one[:]
	}
}

// setFlat gives a store that is flat its live dots, which are sorted.
func (s *store[E]) setFlat(flat []pair[E]) {
	switch {
	case s.more != nil:
		s.more.flat = flat
	case len(flat) == 0:
		s.one[0] = pair[E]{}
	case len(flat) == 1:
		s.one[0] = flat[0]
	default:
		*s = store[E]{more: &more[E]{flat: flat}}
	}
}

// size returns the number of live dots.
func (s *store[E]) size() int {
	if s.indexed() {
		return s.big().n
	}
	return len(s.flat())
}

// sum returns the sum of the live dots' hashes; while flat it adds them up.
func (s *store[E]) sum() (sum uint64) {
	if s.indexed() {
		return s.big().sum
	}
	for _, p := range s.flat() {
		sum += p.dot.hash()
	}
	return sum
}

// worked counts steps of a change.
func (s *store[E]) worked(steps int64) {
	if s.indexed() {
		s.big().steps += steps
	}
}

func (s *store[E]) searchFlat(d Dot) (int, bool) {
	flat := s.flat()
	if n := len(flat); n == 0 || flat[n-1].dot.Compare(d) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(flat, d, func(p pair[E], d Dot) int { return p.dot.Compare(d) })
}

// get returns the element that d supports.
func (s *store[E]) get(d Dot) (e E, ok bool) {
	if s.indexed() {
		if b := s.big().find(d, new(int64)); b != nil {
			return *b.at(uint8(d.Counter)), true
		}
		return e, false
	}
	if i, ok := s.searchFlat(d); ok {
		return s.flat()[i].e, true
	}
	return e, false
}

// settle turns a flat store that is too large to scan into an indexed one.
func (s *store[E]) settle() {
	if !s.indexed() && len(s.flat()) > flatMax {
		s.buildIndex()
	}
}

func (s *store[E]) buildIndex() {
	old := *s
	s.clearIndexed()
	for _, p := range old.flat() {
		s.big().insert(p.dot, p.e)
	}
}

// reset takes out all dots. What was counted goes on.
func (s *store[E]) reset() {
	if !s.indexed() {
		*s = store[E]{}
		return
	}
	steps := s.big().steps
	s.clearIndexed()
	s.big().steps = steps
}

// clearIndexed makes the store an indexed one without dots.
func (s *store[E]) clearIndexed() { *s = store[E]{more: &more[E]{big: newIndexed[E]()}} }

// insert adds a live dot that the store does not hold.
func (s *store[E]) insert(d Dot, e E) {
	if s.indexed() {
		s.big().insert(d, e)
		return
	}
	flat := s.flat()
	if i, _ := s.searchFlat(d); i == len(flat) {
		s.setFlat(append(flat, pair[E]{d, e}))
	} else {
		s.setFlat(slices.Insert(flat, i, pair[E]{d, e}))
	}
}

// remove takes out a dot, live or not.
func (s *store[E]) remove(d Dot) {
	if s.indexed() {
		s.big().remove(d)
	} else if i, ok := s.searchFlat(d); ok {
		s.setFlat(slices.Delete(s.flat(), i, i+1))
	}
}

func (s *store[E]) contains(e E) bool {
	if s.indexed() {
		return s.big().slotOf(e) != nil
	}
	return slices.ContainsFunc(s.flat(), func(p pair[E]) bool { return p.e == e })
}

// appendDots appends the live dots of e in order.
func (s *store[E]) appendDots(dots []Dot, e E) []Dot {
	if s.indexed() {
		return s.big().appendDots(dots, e)
	}
	for _, p := range s.flat() {
		if p.e == e {
			dots = append(dots, p.dot)
		}
	}
	return dots
}

// len counts distinct elements.
func (s *store[E]) len() int {
	if s.indexed() {
		return s.big().elements.n
	}
	if len(s.flat()) <= flatMax {
		n := 0
		for i := range s.flat() {
			if s.first(i) {
				n++
			}
		}
		return n
	}
	seen := make(map[E]struct{}, len(s.flat()))
	for _, p := range s.flat() {
		seen[p.e] = struct{}{}
	}
	return len(seen)
}

func (s *store[E]) first(i int) bool {
	return !slices.ContainsFunc(s.flat()[:i], func(p pair[E]) bool { return p.e == s.flat()[i].e })
}

// each calls f with the live dots in order until f returns false.
func (s *store[E]) each(f func(Dot, E) bool) {
	if s.indexed() {
		s.big().each(f)
		return
	}
	for _, p := range s.flat() {
		if !f(p.dot, p.e) {
			return
		}
	}
}

// within calls f with the live dots inside run in order. It costs O(log n), plus the dots and the
// blocks visited.
func (s *store[E]) within(run Run, f func(Dot, E)) { s.walk(run, new(int64), f) }

// walk is within that counts its steps.
func (s *store[E]) walk(run Run, steps *int64, f func(Dot, E)) {
	if s.indexed() {
		s.big().within(run, steps, f)
		return
	}
	i, _ := s.searchFlat(Dot{run.Actor, run.From})
	for _, p := range s.flat()[i:] {
		if p.dot.Actor != run.Actor || p.dot.Counter > run.To {
			return
		}
		f(p.dot, p.e)
	}
}

// clone copies; a large flat store comes out indexed.
func (s *store[E]) clone() store[E] {
	if s.indexed() {
		return store[E]{more: &more[E]{big: s.big().clone()}}
	}
	var out store[E]
	out.setFlat(slices.Clone(s.flat()))
	out.settle()
	return out
}
