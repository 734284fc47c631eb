package host_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// poke runs a script for nobody.
var poke = wire.Method[int64, struct{}]{
	Number: 22, Name: "Poke", Traits: wire.Traits{OneWay: true}, Args: wire.IntCodec[int64](), Result: wire.EmptyCodec,
	Do: func(ctx context.Context, impl any, n int64) (struct{}, error) {
		_, err := run.Do(ctx, impl, n)
		return struct{}{}, err
	},
}

// twice runs a script that may run twice.
var twice = scripted(23, "Twice", wire.Traits{Idempotent: true})

func (w *world) script(s script) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scripts = append(w.scripts, s)
	return int64(len(w.scripts) - 1)
}

func (w *world) poke(ctx context.Context, from grains.Caller, key string, s script) error {
	return wire.Send(ctx, wire.NewRef(from, kindName, key), &poke, w.script(s))
}

// hermit is a silo of one, without network or log.
func hermit(t *testing.T, c host.Config) *node {
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *grain { return &grain{world: &world{}, at: n} }, moreMethods...)
	c.Self, c.Addr, c.Views, c.Standing, c.Now = n.id, n.addr, n.views, n.stands.Load, n.now
	c.Kinds, c.Logger = map[string]wire.Kind{kindName: kind}, slog.New(slog.DiscardHandler)
	n.host = host.New(c)
	t.Cleanup(func() { require.NoError(t, n.host.Stop(context.Background())) })
	n.AtCaller = wire.NewCaller(plain{call: n.host.Call})
	return n
}

// The caller does not wait for the method, and its end is not the method's.
func TestAOneWayCallIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx, cancel := context.WithCancel(within(t, 20*time.Second))
		slow, begun, let := blocking()
		require.NoError(t, w.poke(ctx, w.silos[0], key, slow))
		<-begun
		ended := make(chan error, 1) // one: it runs once
		require.NoError(t, w.poke(ctx, w.silos[0], key, func(ctx context.Context, _ *grain) error {
			_, bounded := ctx.Deadline()
			if !bounded {
				ended <- errors.New("no deadline")
			}
			ended <- ctx.Err()
			return errListed
		}))
		cancel()
		close(let)
		require.NoError(t, <-ended)
		soon(t, "the error is counted where the method ran", func() bool {
			for _, n := range w.silos {
				if c := n.host.OneWay(); c.Failed == 1 && c.Delivered >= 1 && c.Pending == 0 {
					return true
				}
			}
			return false
		})
		require.ErrorIs(t, w.poke(ctx, w.silos[0], key, nothing), wire.ErrNotExecuted, "the context has ended before")
	})
}

// A grain may send to itself: nobody waits.
func TestAOneWayCallClosesNoCycle(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	done := make(chan struct{})
	require.NoError(t, w.call(within(t, 20*time.Second), w.silos[0], "a", func(ctx context.Context, g *grain) error {
		return w.poke(ctx, g, "a", func(context.Context, *grain) error {
			close(done)
			return nil
		})
	}))
	<-done
}

// It would leave before the block is decided.
func TestNoOneWayCallInABlock(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	var ran atomic.Bool
	err := txn.Atomic(within(t, 20*time.Second), w.silos[0], func(ctx context.Context) error {
		return w.poke(ctx, w.silos[0], "a", func(context.Context, *grain) error {
			ran.Store(true)
			return nil
		})
	})
	require.ErrorIs(t, err, wire.ErrOneWayInBlock)
	require.False(t, ran.Load())
}

// What was taken in by a silo that the grain leaves before its turn is made again where the grain is then.
func TestAOneWayCallFollowsItsGrain(t *testing.T) {
	t.Parallel()
	w := start(t, 3)
	key := w.key(1, 0)
	ctx := within(t, 20*time.Second)
	slow, begun, let := blocking()
	require.NoError(t, w.poke(ctx, w.silos[0], key, slow))
	<-begun
	at := make(chan string, 2)
	require.NoError(t, w.poke(ctx, w.silos[0], key, func(_ context.Context, g *grain) error {
		at <- g.at.addr
		return nil
	}))
	soon(t, "both were taken in", func() bool { return w.silos[0].host.OneWay().Delivered == 2 })
	soon(t, "it waits", func() bool { return w.silos[1].host.Waiting() == 1 })
	w.up(2, w.silos[0], w.silos[2])
	close(let)
	select {
	case addr := <-at:
		require.NotEqual(t, w.silos[1].addr, addr)
	case <-ctx.Done():
		t.Fatal("it was lost")
	}
	require.Empty(t, at)
}

// A silo that stops waits for what is on its way.
func TestStopWaitsForOneWayCalls(t *testing.T) {
	t.Parallel()
	n := hermit(t, host.Config{})
	w := &world{t: t, runs: map[string]int{}}
	slow, begun, let := blocking()
	var ran atomic.Int32
	s := func(ctx context.Context, g *grain) error {
		defer ran.Add(1)
		if ran.Load() == 0 {
			return slow(ctx, g)
		}
		return nil
	}
	n.host.Kinds[kindName].Grain().Methods[poke.Number] = &wire.Method[int64, struct{}]{
		Number: poke.Number, Name: "Poke", Traits: poke.Traits, Args: poke.Args, Result: poke.Result,
		Do: func(ctx context.Context, impl any, _ int64) (struct{}, error) {
			return struct{}{}, s(ctx, impl.(*grain))
		},
	}
	m := n.host.Kinds[kindName].Grain().Methods[poke.Number].(*wire.Method[int64, struct{}])
	for range 5 {
		require.NoError(t, wire.Send(t.Context(), wire.NewRef(n, kindName, "a"), m, w.script(nothing)))
	}
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- n.host.Stop(context.Background()) }()
	close(let)
	require.NoError(t, <-stopped)
	require.EqualValues(t, 5, ran.Load())
	require.EqualValues(t, 5, n.host.OneWay().Delivered)
}

// A call that may have run is made again where the method says so, outside of blocks, and never else; a block
// that it begins commits once.
func TestIdempotentCallsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		method *wire.Method[int64, int64]
		again  bool
	}{"idempotent": {&twice, true}, "read-only": {&look, true}, "plain": {&run, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 2)
			key := w.key(1, 0)
			ctx := within(t, 20*time.Second)
			var lost, ran atomic.Int32
			w.loses = func(*node, []byte) bool { return lost.Add(1) <= 2 }
			count := func(context.Context, *grain) error {
				ran.Add(1)
				return nil
			}
			err := w.callAs(ctx, w.silos[0], key, at.method, count)
			if !at.again {
				require.ErrorIs(t, err, wire.ErrUnknown)
				require.EqualValues(t, 1, ran.Load())
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 3, ran.Load())
			if at.method == &twice {
				lost.Store(0)
				require.NoError(t, w.callAs(ctx, w.silos[0], key, &twice, func(ctx context.Context, g *grain) error {
					_, err := txn.AtomicValue(ctx, g, func(ctx context.Context) (int64, error) { return 0, g.add(ctx, 1) })
					return err
				}))
				require.EqualValues(t, 1, w.value(key), "the block has committed once")
			}
			lost.Store(1)
			ran.Store(0)
			inBlock, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			tries := int32(0)
			_ = txn.Atomic(inBlock, w.silos[0], func(ctx context.Context) error {
				tries++
				return w.callAs(ctx, w.silos[0], key, at.method, count)
			})
			require.Equal(t, tries, ran.Load(), "inside a block it is made once a try")
		})
	}
}
