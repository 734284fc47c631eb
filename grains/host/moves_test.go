package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// moving is a grain of the first silo that is to move to the second, which joins.
func (k *kept) moving(to int) string {
	before := k.registry.Table()
	r := view.NewRegistry() // the same log again, to see what the next entries make of it
	require.NoError(k.t, r.Restore(bytes.NewReader(k.registry.Snapshot())))
	_, err := r.Apply(view.EncodeCommands(view.Join{Member: k.member(k.silos[to])}, view.Ready{Run: k.run(k.silos[to])}))
	require.NoError(k.t, err)
	for j := 0; ; j++ {
		key := fmt.Sprint("key-", j)
		id := wire.NewID(kindName, key)
		was, _ := before.Of(id)
		row, _ := r.Table().Of(id)
		if row.Target != was.Target && row.Target.ID == k.silos[to].id {
			return key
		}
	}
}

// A slot that moves lets the turn finish that runs there, sends what waits to the next silo, and keeps no
// other slot from moving.
func TestASlotMoves(t *testing.T) {
	t.Parallel()
	moves := func(faults ...host.Fault) (first error, ranAtOnce bool) {
		k := keep(t, 2, 1, faults...)
		old, now := k.silos[0], k.silos[1]
		ctx, a := within(t, 20*time.Second), k.moving(1)
		script, begun, let := blocking()
		done := make(chan error, 2) // two: what is sent never waits
		firstDone := make(chan error, 1)
		go func() { firstDone <- k.call(ctx, old, a, script) }()
		<-begun
		for _, from := range []*node{old, now} {
			go func() { done <- k.call(ctx, from, a, nothing) }()
		}
		soon(t, "one waits here, the other knows nobody yet", func() bool { return old.host.Waiting() >= 1 })
		k.join(1)
		soon(t, "all other slots have moved", func() bool {
			held, moving := k.stand(1).Held(k.run(now))
			return held >= view.Slots/2-1 && moving == 0
		})
		if len(faults) == 0 {
			require.NoError(t, k.call(ctx, old, k.key(1, 0), nothing))
			soon(t, "what waits is sent away", func() bool { return old.host.Waiting() == 0 })
		} else {
			soon(t, "the waiting calls run elsewhere", func() bool { return k.ran(now) >= 2 })
		}
		select {
		case <-done:
			ranAtOnce = true
		default:
		}
		close(let)
		first = <-firstDone
		if !ranAtOnce {
			require.NoError(t, <-done)
		}
		require.NoError(t, <-done)
		return first, ranAtOnce
	}
	first, early := moves()
	require.NoError(t, first, "the turn that ran was to finish")
	require.False(t, early, "two silos served a grain at the same time")
	first, early = moves(host.DrainAtOnce)
	require.True(t, early, "nothing notices that a slot was released under a turn")
	require.ErrorIs(t, first, grains.ErrUnknown, "its token is old by then")
}

// stand is the view that a silo has.
func (k *kept) stand(i int) *view.Table { return k.silos[i].stands.Load().Table() }

// Calls of grains that move all the time run once each, one at a time, wherever they are.
func TestCallsWhileSlotsMove(t *testing.T) {
	t.Parallel()
	k := keep(t, 5, 1)
	ctx := within(t, 30*time.Second)
	var busy, sum [8]atomic.Int32
	var asked [8]atomic.Int32
	var calls sync.WaitGroup
	over := make(chan struct{})
	for c := range 6 {
		calls.Go(func() {
			for i := c; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				at := i % len(busy)
				err := k.call(ctx, k.silos[c%2], fmt.Sprint("key-", at), func(ctx context.Context, g *grain) error {
					if !busy[at].CompareAndSwap(0, 1) {
						t.Error("two turns of one grain at the same time")
					}
					sum[at].Add(1)
					busy[at].Store(0)
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				asked[at].Add(1)
			}
		})
	}
	for i := 1; i < 5; i++ {
		k.join(i)
		k.settle()
	}
	k.put(view.Leave{Run: k.run(k.silos[0])})
	soon(t, "the first silo has nothing any more", func() bool {
		held, _ := k.stand(0).Held(k.run(k.silos[0]))
		return held == 0
	})
	close(over)
	calls.Wait()
	for i := range sum {
		require.Equal(t, asked[i].Load(), sum[i].Load(), "calls are made once")
	}
	require.Zero(t, k.silos[0].host.Activations(kindName))
}

// A run that was removed drops its grains at once: they are not told, and their callers get no reply.
func TestARemovedRunDropsItsGrains(t *testing.T) {
	t.Parallel()
	k := keep(t, 2, 2)
	k.onDeactivate = func(context.Context, *grain) error { t.Error("it is not this silo's to end"); return nil }
	ctx, a := within(t, 20*time.Second), k.key(0, 0)
	begun, cause := make(chan struct{}), make(chan error, 1) // one: what is sent never waits
	done := make(chan error, 1)
	go func() {
		done <- k.call(ctx, k.silos[0], a, func(ctx context.Context, g *grain) error {
			close(begun)
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return nil
		})
	}()
	<-begun
	k.put(view.Remove{Run: k.run(k.silos[0]), Mark: uint64(k.clock.Load())})
	require.ErrorIs(t, <-cause, grains.ErrFenced)
	require.ErrorIs(t, <-done, grains.ErrUnknown)
	require.Zero(t, k.silos[0].host.Activations(kindName))
	require.NoError(t, k.call(ctx, k.silos[1], a, nothing), "the other silo serves it")
	k.onDeactivate = nil
}

// An activation ends with its token: views in which the slot was away and is back may come as one.
func TestViewsThatAreFolded(t *testing.T) {
	t.Parallel()
	folds := func(faults ...host.Fault) bool {
		w := start(t, 2, faults...)
		n, a := w.silos[0], w.key(0, 0)
		require.NoError(t, w.call(within(t, 20*time.Second), n, a, nothing))
		n.see(w.view(3, w.silos...)) // the one in which it was away is not seen
		for range 1000 {
			if n.host.Activations(kindName) == 0 {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	}
	require.True(t, folds())
	require.False(t, folds(host.CompareHolders), "nothing notices that an activation outlives its token")

	// Nor is a turn begun in it that comes before that was noticed.
	w := start(t, 2)
	var activated atomic.Int32
	w.onActivate = func(context.Context, *grain) error { activated.Add(1); return nil }
	ctx, a := within(t, 20*time.Second), w.key(0, 0)
	require.NoError(t, w.call(ctx, w.silos[0], a, nothing))
	w.silos[0].stands.Store(view.Always(view.Run{ID: w.silos[0].id, Incarnation: 1}, w.view(3, w.silos...)))
	require.NoError(t, w.call(ctx, w.silos[0], a, nothing))
	require.EqualValues(t, 2, activated.Load())
}

// served asks a silo to run a call that was sent to it, wherever the grain is.
func (w *world) served(ctx context.Context, n *node, req *link.CallRequest) *link.CallReply {
	req.Method, req.Args = 1, wire.IntCodec[int64]().Append(nil, 0)
	w.mu.Lock()
	if len(w.scripts) == 0 {
		w.scripts = append(w.scripts, nothing)
	}
	w.mu.Unlock()
	b, err := n.host.Serve(ctx, req.Append(nil))
	require.NoError(w.t, err)
	reply, err := link.DecodeCallReply(b)
	require.NoError(w.t, err)
	return &reply
}

// A call that comes to the wrong silo is sent on, once.
func TestCallsAreSentOnOnce(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, a := within(t, 20*time.Second), wire.NewID(kindName, w.key(1, 0))
	require.Equal(t, link.StatusOK, w.served(ctx, w.silos[0], &link.CallRequest{To: a}).Status)
	require.Equal(t, []int{0, 1}, []int{w.ran(w.silos[0]), w.ran(w.silos[1])})
	reply := w.served(ctx, w.silos[0], &link.CallRequest{To: a, Forwarded: true})
	require.Equal(t, link.StatusNotOwner, reply.Status)
	require.Equal(t, w.silos[1].addr, reply.Holder)
	require.EqualValues(t, 1, reply.Number)

	disagree := func(faults ...host.Fault) link.Status {
		w := start(t, 2, faults...)
		w.silos[0].see(w.view(3, w.silos[1])) // each says that the other has it
		w.silos[1].see(w.view(2, w.silos[0]))
		return w.served(within(t, 300*time.Millisecond), w.silos[0], &link.CallRequest{To: a}).Status
	}
	require.Equal(t, link.StatusNotOwner, disagree())
	require.Equal(t, link.StatusUnknown, disagree(host.ForwardAgain), "nothing notices that a call goes to and fro")
}

// A grain is activated where its slot is held, and nowhere else.
func TestOwnershipIsCheckedAtActivation(t *testing.T) {
	t.Parallel()
	ran := func(faults ...host.Fault) int {
		w := start(t, 2, faults...)
		a := wire.NewID(kindName, w.key(1, 0))
		w.served(within(t, 20*time.Second), w.silos[0], &link.CallRequest{To: a, Forwarded: true})
		return w.ran(w.silos[0]) // the activation may be found out, and gone, by now
	}
	require.Zero(t, ran())
	require.Equal(t, 1, ran(host.ActivateAnything, host.ServeAnything), "nothing notices that a grain is active where it is not held")
}

// What a grain calls that has a successor does not run, here or elsewhere, in a block or not; and its turn is
// over with that.
func TestCallsOfGrainsThatHaveSuccessors(t *testing.T) {
	t.Parallel()
	for _, place := range []struct {
		name    string
		to      int
		atomic  bool
		refused error
	}{{"here", 0, false, grains.ErrUnknown}, {"elsewhere", 1, false, grains.ErrUnknown}, {"elsewhere in a block", 1, true, grains.ErrUnknown}} {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			calls := func(faults ...host.Fault) (got, err error, ran bool) {
				// What is refused is the call: that the silo finds out about a as well, sooner or later, is
				// another test's.
				faults = append(faults, host.CompareHolders)
				w := start(t, 2, faults...)
				a, b := w.key(0, 0), w.key(place.to, 1)
				next := w.view(2, w.silos...) // in which a's slot was acquired anew
				if place.to == 0 {
					// The view is known, and not yet what this silo stands by.
					w.silos[0].views.Set(next)
				}
				w.silos[1].see(next)
				effect := func(ctx context.Context, g *grain) error { ran = true; return nil }
				ctx := within(t, 20*time.Second)
				err = w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
					if place.atomic {
						got = txn.Atomic(ctx, g, func(ctx context.Context) error { return g.call(ctx, b, effect) })
						return nil
					}
					got = g.call(ctx, b, effect)
					return nil
				})
				return got, err, ran
			}
			got, err, ran := calls()
			require.ErrorIs(t, got, grains.ErrFenced)
			require.ErrorIs(t, err, place.refused)
			require.False(t, ran)
			got, err, ran = calls(host.AdmitStale)
			require.NoError(t, errors.Join(got, err))
			require.True(t, ran, "nothing notices the call of a grain that has a successor")
		})
	}
}

// That a grain calls is believed of silos alone: a client could keep a grain from calling with a token that
// nobody has.
func TestClientsSpeakForNoGrain(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	ctx, a, b := within(t, 20*time.Second), w.key(0, 0), w.key(0, 1)
	id := wire.NewID(kindName, a)
	req := &link.CallRequest{
		To: wire.NewID(kindName, b), Method: 1, Args: wire.IntCodec[int64]().Append(nil, 0),
		By: view.Grant{Kind: kindName, Slot: view.Slot(id), Token: 1 << 60},
	}
	w.scripts = []script{nothing}
	_, err := w.silos[0].host.ServeClient(ctx, req.Append(nil))
	require.NoError(t, err)
	require.NoError(t, w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error { return g.call(ctx, b, nothing) }))
}

// A turn that runs when its slot is sealed may finish all of it: the block that it has begun, and the calls
// that come back to it.
func TestATurnFinishesInASealedSlot(t *testing.T) {
	t.Parallel()
	k := keep(t, 2, 1)
	ctx, a := within(t, 20*time.Second), k.moving(1)
	require.NoError(t, k.call(ctx, k.silos[0], a, func(ctx context.Context, g *grain) error {
		return txn.Atomic(ctx, g, func(ctx context.Context) error {
			if err := g.add(ctx, 1); err != nil {
				return err
			}
			if g.at != k.silos[0] || k.silos[0].host.Ending() > 0 {
				return nil // a further attempt
			}
			k.join(1)
			soon(t, "the activation ends", func() bool { return k.silos[0].host.Ending() == 1 })
			return g.call(ctx, k.stays(a), func(ctx context.Context, g *grain) error {
				return g.call(ctx, a, func(ctx context.Context, g *grain) error { return g.add(ctx, 10) })
			})
		})
	}))
	require.EqualValues(t, 11, k.value(a))
	k.settle()
	require.NoError(t, k.call(ctx, k.silos[0], a, adds(100)))
	require.EqualValues(t, 111, k.value(a), "the next silo goes on from there")
}

// stays is a grain of the first silo that does not move now.
func (k *kept) stays(but string) string {
	for j := 0; ; j++ {
		key := fmt.Sprint("key-", j)
		row, _ := k.stand(0).Of(wire.NewID(kindName, key))
		if row.Target.ID == k.silos[0].id && row.Holder.ID == k.silos[0].id && key != but {
			return key
		}
	}
}

// A turn that does not end keeps neither its grain nor any other from moving: it is lost.
func TestATurnThatDoesNotEndKeepsNoSlot(t *testing.T) {
	t.Parallel()
	k := keep(t, 2, 1)
	k.silos[0].host.FinishWithin = 50 * time.Millisecond
	ctx, a := within(t, 20*time.Second), k.moving(1)
	began, on := make(chan struct{}), make(chan struct{})
	var cause error
	caller := make(chan error, 1)
	go func() {
		caller <- k.call(ctx, k.silos[0], a, func(ctx context.Context, g *grain) error {
			close(began)
			<-on // it does not look at its context
			cause = context.Cause(ctx)
			return g.call(context.WithoutCancel(ctx), k.stays(a), adds(1))
		})
	}()
	<-began
	k.join(1)
	k.settle()
	require.NoError(t, k.call(ctx, k.silos[1], a, adds(100)), "the next silo serves it")
	close(on)
	require.ErrorIs(t, <-caller, grains.ErrUnknown)
	require.ErrorIs(t, cause, grains.ErrFenced)
	require.EqualValues(t, 100, k.value(a))
	require.Zero(t, k.value(k.stays(a)), "what it does later has no effect")
}
