package flow

import "iter"

// Join is the collection of the pairs of an element of a and an element of b with the same key. A pair
// is there exactly while both of its parts are, whichever came first and however many supports either
// has: what is joined are the collections, so a further support of an element costs O(1) and changes
// nothing. ka and kb must be pure.
//
// An element that enters or leaves costs O(pairs that it makes or ends): both inputs are held by key, the
// pairs are not held. It is the bilinear operator of "DBSP" (Budiu et al., VLDB 2023, section 4) with a
// distinct before each input: the change of a ⋈ b is Δa ⋈ b + a ⋈ Δb + Δa ⋈ Δb, and here one input
// changes at a time.
func Join[K, A, B comparable](name string, a Node[A], ka func(A) K, b Node[B], kb func(B) K) Node[Pair[A, B]] {
	s := declare("join", name, a.spec, b.spec)
	s.refuse(ka == nil || kb == nil, "one of its functions is nil")
	s.build = buildDuo(func() pairing[A, B, Pair[A, B]] { return newJoin("Join", ka, kb) })
	return Node[Pair[A, B]]{s}
}

// Product is the collection of the pairs of an element of a and an element of b. A pair is there exactly
// while both of its parts are; while one input is empty, the other is only held. An element that enters
// or leaves costs O(size of the other input), which is the number of pairs that it makes or ends; no pair
// is held. It is Join on a key that all share, with the same source.
func Product[A, B comparable](name string, a Node[A], b Node[B]) Node[Pair[A, B]] {
	s := declare("product", name, a.spec, b.spec)
	s.build = buildDuo(func() pairing[A, B, Pair[A, B]] {
		return newJoin("Product", func(A) struct{} { return struct{}{} }, func(B) struct{} { return struct{}{} })
	})
	return Node[Pair[A, B]]{s}
}

func newJoin[K, A, B comparable](op string, ka func(A) K, kb func(B) K) *join[K, A, B] {
	return &join[K, A, B]{a: newSide(op, ka), b: newSide(op, kb)}
}

type join[K, A, B comparable] struct {
	a     *side[K, A]
	b     *side[K, B]
	pairs int
	held  bool // quiet

	needBoth bool // in tests: an element that meets nobody is forgotten
}

func (j *join[K, A, B]) left(in []Weighted[A], steps *int64) (out []Weighted[Pair[A, B]], err error) {
	if err := j.a.admit(in); err != nil {
		return nil, err
	}
	for _, it := range in {
		k, d := j.a.cross(it, steps)
		if d == 0 {
			continue
		}
		*steps++
		others := j.b.groups[k]
		if j.needBoth && d > 0 && len(others) == 0 {
			j.a.cross(Weighted[A]{it.Elem, -it.Weight}, steps)
			continue
		}
		j.pairs += d * len(others)
		if j.held {
			continue
		}
		for _, b := range others {
			*steps++
			out = append(out, Weighted[Pair[A, B]]{Pair[A, B]{it.Elem, b}, int64(d)})
		}
	}
	return out, nil
}

func (j *join[K, A, B]) right(in []Weighted[B], steps *int64) (out []Weighted[Pair[A, B]], err error) {
	if err := j.b.admit(in); err != nil {
		return nil, err
	}
	for _, it := range in {
		k, d := j.b.cross(it, steps)
		if d == 0 {
			continue
		}
		*steps++
		others := j.a.groups[k]
		if j.needBoth && d > 0 && len(others) == 0 {
			j.b.cross(Weighted[B]{it.Elem, -it.Weight}, steps)
			continue
		}
		j.pairs += d * len(others)
		if j.held {
			continue
		}
		for _, a := range others {
			*steps++
			out = append(out, Weighted[Pair[A, B]]{Pair[A, B]{a, it.Elem}, int64(d)})
		}
	}
	return out, nil
}

func (j *join[K, A, B]) quiet(on bool) { j.held = on }

func (j *join[K, A, B]) has(p Pair[A, B]) bool {
	return j.a.held[p.A].weight > 0 && j.b.held[p.B].weight > 0 && j.a.by(p.A) == j.b.by(p.B)
}

func (j *join[K, A, B]) keptLeft() iter.Seq[Weighted[A]]  { return j.a.all() }
func (j *join[K, A, B]) keptRight() iter.Seq[Weighted[B]] { return j.b.all() }

// all makes the pairs as they are asked for.
func (j *join[K, A, B]) all() iter.Seq[Weighted[Pair[A, B]]] {
	return func(yield func(Weighted[Pair[A, B]]) bool) {
		for k, as := range j.a.groups {
			bs := j.b.groups[k]
			for _, a := range as {
				for _, b := range bs {
					if !yield(Weighted[Pair[A, B]]{Pair[A, B]{a, b}, 1}) {
						return
					}
				}
			}
		}
	}
}

func (j *join[K, A, B]) len() int     { return j.pairs }
func (j *join[K, A, B]) entries() int { return j.a.entries() + j.b.entries() }

// side is one input of a join: the weights of its elements, and those that are present by key.
type side[K, E comparable] struct {
	op     string // for messages
	by     func(E) K
	held   map[E]seat
	groups map[K][]E // present elements, in no order; none is empty
	n      int       // present elements

	changed changes
}

// seat is an element's weight and, while that is positive, its place in its group.
type seat struct {
	weight int64
	at     int
}

func newSide[K, E comparable](op string, by func(E) K) *side[K, E] {
	return &side[K, E]{op: op, by: by, held: make(map[E]seat), groups: make(map[K][]E)}
}

// admit is weights.admit.
func (s *side[K, E]) admit(in []Weighted[E]) error {
	return admit(&s.changed, in, func(e E) int64 { return s.held[e].weight })
}

// cross takes a change of weight and returns +1 and the key when the element enters the collection, -1
// and the key when it leaves, else 0.
func (s *side[K, E]) cross(it Weighted[E], steps *int64) (k K, d int) {
	*steps++
	was := s.held[it.Elem]
	is := seat{was.weight + it.Weight, was.at}
	switch {
	case was.weight <= 0 && is.weight > 0:
		*steps++
		k, d = s.by(it.Elem), +1
		mustFind(k, s.op)
		is.at = len(s.groups[k])
		s.groups[k] = append(s.groups[k], it.Elem)
		s.n++
	case was.weight > 0 && is.weight <= 0:
		*steps += 2
		k, d = s.by(it.Elem), -1
		s.vacate(k, it.Elem, was.at)
		is.at = 0
		s.n--
	}
	if is.weight == 0 {
		delete(s.held, it.Elem)
	} else {
		s.held[it.Elem] = is
	}
	return k, d
}

// vacate takes e out of its group; the last of the group takes its place.
func (s *side[K, E]) vacate(k K, e E, at int) {
	g := s.groups[k]
	if at >= len(g) || g[at] != e {
		panic(notPure(s.op))
	}
	last := len(g) - 1
	if at != last {
		moved := g[last]
		g[at] = moved
		s.held[moved] = seat{s.held[moved].weight, at}
	}
	var none E
	g[last] = none
	switch g = g[:last]; {
	case last == 0:
		delete(s.groups, k)
	case cap(g) > 32 && last < cap(g)/4: // what a group once was must not be held for ever
		s.groups[k] = append(make([]E, 0, 2*last), g...)
	default:
		s.groups[k] = g
	}
}

func (s *side[K, E]) all() iter.Seq[Weighted[E]] {
	return func(yield func(Weighted[E]) bool) {
		for e, at := range s.held {
			if !yield(Weighted[E]{e, at.weight}) {
				return
			}
		}
	}
}

func (s *side[K, E]) entries() int { return len(s.held) + s.n + len(s.groups) }

// notPure is what operators panic with when they cannot find what they put away: carrying on would let
// the view drift away in silence.
func notPure(op string) string {
	return "flow: a function given to " + op + " is not pure: an element that entered a group is looked for in another"
}
