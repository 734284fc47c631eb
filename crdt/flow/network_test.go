package flow_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// Two ways from the likes meet again in back, and back meets its own source in nothing, which is empty
// whenever both are at one frontier; prices join in.
var (
	netEven    = flow.Filter("even", source, even)
	netOdd     = flow.Filter("odd", source, func(l like) bool { return !even(l) })
	netBack    = flow.Union("back", netEven, netOdd)
	netNothing = flow.DifferenceNonMonotone("nothing", source, netBack)
	netPriced  = flow.Join("priced", netBack, wine, prices, func(p price) string { return p.Key })
	netSums    = flow.SumBy("sums", netPriced, func(p priced) string { return p.A.Key }, func(p priced) int64 { return p.B.Value })
	netSame    = flow.Join("same", netSums, func(c count) string { return c.Key }, source, user)
	sameCodec  = flow.PairCodec(countCodec, likeCodec)
	netBound   = []flow.Bound{
		boundLikes, boundPrices, flow.Bind(netEven, likeCodec, 1), flow.Bind(netOdd, likeCodec, 2), flow.Bind(netBack, likeCodec, 3),
		flow.Bind(netNothing, likeCodec, 4), flow.Bind(netPriced, pricedCodec, 5), flow.Bind(netSums, countCodec, 6),
		flow.Bind(netSame, sameCodec, 7),
	}
)

func newNet(t require.TestingT) *flow.Network {
	g, err := flow.Compile(netBound)
	require.NoError(t, err)
	n, err := g.NewNetwork()
	require.NoError(t, err)
	return n
}

// batchViews computes the view of every node from scratch.
func batchViews(likes bag[like], prices bag[price]) map[string][]byte {
	paired := joinMeets.view(likes, prices)
	sums := map[string]int64{}
	for p := range paired {
		sums[p.A.Key] += p.B.Value
	}
	same := bag[flow.Pair[count, like]]{}
	for _, l := range likes.present() {
		if n, ok := sums[l.Key]; ok {
			same.add(flow.Pair[count, like]{A: count{Key: l.Key, Value: n}, B: l}, 1)
		}
	}
	split := map[bool]bag[like]{true: {}, false: {}}
	for l, w := range likes {
		split[even(l)].add(l, w)
	}
	return map[string][]byte{
		"source": likes.encode(likeCodec), "prices": prices.encode(countCodec),
		"even": split[true].encode(likeCodec), "odd": split[false].encode(likeCodec),
		"back": likes.encode(likeCodec), "nothing": nil, "priced": paired.encode(pricedCodec),
		"sums": entries(sums).encode(countCodec), "same": same.encode(sameCodec),
	}
}

// past is every state that the sources were in, by number.
type past struct {
	likes  []bag[like]
	prices []bag[price]
}

func newPast() *past { return &past{[]bag[like]{{}}, []bag[price]{{}}} }

// push gives a source of all networks its next batch, which may be empty.
func (p *past) push(t *rapid.T, nets ...*flow.Network) {
	name, number, batch := "", 0, []byte(nil)
	if rapid.Bool().Draw(t, "likes") {
		delta := draw(t, genLike, 3)
		name, number, batch = "source", len(p.likes), delta.encode(likeCodec)
		p.likes = append(p.likes, maps.Clone(p.likes[number-1]).plus(delta, +1))
	} else {
		delta := draw(t, genPrice, 3)
		name, number, batch = "prices", len(p.prices), delta.encode(countCodec)
		p.prices = append(p.prices, maps.Clone(p.prices[number-1]).plus(delta, +1))
	}
	for _, n := range nets {
		require.NoError(t, n.Push(name, uint64(number), batch))
	}
}

// check compares the view of every node with the batch operators on the inputs at the node's frontier.
func (p *past) check(t require.TestingT, n *flow.Network) {
	for _, name := range []string{"source", "prices", "even", "odd", "back", "nothing", "priced", "sums", "same"} {
		gate := n.Node(name)
		at := gate.Frontier()
		want := batchViews(p.likes[at["source"]], p.prices[at["prices"]])
		require.Equal(t, string(want[name]), string(bytes.Join(collect(gate.Operator(), 0), nil)), "%s at %v", name, at)
	}
}

// followed sums up what a network says that it fired, and checks that the stamps follow each other.
type followed struct {
	at   map[string]flow.Frontier
	sums map[string][][]byte
}

func (f *followed) take(t *rapid.T, fired []flow.Fired, err error) {
	require.NoError(t, err)
	for _, one := range fired {
		if at, ok := f.at[one.Node]; ok {
			require.Equal(t, at, one.Change.From, one.Node)
		}
		require.True(t, one.Change.To.Covers(one.Change.From))
		require.NotEqual(t, one.Change.From, one.Change.To, "a firing goes on")
		f.at[one.Node] = one.Change.To
		f.sums[one.Node] = append(f.sums[one.Node], one.Change.Batch)
	}
}

func viewOf[E comparable](t *rapid.T, batches [][]byte, c crdt.Codec[E]) []byte {
	sum := bag[E]{}
	for _, b := range batches {
		items, err := flow.DecodeBatch(b, c)
		require.NoError(t, err)
		for _, it := range items {
			sum.add(it.Elem, it.Weight)
		}
	}
	return sum.encode(c)
}

func TestNetworkAtFrontierFEqualsTheBatchOperatorsAtF(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, p := newNet(t), newPast()
		f := &followed{map[string]flow.Frontier{}, map[string][][]byte{}}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if pending := n.Pending(); pending > 0 && rapid.IntRange(0, 3).Draw(t, "what") > 0 {
				fired, err := n.Step(rapid.IntRange(0, pending-1).Draw(t, "edge"))
				f.take(t, fired, err)
			} else {
				p.push(t, n)
			}
			p.check(t, n)
		}
		fired, err := n.Run()
		f.take(t, fired, err)
		p.check(t, n)
		require.Zero(t, n.Pending())
		last := flow.Frontier{"source": uint64(len(p.likes) - 1), "prices": uint64(len(p.prices) - 1)}
		require.Equal(t, last, n.Node("same").Frontier())
		for name := range batchViews(nil, nil) {
			require.Zero(t, n.Node(name).Waiting(), "all that was pushed has arrived")
		}
		require.Equal(t, string(bytes.Join(collect(n.Node("same").Operator(), 0), nil)), string(viewOf(t, f.sums["same"], sameCodec)))
		require.Equal(t, string(bytes.Join(collect(n.Node("sums").Operator(), 0), nil)), string(viewOf(t, f.sums["sums"], countCodec)))

		// A network that is restored goes on as this one does.
		state, err := n.AppendState(nil)
		require.NoError(t, err)
		again := newNet(t)
		require.NoError(t, again.Restore(state))
		p.check(t, again)
		for range 3 {
			p.push(t, n, again)
			p.push(t, n, again)
			one, err := n.Run()
			require.NoError(t, err)
			two, err := again.Run()
			require.NoError(t, err)
			require.Equal(t, one, two)
		}
		p.check(t, again)
		first, err := n.AppendState(nil)
		require.NoError(t, err)
		second, err := again.AppendState(nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, second))
	})
}

// glitches runs one like through the diamond in every schedule of arrivals, and says in how many of them
// a difference of a collection with itself was ever seen.
func glitches(t *testing.T, eager bool) (seen int) {
	var try func(path []int)
	try = func(path []int) {
		n := newNet(t)
		if eager {
			n.Eager()
		}
		require.NoError(t, n.Push("source", 1, change(likeCodec, +1, like{"ann", "barolo"})))
		glitch := false
		for _, edge := range path {
			fired, err := n.Step(edge)
			require.NoError(t, err)
			for _, f := range fired {
				glitch = glitch || f.Node == "nothing" && f.Change.Batch != nil
			}
		}
		if pending := n.Pending(); pending > 0 && len(path) < 4 {
			for edge := range pending {
				try(append(path[:len(path):len(path)], edge))
			}
		} else if glitch {
			seen++
		}
	}
	try(nil)
	return seen
}

func TestDiamondShowsNoGlitch(t *testing.T) {
	t.Parallel()
	require.Zero(t, glitches(t, false))
	require.Positive(t, glitches(t, true), "the check must see it when nodes fire at once")
}

func TestNetworkDetectsRepetitionsAndGaps(t *testing.T) {
	t.Parallel()
	n := newNet(t)
	first, second := change(likeCodec, +1, like{"ann", "barolo"}), change(likeCodec, +1, like{"bob", "barolo"})
	var gap *flow.GapError
	require.ErrorAs(t, n.Push("source", 2, second), &gap)
	require.Equal(t, flow.Frontier{"source": 0}, gap.Held)
	require.EqualError(t, gap, `flow: node "source", port 0: a change from [source:1] to [source:2] does not follow [source:0]; ask for what is missing, or restore a snapshot`)
	require.NoError(t, n.Push("source", 1, first))
	require.NoError(t, n.Push("source", 1, first))
	require.EqualValues(t, 1, n.Node("source").Repeated())
	require.Equal(t, 1, n.Node("source").Operator().Len())
	_, err := n.AppendState(nil)
	require.ErrorIs(t, err, flow.ErrUnsettled)

	var malformed *flow.BatchError
	require.ErrorAs(t, n.Push("source", 2, []byte{1}), &malformed)
	require.NoError(t, n.Push("source", 2, second), "the number is still free")
	require.NoError(t, n.Push("source", 3, nil), "an empty batch counts")
	fired, err := n.Run()
	require.NoError(t, err)
	require.NotEmpty(t, fired)
	require.Equal(t, flow.Frontier{"source": 3}, n.Node("back").Frontier())
	require.Equal(t, flow.Frontier{"source": 3, "prices": 0}, n.Node("priced").Frontier())

	require.ErrorContains(t, n.Push("back", 1, nil), `no source "back"`)
	require.ErrorContains(t, n.Push("nobody", 1, nil), `no source "nobody"`)
	require.ErrorContains(t, n.Push("source", 0, nil), "numbers begin at 1")
	require.Nil(t, n.Node("nobody"))
	_, err = n.Step(0)
	require.ErrorContains(t, err, "pending edge number 0 of 0")
}

func TestGateTakesEachChangeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	g, err := flow.Compile(netBound)
	require.NoError(t, err)
	gate, err := g.NewGate("nothing")
	require.NoError(t, err)
	e := like{"ann", "barolo"}
	to := func(from, to uint64, batch []byte) flow.Change {
		return flow.Change{From: flow.Frontier{"source": from}, To: flow.Frontier{"source": to}, Batch: batch}
	}
	take := func(port int, c flow.Change) (flow.Change, bool) {
		out, fired, err := gate.Take(port, c)
		require.NoError(t, err)
		return out, fired
	}
	_, fired := take(0, to(0, 1, change(likeCodec, +1, e)))
	require.False(t, fired, "it waits for the other way")
	_, fired = take(0, to(0, 1, change(likeCodec, +1, e)))
	require.False(t, fired)
	require.EqualValues(t, 1, gate.Repeated(), "what waits is not taken again either")
	_, fired = take(0, to(1, 2, nil))
	require.False(t, fired)
	require.Equal(t, 2, gate.Waiting())
	require.Zero(t, gate.Operator().Len())

	// The other way sums up: it goes from 0 to 2 at once.
	out, fired := take(1, to(0, 2, change(likeCodec, +1, e)))
	require.True(t, fired)
	require.Equal(t, to(0, 2, nil), out, "at 2 there is nothing, and that is said")

	var gap *flow.GapError
	_, _, err = gate.Take(1, to(3, 4, nil))
	require.ErrorAs(t, err, &gap)
	_, _, err = gate.Take(1, to(1, 3, nil))
	require.ErrorAs(t, err, &gap, "it overlaps what was taken")
	require.Equal(t, 1, gap.Port)
	var malformed *flow.BatchError
	_, _, err = gate.Take(1, to(2, 3, []byte{1}))
	require.ErrorAs(t, err, &malformed)
	for _, bad := range []flow.Change{
		{}, to(3, 2, nil), {From: flow.Frontier{"source": 2}, To: flow.Frontier{"prices": 3}},
	} {
		_, _, err = gate.Take(1, bad)
		require.ErrorContains(t, err, "is none of this input")
	}
	_, _, err = gate.Take(2, to(2, 3, nil))
	require.ErrorContains(t, err, "has no port 2: it has ports 0 and 1")
	_, err = g.NewGate("nobody")
	require.ErrorContains(t, err, `no node "nobody"`)
	require.Equal(t, flow.Frontier{"source": 2}, gate.Frontier())
}
