package host_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
)

// Once a turn was waited for in vain nothing that is left of its activation has any effect, though this silo has
// not heard yet that the slot was given away: neither its OnActivate, nor the end of a stream, nor a goroutine that
// outlives it.
func TestNothingIsLeftOfWhatWasDropped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		left func(t *testing.T, w *world, a string, began chan<- struct{}, on <-chan struct{}, effect func(context.Context, *grain) error)
	}{
		{"activation", func(t *testing.T, w *world, a string, began chan<- struct{}, on <-chan struct{}, effect func(context.Context, *grain) error) {
			w.onActivate = func(ctx context.Context, g *grain) error {
				if g.GrainID().Key() != a {
					return nil
				}
				close(began)
				<-on
				return effect(context.WithoutCancel(ctx), g)
			}
			_ = w.call(within(t, 20*time.Second), w.silos[0], a, nothing)
		}},
		{"stream", func(t *testing.T, w *world, a string, began chan<- struct{}, on <-chan struct{}, effect func(context.Context, *grain) error) {
			ctx := within(t, 20*time.Second)
			for _, err := range w.list(ctx, w.silos[0], a, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
				for i := int64(0); yield(i, nil); i++ {
				}
				_ = effect(context.WithoutCancel(ctx), g)
			}) {
				assert.NoError(t, err)
				_ = w.call(ctx, w.silos[0], a, func(context.Context, *grain) error {
					close(began)
					<-on
					return nil
				})
				return
			}
		}},
		{"goroutine", func(t *testing.T, w *world, a string, began chan<- struct{}, on <-chan struct{}, effect func(context.Context, *grain) error) {
			var left *grain
			_ = w.call(within(t, 20*time.Second), w.silos[0], a, func(_ context.Context, g *grain) error {
				left = g
				close(began)
				<-on
				return nil
			})
			_ = effect(context.Background(), left)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, 1)
			n, a, b := w.silos[0], w.key(0, 0), w.key(0, 1)
			n.host.FinishWithin = 20 * time.Millisecond
			began, on, got := make(chan struct{}), make(chan struct{}), make(chan error, 1) // one: there is one effect
			go c.left(t, w, a, began, on, func(ctx context.Context, g *grain) error {
				got <- g.call(ctx, b, adds(1))
				return nil
			})
			<-began
			<-w.seal(n, a)
			close(on)
			require.ErrorIs(t, <-got, grains.ErrFenced)
			require.Zero(t, w.value(b))
		})
	}
}
