package actor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOverloadIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, Config{PeerInFlight: 3}, Config{InFlight: 2, PeerServing: 2})
		testServices(b)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 4)
		ask := func() { _, err := a.Request(ctx, "b", hang, nil); ended <- err }
		go ask()
		go ask()
		synctest.Wait()
		_, err := a.Request(ctx, "b", hang, nil) // the callee's bound
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "being served")
		w := a.cfg.Network
		w.Drop("a", "b", true)
		go ask()
		synctest.Wait()
		_, err = a.Request(ctx, "b", hang, nil) // the caller's
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "unanswered")
		w.Drop("a", "b", false)
		cancel()
		for range 3 {
			require.ErrorIs(t, <-ended, ErrUnknown)
		}
		synctest.Wait()
		p := &a.peer("b").on[Calls]
		require.Zero(t, p.calls.Load())
		require.Zero(t, p.bytes.Load())
	})
}

func TestSlowNotificationHandlerIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, Config{}, Config{NotifyQueue: 10})
		gate, got := make(chan struct{}), make(chan byte, 100)
		b.HandleNotify(1, func(_ Peer, p []byte) {
			<-gate
			if p[0] == 3 {
				panic("in a handler")
			}
			got <- p[0]
		})
		require.NoError(t, a.Notify("b", 1, []byte{0}))
		synctest.Wait() // its handler runs; ten more may wait
		for i := byte(1); i < 15; i++ {
			require.NoError(t, a.Notify("b", 1, []byte{i}))
		}
		require.EqualValues(t, 4, b.Dropped())
		close(gate)
		synctest.Wait()
		require.Len(t, got, 10) // eleven, one of which panicked
		require.Zero(t, b.inboxes.bytes.Load())
		require.NoError(t, a.Notify("b", 1, []byte{99}))
		synctest.Wait()
		require.Len(t, got, 11)
	})
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, Config{}, Config{})
		gate := make(chan struct{})
		b.Handle(1, func(context.Context, Peer, []byte) ([]byte, error) { <-gate; return []byte("done"), nil })
		answered := make(chan string, 1)
		go func() {
			re, err := a.Request(context.Background(), "b", 1, nil)
			if err != nil {
				re = []byte(err.Error())
			}
			answered <- string(re)
		}()
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- b.Stop(context.Background()) }()
		synctest.Wait()
		_, err := a.Request(t.Context(), "b", 1, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "stopping")
		close(gate)
		require.NoError(t, <-stopped)
		require.Equal(t, "done", <-answered)
		_, err = b.Request(t.Context(), "a", 1, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
	})
}

func TestStopCutsShortWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t, Config{}, Config{})
		testServices(b)
		ended := make(chan error, 1)
		go func() { _, err := a.Request(context.Background(), "b", hang, nil); ended <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.Stop(ctx), context.DeadlineExceeded)
		require.ErrorIs(t, <-ended, ErrUnknown)
	})
}

func TestFailEndsRequestsToThatPeerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{})
		testServices(b)
		c := start(t, Config{Network: w, Addr: "c"})
		testServices(c)
		toB, toC := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, err := a.Request(ctx, "b", hang, nil); toB <- err }()
		go func() { _, err := a.Request(ctx, "c", hang, nil); toC <- err }()
		synctest.Wait()
		a.Fail("b")
		require.ErrorIs(t, <-toB, ErrUnknown)
		synctest.Wait()
		require.Empty(t, toC)
		cancel()
		require.ErrorIs(t, <-toC, context.Canceled)
	})
}

// What arrives from outside may be anything.
func TestHostileEnvelopes(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, Config{Limit: 1000}, Config{Limit: 1000})
	testServices(b)
	rapid.Check(t, func(t *rapid.T) {
		b.receive(&arrival{env: Envelope{
			Codec:             rapid.SampledFrom([]uint32{0, 1, 1, 1, 2}).Draw(t, "codec"),
			Kind:              Kind(rapid.Int32Range(-1, 7).Draw(t, "kind")),
			Id:                rapid.Uint64().Draw(t, "id"),
			Service:           rapid.SampledFrom([]uint32{0, uint32(echo), uint32(ordered) + 100, 1 << 16, 1<<32 - 1}).Draw(t, "service"),
			Sender:            rapid.SampledFrom([]string{"", "a", "b", "nobody", string(make([]byte, 600))}).Draw(t, "sender"),
			SenderIncarnation: rapid.Uint64Range(0, 3).Draw(t, "sender incarnation"),
			TargetIncarnation: rapid.SampledFrom([]uint64{0, 7, b.Incarnation()}).Draw(t, "target incarnation"),
			Remaining:         rapid.Int64().Draw(t, "remaining"),
			Status:            Status(rapid.Int32Range(-1, 7).Draw(t, "status")),
			Payload:           make([]byte, rapid.IntRange(0, 2000).Draw(t, "payload")),
			Text:              rapid.String().Draw(t, "text"),
			Size:              rapid.Uint64().Draw(t, "size"),
			Limit:             rapid.Uint64().Draw(t, "limit"),
		}}, origin{identity: identity{silo: rapid.Bool().Draw(t, "silo")}, channel: Channel(rapid.IntRange(0, int(channels)-1).Draw(t, "channel"))})
	})
	require.Eventually(t, func() bool {
		_, err := a.Request(t.Context(), "b", echo, nil)
		return err == nil
	}, time.Second, time.Millisecond)
}
