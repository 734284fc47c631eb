package crdt

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// These are mistakes that released systems made, each with the shortest history that shows it. The oracle
// of package crdttest finds those about sets as well, in longer ones.

func stringCodec() Codec[string] {
	return Codec[string]{
		Append: func(b []byte, v string) []byte { return append(b, v...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	}
}

func sortedOf(s *Set[string]) []string {
	out := []string{}
	for e := range s.All() {
		out = append(out, e)
	}
	return out
}

// The context's gap: a vector joined by maximum takes the late delta for seen and drops it.
func TestDeltasOutOfOrderLoseNothing(t *testing.T) {
	t.Parallel()
	a, m := NewSet[string](), &Minter{Actor: 1}
	d1, d2, d3 := a.Add(m, "x"), a.Add(m, "y"), a.Add(m, "z")
	b := NewSet[string]()
	require.NotNil(t, b.Join(d3))
	require.NotNil(t, b.Join(d1))
	require.Equal(t, []string{"x", "z"}, sortedOf(b))
	require.Equal(t, "{1:1,3}", b.Context().String(), "the gap is kept")
	c := NewSet[string]() // a full merge does not spread the gap as seen either
	c.Join(b)
	require.NotNil(t, c.Join(d2))
	require.Equal(t, []string{"x", "y", "z"}, sortedOf(c))
}

// A delta, an answer, a novelty names the dots that it speaks of: the whole context would kill what the
// receiver has alive and the message leaves out.
func TestDeltasNameOnlyTheirDots(t *testing.T) {
	t.Parallel()
	a, m := NewSet[string](), &Minter{Actor: 1}
	a.Add(m, "x", "y")
	add := a.Add(m, "z")
	require.Equal(t, "{1:3}", add.Context().String())
	again := a.Add(m, "z")
	require.Equal(t, "{1:3-4}", again.Context().String(), "the new dot and the one replaced")
	remove := a.Remove("x")
	require.Equal(t, "{1:1}", remove.Context().String())
	require.Nil(t, a.Remove("nobody"))

	b := NewSet[string]()
	b.Join(a.Clone())
	a.Add(m, "w")
	answer, err := a.Since(b.Digest())
	require.NoError(t, err)
	require.Equal(t, "{1:5}", answer.Context().String())
	novelty := b.Join(answer)
	require.Equal(t, "{1:5}", novelty.Context().String())
	require.Equal(t, []string{"y", "z", "w"}, sortedOf(b))
	require.Nil(t, b.Join(a))
}

// Present on both sides is decided dot by dot.
func TestRemovedOnBothSidesByHalvesIsGone(t *testing.T) {
	t.Parallel()
	m1, m2 := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := NewSet[string](), NewSet[string]()
	d1, d2 := a.Add(m1, "x"), b.Add(m2, "x")
	// a holds x by 1.1 and has seen 2.1 removed; b the other way round.
	a.Join(SetOp[string]{Observed: d2.Dots("x")}.Effect(nil))
	b.Join(SetOp[string]{Observed: d1.Dots("x")}.Effect(nil))
	require.True(t, a.Contains("x") && b.Contains("x"))
	a.Join(b)
	require.False(t, a.Contains("x"))

	// A dominating context is no licence to take the other's elements.
	c := NewSet[string]()
	add := c.Add(m1, "y")
	c.Remove("y")
	require.True(t, c.Context().Equal(add.Context()))
	require.Nil(t, c.Join(add))
	require.False(t, c.Contains("y"))

	// Not even where every change takes a dot: a group may leave out what overruled one of its own.
	r := NewRWSet[string]()
	first := r.Remove(m1, "z")
	r.Remove(m1, "z")
	group := r.Add(m1, "z").Clone()
	group.Join(first)
	require.True(t, r.Context().Equal(group.Context()))
	require.Nil(t, r.Join(group))
	require.True(t, r.Contains("z"))
}

// Dots come from the durable counter: a context may have lost its own last dots.
func TestDotsComeFromTheMinter(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	a := NewSet[string]()
	old := a.Add(m, "x")
	other := NewSet[string]()
	other.Join(old)
	restored := NewSet[string]() // the state was lost, the counter was not
	kept, err := DecodeMinter(m.Append(nil))
	require.NoError(t, err)
	d := restored.Add(&kept, "y")
	require.Equal(t, []Dot{{1, 2}}, d.Dots("y"))
	other.Join(d)
	require.Equal(t, []string{"x", "y"}, sortedOf(other))

	// A counter that was lost is noticed where the dot is known, and not written over.
	before := other.Clone()
	require.PanicsWithError(t, (&DotReused{Dot{1, 1}}).Error(), func() { other.Add(&Minter{Actor: 1}, "z") })
	require.PanicsWithError(t, (&DotReused{Dot{1, 1}}).Error(), func() { other.Add(&Minter{Actor: 1}, "z", "w") })
	require.True(t, before.Equal(other))
	require.Panics(t, func() { (&Minter{}).Mint() })
	require.Panics(t, func() { (&Minter{Actor: 1, Next: math.MaxUint64}).Mint() })
}

// Equal stamps with different values: the bytes decide, everywhere alike.
func TestEqualStampsAreDecidedByValue(t *testing.T) {
	t.Parallel()
	codec := stringCodec()
	a, b := NewRegister(codec), NewRegister(codec)
	da, db := a.Set(7, 1, "a"), b.Set(7, 1, "b")
	require.NotNil(t, a.Join(db))
	require.Nil(t, b.Join(da))
	require.True(t, a.Equal(b))
	v, ok := a.Get()
	require.True(t, ok)
	require.Equal(t, "b", v)

	m, n := NewRegisterMap(codec, codec), NewRegisterMap(codec, codec)
	dm, dn, gone := m.Set(7, 1, "k", "a"), n.Set(7, 1, "k", "b"), NewRegisterMap(codec, codec).Remove(7, 1, "k")
	m.Join(dn)
	n.Join(dm)
	require.True(t, m.Equal(n))
	for _, replica := range []*RegisterMap[string, string]{m, n} {
		v, ok = replica.Get("k")
		require.True(t, ok)
		require.Equal(t, "b", v)
	}
	require.Nil(t, m.Join(gone), "a value wins over a tombstone of the same stamp")
	require.Nil(t, m.Remove(6, 9, "k"))
	require.NotNil(t, m.Remove(7, 2, "k"))
	require.Nil(t, m.Join(dn), "a late write does not bring the key back")
	require.Equal(t, 0, m.Len())
	require.Equal(t, 1, m.Size())
	require.EqualValues(t, 7, m.MaxTimestamp())
}

// A prepared write wins over what it replaces even when the clock is behind.
func TestPreparedWritesGoForward(t *testing.T) {
	t.Parallel()
	r := NewRegister(stringCodec())
	r.Set(100, 1, "from a fast clock")
	op := r.Prepare(RegisterOp[string]{Value: "later"}, 50)
	require.EqualValues(t, 101, op.Timestamp)
	require.NotNil(t, r.Join(op.Effect(1)))
	require.EqualValues(t, 500, r.Prepare(op, 500).Timestamp)
	r.Set(math.MaxInt64, 1, "x")
	require.EqualValues(t, math.MaxInt64, r.Prepare(op, 1).Timestamp)
	require.EqualValues(t, -5, (*Register[string])(nil).Prepare(op, -5).Timestamp)
}

// Digests that compare contexts alone miss removes.
func TestDigestsSeeRemoves(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	for _, n := range []int{1, 3, 40, 2000} {
		a, b := NewSet[int](), NewSet[int]()
		for i := range n {
			b.Join(a.Add(m, i))
		}
		for i := 0; i < n; i += 2 {
			a.Remove(i)
		}
		require.True(t, a.Context().Equal(b.Context()))
		answer, err := a.Since(b.Digest())
		require.NoError(t, err)
		require.NotNil(t, answer, "%d elements", n)
		require.Zero(t, answer.Size(), "removes carry no elements")
		b.Join(answer)
		require.True(t, a.Equal(b))
		answer, err = a.Since(b.Digest())
		require.NoError(t, err)
		require.Nil(t, answer)
	}
}

// A block records the operation: its row is only known where it is applied. Had it recorded the delta, the
// increments made in between would be lost by the maximum, or the block's.
func TestBlocksRecordCounterOperations(t *testing.T) {
	t.Parallel()
	row := CounterRow{}
	state := NewCounter()
	first := CounterOp{N: 5} // prepared, not applied yet
	state.Join(CounterOp{N: 2}.Effect(1, &row))
	state.Join(CounterOp{N: -1}.Effect(1, &row))
	recorded, err := DecodeCounterOp(first.Append(nil))
	require.NoError(t, err)
	state.Join(recorded.Effect(1, &row))
	require.EqualValues(t, 6, state.Value())
	require.Equal(t, CounterRow{P: 7, N: 1}, row)
	require.Equal(t, row, state.Row(1))
	got, err := DecodeCounterRow(row.Append(nil))
	require.NoError(t, err)
	require.Equal(t, row, got)

	c := NewCounter()
	require.Nil(t, c.Add(1, 0))
	require.Nil(t, CounterOp{}.Effect(1, &CounterRow{}))
	c.Add(1, math.MinInt64)
	require.EqualValues(t, math.MinInt64, c.Value())
	c.Add(1, math.MaxInt64)
	require.EqualValues(t, -1, c.Value())
	full := CounterRow{P: math.MaxUint64 - 1}
	CounterOp{N: 5}.Effect(2, &full)
	require.EqualValues(t, uint64(math.MaxUint64), full.P, "stops, does not wrap around")
	require.Panics(t, func() { c.Add(0, 1) })
}

// What died is never forgotten, by age or because nothing else is left: a delta that comes late, from a member
// that was away for as long as you like, would bring it back.
func TestWhatWasRemovedStaysRemoved(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	set, removed := NewSet[string](), NewSet[string]()
	late := set.Add(m, "x")
	removed.Join(late)
	removed.Join(set.Remove("x"))
	require.Nil(t, removed.Join(late))
	require.Zero(t, removed.Len())
	require.False(t, removed.IsEmpty())

	flag, off := NewEWFlag(), NewEWFlag()
	lateOn := flag.Enable(m)
	off.Join(lateOn)
	off.Join(flag.Disable())
	require.Nil(t, off.Join(lateOn))
	require.False(t, off.On())

	g, gone := NewGraph[string](), NewGraph[string]()
	lateVertex := g.AddVertex(m, "x")
	gone.Join(lateVertex)
	gone.Join(g.RemoveVertex("x"))
	require.Nil(t, gone.Join(lateVertex))
	require.False(t, gone.HasVertex("x"))

	registers := NewRegisterMap(stringCodec(), stringCodec())
	lateSet := registers.Set(7, 1, "k", "v")
	registers.Remove(8, 1, "k")
	require.Nil(t, registers.Join(lateSet))
}

// Nothing is kept for a replica that hears nothing: one digest and one answer stand in for all that it missed,
// removes included, however much that was.
func TestOneAnswerStandsInForAllThatWasMissed(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	set, keyed, up := NewSet[int](), NewORMap[int, *CounterStore](), NewResetCounter()
	away, awayKeyed, awayUp := NewSet[int](), NewORMap[int, *CounterStore](), NewResetCounter()
	for i := range 3000 {
		before := set.Add(m, i%700)
		counted := keyed.Update(i%50, count(m, 1))
		upped := up.Add(1, 1)
		if i < 900 {
			away.Join(before)
			awayKeyed.Join(counted)
			awayUp.Join(upped)
		}
		if i%3 == 0 {
			set.Remove(i % 500)
			keyed.Remove(i % 40)
			up.Reset()
		}
	}
	repairedBy(t, set, away)
	repairedBy(t, keyed, awayKeyed)
	repairedBy(t, up, awayUp)
}

func repairedBy[L Lattice[L]](t *testing.T, of, away L) {
	t.Helper()
	answer, err := of.Since(away.Digest())
	require.NoError(t, err)
	require.False(t, answer.IsEmpty())
	away.Join(answer)
	require.True(t, away.Equal(of))
	answer, err = of.Since(away.Digest())
	require.NoError(t, err)
	require.True(t, answer.IsEmpty())
}

// An effect that hangs on what a join tells happens once: what came before tells nothing, however it comes
// again, by itself, in a group or in an answer.
func TestWhatIsNewIsToldOnce(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	a, b := NewSet[string](), NewSet[string]()
	deltas := []*Set[string]{a.Add(m, "x"), a.Add(m, "y"), a.Remove("x"), a.Add(m, "y")}
	told := map[string]int{}
	hear := func(d *Set[string]) *Set[string] {
		return b.JoinTrace(d, func(e string, _ Dot) { told["+"+e]++ }, func(e string, _ Dot) { told["-"+e]++ })
	}
	for range 3 {
		group := NewSet[string]()
		for _, d := range deltas {
			hear(d)
			group.Join(d)
			require.Nil(t, hear(group))
		}
		require.Nil(t, hear(a))
	}
	require.Equal(t, map[string]int{"+x": 1, "+y": 2, "-x": 1, "-y": 1}, told)

	on := NewGFlag()
	require.NotNil(t, on.Join(NewGFlag().Enable()))
	require.Nil(t, on.Join(NewGFlag().Enable()), "no news, so nothing travels on")
}
