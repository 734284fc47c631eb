package walk_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// Two circles of drinkers, and one wine that everybody likes.
func circles() map[string][]string {
	return map[string][]string{
		"ana":  {"barolo", "barbaresco", "house"},
		"bo":   {"barolo", "barbaresco", "nebbiolo", "house"},
		"cleo": {"barolo", "nebbiolo", "house"},
		"dan":  {"riesling", "silvaner", "house"},
		"eve":  {"riesling", "silvaner", "elbling", "house"},
		"finn": {"silvaner", "elbling", "house"},
	}
}

func graph(favorites map[string][]string) *walk.Graph {
	likes, together := walk.Count(favorites)
	return walk.NewGraph(likes, slices.Values(together))
}

func TestRecommendStaysInTheCircle(t *testing.T) {
	t.Parallel()
	g := graph(circles())
	require.Equal(t, 7, g.Wines())
	require.Equal(t, "nebbiolo", g.Recommend([]string{"barolo", "barbaresco", "house"}, nil, 3)[0])
	require.Equal(t, "elbling", g.Recommend([]string{"riesling", "silvaner", "house"}, nil, 3)[0])
	require.Equal(t, "house", g.Popular([]string{"barolo"}, nil, 1)[0])
}

func TestFavoritesAndBoughtAreNeverRecommended(t *testing.T) {
	t.Parallel()
	g := graph(circles())
	got := g.Recommend([]string{"barolo"}, []string{"barbaresco", "house", "unknown"}, 100)
	require.ElementsMatch(t, []string{"nebbiolo", "riesling", "silvaner", "elbling"}, got)
	require.Equal(t, "nebbiolo", got[0])
	got = g.Popular([]string{"barolo"}, []string{"house"}, 100)
	require.ElementsMatch(t, []string{"barbaresco", "nebbiolo", "riesling", "silvaner", "elbling"}, got)
}

func TestNothingKnownGivesThePopular(t *testing.T) {
	t.Parallel()
	g := graph(circles())
	want := g.Popular(nil, nil, 3)
	require.Equal(t, []string{"house", "barolo", "silvaner"}, want)
	require.Equal(t, want, g.Recommend(nil, nil, 3))
	require.Equal(t, want, g.Recommend([]string{"never seen"}, nil, 3))
	require.Empty(t, g.Recommend([]string{"barolo"}, nil, 0))
	require.Empty(t, g.Recommend([]string{"barolo"}, nil, -1))

	empty := walk.NewGraph(nil, slices.Values([]walk.Pair(nil)))
	require.Empty(t, empty.Recommend([]string{"barolo"}, nil, 3))
	lonely := walk.NewGraph(map[string]int64{"a": 1, "b": 2}, slices.Values([]walk.Pair(nil)))
	require.Equal(t, []string{"b"}, lonely.Recommend([]string{"a"}, nil, 3))
}

// The likes and the pairs come from two views, either of which may be ahead.
func TestTornViewsAreTolerated(t *testing.T) {
	t.Parallel()
	g := walk.NewGraph(map[string]int64{"a": 1, "neg": -3}, slices.Values([]walk.Pair{
		{A: "a", B: "b", Count: 3}, {A: "b", B: "a", Count: 2}, {A: "b", B: "c", Count: 1},
		{A: "a", B: "a", Count: 9}, {A: "a", B: "z", Count: 0}, {A: "a", B: "y", Count: -1},
	}))
	require.Equal(t, 4, g.Wines())
	require.Equal(t, 2, g.Edges())
	require.Equal(t, []string{"b", "c", "neg"}, g.Recommend([]string{"a"}, nil, 9))
}

func favoritesGen() *rapid.Generator[map[string][]string] {
	wine := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("w%02d", rapid.IntRange(0, 25).Draw(t, "wine"))
	})
	return rapid.MapOfN(rapid.StringMatching(`[a-z]{1,4}`), rapid.SliceOfN(wine, 0, 12), 1, 20)
}

// Whatever order pairs, duplicates and favourites come in, the answer is the
// same, and it honours the exclusions.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		favorites := favoritesGen().Draw(t, "favorites")
		likes, together := walk.Count(favorites)
		g := walk.NewGraph(likes, slices.Values(together))
		shuffled := rapid.Permutation(together).Draw(t, "shuffled")
		for i := range shuffled {
			if i%2 == 0 {
				shuffled[i].A, shuffled[i].B = shuffled[i].B, shuffled[i].A
			}
		}
		h := walk.NewGraph(likes, slices.Values(append(shuffled, together...)))
		bought := []string{"w03", "w07"}
		for user, wines := range favorites {
			a := g.Recommend(wines, bought, 10)
			b := h.Recommend(rapid.Permutation(append(slices.Clone(wines), wines...)).Draw(t, user), bought, 10)
			require.Equal(t, a, b)
			seen := map[string]bool{}
			for _, w := range a {
				require.NotContains(t, wines, w)
				require.NotContains(t, bought, w)
				require.False(t, seen[w], "%s twice", w)
				seen[w] = true
			}
		}
	})
}

func TestGraphIsSharedByGoroutines(t *testing.T) {
	t.Parallel()
	g := graph(circles())
	var wg sync.WaitGroup
	for user, wines := range circles() {
		want := g.Recommend(wines, nil, 5)
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if got := g.Recommend(wines, nil, 5); !slices.Equal(want, got) {
						t.Errorf("%s: %v, then %v", user, want, got)
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestHoldOut(t *testing.T) {
	t.Parallel()
	favorites := map[string][]string{
		"few":  {"a", "b", "c", "d"},
		"five": {"e", "d", "c", "b", "a", "a"},
	}
	for i := range 37 {
		favorites["many"] = append(favorites["many"], fmt.Sprint("w", i))
	}
	kept, held := walk.HoldOut(favorites, 1)
	require.Equal(t, favorites["few"], kept["few"])
	require.NotContains(t, held, "few")
	require.Len(t, held["five"], 1)
	require.Len(t, kept["five"], 4)
	require.Len(t, held["many"], 3)
	require.ElementsMatch(t, favorites["many"], append(slices.Clone(kept["many"]), held["many"]...))

	again, _ := walk.HoldOut(favorites, 1)
	require.Equal(t, kept, again)
	other, _ := walk.HoldOut(favorites, 2)
	require.NotEqual(t, kept, other)
}

func TestHitRate(t *testing.T) {
	t.Parallel()
	held := map[string][]string{"a": {"x", "y"}, "b": {"z"}}
	r := walk.HitRate(nil, held, func(user string, _ []string) []string { return []string{"x", "q"} })
	require.Equal(t, walk.Rate{Hits: 1, Held: 3}, r)
	require.InDelta(t, 1.0/3, r.Value(), 1e-12)
	require.Zero(t, walk.Rate{}.Value())
}

func TestTopKeepsWhatEitherWineNeeds(t *testing.T) {
	t.Parallel()
	got := walk.Top([]walk.Pair{
		{A: "a", B: "b", Count: 9}, {A: "a", B: "c", Count: 5}, {A: "b", B: "c", Count: 4}, {A: "a", B: "d", Count: 1}, {A: "c", B: "d", Count: 1},
	}, 1)
	require.Equal(t, []walk.Pair{{A: "a", B: "b", Count: 9}, {A: "a", B: "c", Count: 5}, {A: "a", B: "d", Count: 1}}, got)
}
