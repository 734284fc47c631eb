package host

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// keep makes a view in which variables are kept on these nodes, and all are up.
func (w *world) keep(nodes ...int) {
	v := w.views.Current()
	silos := slices.Clone(v.Members)
	for i := range silos {
		silos[i].Voter = false
		silos[i].State = view.Joining
		if slices.Contains(nodes, i) {
			silos[i].State = view.Active
		}
	}
	w.views.Set(view.Frozen(v.Number+1, nil, silos...))
}

func (w *world) index(id view.SiloID) int {
	return slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == id })
}

// displaced returns a variable of two replicas, one of which, old, gives way to node 4.
func (w *world) displaced() (id wire.ID, old, stays int) {
	for n := 0; ; n++ {
		id := wire.NewID("test.Bags", fmt.Sprint(n))
		w.keep(0, 1, 2, 3, 4)
		now := w.views.Current().Replicas(id, 2)
		w.keep(0, 1, 2, 3)
		was := w.views.Current().Replicas(id, 2)
		if now[0].ID == w.nodes[4].id || now[1].ID == w.nodes[4].id {
			for _, r := range was {
				if r.ID != now[0].ID && r.ID != now[1].ID {
					old = w.index(r.ID)
				} else {
					stays = w.index(r.ID)
				}
			}
			return id, old, stays
		}
	}
}

// What a replica has acknowledged, and has not told the others when it ceases to be one, reaches those that
// are: it was cut off meanwhile, or stopped.
func TestWhatAFormerReplicaHoldsIsNotLost(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted ", restarted), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5, 1)
			hosts := w.startAll()
			id, old, stays := w.displaced()
			require.NoError(t, hosts[stays].Mutate(t.Context(), id, add("a")))
			w.synced()
			w.partition(old)
			require.NoError(t, hosts[old].Mutate(t.Context(), id, add("b")))
			require.Equal(t, "a", of(t, hosts[stays], id))

			w.keep(0, 1, 2, 3, 4)
			if restarted {
				w.close(old)
				hosts[old] = w.start(old)
			}
			w.partition()
			w.eventually("what was acknowledged is with the replicas", func() bool {
				return of(t, hosts[stays], id) == "a b" && of(t, hosts[4], id) == "a b"
			})
			w.synced()
			w.equal("test.Bags")
		})
	}
}

// What a silo that leaves has acknowledged is with others before it has gone.
func TestALeavingSiloHandsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	w.synced()
	w.mu.Lock()
	w.drop = 1
	w.mu.Unlock()
	id, n := wire.NewID("test.Bags", "k"), wire.NewID("test.Count", "n")
	leaves := w.index(w.views.Current().Replicas(id, 2)[0].ID)
	require.NoError(t, hosts[leaves].Mutate(t.Context(), id, add("a")))
	require.NoError(t, hosts[leaves].Mutate(t.Context(), n, plus(5)))
	w.tell(leaves, false)
	require.NoError(t, hosts[leaves].HandOver(t.Context()))
	w.close(leaves)
	for i, h := range hosts {
		if i != leaves {
			require.Equal(t, "a", of(t, h, id))
		}
	}
	w.mu.Lock()
	w.drop = 0
	w.mu.Unlock()
	for i, h := range hosts {
		if i != leaves {
			w.eventually("the count is everywhere", func() bool { return value(t, h, n) == 5 })
		}
	}

	alone := w.start(leaves)
	require.NoError(t, alone.Mutate(t.Context(), id, add("b")))
	for i := range hosts {
		if i != leaves {
			w.tell(i, false)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, alone.HandOver(ctx), context.DeadlineExceeded, "there is nobody")
}
