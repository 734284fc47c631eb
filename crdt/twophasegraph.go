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
// changes it. Memory is a map's entry for each item ever added.
type TwoPhaseGraph[V comparable] struct{ items stages[graphItem[V]] }

// NewTwoPhaseGraph returns an empty graph. The codec serves Hash, Digest and the order of iteration.
func NewTwoPhaseGraph[V comparable](vertices Codec[V]) *TwoPhaseGraph[V] {
	return &TwoPhaseGraph[V]{stages[graphItem[V]]{codec: graphItemCodec(vertices)}}
}

func (g *TwoPhaseGraph[V]) all() *stages[graphItem[V]] {
	if g == nil {
		return &stages[graphItem[V]]{}
	}
	return &g.items
}

func (g *TwoPhaseGraph[V]) raise(e graphItem[V], p stage) *TwoPhaseGraph[V] {
	delta := &TwoPhaseGraph[V]{stages[graphItem[V]]{codec: g.items.codec}}
	delta.items.put(e, p)
	return g.Join(delta)
}

// AddVertex adds v and returns the delta, nil when it is there. One that was removed gives a
// *RemovedForGood[V].
func (g *TwoPhaseGraph[V]) AddVertex(v V) (*TwoPhaseGraph[V], error) {
	if g.items.entries[vertex(v)] == stageRemoved {
		return nil, &RemovedForGood[V]{v}
	}
	return g.raise(vertex(v), stageAdded), nil
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
	return g.raise(vertex(v), stageRemoved), nil
}

// AddEdge adds an edge and returns the delta, nil when it is there. A missing end gives a *MissingVertex, an
// edge that was removed a *RemovedForGood[Edge[V]].
func (g *TwoPhaseGraph[V]) AddEdge(from, to V) (*TwoPhaseGraph[V], error) {
	for _, v := range []V{from, to} {
		if !g.HasVertex(v) {
			return nil, &MissingVertex[V]{v}
		}
	}
	if g.items.entries[edgeOf(from, to)] == stageRemoved {
		return nil, &RemovedForGood[Edge[V]]{Edge[V]{from, to}}
	}
	return g.raise(edgeOf(from, to), stageAdded), nil
}

// RemoveEdge removes an edge for good and returns the delta. One that is not there gives a *MissingEdge.
func (g *TwoPhaseGraph[V]) RemoveEdge(from, to V) (*TwoPhaseGraph[V], error) {
	if !g.HasEdge(from, to) {
		return nil, &MissingEdge[V]{Edge[V]{from, to}}
	}
	return g.raise(edgeOf(from, to), stageRemoved), nil
}

// HasVertex says whether v is in the graph.
func (g *TwoPhaseGraph[V]) HasVertex(v V) bool { return g.all().entries[vertex(v)] == stageAdded }

// HasEdge says whether the edge is in the graph, with both its ends.
func (g *TwoPhaseGraph[V]) HasEdge(from, to V) bool {
	return g.all().entries[edgeOf(from, to)] == stageAdded && g.HasVertex(from) && g.HasVertex(to)
}

// Vertices yields the vertices by their bytes. O(n log n).
func (g *TwoPhaseGraph[V]) Vertices() iter.Seq[V] {
	return func(yield func(V) bool) {
		for e, p := range g.all().sorted() {
			if !e.edge && p == stageAdded && !yield(e.from) {
				return
			}
		}
	}
}

// Edges yields the edges by their bytes. O(n log n).
func (g *TwoPhaseGraph[V]) Edges() iter.Seq[Edge[V]] {
	return func(yield func(Edge[V]) bool) {
		for e := range g.all().sorted() {
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

func twoPhased[V comparable](items stages[graphItem[V]]) *TwoPhaseGraph[V] {
	if len(items.entries) == 0 {
		return nil
	}
	return &TwoPhaseGraph[V]{items}
}

// LessOrEqual implements Lattice.
func (g *TwoPhaseGraph[V]) LessOrEqual(o *TwoPhaseGraph[V]) bool { return g.all().lessOrEqual(o.all()) }

// Equal implements Lattice.
func (g *TwoPhaseGraph[V]) Equal(o *TwoPhaseGraph[V]) bool {
	return g.Size() == o.Size() && g.LessOrEqual(o) && o.LessOrEqual(g)
}

// Clone implements Lattice.
func (g *TwoPhaseGraph[V]) Clone() *TwoPhaseGraph[V] { return &TwoPhaseGraph[V]{g.all().clone()} }

// IsEmpty implements Lattice: whether nothing was ever added.
func (g *TwoPhaseGraph[V]) IsEmpty() bool { return g.Size() == 0 }

// Size returns the number of vertices and edges ever added, removed ones too.
func (g *TwoPhaseGraph[V]) Size() int { return len(g.all().entries) }

// Hash implements Lattice. It encodes all items.
func (g *TwoPhaseGraph[V]) Hash() uint64 { return g.all().hash() }

// Digest implements Lattice. Up to 256 items it has some 15 bytes for each, beyond about half a byte.
func (g *TwoPhaseGraph[V]) Digest() []byte { return g.all().digest() }

// Since implements Lattice: exactly, or to a digest of more than 256 items all of the buckets that differ.
func (g *TwoPhaseGraph[V]) Since(digest []byte) (*TwoPhaseGraph[V], error) {
	items, err := g.all().since(digest)
	return twoPhased(items), err
}

// Parts implements Lattice: each item by itself.
func (g *TwoPhaseGraph[V]) Parts() (parts []*TwoPhaseGraph[V]) {
	for e, p := range g.all().entries {
		part := &TwoPhaseGraph[V]{stages[graphItem[V]]{codec: g.items.codec}}
		part.items.put(e, p)
		parts = append(parts, part)
	}
	return parts
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
	return g.all().append(b, graphItemCodec(vertices))
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (g *TwoPhaseGraph[V]) EncodedSize(vertices Codec[V]) int { return len(g.Append(nil, vertices)) }

// DecodeTwoPhaseGraph reads a graph that fills b. Other bytes give a *DecodeError.
func DecodeTwoPhaseGraph[V comparable](b []byte, vertices Codec[V]) (*TwoPhaseGraph[V], error) {
	g := NewTwoPhaseGraph(vertices)
	if err := g.items.decode("TwoPhaseGraph", b); err != nil {
		return nil, err
	}
	return g, nil
}
