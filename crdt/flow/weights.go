package flow

import (
	"cmp"
	"iter"
)

// weights is a collection: the weight of every element whose weight is not zero.
type weights[E comparable] struct {
	of       map[E]int64
	positive int // elements that are in the collection
	changed  changes

	everySupport bool // in tests: cross tells of every change, as if there were no distinct
}

// admit is whether changes of weight may be made; after an error, a *WeightError, they must not be.
func (s *weights[E]) admit(in []Weighted[E]) error {
	return admit(&s.changed, in, func(e E) int64 { return s.of[e] })
}

// add changes the weight of e and returns what it was and what it is.
func (s *weights[E]) add(e E, change int64) (was, is int64) {
	was = s.of[e]
	is = was + change
	switch {
	case is == 0:
		delete(s.of, e)
	case s.of == nil:
		s.of = map[E]int64{e: is}
	default:
		s.of[e] = is
	}
	switch {
	case was <= 0 && is > 0:
		s.positive++
	case was > 0 && is <= 0:
		s.positive--
	}
	return was, is
}

// cross is add for those who count an element once however many supports it has: it returns +1 when e
// enters the collection, -1 when it leaves, else 0.
func (s *weights[E]) cross(e E, change int64) int {
	was, is := s.add(e, change)
	switch {
	case s.everySupport:
		return cmp.Compare(change, 0)
	case was <= 0 && is > 0:
		return +1
	case was > 0 && is <= 0:
		return -1
	default:
		return 0
	}
}

// all yields every element of weight other than zero, in no order.
func (s *weights[E]) all() iter.Seq[Weighted[E]] {
	return func(yield func(Weighted[E]) bool) {
		for e, w := range s.of {
			if !yield(Weighted[E]{e, w}) {
				return
			}
		}
	}
}
