package crdt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A remove is an event of its own: as the mere end of what it saw it would lose to the add beside it.
func TestRemovesOfRWSetWin(t *testing.T) {
	t.Parallel()
	a, b := NewRWSet[string](), NewRWSet[string]()
	m, n := &Minter{Actor: 1}, &Minter{Actor: 2}
	add, remove := a.Add(m, "x"), b.Remove(n, "x") // b does not even have it
	a.Join(remove)
	b.Join(add)
	require.False(t, a.Contains("x") || b.Contains("x"))
	require.True(t, a.Equal(b))
	require.Zero(t, a.Len())
	require.Equal(t, 2, a.Size())
	b.Join(a.Add(m, "x", "y", "x"))
	require.True(t, b.Contains("x"), "this add saw the remove")
	require.Equal(t, []string{"x", "y"}, slices.Collect(b.All()))
	requireJSON(t, `["x","y"]`, b)
	require.Equal(t, "RWSet(2)[x y]{1:1-3 2:1}", b.String())
	require.Nil(t, a.Add(m))
	require.Nil(t, a.Remove(m))
	require.NotNil(t, b.Clear(n))
	require.Nil(t, b.Clear(n))
	require.Panics(t, func() { b.Add(&Minter{Actor: 1}, "z") })

	many := NewRWSet[int]()
	delta := RWSetOp[int]{Add: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}}.Effect(m)
	require.Equal(t, 18, delta.Len(), "a large delta is read too")
	many.Join(delta)
	require.Contains(t, many.String(), "…")
	for _, found := range []bool{many.Contains(18), !many.Contains(19)} {
		require.True(t, found)
	}
}
