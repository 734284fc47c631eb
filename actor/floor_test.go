package actor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The most that any node asks for is held, until the last one goes.
func TestTheHeapsFloor(t *testing.T) { // not in parallel: other nodes of the process count
	t.Setenv("GOGC", "")
	held := func() int {
		floor.Lock()
		defer floor.Unlock()
		return len(floor.held)
	}
	others := held()
	a := start(t, Config{Addr: "127.0.0.1:0", HeapFloor: others + 1<<20})
	require.Equal(t, others+1<<20, held())
	b := start(t, Config{Addr: "127.0.0.1:0", HeapFloor: -1})
	start(t, Config{Network: &Network{}, Addr: "a", HeapFloor: others + 2<<20})
	require.NoError(t, b.Stop(t.Context()))
	require.Equal(t, others+1<<20, held())
	t.Setenv("GOGC", "100")
	c := start(t, Config{Addr: "127.0.0.1:0", HeapFloor: others + 4<<20})
	require.Equal(t, others+1<<20, held(), "who starts the process has said how it collects")
	require.NoError(t, c.Stop(t.Context()))
	require.NoError(t, a.Stop(t.Context()))
	if others == 0 {
		require.Zero(t, held())
	}
}
