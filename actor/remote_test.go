package actor

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKilledPeerIsUnknownAndItsSuccessorAnswers(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawn(t, "127.0.0.1:0")
	before, err := n.Request(t.Context(), peer.addr, pid, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := n.Request(t.Context(), peer.addr, hang, nil)
		done <- err
	}()
	_, err = n.Request(t.Context(), peer.addr, echo, nil)
	require.NoError(t, err)
	for n.peer(peer.addr).calls.Load() == 0 {
		time.Sleep(time.Millisecond) // until the request is in flight
	}
	_, err = n.Request(t.Context(), peer.addr, echo, nil)
	require.NoError(t, err)
	require.NoError(t, peer.Process.Kill())
	began := time.Now()
	require.ErrorIs(t, <-done, ErrUnknown)
	require.Less(t, time.Since(began), time.Second)

	// The two connections end one after the other: what is asked between is
	// unknown.
	require.Eventually(t, func() bool {
		began := time.Now()
		_, err := n.Request(t.Context(), peer.addr, echo, nil)
		require.Less(t, time.Since(began), 250*time.Millisecond)
		return errors.Is(err, ErrNotExecuted)
	}, time.Second, time.Millisecond)

	_ = peer.Wait()
	spawn(t, peer.addr)
	began = time.Now()
	after, err := n.Request(t.Context(), peer.addr, pid, nil)
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Second)
	require.NotEqual(t, before, after)
}

func TestUnreachableAddressFailsFast(t *testing.T) {
	t.Parallel()
	n := local(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for range 3 {
		began := time.Now()
		_, err = n.Request(t.Context(), l.Addr().String(), echo, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.Less(t, time.Since(began), 250*time.Millisecond)
	}
}

func TestStoppingPeerAnswersFirst(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawn(t, "127.0.0.1:0")
	_, err := n.Request(t.Context(), peer.addr, echo, nil)
	require.NoError(t, err)
	require.NoError(t, peer.stdin.Close())
	require.NoError(t, peer.Wait(), "Stop ran into its time-out")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = Start(Config{Addr: l.Addr().String()})
	var taken *PortInUse
	require.ErrorAs(t, err, &taken)
	require.Equal(t, l.Addr().String(), taken.Addr)
	require.ErrorContains(t, err, "listen on another port")
}
