package actor

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who has stopped a node can start the next one at its address, however early that was.
func TestStoppedNodeLeavesItsPort(t *testing.T) {
	// Not in parallel: a process that another test starts holds all open ports for a moment, between fork and exec.
	l, err := net.Listen("tcp", "127.0.0.77:0") // where no other test takes the port meanwhile
	if err != nil {
		t.Skip("this machine has one loopback address")
	}
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	for range 200 {
		n, err := Start(Config{Addr: addr})
		require.NoError(t, err)
		require.NoError(t, n.Stop(t.Context()))
	}
}
