package crdt

import (
	"math/bits"
	"slices"
)

// A set's live dots are kept in one of two forms.
//
// Flat: a slice sorted by dot. Deltas have this form whatever their size, for a delta is made, encoded,
// joined somewhere and dropped. A set that is changed while it has no more than flatMax dots stays flat. What
// stands in the slice is not written over: a change appends behind it or makes another slice, so that a
// novelty may have the slice of a delta that was new as a whole.
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

// flat returns the live dots of a store that is flat, in order; who makes the store may set elements in it.
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

// insert adds a live dot that the store does not hold. While flat it copies all, unless the dot is the last.
func (s *store[E]) insert(d Dot, e E) {
	if s.indexed() {
		s.big().insert(d, e)
		return
	}
	flat := s.flat()
	if i, _ := s.searchFlat(d); i == len(flat) {
		s.setFlat(append(flat, pair[E]{d, e}))
	} else {
		s.setFlat(slices.Concat(flat[:i], []pair[E]{{d, e}}, flat[i:]))
	}
}

// insertAll adds live dots that the store does not hold, which are sorted.
func (s *store[E]) insertAll(ps []pair[E]) {
	if !s.indexed() && s.size()+len(ps) > flatMax {
		s.buildIndex()
	}
	if s.indexed() {
		s.big().insertAll(ps)
		return
	}
	for _, p := range ps {
		s.insert(p.dot, p.e)
	}
}

// pairs returns the live dots, in order, only to be read and appended to. They stay as they are when the store
// changes.
func (s *store[E]) pairs() []pair[E] {
	if !s.indexed() {
		return slices.Clip(s.flat())
	}
	ps := make([]pair[E], 0, s.size())
	s.each(func(d Dot, e E) bool {
		ps = append(ps, pair[E]{d, e})
		return true
	})
	return ps
}

// remove takes out a dot, live or not.
func (s *store[E]) remove(d Dot) {
	if s.indexed() {
		s.big().remove(d)
	} else if i, ok := s.searchFlat(d); ok {
		s.setFlat(slices.Concat(s.flat()[:i], s.flat()[i+1:]))
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
