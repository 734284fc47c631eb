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

// Changes of views are gathered: a round for many of them, and one shared value for all of its runs.
func TestRounds(t *testing.T) {
	t.Parallel()
	var runs, made atomic.Int64
	rule := dataflow.ForEach("rounds", favorites, func(ctx context.Context, t *dataflow.Turn, user string) error {
		runs.Add(1)
		_, err := dataflow.Shared(ctx, t, "counts", func(ctx context.Context, t *dataflow.Turn) (map[string]int64, error) {
			made.Add(1)
			return counts(ctx, t)
		})
		return err
	}, dataflow.Round(300*time.Millisecond))
	w := newWorld(t, 1, 1, rule.Kind())
	n := w.at(0)
	ctx := t.Context()
	idle := func() error {
		if !n.host.Idle() {
			return fmt.Errorf("%+v", n.host.Progress())
		}
		return nil
	}
	const users = 20
	for u := range users {
		require.NoError(t, favorites.At(n.place(), fmt.Sprint("u", u)).Add(ctx, "a"))
	}
	eventually(t, func() error {
		return sameView(dataflow.On(n.place(), likes), map[liked]bool{{Key: "a", Value: users}: true})
	})
	eventually(t, idle)
	before := n.host.Progress()
	runs.Store(0)
	made.Store(0)
	const changes = 50
	for i := range changes {
		require.NoError(t, favorites.At(n.place(), "u0").Add(ctx, fmt.Sprint("w", i)))
		want := map[liked]bool{{Key: "a", Value: users}: true}
		for j := range i + 1 {
			want[liked{Key: fmt.Sprint("w", j), Value: 1}] = true
		}
		eventually(t, func() error { return sameView(dataflow.On(n.place(), likes), want) })
	}
	eventually(t, idle)
	rounds := n.host.Progress().Rounds - before.Rounds
	require.Positive(t, rounds)
	require.Less(t, rounds, changes/2)
	require.LessOrEqual(t, made.Load(), int64(rounds), "made once in a round at most")
	require.LessOrEqual(t, runs.Load(), int64(rounds*users+changes), "all in a round, and u0 at each change")
	require.GreaterOrEqual(t, runs.Load(), int64(users))
}

// A variable that is read, of any family, has the key run again at once; so do the keys of a family.
func TestReadsOfVariables(t *testing.T) {
	t.Parallel()
	rule := dataflow.Process("sizes", func(ctx context.Context, t *dataflow.Turn) error {
		var out []string
		for user, err := range favorites.Keys(ctx, t) {
			if err != nil {
				return err
			}
			n, err := favorites.At(t, user).Len(ctx)
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprint(user, n))
		}
		return results.At(t, "sizes").Assign(ctx, slices.Values(out))
	})
	w := newWorld(t, 2, 1, rule.Kind())
	m, rng := model{}, rand.New(rand.NewPCG(2, 3))
	for range 5 {
		for range 20 {
			m.step(t, w, rng, w.at(rng.IntN(2)))
		}
		eventually(t, func() error {
			var want []string
			for user, of := range m {
				if len(of) > 0 {
					want = append(want, fmt.Sprint(user, len(of)))
				}
			}
			slices.Sort(want)
			got, err := results.At(w.at(0).place(), "sizes").All(t.Context())
			if have := slices.Sorted(got); err != nil || !slices.Equal(have, want) {
				return fmt.Errorf("results are %v, not %v: %w", have, want, err)
			}
			return nil
		})
	}
}

// What fails or panics is tried again; what changes while a key runs has it run once more, not beside.
func TestFailuresAndOverlaps(t *testing.T) {
	t.Parallel()
	var running, most, runs atomic.Int64
	gate := make(chan struct{}, 1) // one: lets a run go on
	rule := dataflow.ForEach("slow", favorites, func(ctx context.Context, t *dataflow.Turn, user string) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		switch runs.Add(1) {
		case 1:
			return errors.New("as asked")
		case 2:
			panic("as asked")
		}
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return nil
	})
	w := newWorld(t, 1, 1, rule.Kind())
	n := w.at(0)
	reached := func(want int64) func() error {
		return func() error {
			if runs.Load() < want {
				return fmt.Errorf("%d runs", runs.Load())
			}
			return nil
		}
	}
	require.NoError(t, favorites.At(n.place(), "u").Add(t.Context(), "a"))
	eventually(t, reached(3))
	require.False(t, n.host.Idle())
	require.Equal(t, 1, n.host.Progress().Failing)
	for i := range 10 {
		require.NoError(t, favorites.At(n.place(), "u").Add(t.Context(), fmt.Sprint(i)))
	}
	gate <- struct{}{}
	eventually(t, reached(4))
	gate <- struct{}{}
	eventually(t, func() error {
		if !n.host.Idle() {
			return fmt.Errorf("%+v", n.host.Progress())
		}
		return nil
	})
	require.EqualValues(t, 4, runs.Load(), "ten changes in one run make one more")
	require.EqualValues(t, 1, most.Load())
}

// A process that moves goes on by difference to what it wrote elsewhere.
func TestOutputsMove(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	w := newWorld(t, 2, 1, rank(&runs, 0).Kind())
	ctx := t.Context()
	m := model{}
	for u := range 6 {
		user := fmt.Sprint("u", u)
		m[user] = map[string]bool{"a": true, user: true}
		require.NoError(t, favorites.At(w.at(0).place(), user).Add(ctx, "a", user))
	}
	eventually(t, func() error { return m.ranked(w, w.at(1)) })
	w.kill(0)
	for u := range 6 {
		user := fmt.Sprint("u", u)
		delete(m[user], user)
		require.NoError(t, favorites.At(w.at(1).place(), user).Remove(ctx, user))
	}
	eventually(t, func() error { return m.ranked(w, w.at(1)) })
}
