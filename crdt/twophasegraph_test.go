package crdt

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var _ Lattice[*TwoPhaseGraph[string]] = (*TwoPhaseGraph[string])(nil)

func seedTwoPhase(t require.TestingT) *TwoPhaseGraph[string] {
	g := NewTwoPhaseGraph(stringCodec())
	for _, v := range []string{"b", "a", ""} {
		_, err := g.AddVertex(v)
		require.NoError(t, err)
	}
	for _, e := range []Edge[string]{{"a", "b"}, {"b", "b"}} {
		_, err := g.AddEdge(e.From, e.To)
		require.NoError(t, err)
	}
	_, err := g.RemoveEdge("b", "b")
	require.NoError(t, err)
	return g
}

func refused[E error](t *testing.T, _ any, err error) {
	var want E
	require.True(t, errors.As(err, &want), "%v", err)
	require.NotEmpty(t, err.Error())
}

func TestTwoPhaseGraphRefuses(t *testing.T) {
	t.Parallel()
	g := seedTwoPhase(t)
	before := g.Clone()
	d, err := g.AddVertex("a")
	require.NoError(t, err)
	require.Nil(t, d)
	call := func(d *TwoPhaseGraph[string], err error) (any, error) { require.Nil(t, d); return d, err }
	for _, f := range []func() error{
		func() error { _, err := call(g.RemoveVertex("x")); return err },
		func() error { _, err := call(g.AddEdge("a", "x")); return err },
	} {
		refused[*MissingVertex[string]](t, nil, f())
	}
	_, err = call(g.RemoveVertex("b"))
	refused[*VertexInUse[string]](t, nil, err)
	_, err = call(g.AddEdge("b", "b"))
	refused[*RemovedForGood[Edge[string]]](t, nil, err)
	_, err = call(g.RemoveEdge("b", "b"))
	refused[*MissingEdge[string]](t, nil, err)
	require.True(t, before.Equal(g))
	_, err = g.RemoveVertex("")
	require.NoError(t, err)
	_, err = call(g.AddVertex(""))
	refused[*RemovedForGood[string]](t, nil, err)
	require.Equal(t, []string{"a", "b"}, slices.Collect(g.Vertices()))
	require.Equal(t, "TwoPhaseGraph[a b][a→b]", g.String())
	require.Equal(t, `{"edges":[{"from":"a","to":"b"}],"vertices":["a","b"]}`, jsonOf(t, g))
}

// An edge that was added while its end was removed is hidden, whichever delta comes first.
func TestTwoPhaseEdgesVanishWithTheirEnds(t *testing.T) {
	t.Parallel()
	a := NewTwoPhaseGraph(stringCodec())
	for _, v := range []string{"u", "v"} {
		_, err := a.AddVertex(v)
		require.NoError(t, err)
	}
	b := a.Clone()
	edge, err := a.AddEdge("u", "v")
	require.NoError(t, err)
	gone, err := b.RemoveVertex("v")
	require.NoError(t, err)
	a.Join(gone)
	b.Join(edge)
	require.True(t, a.Equal(b))
	require.False(t, a.HasEdge("u", "v"))
	late := NewTwoPhaseGraph(stringCodec())
	late.Join(gone)
	_, err = late.AddVertex("v")
	refused[*RemovedForGood[string]](t, nil, err)
}

func TestTwoPhaseGraphRepairsByBuckets(t *testing.T) {
	t.Parallel()
	a := NewTwoPhaseGraph(stringCodec())
	for i := range 1000 {
		_, err := a.AddVertex(fmt.Sprint(i))
		require.NoError(t, err)
	}
	b := a.Clone()
	_, err := a.RemoveVertex("7")
	require.NoError(t, err)
	answer, err := a.Since(b.Digest())
	require.NoError(t, err)
	require.Less(t, answer.Size(), 100)
	b.Join(answer)
	require.True(t, a.Equal(b))
	require.False(t, b.HasVertex("7"))
}

func TestTwoPhaseGraphGolden(t *testing.T) {
	t.Parallel()
	g := seedTwoPhase(t)
	requireGolden(t, "TwoPhaseGraph", g.Append(nil, stringCodec()))
	require.Equal(t, len(g.Append(nil, stringCodec())), g.EncodedSize(stringCodec()))
}

func FuzzDecodeTwoPhaseGraph(f *testing.F) {
	f.Add(seedTwoPhase(f).Append(nil, stringCodec()))
	f.Add(seedTwoPhase(f).Digest())
	f.Fuzz(func(t *testing.T, b []byte) {
		seed := seedTwoPhase(t)
		if g, err := DecodeTwoPhaseGraph(b, stringCodec()); check(t, err) {
			require.Equal(t, string(b), string(g.Append(nil, stringCodec())))
			seed.Join(g)
			require.True(t, g.LessOrEqual(seed))
		}
		if d, err := seed.Since(b); check(t, err) {
			require.True(t, d.LessOrEqual(seed))
		}
	})
}
