package host_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// listing is a script that yields.
type listing func(ctx context.Context, g *grain, yield func(int64, error) bool)

// listings are those of all tests, by number.
var listings struct {
	sync.Mutex
	all []listing
}

var errListed = errors.New("listed")

// lists is a method that yields what a listing does, and listsAgain one that may be begun again.
var lists, listsAgain = listed(20, "List", wire.Traits{}), listed(21, "ListAgain", wire.Traits{Idempotent: true})

func listed(number uint32, name string, traits wire.Traits) wire.StreamMethod[int64, int64] {
	return wire.StreamMethod[int64, int64]{
		Number: number, Name: name, Traits: traits, Args: wire.IntCodec[int64](), Element: wire.IntCodec[int64](),
		Errors: &wire.ErrorTable{Errors: []wire.ErrorEntry{wire.Sentinel(1, errListed)}},
		Do: func(ctx context.Context, impl any, n int64) iter.Seq2[int64, error] {
			listings.Lock()
			l := listings.all[n]
			listings.Unlock()
			g := impl.(*grain)
			return func(yield func(int64, error) bool) { l(ctx, g, yield) }
		},
	}
}

// moreMethods are those of the test's grain besides run.
var moreMethods = []wire.Handler{&lists, &listsAgain, &wanders, &poke, &twice, &introduce, &meet}

func (w *world) list(ctx context.Context, from grains.Caller, key string, l listing) iter.Seq2[int64, error] {
	return w.listAs(ctx, from, key, &lists, l)
}

func (w *world) listAs(ctx context.Context, from grains.Caller, key string, m *wire.StreamMethod[int64, int64], l listing) iter.Seq2[int64, error] {
	listings.Lock()
	n := len(listings.all)
	listings.all = append(listings.all, l)
	listings.Unlock()
	return wire.Stream(ctx, wire.NewRef(from, kindName, key), m, int64(n))
}

// upTo yields the numbers below n.
func upTo(n int64) listing {
	return func(_ context.Context, g *grain, yield func(int64, error) bool) {
		for i := range n {
			g.turns++ // the race detector says whether another turn runs
			if !yield(i, nil) {
				return
			}
		}
	}
}

// collect reads a whole stream, and its errors apart.
func collect(s iter.Seq2[int64, error]) (all []int64, errs []error) {
	for v, err := range s {
		if err != nil {
			errs = append(errs, err)
		} else {
			all = append(all, v)
		}
	}
	return all, errs
}

func numbers(n int64) (all []int64) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// eachPlace runs a test for a grain that is here and for one that is elsewhere.
func eachPlace(t *testing.T, test func(t *testing.T, w *world, key string)) {
	for i, name := range []string{"here", "elsewhere"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 2)
			test(t, w, w.key(i, 0))
		})
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		for _, n := range []int64{0, 1, 7, 8, 9, 24, 25, 1000} {
			s := w.list(ctx, w.silos[0], key, upTo(n))
			for range 2 { // each range is a stream of its own
				all, errs := collect(s)
				require.Empty(t, errs)
				require.Equal(t, numbers(n), all)
			}
		}
	})
}

// Between two batches other calls run, and the method's own calls are those of its grain.
func TestTheMethodOfAStreamRunsInTurns(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		other := w.key(1, 1)
		var reads int
		s := w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
			for i := range int64(100) {
				g.turns++
				err := g.call(ctx, other, nothing)
				if err == nil {
					err = txn.Atomic(ctx, g, func(ctx context.Context) error { return g.add(ctx, 1) })
				}
				if cycle := g.call(ctx, g.GrainID().Key(), nothing); !errors.Is(cycle, wire.ErrCycle) {
					err = fmt.Errorf("a call of itself: %w", cycle)
				}
				if !yield(i, err) {
					return
				}
			}
		})
		for v, err := range s {
			require.NoError(t, err)
			require.EqualValues(t, reads, v)
			reads++
			require.NoError(t, w.call(ctx, w.silos[0], key, nothing))
		}
		require.Equal(t, 100, reads)
		require.EqualValues(t, 100, w.value(key))
	})
}

func TestErrorsAndPanicsOfStreams(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		all, errs := collect(w.list(ctx, w.silos[0], key, func(_ context.Context, _ *grain, yield func(int64, error) bool) {
			yield(1, nil)
			yield(0, fmt.Errorf("wrapped: %w", errListed))
			yield(2, nil)
			panic("oh")
		}))
		require.Equal(t, []int64{1, 2}, all, "what was yielded before an error, or a panic, arrives")
		require.Len(t, errs, 2)
		require.ErrorIs(t, errs[0], errListed)
		require.Equal(t, "wrapped: listed", errs[0].Error())
		require.ErrorIs(t, errs[1], wire.ErrPanic)
		require.NoError(t, w.call(ctx, w.silos[0], key, nothing), "the grain is as it was")

		for v, err := range w.list(ctx, w.silos[0], key, func(_ context.Context, _ *grain, yield func(int64, error) bool) {
			yield(7, errListed)
		}) {
			require.ErrorIs(t, err, errListed)
			require.Zero(t, v, "what is yielded beside an error is dropped")
		}

		_, errs = collect(w.list(ctx, w.silos[0], key, func(_ context.Context, g *grain, yield func(int64, error) bool) {
			yield(0, &wire.CallError{To: g.GrainID(), Cause: wire.ErrNotExecuted})
		}))
		require.Len(t, errs, 1)
		require.NotErrorIs(t, errs[0], wire.ErrNotExecuted, "the method has run")
	})
}

// A reader that breaks off ends the method, in a turn.
func TestAReaderThatBreaksOff(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		ended := make(chan error, 1) // one: that it has ended
		for v, err := range w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
			defer func() {
				g.turns++
				ended <- ctx.Err()
			}()
			for i := int64(0); yield(i, nil); i++ {
			}
		}) {
			require.NoError(t, err)
			if v == 20 {
				break
			}
		}
		select {
		case err := <-ended:
			require.ErrorIs(t, err, context.Canceled)
		case <-ctx.Done():
			t.Fatal("the method was not ended")
		}
	})
}

// The cancellation of a reader that waits reaches the method.
func TestAReaderThatIsCancelled(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx, cancel := context.WithCancel(within(t, 20*time.Second))
		defer cancel()
		ended := make(chan error, 1)
		_, errs := collect(w.list(ctx, w.silos[0], key, func(ctx context.Context, _ *grain, yield func(int64, error) bool) {
			for i := range int64(8) { // the first batch
				yield(i, nil)
			}
			within, end := context.WithTimeout(ctx, time.Hour) // made in one turn, and used in another
			defer end()
			if yield(8, nil) {
				cancel()
				<-within.Done()
			}
			ended <- within.Err()
		}))
		require.Len(t, errs, 1)
		select {
		case err := <-ended:
			require.ErrorIs(t, err, context.Canceled)
		case <-time.After(10 * time.Second):
			t.Fatal("it did not reach the method")
		}
	})
}

// A block that is open would be held for as long as the reader likes.
func TestABlockMustNotYield(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		var outcome error
		all, errs := collect(w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
			yield(1, nil)
			outcome = txn.Atomic(ctx, g, func(ctx context.Context) error {
				if err := g.add(ctx, 1); err != nil {
					return err
				}
				yield(2, nil)
				return nil
			})
			yield(3, nil)
		}))
		require.Equal(t, []int64{1}, all)
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], wire.ErrYieldInBlock)
		require.Error(t, outcome)
		require.NoError(t, w.call(ctx, w.silos[0], key, adds(10)))
		require.EqualValues(t, 10, w.value(key), "the block had no effect")
	})
}

// A stream can be read inside of a block, whose calls are in it.
func TestAStreamInABlock(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		require.NoError(t, txn.Atomic(ctx, w.silos[0], func(ctx context.Context) error {
			all, errs := collect(w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
				for i := range int64(30) {
					if !yield(i, g.add(ctx, 1)) {
						return
					}
				}
			}))
			assert.Equal(t, numbers(30), all)
			return errors.Join(errs...)
		}))
		require.EqualValues(t, 30, w.value(key))
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	ctx := within(t, 20*time.Second)
	var stops []func()
	for {
		require.LessOrEqual(t, len(stops), 64)
		next, stop := iter.Pull2(w.list(ctx, w.silos[0], "a", upTo(1000)))
		_, err, _ := next()
		if err != nil {
			require.ErrorIs(t, err, wire.ErrOverloaded)
			stop()
			break
		}
		stops = append(stops, stop)
	}
	require.Len(t, stops, 64)
	for _, stop := range stops {
		stop()
	}
	soon(t, "there is room again", func() bool {
		_, errs := collect(w.list(ctx, w.silos[0], "a", upTo(1)))
		return len(errs) == 0
	})
}

// A grain that moves loses its streams, and ends their methods.
func TestAStreamWhoseGrainMoves(t *testing.T) {
	t.Parallel()
	w := start(t, 3)
	key := w.key(1, 0)
	ctx := within(t, 20*time.Second)
	ended := make(chan struct{})
	var got int64
	var lost error
	for v, err := range w.list(ctx, w.silos[0], key, func(_ context.Context, _ *grain, yield func(int64, error) bool) {
		defer close(ended)
		for i := int64(0); yield(i, nil); i++ {
		}
	}) {
		if lost = err; err != nil {
			break
		}
		require.Equal(t, got, v)
		if got++; got == 20 {
			w.up(2, w.silos[0], w.silos[2])
		}
	}
	require.ErrorIs(t, lost, wire.ErrStreamLost)
	require.NotErrorIs(t, lost, wire.ErrNotExecuted)
	require.GreaterOrEqual(t, got, int64(20))
	<-ended
}

// Replies that are lost are asked for again: no element is missing, and none comes twice.
func TestAStreamWhoseRepliesAreLost(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	key := w.key(1, 0)
	var mu sync.Mutex
	var lost []bool
	w.loses = func(_ *node, b []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(lost) == 0 {
			return false
		}
		is := lost[0]
		lost = lost[1:]
		return is
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int64Range(0, 400).Draw(rt, "elements")
		mu.Lock()
		lost = rapid.SliceOfN(rapid.Bool(), 0, 6).Draw(rt, "lost")
		mu.Unlock()
		all, errs := collect(w.listAs(within(t, 20*time.Second), w.silos[0], key, &listsAgain, upTo(n)))
		require.Empty(rt, errs)
		require.Equal(rt, numbers(n), all)
	})
}

// The beginning of a method that does not say that it may run twice is not run again.
func TestAStreamIsBegunOnce(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	var lost, began atomic.Int32
	w.loses = func(*node, []byte) bool { return lost.Add(1) == 1 }
	_, errs := collect(w.list(within(t, 20*time.Second), w.silos[0], w.key(1, 0), func(_ context.Context, _ *grain, yield func(int64, error) bool) {
		began.Add(1)
		yield(1, nil)
	}))
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], wire.ErrUnknown)
	require.EqualValues(t, 1, began.Load())
}

// A stream whose reader pauses is lost, and its method ended in a turn; until then it keeps its grain here.
func TestAReaderThatPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		n := hermit(t, host.Config{IdleAfter: 10 * time.Second})
		w := &world{t: t}
		lost := 0
		for v, err := range w.list(t.Context(), n, "a", func(_ context.Context, _ *grain, yield func(int64, error) bool) {
			defer close(ended)
			for i := int64(0); yield(i, nil); i++ {
			}
		}) {
			switch {
			case err != nil:
				require.ErrorIs(t, err, wire.ErrStreamLost)
				lost++
			case v == 3:
				time.Sleep(50 * time.Second)
				require.Equal(t, 1, n.host.Activations(kindName))
			case v == 40:
				time.Sleep(2 * time.Minute)
				<-ended
			}
		}
		require.Equal(t, 1, lost)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, n.host.Activations(kindName))
	})
}

// What one batch measures is bounded, whatever its elements measure; one that is larger than a message may be
// is refused, and those before it arrive.
func TestElementsThatAreLarge(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		const size = 30_000
		var sum, largest int
		w.loses = func(*node, []byte) bool { return false }
		m := wire.StreamMethod[string, string]{
			Number: 20, Name: "List", Args: wire.StringCodec[string](), Element: wire.StringCodec[string](),
			Do: func(_ context.Context, _ any, _ string) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for i := range 20 {
						if !yield(strings.Repeat("x", size+i), nil) {
							return
						}
					}
					yield(strings.Repeat("x", 2<<20), nil)
				}
			},
		}
		for _, n := range w.silos {
			n.host.Kinds[kindName].Grain().Methods[20] = &m
		}
		var last error
		for s, err := range wire.Stream(within(t, 20*time.Second), wire.NewRef(w.silos[0], kindName, key), &m, "") {
			if last = err; err == nil {
				sum, largest = sum+1, max(largest, len(s))
			}
		}
		if w.key(1, 0) == key {
			require.ErrorIs(t, last, wire.ErrTooLarge)
			require.Equal(t, 20, sum)
		} else {
			require.NoError(t, last)
			require.Equal(t, 21, sum)
		}
	})
}

// Whatever happens to grains and readers: what a reader has got is the beginning of what was yielded, all of it
// where there was no error, and no method is left standing in its yield.
func TestStreamsUnderMoves(t *testing.T) {
	t.Parallel()
	w := start(t, 3)
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	var began, ended, whole, broken atomic.Int32
	counts := func(ctx context.Context, g *grain, yield func(int64, error) bool) {
		began.Add(1)
		defer ended.Add(1)
		upTo(150)(ctx, g, yield)
	}
	var readers sync.WaitGroup
	for i := range 6 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(60))*time.Millisecond)
				if r.IntN(2) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
				}
				last := int64(r.IntN(300)) // where the reader breaks off, if it comes that far
				var next int64
				var failed error
				for v, err := range w.list(ctx, w.silos[r.IntN(3)], w.key(r.IntN(3), 0), counts) {
					if failed = err; err != nil {
						break
					}
					if !assert.Equal(t, next, v) {
						break
					}
					if next++; v == last {
						break
					}
				}
				switch {
				case failed != nil:
					broken.Add(1)
					assert.True(t, errors.Is(failed, wire.ErrStreamLost) || errors.Is(failed, wire.ErrNotExecuted) || errors.Is(failed, wire.ErrUnknown) ||
						errors.Is(failed, context.Canceled) || errors.Is(failed, context.DeadlineExceeded), "%v", failed)
				default:
					whole.Add(1)
					assert.EqualValues(t, min(last+1, 150), next)
				}
				cancel()
			}
		})
	}
	over := make(chan struct{})
	var moves sync.WaitGroup
	moves.Go(func() {
		r := rand.New(rand.NewPCG(seed, 99))
		for n := uint64(2); ; n++ {
			gone := r.IntN(4) // 3: nobody
			var up []*node
			for i, s := range w.silos {
				if i != gone {
					up = append(up, s)
				}
			}
			w.up(n, up...)
			select {
			case <-over:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	readers.Wait()
	close(over)
	moves.Wait()
	t.Logf("%d whole, %d broken", whole.Load(), broken.Load())
	require.Positive(t, whole.Load())
	for _, n := range w.silos { // what a reader's close did not reach ends with its grain
		require.NoError(t, n.host.Stop(within(t, 20*time.Second)))
	}
	require.Equal(t, began.Load(), ended.Load())
}
