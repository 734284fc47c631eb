package flow

import "iter"

// Map is the collection of f(e) for the elements e of in. f need not be injective: an element of the
// output has the weights of all that are mapped to it, and stays while one of them does. f must be pure.
// A change costs O(1).
//
// It is projection with the counts of derivations of "Maintaining Views Incrementally" (Gupta, Mumick,
// Subrahmanian, SIGMOD 1993), and a linear operator of "DBSP" (Budiu et al., VLDB 2023, section 4).
func Map[A, B comparable](name string, in Node[A], f func(A) B) Node[B] {
	s := declare("map", name, in.spec)
	s.refuse(f == nil, "its function is nil")
	s.build = buildStage(func() core[A, B] {
		return &linear[A, B]{f: func(a A) (B, bool) { return f(a), true }}
	})
	return Node[B]{s}
}

// FlatMap is the collection of what f(e) yields for the elements e of in. An element of the output has
// the weights of all that yield it, as often as they do, and stays while one of them does. f must be
// pure, and what it returns finite and the same each time. A change costs O(what f yields). It is a linear
// operator of "DBSP", as Map is.
func FlatMap[A, B comparable](name string, in Node[A], f func(A) iter.Seq[B]) Node[B] {
	s := declare("flat-map", name, in.spec)
	s.refuse(f == nil, "its function is nil")
	s.build = buildStage(func() core[A, B] { return &flat[A, B]{f: f} })
	return Node[B]{s}
}

// Filter is the collection of the elements of in that keep returns true for. keep must be pure. A change
// costs O(1). It is selection, a linear operator of "DBSP" (Budiu et al., VLDB 2023, section 4).
func Filter[E comparable](name string, in Node[E], keep func(E) bool) Node[E] {
	s := declare("filter", name, in.spec)
	s.refuse(keep == nil, "its function is nil")
	s.build = buildStage(func() core[E, E] {
		return &linear[E, E]{f: func(e E) (E, bool) { return e, keep(e) }}
	})
	return Node[E]{s}
}

// Union is the collection of the elements that are in any of ins. An element has the sum of its weights
// there, so it stays while one of them holds it. A change costs O(1). It is the sum of Z-sets in "DBSP" (Budiu
// et al., VLDB 2023, section 4), without the distinct that ends it there.
func Union[E comparable](name string, ins ...Node[E]) Node[E] {
	specs := make([]*Spec, len(ins))
	for i, in := range ins {
		specs[i] = in.spec
	}
	s := declare("union", name, specs...)
	s.refuse(len(ins) == 0, "it has no input; a union needs at least one")
	s.build = buildStage(identity[E])
	return Node[E]{s}
}

func identity[E comparable]() core[E, E] {
	return &linear[E, E]{f: func(e E) (E, bool) { return e, true }}
}

// linear passes weights on element by element. Its only state is its output, which cannot be enumerated
// from anything else.
type linear[A, B comparable] struct {
	f    func(A) (B, bool)
	view weights[B]
}

func (l *linear[A, B]) apply(in []Weighted[A], steps *int64) ([]Weighted[B], error) {
	out := make([]Weighted[B], 0, len(in))
	for _, it := range in {
		if e, ok := l.f(it.Elem); ok {
			out = append(out, Weighted[B]{e, it.Weight})
		}
	}
	*steps += int64(len(in) + len(out))
	return out, l.load(out)
}

// load adds to the view; after an error, a *WeightError, it has not.
func (l *linear[A, B]) load(more []Weighted[B]) error {
	if err := l.view.admit(more); err != nil {
		return err
	}
	for _, it := range more {
		l.view.add(it.Elem, it.Weight)
	}
	return nil
}

func (l *linear[A, B]) all() iter.Seq[Weighted[B]] { return l.view.all() }
func (l *linear[A, B]) len() int                   { return l.view.positive }
func (l *linear[A, B]) entries() int               { return len(l.view.of) }

// flat is linear with any number of elements for one.
type flat[A, B comparable] struct {
	linear[A, B] // the view; its f is not used
	f            func(A) iter.Seq[B]
}

func (l *flat[A, B]) apply(in []Weighted[A], steps *int64) ([]Weighted[B], error) {
	var out []Weighted[B]
	for _, it := range in {
		for e := range l.f(it.Elem) {
			out = append(out, Weighted[B]{e, it.Weight})
		}
	}
	*steps += int64(len(in) + len(out))
	return out, l.load(out)
}
