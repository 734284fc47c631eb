package flow

import (
	"fmt"
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// Materialized is what a follower of a node keeps: the collection, from its snapshots and changes. The
// zero value is not usable. It must not be used by two goroutines at once.
type Materialized[E comparable] struct {
	codec crdt.Codec[E]
	view  weights[E]
}

// NewMaterialized returns an empty collection of a node whose elements have codec c.
func NewMaterialized[E comparable](c crdt.Codec[E]) *Materialized[E] {
	return &Materialized[E]{codec: c}
}

// Apply takes a change and returns the elements that came into the collection and those that left it,
// each in the order of the batch. After an error, a *BatchError or a *WeightError, nothing has changed. It
// costs O(change).
func (m *Materialized[E]) Apply(batch []byte) (born, died []E, err error) {
	items, err := decodeInput(nil, batch, m.codec)
	if err == nil {
		err = m.view.admit(items)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, it := range items {
		switch m.view.cross(it.Elem, it.Weight) {
		case +1:
			born = append(born, it.Elem)
		case -1:
			died = append(died, it.Elem)
		}
	}
	return born, died, nil
}

// Reset puts the collection that snapshots hold, as Operator.Snapshot gives them, in the place of what
// was there, and returns the elements that came and those that left, each in the order of their
// encodings. After an error, which wraps a *BatchError or a *WeightError, nothing has changed.
func (m *Materialized[E]) Reset(snapshots [][]byte) (born, died []E, err error) {
	var next weights[E]
	for i, batch := range snapshots {
		items, err := decodeInput(nil, batch, m.codec)
		if err == nil {
			err = next.admit(items)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("flow: snapshot batch %d of %d: %w", i+1, len(snapshots), err)
		}
		for _, it := range items {
			next.add(it.Elem, it.Weight)
		}
	}
	old := m.view
	m.view = next
	return m.missing(next, old), m.missing(old, next), nil
}

// missing returns the elements of a that are not in b, in the order of their encodings.
func (m *Materialized[E]) missing(a, b weights[E]) []E {
	var only []E
	for e, w := range a.of {
		if w > 0 && b.of[e] <= 0 {
			only = append(only, e)
		}
	}
	sortByBytes(only, m.codec)
	return only
}

// All yields the elements, in no order; see Sorted. The collection must not change meanwhile.
func (m *Materialized[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for e, w := range m.view.of {
			if w > 0 && !yield(e) {
				return
			}
		}
	}
}

// Sorted returns the elements in the order of their encodings, which equal collections share. It costs
// O(n log n), and an encoding of each.
func (m *Materialized[E]) Sorted() []E {
	all := make([]E, 0, m.Len())
	for e := range m.All() {
		all = append(all, e)
	}
	sortByBytes(all, m.codec)
	return all
}

// Len returns how many elements are in the collection.
func (m *Materialized[E]) Len() int { return m.view.positive }

// Contains says whether e is in the collection.
func (m *Materialized[E]) Contains(e E) bool { return m.view.of[e] > 0 }

// Weight returns the number of supports of e, 0 when it is not in the collection.
func (m *Materialized[E]) Weight(e E) int64 { return max(0, m.view.of[e]) }
