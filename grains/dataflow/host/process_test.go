package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

func counts(ctx context.Context, t *dataflow.Turn) (map[string]int64, error) {
	all, err := dataflow.On(t, likes).All(ctx)
	if err != nil {
		return nil, err
	}
	of := map[string]int64{}
	for e := range all {
		of[e.Key] = e.Value
	}
	return of, nil
}

// rank gives each user the names and counts of the favorites.
func rank(runs *atomic.Int64, round time.Duration) dataflow.Rule {
	return dataflow.ForEach("rank", favorites, func(ctx context.Context, t *dataflow.Turn, user string) error {
		runs.Add(1)
		of, err := dataflow.Shared(ctx, t, "counts", counts)
		if err != nil {
			return err
		}
		mine, err := favorites.At(t, user).All(ctx)
		if err != nil {
			return err
		}
		var out []string
		for wine := range mine {
			out = append(out, fmt.Sprint(wine, "=", of[wine]))
		}
		return results.At(t, user).Assign(ctx, slices.Values(out))
	}, dataflow.Round(round))
}

// ranked says what is wrong with what rank has put out.
func (m model) ranked(w *world, n *node) error {
	w.mu.Lock()
	all := []*node{}
	for _, n := range w.nodes {
		if n.host != nil && !n.dead {
			all = append(all, n)
		}
	}
	w.mu.Unlock()
	for _, n := range all {
		if !n.host.Idle() {
			return fmt.Errorf("silo %s: %+v", n.id, n.host.Progress())
		}
	}
	of := map[string]int64{}
	for e := range m.likes() {
		of[e.Key] = e.Value
	}
	for user, wines := range m {
		got, err := results.At(n.place(), user).All(context.Background())
		if err != nil {
			return err
		}
		have := slices.Sorted(got)
		var want []string
		for wine := range wines {
			want = append(want, fmt.Sprint(wine, "=", of[wine]))
		}
		slices.Sort(want)
		if !slices.Equal(have, want) {
			return fmt.Errorf("results of %s are %v, not %v", user, have, want)
		}
	}
	return nil
}

func TestProcessesConvergeToRecomputation(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var runs atomic.Int64
			w := newWorld(t, 3, seed, rank(&runs, 20*time.Millisecond).Kind())
			w.loss = 0.1 * float64(seed)
			m, rng := model{}, rand.New(rand.NewPCG(seed, 3))
			for range 4 {
				for range 30 {
					m.step(t, w, rng, w.at(rng.IntN(3)))
				}
				eventually(t, func() error { return m.ranked(w, w.at(0)) })
			}
		})
	}
}

func TestKeysMoveWithTheView(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	w := newWorld(t, 3, 9, rank(&runs, 10*time.Millisecond).Kind())
	m, rng := model{}, rand.New(rand.NewPCG(9, 3))
	for range 30 {
		m.step(t, w, rng, w.at(rng.IntN(3)))
	}
	eventually(t, func() error { return m.ranked(w, w.at(0)) })
	w.kill(1)
	for range 30 {
		m.step(t, w, rng, w.at(0))
	}
	eventually(t, func() error { return m.ranked(w, w.at(0)) })
	w.restart(1)
	for range 30 {
		m.step(t, w, rng, w.at(rng.IntN(3)))
	}
	eventually(t, func() error { return m.ranked(w, w.at(1)) })
	keys := 0
	for i := range 3 {
		keys += w.at(i).host.Progress().Keys
	}
	require.Equal(t, len(m), keys, "each key has one owner")
}

func TestWhatOthersRemovedStaysRemoved(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	w := newWorld(t, 1, 1, rank(&runs, 0).Kind())
	n := w.at(0)
	ctx := t.Context()
	require.NoError(t, favorites.At(n.place(), "u").Add(ctx, "a", "b"))
	m := model{"u": {"a": true, "b": true}}
	eventually(t, func() error { return m.ranked(w, n) })
	require.NoError(t, results.At(n.place(), "u").Remove(ctx, "a=1"))
	require.NoError(t, favorites.At(n.place(), "u").Add(ctx, "c"))
	eventually(t, func() error {
		got, err := results.At(n.place(), "u").All(ctx)
		if err != nil || !n.host.Idle() {
			return errors.Join(err, errors.New("not idle"))
		}
		if have := slices.Sorted(got); !slices.Equal(have, []string{"b=1", "c=1"}) {
			return fmt.Errorf("results are %v", have)
		}
		return nil
	})
}

// A process that reads what it writes comes to rest, and is run again for what others write there.
func TestOwnOutputsThatAreRead(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	rule := dataflow.Process("copy", func(ctx context.Context, t *dataflow.Turn) error {
		runs.Add(1)
		all, err := extra.On(t).All(ctx)
		if err != nil {
			return err
		}
		n := len(slices.Collect(all))
		return results.At(t, "copy").Assign(ctx, slices.Values([]string{fmt.Sprint(n)}))
	})
	w := newWorld(t, 1, 1, rule.Kind())
	n := w.at(0)
	holds := func(want string) func() error {
		return func() error {
			got, err := results.At(n.place(), "copy").All(t.Context())
			if have := slices.Collect(got); err != nil || !slices.Equal(have, []string{want}) || !n.host.Idle() {
				return fmt.Errorf("results are %v: %w", have, err)
			}
			return nil
		}
	}
	eventually(t, holds("0"))
	require.NoError(t, extra.On(n.place()).Add(t.Context(), "x"))
	eventually(t, holds("1"))
	require.LessOrEqual(t, runs.Load(), int64(3))
}

func TestTurnsRefuseWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	seen := make(chan error, 3) // one for each thing that is refused
	rule := dataflow.Process("bold", func(ctx context.Context, t *dataflow.Turn) error {
		e := wire.Of(t)
		seen <- e.Call(ctx, wire.NewID("k", ""), nil)
		seen <- e.Atomic(ctx, wire.Closure{})
		_, err := dataflow.Shared(ctx, t, "variables", func(ctx context.Context, t *dataflow.Turn) (int, error) {
			return extra.On(t).Len(ctx)
		})
		seen <- err
		return nil
	})
	newWorld(t, 1, 1, rule.Kind())
	for range 3 {
		require.ErrorIs(t, <-seen, wire.ErrUnsupported)
	}
}
