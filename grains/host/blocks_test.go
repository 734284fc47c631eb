package host_test

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Participants ask about a block that is silent for long; that breaks nothing.
func TestALongBlockIsNotBrokenByBeingAskedAbout(t *testing.T) {
	t.Parallel()
	tries := func(bound time.Duration, faults ...host.Fault) int {
		w := start(t, 2, faults...)
		a, b := w.key(0, 0), w.key(1, 0)
		tries := 0
		err := w.call(within(t, bound), w.silos[0], a, func(ctx context.Context, g *grain) error {
			return txn.Atomic(ctx, g, func(ctx context.Context) error {
				tries++
				work := func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }
				if err := g.call(ctx, b, work); err != nil {
					return err
				}
				asked := time.NewTimer(200 * time.Millisecond) // ten times as long as a participant keeps still
				defer asked.Stop()
				select {
				case <-asked.C:
				case <-ctx.Done():
				}
				return g.call(ctx, b, work)
			})
		})
		if err != nil {
			return -1
		}
		require.EqualValues(t, 2, w.value(b))
		return tries
	}
	require.Equal(t, 1, tries(20*time.Second))
	require.NotEqual(t, 1, tries(500*time.Millisecond, host.BreakSilent))
}

// Participants that cannot reach a coordinator for a while take it for lost only when it is: a connection may break
// at any time, under a healthy block.
func TestALongBlockOutlivesLostConnections(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*world) *node{
		"a silo's":   func(w *world) *node { return w.silos[0] },
		"a client's": (*world).client,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := func(bound time.Duration, faults ...host.Fault) int {
				w := start(t, 2, faults...)
				var questions atomic.Int32
				asked := make(chan struct{})
				w.asked = func(string) error {
					switch questions.Add(1) {
					case 1, 2, 3:
						return fmt.Errorf("the connection is broken: %w", wire.ErrNotExecuted)
					case 4:
						close(asked)
					}
					return nil
				}
				b, tries := w.key(1, 0), 0
				coordinator := begin(w)
				err := txn.Atomic(within(t, bound), coordinator, func(ctx context.Context) error {
					tries++
					work := func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }
					if err := w.call(ctx, coordinator, b, work); err != nil {
						return err
					}
					select {
					case <-asked:
					case <-ctx.Done():
					}
					return w.call(ctx, coordinator, b, work)
				})
				if err != nil {
					return -1
				}
				require.EqualValues(t, 2, w.value(b))
				return tries
			}
			require.Equal(t, 1, tries(20*time.Second))
			require.NotEqual(t, 1, tries(500*time.Millisecond, host.BreakUnheard))
		})
	}
}

// A client that is gone holds what it has locked until it has been silent for as long as a block may take.
func TestAClientThatIsGoneLosesItsBlocks(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	client, key := w.client(), w.key(0, 0)
	ctx := within(t, 20*time.Second)
	gone, cancel := context.WithCancel(ctx)
	defer cancel()
	held := make(chan struct{})
	go func() {
		_ = txn.Atomic(gone, client, func(ctx context.Context) error {
			if err := w.call(ctx, client, key, func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }); err != nil {
				return err
			}
			close(held)
			<-gone.Done()
			return gone.Err()
		})
	}()
	<-held
	killed := time.Now()
	w.network.Kill(client.addr)
	require.NoError(t, w.call(ctx, w.silos[0], key, adds(5)))
	require.GreaterOrEqual(t, time.Since(killed), silence)
	require.EqualValues(t, 5, w.value(key))
}

// A block that fails, panics, or whose coordinator is gone leaves nothing that the next one meets.
func TestAnAbortedBlockLeavesNothing(t *testing.T) {
	t.Parallel()
	w := start(t, 3)
	a, b := w.key(0, 0), w.key(1, 0)
	ctx := within(t, 20*time.Second)
	gaveUp := errors.New("gave up")
	work := func(end func() error) script {
		return func(ctx context.Context, g *grain) error {
			return txn.Atomic(ctx, g, func(ctx context.Context) error {
				if err := g.add(ctx, 1); err != nil {
					return err
				}
				if err := g.call(ctx, b, func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }); err != nil {
					return err
				}
				return end()
			})
		}
	}
	require.Error(t, w.call(ctx, w.silos[0], a, work(func() error { return gaveUp })))
	require.ErrorIs(t, w.call(ctx, w.silos[0], a, work(func() error { panic("as asked") })), grains.ErrPanic)
	for _, n := range w.silos {
		soon(t, "nothing is left", func() bool { return n.host.Present() == 0 })
	}
	require.Zero(t, w.value(a)+w.value(b))

	// A coordinator that dies with its block: the participant asks, and finds nobody.
	held := make(chan struct{})
	gone, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_ = txn.Atomic(gone, w.silos[2], func(ctx context.Context) error {
			if err := w.call(ctx, w.silos[2], b, func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }); err != nil {
				return err
			}
			close(held)
			<-gone.Done()
			return gone.Err()
		})
	}()
	<-held
	w.network.Kill(w.silos[2].addr)
	w.up(2, w.silos[:2]...)
	require.NoError(t, w.call(ctx, w.silos[0], b, adds(5)))
	require.EqualValues(t, 5, w.value(b))
}

// What a block has read and another has not committed yet is no answer, in the turn that it began in too.
func TestReadsOfWhatIsNeverCommitted(t *testing.T) {
	t.Parallel()
	answer := func(faults ...host.Fault) (seen, committed int64) {
		w := start(t, 1, faults...)
		a := w.key(0, 0)
		ctx := within(t, 20*time.Second)
		submitted, let := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.before = func(c commit.Command) {
			if d, ok := c.(commit.Decision); ok && len(d.Writes) > 0 {
				once.Do(func() { close(submitted) })
				<-let
				w.apply(commit.EncodeEntry(commit.Inquire{ID: d.Attempt.ID})) // somebody had its abort recorded
			}
		}
		var calls sync.WaitGroup
		calls.Go(func() {
			err := txn.Atomic(ctx, w.silos[0], func(ctx context.Context) error {
				return w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error { return g.add(ctx, 100) })
			})
			assert.ErrorIs(t, err, txn.ErrAborted)
		})
		<-submitted
		read := make(chan struct{})
		var first sync.Once
		calls.Go(func() {
			assert.NoError(t, w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) (err error) {
				seen, err = txn.AtomicValue(ctx, g, func(ctx context.Context) (int64, error) {
					v, err := g.state.Read(ctx)
					first.Do(func() { close(read) })
					return v, err
				})
				return err
			}))
		})
		<-read
		close(let)
		calls.Wait()
		return seen, w.value(a)
	}
	seen, committed := answer()
	require.Equal(t, committed, seen)
	seen, committed = answer(host.ForgetReads)
	require.NotEqual(t, committed, seen, "nothing notices that a read was not validated")
}

// Two grains call each other, each in a block that holds its own turn: one is wounded, and both commit;
// also where the first wounds are lost.
func TestBlocksThatNeedEachOthersTurns(t *testing.T) {
	t.Parallel()
	cross := func(bound time.Duration, lose int32, faults ...host.Fault) error {
		w := start(t, 2, faults...)
		var lost atomic.Int32
		w.lost = func(string, commit.Attempt) bool { return lost.Add(1) <= lose }
		ctx := within(t, bound)
		keys := []string{w.key(0, 0), w.key(1, 0)}
		var met sync.WaitGroup // both have their turn before either calls the other
		met.Add(2)
		var errs [2]error
		var calls sync.WaitGroup
		for i := range 2 {
			calls.Go(func() {
				var first sync.Once
				errs[i] = w.call(ctx, w.silos[i], keys[i], func(ctx context.Context, g *grain) error {
					return txn.Atomic(ctx, g, func(ctx context.Context) error {
						if err := g.add(ctx, 1); err != nil {
							return err
						}
						first.Do(func() { met.Done(); met.Wait() })
						return g.call(ctx, keys[1-i], func(ctx context.Context, g *grain) error { return g.add(ctx, 10) })
					})
				})
			})
		}
		calls.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		require.EqualValues(t, 11, w.value(keys[0]))
		require.EqualValues(t, 11, w.value(keys[1]))
		return nil
	}
	require.NoError(t, cross(20*time.Second, 0))
	require.NoError(t, cross(20*time.Second, 2))
	require.Error(t, cross(300*time.Millisecond, 2, host.ForgetWounds))
}

// A block can be wounded from the moment that it holds its opener's turn: an older one may come just then.
func TestABlockIsWoundedAsItOpens(t *testing.T) {
	t.Parallel()
	meet := func(bound time.Duration, late bool) error {
		var w *world
		waits := func() bool { return w.silos[0].host.Waiting() > 0 }
		began, holds := make(chan struct{}), make(chan struct{})
		var faults []host.Fault
		if late {
			var once sync.Once // the first attempt alone is opened while nobody knows of it
			faults = append(faults, host.ExpectLate(func() {
				once.Do(func() {
					close(holds)
					soon(t, "the older block waits", waits)
				})
			}))
		}
		w = start(t, 2, faults...)
		ctx, a := within(t, bound), w.key(0, 0)
		var older, younger error
		var calls sync.WaitGroup
		calls.Go(func() {
			begin := sync.OnceFunc(func() { close(began) })
			older = txn.Atomic(ctx, w.silos[1], func(ctx context.Context) error {
				begin() // a block may be tried again
				<-holds
				return w.call(ctx, w.silos[1], a, func(ctx context.Context, g *grain) error { return g.add(ctx, 1) })
			})
		})
		calls.Go(func() {
			<-began
			first := true
			younger = w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
				if !late {
					close(holds)
				}
				return txn.Atomic(ctx, g, func(ctx context.Context) error {
					if first {
						first = false
						<-ctx.Done() // by a wound
					}
					return g.add(ctx, 10)
				})
			})
		})
		calls.Wait()
		return errors.Join(older, younger)
	}
	require.NoError(t, meet(20*time.Second, false))
	require.Error(t, meet(time.Second, true), "nothing notices that a wound found nobody")
}

// A block waits for an activation that ends, in which a younger one waits for what it holds: that one is
// wounded.
func TestABlockThatKeepsAnActivationFromEnding(t *testing.T) {
	t.Parallel()
	meet := func(bound time.Duration, remote bool, faults ...host.Fault) (older, younger error) {
		w := start(t, 2, faults...)
		ctx, a, b := within(t, bound), w.key(0, 0), w.key(1, 0)
		from := w.silos[0]
		if remote {
			from = w.silos[1]
		}
		add := func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }
		holds, ending := make(chan struct{}), make(chan struct{})
		var calls sync.WaitGroup
		calls.Go(func() {
			older = txn.Atomic(ctx, from, func(ctx context.Context) error {
				if err := w.call(ctx, from, b, add); err != nil {
					return err
				}
				close(holds)
				<-ending
				return w.call(ctx, from, a, add)
			})
		})
		calls.Go(func() {
			<-holds
			younger = w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
				return txn.Atomic(ctx, g, func(ctx context.Context) error { return g.call(ctx, b, add) })
			})
		})
		<-holds
		soon(t, "the younger block waits", func() bool { return w.silos[1].host.Waiting() == 1 })
		w.seal(w.silos[0], a) // the grain goes, and comes back
		soon(t, "the activation ends", func() bool { return w.silos[0].host.Ending() == 1 })
		close(ending)
		calls.Wait()
		return older, younger
	}
	for _, remote := range []bool{false, true} {
		older, younger := meet(20*time.Second, remote)
		require.NoError(t, older)
		if younger != nil {
			require.ErrorIs(t, younger, txn.ErrAborted)
		}
		older, _ = meet(time.Second, remote, host.EndInPeace)
		require.Error(t, older, "nothing notices that the two wait for each other")
	}
}

// A call of an attempt that is over where it arrives is answered as aborted, and not made again.
func TestACallOfAnAttemptThatIsOver(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	b := w.key(1, 0)
	ctx := within(t, 20*time.Second)
	tries := 0
	err := txn.Atomic(ctx, w.silos[0], func(ctx context.Context) error {
		tries++
		add := func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }
		if err := w.call(ctx, w.silos[0], b, add); err != nil || tries > 1 {
			return err
		}
		w.silos[1].host.Lose(wire.BlockOf(ctx))
		err := w.call(ctx, w.silos[0], b, add)
		require.ErrorIs(t, err, txn.ErrAborted)
		return err
	})
	require.NoError(t, err)
	require.Equal(t, 2, tries)
	require.EqualValues(t, 1, w.value(b))
}

// A grain that is activated anew in a block's course has lost what the first activation did: the block
// must not commit the rest, whoever called it.
func TestAnActivationThatIsReplacedInABlock(t *testing.T) {
	t.Parallel()
	w := start(t, 3)
	through, b := w.key(0, 0), w.key(1, 0)
	ctx := within(t, 20*time.Second)
	tries := 0
	err := txn.Atomic(ctx, w.silos[2], func(ctx context.Context) error {
		return w.call(ctx, w.silos[2], through, func(ctx context.Context, g *grain) error {
			tries++
			add := func(ctx context.Context, g *grain) error { return g.add(ctx, 1) }
			if err := g.call(ctx, b, add); err != nil {
				return err
			}
			if tries == 1 {
				w.up(2, w.silos[0], w.silos[2])
			}
			return g.call(ctx, b, add)
		})
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, w.value(b))
	require.Equal(t, 2, tries)
}
