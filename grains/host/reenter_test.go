package host_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// meeting is a script in which n calls must be at one time before any of them goes on.
func meeting(n int) script {
	var there sync.WaitGroup
	there.Add(n)
	return func(ctx context.Context, _ *grain) error {
		there.Done()
		all := make(chan struct{})
		go func() {
			there.Wait()
			close(all)
		}()
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Calls that only read are in a grain at one time, from wherever they come; the first of all activates it alone.
func TestReadersRunSideBySide(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, a := within(t, 20*time.Second), w.key(0, 0)
	var activated, busy atomic.Int32
	w.onActivate = func(ctx context.Context, g *grain) error {
		require.EqualValues(t, 1, busy.Add(1), "beside another turn")
		defer busy.Add(-1)
		activated.Add(1)
		return txn.Atomic(ctx, g, func(ctx context.Context) error { return g.add(ctx, 1) })
	}
	together := meeting(8)
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() { assert.NoError(t, w.callAs(ctx, w.silos[i%2], a, &look, together)) })
	}
	calls.Wait()
	require.EqualValues(t, 1, activated.Load())
	require.EqualValues(t, 1, w.value(a))
}

// A call that writes waits for those that read, and those that come later wait for it.
func TestAWriterIsNotStarved(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, n, a, nothing))
	reads, begun, let := blocking()
	var order []string // is changed without a lock: these turns exclude each other
	var calls sync.WaitGroup
	calls.Go(func() { assert.NoError(t, w.callAs(ctx, n, a, &look, reads)) })
	<-begun
	note := func(what string) script {
		return func(context.Context, *grain) error { order = append(order, what); return nil }
	}
	calls.Go(func() { assert.NoError(t, w.call(ctx, n, a, note("writes"))) })
	soon(t, "the writer waits", func() bool { return n.host.Waiting() == 1 })
	calls.Go(func() { assert.NoError(t, w.callAs(ctx, n, a, &look, note("reads"))) })
	soon(t, "the reader waits too", func() bool { return n.host.Waiting() == 2 })
	close(let)
	calls.Wait()
	require.Equal(t, []string{"writes", "reads"}, order)
}

// door notices who is in a grain beside whom he must not be.
type door struct{ in atomic.Int64 }

// alone is what one writer counts.
const alone = 1 << 32

func (d *door) enter(reads bool) (ok bool) {
	if reads {
		return d.in.Add(1) < alone
	}
	return d.in.Add(alone) == alone
}

func (d *door) leave(reads bool) {
	if reads {
		d.in.Add(-1)
	} else {
		d.in.Add(-alone)
	}
}

// Turns of all sorts, at random, over grains that call each other: readers share, all others are alone, also
// after a wait for which a turn was given up. With a check switched off some turn is seen beside another.
func TestTurnsOfAllSorts(t *testing.T) {
	t.Parallel()
	seen := func(t *testing.T, seed uint64, faults ...host.Fault) bool {
		w := start(t, 2, faults...)
		keys := []string{w.key(0, 0), w.key(1, 0), w.key(0, 1)}
		var doors [3]door
		var beside atomic.Bool
		within := func(i int, reads bool, what func() error) error {
			if !doors[i].enter(reads) {
				beside.Store(true)
			}
			for range 5 {
				runtime.Gosched() // somebody else has the chance to come in
			}
			err := what()
			doors[i].leave(reads)
			return err
		}
		done := func() error { return nil }
		type sort struct {
			m             *wire.Method[int64, int64]
			reads, gives  bool
			block, nested bool
		}
		sorts := []sort{{m: &run}, {m: &look, reads: true}, {m: &weave, gives: true}, {m: &glide, reads: true, gives: true}, {m: &look, reads: true, block: true}, {m: &run, nested: true}}
		var visit func(ctx context.Context, from grains.Caller, r uint64, i, depth int) error
		visit = func(ctx context.Context, from grains.Caller, r uint64, i, depth int) error {
			choice := rand.New(rand.NewPCG(seed, r)) // of its own: who gave up waiting for a call goes on beside it
			s, next, r := sorts[choice.IntN(len(sorts))], choice.IntN(3), choice.Uint64()
			return w.callAs(ctx, from, keys[i], s.m, func(ctx context.Context, g *grain) error {
				if s.block {
					_ = within(i, true, done)
					return txn.Atomic(ctx, g, func(ctx context.Context) error {
						return within(i, false, func() error { return g.add(ctx, 0) })
					})
				}
				err := within(i, s.reads, done)
				if depth > 0 && (s.gives || s.nested) {
					_ = visit(ctx, g, r, next, depth-1)
					err = within(i, s.reads, done)
				}
				return err
			})
		}
		var calls sync.WaitGroup
		for n := range 8 {
			calls.Go(func() {
				for k := range 60 {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					_ = visit(ctx, w.silos[n%2], uint64(n*60+k), k%3, 2)
					cancel()
				}
			})
		}
		calls.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, key := range keys {
			require.NoError(t, w.call(ctx, w.silos[0], key, nothing), "something is held that nobody needs, seed %d", seed)
		}
		return beside.Load()
	}
	t.Run("sound", func(t *testing.T) {
		t.Parallel()
		seed := rand.Uint64()
		require.False(t, seen(t, seed), "seed %d", seed)
	})
	for name, fault := range map[string]host.Fault{"readers beside others": host.ReadBeside, "back beside others": host.ComeBackBeside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				if seen(t, seed, fault) {
					return
				}
			}
			t.Error("nothing notices turns beside each other")
		})
	}
}

// A block in a method that reads: the turn is its own, and those who share it do not wait for each other.
func TestReadersBeginBlocks(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, n, a, nothing))
	together := meeting(4)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			assert.NoError(t, w.callAs(ctx, n, a, &look, func(ctx context.Context, g *grain) error {
				if err := together(ctx, g); err != nil {
					return err
				}
				return adds(1)(ctx, g)
			}))
		})
	}
	calls.Wait()
	require.EqualValues(t, 4, w.value(a))
}

// In a block to have the turn is a lock, for methods that read as well.
func TestReadersInBlocksAreAlone(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, n, a, nothing))
	reads, begun, let := blocking()
	var calls sync.WaitGroup
	calls.Go(func() {
		assert.NoError(t, txn.Atomic(ctx, w.silos[1], func(ctx context.Context) error {
			return w.callAs(ctx, w.silos[1], a, &look, reads)
		}))
	})
	<-begun
	calls.Go(func() { assert.NoError(t, w.callAs(ctx, n, a, &look, nothing)) })
	soon(t, "the second waits", func() bool { return n.host.Waiting() == 1 })
	close(let)
	calls.Wait()
}

// While a reentrant method waits for a call, others run; its code goes on when they do not.
func TestAReentrantTurnIsGivenUp(t *testing.T) {
	t.Parallel()
	beside := func(faults ...host.Fault) bool {
		w := start(t, 2, faults...)
		n, a, b := w.silos[0], w.key(0, 0), w.key(1, 0)
		ctx := within(t, 20*time.Second)
		far, begun, let := blocking()
		other, otherBegun, otherLet := blocking()
		var busy atomic.Bool
		found := make(chan bool, 1) // one: the only send never waits
		var calls sync.WaitGroup
		calls.Go(func() {
			assert.NoError(t, w.callAs(ctx, n, a, &weave, func(ctx context.Context, g *grain) error {
				err := g.call(ctx, b, far)
				found <- busy.Load()
				return err
			}))
		})
		<-begun
		require.NoError(t, w.call(ctx, n, a, nothing))
		calls.Go(func() {
			assert.NoError(t, w.call(ctx, n, a, func(ctx context.Context, g *grain) error {
				busy.Store(true)
				defer busy.Store(false)
				return other(ctx, g)
			}))
		})
		<-otherBegun
		close(let)
		var was bool
		if len(faults) == 0 {
			soon(t, "the turn waits to come back", func() bool { return n.host.Waiting() == 1 })
			close(otherLet)
			was = <-found
		} else {
			was = <-found
			close(otherLet)
		}
		calls.Wait()
		return was
	}
	require.False(t, beside())
	require.True(t, beside(host.ComeBackBeside), "nothing notices code beside another turn")
}

// A → B → A runs where it can be proved that nobody waits for himself, and is named a cycle where not.
func TestChainsThatComeBack(t *testing.T) {
	t.Parallel()
	type m = *wire.Method[int64, int64]
	for _, place := range []struct {
		name string
		b    int // the silo of the other grain
	}{{"in one silo", 0}, {"over two silos", 1}} {
		for _, c := range []struct {
			name  string
			chain []m // of calls of A, each through B
			runs  bool
		}{
			{"plain, plain", []m{&run, &run}, false},
			{"reentrant, plain", []m{&weave, &run}, true},
			{"reentrant, readonly", []m{&weave, &look}, true},
			{"plain, reentrant", []m{&run, &weave}, false},
			{"readonly, readonly", []m{&look, &look}, true},
			{"readonly, plain", []m{&look, &run}, false},
			{"plain, readonly", []m{&run, &look}, false},
			{"readonly and reentrant, plain", []m{&glide, &run}, true},
			{"reentrant, plain, plain", []m{&weave, &run, &run}, false},
			{"plain, reentrant, plain", []m{&run, &weave, &run}, false},
			{"reentrant, reentrant, plain", []m{&weave, &weave, &run}, true},
			{"readonly, reentrant, readonly", []m{&look, &weave, &look}, false},
			{"readonly, both, readonly", []m{&look, &glide, &look}, true},
			{"readonly, both, plain", []m{&look, &glide, &run}, false},
		} {
			t.Run(place.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				w := start(t, 2)
				ctx, a := within(t, 20*time.Second), w.key(0, 0)
				require.NoError(t, w.call(ctx, w.silos[0], a, nothing))
				var reached atomic.Int32
				var from func(i int) script
				from = func(i int) script {
					return func(ctx context.Context, g *grain) error {
						reached.Add(1)
						if i == len(c.chain) {
							return nil
						}
						return g.call(ctx, w.key(place.b, i), func(ctx context.Context, g *grain) error {
							return g.callAs(ctx, a, c.chain[i], from(i+1))
						})
					}
				}
				err := w.callAs(ctx, w.silos[1], a, c.chain[0], from(1))
				if c.runs {
					require.NoError(t, err)
					require.EqualValues(t, len(c.chain), reached.Load())
				} else {
					require.ErrorIs(t, err, grains.ErrCycle)
					require.ErrorContains(t, err, kindName+"/"+a+" → "+kindName+"/"+w.key(place.b, 1)+" → ")
				}
			})
		}
	}
}

// Somebody who waits to write keeps a chain of reads from nothing, since he waits for it.
func TestAChainOfReadsPassesWhoWaits(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, a, b := within(t, 20*time.Second), w.key(0, 0), w.key(1, 0)
	require.NoError(t, w.call(ctx, w.silos[0], a, nothing))
	begun, let := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		assert.NoError(t, w.callAs(ctx, w.silos[1], a, &look, func(ctx context.Context, g *grain) error {
			return g.call(ctx, b, func(ctx context.Context, g *grain) error {
				close(begun)
				<-let
				return g.callAs(ctx, a, &look, func(ctx context.Context, g *grain) error {
					// A block would need the turn that the first of them has.
					err := txn.Atomic(ctx, g, func(context.Context) error { return nil })
					if !errors.Is(err, grains.ErrCycle) {
						return errors.New("a block began")
					}
					return nil
				})
			})
		}))
	})
	<-begun
	calls.Go(func() { assert.NoError(t, w.call(ctx, w.silos[0], a, nothing)) })
	soon(t, "the writer waits", func() bool { return w.silos[0].host.Waiting() == 1 })
	close(let)
	calls.Wait()
}

// A turn that has given itself up may finish, with all that comes back to it, where no turn starts any more.
func TestAReentrantTurnFinishesWhereItsGrainMoves(t *testing.T) {
	t.Parallel()
	k := keep(t, 2, 1)
	old, now := k.silos[0], k.silos[1]
	ctx, a := within(t, 20*time.Second), k.moving(1)
	b := k.key(0, 0)
	if b == a {
		b = k.key(0, 1)
	}
	begun, let := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1) // one: the only send never waits
	go func() {
		done <- k.callAs(ctx, old, a, &weave, func(ctx context.Context, g *grain) error {
			return g.call(ctx, b, func(ctx context.Context, g *grain) error {
				close(begun)
				<-let
				return g.call(ctx, a, nothing)
			})
		})
	}()
	<-begun
	k.join(1)
	soon(t, "the grain ends", func() bool { return old.host.Ending() > 0 })
	close(let)
	require.NoError(t, <-done)
	require.Equal(t, 3, k.ran(old))
	require.NoError(t, k.call(ctx, old, a, nothing))
	require.Equal(t, 1, k.ran(now))
}

// A turn with several calls under way is back when the last of them is, and none is refused as a cycle.
func TestAReentrantTurnThatMakesSeveralCalls(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	far, begun, let := blocking()
	var fast atomic.Bool
	done := make(chan error, 1) // one: the only send never waits
	go func() {
		done <- w.callAs(ctx, n, a, &weave, func(ctx context.Context, g *grain) error {
			var calls sync.WaitGroup
			for i := range 3 {
				calls.Go(func() {
					if i > 0 {
						<-begun // else they may be back before the first has left
					}
					assert.NoError(t, g.call(ctx, w.key(1, i), func(ctx context.Context, g *grain) error {
						if i > 0 {
							return g.call(ctx, a, nothing)
						}
						return far(ctx, g)
					}))
					fast.Store(fast.Load() || i > 0)
				})
			}
			calls.Wait()
			return nil
		})
	}()
	<-begun
	soon(t, "both others have come back", func() bool { return w.ran(n) == 3 })
	require.NoError(t, w.call(ctx, n, a, nothing))
	require.False(t, fast.Load(), "code went on while another turn may run")
	close(let)
	require.NoError(t, <-done)
}

// A method that does not wait for its own calls is over when it returns, and nothing waits for them.
func TestAReentrantTurnThatLeavesCallsBehind(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	n, a, b := w.silos[0], w.key(0, 0), w.key(1, 0)
	ctx := within(t, 20*time.Second)
	far, begun, let := blocking()
	left := make(chan error, 1) // one: the only send never waits
	require.NoError(t, w.callAs(ctx, n, a, &weave, func(_ context.Context, g *grain) error {
		go func() { left <- w.call(ctx, n, b, far) }()
		<-begun
		return nil
	}))
	require.NoError(t, w.callAs(ctx, n, a, &weave, func(turn context.Context, g *grain) error {
		go func() { left <- g.call(turn, b, nothing) }()
		soon(t, "the call is under way", func() bool { return w.silos[1].host.Waiting() == 1 })
		return nil
	}))
	require.NoError(t, w.call(ctx, n, a, nothing))
	require.Error(t, <-left)
	close(let)
	require.NoError(t, <-left)
	require.NoError(t, n.host.Stop(ctx))
}

// Clients have no turns that wait: what one says of them does not let its call in beside a turn.
func TestClientsChainsAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, n, a, nothing))
	first, begun, let := blocking()
	done := make(chan error, 1) // one: the only send never waits
	go func() { done <- w.call(ctx, n, a, first) }()
	<-begun
	forged := n.host.Forged(wire.NewID(kindName, a), run.Number, wire.IntCodec[int64]().Append(nil, 0))
	answered := make(chan struct{})
	go func() {
		_, err := n.host.ServeClient(ctx, forged)
		assert.NoError(t, err)
		close(answered)
	}()
	soon(t, "it waits", func() bool { return n.host.Waiting() == 1 })
	close(let)
	require.NoError(t, <-done)
	<-answered
}
