package host_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// A kind's own time goes before that of the silo's Config.
func TestIdleTimesOfKinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := single(t, host.Config{IdleAfter: time.Hour}, wire.KindOptions{IdleAfter: time.Minute})
		n := w.silos[0]
		require.NoError(t, w.call(t.Context(), n, "a", nothing))
		time.Sleep(50 * time.Second)
		require.Equal(t, 1, n.host.Activations(kindName))
		time.Sleep(time.Minute)
		require.Zero(t, n.host.Activations(kindName))
		require.EqualValues(t, 1, n.host.Stats().Collected.Idle)
		require.NoError(t, n.host.Stop(t.Context()))
	})
}

// limit is a limit of memory that is not reached but where a test says so.
const limit = 1 << 50

// A grain that is to be kept is kept for so long, and the last word counts.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := single(t, host.Config{IdleAfter: time.Minute, MemoryLimit: limit}, wire.KindOptions{})
		n := w.silos[0]
		keep := func(d time.Duration) script {
			return func(_ context.Context, g *grain) error { grains.KeepAlive(g, d); return nil }
		}
		require.NoError(t, w.call(t.Context(), n, "a", keep(time.Hour)))
		time.Sleep(50 * time.Minute)
		n.host.Relieve(limit, 1)
		require.Equal(t, 1, n.host.Activations(kindName))
		time.Sleep(11 * time.Minute)
		require.Zero(t, n.host.Activations(kindName))
		require.NoError(t, w.call(t.Context(), n, "a", keep(time.Hour)))
		require.NoError(t, w.call(t.Context(), n, "a", keep(0)))
		time.Sleep(2 * time.Minute)
		require.Zero(t, n.host.Activations(kindName))
		require.NoError(t, n.host.Stop(t.Context()))
	})
}

// A grain that asks for its end gets it after its turn; who waits meanwhile is served by the next activation.
func TestDeactivate(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	var activated, deactivated, busy atomic.Int32
	w.onActivate = func(context.Context, *grain) error { activated.Add(1); return nil }
	w.onDeactivate = func(context.Context, *grain) error {
		require.Zero(t, busy.Load(), "in the middle of a turn")
		deactivated.Add(1)
		return nil
	}
	first, begun, let := blocking()
	done := make(chan error, 2) // two: what is sent never waits
	go func() {
		done <- w.call(ctx, n, a, func(ctx context.Context, g *grain) error {
			busy.Add(1)
			defer busy.Add(-1)
			err := first(ctx, g)
			grains.Deactivate(g)
			grains.Deactivate(g)
			require.NoError(t, ctx.Err(), "the turn goes on")
			return err
		})
	}()
	<-begun
	go func() { done <- w.call(ctx, n, a, nothing) }()
	soon(t, "it waits", func() bool { return n.host.Waiting() == 1 })
	close(let)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.EqualValues(t, 2, activated.Load())
	require.EqualValues(t, 1, deactivated.Load())
	require.EqualValues(t, 1, n.host.Stats().Collected.Requested)

	require.NoError(t, w.call(ctx, n, a, func(_ context.Context, g *grain) error { grains.Deactivate(g); return nil }))
	soon(t, "nobody calls it again", func() bool { return n.host.Activations(kindName) == 0 })
	grains.Deactivate(&grain{}) // that no silo made
	grains.KeepAlive(&grain{}, time.Hour)
}

// When memory is short the grains go that were idle the longest, so many at a time, and none that was called a
// moment ago.
func TestTheLongestIdleGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := single(t, host.Config{IdleAfter: 100 * time.Hour, MemoryLimit: limit}, wire.KindOptions{})
		n := w.silos[0]
		var mu sync.Mutex
		var gone []string
		w.onDeactivate = func(_ context.Context, g *grain) error {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, g.GrainID().Key())
			return nil
		}
		for i := range 100 {
			require.NoError(t, w.call(t.Context(), n, fmt.Sprintf("%02d", i), nothing))
			time.Sleep(time.Minute)
		}
		n.host.Relieve(limit*749/1000, 1)
		synctest.Wait()
		require.Empty(t, gone)
		n.host.Relieve(limit*8/10, 2)
		n.host.Relieve(limit*8/10, 2) // nobody knows yet what that has brought
		synctest.Wait()
		slices.Sort(gone)
		require.Len(t, gone, 19) // of 0.80 of the limit 0.15 are too many
		// Times are told apart within an eighth.
		require.Equal(t, "00", gone[0])
		require.LessOrEqual(t, gone[len(gone)-1], "27")
		require.EqualValues(t, 19, n.host.Stats().Collected.Memory)

		n.host.Relieve(5*limit, 3)
		synctest.Wait()
		require.Len(t, gone, 60, "half of them at most")

		for i := range 40 {
			key := fmt.Sprint("new-", i)
			require.NoError(t, w.call(t.Context(), n, key, nothing))
		}
		for cycle := range uint64(20) {
			n.host.Relieve(5*limit, 4+cycle)
		}
		synctest.Wait()
		require.Equal(t, 40, n.host.Activations(kindName), "those that were called just now stay")
		require.NoError(t, n.host.Stop(t.Context()))
	})
}

// However many grains are to be told of their end, few are at one time; calls of others go on, and those of
// grains whose turn has not come yet find them in memory.
func TestFewAreToldOfTheirEndAtOneTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := single(t, host.Config{IdleAfter: time.Minute}, wire.KindOptions{})
		n := w.silos[0]
		const grains = 1000
		var now, most, told atomic.Int32
		w.onDeactivate = func(context.Context, *grain) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			told.Add(1)
			return nil
		}
		for i := range grains {
			require.NoError(t, w.call(t.Context(), n, fmt.Sprint(i), nothing))
		}
		time.Sleep(75*time.Second + 500*time.Millisecond)
		require.EqualValues(t, 32, now.Load())
		for i := range grains {
			began := time.Now()
			require.NoError(t, w.call(t.Context(), n, fmt.Sprint(i), nothing))
			require.LessOrEqual(t, time.Since(began), 1100*time.Millisecond, "it waited for others than its own grain")
		}
		time.Sleep(10 * time.Minute)
		require.Zero(t, n.host.Activations(kindName))
		require.LessOrEqual(t, most.Load(), int32(33))
		require.GreaterOrEqual(t, told.Load(), int32(grains))
		require.NoError(t, n.host.Stop(t.Context()))
	})
}

// What looks through the table misses nobody who is there all the while, whoever comes and goes.
func TestLookingThroughTheTableMissesNobody(t *testing.T) {
	t.Parallel()
	w := single(t, host.Config{}, wire.KindOptions{})
	n := w.silos[0]
	ctx := within(t, 20*time.Second)
	const stay = 30_000
	for i := range stay {
		require.NoError(t, w.call(ctx, n, fmt.Sprint("stays-", i), nothing))
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	for k := range 2 {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_ = w.call(ctx, n, fmt.Sprint("goes-", k, "-", i), func(_ context.Context, g *grain) error { grains.Deactivate(g); return nil })
			}
		})
	}
	for range 5 {
		require.GreaterOrEqual(t, n.host.Seen("stays-"), stay)
	}
	close(stop)
	others.Wait()
	require.NoError(t, n.host.Stop(ctx))
}

// An idle grain costs little memory, the table's included. BenchmarkIdleGrains tells for more of them.
func TestIdleGrainsAreSmall(t *testing.T) {
	w := single(t, host.Config{}, wire.KindOptions{})
	n := w.silos[0]
	n.host.Kinds[kindName] = wire.NewKind(kindName, wire.KindOptions{}, func(*wire.Grain) *idler { return &idler{} }, &idle)
	const many = 50_000
	keys := make([]string, many)
	for i := range keys {
		keys[i] = fmt.Sprint("grain-", i)
	}
	before := heapInUse()
	for _, key := range keys {
		_, err := wire.Call(t.Context(), wire.NewRef(n, kindName, key), &idle, 1)
		require.NoError(t, err)
	}
	each := float64(heapInUse()-before) / many
	runtime.KeepAlive(keys)
	require.Less(t, each, 800.)
	require.NoError(t, n.host.Stop(t.Context()))
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
