package actor

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestTurnsAreExclusiveAndNoneIsLost(t *testing.T) {
	t.Parallel()
	var turns Turns
	inside, taken := 0, 0
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+j)%3 == 0 {
					go cancel() // races with the grant
				}
				if turns.Lock(ctx) == nil {
					inside++
					if inside == 1 {
						taken++
					}
					inside--
					turns.Unlock()
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.Greater(t, taken, 16*500/2)
	require.True(t, turns.TryLock(), "a turn was lost")
}

func TestTurnsAreFIFOAndCancellable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := Turns{Limit: 3}
		require.NoError(t, turns.Lock(t.Context()))
		order := make(chan int, 3)
		second, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		for i := range 3 {
			go func() {
				if i == 1 {
					gaveUp <- turns.Lock(second)
					return
				}
				if turns.Lock(context.Background()) == nil {
					order <- i
					turns.Unlock()
				}
			}()
			synctest.Wait()
		}
		err := turns.Lock(t.Context())
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "overloaded")
		cancel()
		err = <-gaveUp
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, order)
		turns.Unlock()
		require.Equal(t, 0, <-order)
		require.Equal(t, 2, <-order)
	})
}

func TestClosedTurnsRefuseWaitersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns Turns
		require.True(t, turns.TryLock())
		refused := make(chan error, 2)
		for range 2 {
			go func() { refused <- turns.Lock(context.Background()) }()
		}
		synctest.Wait()
		turns.Close()
		require.ErrorIs(t, <-refused, ErrNotExecuted)
		require.ErrorIs(t, <-refused, ErrNotExecuted)
		turns.Unlock()
		require.ErrorIs(t, turns.Lock(t.Context()), ErrNotExecuted)
		require.False(t, turns.TryLock())
		require.Panics(t, turns.Unlock)
	})
}

func BenchmarkUncontended(b *testing.B) {
	b.Run("Turns", func(b *testing.B) {
		var turns Turns
		ctx := context.Background()
		for b.Loop() {
			_ = turns.Lock(ctx)
			turns.Unlock()
		}
	})
	b.Run("Mutex", func(b *testing.B) {
		var mu sync.Mutex
		for b.Loop() {
			mu.Lock()
			//lint:ignore SA2001 the pair is what is measured
			mu.Unlock()
		}
	})
}

// A turn that is granted to a waiter just as it gives up goes on to the next.
func TestTurnGrantedToOneWhoGaveUp(t *testing.T) {
	t.Parallel()
	var turns Turns
	for range 2000 {
		require.True(t, turns.TryLock(), "a turn was lost")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- turns.Lock(ctx) }()
		for turns.state.Load()&turnWaiters == 0 {
			runtime.Gosched()
		}
		cancel()
		turns.Unlock()
		if <-done == nil {
			turns.Unlock()
		}
	}
}
