package host_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// A grain that nobody calls goes after its time, deactivated; the next call makes another.
func TestIdleGrainsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, runs: map[string]int{}}
		n := &node{id: "store", addr: "silo", views: &view.Holder{}}
		n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
		var activated, deactivated atomic.Int32
		w.onActivate = func(context.Context, *grain) error { activated.Add(1); return nil }
		w.onDeactivate = func(context.Context, *grain) error { deactivated.Add(1); return nil }
		kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *grain { return &grain{world: w, at: n} }, &run)
		n.host = host.New(host.Config{
			Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: n.now, Kinds: map[string]wire.Kind{kindName: kind}, IdleAfter: time.Minute,
		})
		n.AtCaller = wire.NewCaller(plain{call: n.host.Call})
		ctx := t.Context()
		for range 3 { // each call begins the time anew
			require.NoError(t, w.call(ctx, n, "a", nothing))
			time.Sleep(45 * time.Second)
			synctest.Wait()
			require.Equal(t, 1, n.host.Activations(kindName))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Zero(t, n.host.Activations(kindName))
		require.EqualValues(t, 1, deactivated.Load())

		// One that is busy for longer than that stays.
		go func() {
			_ = w.call(ctx, n, "a", func(context.Context, *grain) error { time.Sleep(5 * time.Minute); return nil })
		}()
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, n.host.Activations(kindName))
		require.EqualValues(t, 2, activated.Load())
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, deactivated.Load())
		require.NoError(t, n.host.Stop(ctx))
	})
}

// plain is an engine for calls alone.
type plain struct {
	wire.Engine
	call func(ctx context.Context, to wire.ID, c wire.Invocation, root wire.BlockID, retry bool) error
}

func (p plain) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	return p.call(ctx, to, c, wire.BlockID{}, false)
}

// A grain whose OnActivate fails, or panics, is not activated: each call tries anew.
func TestActivationThatFails(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	broken := errors.New("no mailbox")
	var tries atomic.Int32
	w.onActivate = func(context.Context, *grain) error {
		switch tries.Add(1) {
		case 1:
			return broken
		case 2:
			panic("as asked")
		}
		return nil
	}
	w.onDeactivate = func(context.Context, *grain) error { t.Error("was never active"); return nil }
	ctx, a := within(t, 20*time.Second), w.key(0, 0)
	err := w.call(ctx, w.silos[0], a, nothing)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "activating test.Grain/"+a)
	require.ErrorIs(t, w.call(ctx, w.silos[1], a, nothing), grains.ErrPanic)
	require.NoError(t, w.call(ctx, w.silos[1], a, nothing))
	require.EqualValues(t, 3, tries.Load())
	require.Equal(t, 1, w.ran(w.silos[0]))
	w.onDeactivate = nil
}

// OnActivate may use the grain's state in a block of its own; that block is not what the call is for, and
// has not the call's id.
func TestBlocksInOnActivate(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	w.onActivate = func(ctx context.Context, g *grain) error { return adds(1)(ctx, g) }
	ctx, a := within(t, 20*time.Second), w.key(0, 0)
	var root commit.ID
	require.NoError(t, w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
		return txn.Atomic(ctx, g, func(ctx context.Context) error {
			root = commit.ID(wire.BlockOf(ctx).BlockID())
			return g.add(ctx, 10)
		})
	}))
	require.EqualValues(t, 11, w.value(a))
	out, err := txn.Outcome(ctx, w.silos[0], txn.ID(root))
	require.NoError(t, err)
	require.Equal(t, txn.Committed, out)
	require.EqualValues(t, 1, root.Seq, "the call's own id is the first of its coordinator")
}

// Stop lets turns end, and what they still call here; what comes from outside is refused. Every grain is
// deactivated after its last turn.
func TestStop(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n := w.silos[0]
	a, b := w.key(0, 0), w.key(0, 1)
	ctx := within(t, 20*time.Second)
	var left atomic.Int32
	w.onDeactivate = func(context.Context, *grain) error { left.Add(1); return nil }
	begun, let, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() {
		done <- w.call(ctx, n, a, func(ctx context.Context, g *grain) error {
			close(begun)
			<-let
			return g.call(ctx, b, nothing)
		})
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- n.host.Stop(ctx) }()
	soon(t, "calls from outside are refused", func() bool {
		return errors.Is(w.call(ctx, n, w.key(0, 2), nothing), grains.ErrNotExecuted)
	})
	close(let)
	require.NoError(t, <-done)
	require.NoError(t, <-stopped)
	require.Zero(t, n.host.Activations(kindName))
	require.GreaterOrEqual(t, left.Load(), int32(2))
}

// A turn that does not end keeps Stop no longer than its context says.
func TestStopGivesUp(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	first, begun, let := blocking()
	defer close(let)
	go func() { _ = w.call(context.Background(), w.silos[0], w.key(0, 0), first) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.silos[0].host.Stop(ctx), context.Canceled)
}

// An activation takes the place of one that ends only when that has run its last turn.
func TestActivationsOfOneGrainFollowEachOther(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	n, a := w.silos[0], w.key(0, 0)
	ctx := within(t, 20*time.Second)
	first, begun, let := blocking()
	done := make(chan error, 2)
	go func() { done <- w.call(ctx, n, a, first) }()
	<-begun
	w.up(2, w.silos[1])
	soon(t, "the activation ends", func() bool { return n.host.Ending() == 1 })
	w.up(3, w.silos...)
	go func() { done <- w.call(ctx, n, a, nothing) }()
	select {
	case <-done:
		t.Error("two activations at the same time")
	case <-time.After(50 * time.Millisecond):
	}
	close(let)
	for range 2 {
		if err := <-done; err != nil {
			require.ErrorIs(t, err, grains.ErrUnknown, "the first one lost its grain")
		}
	}
	require.Equal(t, 2, w.ran(n))
}

// A silo that stops goes on asking about attempts: a turn that was given up comes back only when the one
// that has the lock is over, and its coordinator may be gone.
func TestStopAsksAboutAttempts(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	client := w.client()
	ctx, a := within(t, 20*time.Second), w.key(0, 0)
	began, open, holds := make(chan struct{}), make(chan struct{}), make(chan struct{})
	older, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_ = txn.Atomic(older, client, func(ctx context.Context) error {
			close(began)
			<-open
			err := w.call(ctx, client, a, func(ctx context.Context, g *grain) error { return g.add(ctx, 1) })
			close(holds)
			<-older.Done() // as far as silo 0 can see, it runs
			return err
		})
	}()
	<-began
	younger := make(chan error, 1) // one: the only send never waits
	go func() {
		first := true
		younger <- w.call(ctx, w.silos[0], a, func(ctx context.Context, g *grain) error {
			return txn.Atomic(ctx, g, func(ctx context.Context) error {
				if first {
					first = false
					close(open)
					<-ctx.Done() // by a wound
				}
				return g.add(ctx, 10)
			})
		})
	}()
	<-holds
	soon(t, "the younger block waits for its turn to come back", func() bool { return w.silos[0].host.Waiting() == 1 })
	stopped := make(chan error, 1) // one: the only send never waits
	go func() { stopped <- w.silos[0].host.Stop(within(t, 5*time.Second)) }()
	soon(t, "the grain ends when its turn has", func() bool { return w.silos[0].host.Ending() == 1 })
	w.network.Kill(client.addr)
	require.NoError(t, <-stopped)
	require.NoError(t, <-younger, "it got its turn back, and finished the block that it had begun")
}
