package flow_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// apply gives op a change and returns the follower's view of what came out.
func apply[A, B comparable](t *testing.T, op *flow.Operator, port int, view *flow.Materialized[B], c crdt.Codec[A], weight int64, elems ...A) (born, died []B) {
	t.Helper()
	out, err := op.Apply(port, change(c, weight, elems...))
	require.NoError(t, err)
	born, died, err = view.Apply(out)
	require.NoError(t, err)
	return born, died
}

func TestMapThatIsNotInjectiveKeepsAnElementWhileOneSupportLives(t *testing.T) {
	t.Parallel()
	op, view := mapLaw.new(t), flow.NewMaterialized(textCodec)
	born, _ := apply(t, op, 0, view, likeCodec, +1, like{"ann", "barolo"}, like{"bob", "barolo"})
	require.Equal(t, []string{"barolo"}, born)
	require.EqualValues(t, 2, view.Weight("barolo"))
	_, died := apply(t, op, 0, view, likeCodec, -1, like{"ann", "barolo"})
	require.Empty(t, died)
	require.True(t, view.Contains("barolo"))
	_, died = apply(t, op, 0, view, likeCodec, -1, like{"bob", "barolo"})
	require.Equal(t, []string{"barolo"}, died)
	require.Zero(t, view.Weight("barolo"))
}

// A filter and its complement, and a branch that overlaps both, meet again.
func TestBranchesOfOneSourceThatMeetAgain(t *testing.T) {
	t.Parallel()
	src := flow.Input[string]("src")
	yes := flow.Filter("yes", src, func(s string) bool { return len(s) > 3 })
	no := flow.Filter("no", src, func(s string) bool { return len(s) <= 3 })
	back := flow.Union("back", yes, no, src)
	g, err := flow.Compile([]flow.Bound{
		flow.Bind(src, textCodec, 1), flow.Bind(yes, textCodec, 2), flow.Bind(no, textCodec, 3), flow.Bind(back, textCodec, 4),
	})
	require.NoError(t, err)
	branches := make([]*flow.Operator, 2)
	for i, name := range []string{"yes", "no"} {
		branches[i], err = g.New(name)
		require.NoError(t, err)
	}
	union, err := g.New("back")
	require.NoError(t, err)
	require.Equal(t, 3, union.Ports())
	view := flow.NewMaterialized(textCodec)
	push := func(batch []byte) (born, died []string) {
		for port := range 3 {
			out := batch
			if port < 2 {
				out, err = branches[port].Apply(0, batch)
				require.NoError(t, err)
			}
			out, err = union.Apply(port, out)
			require.NoError(t, err)
			b, d, err := view.Apply(out)
			require.NoError(t, err)
			born, died = append(born, b...), append(died, d...)
		}
		return born, died
	}
	born, died := push(change(textCodec, +1, "long", "red"))
	require.ElementsMatch(t, []string{"long", "red"}, born)
	require.Empty(t, died)
	require.EqualValues(t, 2, view.Weight("long"), "one way through its branch, one straight")
	require.EqualValues(t, 2, view.Weight("red"))
	born, died = push(change(textCodec, -1, "red"))
	require.Empty(t, born)
	require.Equal(t, []string{"red"}, died)
	require.EqualValues(t, 2, view.Weight("long"))
}

func TestUnionKeepsWhatOneSideStillHoldsAndNeedsNoOtherSide(t *testing.T) {
	t.Parallel()
	op, view := unionLaw.new(t), flow.NewMaterialized(likeCodec)
	e := like{"ann", "barolo"}
	born, _ := apply(t, op, 1, view, likeCodec, +1, e)
	require.Equal(t, []like{e}, born, "the other input is still empty")
	born, _ = apply(t, op, 0, view, likeCodec, +1, e)
	require.Empty(t, born)
	_, died := apply(t, op, 1, view, likeCodec, -1, e)
	require.Empty(t, died)
	_, died = apply(t, op, 0, view, likeCodec, -1, e)
	require.Equal(t, []like{e}, died)
}

func folds(t *testing.T) map[string]func() *flow.Operator {
	return map[string]func() *flow.Operator{
		"count-by":       func() *flow.Operator { return countLaw.new(t) },
		"count-together": func() *flow.Operator { return togetherLaw.new(t) },
		"top-by":         func() *flow.Operator { return topOf(1).new(t) },
		"max-by":         func() *flow.Operator { return maxLaw.new(t) },
		"min-by":         func() *flow.Operator { return shortestNot(t) },
		"sum-by":         func() *flow.Operator { return sumLaw.new(t) },
		"average-by":     func() *flow.Operator { return averageLaw.new(t) },
		"fold-by":        func() *flow.Operator { return foldLaw.new(t) },
	}
}

// countsOnce gives op an element, the same again under a second dot, and takes the dots back one by one;
// then it does so with both dots in one change. It says whether the view is that of the element all the
// while, and gone with the second dot.
func countsOnce(t *testing.T, op *flow.Operator) (once bool) {
	// With distinct off a fold may find its own state impossible.
	defer func() {
		if recover() != nil {
			once = false
		}
	}()
	must := func(weight int64, l ...like) []byte {
		_, err := op.Apply(0, change(likeCodec, weight, l...))
		require.NoError(t, err)
		return bytes.Join(collect(op, 0), nil)
	}
	readded := like{"ann", "riesling"}
	before := must(+1, like{"ann", "barolo"}, like{"bob", "barolo"})
	first := must(+1, readded)
	second := must(+1, readded)
	one := must(-1, readded)
	none := must(-1, readded)
	both := must(+2, readded)
	left := must(-1, readded)
	end := must(-1, readded)
	if !bytes.Equal(first, both) || !bytes.Equal(first, left) || !bytes.Equal(before, end) {
		return false
	}
	return bytes.Equal(first, second) && bytes.Equal(first, one) && bytes.Equal(before, none) && !bytes.Equal(first, before)
}

func TestReaddedElementCountsOnce(t *testing.T) {
	t.Parallel()
	for name, fold := range folds(t) {
		require.True(t, countsOnce(t, fold()), name)
	}
}

// The check above must see it when distinct is missing.
func TestFoldWithoutDistinctIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, fold := range folds(t) {
		op := fold()
		flow.CountEverySupport(op)
		require.False(t, countsOnce(t, op), name)
	}
}

func TestDeathThatOvertakesItsBirthComesRight(t *testing.T) {
	t.Parallel()
	for name, fold := range folds(t) {
		op := fold()
		out, err := op.Apply(0, change(likeCodec, -1, like{"ann", "barolo"}))
		require.NoError(t, err)
		require.Nil(t, out, name)
		out, err = op.Apply(0, change(likeCodec, +1, like{"ann", "barolo"}))
		require.NoError(t, err)
		require.Nil(t, out, name)
		require.Zero(t, op.Work().Entries, name)
	}
}

func TestMalformedChangeIsRefusedWhole(t *testing.T) {
	t.Parallel()
	op := countLaw.new(t)
	good := change(likeCodec, +1, like{"ann", "barolo"}, like{"bob", "barolo"})
	for cut := 1; cut < len(good); cut++ {
		_, err := op.Apply(0, good[:cut])
		if cut == len(good)/2 {
			require.NoError(t, err, "one whole item") // both items are of one length
			continue
		}
		var malformed *flow.BatchError
		require.ErrorAs(t, err, &malformed)
		require.ErrorContains(t, err, `node "popular", port 0`)
	}
	_, err := op.Apply(0, change(likeCodec, -1, like{"ann", "barolo"}))
	require.NoError(t, err)
	require.Zero(t, op.Work().Entries)
	_, err = op.Apply(1, nil)
	require.ErrorContains(t, err, "has no port 1: it has port 0 alone")
	_, err = op.Replace(nil)
	require.ErrorContains(t, err, "has 1 ports, 0 inputs")
}

func TestOperatorWhoseFunctionPanickedIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	src := flow.Input[string]("src")
	bad := flow.Map("bad", src, func(s string) string { return s[:1] })
	g, err := flow.Compile([]flow.Bound{flow.Bind(src, textCodec, 1), flow.Bind(bad, textCodec, 2)})
	require.NoError(t, err)
	op, err := g.New("bad")
	require.NoError(t, err)
	require.Panics(t, func() { _, _ = op.Apply(0, change(textCodec, 1, "", "x")) })
	_, err = op.Apply(0, change(textCodec, 1, "x"))
	require.ErrorIs(t, err, flow.ErrBroken)
	_, err = op.Replace([][][]byte{nil})
	require.ErrorIs(t, err, flow.ErrBroken)
}

func TestImpureFunctionIsNotPassedOverInSilence(t *testing.T) {
	t.Parallel()
	calls := 0
	moody := func(l like) string { calls++; return string(rune('a' + calls)) }
	src := flow.Input[like]("src")
	for _, b := range []flow.Bound{
		flow.Bind(flow.TopBy("top", src, moody, 1, byLength), topCodec, 1),
		flow.Bind(flow.CountTogether("together", src, moody, wine, func(a, b string) int { return 0 }), pairCodec, 1),
		flow.Bind(flow.SumBy("sum", src, moody, worth), countCodec, 1),
		flow.Bind(flow.Join("join", src, moody, src, wine), likesPair, 1),
	} {
		g, err := flow.Compile([]flow.Bound{flow.Bind(src, likeCodec, 1), b})
		require.NoError(t, err)
		op, err := g.New(b.Spec().Name)
		require.NoError(t, err)
		_, err = op.Apply(0, change(likeCodec, +1, like{"ann", "barolo"}))
		require.NoError(t, err)
		p := panicked(t, func() { _, _ = op.Apply(0, change(likeCodec, -1, like{"ann", "barolo"})) })
		require.Equal(t, b.Spec().Name, p.Node)
		require.Equal(t, "flow: a function given to "+map[string]string{"top": "TopBy", "together": "CountTogether", "sum": "SumBy", "join": "Join"}[b.Spec().Name]+
			" is not pure: an element that entered a group is looked for in another", p.Value)
	}
}
