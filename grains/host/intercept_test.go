package host_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
	blocks "github.com/martinelli-go/martinelli/txn/host"
)

// Interceptors see each batch that is pulled, at both ends, as a call of the method; an error of the stream is one
// of its elements, and none of a call.
func TestInterceptorsSeeStreams(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	list := &wire.StreamMethod[int64, int64]{
		Number: 1, Name: "List", Args: wire.IntCodec[int64](), Element: wire.IntCodec[int64](),
		Do: func(_ context.Context, _ any, n int64) iter.Seq2[int64, error] {
			return func(yield func(int64, error) bool) {
				for i := range n {
					if !yield(i, nil) {
						return
					}
				}
				yield(0, grains.ErrDenied)
			}
		},
	}
	build(w.silos[0], list)
	build(w.silos[1], list)
	var mu sync.Mutex
	var seen []string
	note := func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		err := next(ctx)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("in=%v %s stream=%v %v", c.Incoming, c.Method, c.Traits.Stream, err))
		return err
	}
	for _, n := range w.silos {
		n.host.Incoming = []grains.Interceptor{note}
	}
	from := wire.NewCaller(&blocks.Engine{Route: w.silos[0].host.Call, Blocks: w.silos[0].blocks, Outgoing: []grains.Interceptor{note}})
	for i := range w.silos {
		seen = nil
		var got int
		var last error
		for _, err := range wire.Stream(within(t, 10e9), wire.NewRef(from, kindName, w.key(i, 0)), list, 19) {
			got, last = got+1, err
		}
		require.Equal(t, 20, got)
		require.ErrorIs(t, last, grains.ErrDenied)
		batch := []string{"in=true List stream=true <nil>", "in=false List stream=true <nil>"}
		require.Equal(t, append(batch, batch...), seen, "8 elements, and the other 12")
	}
}
