package crdt

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// graphItem is a vertex, from, or an edge.
type graphItem[V comparable] struct {
	from, to V
	edge     bool
}

func vertex[V comparable](v V) graphItem[V]        { return graphItem[V]{from: v} }
func edgeOf[V comparable](from, to V) graphItem[V] { return graphItem[V]{from, to, true} }

// Edge is a directed edge of a graph.
type Edge[V comparable] struct {
	From V `json:"from"`
	To   V `json:"to"`
}

// MissingVertex is the error of a mutator that asks for a vertex to be in the graph.
type MissingVertex[V comparable] struct{ Vertex V }

// Error says which vertex and what to do.
func (e *MissingVertex[V]) Error() string {
	return fmt.Sprintf("crdt: vertex %v is not in the graph: add it first", e.Vertex)
}

// Graph is an add-wins directed graph: a remove takes out what it has seen, and what was added without its
// knowledge stays. An edge is in the graph while it was added and both its ends are: edges vanish with their
// ends. A remove of a vertex takes the edges out that it has seen; an edge that was added at the same time
// is hidden while its end is missing, and an add of that end takes it out for good, so that a vertex comes
// back without the edges that it had. After the sets of "A comprehensive study of Convergent and Commutative
// Replicated Data Types" (Shapiro, Preguiça, Baquero, Zawirski, 2011), sections 3.3.5 and 3.4.
//
// Vertices and edges are elements of one [Set] and cost what these do, an edge two entries by end on top
// where the graph was changed. The zero Graph is empty and ready for use; nil may be read as empty. It is
// not safe for concurrent use when anyone changes it; reading alone changes nothing.
type Graph[V comparable] struct {
	set Set[graphItem[V]]
	at  map[V]map[graphItem[V]]struct{} // live edges by end, hidden ones too; nil until they are needed
}

// NewGraph returns an empty graph.
func NewGraph[V comparable]() *Graph[V] { return &Graph[V]{} }

func (g *Graph[V]) items() *Set[graphItem[V]] {
	if g == nil {
		return nil
	}
	return &g.set
}

// index builds the entries by end.
func (g *Graph[V]) index() {
	if g.at != nil {
		return
	}
	g.at = make(map[V]map[graphItem[V]]struct{})
	for _, e := range g.set.AllDots() {
		g.note(e)
	}
}

func (g *Graph[V]) note(e graphItem[V]) {
	if !e.edge || g.at == nil {
		return
	}
	for _, v := range []V{e.from, e.to} {
		if g.at[v] == nil {
			g.at[v] = make(map[graphItem[V]]struct{})
		}
		g.at[v][e] = struct{}{}
	}
}

func (g *Graph[V]) forget(e graphItem[V]) {
	if !e.edge || g.at == nil || g.set.Contains(e) {
		return
	}
	for _, v := range []V{e.from, e.to} {
		if delete(g.at[v], e); len(g.at[v]) == 0 {
			delete(g.at, v)
		}
	}
}

// edges appends the live edges at v, hidden ones too, in no order.
func (g *Graph[V]) edges(to []graphItem[V], v V) []graphItem[V] {
	g.index()
	for e := range g.at[v] {
		to = append(to, e)
	}
	return to
}

// perform makes the delta of an operation and joins it.
func (g *Graph[V]) perform(m *Minter, op SetOp[graphItem[V]]) *Graph[V] {
	delta := g.set.Prepare(op).Effect(m)
	g.set.mustBeFresh(delta)
	out := graphOf(delta)
	g.Join(out)
	return out
}

// AddVertex adds vertices under fresh dots of m and returns the delta, nil without vertices. One that is
// there gets a new dot, so that it outlives a concurrent remove. It panics with *DotReused when m hands out
// a dot that the graph has seen, and when a vertex is not equal to itself, as NaN is not.
func (g *Graph[V]) AddVertex(m *Minter, vs ...V) *Graph[V] {
	var op SetOp[graphItem[V]]
	for _, v := range vs {
		mustEqualItself(v)
		op.Add = append(op.Add, vertex(v))
		if !g.HasVertex(v) {
			op.Remove = g.edges(op.Remove, v)
		}
	}
	return g.perform(m, op)
}

// RemoveVertex takes out vertices and their edges, as far as they are seen here, and returns the delta, nil
// when there was nothing.
func (g *Graph[V]) RemoveVertex(vs ...V) *Graph[V] {
	var op SetOp[graphItem[V]]
	for _, v := range vs {
		op.Remove = g.edges(append(op.Remove, vertex(v)), v)
	}
	return g.perform(nil, op)
}

// AddEdge adds an edge under a fresh dot of m and returns the delta. Both ends have to be there, else it
// changes nothing and returns a *MissingVertex. It does not keep its ends from being removed at the same
// time. It panics with *DotReused when m hands out a dot that the graph has seen.
func (g *Graph[V]) AddEdge(m *Minter, from, to V) (*Graph[V], error) {
	for _, v := range []V{from, to} {
		if !g.HasVertex(v) {
			return nil, &MissingVertex[V]{v}
		}
	}
	return g.perform(m, SetOp[graphItem[V]]{Add: []graphItem[V]{edgeOf(from, to)}}), nil
}

// RemoveEdge takes out an edge, as far as it is seen here, and returns the delta, nil when it was not there.
func (g *Graph[V]) RemoveEdge(from, to V) *Graph[V] {
	return g.perform(nil, SetOp[graphItem[V]]{Remove: []graphItem[V]{edgeOf(from, to)}})
}

// HasVertex says whether v is in the graph.
func (g *Graph[V]) HasVertex(v V) bool { return g.items().Contains(vertex(v)) }

// HasEdge says whether the edge is in the graph: added, and both its ends there.
func (g *Graph[V]) HasEdge(from, to V) bool { return g.shows(edgeOf(from, to)) }

func (g *Graph[V]) shows(e graphItem[V]) bool {
	return e.edge && g.items().Contains(e) && g.HasVertex(e.from) && g.HasVertex(e.to)
}

// Vertices yields the vertices in the order of each one's oldest live dot. It visits edges too.
func (g *Graph[V]) Vertices() iter.Seq[V] {
	return func(yield func(V) bool) {
		for e := range g.items().All() {
			if !e.edge && !yield(e.from) {
				return
			}
		}
	}
}

// Edges yields the edges whose ends are both there, in the order of each one's oldest live dot. It visits
// vertices too.
func (g *Graph[V]) Edges() iter.Seq[Edge[V]] {
	return func(yield func(Edge[V]) bool) {
		for e := range g.items().All() {
			if g.shows(e) && !yield(Edge[V]{e.from, e.to}) {
				return
			}
		}
	}
}

// Neighbours yields the edges that begin or end at v, in the order of each one's oldest live dot. It costs
// O(d log d) for d edges, in a graph that no mutator has changed yet as much as Edges.
func (g *Graph[V]) Neighbours(v V) iter.Seq[Edge[V]] {
	return func(yield func(Edge[V]) bool) {
		if g == nil {
			return
		}
		type dated struct {
			dot Dot
			e   graphItem[V]
		}
		if g.at == nil { // reading changes nothing
			for e := range g.Edges() {
				if (e.From == v || e.To == v) && !yield(e) {
					return
				}
			}
			return
		}
		var found []dated
		for e := range g.at[v] {
			if g.shows(e) {
				found = append(found, dated{g.set.Dots(e)[0], e})
			}
		}
		slices.SortFunc(found, func(a, b dated) int { return a.dot.Compare(b.dot) })
		for _, f := range found {
			if !yield(Edge[V]{f.e.from, f.e.to}) {
				return
			}
		}
	}
}

// Context returns the dots that the state has seen, live and dead, to be read only.
func (g *Graph[V]) Context() *Context { return g.items().Context() }

// Join implements Lattice, at the cost of Set.Join.
func (g *Graph[V]) Join(delta *Graph[V]) *Graph[V] {
	if delta == nil || g == delta {
		return nil
	}
	return graphOf(g.set.JoinTrace(&delta.set,
		func(e graphItem[V], _ Dot) { g.note(e) },
		func(e graphItem[V], _ Dot) { g.forget(e) }))
}

func graphOf[V comparable](s *Set[graphItem[V]]) *Graph[V] {
	if s == nil {
		return nil
	}
	return &Graph[V]{set: *s}
}

// LessOrEqual implements Lattice.
func (g *Graph[V]) LessOrEqual(o *Graph[V]) bool { return g.items().LessOrEqual(o.items()) }

// Equal implements Lattice. O(n).
func (g *Graph[V]) Equal(o *Graph[V]) bool { return g.items().Equal(o.items()) }

// Clone implements Lattice.
func (g *Graph[V]) Clone() *Graph[V] { return graphOf(g.items().Clone()) }

// IsEmpty implements Lattice: whether no dot has been seen.
func (g *Graph[V]) IsEmpty() bool { return g.items().IsEmpty() }

// Size returns the number of live dots of vertices and edges, hidden ones too.
func (g *Graph[V]) Size() int { return g.items().Size() }

// Hash implements Lattice.
func (g *Graph[V]) Hash() uint64 { return g.items().Hash() }

// Digest implements Lattice, as Set.Digest.
func (g *Graph[V]) Digest() []byte { return g.items().Digest() }

// Since implements Lattice, with what Set.Since says of exactness and cost.
func (g *Graph[V]) Since(digest []byte) (*Graph[V], error) {
	s, err := g.items().Since(digest)
	return graphOf(s), err
}

// Parts returns one graph for each seen dot, as Set.Parts does and with its warning.
func (g *Graph[V]) Parts() []*Graph[V] {
	var parts []*Graph[V]
	for _, s := range g.items().Parts() {
		parts = append(parts, graphOf(s))
	}
	return parts
}

// String prints up to 16 vertices, up to 16 edges, and the context.
func (g *Graph[V]) String() string {
	return fmt.Sprintf("Graph%v%v%v", printed(g.Vertices()), printed(printedEdges(g.Edges())), g.Context())
}

func printedEdges[V comparable](edges iter.Seq[Edge[V]]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for e := range edges {
			if !yield(fmt.Sprintf("%v→%v", e.From, e.To)) {
				return
			}
		}
	}
}

// MarshalJSON writes an object with arrays of vertices and edges.
func (g *Graph[V]) MarshalJSON() ([]byte, error) { return marshalGraph(g.Vertices(), g.Edges()) }

func marshalGraph[V comparable](vs iter.Seq[V], es iter.Seq[Edge[V]]) ([]byte, error) {
	vertices, err := marshalItems(vs)
	if err != nil {
		return nil, err
	}
	edges, err := marshalItems(es)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{"vertices": vertices, "edges": edges})
}

// graphItemCodec encodes items, message GraphItem of crdt.proto.
func graphItemCodec[V comparable](vertices Codec[V]) Codec[graphItem[V]] {
	return Codec[graphItem[V]]{
		Append: func(b []byte, e graphItem[V]) []byte {
			b = appendNested(b, 1, func(b []byte) []byte { return vertices.Append(b, e.from) })
			if e.edge {
				b = appendNested(b, 2, func(b []byte) []byte { return vertices.Append(b, e.to) })
			}
			return b
		},
		Decode: func(b []byte) (e graphItem[V], err error) {
			r := reader{message: "GraphItem", b: b}
			if !r.next() || r.num != 1 {
				r.fail("the vertex is missing")
			} else {
				e.from = decodeValue(&r, vertices)
			}
			if r.next() {
				if r.num != 2 {
					r.unknown()
				} else {
					e.edge, e.to = true, decodeValue(&r, vertices)
				}
			}
			checkKey(&r, e)
			return finished(&r, e)
		},
	}
}

// Append appends the canonical encoding, message Graph of crdt.proto.
func (g *Graph[V]) Append(b []byte, vertices Codec[V]) []byte {
	return g.items().Append(b, graphItemCodec(vertices))
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (g *Graph[V]) EncodedSize(vertices Codec[V]) int { return len(g.Append(nil, vertices)) }

// DecodeGraph reads a graph that fills b. Other bytes give a *DecodeError.
func DecodeGraph[V comparable](b []byte, vertices Codec[V]) (*Graph[V], error) {
	s, err := DecodeSet(b, graphItemCodec(vertices))
	if err != nil {
		return nil, renamed(err, "Set", "Graph")
	}
	return graphOf(s), nil
}
