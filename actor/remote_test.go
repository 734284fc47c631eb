package actor

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
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
	for n.peer(peer.addr).on[Calls].calls.Load() == 0 {
		runtime.Gosched() // until the request is in flight
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
	type result struct {
		re  []byte
		err error
	}
	inFlight := make(chan result, 1)
	go func() {
		re, err := n.Request(t.Context(), peer.addr, ordered, number(1))
		inFlight <- result{re, err}
	}()
	for n.peer(peer.addr).on[Calls].calls.Load() == 0 {
		runtime.Gosched()
	}
	_, err := n.Request(t.Context(), peer.addr, echo, nil)
	require.NoError(t, err)
	require.NoError(t, peer.stdin.Close())
	require.Eventually(t, func() bool { // it refuses by saying so, not by being gone
		_, err := n.Request(t.Context(), peer.addr, echo, nil)
		return errors.Is(err, ErrNotExecuted) && strings.Contains(err.Error(), "stopping")
	}, 2*time.Second, time.Millisecond)
	require.NoError(t, n.Notify(peer.addr, ordered, number(0)))
	require.Equal(t, result{re: number(0)}, <-inFlight)
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

// Together these are many times what is written at a time.
func TestMuchIsSentInOrder(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawn(t, "127.0.0.1:0").addr
	const count = 4000
	for i := range count {
		require.NoError(t, n.Notify(peer, ordered, append(number(i), make([]byte, 6000)...)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	re, err := n.Request(ctx, peer, ordered, number(count))
	require.NoError(t, err)
	require.Equal(t, number(0), re, "out of order")
}

func TestSilentListenerIsUnreachable(t *testing.T) {
	t.Parallel()
	n := local(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // its kernel accepts, nobody speaks
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = n.Request(ctx, l.Addr().String(), echo, nil)
	require.ErrorIs(t, err, ErrNotExecuted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	began := time.Now()
	_, err = n.Request(t.Context(), l.Addr().String(), echo, nil)
	require.ErrorIs(t, err, ErrNotExecuted)
	require.Less(t, time.Since(began), 2*time.Second)
}

func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawn(t, "127.0.0.1:0")
	addr := peer.addr
	stop := make(chan struct{})
	var all sync.WaitGroup
	failures := make(chan error, 64)
	for range cap(failures) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := n.Request(t.Context(), addr, echo, make([]byte, 1000))
				if err != nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrNotExecuted) {
					failures <- err
					return
				}
			}
		})
	}
	for range 3 {
		require.Eventually(t, func() bool {
			_, err := n.Request(t.Context(), addr, echo, nil)
			return err == nil
		}, 5*time.Second, time.Millisecond)
		require.NoError(t, peer.Process.Kill())
		_ = peer.Wait()
		peer = spawn(t, addr)
	}
	close(stop)
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		require.Fail(t, "requests hang")
	}
	close(failures)
	require.NoError(t, <-failures)
}
