package flow_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// A price is of another type than a like, so that ports 0 and 1 differ.
type price = flow.Entry[string, int64]

var (
	prices      = flow.Input[price]("prices")
	boundPrices = flow.Bind(prices, countCodec, 1)
	pricedCodec = flow.PairCodec(likeCodec, countCodec)
	genPrice    = rapid.Custom(func(t *rapid.T) price {
		return price{
			Key:   rapid.SampledFrom([]string{"barolo", "chianti", "gamay", "riesling"}).Draw(t, "wine"),
			Value: rapid.Int64Range(1, 3).Draw(t, "price"),
		}
	})
)

type priced = flow.Pair[like, price]

// meets is an operator over likes and prices that pairs those that match.
type meets struct {
	node  flow.Node[priced]
	match func(like, price) bool
}

var (
	joinMeets    = meets{flow.Join("priced", source, wine, prices, func(p price) string { return p.Key }), func(l like, p price) bool { return l.Value == p.Key }}
	productMeets = meets{flow.Product("every", source, prices), func(like, price) bool { return true }}
)

func (m meets) new(t require.TestingT) *flow.Operator {
	g, err := flow.Compile([]flow.Bound{boundLikes, boundPrices, flow.Bind(m.node, pricedCodec, 1)})
	require.NoError(t, err)
	op, err := g.New(m.node.Spec().Name)
	require.NoError(t, err)
	return op
}

func (m meets) view(likes bag[like], prices bag[price]) bag[priced] {
	out := bag[priced]{}
	for _, l := range likes.present() {
		for _, p := range prices.present() {
			if m.match(l, p) {
				out.add(priced{A: l, B: p}, 1)
			}
		}
	}
	return out
}

func draw[E comparable](t *rapid.T, g *rapid.Generator[E], most int) bag[E] {
	out := bag[E]{}
	weight := rapid.SampledFrom([]int64{1, 1, 1, 2, -1, -1, -2})
	for range rapid.IntRange(0, most).Draw(t, "items") {
		out.add(g.Draw(t, "elem"), weight.Draw(t, "weight"))
	}
	return out
}

func (b bag[E]) plus(o bag[E], sign int64) bag[E] {
	for e, w := range o {
		b.add(e, sign*w)
	}
	return b
}

// history is that of law, for inputs of two types.
func (m meets) history(t *rapid.T) {
	op := m.new(t)
	likes, prices, view := bag[like]{}, bag[price]{}, bag[priced]{}
	emitted := func(out []byte, err error) {
		require.NoError(t, err)
		items, err := flow.DecodeBatch(out, pricedCodec)
		require.NoError(t, err)
		for _, it := range items {
			view.add(it.Elem, it.Weight)
		}
	}
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0: // an upstream was reset
			likes, prices = draw(t, genLike, 6), draw(t, genPrice, 6)
			emitted(op.Replace([][][]byte{
				slices.Collect(flow.SplitBatch(likes.encode(likeCodec), 30)),
				slices.Collect(flow.SplitBatch(prices.encode(countCodec), 30)),
			}))
		case 1: // what is malformed changes nothing
			before, work := collect(op, 0), op.Work()
			port := rapid.IntRange(0, 1).Draw(t, "port")
			bad := [][]byte{change(likeCodec, 1, genLike.Draw(t, "like")), change(countCodec, 1, genPrice.Draw(t, "price"))}
			bad[port] = append(bad[port], 0)
			var malformed *flow.BatchError
			_, err := op.Apply(port, bad[port])
			require.ErrorAs(t, err, &malformed)
			_, err = op.Replace([][][]byte{{bad[0]}, {bad[1]}})
			require.ErrorAs(t, err, &malformed)
			require.Equal(t, before, collect(op, 0))
			require.Equal(t, work, op.Work())
		case 2, 3, 4, 5:
			delta := draw(t, genLike, 6)
			likes.plus(delta, +1)
			emitted(op.Apply(0, delta.encode(likeCodec)))
		default:
			delta := draw(t, genPrice, 6)
			prices.plus(delta, +1)
			emitted(op.Apply(1, delta.encode(countCodec)))
		}
		want := m.view(likes, prices)
		require.Equal(t, want, view, "the sum of the changes")
		m.sameAs(t, op, likes, prices, want)
	}
	// Take everything back.
	emitted(op.Apply(0, bag[like]{}.plus(likes, -1).encode(likeCodec)))
	emitted(op.Apply(1, bag[price]{}.plus(prices, -1).encode(countCodec)))
	require.Empty(t, view)
	require.Zero(t, op.Len())
	require.Zero(t, op.Work().Entries, "empty inputs leave empty indexes")
}

func (m meets) sameAs(t *rapid.T, op *flow.Operator, likes bag[like], prices bag[price], want bag[priced]) {
	whole := want.encode(pricedCodec)
	require.Len(t, want, op.Len())
	require.True(t, bytes.Equal(whole, bytes.Join(collect(op, rapid.IntRange(0, 99).Draw(t, "limit")), nil)), "the snapshot")
	fresh := m.new(t)
	inputs := [][][]byte{{likes.encode(likeCodec)}, {prices.encode(countCodec)}}
	out, err := fresh.Replace(inputs)
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, out), "replacing nothing gives the view")
	require.Equal(t, op.Work().Entries, fresh.Work().Entries, "history leaves nothing behind")
	state, err := op.AppendState(nil)
	require.NoError(t, err)
	restored := m.new(t)
	require.NoError(t, restored.Restore(state))
	require.True(t, bytes.Equal(whole, bytes.Join(collect(restored, 0), nil)), "the view of the restored state")
	again, err := restored.Replace(inputs)
	require.NoError(t, err)
	require.Nil(t, again, "replacing by the same changes nothing")
}

func TestJoinFollowsItsLaw(t *testing.T)    { t.Parallel(); rapid.Check(t, joinMeets.history) }
func TestProductFollowsItsLaw(t *testing.T) { t.Parallel(); rapid.Check(t, productMeets.history) }

// firstOnOneSide fills one input while the other is empty, and says whether the pair appears when the
// other comes.
func firstOnOneSide(t *testing.T, op *flow.Operator, first int) bool {
	batches := [][]byte{change(likeCodec, +1, like{"ann", "barolo"}), change(countCodec, +1, price{Key: "barolo", Value: 1})}
	out, err := op.Apply(first, batches[first])
	require.NoError(t, err)
	require.Nil(t, out)
	out, err = op.Apply(1-first, batches[1-first])
	require.NoError(t, err)
	return out != nil
}

func TestElementAddedWhileTheOtherInputIsEmptyMeetsItLater(t *testing.T) {
	t.Parallel()
	for _, m := range []meets{joinMeets, productMeets} {
		for port := range 2 {
			require.True(t, firstOnOneSide(t, m.new(t), port))
			forgetful := m.new(t)
			flow.NeedBoth(forgetful)
			require.False(t, firstOnOneSide(t, forgetful, port), "the check must see it when the operator needs both sides")
		}
	}
}

func TestElementRemovedOnOneSideLeavesWhatBothMade(t *testing.T) {
	t.Parallel()
	l, p := like{"ann", "barolo"}, price{Key: "barolo", Value: 1}
	for _, m := range []meets{joinMeets, productMeets} {
		for port, batch := range [][]byte{change(likeCodec, -1, l), change(countCodec, -1, p)} {
			op := m.new(t)
			require.True(t, firstOnOneSide(t, op, 0))
			out, err := op.Apply(port, batch)
			require.NoError(t, err)
			require.Equal(t, change(pricedCodec, -1, priced{A: l, B: p}), out)
			require.Zero(t, op.Len())
		}
	}
	for port := range 2 {
		op, view := intersectionLaw.new(t), flow.NewMaterialized(likeCodec)
		apply(t, op, 0, view, likeCodec, +2, l)
		born, _ := apply(t, op, 1, view, likeCodec, +2, l)
		require.Equal(t, []like{l}, born)
		_, died := apply(t, op, port, view, likeCodec, -1, l)
		require.Empty(t, died, "one support is left on either side")
		_, died = apply(t, op, port, view, likeCodec, -1, l)
		require.Equal(t, []like{l}, died)
		born, _ = apply(t, op, port, view, likeCodec, +1, l)
		require.Equal(t, []like{l}, born, "added again")
	}
}

func TestDifferenceShowsWhatIsWithdrawnLater(t *testing.T) {
	t.Parallel()
	op, view, e := differenceLaw.new(t), flow.NewMaterialized(likeCodec), like{"ann", "barolo"}
	born, _ := apply(t, op, 0, view, likeCodec, +1, e)
	require.Equal(t, []like{e}, born)
	_, died := apply(t, op, 1, view, likeCodec, +1, e)
	require.Equal(t, []like{e}, died, "an addition takes out: not monotone")
	require.Equal(t, "difference-non-monotone", op.Node().Op)
}

func TestProductHoldsNoPairs(t *testing.T) {
	t.Parallel()
	const n = 300
	op := one(t, flow.Product("all-pairs", source, other), likesPair)
	var left, right []like
	for i := range n {
		left, right = append(left, like{"l", fmt.Sprint(i)}), append(right, like{"r", fmt.Sprint(i)})
	}
	_, err := op.Apply(0, change(likeCodec, +1, left...))
	require.NoError(t, err)
	require.Zero(t, op.Work().Out)
	require.LessOrEqual(t, op.Work().Steps, int64(4*n), "nothing to meet")
	_, err = op.Apply(1, change(likeCodec, +1, right...))
	require.NoError(t, err)
	require.Equal(t, n*n, op.Len())
	require.EqualValues(t, n*n, op.Work().Out)
	require.LessOrEqual(t, op.Work().Entries, 2*2*n+2, "the inputs and no pair")

	// A state is restored, and an input replaced by itself, without looking at pairs.
	state, err := op.AppendState(nil)
	require.NoError(t, err)
	restored := one(t, flow.Product("all-pairs", source, other), likesPair)
	require.NoError(t, restored.Restore(state))
	require.LessOrEqual(t, restored.Work().Steps, int64(2*4*n))
	require.Equal(t, n*n, restored.Len())

	// A further support changes no pair, and costs no look at any.
	before := op.Work()
	_, err = op.Apply(1, change(likeCodec, +1, right[0]))
	require.NoError(t, err)
	require.LessOrEqual(t, op.Work().Steps-before.Steps, int64(4))
	require.Equal(t, before.Out, op.Work().Out)
}

// A group that was large must not hold its room when most have left.
func TestJoinFindsItsElementsAfterManyLeft(t *testing.T) {
	t.Parallel()
	op := one(t, flow.Join("same", source, all, other, all), likesPair)
	likes := crowd(1000)
	filled(t, op, like{"x", "y"})
	_, err := op.Apply(0, change(likeCodec, +1, likes...))
	require.NoError(t, err)
	for i := range likes {
		out, err := op.Apply(0, change(likeCodec, -1, likes[(i*7)%len(likes)]))
		require.NoError(t, err)
		require.Equal(t, change(likesPair, -1, flow.Pair[like, like]{A: likes[(i*7)%len(likes)], B: like{"x", "y"}}), out)
	}
	_, err = op.Apply(1, change(likeCodec, -1, like{"x", "y"}))
	require.NoError(t, err)
	require.Zero(t, op.Work().Entries)
}

// Supports as replicas of an add-wins set make them: concurrent adds give several dots to one element,
// removes kill those that were seen, deltas arrive in any order, twice, and late.
func TestOperatorsOverReplicatedSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const replicas = 3
		sets, minters := make([]*crdt.Set[like], replicas), make([]*crdt.Minter, replicas)
		for i := range sets {
			sets[i], minters[i] = crdt.NewSet[like](), &crdt.Minter{Actor: crdt.Actor(i + 1)}
		}
		var deltas []*crdt.Set[like]
		seen, known := crdt.NewSet[like](), bag[like]{} // what the ingress holds
		prices := bag[price]{}
		op := joinMeets.new(t)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, replicas-1).Draw(t, "replica")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				deltas = append(deltas, sets[i].Add(minters[i], genLike.Draw(t, "like")).Clone())
			case 2:
				if d := sets[i].Remove(genLike.Draw(t, "like")); d != nil {
					deltas = append(deltas, d.Clone())
				}
			case 3:
				sets[i].Join(sets[(i+1)%replicas].Clone())
			case 4:
				delta := draw(t, genPrice, 3)
				prices.plus(delta, +1)
				_, err := op.Apply(1, delta.encode(countCodec))
				require.NoError(t, err)
			default:
				if len(deltas) == 0 {
					continue
				}
				seen.Join(rapid.SampledFrom(deltas).Draw(t, "delta").Clone())
				now := bag[like]{}
				for _, e := range seen.AllDots() {
					now.add(e, 1)
				}
				_, err := op.Apply(0, maps.Clone(now).plus(known, -1).encode(likeCodec))
				require.NoError(t, err)
				known = now
			}
			once := bag[like]{}
			for e := range seen.All() {
				once.add(e, 1)
			}
			require.True(t, bytes.Equal(joinMeets.view(once, prices).encode(pricedCodec), bytes.Join(collect(op, 0), nil)))
		}
	})
}
