package actor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pair starts two nodes on a network of their own.
func pair(t *testing.T, a, b Config) (*Network, *Node, *Node) {
	t.Helper()
	w := new(Network)
	a.Network, a.Addr, b.Network, b.Addr = w, "a", w, "b"
	return w, start(t, a), start(t, b)
}

func start(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = n.Stop(ctx)
	})
	return n
}

func TestMemoryAddressTaken(t *testing.T) {
	t.Parallel()
	w, _, _ := pair(t, Config{}, Config{})
	_, err := Start(Config{Network: w, Addr: "a"})
	var taken *PortInUse
	require.ErrorAs(t, err, &taken)
	require.Equal(t, "a", taken.Addr)
}

func TestMemoryKillIsUnknownAtOnce(t *testing.T) {
	t.Parallel()
	w, a, b := pair(t, Config{}, Config{})
	serving, cancelled := make(chan struct{}), make(chan struct{})
	b.Handle(1, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
		close(serving)
		<-ctx.Done()
		close(cancelled)
		return nil, nil
	})
	gone := make(chan string, 1)
	a.OnPeerGone(func(addr string) { gone <- addr })
	go func() {
		<-serving
		w.Kill("b")
	}()
	began := time.Now()
	_, err := a.Request(t.Context(), "b", 1, nil)
	require.ErrorIs(t, err, ErrUnknown)
	require.Less(t, time.Since(began), time.Second)
	require.Equal(t, "b", <-gone)
	<-cancelled

	_, err = a.Request(t.Context(), "b", 1, nil)
	require.ErrorIs(t, err, ErrNotExecuted)

	again := start(t, Config{Network: w, Addr: "b"})
	again.Handle(1, func(context.Context, Peer, []byte) ([]byte, error) { return []byte("again"), nil })
	re, err := a.Request(t.Context(), "b", 1, nil)
	require.NoError(t, err)
	require.Equal(t, "again", string(re))
}

func TestMemoryCutAndHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{})
		b.Handle(1, func(context.Context, Peer, []byte) ([]byte, error) { return nil, nil })
		w.Cut("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Request(ctx, "b", 1, nil)
		require.ErrorIs(t, err, ErrUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		w.Heal("a", "b")
		_, err = a.Request(t.Context(), "b", 1, nil)
		require.NoError(t, err)

		w.Drop("b", "a", true) // the answers alone
		began := time.Now()
		_, err = a.Request(t.Context(), "b", 1, nil)
		require.ErrorIs(t, err, ErrUnknown)
		require.Equal(t, 30*time.Second, time.Since(began)) // the default deadline
	})
}

func TestMemoryDelayKeepsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{})
		got := make(chan byte, 2)
		b.HandleNotify(1, func(_ Peer, p []byte) { got <- p[0] })
		began := time.Now()
		w.Delay("a", "b", time.Second)
		require.NoError(t, a.Notify("b", 1, []byte{1}))
		w.Delay("a", "b", 0)
		require.NoError(t, a.Notify("b", 1, []byte{2}))
		synctest.Wait()
		require.Empty(t, got)
		require.Equal(t, byte(1), <-got)
		require.Equal(t, byte(2), <-got)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestMemorySharesNothing(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, Config{}, Config{})
	own := []byte("answer")
	b.Handle(1, func(_ context.Context, _ Peer, p []byte) ([]byte, error) {
		p[0] = 'X'
		return own, nil
	})
	sent := []byte("question")
	re, err := a.Request(t.Context(), "b", 1, sent)
	require.NoError(t, err)
	re[0] = 'X'
	require.Equal(t, "question", string(sent))
	require.Equal(t, "answer", string(own))
}

func TestMemoryTamper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{})
		testServices(b)
		w.Tamper(func(from, _ string, s Service) (bool, time.Duration) {
			return s == fail, time.Second
		})
		began := time.Now()
		_, err := a.Request(t.Context(), "b", echo, nil)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(began)) // there and back
		_, err = a.Request(t.Context(), "b", fail, nil)
		require.ErrorIs(t, err, ErrUnknown)
		w.Tamper(nil)
		time.Sleep(2 * time.Second) // the cancellation was delayed too, and what follows waits behind it
		began = time.Now()
		_, err = a.Request(t.Context(), "b", echo, nil)
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
	})
}

// An earlier run's answers must not end a later run's requests.
func TestMemoryRestartWhileAnswersAreDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{})
		testServices(a)
		testServices(b)
		w.Delay("b", "a", time.Second)
		old := make(chan error, 1)
		go func() { _, err := b.Request(context.Background(), "a", hang, nil); old <- err }()
		synctest.Wait()
		w.Kill("b")
		require.ErrorIs(t, <-old, ErrUnknown)
		again := start(t, Config{Network: w, Addr: "b"})
		testServices(again)
		_, err := a.Request(t.Context(), "b", echo, nil)
		require.NoError(t, err)
		_, err = a.RequestPeer(t.Context(), Peer{Addr: "b", Incarnation: b.Incarnation()}, echo, nil)
		require.ErrorIs(t, err, ErrNotExecuted)
	})
}
