package crdt

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func repair[L Lattice[L]](t *testing.T, a, b L) (toA, toB L) {
	t.Helper()
	toB, err := a.Since(b.Digest())
	require.NoError(t, err)
	toA, err = b.Since(a.Digest())
	require.NoError(t, err)
	a.Join(toA)
	b.Join(toB)
	require.True(t, a.Equal(b))
	require.Equal(t, a.Hash(), b.Hash())
	return toA, toB
}

// Equal stamps with different values must show in digests, or two replicas differ for ever.
func TestDigestsSeeValuesOfEqualStamps(t *testing.T) {
	t.Parallel()
	codec := stringCodec()
	m, n := NewRegisterMap(codec, codec), NewRegisterMap(codec, codec)
	m.Set(7, 1, "k", "a")
	n.Set(7, 1, "k", "b")
	n.Set(7, 1, "other", "x")
	m.Remove(7, 1, "other")
	repair(t, m, n)
	v, _ := m.Get("k")
	require.Equal(t, "b", v)
	require.Equal(t, 2, m.Len())

	r, s := NewRegister(codec), NewRegister(codec)
	r.Set(7, 1, "a")
	s.Set(7, 1, "b")
	repair(t, r, s)
	v, _ = r.Get()
	require.Equal(t, "b", v)
}

// Digests of large maps have buckets; a few differences cost a few buckets, whichever side is ahead.
func TestLargeMapsRepairByBuckets(t *testing.T) {
	t.Parallel()
	codec := stringCodec()
	a := NewRegisterMap(codec, codec)
	for i := range 5000 {
		a.Set(int64(i), 1, fmt.Sprint(i), "v")
	}
	b := a.Clone()
	require.Less(t, len(a.Digest()), 5000)
	toA, toB := repair(t, a, b)
	require.True(t, toA == nil && toB == nil, "equal maps send nothing")
	for i := range 5 {
		a.Set(9000, 1, fmt.Sprint(i), "w")
		b.Remove(9000, 2, fmt.Sprint(100+i))
		b.Set(9000, 2, fmt.Sprint(7000+i), "new")
	}
	toA, toB = repair(t, a, b)
	require.Less(t, toA.Size()+toB.Size(), 15*2*3*bucketEntries)
	require.Equal(t, 5000, a.Len())

	few := NewRegisterMap(codec, codec) // one side lists, the other has buckets
	few.Set(1, 3, "x", "y")
	repair(t, a, few)
	none := NewRegisterMap(codec, codec)
	repair(t, none, a)
}

func TestRegisterMapsAreReadInOrder(t *testing.T) {
	t.Parallel()
	codec := stringCodec()
	m := NewRegisterMap(codec, codec)
	var want []string
	for i := range 50 {
		k := fmt.Sprintf("%02d", i)
		want = append(want, k)
	}
	for _, i := range rand.Perm(len(want)) {
		m.Set(int64(i+1), 1, want[i], "v")
	}
	m.Remove(100, 1, want[7])
	var got []string
	for k := range m.All() {
		got = append(got, k)
	}
	require.Equal(t, slices.Delete(slices.Clone(want), 7, 8), got)
	for k := range m.All() { // may be left early
		require.Equal(t, want[0], k)
		break
	}
}
