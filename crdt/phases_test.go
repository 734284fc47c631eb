package crdt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrowingSets(t *testing.T) {
	t.Parallel()
	g := NewGSet(stringCodec())
	require.Equal(t, 2, g.Add("b", "a", "b").Len())
	require.Nil(t, g.Add("a"))
	require.Equal(t, []string{"a", "b"}, slices.Collect(g.All()))
	requireJSON(t, `["a","b"]`, g)
	require.Equal(t, "GSet(2)[a b]", g.String())
	for e := range g.All() {
		require.Equal(t, "a", e)
		break
	}

	s := NewTwoPhaseSet(stringCodec())
	require.Nil(t, s.Remove("x"), "not there, so it can still come")
	add := s.Add("x", "y")
	remove := s.Remove("x")
	require.Equal(t, 1, remove.Size())
	require.Nil(t, s.Add("x"))
	require.True(t, s.Removed("x") && !s.Contains("x") && s.Contains("y"))
	require.Equal(t, "TwoPhaseSet(1, 1 removed)[y]", s.String())
	late := NewTwoPhaseSet(stringCodec())
	late.Join(remove)
	late.Join(add)
	require.True(t, late.Equal(s), "a remove that comes before its add holds")
	requireJSON(t, `["y"]`, late)
	require.Panics(t, func() { new(GSet[string]).Add("no codec").Hash() })
	var names []int
	many := NewGSet(Codec[int]{Append: func(b []byte, v int) []byte { return append(b, byte(v)) }})
	for i := range 40 {
		names = append(names, i)
	}
	many.Add(names...)
	require.Contains(t, many.String(), "…")
}

// Digests of sets with equal elements must tell which of them were removed.
func TestDigestsSeeRemovesOfTwoPhaseSets(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{1, 5, 256, 257, 5000} {
		a := NewTwoPhaseSet(uintCodec())
		for e := range n {
			a.Add(e)
		}
		b := a.Clone()
		toA, toB := repair(t, a, b)
		require.True(t, toA == nil && toB == nil)
		a.Remove(0)
		_, toB = repair(t, a, b)
		require.NotNil(t, toB)
		require.LessOrEqual(t, toB.Size(), 4*bucketEntries)
		require.False(t, b.Contains(0))
		require.Less(t, len(a.Digest()), 256*8+20+int(n))
	}
}
