package crdt

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type counters = GMap[string, *Counter]

var _ Lattice[*counters] = (*counters)(nil)

func newCounters() *counters { return NewGMap(stringCodec(), NewCounter) }

func counterCodec() Codec[*Counter] {
	return Codec[*Counter]{
		Append: func(b []byte, c *Counter) []byte { return c.Append(b) },
		Decode: DecodeCounter,
		Clone:  (*Counter).Clone,
	}
}

func decodeCounters(b []byte) (*counters, error) {
	return DecodeGMap(b, stringCodec(), counterCodec(), NewCounter)
}

func add(n int64) func(*Counter) *Counter {
	return func(c *Counter) *Counter { return c.Add(1, n) }
}

func TestGMapOfCounters(t *testing.T) {
	t.Parallel()
	a, b := newCounters(), &counters{}
	delta := a.Update("x", add(3))
	require.True(t, delta.Equal(b.Join(delta)))
	require.Nil(t, a.Update("y", add(0)))
	require.Equal(t, 1, a.Len(), "the least value is no entry")
	a.Update("w", add(-1))
	novelty := b.Join(a)
	require.Equal(t, 1, novelty.Len())
	novelty.Update("w", add(-5))
	b.Update("x", add(1))
	v, ok := b.Get("w")
	require.True(t, ok)
	require.EqualValues(t, -1, v.Value(), "a novelty shares nothing with the state")
	require.Equal(t, "GMap(2)[w:Counter(-1 of 1 rows) x:Counter(4 of 1 rows)]", b.String())
	var keys []string
	for k := range b.All() {
		keys = append(keys, k)
	}
	require.Equal(t, []string{"w", "x"}, keys)
	require.Equal(t, len(b.Append(nil, stringCodec(), counterCodec())), b.EncodedSize(stringCodec(), counterCodec()))

	s := NewGMap(stringCodec(), newStringRegister)
	s.Update("k", func(r *Register[string]) *Register[string] { return r.Set(1, 1, "v") })
	require.Equal(t, 1, s.Len())
}

// newStringRegister shows that values may need more than their zero value.
func newStringRegister() *Register[string] { return NewRegister(stringCodec()) }

// Many keys are told by buckets, and what differs is repaired.
func TestGMapDigestOfManyKeys(t *testing.T) {
	t.Parallel()
	a := newCounters()
	for i := range 2000 {
		a.Update(fmt.Sprint(i), add(1))
	}
	b := a.Clone()
	require.Equal(t, a.Digest(), b.Digest())
	a.Update("7", add(1))
	require.Less(t, len(a.Digest()), 2100)
	answer, err := a.Since(b.Digest())
	require.NoError(t, err)
	require.Less(t, answer.Len(), 100)
	b.Join(answer)
	require.True(t, a.Equal(b))
	answer, err = a.Since(b.Digest())
	require.NoError(t, err)
	require.Nil(t, answer)
}

func seedCountersMap() *counters {
	m := newCounters()
	for i, k := range []string{"", "a", "b"} {
		m.Update(k, add(int64(i*100-50)))
	}
	return m
}

func TestGMapGolden(t *testing.T) {
	t.Parallel()
	requireGolden(t, "GMap", seedCountersMap().Append(nil, stringCodec(), counterCodec()))
	requireGolden(t, "GMap-digest", seedCountersMap().Digest())
}

func FuzzDecodeGMap(f *testing.F) {
	f.Add(seedCountersMap().Append(nil, stringCodec(), counterCodec()))
	f.Add(seedCountersMap().Digest())
	f.Add(newCounters().Digest())
	large := newCounters()
	for i := range 300 {
		large.Update(fmt.Sprint(i), add(1))
	}
	f.Add(large.Digest())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeCounters(b); check(t, err) {
			require.Equal(t, string(b), string(m.Append(nil, stringCodec(), counterCodec())))
			other := seedCountersMap()
			other.Join(m)
			require.True(t, m.LessOrEqual(other))
		}
		for _, m := range []*counters{seedCountersMap(), large} {
			d, err := m.Since(b)
			var bad *DecodeError
			require.True(t, err == nil || errors.As(err, &bad), "%v", err)
			require.True(t, d.LessOrEqual(m))
		}
	})
}

func TestHostileGMapsAreRefused(t *testing.T) {
	t.Parallel()
	m := seedCountersMap()
	m.entries["a"] = NewCounter()
	_, err := decodeCounters(m.Append(nil, stringCodec(), counterCodec()))
	require.ErrorContains(t, err, "without a value")
	good := seedCountersMap().Append(nil, stringCodec(), counterCodec())
	_, err = decodeCounters(append(slices.Clone(good), good[2:]...))
	require.ErrorContains(t, err, "not in order")
}

// A map that was made without a codec says so, and can still be printed.
func TestGMapWithoutCodec(t *testing.T) {
	t.Parallel()
	m := NewGMap(Codec[string]{}, NewCounter)
	m.Update("k", func(c *Counter) *Counter { return c.Add(1, 2) })
	require.Equal(t, "GMap(1)[k:Counter(2 of 1 rows)]", m.String())
	for name, f := range map[string]func(){
		"All":    func() { m.All()(func(string, *Counter) bool { return true }) },
		"Hash":   func() { m.Hash() },
		"Digest": func() { m.Digest() },
		"JSON":   func() { _, _ = m.MarshalJSON() },
	} {
		require.PanicsWithValue(t, "crdt: values and elements are compared and hashed by their bytes, and this state has no Codec: make it by its New function", f, name)
	}
}
