package flow_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

// crowd makes n likes: ten wines to a user, and for each wine as many users in a small crowd as in a
// large one. Values differ in length, so that there is an order.
func crowd(n int) []like {
	likes := make([]like, n)
	for i := range likes {
		u, w := i/10, i%10
		likes[i] = like{fmt.Sprint("user-", u), fmt.Sprintf("wine-%d-%0*d", u/10, 1+w, w)}
	}
	return likes
}

// steps fills an operator with n elements and returns the most index accesses that a change of some
// elements needed for each element that came in or went out.
func steps(t *testing.T, op *flow.Operator, n int) float64 {
	likes := crowd(n)
	for from := 0; from < n; from += 500 {
		_, err := op.Apply(0, change(likeCodec, +1, likes[from:from+500]...))
		require.NoError(t, err)
	}
	worst := 0.0
	for seed := range seeds.Of(t, 300) {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		some := make([]like, 1+rng.IntN(10))
		for i := range some {
			some[i] = likes[rng.IntN(n)]
		}
		for _, weight := range []int64{-1, +1} {
			before := op.Work()
			_, err := op.Apply(0, change(likeCodec, weight, some...))
			require.NoError(t, err)
			after := op.Work()
			moved := after.In - before.In + after.Out - before.Out
			worst = max(worst, float64(after.Steps-before.Steps)/float64(moved))
		}
	}
	return worst
}

func TestWorkIsProportionalToTheChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		new   func() *flow.Operator
		bound float64 // accesses for each element in or out
		log   bool    // times log2 of the size of a group
	}{
		"source":         {func() *flow.Operator { return sourceLaw.new(t) }, 2, false},
		"map":            {func() *flow.Operator { return mapLaw.new(t) }, 2, false},
		"filter":         {func() *flow.Operator { return filterLaw.new(t) }, 2, false},
		"union":          {func() *flow.Operator { return unionLaw.new(t) }, 2, false},
		"count-by":       {func() *flow.Operator { return countLaw.new(t) }, 3, false},
		"count-together": {func() *flow.Operator { return togetherLaw.new(t) }, 4, false},
		"top-by":         {func() *flow.Operator { return oneGroup(t) }, 8, true},
		"flat-map":       {func() *flow.Operator { return twice(t) }, 2, false},
		"distinct":       {func() *flow.Operator { return distinctLaw.new(t) }, 2, false},
		"intersection":   {func() *flow.Operator { return meeting(t, intersectionLaw) }, 2, false},
		"difference":     {func() *flow.Operator { return differenceLaw.new(t) }, 2, false},
		"sum-by":         {func() *flow.Operator { return sumLaw.new(t) }, 3, false},
		"average-by":     {func() *flow.Operator { return averageLaw.new(t) }, 3, false},
		"min-by":         {func() *flow.Operator { return minOfAll(t) }, 8, true},
		"fold-by":        {func() *flow.Operator { return foldOfAll(t) }, 4, true},
		"join":           {func() *flow.Operator { return joinOfCrowd(t) }, 6, false},
		"product":        {func() *flow.Operator { return productOfCrowd(t) }, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1e3, 1e5} {
				bound := test.bound
				if test.log {
					bound *= float64(bits.Len(uint(n)))
				}
				worst := steps(t, test.new(), n)
				t.Logf("%d elements: at most %.2f accesses for each element in or out", n, worst)
				require.LessOrEqual(t, worst, bound, "%d elements", n)
			}
		})
	}
}

func TestWorkCounts(t *testing.T) {
	t.Parallel()
	op := countLaw.new(t)
	_, err := op.Apply(0, change(likeCodec, +1, like{"ann", "barolo"}, like{"bob", "barolo"}))
	require.NoError(t, err)
	work := op.Work()
	require.Positive(t, work.Steps)
	require.Equal(t, flow.Work{In: 2, Out: 1, Steps: work.Steps, Entries: 3}, work, "two elements and a count are held")
	_, err = op.Replace([][][]byte{{change(likeCodec, +1, like{"ann", "barolo"})}})
	require.NoError(t, err)
	again := op.Work()
	require.Greater(t, again.Steps, work.Steps)
	require.Equal(t, flow.Work{In: 3, Out: 3, Steps: again.Steps, Entries: 2}, again, "the old count and the new one went out")
}

// oneGroup is the hardest case of an ordered index: all elements in one group.
func oneGroup(t *testing.T) *flow.Operator {
	top := flow.TopBy("top", source, func(like) string { return "all" }, 10, byLength)
	g, err := flow.Compile([]flow.Bound{boundLikes, flow.Bind(top, topCodec, 1)})
	require.NoError(t, err)
	op, err := g.New("top")
	require.NoError(t, err)
	return op
}

// One change through a filter that keeps half and a map.
func BenchmarkFilterMap(b *testing.B) {
	for _, n := range []int{1e3, 1e5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			filter, project := filterLaw.new(b), mapLaw.new(b)
			likes := crowd(n)
			batches := make([][]byte, 0, n/50)
			for from := 0; from < n; from += 100 {
				batches = append(batches, change(likeCodec, +1, likes[from:from+100]...), change(likeCodec, -1, likes[from:from+100]...))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += 100 {
				out, err := filter.Apply(0, batches[i/100%len(batches)])
				if err != nil {
					b.Fatal(err)
				}
				if _, err = project.Apply(0, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
