package host

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

func elements(t testing.TB, read func(context.Context, wire.ID, func(wire.Object)) error, id wire.ID) (s string) {
	t.Helper()
	require.NoError(t, read(t.Context(), id, func(o wire.Object) { s = o.String() }))
	return s
}

func TestWritesSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	id := wire.NewID("test.Bag", "")
	require.NoError(t, hosts[0].Mutate(t.Context(), id, add("a")))
	require.NoError(t, hosts[1].Mutate(t.Context(), id, add("b")))
	w.synced()
	for i, h := range hosts {
		require.Equal(t, contents(hosts[0], id), contents(h, id), "host %d", i)
	}
	require.NoError(t, hosts[2].Mutate(t.Context(), id, remove("a")))
	w.synced()
	w.equal("test.Bag")
	require.Contains(t, elements(t, hosts[1].Read, id), "b")
	require.NotContains(t, elements(t, hosts[1].Read, id), "a,")
}
