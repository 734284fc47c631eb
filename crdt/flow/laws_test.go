package flow_test

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// on makes a law of an operator over the source of likes, or over it and the other one.
func on[B comparable](node flow.Node[B], out crdt.Codec[B], view func(in []bag[like]) bag[B]) law[like, B] {
	return law[like, B]{
		node: flow.Bind(node, out, 1), graph: []flow.Bound{boundLikes, boundOther},
		in: likeCodec, out: out, elem: genLike, view: view,
	}
}

// letters yields the letters of a wine's name, one that comes twice twice.
func letters(l like) iter.Seq[string] { return slices.Values(strings.Split(l.Value, "")) }

var flatLaw = on(flow.FlatMap("letters", source, letters), textCodec, func(in []bag[like]) bag[string] {
	out := bag[string]{}
	for e, w := range in[0] {
		for _, s := range strings.Split(e.Value, "") {
			out.add(s, w)
		}
	}
	return out
})

func where(in []bag[like], keep func(like) bool) bag[like] {
	out := bag[like]{}
	for _, e := range in[0].present() {
		if keep(e) {
			out.add(e, 1)
		}
	}
	return out
}

var (
	distinctLaw = on(flow.Distinct("distinct", source), likeCodec, func(in []bag[like]) bag[like] {
		return where(in, func(like) bool { return true })
	})
	intersectionLaw = on(flow.Intersection("both", source, other), likeCodec, func(in []bag[like]) bag[like] {
		return where(in, func(e like) bool { return in[1][e] > 0 })
	})
	differenceLaw = on(flow.DifferenceNonMonotone("only", source, other), likeCodec, func(in []bag[like]) bag[like] {
		return where(in, func(e like) bool { return in[1][e] <= 0 })
	})
)

// groups is what every fold begins with.
func groups(in bag[like], by func(like) string) map[string][]like {
	out := map[string][]like{}
	for _, e := range in.present() {
		out[by(e)] = append(out[by(e)], e)
	}
	return out
}

// perGroup is the view of a fold whose value is that of each group on its own.
func perGroup[V comparable](by func(like) string, value func([]like) V) func(in []bag[like]) bag[flow.Entry[string, V]] {
	return func(in []bag[like]) bag[flow.Entry[string, V]] {
		out := bag[flow.Entry[string, V]]{}
		for k, g := range groups(in[0], by) {
			out.add(flow.Entry[string, V]{Key: k, Value: value(g)}, 1)
		}
		return out
	}
}

// worth is positive, negative or zero.
func worth(l like) int64 { return int64(len(l.Value)) - 6 }

func total(g []like) (sum int64) {
	for _, e := range g {
		sum += worth(e)
	}
	return sum
}

var averageCodec = crdt.Codec[flow.Average]{
	Append: func(b []byte, a flow.Average) []byte {
		return numberCodec.Append(protowire.AppendBytes(b, numberCodec.Append(nil, a.Sum)), a.Count)
	},
	Decode: func(b []byte) (a flow.Average, err error) {
		sum, n := protowire.ConsumeBytes(b)
		if n < 0 || n != protowire.SizeBytes(len(sum)) {
			return a, errNotNumber
		}
		var err2 error
		a.Sum, err = numberCodec.Decode(sum)
		a.Count, err2 = numberCodec.Decode(b[n:])
		return a, errors.Join(err, err2)
	},
}

var (
	sumLaw     = on(flow.SumBy("worth", source, user, worth), countCodec, perGroup(user, total))
	averageLaw = on(flow.AverageBy("mean", source, user, worth), flow.EntryCodec(textCodec, averageCodec),
		perGroup(user, func(g []like) flow.Average { return flow.Average{Sum: total(g), Count: int64(len(g))} }))
	minLaw = on(flow.MinBy("least", source, user, byLength), topCodec, perGroup(user, func(g []like) like {
		return slices.MinFunc(g, func(a, b like) int { return cmp.Or(byLength(a, b), cmp.Compare(a.Value, b.Value)) })
	}))
	maxLaw = on(flow.MaxBy("greatest", source, user, byLength), topCodec, perGroup(user, func(g []like) like {
		return slices.MinFunc(g, func(a, b like) int { return cmp.Or(byLength(b, a), cmp.Compare(a.Value, b.Value)) })
	}))
	// Bits that are set in any: no inverse.
	foldLaw = on(flow.FoldBy("seen", source, user, bit, func(a, b int64) int64 { return a | b }), countCodec,
		perGroup(user, func(g []like) (all int64) {
			for _, e := range g {
				all |= bit(e)
			}
			return all
		}))
)

func bit(l like) int64 { return 1 << len(l.Value) }

func TestFlatMapFollowsItsLaw(t *testing.T)      { flatLaw.check(t) }
func TestDistinctFollowsItsLaw(t *testing.T)     { distinctLaw.check(t) }
func TestIntersectionFollowsItsLaw(t *testing.T) { intersectionLaw.check(t) }
func TestDifferenceFollowsItsLaw(t *testing.T)   { differenceLaw.check(t) }
func TestSumByFollowsItsLaw(t *testing.T)        { sumLaw.check(t) }
func TestAverageByFollowsItsLaw(t *testing.T)    { averageLaw.check(t) }
func TestMinByFollowsItsLaw(t *testing.T)        { minLaw.check(t) }
func TestMaxByFollowsItsLaw(t *testing.T)        { maxLaw.check(t) }
func TestFoldByFollowsItsLaw(t *testing.T)       { foldLaw.check(t) }

func all(like) string { return "all" }

// one makes an operator of the node over the two sources of likes.
func one[B comparable](t testing.TB, node flow.Node[B], out crdt.Codec[B]) *flow.Operator {
	return on(node, out, nil).new(t)
}

// shortestNot keeps the least of an order that begins with the longest.
func shortestNot(t testing.TB) *flow.Operator {
	return one(t, flow.MinBy("least", source, user, func(a, b like) int { return byLength(b, a) }), topCodec)
}

// twice makes two of every element.
func twice(t testing.TB) *flow.Operator {
	return one(t, flow.FlatMap("twice", source, func(l like) iter.Seq[like] {
		return slices.Values([]like{l, {l.Key + "'", l.Value}})
	}), likeCodec)
}

func minOfAll(t testing.TB) *flow.Operator {
	return one(t, flow.MinBy("least", source, all, byLength), topCodec)
}

func foldOfAll(t testing.TB) *flow.Operator {
	return one(t, flow.FoldBy("seen", source, all, bit, func(a, b int64) int64 { return max(a, b) }), countCodec)
}

var likesPair = flow.PairCodec(likeCodec, likeCodec)

// filled gives op's port 1 some elements.
func filled(t testing.TB, op *flow.Operator, elems ...like) *flow.Operator {
	if _, err := op.Apply(1, change(likeCodec, +1, elems...)); err != nil {
		t.Fatal(err)
	}
	return op
}

func meeting(t testing.TB, l law[like, like]) *flow.Operator {
	return filled(t, l.new(t), crowd(1000)...)
}

// joinOfCrowd meets each of a crowd with one, two or no other.
func joinOfCrowd(t testing.TB) *flow.Operator {
	var others []like
	for i := range 20_000 {
		for j := range i % 3 {
			others = append(others, like{fmt.Sprint("user-", i), fmt.Sprint(j)})
		}
	}
	return filled(t, one(t, flow.Join("meets", source, user, other, user), likesPair), others...)
}

func productOfCrowd(t testing.TB) *flow.Operator {
	return filled(t, one(t, flow.Product("all-pairs", source, other), likesPair), crowd(5)...)
}

func TestSumByOutOfRangeComesBack(t *testing.T) {
	t.Parallel()
	huge := func(l like) int64 {
		return map[string]int64{"+": math.MaxInt64, "-": math.MinInt64, "1": 1}[l.Value]
	}
	op := one(t, flow.SumBy("huge", source, all, huge), countCodec)
	view := flow.NewMaterialized(countCodec)
	for _, step := range []struct {
		weight int64
		value  string
		want   int64
	}{
		{+1, "+", math.MaxInt64}, {+1, "1", math.MaxInt64}, {+1, "-", 0}, {-1, "+", math.MinInt64 + 1}, {-1, "1", math.MinInt64},
		{+1, "+", -1},
	} {
		apply(t, op, 0, view, likeCodec, step.weight, like{"", step.value})
		want := []count{{Key: "all", Value: step.want}}
		if got := slices.Collect(view.All()); !slices.Equal(want, got) {
			t.Fatalf("%+v: %v", step, got)
		}
	}
}

func TestCompileRefusesOperatorsThatAreNotWhole(t *testing.T) {
	t.Parallel()
	sum := func(a, b int64) int64 { return a + b }
	for _, b := range []flow.Bound{
		flow.Bind(flow.FlatMap[like, string]("x", source, nil), textCodec, 1),
		flow.Bind(flow.SumBy[string, like, int64]("x", source, user, nil), countCodec, 1),
		flow.Bind(flow.AverageBy[string]("x", source, nil, worth), flow.EntryCodec(textCodec, averageCodec), 1),
		flow.Bind(flow.MinBy("x", source, user, nil), topCodec, 1),
		flow.Bind(flow.MaxBy[string]("x", source, nil, byLength), topCodec, 1),
		flow.Bind(flow.FoldBy[string]("x", source, user, nil, sum), countCodec, 1),
		flow.Bind(flow.Join[string]("x", source, nil, other, user), likesPair, 1),
	} {
		_, err := flow.Compile([]flow.Bound{boundLikes, boundOther, b})
		var all *flow.GraphError
		require.ErrorAs(t, err, &all)
		require.Len(t, all.Problems, 1)
		require.Contains(t, all.Problems[0].What, "nil", b.Spec().Op)
		require.Contains(t, all.Problems[0].Place, "laws_test.go:", b.Spec().Op)
	}
}
