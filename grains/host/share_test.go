package host_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reader that has come back into its own chain, and makes a call, is not kept from going on by who waits to
// write: that one waits for the chain.
func TestAReentrantReaderInAChainPassesWhoWaits(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	ctx, a, b, c := within(t, 20*time.Second), w.key(0, 0), w.key(1, 0), w.key(1, 1)
	require.NoError(t, w.call(ctx, w.silos[0], a, nothing))
	begun, let := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		assert.NoError(t, w.callAs(ctx, w.silos[1], a, &look, func(ctx context.Context, g *grain) error {
			return g.call(ctx, b, func(ctx context.Context, g *grain) error {
				return g.callAs(ctx, a, &glide, func(ctx context.Context, g *grain) error {
					return g.call(ctx, c, func(context.Context, *grain) error {
						close(begun)
						<-let
						return nil
					})
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

// What an activation leaves behind whose first turn has failed keeps no other from letting readers in together.
func TestReadersAfterActivationsThatFail(t *testing.T) {
	w := start(t, 1)
	ctx := within(t, 20*time.Second)
	require.NoError(t, w.call(ctx, w.silos[0], "b", nothing))
	w.onActivate = func(context.Context, *grain) error { return errors.New("no") }
	for i := range 64 {
		require.Error(t, w.call(ctx, w.silos[0], fmt.Sprint("x", i), nothing))
	}
	for range 10 {
		var calls sync.WaitGroup
		meet := meeting(2)
		for range 2 {
			calls.Go(func() { assert.NoError(t, w.callAs(ctx, w.silos[0], "b", &look, meet)) })
		}
		calls.Wait()
	}
}
