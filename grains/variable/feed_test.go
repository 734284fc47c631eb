package variable_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

var decimal = wire.Codec[int64]{ // keys in graphs are their texts
	Append: func(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) },
	Decode: func(b []byte) (int64, error) { return strconv.ParseInt(string(b), 10, 64) },
}

// truth is what a variable's elements weigh, said by its states.
func truth(t require.TestingT, n *node, id wire.ID) map[string]int64 {
	state, weights := n.object(id).State(), map[string]int64{}
	switch id.Kind() {
	case "test.tags", "test.tags-by":
		s, err := crdt.DecodeSet(state, text)
		require.NoError(t, err)
		for e := range s.All() {
			weights[e] = int64(len(s.Dots(e)))
		}
	case "test.title", "test.title-by":
		r, err := crdt.DecodeRegister(state, text)
		require.NoError(t, err)
		if v, ok := r.Get(); ok {
			weights[v] = 1
		}
	case "test.hits", "test.hits-by":
		c, err := crdt.DecodeCounter(state)
		require.NoError(t, err)
		if !c.IsEmpty() {
			weights[strconv.FormatInt(c.Value(), 10)] = 1
		}
	}
	return weights
}

func follows[E comparable](t *rapid.T, n *node, kind string, all []made, out wire.Codec[E], element func(key, e string) E) {
	feed := n.kinds[kind].Variable().NewFeed()
	var told [][]byte
	for _, m := range shuffled(t, all) {
		if m.id.Kind() != kind {
			continue
		}
		batch, err := feed.Join(m.id.Key(), m.delta)
		require.NoError(t, err)
		if batch != nil {
			told = append(told, batch)
		}
		again, err := feed.Join(m.id.Key(), m.delta)
		require.NoError(t, err)
		require.Nil(t, again, "a delta that was told brings nothing")
		_, err = feed.Join(m.id.Key(), []byte{0xff})
		require.Error(t, err)
	}
	want := map[E]int64{}
	for id := range n.objects {
		if id.Kind() == kind {
			for e, weight := range truth(t, n, id) {
				want[element(id.Key(), e)] += weight
			}
		}
	}
	require.Equal(t, want, sum(t, out, told...), "each birth and each death once")
	limit := rapid.IntRange(1, 50).Draw(t, "limit")
	require.Equal(t, want, sum(t, out, slices.Collect(feed.Snapshot(limit))...), "the snapshot is the sum")
}

// Whatever the order in which deltas come and however often, a feed's batches sum up to what is there.
func TestFeedsTellEachBirthAndDeathOnce(t *testing.T) {
	t.Parallel()
	parse := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := newNode(1), newNode(2)
		all := history(t, a, b)
		for _, m := range all { // one that knows everything
			_, err := a.object(m.id).Join(m.delta)
			require.NoError(t, err)
		}
		codec := flow.EntryCodec(decimal, text)
		same := func(_, e string) string { return e }
		entry := func(key, e string) flow.Entry[int64, string] {
			return flow.Entry[int64, string]{Key: parse(key), Value: e}
		}
		follows(t, a, "test.tags", all, text, same)
		follows(t, a, "test.title", all, text, same)
		follows(t, a, "test.tags-by", all, codec, entry)
		follows(t, a, "test.title-by", all, codec, entry)
		count := variable.CounterElement
		follows(t, a, "test.hits", all, count, func(_, e string) int64 { return parse(e) })
		follows(t, a, "test.hits-by", all, flow.EntryCodec(decimal, count), func(key, e string) flow.Entry[int64, int64] {
			return flow.Entry[int64, int64]{Key: parse(key), Value: parse(e)}
		})
	})
}

// A key that is none is refused, and the feed goes on as if nothing had come.
func TestFeedsRefuseKeysThatAreNone(t *testing.T) {
	t.Parallel()
	n := newNode(1)
	require.NoError(t, tagsBy.At(n.place(), 4).Add(t.Context(), "a"))
	require.NoError(t, hitsBy.At(n.place(), 4).Add(t.Context(), 1))
	require.NoError(t, titleBy.At(n.place(), 4).Set(t.Context(), "a"))
	for _, m := range n.made {
		feed := n.kinds[m.id.Kind()].Variable().NewFeed()
		for range 2 {
			for _, key := range []string{"four", "04", ""} {
				batch, err := feed.Join(key, m.delta)
				var bad *wire.KeyError
				require.ErrorAs(t, err, &bad)
				require.Nil(t, batch)
			}
		}
		require.Empty(t, slices.Collect(feed.Snapshot(100)))
		batch, err := feed.Join("4", m.delta)
		require.NoError(t, err)
		require.NotNil(t, batch)
		require.Equal(t, [][]byte{batch}, slices.Collect(feed.Snapshot(100)))
	}
}

// A counter is an element once anybody has counted, 0 or not; it is one element at a time.
func TestCountersAreOneElement(t *testing.T) {
	t.Parallel()
	n := newNode(1)
	feed := n.kinds["test.hits"].Variable().NewFeed()
	require.Empty(t, slices.Collect(feed.Snapshot(100)))
	m := flow.NewMaterialized(variable.CounterElement)
	for i, add := range []int64{5, -5, 7} {
		require.NoError(t, hits.On(n.place()).Add(t.Context(), add))
		batch, err := feed.Join("", n.made[i].delta)
		require.NoError(t, err)
		born, died, err := m.Apply(batch)
		require.NoError(t, err)
		require.Len(t, born, 1)
		require.Len(t, died, min(i, 1))
		require.Equal(t, []int64{5, 0, 7}[i], born[0])
	}
}
