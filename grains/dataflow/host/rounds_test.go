package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/dataflow"
)

// A key that runs between rounds is given what the last round was, and is part of the next though no view
// changes any more.
func TestRunBetweenRoundsIsRunAgainInTheNext(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string][]string{} // by key: the names that each run saw
	rule := dataflow.ForEach("between", results, func(ctx context.Context, t *dataflow.Turn, key string) error {
		of, err := dataflow.Shared(ctx, t, "counts", counts)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		seen[key] = append(seen[key], fmt.Sprint(slices.Sorted(maps.Keys(of))))
		return nil
	}, dataflow.Round(400*time.Millisecond))
	w := newWorld(t, 1, 1, rule.Kind())
	n := w.at(0)
	saw := func(key, names string) {
		t.Helper()
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if runs := seen[key]; len(runs) == 0 || runs[len(runs)-1] != names {
				return fmt.Errorf("%s saw %v, not %s at last", key, runs, names)
			}
			return nil
		})
	}
	m := model{"u": {}}
	like := func(wine string) {
		t.Helper()
		require.NoError(t, favorites.At(n.place(), "u").Add(t.Context(), wine))
		m["u"][wine] = true
		eventually(t, func() error { return sameView(dataflow.On(n.place(), likes), m.likes()) })
	}
	like("a")
	require.NoError(t, results.At(n.place(), "early").Add(t.Context(), "x"))
	saw("early", "[a]")
	like("b")
	saw("early", "[a b]")
	like("c") // the next round has to wait
	require.NoError(t, results.At(n.place(), "late").Add(t.Context(), "x"))
	saw("late", "[a b c]")
	saw("early", "[a b c]")
	mu.Lock()
	defer mu.Unlock()
	require.LessOrEqual(t, len(seen["early"]), 3)
}
