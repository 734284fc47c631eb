package host_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// remembering lets grains hand over how many turns they had.
func (w *world) remembering() {
	w.onHandOver = func(g *grain) ([]byte, error) { return []byte(fmt.Sprint(g.turns)), nil }
	w.onTakeOver = func(g *grain, b []byte) error {
		_, err := fmt.Sscan(string(b), &g.turns)
		return err
	}
}

// turns is how many turns a grain remembers, this one too.
func (w *world) turns(from *node, key string) (turns int) {
	require.NoError(w.t, w.call(within(w.t, 20*time.Second), from, key, func(_ context.Context, g *grain) error { turns = g.turns; return nil }))
	return turns
}

// What a grain remembers goes with it when it moves, once; where it is lost, too large, or not understood, the
// grain starts without.
func TestMemoryMovesWithItsGrain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		upset func(*kept)
		want  int
	}{
		{"it arrives", func(*kept) {}, 4},
		{"the grain has nothing to say", func(k *kept) { k.onHandOver = nil }, 1},
		{"it fails", func(k *kept) { k.onHandOver = func(*grain) ([]byte, error) { return []byte("9"), errors.New("no") } }, 1},
		{"it panics", func(k *kept) { k.onHandOver = func(*grain) ([]byte, error) { panic("as asked") } }, 1},
		{"it is too large", func(k *kept) { k.onHandOver = func(*grain) ([]byte, error) { return make([]byte, 2<<20), nil } }, 1},
		{"there is no room", func(k *kept) { k.onHandOver = func(*grain) ([]byte, error) { return make([]byte, 2<<10), nil } }, 1},
		{"it is not understood", func(k *kept) {
			k.onTakeOver = func(g *grain, _ []byte) error { g.turns = 100; return errors.New("what?") }
		}, 1},
		{"taking it over panics", func(k *kept) { k.onTakeOver = func(*grain, []byte) error { panic("as asked") } }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := keep(t, 2, 1)
			k.remembering()
			var left atomic.Int32
			k.onDeactivate = func(context.Context, *grain) error { left.Add(1); return nil }
			test.upset(k)
			a := k.moving(1)
			for range 3 {
				k.turns(k.silos[0], a)
			}
			k.join(1)
			k.settle()
			require.EqualValues(t, 1, left.Load(), "it is deactivated all the same")
			require.Equal(t, test.want, k.turns(k.silos[0], a))
			grains, bytes := k.silos[1].host.Kept()
			require.Zero(t, grains)
			require.Zero(t, bytes)
		})
	}
}

// Memory is used under the token that follows the one that it is of, by the first activation, and by no
// other: what comes late, twice, or after somebody else has served the grain is not used.
func TestOldMemoryIsNotTakenOver(t *testing.T) {
	t.Parallel()
	serve := func(w *world, n *node, key string, token uint64) error {
		_, err := n.host.ServeHandover(w.t.Context(), host.Handover(wire.NewID(kindName, key), token, []byte("100")))
		return err
	}
	remembered := func(see func(w *world, n *node), faults ...host.Fault) bool {
		w := start(t, 2, faults...)
		w.remembering()
		n, a := w.silos[0], w.key(0, 0)
		w.up(2, w.silos[1])
		require.NoError(t, serve(w, n, a, 2))
		see(w, n)
		return w.turns(n, a) > 100
	}
	require.True(t, remembered(func(w *world, n *node) { w.up(3, w.silos...) }))
	require.False(t, remembered(func(w *world, n *node) { w.up(3, w.silos[1]); w.up(4, w.silos...) }), "somebody else served it")
	folded := func(w *world, n *node) { w.up(4, w.silos...) }
	require.False(t, remembered(folded), "somebody else may have served it")
	require.True(t, remembered(folded, host.ApplyOldMemory), "nothing notices that memory of another time is taken over")

	w := start(t, 2)
	w.remembering()
	n, a := w.silos[0], w.key(0, 0)
	require.ErrorContains(t, serve(w, n, a, 0), "too late")
	w.up(2, w.silos[1])
	require.NoError(t, serve(w, n, a, 2))
	require.NoError(t, serve(w, n, a, 2), "twice")
	w.up(3, w.silos...)
	require.Equal(t, 101, w.turns(n, a))
	require.Error(t, serve(w, n, a, 2), "and once more")
	<-w.seal(n, a)
	require.Equal(t, 1, w.turns(n, a), "the second activation has it too")
	for _, bad := range [][]byte{nil, {1}, host.Handover(wire.NewID("test.Other", a), 9, nil), host.Handover(wire.ID{}, 9, nil)} {
		_, err := n.host.ServeHandover(t.Context(), bad)
		require.Error(t, err)
	}
}

// Memory for a grain that nobody calls is forgotten.
func TestMemoryIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{id: "store", addr: "silo", views: &view.Holder{}}
		n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "other", Incarnation: 1}, Addr: "other"}))
		kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *grain { return &grain{at: n} }, &run)
		n.host = host.New(host.Config{
			Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: n.now, Kinds: map[string]wire.Kind{kindName: kind},
		})
		_, err := n.host.ServeHandover(t.Context(), host.Handover(wire.NewID(kindName, "a"), 1, []byte("x")))
		require.NoError(t, err)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		kept, _ := n.host.Kept()
		require.Equal(t, 1, kept)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		kept, _ = n.host.Kept()
		require.Zero(t, kept)
		require.NoError(t, n.host.Stop(t.Context()))
	})
}

var _ grains.HandsOver = (*grain)(nil)
