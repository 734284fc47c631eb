package actor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestAnswers(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		for _, s := range []Service{echo, callBack} {
			re, err := n.Request(t.Context(), peer, s, []byte("hello"))
			require.NoError(t, err)
			require.Equal(t, "hello", string(re))
		}
		re, err := n.Request(t.Context(), n.Addr(), echo, []byte("myself"))
		require.NoError(t, err)
		require.Equal(t, "myself", string(re))
	})
}

func TestErrorsTravel(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		var failure *RemoteFailure
		_, err := n.Request(t.Context(), peer, fail, []byte("no money\xff"))
		require.ErrorAs(t, err, &failure)
		require.Equal(t, RemoteFailure{From: peer, Text: "no money\uFFFD"}, *failure)
		require.NotErrorIs(t, err, ErrUnknown)
		require.NotErrorIs(t, err, ErrNotExecuted)

		_, err = n.Request(t.Context(), peer, failWire, []byte{1, 2, 3})
		require.ErrorAs(t, err, &failure)
		require.Equal(t, RemoteFailure{From: peer, Payload: []byte{1, 2, 3}, Text: "wrapped: wire error"}, *failure)

		_, err = n.Request(t.Context(), peer, panics, []byte("boom"))
		require.ErrorAs(t, err, &failure)
		require.Contains(t, failure.Text, "boom")

		_, err = n.Request(t.Context(), peer, refuse, []byte("not mine"))
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "not mine")

		_, err = n.Request(t.Context(), peer, 999, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "no handler for service 999")
	})
}

func TestSizeLimits(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		full := bytes.Repeat([]byte{7}, testLimit)
		re, err := n.Request(t.Context(), peer, echo, full)
		require.NoError(t, err)
		require.True(t, bytes.Equal(full, re))

		var large *TooLarge
		_, err = n.Request(t.Context(), peer, echo, append(full, 7))
		require.ErrorAs(t, err, &large)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.Equal(t, TooLarge{Size: testLimit + 1, Limit: testLimit}, *large)
		require.ErrorIs(t, n.Notify(peer, ordered, append(full, 7)), ErrNotExecuted)

		_, err = n.Request(t.Context(), peer, big, number(testLimit+1))
		require.ErrorAs(t, err, &large)
		require.NotErrorIs(t, err, ErrNotExecuted)
		require.Equal(t, TooLarge{Size: testLimit + 1, Limit: testLimit, Reply: true}, *large)
		_, err = n.Request(t.Context(), peer, failWire, full)
		var failure *RemoteFailure
		require.ErrorAs(t, err, &failure)
		require.Len(t, failure.Payload, testLimit)
	})
}

func TestDeadlineAndCancellationTravel(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		re, err := n.Request(ctx, peer, remaining, nil)
		require.NoError(t, err)
		left := time.Duration(binary.BigEndian.Uint64(re))
		require.Greater(t, left, time.Second)
		require.LessOrEqual(t, left, 5*time.Second)

		short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err = n.Request(short, peer, hang, nil)
		// The handler's end and the caller's race.
		var failure *RemoteFailure
		require.True(t, errors.Is(err, ErrUnknown) && errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failure), "%v", err)

		cancelled, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := n.Request(cancelled, peer, hang, nil)
			done <- err
		}()
		_, err = n.Request(t.Context(), peer, echo, nil)
		require.NoError(t, err)
		cancel()
		err = <-done
		require.ErrorIs(t, err, context.Canceled)
		if errors.Is(err, ErrUnknown) {
			_, err = n.Request(ctx, peer, hung, number(2)) // its deadline is far: only the cancellation can have ended it
			require.NoError(t, err)
		}
		_, err = n.Request(cancelled, peer, echo, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
	})
}

func TestNotificationsKeepOrder(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		const count = 3000
		for i := range count {
			require.NoError(t, n.Notify(peer, ordered, number(i)))
		}
		re, err := n.Request(t.Context(), peer, ordered, number(count))
		require.NoError(t, err)
		require.Equal(t, number(0), re, "out of order")
	})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		const callers, calls = 64, 20_000
		var all sync.WaitGroup
		errs := make(chan error, callers)
		for c := range callers {
			all.Go(func() {
				for i := range calls / callers {
					size := 100
					if c < 8 && i%50 == 0 {
						size = testLimit
					}
					p := bytes.Repeat([]byte{byte(i), byte(c)}, size/2)
					re, err := n.Request(t.Context(), peer, echo, p)
					if err == nil && !bytes.Equal(p, re) {
						err = errors.New("another's answer")
					}
					if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		all.Wait()
		close(errs)
		require.NoError(t, <-errs)
	})
}

func TestIncarnationMismatchIsRefused(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		_, err := n.RequestPeer(t.Context(), Peer{Addr: peer, Incarnation: 12345}, echo, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "incarnation 12345")
	})
}
