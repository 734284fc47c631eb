package flow

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// TopBy groups the elements of in and keeps the n greatest of each group by cmp; of elements for which
// cmp returns 0, the one with the lesser encoding comes first. An element counts once, whatever its
// weight. by and cmp must be pure, and cmp a weak order. A change costs O(log g) in a group of g, and
// moves at most one other element in or out.
//
// Such an aggregate has no inverse ("Data Cube", Gray et al., 1997, on deletes and holistic functions), so all
// of a group is held, in two AVL trees ("An algorithm for the organization of information", Adelson-Velsky and
// Landis, 1962): the n greatest, and the rest, whose greatest is next.
func TopBy[K, E comparable](name string, in Node[E], by func(E) K, n int, cmp func(a, b E) int) Node[Entry[K, E]] {
	s := declare("top-by", name, in.spec)
	s.param = fmt.Sprintf("n=%d", n)
	s.refuse(by == nil || cmp == nil, "one of its functions is nil")
	s.refuse(n < 1, fmt.Sprintf("it keeps the %d greatest of each group; it must keep at least 1", n))
	s.build = buildTop("TopBy", by, n, cmp)
	return Node[Entry[K, E]]{s}
}

// MaxBy groups the elements of in and keeps the greatest of each group by cmp; of several, the one with
// the least encoding. An element counts once, whatever its weight. by and cmp must be pure, and cmp a
// weak order. A change costs O(log g) in a group of g. It is TopBy of one, with the same source.
func MaxBy[K, E comparable](name string, in Node[E], by func(E) K, cmp func(a, b E) int) Node[Entry[K, E]] {
	s := declare("max-by", name, in.spec)
	s.refuse(by == nil || cmp == nil, "one of its functions is nil")
	s.build = buildTop("MaxBy", by, 1, cmp)
	return Node[Entry[K, E]]{s}
}

// MinBy groups the elements of in and keeps the least of each group by cmp; of several, the one with the
// least encoding. It is otherwise as MaxBy.
func MinBy[K, E comparable](name string, in Node[E], by func(E) K, cmp func(a, b E) int) Node[Entry[K, E]] {
	s := declare("min-by", name, in.spec)
	s.refuse(by == nil || cmp == nil, "one of its functions is nil")
	s.build = buildTop("MinBy", by, 1, func(a, b E) int { return cmp(b, a) })
	return Node[Entry[K, E]]{s}
}

func buildTop[K, E comparable](op string, by func(E) K, n int, cmp func(a, b E) int) func([]any, any) (engine, error) {
	return buildStage(func() core[E, Entry[K, E]] {
		return &topBy[K, E]{op: op, by: by, n: n, cmp: cmp, groups: make(map[K]*ranked[E])}
	})
}

type topBy[K, E comparable] struct {
	op     string // for messages
	by     func(E) K
	n      int
	cmp    func(a, b E) int
	codec  crdt.Codec[E]
	seen   weights[E] // distinct
	groups map[K]*ranked[E]
	tops   int // sum of the sizes of all tops

	a, b []byte // encodings of elements that cmp does not tell apart
}

// ranked is a group: every element of top precedes every one of rest, which is empty unless top is full.
type ranked[E any] struct{ top, rest tree[E] }

func (t *topBy[K, E]) bind(in crdt.Codec[E], _ crdt.Codec[Entry[K, E]]) { t.codec = in }

// order is total: cmp, then the lesser encoding is the greater element.
func (t *topBy[K, E]) order(a, b E) int {
	if a == b {
		return 0
	}
	if c := t.cmp(a, b); c != 0 {
		return c
	}
	t.a = t.codec.Append(t.a[:0], a)
	t.b = t.codec.Append(t.b[:0], b)
	return bytes.Compare(t.b, t.a)
}

func (t *topBy[K, E]) apply(in []Weighted[E], steps *int64) ([]Weighted[Entry[K, E]], error) {
	if err := t.seen.admit(in); err != nil {
		return nil, err
	}
	var out []Weighted[Entry[K, E]]
	for _, it := range in {
		*steps++
		switch t.seen.cross(it.Elem, it.Weight) {
		case +1:
			out = t.enter(out, it.Elem, steps)
		case -1:
			out = t.leave(out, it.Elem, steps)
		}
	}
	return out, nil
}

func (t *topBy[K, E]) enter(out []Weighted[Entry[K, E]], e E, steps *int64) []Weighted[Entry[K, E]] {
	*steps++
	k := t.by(e)
	g := t.groups[k]
	if g == nil {
		mustFind(k, t.op)
		g = new(ranked[E])
		t.groups[k] = g
	}
	if g.top.n == t.n {
		last := g.top.min(steps)
		if t.order(e, last) < 0 {
			g.rest.insert(e, t.order, steps)
			return out
		}
		t.remove(&g.top, last, steps)
		g.rest.insert(last, t.order, steps)
		t.tops--
		out = append(out, Weighted[Entry[K, E]]{Entry[K, E]{k, last}, -1})
	}
	g.top.insert(e, t.order, steps)
	t.tops++
	return append(out, Weighted[Entry[K, E]]{Entry[K, E]{k, e}, +1})
}

func (t *topBy[K, E]) leave(out []Weighted[Entry[K, E]], e E, steps *int64) []Weighted[Entry[K, E]] {
	*steps++
	k := t.by(e)
	g := t.groups[k]
	if g == nil {
		panic(notPure(t.op))
	}
	if t.order(e, g.top.min(steps)) < 0 {
		t.remove(&g.rest, e, steps)
		return out
	}
	t.remove(&g.top, e, steps)
	t.tops--
	out = append(out, Weighted[Entry[K, E]]{Entry[K, E]{k, e}, -1})
	if g.rest.n > 0 {
		next := g.rest.max(steps)
		t.remove(&g.rest, next, steps)
		g.top.insert(next, t.order, steps)
		t.tops++
		out = append(out, Weighted[Entry[K, E]]{Entry[K, E]{k, next}, +1})
	}
	if g.top.n == 0 {
		delete(t.groups, k)
	}
	return out
}

// remove takes out an element that is there if the functions keep their promises; carrying on without it
// would let the view drift away in silence.
func (t *topBy[K, E]) remove(from *tree[E], e E, steps *int64) {
	if !from.remove(e, t.order, steps) {
		panic("flow: a function given to " + t.op + " is not pure, or its cmp is no order: an element that is there was not found")
	}
}

func (t *topBy[K, E]) kept() iter.Seq[Weighted[E]] { return t.seen.all() }

func (t *topBy[K, E]) all() iter.Seq[Weighted[Entry[K, E]]] {
	return func(yield func(Weighted[Entry[K, E]]) bool) {
		for k, g := range t.groups {
			if !g.top.each(func(e E) bool { return yield(Weighted[Entry[K, E]]{Entry[K, E]{k, e}, 1}) }) {
				return
			}
		}
	}
}

func (t *topBy[K, E]) len() int { return t.tops }

func (t *topBy[K, E]) entries() int {
	// Every distinct element is in exactly one tree.
	return len(t.seen.of) + t.seen.positive + len(t.groups)
}
