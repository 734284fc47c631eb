package crdt

import (
	"fmt"
	"iter"
	"slices"
)

// Set is an add-wins set: a remove takes out what it has seen, and an add that it had not seen stays. It is
// the OR-set of "A comprehensive study of Convergent and Commutative Replicated Data Types" (Shapiro,
// Preguiça, Baquero, Zawirski, 2011), section 3.3.5, without tombstones as in "An Optimized Conflict-free
// Replicated Set" (Bieniusa, Zawirski, Preguiça, Shapiro, Baquero, Balegas, Duarte, 2012), with the contexts
// and deltas of "Delta State Replicated Data Types" (Almeida, Shoker, Baquero, 2018), section 7.
//
// An element is in the set while one of its dots is live. To each dot a state is one of unseen, live and
// dead, in this order, and join takes the maximum dot by dot: so a set is a causal context (all seen dots)
// and the elements of the live ones. A dot supports the same element everywhere, which holds as long as no
// dot is minted twice.
//
// The zero Set is empty and ready for use; a nil *Set may be read as an empty one. A Set is not safe for
// concurrent use when anyone changes it; reading alone changes nothing. It costs, for each element, the
// element itself and 16 to 32 bytes; what the index of elements took is given back as they go. Elements of a
// state that was changed, cloned or decoded are found in O(1); in a delta they are found by scanning it. An element
// that is not equal to itself, as NaN, is another one each time that it is added: it is found by its dot
// alone, and of the mutators only Clear takes it out.
type Set[E comparable] struct {
	ctx  Context
	live store[E]
}

// NewSet returns an empty set.
func NewSet[E comparable]() *Set[E] { return &Set[E]{} }

// Len returns the number of distinct elements.
func (s *Set[E]) Len() int {
	if s == nil {
		return 0
	}
	return s.live.len()
}

// Size returns the number of live dots: at least Len, more where an element was added concurrently. What a
// state has killed does not count.
func (s *Set[E]) Size() int {
	if s == nil {
		return 0
	}
	return s.live.size()
}

// IsEmpty says whether the state has seen no dot at all. A set whose elements were all removed has Len 0
// and is not empty in this sense.
func (s *Set[E]) IsEmpty() bool { return s == nil || s.ctx.IsEmpty() }

// Contains says whether e is in the set.
func (s *Set[E]) Contains(e E) bool { return s != nil && s.live.contains(e) }

// All yields each element once, in the order of its oldest live dot by actor, then counter. The set must
// not be changed meanwhile.
func (s *Set[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		if s == nil {
			return
		}
		if s.live.indexed() {
			multi := s.live.big().multi
			s.live.each(func(d Dot, e E) bool {
				if len(multi) > 0 {
					if dots, ok := multi[e]; ok && dots[0] != d {
						return true
					}
				}
				return yield(e)
			})
			return
		}
		var seen map[E]struct{}
		if len(s.live.flat()) > flatMax {
			seen = make(map[E]struct{}, len(s.live.flat()))
		}
		for i, p := range s.live.flat() {
			if seen == nil && !s.live.first(i) {
				continue
			}
			if seen != nil {
				if _, ok := seen[p.e]; ok {
					continue
				}
				seen[p.e] = struct{}{}
			}
			if !yield(p.e) {
				return
			}
		}
	}
}

// AllDots yields each live dot and its element, by actor, then counter. The set must not be changed
// meanwhile.
func (s *Set[E]) AllDots() iter.Seq2[Dot, E] {
	return func(yield func(Dot, E) bool) {
		if s != nil {
			s.live.each(yield)
		}
	}
}

// Dots returns the live dots of e in order, nil when e is not in the set.
func (s *Set[E]) Dots(e E) []Dot {
	if s == nil {
		return nil
	}
	return s.live.appendDots(nil, e)
}

// Context returns the dots that the state has seen, live and dead. It belongs to the set: it is only to be
// read, and only until the set changes.
func (s *Set[E]) Context() *Context {
	if s == nil {
		return &Context{}
	}
	return &s.ctx
}

// Add adds the elements under fresh dots of m and returns the delta: the new dots live, and dead the dots
// of the same elements that they replace. An element that is present gets a new dot, so that it outlives a
// concurrent remove; one that is named twice is added once. Without elements the delta is nil.
//
// It panics with *DotReused when m hands out a dot that the set has seen.
func (s *Set[E]) Add(m *Minter, es ...E) *Set[E] {
	if len(es) == 1 {
		return s.addOne(m, es[0])
	}
	return s.perform(SetOp[E]{Add: es}, m)
}

// addDelta is the delta of one add in one allocation.
type addDelta[E comparable] struct {
	set Set[E]
	run [1]Run
}

// A set of many elements allocates the deltas of its adds by so many: an allocation is a good part of what
// an add costs. Who keeps one of them keeps its neighbours, which are as large as it is.
const (
	deltasAtOnce = 4
	manyElements = 1 << 10
)

// newAddDelta returns an empty one.
func (s *Set[E]) newAddDelta() *addDelta[E] {
	if s.live.size() < manyElements {
		return &addDelta[E]{}
	}
	x := s.live.big()
	if len(x.deltas) == 0 {
		x.deltas = make([]addDelta[E], deltasAtOnce)
	}
	d := &x.deltas[0]
	x.deltas = x.deltas[1:]
	return d
}

func (s *Set[E]) addOne(m *Minter, e E) *Set[E] {
	s.live.settle()
	d := m.Mint()
	if !s.ctx.Add(d) {
		panic(&DotReused{Dot: d})
	}
	box := s.newAddDelta()
	box.run[0] = Run{d.Actor, d.Counter, d.Counter}
	delta := &box.set
	delta.ctx.runs = box.run[:]
	delta.live.one[0] = pair[E]{d, e}

	if s.live.indexed() {
		if old, ok := s.live.big().replace(d, e); ok {
			delta.ctx.Add(old)
			return delta
		}
	}
	for _, old := range s.live.appendDots(nil, e) {
		s.live.remove(old)
		delta.ctx.Add(old)
	}
	s.live.insert(d, e)
	return delta
}

// Remove takes out the elements and returns the delta: their live dots, dead. A concurrent add of the same
// element survives it. The delta is nil when none of them was there.
func (s *Set[E]) Remove(es ...E) *Set[E] {
	delta := s.Prepare(SetOp[E]{Remove: es}).Effect(nil)
	s.Join(delta)
	return delta
}

// Clear takes out all elements and returns the delta, nil when there were none.
func (s *Set[E]) Clear() *Set[E] {
	if s.live.size() == 0 {
		return nil
	}
	delta := &Set[E]{}
	for d := range s.AllDots() {
		delta.ctx.push(Run{d.Actor, d.Counter, d.Counter})
	}
	s.live.reset()
	return delta
}

// Clone returns a copy that shares nothing with s but what elements point to.
func (s *Set[E]) Clone() *Set[E] {
	if s == nil {
		return &Set[E]{}
	}
	return &Set[E]{ctx: *s.ctx.Clone(), live: s.live.clone()}
}

// Equal says whether both have seen the same dots and hold the same of them live. O(n).
func (s *Set[E]) Equal(o *Set[E]) bool {
	if s.IsEmpty() || o.IsEmpty() {
		return s.IsEmpty() && o.IsEmpty()
	}
	if s.live.size() != o.live.size() || s.live.sum() != o.live.sum() || !s.ctx.Equal(&o.ctx) {
		return false
	}
	for d, e := range s.AllDots() {
		if other, ok := o.live.get(d); !ok || other != e && (equalsItself(other) || equalsItself(e)) {
			return false
		}
	}
	return true
}

// LessOrEqual says whether o has seen all that s has: no dot unseen by o, and none live in o that is dead
// in s. It costs O(runs of s · log, and o's live dots inside them).
func (s *Set[E]) LessOrEqual(o *Set[E]) bool {
	if s.IsEmpty() {
		return true
	}
	if o == nil || !s.ctx.LessOrEqual(&o.ctx) {
		return false
	}
	for _, run := range s.ctx.runs {
		ok := true
		o.live.within(run, func(d Dot, _ E) {
			if ok {
				_, ok = s.live.get(d)
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

// Hash is equal for equal sets. It is kept up as the set changes and costs O(runs of the context), in a
// delta O(dots). It covers dots, which name their elements.
func (s *Set[E]) Hash() uint64 {
	if s == nil {
		return 0
	}
	return s.ctx.hash() + s.live.sum()
}

// Parts returns one set for each seen dot: live with its element, or dead. That is as many as there ever
// were adds, and in a state that a stranger made up as many as it claims, which may be more than memory
// holds: for one's own deltas and for tests.
func (s *Set[E]) Parts() []*Set[E] {
	var parts []*Set[E]
	for r := range s.Context().Runs() {
		for c := r.From; ; c++ {
			d := Dot{r.Actor, c}
			p := &Set[E]{}
			p.ctx.Add(d)
			if e, ok := s.live.get(d); ok {
				p.live.insert(d, e)
			}
			parts = append(parts, p)
			if c == r.To {
				break
			}
		}
	}
	return parts
}

// String prints up to 16 elements, how many there are, and the context.
func (s *Set[E]) String() string {
	return fmt.Sprintf("Set(%d)%s%v", s.Len(), printed(s.All()), s.Context())
}

// unique returns es without repetitions, in order; es itself when there are none.
func unique[E comparable](es []E) []E {
	if len(es) <= flatMax {
		for i := range es {
			if slices.Contains(es[:i], es[i]) {
				return uniqueByMap(es)
			}
		}
		return es
	}
	return uniqueByMap(es)
}

func uniqueByMap[E comparable](es []E) []E {
	seen := make(map[E]struct{}, len(es))
	out := make([]E, 0, len(es))
	for _, e := range es {
		if _, ok := seen[e]; !ok {
			seen[e] = struct{}{}
			out = append(out, e)
		}
	}
	return out
}
