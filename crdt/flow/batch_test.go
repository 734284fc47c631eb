package flow_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

func TestBatchIsCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOf(rapid.Custom(func(t *rapid.T) flow.Weighted[like] {
			return flow.Weighted[like]{Elem: genLike.Draw(t, "elem"), Weight: rapid.Int64Range(-3, 3).Draw(t, "weight")}
		})).Draw(t, "items")
		sum := bag[like]{}
		for _, it := range items {
			sum.add(it.Elem, it.Weight)
		}
		prefix := []byte("before")
		b := flow.AppendBatch(prefix, items, likeCodec)
		require.True(t, bytes.HasPrefix(b, prefix))
		b = b[len(prefix):]
		require.True(t, bytes.Equal(sum.encode(likeCodec), b), "grouping and order are of no matter")

		decoded, err := flow.DecodeBatch(b, likeCodec)
		require.NoError(t, err)
		back := bag[like]{}
		for _, it := range decoded {
			require.NotZero(t, it.Weight)
			back.add(it.Elem, it.Weight)
		}
		require.Equal(t, sum, back)
		require.Len(t, decoded, len(sum))

		for part := range flow.SplitBatch(b, rapid.IntRange(-1, 60).Draw(t, "limit")) {
			if rapid.Bool().Draw(t, "stop") {
				break
			}
			require.NotEmpty(t, part)
		}
	})
}

func TestDecodeBatchRefuses(t *testing.T) {
	t.Parallel()
	a, b := change(textCodec, 1, "a"), change(textCodec, 1, "b")
	for name, bad := range map[string][]byte{
		"descending order":    slices.Concat(b, a),
		"an element twice":    slices.Concat(a, a),
		"another field":       append(bytes.Clone(a), 0x12, 0),
		"another field first": {0x0a, 4, 0x12, 0, 0x10, 2},
		"weight zero":         {0x0a, 4, 0x0a, 0, 0x10, 0},
		"no weight":           {0x0a, 2, 0x0a, 0},
		"a long weight":       {0x0a, 5, 0x0a, 0, 0x10, 0x82, 0},
		"a long length":       {0x0a, 0x84, 0, 0x0a, 0, 0x10, 2},
		"a long inner length": {0x0a, 5, 0x0a, 0x80, 0, 0x10, 2},
		"bytes after":         {0x0a, 5, 0x0a, 0, 0x10, 2, 0},
		"a huge length":       {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0a, 0},
		"a huge inner length": {0x0a, 6, 0x0a, 0xff, 0xff, 0x0f, 0x10, 2},
		"weight out of range": {0x0a, 13, 0x0a, 0, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		var malformed *flow.BatchError
		_, err := flow.DecodeBatch(bad, textCodec)
		require.ErrorAs(t, err, &malformed, name)
		require.LessOrEqual(t, malformed.Offset, len(bad), name)
		// Splitting passes it on unchanged.
		require.True(t, bytes.Equal(bad, slices.Concat(slices.Collect(flow.SplitBatch(bad, 1))...)), name)
	}
	_, err := flow.DecodeBatch(change(textCodec, 1, "not a number"), numberCodec)
	require.ErrorIs(t, err, errNotNumber)
}

func TestCodecsOfTwoRefuseWhatIsNotCanonical(t *testing.T) {
	t.Parallel()
	c := flow.EntryCodec(textCodec, numberCodec)
	good := c.Append([]byte("x"), flow.Entry[string, int64]{Key: "k", Value: 1})[1:]
	require.Equal(t, []byte{0x0a, 1, 'k', 0x12, 1, 2}, good)
	for name, bad := range map[string][]byte{
		"nothing":            {},
		"one field":          good[:3],
		"cut off":            good[:5],
		"the other order":    {0x12, 1, 2, 0x0a, 1, 'k'},
		"bytes after":        slices.Concat(good, []byte{0}),
		"a field twice":      slices.Concat(good, good[3:]),
		"a long length":      {0x0a, 0x81, 0, 'k', 0x12, 1, 2},
		"a huge length":      {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'k'},
		"a second part of 0": {0x0a, 1, 'k', 0x12, 0},
	} {
		_, err := c.Decode(bad)
		require.ErrorContains(t, err, "flow: entry", name)
		_, err = flow.PairCodec(textCodec, numberCodec).Decode(bad)
		require.ErrorContains(t, err, "flow: pair", name)
	}
	_, err := flow.PairCodec(numberCodec, textCodec).Decode([]byte{0x0a, 0, 0x12, 0})
	require.ErrorIs(t, err, errNotNumber)
	require.ErrorContains(t, err, "first part")

	// A copy is made only where a part needs one.
	require.Nil(t, c.Clone)
	number := numberCodec
	number.Clone = func(n int64) int64 { return n + 1 }
	require.EqualValues(t, 2, flow.EntryCodec(textCodec, number).Clone(flow.Entry[string, int64]{Value: 1}).Value)
	require.EqualValues(t, 2, flow.PairCodec(number, textCodec).Clone(flow.Pair[int64, string]{A: 1}).A)
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(nil), 0)
	f.Add(change(likeCodec, 1, like{"ann", "barolo"}, like{"bob", ""}, like{"", "barolo"}), 10)
	f.Add(change(likeCodec, -70, like{"", ""}), 1)
	f.Add([]byte{0x0a, 4, 0x0a, 0, 0x10, 2}, 3)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		parts := slices.Collect(flow.SplitBatch(b, limit))
		require.True(t, bytes.Equal(b, slices.Concat(parts...)))
		items, err := flow.DecodeBatch(b, likeCodec)
		if err != nil {
			var malformed *flow.BatchError
			require.ErrorAs(t, err, &malformed)
			return
		}
		require.LessOrEqual(t, len(items), len(b)/6)
		require.True(t, bytes.Equal(b, flow.AppendBatch(nil, items, likeCodec)), "what is accepted is canonical")
		for _, p := range parts {
			_, err := flow.DecodeBatch(p, likeCodec)
			require.NoError(t, err)
		}
		for _, op := range []*flow.Operator{togetherLaw.new(t), topOf(2).new(t), countLaw.new(t)} {
			_, err := op.Apply(0, b)
			require.NoError(t, err)
		}
	})
}

// Not parallel: the runtime counts what all tests allocate.
func TestDecodersAllocateInProportion(t *testing.T) {
	const perByte = 60
	var short []like // as many elements as bytes can say
	for i := range 128 * 8 {
		short = append(short, like{Key: string(rune(i % 128)), Value: string(rune(i / 128))})
	}
	batch := change(likeCodec, 1, short...)
	prices := change(countCodec, 1, price{Key: "barolo", Value: 2})
	op, net := joinMeets.new(t), newNet(t)
	_, err := op.Apply(0, batch)
	require.NoError(t, err)
	require.NoError(t, net.Push("source", 1, batch))
	require.NoError(t, net.Push("prices", 1, prices))
	_, err = net.Run()
	require.NoError(t, err)
	whole, err := net.AppendState(nil)
	require.NoError(t, err)
	fixed := allocated(func() { newNet(t) }) // a network restores into a new one
	decoders := map[string]func([]byte) error{
		"batch":    func(b []byte) error { _, err := flow.DecodeBatch(b, likeCodec); return err },
		"entry":    func(b []byte) error { _, err := likeCodec.Decode(b); return err },
		"operator": joinMeets.new(t).Restore,
		"network":  newNet(t).Restore,
		"view":     func(b []byte) error { _, _, err := flow.NewMaterialized(likeCodec).Apply(b); return err },
	}
	inputs := [][]byte{batch, stateOf(t, op), whole}
	bounded := func(b []byte) {
		for name, decode := range decoders {
			n := allocated(func() { _ = decode(b) })
			require.LessOrEqual(t, n, uint64(8192+perByte*len(b))+fixed, "%s, %d bytes: %x", name, len(b), b[:min(len(b), 100)])
		}
	}
	for seed := range seeds.Of(t, 300) {
		r := rand.New(rand.NewPCG(seed, 0))
		b := bytes.Clone(inputs[r.IntN(len(inputs))])
		for range r.IntN(4) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		if r.IntN(2) == 0 {
			b = b[:r.IntN(len(b))]
		}
		bounded(b)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
