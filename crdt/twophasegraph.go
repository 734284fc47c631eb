package crdt

import (
	"fmt"
	"iter"
)

// VertexInUse is the error of removing a vertex that has an edge.
type VertexInUse[V comparable] struct {
	Vertex V
	Edge   Edge[V]
}

// Error says which vertex and edge, and what to do.
func (e *VertexInUse[V]) Error() string {
	return fmt.Sprintf("crdt: vertex %v has edge %v→%v: remove the edge first", e.Vertex, e.Edge.From, e.Edge.To)
}

// MissingEdge is the error of removing an edge that is not in the graph.
type MissingEdge[V comparable] struct{ Edge Edge[V] }

// Error says which edge.
func (e *MissingEdge[V]) Error() string {
	return fmt.Sprintf("crdt: edge %v→%v is not in the graph", e.Edge.From, e.Edge.To)
}

// RemovedForGood is the error of adding what was removed from a state in which removes are final.
type RemovedForGood[T comparable] struct{ Item T }

// Error says what was removed, and what to do.
func (e *RemovedForGood[T]) Error() string {
	return fmt.Sprintf("crdt: %v was removed, for good: add it under another name", e.Item)
}

// TwoPhaseGraph is a directed graph in which vertices and edges are added once and removed once: removes are
// final and win. It needs no dots, and tombstones stay. An edge is in the graph while neither it nor one of
// its ends was removed: a remove of a vertex hides an edge that was added at the same time. This is the
// 2P2P-graph, specification 16 of "A comprehensive study of Convergent and Commutative Replicated Data
// Types" (Shapiro, Preguiça, Baquero, Zawirski, 2011).
//
// Graphs are made by NewTwoPhaseGraph; nil may be read as empty. Not safe for concurrent use when anyone
// changes it. Memory is a map's entry for each item ever added. A vertex that is not equal to itself, as NaN,
// panics.
type TwoPhaseGraph[V comparable] struct{ items phases[graphItem[V]] }

// NewTwoPhaseGraph returns an empty graph. The codec serves Hash, Digest and the order of iteration.
func NewTwoPhaseGraph[V comparable](vertices Codec[V]) *TwoPhaseGraph[V] {
	return &TwoPhaseGraph[V]{phases[graphItem[V]]{codec: graphItemCodec(vertices)}}
}

func (g *TwoPhaseGraph[V]) inner() *phases[graphItem[V]] {
	if g == nil {
		return nil
	}
	return &g.items
}

func (g *TwoPhaseGraph[V]) raise(e graphItem[V], removed bool) *TwoPhaseGraph[V] {
	return twoPhased(g.items.raiseAll([]graphItem[V]{e}, removed))
}

// AddVertex adds v and returns the delta, nil when it is there. One that was removed gives a
// *RemovedForGood[V].
func (g *TwoPhaseGraph[V]) AddVertex(v V) (*TwoPhaseGraph[V], error) {
	mustEqualItself(v)
	if g.items.isRemoved(vertex(v)) {
		return nil, &RemovedForGood[V]{v}
	}
	return g.raise(vertex(v), false), nil
}

// RemoveVertex removes v for good and returns the delta. One that is not there gives a *MissingVertex, one
// that has an edge a *VertexInUse. O(n).
func (g *TwoPhaseGraph[V]) RemoveVertex(v V) (*TwoPhaseGraph[V], error) {
	if !g.HasVertex(v) {
		return nil, &MissingVertex[V]{v}
	}
	for e := range g.items.entries {
		if (e.from == v || e.to == v) && g.HasEdge(e.from, e.to) && e.edge {
			return nil, &VertexInUse[V]{v, Edge[V]{e.from, e.to}}
		}
	}
	return g.raise(vertex(v), true), nil
}

// AddEdge adds an edge and returns the delta, nil when it is there. A missing end gives a *MissingVertex, an
// edge that was removed a *RemovedForGood[Edge[V]].
func (g *TwoPhaseGraph[V]) AddEdge(from, to V) (*TwoPhaseGraph[V], error) {
	for _, v := range []V{from, to} {
		if !g.HasVertex(v) {
			return nil, &MissingVertex[V]{v}
		}
	}
	if g.items.isRemoved(edgeOf(from, to)) {
		return nil, &RemovedForGood[Edge[V]]{Edge[V]{from, to}}
	}
	return g.raise(edgeOf(from, to), false), nil
}

// RemoveEdge removes an edge for good and returns the delta. One that is not there gives a *MissingEdge.
func (g *TwoPhaseGraph[V]) RemoveEdge(from, to V) (*TwoPhaseGraph[V], error) {
	if !g.HasEdge(from, to) {
		return nil, &MissingEdge[V]{Edge[V]{from, to}}
	}
	return g.raise(edgeOf(from, to), true), nil
}

// HasVertex says whether v is in the graph.
func (g *TwoPhaseGraph[V]) HasVertex(v V) bool { return g.inner().contains(vertex(v)) }

// HasEdge says whether the edge is in the graph, with both its ends.
func (g *TwoPhaseGraph[V]) HasEdge(from, to V) bool {
	return g.inner().contains(edgeOf(from, to)) && g.HasVertex(from) && g.HasVertex(to)
}

// Vertices yields the vertices by their bytes. O(n log n).
func (g *TwoPhaseGraph[V]) Vertices() iter.Seq[V] {
	return func(yield func(V) bool) {
		for e := range g.inner().all() {
			if !e.edge && !yield(e.from) {
				return
			}
		}
	}
}

// Edges yields the edges by their bytes. O(n log n).
func (g *TwoPhaseGraph[V]) Edges() iter.Seq[Edge[V]] {
	return func(yield func(Edge[V]) bool) {
		for e := range g.inner().all() {
			if e.edge && g.HasEdge(e.from, e.to) && !yield(Edge[V]{e.from, e.to}) {
				return
			}
		}
	}
}

// Join implements Lattice. O(items of delta).
func (g *TwoPhaseGraph[V]) Join(delta *TwoPhaseGraph[V]) *TwoPhaseGraph[V] {
	if delta == nil || g == delta {
		return nil
	}
	return twoPhased(g.items.join(&delta.items))
}

func twoPhased[V comparable](items *phases[graphItem[V]]) *TwoPhaseGraph[V] {
	if items == nil {
		return nil
	}
	return &TwoPhaseGraph[V]{*items}
}

// LessOrEqual implements Lattice.
func (g *TwoPhaseGraph[V]) LessOrEqual(o *TwoPhaseGraph[V]) bool {
	return g.inner().lessOrEqual(o.inner())
}

// Equal implements Lattice.
func (g *TwoPhaseGraph[V]) Equal(o *TwoPhaseGraph[V]) bool { return g.inner().equal(o.inner()) }

// Clone implements Lattice.
func (g *TwoPhaseGraph[V]) Clone() *TwoPhaseGraph[V] { return twoPhased(g.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever added.
func (g *TwoPhaseGraph[V]) IsEmpty() bool { return g.Size() == 0 }

// Size returns the number of vertices and edges ever added, removed ones too.
func (g *TwoPhaseGraph[V]) Size() int { return g.inner().size() }

// Hash implements Lattice. It encodes all items.
func (g *TwoPhaseGraph[V]) Hash() uint64 { return g.inner().hash() }

// Digest implements Lattice. Up to 256 items it has 8 bytes for each, beyond about half a byte.
func (g *TwoPhaseGraph[V]) Digest() []byte { return g.inner().digest() }

// Since implements Lattice: exactly, or to a digest of more than 256 items all of the buckets that differ.
func (g *TwoPhaseGraph[V]) Since(digest []byte) (*TwoPhaseGraph[V], error) {
	items, err := g.inner().since(digest)
	return twoPhased(items), err
}

// Parts implements Lattice: each item by itself.
func (g *TwoPhaseGraph[V]) Parts() []*TwoPhaseGraph[V] {
	return convert(g.inner().parts(), twoPhased[V])
}

// String prints up to 16 vertices and up to 16 edges.
func (g *TwoPhaseGraph[V]) String() string {
	return fmt.Sprintf("TwoPhaseGraph%v%v", printed(g.Vertices()), printed(printedEdges(g.Edges())))
}

// MarshalJSON writes an object with arrays of vertices and edges.
func (g *TwoPhaseGraph[V]) MarshalJSON() ([]byte, error) {
	return marshalGraph(g.Vertices(), g.Edges())
}

// Append appends the canonical encoding, message TwoPhaseGraph of crdt.proto.
func (g *TwoPhaseGraph[V]) Append(b []byte, vertices Codec[V]) []byte {
	return g.inner().append(b, graphItemCodec(vertices))
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (g *TwoPhaseGraph[V]) EncodedSize(vertices Codec[V]) int { return len(g.Append(nil, vertices)) }

// DecodeTwoPhaseGraph reads a graph that fills b. Other bytes give a *DecodeError.
func DecodeTwoPhaseGraph[V comparable](b []byte, vertices Codec[V]) (*TwoPhaseGraph[V], error) {
	items, err := decodePhases(b, "TwoPhaseGraph", graphItemCodec(vertices), true)
	return twoPhased(items), err
}
