package host_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

var tenant = grains.NewValue[string]("test.tenant")

// Values go wherever calls go.
func TestValuesTravel(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := tenant.With(within(t, 20*time.Second), "acme")
		other := w.key(1, 1)
		got := make(chan string, 3) // one for each way
		see := func(ctx context.Context, _ *grain) error {
			got <- tenant.Of(ctx)
			return nil
		}
		require.NoError(t, w.call(ctx, w.silos[0], key, func(ctx context.Context, g *grain) error {
			if tenant.Of(ctx) != "acme" {
				return fmt.Errorf("the value is %q", tenant.Of(ctx))
			}
			return g.call(ctx, other, see)
		}))
		require.Equal(t, "acme", <-got)
		require.NoError(t, w.poke(ctx, w.silos[0], key, func(ctx context.Context, g *grain) error { return g.call(ctx, other, see) }))
		require.Equal(t, "acme", <-got)
		_, errs := collect(w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
			for i := range int64(9) { // into the second batch
				yield(i, nil)
			}
			if yield(9, g.call(ctx, other, see)) {
				yield(0, see(tenant.With(ctx, "globex"), g))
			}
		}))
		require.Empty(t, errs)
		require.Equal(t, "acme", <-got)
		require.Equal(t, "globex", <-got, "the newest of a name")
		require.NoError(t, w.call(t.Context(), w.silos[0], key, see))
		require.Empty(t, <-got)
	})
}

func TestTooManyValues(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := tenant.With(within(t, 20*time.Second), strings.Repeat("x", wire.MaxValueBytes))
		err := w.call(ctx, w.silos[0], key, nothing)
		var over *grains.ValuesError
		require.ErrorAs(t, err, &over)
		require.ErrorIs(t, err, wire.ErrNotExecuted)
		require.Equal(t, "test.tenant", over.Name)
		require.ErrorAs(t, w.poke(ctx, w.silos[0], key, nothing), &over)
		_, errs := collect(w.list(ctx, w.silos[0], key, upTo(1)))
		require.ErrorAs(t, errs[0], &over)
	})
}

// The end of the caller's context, and its deadline, are the method's.
func TestTheCallersContextReachesTheMethod(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ended := make(chan error, 1) // one: it runs once
		method := func(begun func()) script {
			return func(ctx context.Context, _ *grain) error {
				begun()
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(within(t, 20*time.Second))
		require.Error(t, w.call(ctx, w.silos[0], key, method(cancel)))
		require.ErrorIs(t, <-ended, context.Canceled)

		deadline := time.Now().Add(50 * time.Millisecond)
		ctx, cancel = context.WithDeadline(t.Context(), deadline)
		defer cancel()
		var seen time.Time
		require.Error(t, w.call(ctx, w.silos[0], key, func(ctx context.Context, g *grain) error {
			seen, _ = ctx.Deadline()
			return method(func() {})(ctx, g)
		}))
		// From elsewhere the word that the caller has given up may come first.
		require.Contains(t, []error{context.DeadlineExceeded, context.Canceled}, <-ended)
		require.WithinDuration(t, deadline, seen, 5*time.Second)
	})
}

// contractRef is the stub of contract.
type contractRef struct{ wire.Ref }

var refs = wire.RefType[contract]{Kind: kindName, Make: func(r wire.Ref) contract { return contractRef{r} }}

// meet returns the grain itself.
var meet = wire.Method[struct{}, contract]{
	Number: 25, Name: "Meet", Args: wire.EmptyCodec, Result: refs.Codec(), BindResult: refs.Bind,
	Do: func(_ context.Context, impl any, _ struct{}) (contract, error) { return impl.(*grain), nil },
}

// introduce is given a reference, calls through it, and passes it on.
var introduce = wire.Method[contract, contract]{
	Number: 24, Name: "Introduce", Args: refs.Codec(), Result: refs.Codec(),
	BindArgs: refs.Bind, BindResult: refs.Bind,
	Do: func(ctx context.Context, _ any, to contract) (contract, error) {
		_, err := wire.Call(ctx, to.(contractRef).Ref, &meet, struct{}{})
		return to, err
	},
}

// A reference that is passed on is its receiver's: calls through it are made by the grain that has it.
func TestReferencesAreTheirReceivers(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		other := w.key(1, 1)
		at := func(key string) contract { return contractRef{wire.NewRef(w.silos[0], kindName, key)} }
		got, err := wire.Call(ctx, at(key).(contractRef).Ref, &introduce, at(other))
		require.NoError(t, err)
		require.True(t, got == at(other), "what comes back is the caller's")

		_, err = wire.Call(ctx, at(key).(contractRef).Ref, &introduce, at(key))
		require.ErrorIs(t, err, wire.ErrCycle, "the grain calls itself, as itself")

		self, err := wire.Call(ctx, at(key).(contractRef).Ref, &meet, struct{}{})
		require.NoError(t, err)
		require.True(t, self == at(key))
	})
}

// The context of a turn tells whose it is.
func TestATurnsContextNamesItsGrain(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	require.NoError(t, w.call(within(t, 20*time.Second), w.silos[0], "a", func(ctx context.Context, g *grain) error {
		assert.Equal(t, g.GrainID(), wire.TurnOf(ctx))
		return nil
	}))
	require.Zero(t, wire.TurnOf(t.Context()))
}
