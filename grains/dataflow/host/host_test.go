package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/dataflow"
)

// model is what the favorites are, for recomputing everything from it.
type model map[string]map[string]bool

func (m model) likes() map[liked]bool {
	counts := map[string]int64{}
	for _, of := range m {
		for wine := range of {
			counts[wine]++
		}
	}
	all := map[liked]bool{}
	for wine, n := range counts {
		all[liked{Key: wine, Value: n}] = true
	}
	return all
}

func (m model) names() map[string]bool {
	all := map[string]bool{}
	for _, of := range m {
		for wine := range of {
			all[wine] = true
		}
	}
	return all
}

// step changes one favorite at a silo.
func (m model) step(t *testing.T, w *world, rng *rand.Rand, at *node) {
	user, wine := fmt.Sprintf("u%d", rng.IntN(8)), fmt.Sprintf("wine%d", rng.IntN(12))
	set := favorites.At(at.place(), user)
	if m[user] == nil {
		m[user] = map[string]bool{}
	}
	if rng.IntN(3) == 0 {
		require.NoError(t, set.Remove(t.Context(), wine))
		delete(m[user], wine)
	} else {
		require.NoError(t, set.Add(t.Context(), wine))
		m[user][wine] = true
	}
}

func sameView[E comparable](v *dataflow.View[E], want map[E]bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), quick.request)
	defer cancel()
	all, err := v.All(ctx)
	if err != nil {
		return err
	}
	got := map[E]bool{}
	for e := range all {
		got[e] = true
		if !want[e] {
			return fmt.Errorf("%v is in the view and should not be", e)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("the view has %d elements, not %d", len(got), len(want))
	}
	return nil
}

func (m model) check(t *testing.T, n *node) {
	t.Helper()
	eventually(t, func() error { return sameView(dataflow.On(n.place(), likes), m.likes()) })
	eventually(t, func() error { return sameView(dataflow.On(n.place(), both), m.names()) })
}

func TestViewsEqualRecomputation(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, seed)
			w.loss, w.dup, w.swap = 0.1*float64(seed), 0.05*float64(seed), 0.05*float64(seed)
			client := w.addClient("client")
			m, rng := model{}, rand.New(rand.NewPCG(seed, 2))
			m.check(t, client)
			for range 5 {
				for range 40 {
					m.step(t, w, rng, w.at(rng.IntN(3)))
				}
				m.check(t, client)
				m.check(t, w.at(rng.IntN(3)))
			}
		})
	}
}
