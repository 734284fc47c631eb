package view

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

func TestFence(t *testing.T) {
	t.Parallel()
	var f Fence
	g := func(token uint64) Grant { return Grant{"k", 7, token} }
	require.NoError(t, f.Admit(g(3)))
	require.NoError(t, f.Admit(g(3)))
	require.NoError(t, f.Admit(g(5)))
	var stale *StaleToken
	require.ErrorAs(t, f.Admit(g(4)), &stale)
	require.Equal(t, uint64(5), stale.Newest)
	require.NoError(t, f.Admit(Grant{"k", 8, 1}), "another slot")
	require.NoError(t, f.Admit(Grant{"other", 7, 1}), "another kind")
	require.ErrorAs(t, f.Admit(g(3)), &stale)

	// The tokens of a view count as seen; an older view takes nothing back.
	l := newLog(t)
	a := l.join(0, 1)
	old := l.Table()
	l.put(Remove{Run: a})
	l.join(0, 2)
	var v Fence
	v.Apply(l.Table())
	v.Apply(old)
	r, _ := l.Table().Of(wire.NewID("k", "x"))
	require.ErrorAs(t, v.Admit(Grant{"k", r.Slot, r.Token - 1}), &stale)
	require.NoError(t, v.Admit(Grant{"k", r.Slot, r.Token}))
	require.NoError(t, v.Admit(Grant{"k", r.Slot, r.Token + 1}), "the view is behind")
	require.ErrorAs(t, v.Admit(Grant{"k", r.Slot, r.Token}), &stale)

	// Kinds that strangers name do not fill the memory.
	for i := range 2 * maxFenced {
		require.NoError(t, f.Admit(Grant{fmt.Sprint("stranger", i), 1, 1}))
	}
	require.Len(t, f.seen, maxFenced)
}
