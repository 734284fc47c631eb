package flow_test

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// The largest weight of an item in a batch, and of an element that an operator holds.
const (
	mostOfItem = 1 << 48
	mostHeld   = mostOfItem / 2
)

func panicked(t *testing.T, f func()) (p *flow.Panicked) {
	t.Helper()
	defer func() {
		t.Helper()
		v := recover()
		require.IsType(t, p, v)
		p = v.(*flow.Panicked)
	}()
	f()
	return nil
}

// onto gives the operators that hold weights, each fed by numbers, the input of each port with its codec.
func onto(t *testing.T) map[string]func() *flow.Operator {
	in, same := flow.Input[int64]("in"), flow.Input[int64]("same")
	one := func(int64) int64 { return 1 }
	less := func(a, b int64) int { return int(a - b) }
	entry, pair := flow.EntryCodec(numberCodec, numberCodec), flow.PairCodec(numberCodec, numberCodec)
	ops := map[string]func() *flow.Operator{}
	for _, b := range []flow.Bound{
		flow.Bind(flow.Map("map", in, one), numberCodec, 2),
		flow.Bind(flow.FlatMap("flat-map", in, func(int64) iter.Seq[int64] { return slices.Values([]int64{1}) }), numberCodec, 2),
		flow.Bind(flow.Filter("filter", in, func(int64) bool { return true }), numberCodec, 2),
		flow.Bind(flow.Union("union", in, same), numberCodec, 2),
		flow.Bind(flow.Distinct("distinct", in), numberCodec, 2),
		flow.Bind(flow.Intersection("intersection", in, same), numberCodec, 2),
		flow.Bind(flow.DifferenceNonMonotone("difference", in, same), numberCodec, 2),
		flow.Bind(flow.Join("join", in, one, same, one), pair, 2),
		flow.Bind(flow.Product("product", in, same), pair, 2),
		flow.Bind(flow.CountBy("count-by", in, one), entry, 2),
		flow.Bind(flow.SumBy("sum-by", in, one, one), entry, 2),
		flow.Bind(flow.TopBy("top-by", in, one, 1, less), entry, 2),
		flow.Bind(flow.FoldBy("fold-by", in, one, one, func(a, b int64) int64 { return max(a, b) }), entry, 2),
		flow.Bind(flow.CountTogether("count-together", in, one, one, less), flow.EntryCodec(pair, numberCodec), 2),
	} {
		g, err := flow.Compile([]flow.Bound{flow.Bind(in, numberCodec, 1), flow.Bind(same, numberCodec, 1), b})
		require.NoError(t, err)
		ops[b.Spec().Name] = func() *flow.Operator {
			op, err := g.New(b.Spec().Name)
			require.NoError(t, err)
			return op
		}
	}
	return ops
}

// What an operator holds can always be saved, brought back and taken back, whatever weights it is given.
func TestWeightsOutOfRangeAreRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, fresh := range onto(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			op := fresh()
			for port := range op.Ports() {
				for _, weight := range []int64{mostHeld, -2 * mostHeld, +2 * mostHeld, -mostHeld} {
					_, err := op.Apply(port, change(numberCodec, weight, 7))
					require.NoError(t, err, "%d", weight)
					next := fresh()
					state := stateOf(t, op)
					require.NoError(t, next.Restore(state))
					require.Equal(t, state, stateOf(t, next))
				}
				require.Zero(t, op.Len())
				_, err := op.Apply(port, change(numberCodec, mostHeld, 7))
				require.NoError(t, err)
				before := stateOf(t, op)
				for _, more := range []int64{1, mostHeld, mostOfItem} {
					_, err = op.Apply(port, change(numberCodec, more, 7))
					var refused *flow.WeightError
					require.ErrorAs(t, err, &refused)
					require.Equal(t, mostHeld+more, refused.Weight)
					require.NotErrorIs(t, err, flow.ErrBroken)
					require.Equal(t, before, stateOf(t, op), "nothing has changed")
				}
				_, err = op.Apply(port, change(numberCodec, -mostHeld, 7))
				require.NoError(t, err, "and it goes on")
			}
		})
	}
}

// Elements that a function makes one add up, in one change and over several.
func TestWeightsThatMeetAreRefusedWhole(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"map", "flat-map"} {
		op := onto(t)[name]()
		var refused *flow.WeightError
		_, err := op.Apply(0, change(numberCodec, mostHeld, 1, 2))
		require.ErrorAs(t, err, &refused)
		_, err = op.Apply(0, change(numberCodec, mostHeld, 1))
		require.NoError(t, err)
		_, err = op.Apply(0, change(numberCodec, 1, 2))
		require.ErrorAs(t, err, &refused)
		var many []int64
		for i := range int64(1 << 16) { // together beyond int64
			many = append(many, i)
		}
		_, err = op.Apply(0, change(numberCodec, mostOfItem, many...))
		require.ErrorAs(t, err, &refused)
		require.EqualValues(t, mostHeld, weightOf(t, op, 1))
		m := flow.NewMaterialized(numberCodec)
		_, _, err = m.Reset(collect(op, 0))
		require.NoError(t, err)
		_, _, err = m.Apply(change(numberCodec, 1, 1))
		require.ErrorAs(t, err, &refused)
		_, _, err = m.Reset([][]byte{change(numberCodec, mostHeld, 1), change(numberCodec, 1, 1)})
		require.ErrorAs(t, err, &refused)
		require.EqualValues(t, mostHeld, m.Weight(1))
	}
}

func weightOf(t *testing.T, op *flow.Operator, n int64) int64 {
	m := flow.NewMaterialized(numberCodec)
	_, _, err := m.Reset(collect(op, 0))
	require.NoError(t, err)
	return m.Weight(n)
}

// A source refuses what it cannot take and goes on; what a node in the middle refuses breaks the network,
// which says so from then on.
func TestNetworkRefusesWeightsOutOfRange(t *testing.T) {
	t.Parallel()
	in := flow.Input[int64]("in")
	one := flow.Map("one", in, func(int64) int64 { return 1 })
	last := flow.Distinct("last", one)
	g, err := flow.Compile([]flow.Bound{flow.Bind(in, numberCodec, 1), flow.Bind(one, numberCodec, 2), flow.Bind(last, numberCodec, 3)})
	require.NoError(t, err)
	n, err := g.NewNetwork()
	require.NoError(t, err)
	var refused *flow.WeightError
	require.ErrorAs(t, n.Push("in", 1, change(numberCodec, mostOfItem, 1)), &refused)
	require.NoError(t, n.Push("in", 1, change(numberCodec, mostHeld, 1)), "the number is not used up")
	_, err = n.Run()
	require.NoError(t, err)
	state, err := n.AppendState(nil)
	require.NoError(t, err)

	require.NoError(t, n.Push("in", 2, change(numberCodec, mostHeld, 2)))
	_, err = n.Run()
	require.ErrorAs(t, err, &refused)
	brokenAt(t, n, "one")
	require.NoError(t, n.Restore(state))
	require.NoError(t, n.Push("in", 2, change(numberCodec, -mostHeld, 1)))
	_, err = n.Run()
	require.NoError(t, err)
	require.Zero(t, n.Node("last").Operator().Len())
}

// brokenAt checks that n says again and again that it lost a change at node.
func brokenAt(t *testing.T, n *flow.Network, node string) {
	t.Helper()
	for range 2 {
		_, run := n.Run()
		_, step := n.Step(0)
		_, state := n.AppendState(nil)
		for _, err := range []error{run, step, state, n.Push("in", 3, nil)} {
			require.ErrorIs(t, err, flow.ErrBroken)
			require.ErrorContains(t, err, node)
		}
	}
}

func TestNetworkWhoseFunctionPanickedSaysSo(t *testing.T) {
	t.Parallel()
	in := flow.Input[string]("in")
	first := flow.Map("first", in, func(s string) string { return s[:1] })
	g, err := flow.Compile([]flow.Bound{flow.Bind(in, textCodec, 1), flow.Bind(first, textCodec, 2)})
	require.NoError(t, err)
	n, err := g.NewNetwork()
	require.NoError(t, err)
	state, err := n.AppendState(nil)
	require.NoError(t, err)
	for name, run := range map[string]func(){"run": func() { _, _ = n.Run() }, "step": func() { _, _ = n.Step(0) }} {
		require.NoError(t, n.Push("in", 1, change(textCodec, 1, "")))
		p := panicked(t, run)
		require.Equal(t, "first", p.Node, name)
		require.Contains(t, p.Place, "limit_test.go")
		require.ErrorContains(t, p, `node "first"`)
		require.ErrorContains(t, errors.Unwrap(p), "out of range")
		brokenAt(t, n, "first")
		require.NoError(t, n.Restore(state))
		require.Zero(t, n.Pending())
	}
	require.NoError(t, n.Push("in", 1, change(textCodec, 1, "x")))
	_, err = n.Run()
	require.NoError(t, err)
}

// Where a gate applies several changes as one and refuses a later one, it does not go on with half of them.
func TestGateThatTookHalfIsBroken(t *testing.T) {
	t.Parallel()
	in := flow.Input[int64]("in")
	left := flow.Filter("left", in, func(int64) bool { return true })
	both := flow.Union("both", in, left)
	g, err := flow.Compile([]flow.Bound{flow.Bind(in, numberCodec, 1), flow.Bind(left, numberCodec, 2), flow.Bind(both, numberCodec, 3)})
	require.NoError(t, err)
	gate, err := g.NewGate("both")
	require.NoError(t, err)
	c := flow.Change{From: flow.Frontier{"in": 0}, To: flow.Frontier{"in": 1}, Batch: change(numberCodec, mostHeld, 1)}
	_, fired, err := gate.Take(0, c)
	require.NoError(t, err)
	require.False(t, fired)
	var refused *flow.WeightError
	_, _, err = gate.Take(1, c)
	require.ErrorAs(t, err, &refused)
	_, _, err = gate.Take(1, c)
	require.ErrorIs(t, err, flow.ErrBroken)
}

// What does not equal itself can be put into an index and never be found there again.
func TestWhatDoesNotEqualItselfIsRefused(t *testing.T) {
	t.Parallel()
	floats := crdt.Codec[float64]{
		Append: func(b []byte, f float64) []byte { return binary.BigEndian.AppendUint64(b, math.Float64bits(f)) },
		Decode: func(b []byte) (float64, error) {
			if len(b) != 8 {
				return 0, errors.New("not 8 bytes")
			}
			return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
		},
	}
	in := flow.Input[float64]("in")
	root := func(f float64) float64 { return math.Sqrt(f) } // of what is negative a NaN
	entry, pair := flow.EntryCodec(floats, floats), flow.PairCodec(floats, floats)
	same := func(f float64) float64 { return f }
	order := func(a, b float64) int { return 0 }
	for _, b := range []flow.Bound{
		flow.Bind(flow.Map("map", in, root), floats, 1),
		flow.Bind(flow.CountBy("count-by", in, root), flow.EntryCodec(floats, numberCodec), 1),
		flow.Bind(flow.TopBy("top-by", in, root, 1, order), entry, 1),
		flow.Bind(flow.FoldBy("fold-by", in, root, same, math.Max), entry, 1),
		flow.Bind(flow.FoldBy("fold-by-values", in, same, root, math.Max), entry, 1),
		flow.Bind(flow.Join("join", in, root, in, same), pair, 1),
		flow.Bind(flow.CountTogether("together", in, same, root, order), flow.EntryCodec(pair, numberCodec), 1),
		flow.Bind(flow.CountTogether("together-by", in, root, same, order), flow.EntryCodec(pair, numberCodec), 1),
	} {
		g, err := flow.Compile([]flow.Bound{flow.Bind(in, floats, 1), b})
		require.NoError(t, err)
		op, err := g.New(b.Spec().Name)
		require.NoError(t, err)
		_, err = op.Apply(0, change(floats, 1, 4))
		require.NoError(t, err)
		var malformed *flow.BatchError
		_, err = op.Apply(0, change(floats, 1, 1, 2, math.NaN()))
		require.ErrorAs(t, err, &malformed)
		require.Equal(t, len(change(floats, 1, 1, 2)), malformed.Offset)
		_, err = op.Replace(make([][][]byte, op.Ports()))
		require.NoError(t, err)
		p := panicked(t, func() { _, _ = op.Apply(0, change(floats, 1, -4)) })
		require.Contains(t, p.Value, "does not equal itself", b.Spec().Name)
		require.Contains(t, p.Value, "a NaN")
	}
}

func TestSortedIsTheOrderOfTheEncodings(t *testing.T) {
	t.Parallel()
	m := flow.NewMaterialized(textCodec)
	_, _, err := m.Apply(change(textCodec, 1, "c", "a", "d", "b"))
	require.NoError(t, err)
	_, _, err = m.Apply(change(textCodec, -2, "d"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, m.Sorted())
}
