package walk_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// favorites of the real data where it lies beside the repository, otherwise of
// the built-in catalogue.
func favorites(t testing.TB) (byUser map[string][]string, real bool) {
	t.Helper()
	dir := filepath.FromSlash("../../../../../shared/data/xwines")
	if _, err := os.Stat(dir); err != nil {
		t.Log("on the built-in catalogue, for the X-Wines data set is not beside the repository: ", err)
		return catalogue.Builtin(1).Favorites(), false
	}
	c, err := catalogue.Load(dir)
	require.NoError(t, err)
	return c.Favorites(), true
}

// measure returns the hit rates at 10 of the walk over the pairs that keep
// leaves, and of popularity.
func measure(favorites map[string][]string, seed uint64, keep func([]walk.Pair) []walk.Pair) (byWalk, byLikes walk.Rate) {
	kept, held := walk.HoldOut(favorites, seed)
	if race {
		sample := slices.Sorted(maps.Keys(held))
		for _, user := range sample[len(sample)/16:] {
			delete(held, user)
		}
	}
	likes, together := walk.Count(kept)
	g := walk.NewGraph(likes, slices.Values(keep(together)))
	byWalk = walk.HitRate(kept, held, func(_ string, wines []string) []string { return g.Recommend(wines, nil, 10) })
	byLikes = walk.HitRate(kept, held, func(_ string, wines []string) []string { return g.Popular(wines, nil, 10) })
	return byWalk, byLikes
}

func all(pairs []walk.Pair) []walk.Pair     { return pairs }
func hundred(pairs []walk.Pair) []walk.Pair { return walk.Top(pairs, 100) }

func TestHitRateBeatsPopularity(t *testing.T) {
	t.Parallel()
	f, real := favorites(t)
	for seed, keep := range map[uint64]func([]walk.Pair) []walk.Pair{1: all, 2: hundred} {
		w, p := measure(f, seed, keep)
		t.Logf("seed %d: hit rate at 10 %.4f, popularity %.4f, %.2f times (%d held out)",
			seed, w.Value(), p.Value(), w.Value()/p.Value(), w.Held)
		require.Greater(t, w.Value(), p.Value())
		if race {
			return
		}
		if !real {
			continue
		}
		require.Greater(t, w.Value(), 0.25)
		require.Greater(t, w.Value(), 1.9*p.Value())
	}
}

func BenchmarkRecommend(b *testing.B) {
	f, _ := favorites(b)
	likes, together := walk.Count(f)
	var users [][]string
	for _, wines := range f {
		users = append(users, wines)
	}
	for name, keep := range map[string]func([]walk.Pair) []walk.Pair{"all": all, "hundred": hundred} {
		g := walk.NewGraph(likes, slices.Values(keep(together)))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				g.Recommend(users[i%len(users)], nil, 10)
			}
		})
	}
}

func BenchmarkNewGraph(b *testing.B) {
	f, _ := favorites(b)
	likes, together := walk.Count(f)
	for b.Loop() {
		walk.NewGraph(likes, slices.Values(together))
	}
}
