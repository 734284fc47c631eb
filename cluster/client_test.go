package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// A client whose view has the only silo that is left as down learns of it all the same.
func TestAnOldViewIsMended(t *testing.T) {
	t.Parallel()
	network := &actor.Network{}
	start := func(addr string) *actor.Node {
		n, err := actor.Start(actor.Config{Network: network, Addr: addr, Silo: true, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = n.Stop(ctx)
		})
		return n
	}
	views := func(number uint64, a, b bool) *view.View {
		return view.New(number, []view.Silo{{ID: "a", Addr: "a", Incarnation: 1, Up: a}, {ID: "b", Addr: "b", Incarnation: 1, Up: b}})
	}
	start("b").Handle(link.ServiceView, func(context.Context, actor.Peer, []byte) ([]byte, error) {
		return views(2, false, true).Append(nil), nil
	})
	c := &Client{node: start("client"), views: &view.Holder{}}
	c.views.Set(views(1, true, false)) // and nobody is at a any more
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c.awaitView(ctx, 2)
	require.EqualValues(t, 2, c.views.Current().Number)
}
