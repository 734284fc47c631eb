package flow_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// bag is a collection as the oracle keeps it: weights that are not zero.
type bag[E comparable] map[E]int64

func (b bag[E]) add(e E, w int64) {
	if b[e] += w; b[e] == 0 {
		delete(b, e)
	}
}

func (b bag[E]) encode(c crdt.Codec[E]) []byte {
	var items []flow.Weighted[E]
	for e, w := range b {
		items = append(items, flow.Weighted[E]{Elem: e, Weight: w})
	}
	return flow.AppendBatch(nil, items, c)
}

// present yields what is in the collection.
func (b bag[E]) present() []E {
	var elems []E
	for e, w := range b {
		if w > 0 {
			elems = append(elems, e)
		}
	}
	return elems
}

// law says of one operator what its view is, computed from scratch from the weights of its inputs.
type law[A, B comparable] struct {
	node  flow.Bound
	graph []flow.Bound
	in    crdt.Codec[A]
	out   crdt.Codec[B]
	elem  *rapid.Generator[A]
	view  func(inputs []bag[A]) bag[B]
}

func (l law[A, B]) new(t require.TestingT) *flow.Operator {
	g, err := flow.Compile(append(slices.Clone(l.graph), l.node))
	require.NoError(t, err)
	op, err := g.New(l.node.Spec().Name)
	require.NoError(t, err)
	return op
}

func (l law[A, B]) check(t *testing.T) {
	t.Parallel()
	rapid.Check(t, l.history)
}

// history drives an operator through random changes, replacements and garbage, and compares its view
// after every step with the law.
func (l law[A, B]) history(t *rapid.T) {
	op := l.new(t)
	inputs := make([]bag[A], op.Ports())
	for i := range inputs {
		inputs[i] = bag[A]{}
	}
	view := bag[B]{} // the sum of what came out
	follower := flow.NewMaterialized(l.out)
	weight := rapid.SampledFrom([]int64{1, 1, 1, 2, 3, -1, -1, -2})
	emitted := func(out []byte, err error) {
		require.NoError(t, err)
		items, err := flow.DecodeBatch(out, l.out)
		require.NoError(t, err)
		was := follower.Len()
		for _, it := range items {
			view.add(it.Elem, it.Weight)
		}
		born, died, err := follower.Apply(out)
		require.NoError(t, err)
		require.Equal(t, was+len(born)-len(died), follower.Len())
	}
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0: // an upstream was reset
			next := make([][][]byte, len(inputs))
			for i := range inputs {
				inputs[i] = bag[A]{}
				for range rapid.IntRange(0, 8).Draw(t, "new items") {
					inputs[i].add(l.elem.Draw(t, "elem"), 1)
				}
				next[i] = slices.Collect(flow.SplitBatch(inputs[i].encode(l.in), rapid.IntRange(0, 40).Draw(t, "cut")))
			}
			emitted(op.Replace(next))
		case 1: // what is malformed changes nothing
			before, work := collect(op, 0), op.Work()
			bad := append(change(l.in, 1, l.elem.Draw(t, "elem")), rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "garbage")...)
			if _, err := flow.DecodeBatch(bad, l.in); err == nil {
				continue
			}
			var malformed *flow.BatchError
			_, err := op.Apply(0, bad)
			require.ErrorAs(t, err, &malformed)
			all := make([][][]byte, len(inputs))
			all[len(all)-1] = [][]byte{bad}
			_, err = op.Replace(all)
			require.ErrorAs(t, err, &malformed)
			require.Equal(t, before, collect(op, 0))
			require.Equal(t, work, op.Work())
		default:
			port := rapid.IntRange(0, len(inputs)-1).Draw(t, "port")
			delta := bag[A]{}
			for range rapid.IntRange(1, 6).Draw(t, "items") {
				delta.add(l.elem.Draw(t, "elem"), weight.Draw(t, "weight"))
			}
			for e, w := range delta {
				inputs[port].add(e, w)
			}
			emitted(op.Apply(port, delta.encode(l.in)))
		}
		want := l.view(inputs)
		require.Equal(t, want, view, "the sum of the changes")
		require.ElementsMatch(t, want.present(), slices.Collect(follower.All()))
		l.sameAs(t, op, inputs, want)
	}
	// Take everything back.
	for port, in := range inputs {
		back := bag[A]{}
		for e, w := range in {
			back.add(e, -w)
		}
		emitted(op.Apply(port, back.encode(l.in)))
	}
	require.Empty(t, view)
	require.Zero(t, op.Len())
	require.Zero(t, op.Work().Entries, "an empty input leaves empty indexes")
}

// sameAs compares an operator with the law, and with a fresh one that is given everything at once.
func (l law[A, B]) sameAs(t *rapid.T, op *flow.Operator, inputs []bag[A], want bag[B]) {
	whole := want.encode(l.out)
	require.Len(t, want.present(), op.Len())
	require.True(t, bytes.Equal(whole, bytes.Join(collect(op, 0), nil)), "the snapshot")
	limit := rapid.IntRange(1, 100).Draw(t, "limit")
	parts := collect(op, limit)
	require.True(t, bytes.Equal(whole, bytes.Join(parts, nil)), "the parts of the snapshot")
	for _, p := range parts {
		items, err := flow.DecodeBatch(p, l.out)
		require.NoError(t, err)
		require.True(t, len(p) <= limit || len(items) == 1, "%d bytes, limit %d", len(p), limit)
	}
	all := make([][][]byte, len(inputs))
	for i, in := range inputs {
		all[i] = [][]byte{in.encode(l.in)}
	}
	fresh := l.new(t)
	out, err := fresh.Replace(all)
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, out), "replacing nothing gives the view")
	require.Equal(t, op.Work().Entries, fresh.Work().Entries, "history leaves nothing behind")
	state, err := op.AppendState(nil)
	require.NoError(t, err)
	restored := l.new(t)
	require.NoError(t, restored.Restore(state))
	require.True(t, bytes.Equal(whole, bytes.Join(collect(restored, 0), nil)), "the view of the restored state")
	require.Equal(t, op.Work().Entries, restored.Work().Entries)
	back, err := restored.AppendState(nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(state, back), "equal states have equal bytes")

	again, err := fresh.Replace(all)
	require.NoError(t, err)
	require.Nil(t, again, "replacing by the same changes nothing")
}

func collect(op *flow.Operator, limit int) [][]byte { return slices.Collect(op.Snapshot(limit)) }

var genLike = rapid.Custom(func(t *rapid.T) like {
	return like{
		Key:   rapid.SampledFrom([]string{"ann", "bob", "eve"}).Draw(t, "user"),
		Value: rapid.SampledFrom([]string{"", "barolo", "chianti", "gamay", "riesling", "syrah"}).Draw(t, "wine"),
	}
})

var (
	source     = flow.Input[like]("source")
	other      = flow.Input[like]("other")
	boundLikes = flow.Bind(source, likeCodec, 1)
	boundOther = flow.Bind(other, likeCodec, 1)
	countCodec = flow.EntryCodec(textCodec, numberCodec)
	pairCodec  = flow.EntryCodec(flow.PairCodec(textCodec, textCodec), numberCodec)
	topCodec   = flow.EntryCodec(textCodec, likeCodec)
)

func byLength(a, b like) int { return cmp.Compare(len(a.Value), len(b.Value)) }

var sourceLaw = law[like, like]{
	node: boundLikes, in: likeCodec, out: likeCodec, elem: genLike,
	view: func(in []bag[like]) bag[like] { return maps.Clone(in[0]) },
}

var mapLaw = law[like, string]{
	node:  flow.Bind(flow.Map("wines", source, wine), textCodec, 1),
	graph: []flow.Bound{boundLikes}, in: likeCodec, out: textCodec, elem: genLike,
	view: func(in []bag[like]) bag[string] {
		out := bag[string]{}
		for e, w := range in[0] {
			out.add(e.Value, w)
		}
		return out
	},
}

// even keeps about half of what the tests make.
func even(l like) bool { return len(l.Value)%2 == 0 }

var filterLaw = law[like, like]{
	node:  flow.Bind(flow.Filter("even", source, even), likeCodec, 1),
	graph: []flow.Bound{boundLikes}, in: likeCodec, out: likeCodec, elem: genLike,
	view: func(in []bag[like]) bag[like] {
		out := maps.Clone(in[0])
		maps.DeleteFunc(out, func(l like, _ int64) bool { return !even(l) })
		return out
	},
}

var unionLaw = law[like, like]{
	node:  flow.Bind(flow.Union("either", source, other), likeCodec, 1),
	graph: []flow.Bound{boundLikes, boundOther}, in: likeCodec, out: likeCodec, elem: genLike,
	view: func(in []bag[like]) bag[like] {
		out := maps.Clone(in[0])
		for e, w := range in[1] {
			out.add(e, w)
		}
		return out
	},
}

var countLaw = law[like, flow.Entry[string, int64]]{
	node:  flow.Bind(flow.CountBy("popular", source, wine), countCodec, 1),
	graph: []flow.Bound{boundLikes}, in: likeCodec, out: countCodec, elem: genLike,
	view: func(in []bag[like]) bag[flow.Entry[string, int64]] {
		counts := map[string]int64{}
		for _, e := range in[0].present() {
			counts[e.Value]++
		}
		return entries(counts)
	},
}

func entries[K comparable](counts map[K]int64) bag[flow.Entry[K, int64]] {
	out := bag[flow.Entry[K, int64]]{}
	for k, n := range counts {
		out.add(flow.Entry[K, int64]{Key: k, Value: n}, 1)
	}
	return out
}

type pair = flow.Pair[string, string]

// togetherBy is CountTogether over what group and item say, in an order that has ties.
func togetherBy(name string, group, item func(like) string) law[like, flow.Entry[pair, int64]] {
	byLen := func(a, b string) int { return cmp.Compare(len(a), len(b)) }
	return law[like, flow.Entry[pair, int64]]{
		node:  flow.Bind(flow.CountTogether(name, source, group, item, byLen), pairCodec, 1),
		graph: []flow.Bound{boundLikes}, in: likeCodec, out: pairCodec, elem: genLike,
		view: func(in []bag[like]) bag[flow.Entry[pair, int64]] {
			groups := map[string]map[string]bool{}
			for _, e := range in[0].present() {
				if groups[group(e)] == nil {
					groups[group(e)] = map[string]bool{}
				}
				groups[group(e)][item(e)] = true
			}
			counts := map[pair]int64{}
			for _, items := range groups {
				for a := range items {
					for b := range items {
						if byLen(a, b) < 0 || byLen(a, b) == 0 && a < b {
							counts[pair{A: a, B: b}]++
						}
					}
				}
			}
			return entries(counts)
		},
	}
}

var (
	togetherLaw = togetherBy("together", user, wine)
	// Here several elements say that a group holds an item.
	lettersLaw = togetherBy("letters", func(like) string { return "all" }, func(l like) string { return (l.Value + l.Key)[:1] })
)

func topOf(n int) law[like, flow.Entry[string, like]] {
	return law[like, flow.Entry[string, like]]{
		node:  flow.Bind(flow.TopBy("longest", source, user, n, byLength), topCodec, 1),
		graph: []flow.Bound{boundLikes}, in: likeCodec, out: topCodec, elem: genLike,
		view: func(in []bag[like]) bag[flow.Entry[string, like]] {
			elems := in[0].present()
			slices.SortFunc(elems, func(a, b like) int {
				return cmp.Or(byLength(b, a), strings.Compare(a.Value, b.Value))
			})
			out, taken := bag[flow.Entry[string, like]]{}, map[string]int{}
			for _, e := range elems {
				if taken[e.Key]++; taken[e.Key] <= n {
					out.add(flow.Entry[string, like]{Key: e.Key, Value: e}, 1)
				}
			}
			return out
		},
	}
}

func TestSourceFollowsItsLaw(t *testing.T)   { sourceLaw.check(t) }
func TestMapFollowsItsLaw(t *testing.T)      { mapLaw.check(t) }
func TestFilterFollowsItsLaw(t *testing.T)   { filterLaw.check(t) }
func TestUnionFollowsItsLaw(t *testing.T)    { unionLaw.check(t) }
func TestCountByFollowsItsLaw(t *testing.T)  { countLaw.check(t) }
func TestTogetherFollowsItsLaw(t *testing.T) { togetherLaw.check(t) }
func TestLettersFollowTheirLaw(t *testing.T) { lettersLaw.check(t) }
func TestTop1FollowsItsLaw(t *testing.T)     { topOf(1).check(t) }
func TestTop2FollowsItsLaw(t *testing.T)     { topOf(2).check(t) }
func TestTop9FollowsItsLaw(t *testing.T)     { topOf(9).check(t) }
