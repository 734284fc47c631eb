package crdt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	_ Lattice[*MVRegister[[]byte]]  = (*MVRegister[[]byte])(nil)
	_ Lattice[*IVar[[]byte]]        = (*IVar[[]byte])(nil)
	_ Lattice[*MaxRegister[[]byte]] = (*MaxRegister[[]byte])(nil)
	_ Lattice[*MinRegister[[]byte]] = (*MinRegister[[]byte])(nil)
	_ Lattice[*GFlag]               = (*GFlag)(nil)
	_ Lattice[*EWFlag]              = (*EWFlag)(nil)
	_ Lattice[*DWFlag]              = (*DWFlag)(nil)
	_ Lattice[*GSet[string]]        = (*GSet[string])(nil)
	_ Lattice[*TwoPhaseSet[string]] = (*TwoPhaseSet[string])(nil)
	_ Lattice[*RWSet[string]]       = (*RWSet[string])(nil)
)

func requireJSON(t *testing.T, want string, v json.Marshaler) {
	t.Helper()
	got, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// requireRead reads a nil state by every method that Lattice has.
func requireNilReads[L Lattice[L]](t *testing.T, some L) {
	t.Helper()
	var none L
	require.True(t, none.IsEmpty() && none.Clone().IsEmpty())
	require.True(t, none.Equal(none.Clone()) && none.LessOrEqual(some) && !some.LessOrEqual(none) && !some.Equal(none))
	require.Zero(t, none.Size())
	require.Empty(t, none.Parts())
	require.NotEmpty(t, none.String())
	require.Equal(t, none.Hash(), none.Clone().Hash())
	answer, err := some.Since(none.Digest())
	require.NoError(t, err)
	require.True(t, answer.Equal(some))
	answer, err = none.Since(some.Digest())
	require.NoError(t, err)
	require.True(t, answer.IsEmpty())
	zero := none.Clone()
	require.True(t, zero.Join(none).IsEmpty())
	require.True(t, zero.Join(some).Equal(some) && zero.Equal(some), "a zero state takes what it needs from what is joined")
	require.Equal(t, zero.Hash(), some.Hash())
	require.Equal(t, zero.String(), some.String())
}

func TestNilStatesCanBeRead(t *testing.T) {
	t.Parallel()
	codec, m := stringCodec(), &Minter{Actor: 1}
	ivar, err := NewIVar(codec).Set("x")
	require.NoError(t, err)
	requireNilReads(t, ivar)
	requireNilReads(t, NewMVRegister(codec).Set(m, "x"))
	requireNilReads(t, NewMaxRegister(codec).Set("x"))
	requireNilReads(t, NewMinRegister(codec).Set("x"))
	requireNilReads(t, NewGFlag().Enable())
	requireNilReads(t, NewEWFlag().Enable(m))
	requireNilReads(t, NewDWFlag().Enable(m))
	requireNilReads(t, NewGSet(codec).Add("x"))
	requireNilReads(t, NewTwoPhaseSet(codec).Add("x"))
	requireNilReads(t, NewRWSet[string]().Add(m, "x"))
	require.Empty(t, slices.Collect((*GSet[string])(nil).All()))
	require.Empty(t, slices.Collect((*RWSet[string])(nil).All()))
	require.Empty(t, (*MVRegister[string])(nil).Values())
	require.False(t, (*DWFlag)(nil).On() || (*EWFlag)(nil).On() || (*GFlag)(nil).On())
	require.False(t, (*TwoPhaseSet[string])(nil).Removed("x") || (*TwoPhaseSet[string])(nil).Contains("x"))
	_, ok := (*MaxRegister[string])(nil).Get()
	require.False(t, ok)
}

func TestMVRegisterKeepsConcurrentValues(t *testing.T) {
	t.Parallel()
	a, b := NewMVRegister(stringCodec()), NewMVRegister(stringCodec())
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	b.Join(a.Set(ma, "old"))
	da, db := a.Set(ma, "left"), b.Set(mb, "right")
	a.Join(db)
	b.Join(da)
	require.Equal(t, []string{"left", "right"}, a.Values())
	require.True(t, a.Equal(b))
	require.Equal(t, "MVRegister[left | right]{1:1-2 2:1}", a.String())
	requireJSON(t, `["left","right"]`, a)
	same := b.Set(mb, "both")
	a.Join(same)
	require.Equal(t, []string{"both"}, a.Values())
	require.NotNil(t, a.Clear())
	require.Nil(t, a.Clear())
	require.Empty(t, a.Values())
	requireJSON(t, `[]`, a)
	require.Equal(t, `MVRegister["x"]{1:1}`, (&MVRegister[string]{set: *NewSet[string]().Add(&Minter{Actor: 1}, "x")}).String())

	before := b.Clone()
	require.PanicsWithError(t, (&DotReused{Dot{1, 1}}).Error(), func() { b.Set(&Minter{Actor: 1}, "z") })
	require.True(t, before.Equal(b))
	require.Panics(t, func() { (&MVRegister[string]{}).Set(ma, "no codec") })
}

// Two values written apart are a conflict for good; a value is never lost by order of arrival.
func TestIVarConflictIsTop(t *testing.T) {
	t.Parallel()
	a, b := NewIVar(stringCodec()), NewIVar(stringCodec())
	_, ok, err := a.Get()
	require.NoError(t, err)
	require.False(t, ok)
	requireJSON(t, `null`, a)
	da, err := a.Set("x")
	require.NoError(t, err)
	again, err := a.Set("x")
	require.NoError(t, err)
	require.Nil(t, again)
	requireJSON(t, `"x"`, a)

	_, err = a.Set("y")
	var conflict *IVarConflict
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, IVarConflict{Held: "x", Written: "y"}, *conflict)
	require.ErrorContains(t, err, "holds x: refused to write y")
	v, ok, err := a.Get()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "x", v, "a refused write changes nothing")

	db, err := b.Set("y")
	require.NoError(t, err)
	require.NotNil(t, a.Join(db))
	require.NotNil(t, b.Join(da))
	require.True(t, a.Equal(b) && a.InConflict())
	for _, x := range []*IVar[string]{a, b} {
		_, _, err = x.Get()
		require.ErrorAs(t, err, &conflict)
		_, err = x.Set("x")
		require.ErrorAs(t, err, &conflict)
		require.ErrorContains(t, err, "different replicas")
	}
	require.Nil(t, a.Join(da))
	requireJSON(t, `{"conflict":true}`, a)
	require.Equal(t, "IVar(conflict)", a.String())
}

func TestMaxAndMinRegisters(t *testing.T) {
	t.Parallel()
	most, least := NewMaxRegister(uintCodec()), NewMinRegister(uintCodec())
	requireJSON(t, `null`, most)
	for _, v := range []uint64{5, 3, 9, 9, 4} {
		most.Set(v)
		least.Set(v)
	}
	high, _ := most.Get()
	low, _ := least.Get()
	require.Equal(t, []uint64{9, 3}, []uint64{high, low})
	require.Nil(t, most.Set(9))
	require.Nil(t, least.Set(4))
	require.Equal(t, "MaxRegister(9) MinRegister(3)", fmt.Sprint(most, " ", least))
	requireJSON(t, `9`, most)
	requireJSON(t, `3`, least)
	require.Panics(t, func() {
		new(MaxRegister[uint64]).Join(new(MaxRegister[uint64]).Set(1))
		new(MaxRegister[uint64]).Set(1).LessOrEqual(new(MaxRegister[uint64]).Set(2))
	})

	// An order that answers with the smallest int, which has no negative.
	extremeOrder := func(a, b string) int {
		if a < b {
			return math.MinInt
		}
		return math.MaxInt * boolInt(a > b)
	}
	r := NewMinRegisterFunc(stringCodec(), extremeOrder)
	r.Set("b")
	require.NotNil(t, r.Set("a"))
	require.Nil(t, r.Set("c"))
}

// Values that an order calls equal are decided by their bytes, not by order of arrival.
func TestEqualExtremesAreDecidedByBytes(t *testing.T) {
	t.Parallel()
	byLength := func(a, b string) int { return len(a) - len(b) }
	a, b := NewMaxRegisterFunc(stringCodec(), byLength), NewMaxRegisterFunc(stringCodec(), byLength)
	da, db := a.Set("left"), b.Set("wide")
	a.Join(db)
	b.Join(da)
	require.True(t, a.Equal(b))
	v, _ := a.Get()
	require.Equal(t, "wide", v)
	c, d := NewMinRegisterFunc(stringCodec(), byLength), NewMinRegisterFunc(stringCodec(), byLength)
	dc, dd := c.Set("left"), d.Set("wide")
	c.Join(dd)
	d.Join(dc)
	require.True(t, c.Equal(d))
	v, _ = c.Get()
	require.Equal(t, "left", v)
}

func TestFlagsDecideConcurrentChanges(t *testing.T) {
	t.Parallel()
	m, n := &Minter{Actor: 1}, &Minter{Actor: 2}
	ea, eb := NewEWFlag(), NewEWFlag()
	eb.Join(ea.Enable(m))
	off, on := ea.Disable(), eb.Enable(n)
	ea.Join(on)
	eb.Join(off)
	require.True(t, ea.On() && eb.On() && ea.Equal(eb), "the enable was not seen by the disable")
	require.Nil(t, NewEWFlag().Disable())
	requireJSON(t, `true`, ea)
	require.Equal(t, "EWFlag(true){1:1 2:1}", ea.String())

	da, db := NewDWFlag(), NewDWFlag()
	db.Join(da.Enable(m))
	off2, on2 := da.Disable(m), db.Enable(n)
	da.Join(on2)
	db.Join(off2)
	require.False(t, da.On() || db.On(), "the disable was not seen by the enable")
	require.NotNil(t, NewDWFlag().Disable(m), "a disable of what is off must still win over an enable elsewhere")
	da.Enable(m)
	require.True(t, da.On(), "this enable saw the disable")
	requireJSON(t, `true`, da)
	require.Panics(t, func() { db.Enable(&Minter{Actor: 1, Next: 1}) }, "1.2 was minted before")

	g := NewGFlag()
	requireJSON(t, `false`, g)
	require.NotNil(t, g.Enable())
	require.Nil(t, g.Enable())
	require.Equal(t, "GFlag(true)", g.String())
}

// Blocks record what they saw, not dots of their own: those belong to who applies the entry.
func TestBlocksRecordFlagAndRegisterOperations(t *testing.T) {
	t.Parallel()
	m, group := &Minter{Actor: 1}, &Minter{Actor: 100}
	f := NewDWFlag()
	f.Disable(m)
	op, err := DecodeFlagOp(f.Prepare(FlagOp{On: true}).Append(nil))
	require.NoError(t, err)
	require.Equal(t, []Dot{{1, 1}}, op.Observed)
	late := f.Disable(m) // after Prepare: the block did not see it
	require.NotNil(t, late)
	f.Join(op.EffectDW(group))
	require.False(t, f.On())

	e := NewEWFlag()
	e.Enable(m)
	offOp := e.Prepare(FlagOp{})
	e.Enable(m)
	e.Join(offOp.EffectEW(nil))
	require.True(t, e.On())

	r := NewMVRegister(stringCodec())
	r.Set(m, "seen")
	rop := r.Prepare(MVRegisterOp[string]{Value: "block"})
	rop, err = DecodeMVRegisterOp(AppendMVRegisterOp(nil, rop, stringCodec()), stringCodec())
	require.NoError(t, err)
	other := NewMVRegister(stringCodec())
	other.Join(r)
	r.Join(NewMVRegister(stringCodec()).Set(&Minter{Actor: 50}, "meanwhile"))
	r.Join(rop.Effect(group))
	require.Equal(t, []string{"meanwhile", "block"}, r.Values())

	s := NewRWSet[string]()
	s.Remove(m, "x")
	sop := s.Prepare(RWSetOp[string]{Add: []string{"x", "y"}, Remove: []string{"y", "z"}})
	sop, err = DecodeRWSetOp(AppendRWSetOp(nil, sop, stringCodec()), stringCodec())
	require.NoError(t, err)
	require.False(t, sop.IsZero())
	s.Join(sop.Effect(group))
	require.Equal(t, []string{"x", "y"}, slices.Sorted(s.All()))
	_, removes := s.Dots("z")
	require.Len(t, removes, 1, "z is removed though nobody had added it")
	require.Nil(t, RWSetOp[string]{}.Effect(nil))
	require.True(t, RWSetOp[string]{}.IsZero())
}

// A remove is an event of its own: as the mere end of what it saw it would lose to the add beside it.
func TestRemovesOfRWSetWin(t *testing.T) {
	t.Parallel()
	a, b := NewRWSet[string](), NewRWSet[string]()
	m, n := &Minter{Actor: 1}, &Minter{Actor: 2}
	add, remove := a.Add(m, "x"), b.Remove(n, "x") // b does not even have it
	a.Join(remove)
	b.Join(add)
	require.False(t, a.Contains("x") || b.Contains("x"))
	require.True(t, a.Equal(b))
	require.Zero(t, a.Len())
	require.Equal(t, 2, a.Size())
	b.Join(a.Add(m, "x", "y", "x"))
	require.True(t, b.Contains("x"), "this add saw the remove")
	require.Equal(t, []string{"x", "y"}, slices.Collect(b.All()))
	requireJSON(t, `["x","y"]`, b)
	require.Equal(t, "RWSet(2)[x y]{1:1-3 2:1}", b.String())
	require.Nil(t, a.Add(m))
	require.Nil(t, a.Remove(m))
	require.NotNil(t, b.Clear(n))
	require.Nil(t, b.Clear(n))
	require.Panics(t, func() { b.Add(&Minter{Actor: 1}, "z") })

	many := NewRWSet[int]()
	delta := RWSetOp[int]{Add: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}}.Effect(m)
	require.Equal(t, 18, delta.Len(), "a large delta is read too")
	many.Join(delta)
	require.Contains(t, many.String(), "…")
	for _, found := range []bool{many.Contains(18), !many.Contains(19)} {
		require.True(t, found)
	}
}

func TestGrowingSets(t *testing.T) {
	t.Parallel()
	g := NewGSet(stringCodec())
	require.Equal(t, 2, g.Add("b", "a", "b").Len())
	require.Nil(t, g.Add("a"))
	require.Equal(t, []string{"a", "b"}, slices.Collect(g.All()))
	requireJSON(t, `["a","b"]`, g)
	require.Equal(t, "GSet(2)[a b]", g.String())
	for e := range g.All() {
		require.Equal(t, "a", e)
		break
	}

	s := NewTwoPhaseSet(stringCodec())
	require.Nil(t, s.Remove("x"), "not there, so it can still come")
	add := s.Add("x", "y")
	remove := s.Remove("x")
	require.Equal(t, 1, remove.Size())
	require.Nil(t, s.Add("x"))
	require.True(t, s.Removed("x") && !s.Contains("x") && s.Contains("y"))
	require.Equal(t, "TwoPhaseSet(1, 1 removed)[y]", s.String())
	late := NewTwoPhaseSet(stringCodec())
	late.Join(remove)
	late.Join(add)
	require.True(t, late.Equal(s), "a remove that comes before its add holds")
	requireJSON(t, `["y"]`, late)
	require.Panics(t, func() { new(GSet[string]).Add("no codec").Hash() })
	var names []int
	many := NewGSet(Codec[int]{Append: func(b []byte, v int) []byte { return append(b, byte(v)) }})
	for i := range 40 {
		names = append(names, i)
	}
	many.Add(names...)
	require.Contains(t, many.String(), "…")
}

// Digests of sets with equal elements must tell which of them were removed.
func TestDigestsSeeRemovesOfTwoPhaseSets(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{1, 5, 256, 257, 5000} {
		a := NewTwoPhaseSet(uintCodec())
		for e := range n {
			a.Add(e)
		}
		b := a.Clone()
		toA, toB := repair(t, a, b)
		require.True(t, toA == nil && toB == nil)
		a.Remove(0)
		_, toB = repair(t, a, b)
		require.NotNil(t, toB)
		require.LessOrEqual(t, toB.Size(), 4*bucketEntries)
		require.False(t, b.Contains(0))
		require.Less(t, len(a.Digest()), 256*8+20+int(n))
	}
}

// A clock that is far ahead must neither win nor spread; one that stands or goes back must not lose writes.
func TestHLCBoundsDrift(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	now := 1_700_000_000 * second
	c := HLC{MaxDrift: 2 * time.Second}
	first, err := c.Now(now)
	require.NoError(t, err)
	require.Equal(t, now, first)
	for i := int64(1); i <= 3; i++ { // the clock stands, then goes back within bounds
		ts, err := c.Now(now - i*second/2)
		require.NoError(t, err)
		require.Equal(t, first+i, ts)
	}

	var drift *ClockDrift
	err = c.Observe(now, now+2*second+1)
	require.ErrorAs(t, err, &drift)
	require.Equal(t, ClockDrift{Timestamp: now + 2*second + 1, Wall: now, MaxDrift: 2 * time.Second}, *drift)
	require.ErrorContains(t, err, "2.000000001s ahead of this clock, allowed are 2s")
	require.Error(t, c.Check(now, math.MaxInt64))
	require.Equal(t, first+3, c.Last, "what is refused leaves no trace")
	require.NoError(t, c.Observe(now, now+2*second))
	ts, err := c.Now(now + 1)
	require.NoError(t, err)
	require.Equal(t, now+2*second+1, ts, "a write wins over what was seen")
	require.NoError(t, c.Observe(now+second, 5), "the past is welcome and changes nothing")
	require.Equal(t, ts, c.Last)

	_, err = c.Now(now - second) // the clock went back too far
	require.ErrorAs(t, err, &drift)
	require.True(t, drift.Local)
	require.ErrorContains(t, err, "set the clock")
	require.Equal(t, ts, c.Last)

	restarted, err := DecodeHLC(c.Append(nil))
	require.NoError(t, err)
	require.Equal(t, HLC{Last: c.Last}, restarted)
	next, err := restarted.Now(now + 2*second)
	require.NoError(t, err)
	require.Equal(t, ts+1, next, "a restart does not go back")

	var zero HLC
	require.NoError(t, zero.Observe(now, now+int64(DefaultMaxDrift)))
	require.Error(t, zero.Observe(now, now+int64(DefaultMaxDrift)+1))
	end := HLC{Last: math.MaxInt64}
	_, err = end.Now(math.MaxInt64)
	require.Error(t, err, "there is no later timestamp")
	require.NoError(t, end.Check(math.MaxInt64, math.MaxInt64))
	_, err = zero.Now(math.MinInt64)
	require.ErrorAs(t, err, &drift)
	require.NotEmpty(t, err.Error())

	// With a register: writes by the helper win over what their writer has seen, on any clock.
	r := NewRegister(stringCodec())
	fast, slow := HLC{}, HLC{}
	ts, err = fast.Now(now + second/2)
	require.NoError(t, err)
	r.Set(ts, 1, "fast")
	require.NoError(t, slow.Observe(now, r.Timestamp()))
	ts, err = slow.Now(now)
	require.NoError(t, err)
	require.NotNil(t, r.Set(ts, 2, "after it, by a slower clock"))
}

func TestGoldenEncodings(t *testing.T) {
	t.Parallel()
	codec, m, n := stringCodec(), &Minter{Actor: 1}, &Minter{Actor: 300, Next: 1000}
	golden := func(name string, enc, digest []byte) {
		requireGolden(t, name, enc)
		requireGolden(t, name+"-digest", digest)
	}

	mv := NewMVRegister(codec)
	mv.Set(m, "old")
	right := mv.Clone()
	mv.Set(m, "left")
	mv.Join(right.Set(n, "right"))
	golden("MVRegister-two", mv.Append(nil), mv.Digest())
	require.Equal(t, mv.EncodedSize(), len(mv.Append(nil)))
	requireGolden(t, "MVRegisterOp-write", AppendMVRegisterOp(nil, mv.Prepare(MVRegisterOp[string]{Value: "v"}), codec))
	requireGolden(t, "MVRegisterOp-clear", AppendMVRegisterOp(nil, mv.Prepare(MVRegisterOp[string]{Clear: true}), codec))

	x, y := NewIVar(codec), NewIVar(codec)
	_, err := x.Set("value")
	require.NoError(t, err)
	_, err = y.Set("other")
	require.NoError(t, err)
	golden("IVar-value", x.Append(nil, codec), x.Digest())
	y.Join(x)
	golden("IVar-conflict", y.Append(nil, codec), y.Digest())
	require.Equal(t, x.EncodedSize(codec), len(x.Append(nil, codec)))

	most, least := NewMaxRegister(uintCodec()), NewMinRegister(uintCodec())
	most.Set(300)
	least.Set(0)
	golden("MaxRegister-value", most.Append(nil, uintCodec()), most.Digest())
	golden("MinRegister-value", least.Append(nil, uintCodec()), least.Digest())
	require.Equal(t, most.EncodedSize(uintCodec()), least.EncodedSize(uintCodec())+1)

	on := NewGFlag()
	on.Enable()
	golden("GFlag-on", on.Append(nil), on.Digest())
	require.Equal(t, 4, on.EncodedSize())

	ew := NewEWFlag()
	ew.Enable(m)
	ew.Disable()
	ew.Enable(n)
	golden("EWFlag-on", ew.Append(nil), ew.Digest())
	dw := NewDWFlag()
	dw.Enable(m)
	dw.Join(NewDWFlag().Disable(n))
	golden("DWFlag-off", dw.Append(nil), dw.Digest())
	require.Equal(t, dw.EncodedSize(), len(dw.Append(nil)))
	require.Equal(t, ew.EncodedSize(), len(ew.Append(nil)))
	requireGolden(t, "FlagOp-on", dw.Prepare(FlagOp{On: true}).Append(nil))

	g, two := NewGSet(codec), NewTwoPhaseSet(codec)
	g.Add("b", "", "a")
	two.Add("b", "", "a")
	two.Remove("b", "")
	golden("GSet-three", g.Append(nil, codec), g.Digest())
	golden("TwoPhaseSet-three", two.Append(nil, codec), two.Digest())
	require.Equal(t, g.EncodedSize(codec), two.EncodedSize(codec))
	many := NewTwoPhaseSet(uintCodec())
	for e := range uint64(260) {
		many.Add(e)
	}
	many.Remove(7)
	requireGolden(t, "TwoPhaseSet-many-digest", many.Digest())

	rw := NewRWSet[string]()
	rw.Add(m, "a", "b")
	rw.Remove(n, "b", "c")
	golden("RWSet-three", rw.Append(nil, codec), rw.Digest())
	require.Equal(t, rw.EncodedSize(codec), len(rw.Append(nil, codec)))
	requireGolden(t, "RWSetOp", AppendRWSetOp(nil, rw.Prepare(RWSetOp[string]{Add: []string{"c"}, Remove: []string{"a"}}), codec))

	requireGolden(t, "HLC", (&HLC{Last: 1_700_000_000_000_000_001}).Append(nil))
}

func TestOnlyCanonicalBytesOfRegistersDecode(t *testing.T) {
	t.Parallel()
	const v = "\x08\x01"
	const ctx = v + "\x12\x08\x0a\x06\x08\x01\x12\x02\x00\x04" // 1:1-5
	str := stringCodec()
	gset := func(b []byte) error { _, err := DecodeGSet(b, str); return err }
	two := func(b []byte) error { _, err := DecodeTwoPhaseSet(b, str); return err }
	hashes := func(b []byte) error { _, err := NewGSet(str).Since(b); return err }
	rw := func(b []byte) error { _, err := DecodeRWSet(b, str); return err }
	mv := func(b []byte) error { _, err := DecodeMVRegister(b, uintCodec()); return err }
	ew := func(b []byte) error { _, err := DecodeEWFlag(b); return err }
	dw := func(b []byte) error { _, err := DecodeDWFlag(b); return err }
	causal := func(b []byte) error { _, err := NewEWFlag().Since(b); return err }
	ivar := func(b []byte) error { _, err := DecodeIVar(b, str); return err }
	ivarDigest := func(b []byte) error { _, err := NewIVar(str).Since(b); return err }
	gflag := func(b []byte) error { _, err := DecodeGFlag(b); return err }
	most := func(b []byte) error { _, err := DecodeMaxRegister(b, uintCodec()); return err }
	rwOp := func(b []byte) error { _, err := DecodeRWSetOp(b, str); return err }
	mvOp := func(b []byte) error { _, err := DecodeMVRegisterOp(b, str); return err }
	flagOp := func(b []byte) error { _, err := DecodeFlagOp(b); return err }
	hlc := func(b []byte) error { _, err := DecodeHLC(b); return err }
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		bytes  string
		reason string // "" when the bytes are good
	}{
		{"elements", gset, v + "\x12\x00\x12\x01a", ""},
		{"elements out of order", gset, v + "\x12\x01b\x12\x01a", "not in order"},
		{"element twice", gset, v + "\x12\x01b\x12\x01b", "not in order"},
		{"remove in a grow-only set", gset, v + "\x1a\x01b", "unknown field 3"},
		{"removes", two, v + "\x12\x01b\x1a\x01a", ""},
		{"added and removed", two, v + "\x12\x01b\x1a\x01b", "comes twice"},
		{"hashes out of order", hashes, v + "\x12\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "not in order"},
		{"half a hash", hashes, v + "\x12\x04\x01\x00\x00\x00", "4 bytes"},
		{"no hash", hashes, v + "\x12\x00", "0 bytes"},
		{"buckets missing", hashes, v + "\x20\x01", "missing"},
		{"too many buckets", hashes, v + "\x20\x3f", "buckets"},
		{"too few buckets", hashes, v + "\x20\x02\x2a\x08\x00\x00\x00\x00\x00\x00\x00\x00", "1 words for 2^2"},
		{"digest field 6", hashes, v + "\x30\x01", "unknown"},
		{"mark", rw, ctx + "\x1a\x0a\x08\x01\x12\x01\x04\x1a\x03\x12\x01a", ""},
		{"mark without element", rw, ctx + "\x1a\x09\x08\x01\x12\x01\x04\x1a\x02\x08\x01", "element is missing"},
		{"mark field 3", rw, ctx + "\x1a\x09\x08\x01\x12\x01\x04\x1a\x02\x18\x01", "unknown"},
		{"removed is 2", rw, ctx + "\x1a\x0c\x08\x01\x12\x01\x04\x1a\x05\x08\x02\x12\x01a", "want 1"},
		{"a register's value", mv, ctx + "\x1a\x08\x08\x01\x12\x01\x04\x1a\x01\x07", ""},
		{"a register's bad value", mv, ctx + "\x1a\x07\x08\x01\x12\x01\x04\x1a\x00", "not a varint"},
		{"live enable", ew, ctx + "\x1a\x05\x08\x01\x12\x01\x04", ""},
		{"unseen enable", ew, ctx + "\x1a\x05\x08\x01\x12\x01\x05", "not in the context"},
		{"disable in an enable-wins flag", ew, ctx + "\x22\x05\x08\x01\x12\x01\x04", "unknown field 4"},
		{"live disable", dw, ctx + "\x22\x05\x08\x01\x12\x01\x04", ""},
		{"dot of both", dw, ctx + "\x1a\x05\x08\x01\x12\x01\x04\x22\x05\x08\x01\x12\x01\x04", "both enables and disables"},
		{"digest", causal, ctx + "\x1a\x05\x08\x01\x12\x01\x04", ""},
		{"digest of unseen dots", causal, ctx + "\x1a\x05\x08\x01\x12\x01\x05", "not in the context"},
		{"digest field 4", causal, ctx + "\x20\x01", "unknown"},
		{"conflict", ivar, v + "\x18\x01", ""},
		{"conflict with a value", ivar, v + "\x12\x01a\x18\x01", "with a value"},
		{"conflict 2", ivar, v + "\x18\x02", "want 1"},
		{"ivar field 4", ivar, v + "\x20\x02", "unknown"},
		{"digest of conflict with a value", ivarDigest, v + "\x11\x00\x00\x00\x00\x00\x00\x00\x00\x18\x01", "with a value"},
		{"ivar digest field 4", ivarDigest, v + "\x20\x02", "unknown"},
		{"off", gflag, v, ""},
		{"off, said", gflag, v + "\x10\x00", "left out"},
		{"flag field 3", gflag, v + "\x18\x01", "unknown"},
		{"largest", most, v + "\x12\x01\x05", ""},
		{"bad largest", most, v + "\x12\x00", "not a varint"},
		{"register field 3", most, v + "\x18\x01", "unknown"},
		{"set operation", rwOp, v + "\x12\x01a", ""},
		{"set operation field 5", rwOp, v + "\x28\x01", "unknown"},
		{"register operation field 5", mvOp, v + "\x28\x01", "unknown"},
		{"flag operation field 5", flagOp, v + "\x28\x01", "unknown"},
		{"clock field 5", hlc, v + "\x28\x01", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.decode([]byte(c.bytes))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			var e *DecodeError
			require.True(t, errors.As(err, &e), "%v", err)
			require.ErrorContains(t, err, c.reason)
		})
	}
	_, err := DecodeRWSet([]byte(ctx+"\x1a\x05\x08\x01\x12\x01\x04"), str)
	require.ErrorContains(t, err, "decode RWSet at", "errors name the type that was decoded")
	require.ErrorContains(t, err, "decode RWSet.Row at")
}
