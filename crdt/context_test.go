package crdt

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func genContext(t *rapid.T, label string) (Context, map[Dot]bool) {
	var c Context
	model := map[Dot]bool{}
	for range rapid.IntRange(0, 12).Draw(t, label+" runs") {
		r := Run{Actor: Actor(rapid.IntRange(1, 3).Draw(t, "actor")), From: rapid.Uint64Range(1, 30).Draw(t, "from")}
		r.To = r.From + rapid.Uint64Range(0, 6).Draw(t, "more")
		if rapid.Bool().Draw(t, "single") {
			d := Dot{r.Actor, r.From}
			require.Equal(t, !model[d], c.Add(d))
			model[d] = true
			continue
		}
		c.AddRun(r)
		for n := r.From; n <= r.To; n++ {
			model[Dot{r.Actor, n}] = true
		}
	}
	return c, model
}

func requireContext(t *rapid.T, c *Context, model map[Dot]bool) {
	n := uint64(0)
	var last Run
	for r := range c.Runs() {
		require.True(t, r.Actor > last.Actor || r.From > last.To+1, "not maximal or not sorted: %v", c)
		last = r
		n += r.To - r.From + 1
	}
	require.EqualValues(t, len(model), n, "%v", c)
	highest := map[Actor]uint64{}
	for d := range model {
		require.True(t, c.Contains(d), "%v lacks %v", c, d)
		highest[d.Actor] = max(highest[d.Actor], d.Counter)
	}
	for a := Actor(0); a < 5; a++ {
		require.Equal(t, highest[a], c.Max(a))
	}
}

func TestContextIsASetOfDots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, inA := genContext(t, "a")
		b, inB := genContext(t, "b")
		requireContext(t, &a, inA)

		union, missing := map[Dot]bool{}, map[Dot]bool{}
		subset := true
		for d := range inA {
			union[d] = true
			if !inB[d] {
				missing[d] = true
				subset = false
			}
		}
		for d := range inB {
			union[d] = true
		}
		require.Equal(t, subset, a.LessOrEqual(&b))
		diff := a.minus(&b)
		requireContext(t, &diff, missing)
		joined := a.Clone()
		joined.Join(&b)
		requireContext(t, joined, union)
		requireContext(t, &a, inA)
		require.Equal(t, len(union) == len(inB) && subset, joined.Equal(&b))
		large := &Context{} // the other way of joining
		for n := range uint64(40) {
			large.Add(Dot{9, 2*n + 1})
			union[Dot{9, 2*n + 1}] = true
		}
		joined.Join(large)
		for d := range union {
			require.True(t, joined.Contains(d))
		}

		enc := a.Append(nil)
		got, err := DecodeContext(enc)
		require.NoError(t, err)
		require.True(t, got.Equal(&a))
		require.Equal(t, a.hash(), got.hash())
		require.Equal(t, a.Equal(&b), string(enc) == string(b.Append(nil)))
	})
}

func TestContextEdges(t *testing.T) {
	t.Parallel()
	var c Context
	require.False(t, c.Add(Dot{}), "the zero dot is none")
	require.False(t, c.Add(Dot{Actor: 1}))
	require.False(t, c.Add(Dot{Counter: 1}))
	require.True(t, c.IsEmpty())
	require.True(t, c.Add(Dot{1, math.MaxUint64}))
	require.True(t, c.Add(Dot{2, 1}))
	c.AddRun(Run{1, 1, math.MaxUint64 - 1})
	require.Equal(t, "{1:1-18446744073709551615 2:1}", c.String())
	rest := c.minus(&Context{runs: []Run{{1, 2, math.MaxUint64}}})
	require.Equal(t, "{1:1 2:1}", rest.String())
	got, err := DecodeContext(c.Append(nil))
	require.NoError(t, err)
	require.True(t, c.Equal(&got))
	require.True(t, (*Context)(nil).IsEmpty())
	require.False(t, (*Context)(nil).Contains(Dot{1, 1}))
	require.True(t, (*Context)(nil).LessOrEqual(&c))
	require.False(t, c.LessOrEqual(nil))
	var z Context
	z.Join(nil)
	z.Join(&c)
	require.True(t, z.Equal(&c))
}
