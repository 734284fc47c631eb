package host_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// single starts one silo that nobody else reaches, with bounds of its own. It is for synctest too.
func single(t *testing.T, c host.Config, kind wire.KindOptions, faults ...host.Fault) *world {
	w := &world{t: t, runs: map[string]int{}}
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	c.Self, c.Addr, c.Views, c.Standing, c.Now = n.id, n.addr, n.views, n.stands.Load, n.now
	c.Kinds = map[string]wire.Kind{kindName: wire.NewKind(kindName, kind, func(at *wire.Grain) *grain { return &grain{world: w, at: n} }, &run, &look, &weave, &glide)}
	c.Logger = slog.New(slog.DiscardHandler)
	n.host = host.New(c)
	for _, f := range faults {
		n.host.Break(f)
	}
	n.AtCaller = wire.NewCaller(plain{call: n.host.Call})
	w.silos = []*node{n}
	return w
}

// bounded gives the silos of a world bounds, before their first call.
func bounded(w *world, queue, calls, bytes int) *world {
	for _, n := range w.silos {
		n.host.Queue, n.host.Calls, n.host.CallBytes = queue, calls, bytes
	}
	return w
}

// As many calls wait at a grain as may; one more is refused at once, here and from elsewhere, and is not made
// again. What comes back to a turn that waits for it is no more.
func TestTheQueueOfAGrainIsBounded(t *testing.T) {
	t.Parallel()
	const most = 4
	overflow := func(faults ...host.Fault) (refused int) {
		w := bounded(start(t, 2, faults...), most, 100, 1<<20)
		n, a := w.silos[0], w.key(0, 0)
		ctx := within(t, 20*time.Second)
		first, begun, let := blocking()
		var calls sync.WaitGroup
		calls.Go(func() { assert.NoError(t, w.call(ctx, n, a, first)) })
		<-begun
		for range most {
			calls.Go(func() { assert.NoError(t, w.call(ctx, n, a, nothing)) })
		}
		soon(t, "as many wait as may", func() bool { return n.host.Waiting() == most })
		require.EqualValues(t, most, n.host.Stats().Waiting)
		errs := make(chan error, 4) // four: what is sent never waits
		calls.Go(func() { errs <- w.call(ctx, n, a, nothing) })
		calls.Go(func() { errs <- w.call(ctx, w.silos[1], a, nothing) })
		calls.Go(func() { errs <- w.callAs(ctx, w.silos[1], a, &look, nothing) })
		calls.Go(func() {
			errs <- txn.Atomic(ctx, w.silos[1], func(ctx context.Context) error { return w.call(ctx, w.silos[1], a, nothing) })
		})
		if len(faults) > 0 {
			soon(t, "more wait", func() bool { return n.host.Waiting() > most })
			close(let)
		}
		for range 4 {
			if err := <-errs; err != nil {
				require.ErrorIs(t, err, grains.ErrOverloaded)
				require.ErrorIs(t, err, grains.ErrNotExecuted)
				require.ErrorContains(t, err, "Config.Queue")
				refused++
			}
		}
		if len(faults) == 0 {
			require.EqualValues(t, 4, n.host.Stats().Refused.Grain)
			close(let)
		}
		calls.Wait()
		require.Zero(t, n.host.Stats().Waiting)
		require.Zero(t, n.host.Stats().Calls)
		return refused
	}
	require.Equal(t, 4, overflow())
	require.Zero(t, overflow(host.Unbounded), "nothing is refused without the bound")
}

// The calls of a silo are bounded in number; those that grains make have room once more.
func TestTheCallsOfASiloAreBounded(t *testing.T) {
	t.Parallel()
	refusedOf := func(faults ...host.Fault) uint64 {
		w := bounded(start(t, 2, faults...), 100, 2, 1<<20)
		n := w.silos[0]
		ctx := within(t, 20*time.Second)
		first, begun, let := blocking()
		var calls sync.WaitGroup
		calls.Go(func() { assert.NoError(t, w.call(ctx, n, w.key(0, 0), first)) })
		<-begun
		second := make(chan struct{})
		calls.Go(func() {
			assert.NoError(t, w.call(ctx, n, w.key(0, 1), func(ctx context.Context, g *grain) error {
				defer close(second)
				return g.call(ctx, w.key(0, 2), nothing) // the third
			}))
		})
		<-second
		soon(t, "it is over", func() bool { return n.host.Stats().Calls == 1 })
		calls.Go(func() { _ = w.call(ctx, n, w.key(0, 0), nothing) })
		soon(t, "it waits", func() bool { return n.host.Stats().Waiting == 1 })
		for _, from := range w.silos {
			err := w.call(ctx, from, w.key(0, 3), nothing)
			if len(faults) == 0 {
				require.ErrorIs(t, err, grains.ErrOverloaded)
				require.ErrorContains(t, err, "Config.Calls")
				require.Equal(t, 3, n.host.Activations(kindName), "a grain was activated for a call that was refused")
			} else {
				require.NoError(t, err)
			}
		}
		close(let)
		calls.Wait()
		require.NoError(t, w.call(ctx, n, w.key(0, 3), nothing))
		return n.host.Stats().Refused.Calls
	}
	require.EqualValues(t, 2, refusedOf())
	require.Zero(t, refusedOf(host.Unbounded))
}

// What the arguments of calls from elsewhere measure is bounded.
func TestTheBytesOfASiloAreBounded(t *testing.T) {
	t.Parallel()
	w := bounded(start(t, 2), 100, 100, 0)
	ctx := within(t, 20*time.Second)
	err := w.call(ctx, w.silos[1], w.key(0, 0), nothing)
	require.NoError(t, err, "no arguments worth speaking of") // script 0 is encoded as nothing
	err = w.call(ctx, w.silos[1], w.key(0, 0), nothing)
	require.ErrorIs(t, err, grains.ErrOverloaded)
	require.ErrorContains(t, err, "Config.CallBytes")
	require.EqualValues(t, 1, w.silos[0].host.Stats().Refused.Bytes)
	require.NoError(t, w.call(ctx, w.silos[0], w.key(0, 0), nothing), "arguments that are not encoded are their caller's")
}

// A call without a deadline does not wait for ever, though nothing bounds a method that runs.
func TestACallWithoutADeadlineWaitsForSoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := single(t, host.Config{}, wire.KindOptions{})
		n, ctx := w.silos[0], context.Background()
		first, begun, let := blocking()
		done := make(chan error, 1) // one: the only send never waits
		go func() { done <- w.call(ctx, n, "a", first) }()
		<-begun
		began := time.Now()
		err := w.call(ctx, n, "a", nothing)
		require.ErrorIs(t, err, grains.ErrNotExecuted)
		require.NotErrorIs(t, err, grains.ErrOverloaded)
		require.ErrorContains(t, err, "without a deadline")
		require.Equal(t, 30*time.Second, time.Since(began))
		require.EqualValues(t, 1, n.host.Stats().Refused.Expired)
		time.Sleep(time.Minute)
		close(let)
		require.NoError(t, <-done)

		// Nor for the end of an activation that its grain has asked for.
		again, begun, let := blocking()
		go func() {
			done <- w.call(ctx, n, "a", func(ctx context.Context, g *grain) error {
				grains.Deactivate(g)
				return again(ctx, g)
			})
		}()
		<-begun
		began = time.Now()
		err = w.call(ctx, n, "a", nothing)
		require.ErrorIs(t, err, grains.ErrNotExecuted)
		require.Less(t, time.Since(began), 31*time.Second)
		close(let)
		require.NoError(t, <-done)
		require.NoError(t, n.host.Stop(ctx))
	})
}

// A call that comes back to a turn which waits for it is not one too many.
func TestAFullQueueLetsBackIn(t *testing.T) {
	t.Parallel()
	w := bounded(start(t, 2), 1, 100, 1<<20)
	n, a, b := w.silos[0], w.key(0, 0), w.key(1, 0)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, n, a, nothing))
	begun, let := make(chan struct{}), make(chan struct{})
	other, otherBegun, otherLet := blocking()
	var calls sync.WaitGroup
	calls.Go(func() {
		assert.NoError(t, w.callAs(ctx, n, a, &weave, func(ctx context.Context, g *grain) error {
			return g.call(ctx, b, func(ctx context.Context, g *grain) error {
				close(begun)
				<-let
				return g.call(ctx, a, nothing)
			})
		}))
	})
	<-begun
	calls.Go(func() { assert.NoError(t, w.call(ctx, n, a, other)) })
	<-otherBegun
	calls.Go(func() { assert.NoError(t, w.call(ctx, n, a, nothing)) })
	soon(t, "the queue is full", func() bool { return n.host.Waiting() == 1 })
	close(let)
	soon(t, "the call that comes back waits too", func() bool { return n.host.Waiting() == 2 })
	require.True(t, errors.Is(w.call(ctx, n, a, nothing), grains.ErrOverloaded))
	close(otherLet)
	calls.Wait()
}
