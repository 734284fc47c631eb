package host_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/txn"
)

// blocking is a script that says when it has begun and runs until it is let go.
func blocking() (s script, begun, let chan struct{}) {
	begun, let = make(chan struct{}), make(chan struct{})
	return func(context.Context, *grain) error {
		close(begun)
		<-let
		return nil
	}, begun, let
}

// A call that waited for its turn while its grain moved away runs where the grain is now, and nowhere else.
func TestOwnershipIsCheckedWhenATurnStarts(t *testing.T) {
	t.Parallel()
	ranAtTheOld := func(faults ...host.Fault) int {
		// What waits is not refused, so that its turn comes.
		w := start(t, 2, append(faults, host.KeepWaiters)...)
		old, now := w.silos[0], w.silos[1]
		ctx, key := within(t, 20*time.Second), w.key(0, 0)
		first, begun, let := blocking()
		var calls sync.WaitGroup
		calls.Go(func() { _ = w.call(ctx, old, key, first) })
		<-begun
		calls.Go(func() { require.NoError(t, w.call(ctx, old, key, nothing)) })
		soon(t, "the second call waits", func() bool { return old.host.Waiting() == 1 })
		w.up(2, now)
		close(let)
		calls.Wait()
		return w.ran(old) - 1
	}
	require.Zero(t, ranAtTheOld())
	require.Equal(t, 1, ranAtTheOld(host.ServeAnything), "nothing notices that a grain ran at two silos")
}

// Who calls by an old view is sent on; a silo that is behind its callers is asked until it has caught up.
func TestSilosWithDifferentViews(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, key := within(t, 20*time.Second), w.key(0, 0)
	moved := w.view(2, w.silos[1])
	w.silos[0].see(moved)
	done := make(chan error, 1)
	go func() { done <- w.call(ctx, w.silos[1], key, nothing) }()
	go func() { // silo 1 still believes that the grain is at silo 0
		w.silos[1].see(moved)
	}()
	require.NoError(t, <-done)
	require.NoError(t, w.call(ctx, w.silos[0], key, nothing))
	require.Zero(t, w.ran(w.silos[0]))
	require.Equal(t, 2, w.ran(w.silos[1]))
}

// An activation that ends answers what waits, at once, though a turn still runs; callers go elsewhere.
func TestAnActivationThatEndsRefusesWhatWaits(t *testing.T) {
	t.Parallel()
	served := func(bound time.Duration, faults ...host.Fault) error {
		w := start(t, 2, faults...)
		old, now := w.silos[0], w.silos[1]
		key := w.key(0, 0)
		first, begun, let := blocking()
		defer close(let)
		go func() { _ = w.call(context.Background(), old, key, first) }()
		<-begun
		done := make(chan error, 2)
		ctx := within(t, bound)
		for _, from := range []*node{old, now} { // a local call, and one from another silo
			go func() { done <- w.call(ctx, from, key, nothing) }()
		}
		soon(t, "both wait", func() bool { return old.host.Waiting() == 2 })
		w.up(2, now)
		for range 2 {
			if err := <-done; err != nil {
				return err
			}
		}
		require.Equal(t, 2, w.ran(now))
		return nil
	}
	require.NoError(t, served(20*time.Second))
	require.Error(t, served(200*time.Millisecond, host.KeepWaiters))
}

// A → B → A without a block would wait for ever; in one block it runs; and who waits keeps nobody else
// from anything.
func TestCallsThatComeBack(t *testing.T) {
	t.Parallel()
	for _, place := range []struct {
		name string
		b    int // the silo of the second grain
	}{{"in one silo", 0}, {"over two silos", 1}} {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 2)
			ctx := within(t, 20*time.Second)
			a, b := w.key(0, 0), w.key(place.b, 1)
			backToA := func(last script) script {
				return func(ctx context.Context, g *grain) error {
					return g.call(ctx, b, func(ctx context.Context, g *grain) error { return g.call(ctx, a, last) })
				}
			}
			err := w.call(ctx, w.silos[0], a, backToA(nothing))
			require.ErrorIs(t, err, grains.ErrCycle)

			require.NoError(t, w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
				return txn.Atomic(ctx, g, func(ctx context.Context) error {
					if err := g.add(ctx, 1); err != nil {
						return err
					}
					return backToA(func(ctx context.Context, g *grain) error { return g.add(ctx, 10) })(ctx, g)
				})
			}))
			require.EqualValues(t, 11, w.value(a))

			// While a waits for b, others go on.
			first, begun, let := blocking()
			done := make(chan error, 1)
			go func() {
				done <- w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error { return g.call(ctx, b, first) })
			}()
			<-begun
			for i := 2; i < 40; i++ {
				require.NoError(t, w.call(ctx, w.silos[i%2], w.key(0, i), nothing))
			}
			close(let)
			require.NoError(t, <-done)
		})
	}
	t.Run("unnoticed", func(t *testing.T) {
		t.Parallel()
		w := start(t, 1, host.WaitInCycles)
		a := w.key(0, 0)
		err := w.call(within(t, 100*time.Millisecond), w.silos[0], a, func(ctx context.Context, g *grain) error { return g.call(ctx, a, nothing) })
		require.Error(t, err)
		require.NotErrorIs(t, err, grains.ErrCycle)
	})
}

// A block that is begun in a turn gives the turn up between two tries. Whatever ends the block, the turn
// has come back before the method goes on: turns exclude each other.
func TestTurnsExcludeEachOther(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	keys := []string{w.key(0, 0), w.key(1, 0), w.key(0, 1)}
	var busy [3]atomic.Int32
	alone := func(i int) {
		if !busy[i].CompareAndSwap(0, 1) {
			t.Error("two turns of one grain at the same time")
		}
		for range 100 {
			_ = busy[i].Load()
		}
		busy[i].Store(0)
	}
	var calls sync.WaitGroup
	for n := range 12 {
		calls.Go(func() {
			for k := range 40 {
				i, j := n%3, (n+1+k%2)%3
				// Many of them end while they wait, wounded or not.
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+k%10)*time.Millisecond)
				_ = w.call(ctx, w.silos[n%2], keys[i], func(ctx context.Context, g *grain) error {
					alone(i)
					err := txn.Atomic(ctx, g, func(ctx context.Context) error {
						if err := g.add(ctx, 1); err != nil {
							return err
						}
						return g.call(ctx, keys[j], func(ctx context.Context, g *grain) error {
							alone(j)
							return g.add(ctx, -1)
						})
					})
					alone(i)
					return err
				})
				cancel()
			}
		})
	}
	calls.Wait()
	ctx := within(t, 20*time.Second)
	for _, key := range keys {
		require.NoError(t, w.call(ctx, w.silos[0], key, adds(0)), "something is held that nobody needs")
	}
	require.Zero(t, w.value(keys[0])+w.value(keys[1])+w.value(keys[2]))
	for _, n := range w.silos {
		soon(t, "attempts that are over are forgotten", func() bool { return n.host.Present() == 0 })
	}
}

// A call that came back into a turn, and whose answer nobody waits for any more, still runs in it: the turn
// is given up only when that has left.
func TestATurnIsGivenUpWhole(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, a, b := within(t, 20*time.Second), w.key(0, 0), w.key(1, 0)
	deaf, begun, let := blocking() // does not notice that its block was wounded
	lost := make(chan struct{})
	older := make(chan struct{})
	olderBegan := sync.OnceFunc(func() { close(older) })
	var entered atomic.Bool
	var calls sync.WaitGroup
	calls.Go(func() { // the older block, by its timestamp
		assert.NoError(t, txn.Atomic(ctx, w.silos[1], func(ctx context.Context) error {
			olderBegan()
			<-begun
			return w.call(ctx, w.silos[1], a, func(ctx context.Context, g *grain) error {
				entered.Store(true)
				return g.add(ctx, 1)
			})
		}))
	})
	<-older
	calls.Go(func() {
		first := true
		assert.NoError(t, w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
			return txn.Atomic(ctx, g, func(ctx context.Context) error {
				if !first {
					return g.add(ctx, 10)
				}
				first = false
				err := g.call(ctx, b, func(ctx context.Context, g *grain) error { return g.call(ctx, a, deaf) })
				close(lost)
				return err
			})
		}))
	})
	<-lost // the wound has reached the younger one
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
	require.False(t, entered.Load(), "two turns of one grain at the same time")
	close(let)
	calls.Wait()
	require.EqualValues(t, 11, w.value(a))
}
