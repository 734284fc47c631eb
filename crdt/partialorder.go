package crdt

import (
	"container/heap"
	"fmt"
	"iter"
	"slices"
)

// Position is a place in a [PartialOrder]: an element, the start or the end.
type Position[E comparable] struct {
	kind uint8 // 0 start, 1 element, 2 end
	e    E
}

// Start is before all elements.
func Start[E comparable]() Position[E] { return Position[E]{} }

// At is the position of an element.
func At[E comparable](e E) Position[E] { return Position[E]{1, e} }

// End is after all elements.
func End[E comparable]() Position[E] { return Position[E]{kind: 2} }

// String prints the element, ⊢ or ⊣.
func (p Position[E]) String() string {
	switch p.kind {
	case 0:
		return "⊢"
	case 1:
		return fmt.Sprint(p.e)
	default:
		return "⊣"
	}
}

// NotBefore is the error of adding an element between positions that are not in this order.
type NotBefore[E comparable] struct{ After, Before Position[E] }

// Error says which positions.
func (e *NotBefore[E]) Error() string {
	return fmt.Sprintf("crdt: %v is not before %v: name positions in their order", e.After, e.Before)
}

// AddedBefore is the error of adding an element that has a place, or was removed.
type AddedBefore[E comparable] struct{ Element E }

// Error says which element, and what to do.
func (e *AddedBefore[E]) Error() string {
	return fmt.Sprintf("crdt: element %v has been added before: elements are added once, under names of their own", e.Element)
}

// orderFact is that e was placed between two positions, or removed.
type orderFact[E comparable] struct {
	e             E
	gone          bool
	after, before Position[E]
}

// PartialOrder is an add-remove partial order: elements are added between two others, and stay after the one
// and before the other whatever else happens; a remove takes an element out for good and leaves the order of
// the rest as it is. This is the add-remove partial order, specification 19 of "A comprehensive study of
// Convergent and Commutative Replicated Data Types" (Shapiro, Preguiça, Baquero, Zawirski, 2011): a
// two-phase set of elements and a grow-only set of edges, so removed elements stay as tombstones.
//
// Elements have names of their own: each is added once. Two replicas that add one element at the same time,
// at places that contradict each other, put it before and after the same; All then still yields each
// element once, in an order that is the same everywhere.
//
// Orders are made by NewPartialOrder; nil may be read as empty. Not safe for concurrent use when anyone
// changes it.
type PartialOrder[E comparable] struct {
	facts phases[orderFact[E]]
	// Of what facts say: elements that were placed, elements that were removed, and what is next to each.
	placed, gone map[E]struct{}
	next         map[E][]E
}

// NewPartialOrder returns an empty order. The codec serves Hash, Digest and All.
func NewPartialOrder[E comparable](elements Codec[E]) *PartialOrder[E] {
	return &PartialOrder[E]{facts: phases[orderFact[E]]{codec: orderFactCodec(elements)}}
}

func (o *PartialOrder[E]) inner() *phases[orderFact[E]] {
	if o == nil {
		return nil
	}
	return &o.facts
}

// orderOf returns the order of facts, nil when they are.
func orderOf[E comparable](facts *phases[orderFact[E]]) *PartialOrder[E] {
	if facts == nil {
		return nil
	}
	o := &PartialOrder[E]{facts: *facts}
	for f := range facts.entries {
		o.note(f)
	}
	return o
}

// note takes up a fact that is new.
func (o *PartialOrder[E]) note(f orderFact[E]) {
	if o.placed == nil {
		o.placed, o.gone, o.next = map[E]struct{}{}, map[E]struct{}{}, map[E][]E{}
	}
	if f.gone {
		o.gone[f.e] = struct{}{}
		return
	}
	o.placed[f.e] = struct{}{}
	if f.after.kind == 1 {
		o.next[f.after.e] = append(o.next[f.after.e], f.e)
	}
	if f.before.kind == 1 {
		o.next[f.e] = append(o.next[f.e], f.before.e)
	}
}

func (o *PartialOrder[E]) fact(f orderFact[E]) *PartialOrder[E] {
	facts := o.facts.like()
	facts.raise(f, false)
	return o.Join(orderOf(facts))
}

// Add places e after one position and before another and returns the delta. An element that was added or
// removed before gives an *AddedBefore, a position that is not there a *MissingVertex, positions that are
// not in order a *NotBefore. An element that is not equal to itself, as NaN, panics. O(elements and edges between them).
func (o *PartialOrder[E]) Add(e E, after, before Position[E]) (*PartialOrder[E], error) {
	mustEqualItself(e)
	_, placed := o.placed[e]
	if _, gone := o.gone[e]; placed || gone {
		return nil, &AddedBefore[E]{e}
	}
	for _, p := range []Position[E]{after, before} {
		if p.kind == 1 && !o.Contains(p.e) {
			return nil, &MissingVertex[E]{p.e}
		}
	}
	if !o.Before(after, before) {
		return nil, &NotBefore[E]{after, before}
	}
	return o.fact(orderFact[E]{e: e, after: after, before: before}), nil
}

// Remove takes out e for good and returns the delta. An element that is not there gives a *MissingVertex.
func (o *PartialOrder[E]) Remove(e E) (*PartialOrder[E], error) {
	if !o.Contains(e) {
		return nil, &MissingVertex[E]{e}
	}
	return o.fact(orderFact[E]{e: e, gone: true}), nil
}

// Contains says whether e is in the order.
func (o *PartialOrder[E]) Contains(e E) bool {
	if o == nil {
		return false
	}
	_, placed := o.placed[e]
	_, gone := o.gone[e]
	return placed && !gone
}

// Before says whether a comes before b: by where they, or what was between them, were added. Positions that
// are not ordered come in neither order. It costs O(elements after a, and edges between them).
func (o *PartialOrder[E]) Before(a, b Position[E]) bool {
	if a.kind != 1 || b.kind != 1 {
		return a.kind < b.kind
	}
	if o == nil {
		return false
	}
	seen := map[E]struct{}{}
	for todo := []E{a.e}; len(todo) > 0; {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, n := range o.next[e] {
			if n == b.e {
				return true
			}
			if _, ok := seen[n]; !ok {
				seen[n] = struct{}{}
				todo = append(todo, n)
			}
		}
	}
	return false
}

// All yields the elements in an order that keeps the partial one, the same at every replica: of elements of
// which none has to come first, that with the smallest bytes. O(n log n).
func (o *PartialOrder[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, e := range o.line() {
			if o.Contains(e) && !yield(e) {
				return
			}
		}
	}
}

// line returns all elements that were ever named, in order.
func (o *PartialOrder[E]) line() []E {
	if o.IsEmpty() {
		return nil
	}
	names := map[E][]byte{}
	name := func(e E) {
		if _, ok := names[e]; !ok {
			names[e] = o.facts.codec.Append(nil, orderFact[E]{e: e, gone: true})
		}
	}
	before := map[E]int{} // how many edges come in
	for e := range o.placed {
		name(e)
	}
	for e, ns := range o.next {
		name(e)
		for _, n := range ns {
			name(n)
			before[n]++
		}
	}
	rest := make([]E, 0, len(names))
	for e := range names {
		rest = append(rest, e)
	}
	byName := func(a, b E) int { return slices.Compare(names[a], names[b]) }
	slices.SortFunc(rest, byName)
	ready := &elementHeap[E]{compare: byName}
	for _, e := range rest {
		if before[e] == 0 {
			ready.es = append(ready.es, e) // sorted, so a heap
		}
	}
	line := make([]E, 0, len(names))
	done := map[E]struct{}{}
	for len(line) < len(names) {
		if len(ready.es) == 0 { // a contradiction: begin it with the smallest
			for len(rest) > 0 {
				e := rest[0]
				rest = rest[1:]
				if _, ok := done[e]; !ok {
					ready.es = append(ready.es, e)
					break
				}
			}
		}
		e := heap.Pop(ready).(E)
		if _, ok := done[e]; ok {
			continue
		}
		done[e] = struct{}{}
		line = append(line, e)
		for _, n := range o.next[e] {
			if before[n]--; before[n] == 0 {
				heap.Push(ready, n)
			}
		}
	}
	return line
}

// elementHeap is a heap of elements.
type elementHeap[E any] struct {
	es      []E
	compare func(a, b E) int
}

func (h *elementHeap[E]) Len() int           { return len(h.es) }
func (h *elementHeap[E]) Less(i, j int) bool { return h.compare(h.es[i], h.es[j]) < 0 }
func (h *elementHeap[E]) Swap(i, j int)      { h.es[i], h.es[j] = h.es[j], h.es[i] }
func (h *elementHeap[E]) Push(e any)         { h.es = append(h.es, e.(E)) }
func (h *elementHeap[E]) Pop() any {
	e := h.es[len(h.es)-1]
	h.es = h.es[:len(h.es)-1]
	return e
}

// Join implements Lattice. O(facts of delta).
func (o *PartialOrder[E]) Join(delta *PartialOrder[E]) *PartialOrder[E] {
	if delta == nil || o == delta {
		return nil
	}
	news := o.facts.join(&delta.facts)
	for f := range news.list() {
		o.note(f)
	}
	return orderOf(news)
}

// LessOrEqual implements Lattice.
func (o *PartialOrder[E]) LessOrEqual(p *PartialOrder[E]) bool {
	return o.inner().lessOrEqual(p.inner())
}

// Equal implements Lattice.
func (o *PartialOrder[E]) Equal(p *PartialOrder[E]) bool { return o.inner().equal(p.inner()) }

// Clone implements Lattice.
func (o *PartialOrder[E]) Clone() *PartialOrder[E] { return orderOf(o.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever added.
func (o *PartialOrder[E]) IsEmpty() bool { return o.Size() == 0 }

// Size returns the number of adds and removes that there ever were.
func (o *PartialOrder[E]) Size() int { return o.inner().size() }

// Hash implements Lattice. It encodes everything.
func (o *PartialOrder[E]) Hash() uint64 { return o.inner().hash() }

// Digest implements Lattice. Up to 256 adds and removes it has 8 bytes for each, beyond about half a
// byte.
func (o *PartialOrder[E]) Digest() []byte { return o.inner().digest() }

// Since implements Lattice: exactly, or to a digest of more than 256 adds and removes all of the buckets
// that differ.
func (o *PartialOrder[E]) Since(digest []byte) (*PartialOrder[E], error) {
	facts, err := o.inner().since(digest)
	return orderOf(facts), err
}

// Parts implements Lattice: each add and each remove by itself.
func (o *PartialOrder[E]) Parts() []*PartialOrder[E] { return convert(o.inner().parts(), orderOf[E]) }

// String prints up to 16 elements in the order of All.
func (o *PartialOrder[E]) String() string { return "PartialOrder" + printed(o.All()) }

// MarshalJSON writes an array of the elements in the order of All.
func (o *PartialOrder[E]) MarshalJSON() ([]byte, error) { return marshalItems(o.All()) }
