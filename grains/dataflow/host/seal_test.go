package host

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// A run that is under way when its key is sealed may end, whichever comes first, the view or the seal; and the
// slot is not given away before it has.
func TestSealedKeysWaitForTheirRuns(t *testing.T) {
	t.Parallel()
	begun, goOn, result := make(chan string, 16), make(chan struct{}), make(chan error, 16)
	hold := dataflow.ForEach("hold", favorites, func(ctx context.Context, _ *dataflow.Turn, user string) error {
		begun <- user
		select {
		case <-goOn:
			result <- nil
		case <-ctx.Done():
			result <- context.Cause(ctx)
		}
		return nil
	}).Kind()
	w := newWorld(t, 1, 1, hold)
	n := w.at(0)

	// The silo is alone, then another one joins, and half of the slots are to move there.
	self := view.Member{Run: w.view[0].Run, Addr: w.view[0].Addr, Kinds: []string{hold.Name(), NodeKind}}
	other := view.Member{Run: view.Run{ID: "other", Incarnation: 1}, Addr: "other:1", Kinds: self.Kinds}
	keeper, err := view.NewKeeper(view.KeeperConfig{Member: self, MaxSealed: view.Slots})
	require.NoError(t, err)
	registry := view.NewRegistry()
	apply := func(m view.Member) (out []view.Effect) {
		join, err := view.NewJoin(m)
		require.NoError(t, err)
		for _, c := range []view.Command{join, view.Ready{Run: m.Run}} {
			a, err := registry.Apply(view.EncodeCommands(c))
			require.NoError(t, err)
			out = keeper.Step(0, a, out)
		}
		return out
	}
	apply(self)
	alone := keeper.Standing()
	var rows []view.Row
	for _, e := range apply(other) {
		if seal, is := e.(view.Seal); is {
			rows = append(rows, seal.Rows...)
		}
	}
	require.NotEmpty(t, rows)
	user, at := "", -1
	for i := 0; at < 0; i++ {
		user = fmt.Sprint("u", i)
		for k, r := range rows {
			if r.Slot == view.Slot(wire.NewID(hold.Name(), user)) {
				at = k
			}
		}
	}

	w.kept.Store(alone)
	n.host.scheduler.moved()
	require.NoError(t, favorites.At(n.place(), user).Add(t.Context(), "a"))
	require.Equal(t, user, <-begun)
	w.kept.Store(keeper.Standing())
	n.host.scheduler.moved()
	drained := make(chan []view.Row, len(rows))
	n.host.Seal(rows, func(rows []view.Row) { drained <- rows })
	require.False(t, slices.Contains(<-drained, rows[at]), "a run is under way there")
	close(goOn)
	require.NoError(t, <-result)
	require.Equal(t, []view.Row{rows[at]}, <-drained)
}
