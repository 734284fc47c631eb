package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// world is a network with nodes that serve a view each, and a client that looks for them in a file.
type world struct {
	t       *testing.T
	network *actor.Network
	file    string
	client  *Client
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, network: &actor.Network{}, file: filepath.Join(t.TempDir(), "silos")}
	w.client = &Client{node: w.node("client"), views: &view.Holder{}, seeds: seeds{source: discovery.File{Path: w.file}}}
	w.client.life, w.client.end = context.WithCancel(t.Context())
	t.Cleanup(w.client.end)
	return w
}

func (w *world) node(addr string) *actor.Node {
	n, err := actor.Start(actor.Config{Network: w.network, Addr: addr, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { w.stop(n) })
	return n
}

func (w *world) stop(n *actor.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.Stop(ctx)
}

// silo serves a view of one silo, itself.
func (w *world) silo(addr string, number uint64, id view.SiloID, state view.State) *actor.Node {
	n := w.node(addr)
	n.Handle(link.ServiceView, func(context.Context, actor.Peer, []byte) ([]byte, error) {
		return view.Frozen(number, nil, view.Member{Run: view.Run{ID: id, Incarnation: number}, Addr: addr, State: state}).Append(nil), nil
	})
	return n
}

func (w *world) write(text string) {
	require.NoError(w.t, os.WriteFile(w.file, []byte(text), 0o644))
}

func bounded(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// One seed that answers is enough, and it may come later than the client.
func TestOneSeedIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var none *NoSilo
	require.ErrorAs(t, w.client.find(bounded(t, 100*time.Millisecond)), &none)
	require.ErrorContains(t, none, "file:"+w.file)
	require.ErrorContains(t, none, "create it")

	w.write("a:1\nb:1\n")
	w.silo("b:1", 1, "b", view.Dead)
	w.client.seeds.asked = time.Time{}
	require.ErrorAs(t, w.client.find(bounded(t, 200*time.Millisecond)), &none)
	require.Contains(t, none.Reasons, "a:1")
	require.Equal(t, errFounding.Error(), none.Reasons["b:1"])

	many := ""
	for i := range 30 {
		many += fmt.Sprintf("gone-%d:1\n", i)
	}
	found := make(chan error, 1)
	ctx := bounded(t, 30*time.Second)
	go func() { found <- w.client.find(ctx) }()
	w.silo("c:1", 2, "b", view.Active) // the same silo, somewhere else
	w.write(many + "c:1\n")
	require.NoError(t, <-found)
	require.EqualValues(t, 2, w.client.views.Current().Number)
}

// A client whose silos have all moved finds them by its source, and takes no other cluster's for them.
func TestSilosThatAllMoveAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.silo("a:1", 1, "a", view.Active)
	w.write("a:1\n")
	require.NoError(t, w.client.find(bounded(t, 10*time.Second)))
	w.client.loops.Add(1)
	go w.client.watchViews()
	t.Cleanup(func() { w.client.end(); w.client.loops.Wait() })

	var asked atomic.Int64
	w.node("x:1").Handle(link.ServiceView, func(context.Context, actor.Peer, []byte) ([]byte, error) {
		asked.Add(1)
		return view.Frozen(99, nil, view.Member{Run: view.Run{ID: "x", Incarnation: 1}, Addr: "x:1"}).Append(nil), nil
	})
	w.stop(old)
	w.write("x:1\n") // its old address, so to speak, is somebody else's now
	require.Eventually(t, func() bool { return asked.Load() > 0 }, 10*time.Second, 10*time.Millisecond)
	w.silo("b:1", 2, "a", view.Active)
	w.write("x:1\nb:1\n")
	require.Eventually(t, func() bool { return w.client.views.Current().Number == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "b:1", w.client.views.Current().Members[0].Addr)
}

func TestManyReasonsAreNotAllTold(t *testing.T) {
	t.Parallel()
	e := &NoSilo{Reasons: map[string]string{}, Cause: errors.New("over")}
	for i := range 20 {
		e.Reasons[fmt.Sprintf("silo-%02d:1", i)] = "away"
	}
	require.ErrorContains(t, e, "(silo-00:1: away; silo-01:1: away;")
	require.ErrorContains(t, e, "and 12 more")
}
