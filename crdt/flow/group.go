package flow

import (
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// group is what a fold holds of one group of elements, and its value.
type group[E, V any] interface {
	enter(e E, steps *int64)
	leave(e E, steps *int64) (found bool)
	empty() bool
	value() V // of a group that is not empty
}

// groupFold folds each group of elements to a value: one entry for every group that is not empty. An
// element counts once, whatever its weight.
type groupFold[K, E, V comparable] struct {
	op      string // for messages
	by      func(E) K
	fresh   func(g *groupFold[K, E, V]) group[E, V]
	indexed bool // groups hold each of their elements
	codec   crdt.Codec[E]

	seen   weights[E] // distinct
	groups map[K]group[E, V]
}

// buildFold returns a Spec's build for a fold over groups.
func buildFold[K, E, V comparable](op string, by func(E) K, indexed bool, fresh func(*groupFold[K, E, V]) group[E, V]) func([]any, any) (engine, error) {
	return buildStage(func() core[E, Entry[K, V]] {
		return &groupFold[K, E, V]{op: op, by: by, indexed: indexed, fresh: fresh, groups: make(map[K]group[E, V])}
	})
}

func (f *groupFold[K, E, V]) bind(in crdt.Codec[E], _ crdt.Codec[Entry[K, V]]) { f.codec = in }

// valueBefore is a group's value before a batch, if it had one.
type valueBefore[V any] struct {
	value V
	was   bool
}

func (f *groupFold[K, E, V]) apply(in []Weighted[E], steps *int64) ([]Weighted[Entry[K, V]], error) {
	if err := f.seen.admit(in); err != nil {
		return nil, err
	}
	before := make(map[K]valueBefore[V]) // of the groups that this batch touches
	for _, it := range in {
		*steps++
		d := f.seen.cross(it.Elem, it.Weight)
		if d == 0 {
			continue
		}
		*steps++
		k := f.by(it.Elem)
		g, ok := f.groups[k]
		if _, touched := before[k]; !touched {
			var v valueBefore[V]
			if ok {
				v = valueBefore[V]{g.value(), true}
			}
			before[k] = v
		}
		if d > 0 {
			if !ok {
				mustFind(k, f.op)
				g = f.fresh(f)
				f.groups[k] = g
			}
			g.enter(it.Elem, steps)
			continue
		}
		if !ok || !g.leave(it.Elem, steps) {
			panic(notPure(f.op))
		}
		if g.empty() {
			delete(f.groups, k)
		}
	}
	return f.replaced(before, steps), nil
}

// replaced gives the old entry of each group that changed to death and the new one to birth.
func (f *groupFold[K, E, V]) replaced(before map[K]valueBefore[V], steps *int64) []Weighted[Entry[K, V]] {
	out := make([]Weighted[Entry[K, V]], 0, 2*len(before))
	for k, old := range before {
		*steps++
		g, is := f.groups[k]
		var v V
		if is {
			v = g.value()
		}
		if is == old.was && v == old.value {
			continue
		}
		if old.was {
			out = append(out, Weighted[Entry[K, V]]{Entry[K, V]{k, old.value}, -1})
		}
		if is {
			out = append(out, Weighted[Entry[K, V]]{Entry[K, V]{k, v}, +1})
		}
	}
	return out
}

func (f *groupFold[K, E, V]) kept() iter.Seq[Weighted[E]] { return f.seen.all() }

func (f *groupFold[K, E, V]) all() iter.Seq[Weighted[Entry[K, V]]] {
	return func(yield func(Weighted[Entry[K, V]]) bool) {
		for k, g := range f.groups {
			if !yield(Weighted[Entry[K, V]]{Entry[K, V]{k, g.value()}, 1}) {
				return
			}
		}
	}
}

func (f *groupFold[K, E, V]) len() int { return len(f.groups) }

func (f *groupFold[K, E, V]) entries() int {
	n := len(f.seen.of) + len(f.groups)
	if f.indexed {
		n += f.seen.positive
	}
	return n
}
