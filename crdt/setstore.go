package crdt

import (
	"math/bits"
	"slices"
	"sort"
)

// A set's live dots are kept in one of two forms.
//
// Flat: a slice sorted by dot. Deltas have this form whatever their size, for a delta is made, encoded,
// joined somewhere and dropped. A set that is changed while it has no more than flatMax dots stays flat.
//
// Indexed: a map from the element to its dot, and the elements by actor and blocks of 256 counters. A block
// is a bitmap and the elements of its set bits in order, so that the index by dot costs an element's size
// and little more, runs of dots are visited in order, and a block's bitmap is what a digest hashes.

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
	no   uint64 // counter >> blockBits
	live bitmap
	es   []E // es[live.rank(pos)] is the element of pos
}

type liveRow[E comparable] struct {
	actor  Actor
	blocks []*block[E] // sorted by no, none empty
}

// find returns the index of the first block whose number is at least no.
func (r *liveRow[E]) find(no uint64) int {
	n := len(r.blocks)
	if n == 0 || r.blocks[n-1].no < no {
		return n
	}
	if r.blocks[n-1].no == no {
		return n - 1
	}
	return sort.Search(n, func(i int) bool { return r.blocks[i].no >= no })
}

func (r *liveRow[E]) insert(counter uint64, e E) {
	no, pos := counter>>blockBits, uint8(counter)
	i := r.find(no)
	if i == len(r.blocks) || r.blocks[i].no != no {
		r.blocks = slices.Insert(r.blocks, i, &block[E]{no: no})
	}
	b := r.blocks[i]
	at := b.live.rank(pos)
	b.live.set(pos)
	if at == len(b.es) {
		b.es = append(b.es, e)
	} else {
		b.es = slices.Insert(b.es, at, e)
	}
}

func (r *liveRow[E]) remove(counter uint64) (e E, ok bool) {
	no, pos := counter>>blockBits, uint8(counter)
	i := r.find(no)
	if i == len(r.blocks) || r.blocks[i].no != no || !r.blocks[i].live.has(pos) {
		return e, false
	}
	b := r.blocks[i]
	at := b.live.rank(pos)
	e = b.es[at]
	b.live.clear(pos)
	switch {
	case len(b.es) == 1:
		r.blocks = slices.Delete(r.blocks, i, i+1)
	case len(b.es)*4 <= cap(b.es):
		b.es = append(append(make([]E, 0, len(b.es)*2), b.es[:at]...), b.es[at+1:]...)
	default:
		b.es = slices.Delete(b.es, at, at+1)
	}
	return e, true
}

// store holds the live dots of a set.
type store[E comparable] struct {
	flat  []pair[E]   // sorted by dot; unused once indexed
	index map[E]Dot   // nil while flat; the zero Dot: look in multi
	multi map[E][]Dot // elements that several dots support, sorted
	rows  []*liveRow[E]
	n     int    // live dots
	sum   uint64 // of the live dots' hashes
}

func (s *store[E]) indexed() bool { return s.index != nil }

func (s *store[E]) searchFlat(d Dot) (int, bool) {
	if n := len(s.flat); n == 0 || s.flat[n-1].dot.Compare(d) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(s.flat, d, func(p pair[E], d Dot) int { return p.dot.Compare(d) })
}

func (s *store[E]) row(a Actor) (int, bool) {
	if n := len(s.rows); n > 0 && s.rows[n-1].actor == a {
		return n - 1, true
	}
	return slices.BinarySearchFunc(s.rows, a, func(r *liveRow[E], a Actor) int {
		return Dot{r.actor, 0}.Compare(Dot{a, 0})
	})
}

// get returns the element that d supports.
func (s *store[E]) get(d Dot) (e E, ok bool) {
	if !s.indexed() {
		if i, ok := s.searchFlat(d); ok {
			return s.flat[i].e, true
		}
		return e, false
	}
	i, ok := s.row(d.Actor)
	if !ok {
		return e, false
	}
	r := s.rows[i]
	no, pos := d.Counter>>blockBits, uint8(d.Counter)
	if i = r.find(no); i == len(r.blocks) || r.blocks[i].no != no || !r.blocks[i].live.has(pos) {
		return e, false
	}
	return r.blocks[i].es[r.blocks[i].live.rank(pos)], true
}

// settle turns a flat store that is too large to scan into an indexed one.
func (s *store[E]) settle() {
	if !s.indexed() && len(s.flat) > flatMax {
		s.buildIndex()
	}
}

func (s *store[E]) buildIndex() {
	flat := s.flat
	*s = store[E]{index: make(map[E]Dot, len(flat))}
	for _, p := range flat {
		s.insert(p.dot, p.e)
	}
}

// insert adds a live dot that the store does not hold.
func (s *store[E]) insert(d Dot, e E) {
	s.n++
	s.sum += d.hash()
	if !s.indexed() {
		i, _ := s.searchFlat(d)
		if i == len(s.flat) {
			s.flat = append(s.flat, pair[E]{d, e})
		} else {
			s.flat = slices.Insert(s.flat, i, pair[E]{d, e})
		}
		return
	}
	s.insertRow(d, e)
	old, ok := s.index[e]
	switch {
	case !ok:
		s.index[e] = d
	case old.IsZero():
		dots := s.multi[e]
		i, _ := slices.BinarySearchFunc(dots, d, Dot.Compare)
		s.multi[e] = slices.Insert(dots, i, d)
	default:
		if s.multi == nil {
			s.multi = make(map[E][]Dot)
		}
		s.index[e] = Dot{}
		s.multi[e] = []Dot{minDot(old, d), maxDot(old, d)}
	}
}

func (s *store[E]) insertRow(d Dot, e E) {
	i, ok := s.row(d.Actor)
	if !ok {
		s.rows = slices.Insert(s.rows, i, &liveRow[E]{actor: d.Actor})
	}
	s.rows[i].insert(d.Counter, e)
}

// remove takes out a dot, live or not.
func (s *store[E]) remove(d Dot) {
	if !s.indexed() {
		if i, ok := s.searchFlat(d); ok {
			s.flat = slices.Delete(s.flat, i, i+1)
			s.n--
			s.sum -= d.hash()
		}
		return
	}
	e, ok := s.removeRow(d)
	if !ok {
		return
	}
	s.n--
	s.sum -= d.hash()
	if !s.index[e].IsZero() {
		delete(s.index, e)
		return
	}
	dots := s.multi[e]
	if i, ok := slices.BinarySearchFunc(dots, d, Dot.Compare); ok {
		dots = slices.Delete(dots, i, i+1)
	}
	if len(dots) > 1 {
		s.multi[e] = dots
		return
	}
	s.index[e] = dots[0]
	delete(s.multi, e)
}

func (s *store[E]) removeRow(d Dot) (e E, ok bool) {
	i, ok := s.row(d.Actor)
	if !ok {
		return e, false
	}
	if e, ok = s.rows[i].remove(d.Counter); ok && len(s.rows[i].blocks) == 0 {
		s.rows = slices.Delete(s.rows, i, i+1)
	}
	return e, ok
}

func (s *store[E]) contains(e E) bool {
	if s.indexed() {
		_, ok := s.index[e]
		return ok
	}
	return slices.ContainsFunc(s.flat, func(p pair[E]) bool { return p.e == e })
}

// appendDots appends the live dots of e in order.
func (s *store[E]) appendDots(dots []Dot, e E) []Dot {
	if s.indexed() {
		d, ok := s.index[e]
		switch {
		case !ok:
			return dots
		case d.IsZero():
			return append(dots, s.multi[e]...)
		default:
			return append(dots, d)
		}
	}
	for _, p := range s.flat {
		if p.e == e {
			dots = append(dots, p.dot)
		}
	}
	return dots
}

// len counts distinct elements.
func (s *store[E]) len() int {
	if s.indexed() {
		return len(s.index)
	}
	if len(s.flat) <= flatMax {
		n := 0
		for i := range s.flat {
			if s.first(i) {
				n++
			}
		}
		return n
	}
	seen := make(map[E]struct{}, len(s.flat))
	for _, p := range s.flat {
		seen[p.e] = struct{}{}
	}
	return len(seen)
}

func (s *store[E]) first(i int) bool {
	return !slices.ContainsFunc(s.flat[:i], func(p pair[E]) bool { return p.e == s.flat[i].e })
}

// each calls f with the live dots in order until f returns false.
func (s *store[E]) each(f func(Dot, E) bool) {
	for _, p := range s.flat {
		if !f(p.dot, p.e) {
			return
		}
	}
	for _, r := range s.rows {
		for _, b := range r.blocks {
			i := 0
			if !b.live.each(func(pos uint8) bool {
				i++
				return f(Dot{r.actor, b.no<<blockBits | uint64(pos)}, b.es[i-1])
			}) {
				return
			}
		}
	}
}

// within calls f with the live dots inside run in order. It costs O(log n), plus the dots visited, plus up
// to two blocks that the run cuts.
func (s *store[E]) within(run Run, f func(Dot, E)) {
	if !s.indexed() {
		for i, _ := s.searchFlat(Dot{run.Actor, run.From}); i < len(s.flat); i++ {
			if p := &s.flat[i]; p.dot.Actor != run.Actor || p.dot.Counter > run.To {
				return
			}
			f(s.flat[i].dot, s.flat[i].e)
		}
		return
	}
	i, ok := s.row(run.Actor)
	if !ok {
		return
	}
	r := s.rows[i]
	for i := r.find(run.From >> blockBits); i < len(r.blocks) && r.blocks[i].no <= run.To>>blockBits; i++ {
		b := r.blocks[i]
		at := 0
		b.live.each(func(pos uint8) bool {
			c := b.no<<blockBits | uint64(pos)
			if c > run.To {
				return false
			}
			if c >= run.From {
				f(Dot{run.Actor, c}, b.es[at])
			}
			at++
			return true
		})
	}
}

// clone copies; a large flat store comes out indexed.
func (s *store[E]) clone() store[E] {
	out := store[E]{flat: slices.Clone(s.flat), n: s.n, sum: s.sum}
	if !s.indexed() {
		out.settle()
		return out
	}
	out.index = make(map[E]Dot, len(s.index))
	for e, d := range s.index {
		out.index[e] = d
	}
	if len(s.multi) > 0 {
		out.multi = make(map[E][]Dot, len(s.multi))
		for e, dots := range s.multi {
			out.multi[e] = slices.Clone(dots)
		}
	}
	out.rows = make([]*liveRow[E], len(s.rows))
	for i, r := range s.rows {
		blocks := make([]*block[E], len(r.blocks))
		for j, b := range r.blocks {
			blocks[j] = &block[E]{no: b.no, live: b.live, es: slices.Clone(b.es)}
		}
		out.rows[i] = &liveRow[E]{actor: r.actor, blocks: blocks}
	}
	return out
}

func minDot(a, b Dot) Dot {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

func maxDot(a, b Dot) Dot {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}
