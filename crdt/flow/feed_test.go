package flow_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// feeding is a type of package crdt as a source.
type feeding[L crdt.Lattice[L], E comparable] struct {
	of     flow.Elements[L, E]
	states crdt.Codec[L]
	// change makes a random delta of a replica's state under its minter, and applies it there.
	change func(t *rapid.T, l L, m *crdt.Minter) L
	// truth is what the elements weigh, read off the state.
	truth func(L) map[E]int64
}

// follow feeds random histories, whose deltas come in any order and several times, and compares after each
// what the feed has told with a replica that joined the same.
func (f feeding[L, E]) follow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		replicas := []L{crdt.EmptyState(f.states), crdt.EmptyState(f.states)}
		minters := []*crdt.Minter{{Actor: 1}, {Actor: 2}}
		var deltas []L
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			i := rapid.IntRange(0, 1).Draw(t, "replica")
			if delta := f.change(t, replicas[i], minters[i]); !delta.IsEmpty() {
				deltas = append(deltas, delta)
			}
			if rapid.Bool().Draw(t, "they meet") {
				replicas[i].Join(replicas[1-i])
			}
		}
		if len(deltas) == 0 {
			return
		}
		twice := rapid.SliceOfN(rapid.SampledFrom(deltas), 0, 5).Draw(t, "again")
		one, family := flow.NewFeed(f.of), flow.NewFeedBy(textCodec, f.of)
		mirror, told := crdt.EmptyState(f.states), map[E]int64{}
		for _, delta := range rapid.Permutation(append(deltas, twice...)).Draw(t, "order") {
			novelty := mirror.Join(delta)
			b := f.states.Append(nil, delta)
			batch, err := one.Join("", b)
			require.NoError(t, err)
			if novelty.IsEmpty() {
				require.Nil(t, batch)
			}
			addTo(t, told, f.of.Codec(), batch)
			require.Equal(t, f.truth(mirror), told)

			under, err := family.Join("k", b)
			require.NoError(t, err)
			items, err := flow.DecodeBatch(under, flow.EntryCodec(textCodec, f.of.Codec()))
			require.NoError(t, err)
			same, err := flow.DecodeBatch(batch, f.of.Codec())
			require.NoError(t, err)
			require.Len(t, items, len(same))
			for _, it := range items {
				require.Contains(t, same, flow.Weighted[E]{Elem: it.Elem.Value, Weight: it.Weight})
				require.Equal(t, "k", it.Elem.Key)
			}
			_, err = one.Join("", []byte{0xff})
			require.Error(t, err)
		}
		all := map[E]int64{}
		addTo(t, all, f.of.Codec(), slices.Collect(one.Snapshot(20))...)
		require.Equal(t, told, all, "a snapshot is the sum")
	})
}

func addTo[E comparable](t require.TestingT, sum map[E]int64, c crdt.Codec[E], batches ...[]byte) {
	for _, b := range batches {
		items, err := flow.DecodeBatch(b, c)
		require.NoError(t, err)
		for _, it := range items {
			if sum[it.Elem] += it.Weight; sum[it.Elem] == 0 {
				delete(sum, it.Elem)
			}
		}
	}
}

// eachOnce is the collection of what all yields.
func eachOnce[E comparable](all iter.Seq[E]) map[E]int64 {
	sum := map[E]int64{}
	for e := range all {
		sum[e]++
	}
	return sum
}

func entriesOf[K, V comparable](all iter.Seq2[K, V]) map[flow.Entry[K, V]]int64 {
	sum := map[flow.Entry[K, V]]int64{}
	for k, v := range all {
		sum[flow.Entry[K, V]{Key: k, Value: v}]++
	}
	return sum
}

var genWords = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3)

func word(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "word") }

func TestFeedsFollowWhatTheyAreMadeOf(t *testing.T) {
	t.Parallel()
	t.Run("Set", feeding[*crdt.Set[string], string]{
		flow.SetElements(textCodec), crdt.SetCodec(textCodec),
		func(t *rapid.T, s *crdt.Set[string], m *crdt.Minter) *crdt.Set[string] {
			if rapid.Bool().Draw(t, "remove") {
				return s.Remove(genWords.Draw(t, "words")...)
			}
			return s.Add(m, genWords.Draw(t, "words")...)
		},
		func(s *crdt.Set[string]) map[string]int64 {
			sum := map[string]int64{}
			for e := range s.All() {
				sum[e] = int64(len(s.Dots(e)))
			}
			return sum
		},
	}.follow)
	t.Run("RWSet", feeding[*crdt.RWSet[string], string]{
		flow.RWSetElements(textCodec), crdt.RWSetCodec(textCodec),
		func(t *rapid.T, s *crdt.RWSet[string], m *crdt.Minter) *crdt.RWSet[string] {
			if rapid.Bool().Draw(t, "remove") {
				return s.Remove(m, genWords.Draw(t, "words")...)
			}
			return s.Add(m, genWords.Draw(t, "words")...)
		},
		func(s *crdt.RWSet[string]) map[string]int64 { return eachOnce(s.All()) },
	}.follow)
	t.Run("GSet", feeding[*crdt.GSet[string], string]{
		flow.GSetElements(textCodec), crdt.GSetCodec(textCodec),
		func(t *rapid.T, s *crdt.GSet[string], _ *crdt.Minter) *crdt.GSet[string] {
			return s.Add(genWords.Draw(t, "words")...)
		},
		func(s *crdt.GSet[string]) map[string]int64 { return eachOnce(s.All()) },
	}.follow)
	t.Run("Counter", feeding[*crdt.Counter, int64]{
		flow.CounterElements(), crdt.CodecOf(crdt.DecodeCounter),
		func(t *rapid.T, c *crdt.Counter, m *crdt.Minter) *crdt.Counter {
			return c.Add(m.Actor, rapid.Int64Range(-2, 2).Draw(t, "n"))
		},
		func(c *crdt.Counter) map[int64]int64 {
			if c.IsEmpty() {
				return map[int64]int64{}
			}
			return map[int64]int64{c.Value(): 1}
		},
	}.follow)
	t.Run("Register", feeding[*crdt.Register[string], string]{
		flow.RegisterElements(textCodec), crdt.RegisterCodec(textCodec),
		func(t *rapid.T, r *crdt.Register[string], m *crdt.Minter) *crdt.Register[string] {
			return r.Set(rapid.Int64Range(1, 9).Draw(t, "time"), m.Actor, word(t))
		},
		func(r *crdt.Register[string]) map[string]int64 {
			if v, ok := r.Get(); ok {
				return map[string]int64{v: 1}
			}
			return map[string]int64{}
		},
	}.follow)
	type entry = flow.Entry[string, string]
	t.Run("RegisterMap", feeding[*crdt.RegisterMap[string, string], entry]{
		flow.RegisterMapElements(textCodec, textCodec), crdt.RegisterMapCodec(textCodec, textCodec),
		func(t *rapid.T, m *crdt.RegisterMap[string, string], as *crdt.Minter) *crdt.RegisterMap[string, string] {
			now := rapid.Int64Range(1, 9).Draw(t, "time")
			if rapid.Bool().Draw(t, "remove") {
				return m.Remove(now, as.Actor, word(t))
			}
			return m.Set(now, as.Actor, word(t), word(t))
		},
		func(m *crdt.RegisterMap[string, string]) map[entry]int64 { return entriesOf(m.All()) },
	}.follow)
	type tagged = *crdt.ORMap[string, *crdt.SetStore[string]]
	tags := crdt.SetStoreCodec(textCodec)
	tag := func(t *rapid.T, m tagged, as *crdt.Minter) tagged {
		if rapid.Bool().Draw(t, "remove") {
			return m.Remove(genWords.Draw(t, "words")...)
		}
		return m.Update(word(t), func(s *crdt.SetStore[string]) crdt.Change[*crdt.SetStore[string]] {
			if rapid.Bool().Draw(t, "remove") {
				return s.Remove(word(t))
			}
			return s.Add(as, word(t))
		})
	}
	t.Run("ORMap", feeding[tagged, entry]{
		flow.ORMapElements(textCodec, tags, textCodec, (*crdt.SetStore[string]).All), crdt.ORMapCodec(textCodec, tags), tag,
		func(m tagged) map[entry]int64 {
			return entriesOf(func(yield func(string, string) bool) {
				for k, s := range m.All() {
					for e := range s.All() {
						if !yield(k, e) {
							return
						}
					}
				}
			})
		},
	}.follow)
	t.Run("ORMapKeys", feeding[tagged, string]{
		flow.ORMapKeys(textCodec, tags), crdt.ORMapCodec(textCodec, tags), tag,
		func(m tagged) map[string]int64 {
			return eachOnce(func(yield func(string) bool) {
				for k := range m.All() {
					if !yield(k) {
						return
					}
				}
			})
		},
	}.follow)
	type counts = *crdt.GMap[string, *crdt.Counter]
	counter := crdt.CodecOf(crdt.DecodeCounter)
	value := func(c *crdt.Counter) iter.Seq[int64] { return slices.Values([]int64{c.Value()}) }
	t.Run("GMap", feeding[counts, flow.Entry[string, int64]]{
		flow.GMapElements(textCodec, counter, numberCodec, value), crdt.GMapCodec(textCodec, counter),
		func(t *rapid.T, m counts, as *crdt.Minter) counts {
			return m.Update(word(t), func(c *crdt.Counter) *crdt.Counter {
				return c.Add(as.Actor, rapid.Int64Range(-2, 2).Draw(t, "n"))
			})
		},
		func(m counts) map[flow.Entry[string, int64]]int64 {
			return entriesOf(func(yield func(string, int64) bool) {
				for k, c := range m.All() {
					if !yield(k, c.Value()) {
						return
					}
				}
			})
		},
	}.follow)
}

// A key that is none is refused, and the feed goes on as if nothing had come.
func TestFeedsRefuseKeysThatAreNone(t *testing.T) {
	t.Parallel()
	feed := flow.NewFeedBy(numberCodec, flow.GSetElements(textCodec))
	delta := crdt.NewGSet(textCodec).Add("a").Append(nil, textCodec)
	for range 2 {
		batch, err := feed.Join("\xff", delta)
		require.ErrorIs(t, err, errNotNumber)
		require.Nil(t, batch)
	}
	require.Empty(t, slices.Collect(feed.Snapshot(0)))
	batch, err := feed.Join("\x02", delta)
	require.NoError(t, err)
	require.Equal(t, [][]byte{batch}, slices.Collect(feed.Snapshot(0)))
}

// Types of package crdt and a graph over them, without anything else: deltas go in, the view follows.
func ExampleNewFeed() {
	stock := flow.Input[flow.Entry[string, int64]]("stock")
	scarce := flow.Filter("scarce", stock, func(e flow.Entry[string, int64]) bool { return e.Value < 6 })
	elements := flow.RegisterMapElements(textCodec, numberCodec)
	g, _ := flow.Compile([]flow.Bound{flow.Bind(stock, elements.Codec(), 1), flow.Bind(scarce, elements.Codec(), 2)})
	n, _ := g.NewNetwork()
	feed, number := flow.NewFeed(elements), uint64(0)

	shelf := crdt.NewRegisterMap(textCodec, numberCodec)
	for i, delta := range []*crdt.RegisterMap[string, int64]{
		shelf.Set(1, 7, "barolo", 12), shelf.Set(2, 7, "rioja", 4), shelf.Set(3, 7, "barolo", 5), shelf.Remove(4, 7, "rioja"),
	} {
		batch, _ := feed.Join("", delta.Append(nil, textCodec, numberCodec))
		number++
		_ = n.Push("stock", number, batch)
		_, _ = n.Run()
		view := flow.NewMaterialized(elements.Codec())
		_, _, _ = view.Reset(slices.Collect(n.Node("scarce").Operator().Snapshot(0)))
		fmt.Println(i+1, view.Sorted())
	}
	// Output:
	// 1 []
	// 2 [{rioja 4}]
	// 3 [{rioja 4} {barolo 5}]
	// 4 [{barolo 5}]
}
