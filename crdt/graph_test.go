package crdt

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var _ Lattice[*Graph[string]] = (*Graph[string])(nil)

func mustEdge(t *testing.T, g *Graph[string], m *Minter, from, to string) *Graph[string] {
	delta, err := g.AddEdge(m, from, to)
	require.NoError(t, err)
	return delta
}

// An edge that was added while its end was removed is hidden, and does not come back with a later end.
func TestEdgesVanishWithTheirEnds(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := NewGraph[string](), NewGraph[string]()
	b.Join(a.AddVertex(ma, "u", "v", "w"))
	b.Join(mustEdge(t, a, ma, "u", "v"))
	late := mustEdge(t, b, mb, "w", "v")
	gone := a.RemoveVertex("v")
	require.Equal(t, "{1:2,4}", gone.Context().String(), "the vertex and the edge seen")
	a.Join(late)
	b.Join(gone)
	require.True(t, a.Equal(b))
	require.False(t, a.HasEdge("w", "v"))
	require.Empty(t, slices.Collect(a.Edges()))
	require.Empty(t, slices.Collect(a.Neighbours("w")))
	require.Equal(t, []string{"u", "w"}, slices.Collect(b.Vertices()))
	b.Join(a.AddVertex(ma, "v"))
	for _, g := range []*Graph[string]{a, b} {
		require.True(t, g.HasVertex("v"))
		require.False(t, g.HasEdge("w", "v"), "it stays without the edges that it had")
	}
	_, err := a.AddEdge(ma, "u", "nobody")
	var missing *MissingVertex[string]
	require.True(t, errors.As(err, &missing))
	require.Equal(t, "nobody", missing.Vertex)
	require.ErrorContains(t, err, "nobody")

	mustEdge(t, a, ma, "u", "w")
	mustEdge(t, a, ma, "w", "w")
	require.Equal(t, []Edge[string]{{"u", "w"}, {"w", "w"}}, slices.Collect(a.Neighbours("w")))
	require.Equal(t, `{"edges":[{"from":"u","to":"w"},{"from":"w","to":"w"}],"vertices":["u","w","v"]}`, jsonOf(t, a))
	require.Equal(t, "Graph[u w v][u→w w→w]{1:1-7 2:1}", a.String())
	require.NotNil(t, a.RemoveEdge("w", "w"))
	require.Nil(t, a.RemoveEdge("w", "w"))
	require.Nil(t, a.RemoveVertex("nobody"))
	require.PanicsWithError(t, (&DotReused{Dot{1, 1}}).Error(), func() { a.AddVertex(&Minter{Actor: 1}, "x") })
}

// A vertex that is added again while it is removed stays, with the edges that the remove had not seen.
func TestGraphAddsWin(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := NewGraph[string](), NewGraph[string]()
	b.Join(a.AddVertex(ma, "u", "v"))
	gone := a.RemoveVertex("v")
	again := b.AddVertex(mb, "v")
	edge := mustEdge(t, b, mb, "u", "v")
	a.Join(edge) // ahead of the vertex
	require.False(t, a.HasEdge("u", "v"))
	a.Join(again)
	b.Join(gone)
	require.True(t, a.Equal(b))
	require.True(t, a.HasEdge("u", "v"))
}

func seedGraph() *Graph[string] {
	g, m := NewGraph[string](), &Minter{Actor: 9}
	g.AddVertex(m, "a", "b", "")
	for _, e := range []Edge[string]{{"a", "b"}, {"b", ""}, {"a", "a"}} {
		if _, err := g.AddEdge(m, e.From, e.To); err != nil {
			panic(err)
		}
	}
	g.RemoveVertex("b")
	return g
}

func TestGraphGolden(t *testing.T) {
	t.Parallel()
	requireGolden(t, "Graph", seedGraph().Append(nil, stringCodec()))
	require.Equal(t, len(seedGraph().Append(nil, stringCodec())), seedGraph().EncodedSize(stringCodec()))
}

func FuzzDecodeGraph(f *testing.F) {
	f.Add(seedGraph().Append(nil, stringCodec()))
	f.Add((*Graph[string])(nil).Append(nil, stringCodec()))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := DecodeGraph(b, stringCodec())
		if !check(t, err) {
			return
		}
		require.Equal(t, string(b), string(g.Append(nil, stringCodec())))
		other := seedGraph()
		other.Join(g)
		require.True(t, g.LessOrEqual(other))
		other.RemoveVertex(slices.Collect(other.Vertices())...)
		require.Empty(t, slices.Collect(other.Edges()))
	})
}
