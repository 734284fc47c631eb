package crdt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var _ Lattice[*PartialOrder[string]] = (*PartialOrder[string])(nil)

func place(t require.TestingT, o *PartialOrder[string], e string, after, before Position[string]) *PartialOrder[string] {
	delta, err := o.Add(e, after, before)
	require.NoError(t, err)
	return delta
}

func seedOrder(t require.TestingT) *PartialOrder[string] {
	o := NewPartialOrder(stringCodec())
	place(t, o, "z", Start[string](), End[string]())
	place(t, o, "m", At("z"), End[string]())
	place(t, o, "a", At("z"), At("m"))
	return o
}

// A removed element leaves the order of the rest as it is; what was added next to it meanwhile stays.
func TestPartialOrderKeepsTheOrderOfTheRest(t *testing.T) {
	t.Parallel()
	o := seedOrder(t)
	other := o.Clone()
	require.Equal(t, []string{"z", "a", "m"}, slices.Collect(o.All()))
	gone, err := o.Remove("a")
	require.NoError(t, err)
	late := place(t, other, "b", At("a"), At("m"))
	o.Join(late)
	other.Join(gone)
	require.True(t, o.Equal(other))
	require.Equal(t, []string{"z", "b", "m"}, slices.Collect(o.All()))
	require.True(t, o.Before(At("z"), At("b")), "by way of a")
	require.False(t, o.Before(At("b"), At("z")))
	require.True(t, o.Before(Start[string](), At("z")) && o.Before(At("z"), End[string]()))
	require.Equal(t, "PartialOrder[z b m]", o.String())
	require.Equal(t, `["z","b","m"]`, jsonOf(t, o))

	before := o.Clone()
	_, err = o.Add("a", At("z"), At("m"))
	refused[*AddedBefore[string]](t, nil, err)
	_, err = o.Add("c", At("a"), At("m"))
	refused[*MissingVertex[string]](t, nil, err)
	_, err = o.Add("c", At("m"), At("z"))
	refused[*NotBefore[string]](t, nil, err)
	_, err = o.Remove("a")
	refused[*MissingVertex[string]](t, nil, err)
	require.True(t, before.Equal(o))
	require.Equal(t, "⊢ x ⊣", Start[string]().String()+" "+At("x").String()+" "+End[string]().String())
}

// Deltas ahead of what they refer to are kept, and shown in their place.
func TestPartialOrderTakesAnyOrder(t *testing.T) {
	t.Parallel()
	o := seedOrder(t)
	parts := o.Parts()
	slices.Reverse(parts)
	late := NewPartialOrder(stringCodec())
	for _, p := range parts {
		late.Join(p)
	}
	require.True(t, o.Equal(late))
	require.Equal(t, slices.Collect(o.All()), slices.Collect(late.All()))
}

// One element added twice, at places that contradict each other: each once, the same everywhere.
func TestPartialOrderOfContradictions(t *testing.T) {
	t.Parallel()
	a, b := NewPartialOrder(stringCodec()), NewPartialOrder(stringCodec())
	place(t, a, "x", Start[string](), End[string]())
	place(t, a, "y", At("x"), End[string]())
	place(t, b, "y", Start[string](), End[string]())
	place(t, b, "x", At("y"), End[string]())
	kept := a.Clone()
	a.Join(b)
	b.Join(kept)
	require.Equal(t, []string{"x", "y"}, slices.Collect(a.All()))
	require.Equal(t, []string{"x", "y"}, slices.Collect(b.All()))
}

func TestPartialOrderGolden(t *testing.T) {
	t.Parallel()
	o := seedOrder(t)
	_, err := o.Remove("a")
	require.NoError(t, err)
	requireGolden(t, "PartialOrder", o.Append(nil, stringCodec()))
	require.Equal(t, len(o.Append(nil, stringCodec())), o.EncodedSize(stringCodec()))
}

func FuzzDecodePartialOrder(f *testing.F) {
	o := seedOrder(f)
	f.Add(o.Append(nil, stringCodec()))
	f.Add(o.Digest())
	_, err := o.Remove("z")
	require.NoError(f, err)
	f.Add(o.Append(nil, stringCodec()))
	f.Fuzz(func(t *testing.T, b []byte) {
		seed := seedOrder(t)
		if got, err := DecodePartialOrder(b, stringCodec()); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, stringCodec())))
			seed.Join(got)
			require.True(t, got.LessOrEqual(seed))
			n := 0
			for e := range seed.All() {
				require.True(t, seed.Contains(e))
				n++
			}
			require.LessOrEqual(t, n, seed.Size())
		}
		if d, err := seed.Since(b); check(t, err) {
			require.True(t, d.LessOrEqual(seed))
		}
	})
}
