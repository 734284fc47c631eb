package view_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

func silos(n int) []view.Silo {
	s := make([]view.Silo, n)
	for i := range s {
		s[i] = view.Silo{ID: view.SiloID(fmt.Sprintf("store-%d", i)), Addr: fmt.Sprintf("10.0.0.1:%d", 7000+i), Incarnation: 1, Up: true}
	}
	return s
}

// Names that differ in one digit must not load one silo more than another.
func TestLoadIsEven(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 8} {
		v := view.New(1, silos(n))
		load := map[view.SiloID]int{}
		const grains = 100_000
		for i := range grains {
			s, ok := v.Owner(wire.NewID("bench.Grain", fmt.Sprint(i)))
			require.True(t, ok)
			load[s.ID]++
		}
		for id, got := range load {
			ideal := float64(grains) / float64(n)
			require.Less(t, math.Abs(float64(got)-ideal)/ideal, 0.15, "%s of %d silos holds %d", id, n, got)
		}
	}
}

func TestSiloThatGoesTakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := silos(rapid.IntRange(2, 9).Draw(t, "silos"))
		gone := rapid.IntRange(0, len(all)-1).Draw(t, "gone")
		before := view.New(1, all)
		all[gone].Up = false
		after := view.New(2, all)
		for range 200 {
			id := wire.NewID("k", rapid.String().Draw(t, "key"))
			was, _ := before.Owner(id)
			is, ok := after.Owner(id)
			require.True(t, ok)
			require.NotEqual(t, all[gone].ID, is.ID)
			if was.ID != all[gone].ID {
				require.Equal(t, was.ID, is.ID)
			}
			require.Equal(t, replicaIDs(before, id), replicaIDs(after, id), "replicas stay when a silo is down")
		}
	})
}

func replicaIDs(v *view.View, id wire.ID) (ids []view.SiloID) {
	for _, s := range v.Replicas(id, 0) {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	v := view.New(1, silos(5))
	id := wire.NewID("ads", "")
	require.Len(t, v.Replicas(id, 0), 3)
	require.Len(t, v.Replicas(id, wire.Everywhere), 5)
	require.Len(t, v.Replicas(id, 9), 5)
	require.Len(t, v.Replicas(id, 1), 1)
	require.Len(t, view.New(1, silos(1)).Replicas(id, 0), 1)
}

func TestNobodyUp(t *testing.T) {
	t.Parallel()
	m := view.NewMachine(silos(3))
	_, ok := m.View().Owner(wire.NewID("k", "x"))
	require.False(t, ok)
	require.Zero(t, m.View().UpCount())
}

func TestMachine(t *testing.T) {
	t.Parallel()
	m := view.NewMachine(silos(3))
	up := view.Entry{Silo: "store-1", Addr: "10.0.0.1:7001", Incarnation: 7, Up: true}
	for _, step := range []struct {
		name    string
		entry   view.Entry
		changed bool
		number  uint64
		up      int
	}{
		{"comes up", up, true, 1, 1},
		{"says so again", up, false, 1, 1},
		{"an earlier run is down: not this one", view.Entry{Silo: "store-1", Incarnation: 6}, false, 1, 1},
		{"is down", view.Entry{Silo: "store-1", Incarnation: 7}, true, 2, 0},
		{"is down twice", view.Entry{Silo: "store-1", Incarnation: 7}, false, 2, 0},
		{"comes back as another run", view.Entry{Silo: "store-1", Addr: "10.0.0.1:7009", Incarnation: 8, Up: true}, true, 3, 1},
	} {
		changed, err := m.Apply(step.entry)
		require.NoError(t, err, step.name)
		require.Equal(t, step.changed, changed, step.name)
		require.Equal(t, step.number, m.View().Number, step.name)
		require.Equal(t, step.up, m.View().UpCount(), step.name)
	}
	_, err := m.Apply(view.Entry{Silo: "stranger", Up: true})
	require.ErrorContains(t, err, "stranger")

	other := view.NewMachine(nil)
	require.NoError(t, other.Restore(bytes.NewReader(m.Snapshot())))
	require.Equal(t, m.View(), other.View())
}

func FuzzDecode(f *testing.F) {
	f.Add(view.New(3, silos(3)).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := view.Decode(b)
		if err == nil {
			again, err := view.Decode(v.Append(nil))
			require.NoError(t, err)
			require.Equal(t, v, again)
		}
	})
}
