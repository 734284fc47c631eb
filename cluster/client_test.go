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
	views := func(number uint64, a, b view.State) *view.Table {
		return view.Frozen(number, nil, view.Member{Run: view.Run{ID: "a", Incarnation: 1}, Addr: "a", State: a}, view.Member{Run: view.Run{ID: "b", Incarnation: 1}, Addr: "b", State: b})
	}
	start("b").Handle(link.ServiceView, func(context.Context, actor.Peer, []byte) ([]byte, error) {
		return views(2, view.Dead, view.Active).Append(nil), nil
	})
	c := &Client{node: start("client"), views: &view.Holder{}}
	c.views.Set(views(1, view.Active, view.Dead)) // and nobody is at a any more
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c.awaitView(ctx, 2)
	require.EqualValues(t, 2, c.views.Current().Number)
}
