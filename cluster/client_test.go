package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// A silo that starts may have a view of long ago, in which nobody is up, or nobody at all: a client waits for
// another.
func TestConnectWaitsForAViewWithSilos(t *testing.T) {
	t.Parallel()
	alive := view.Member{Run: view.Run{ID: "a", Incarnation: 1}, Addr: "a", State: view.Active}
	long := alive
	long.ID, long.State = "z", view.Dead
	for what, first := range map[string]*view.Table{"nobody": view.Frozen(1, nil), "the dead": view.Frozen(1, nil, long)} {
		network := &actor.Network{}
		silo, err := actor.Start(actor.Config{Network: network, Addr: "a", Silo: true, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		var asked atomic.Int32
		silo.Handle(link.ServiceView, func(context.Context, actor.Peer, []byte) ([]byte, error) {
			if asked.Add(1) == 1 {
				return first.Append(nil), nil
			}
			return view.Frozen(2, nil, alive).Append(nil), nil
		})
		client, err := actor.Start(actor.Config{Network: network, Addr: "client", Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		c := &Client{node: client, views: &view.Holder{}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		require.ErrorIs(t, c.fetchServing(ctx, "a"), errFounding, what)
		require.NoError(t, c.fetchServing(ctx, "a"), what)
		require.EqualValues(t, 2, c.views.Current().Number)
		cancel()
		require.NoError(t, errors.Join(client.Stop(t.Context()), silo.Stop(t.Context())))
	}
}

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
