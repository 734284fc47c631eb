package crdt

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

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
