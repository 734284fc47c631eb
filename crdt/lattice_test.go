package crdt

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	_ Lattice[*Set[string]]                 = (*Set[string])(nil)
	_ Lattice[*Counter]                     = (*Counter)(nil)
	_ Lattice[*Register[string]]            = (*Register[string])(nil)
	_ Lattice[*RegisterMap[string, string]] = (*RegisterMap[string, string])(nil)
	_ Lattice[*MVRegister[[]byte]]          = (*MVRegister[[]byte])(nil)
	_ Lattice[*IVar[[]byte]]                = (*IVar[[]byte])(nil)
	_ Lattice[*MaxRegister[[]byte]]         = (*MaxRegister[[]byte])(nil)
	_ Lattice[*MinRegister[[]byte]]         = (*MinRegister[[]byte])(nil)
	_ Lattice[*GFlag]                       = (*GFlag)(nil)
	_ Lattice[*EWFlag]                      = (*EWFlag)(nil)
	_ Lattice[*DWFlag]                      = (*DWFlag)(nil)
	_ Lattice[*GSet[string]]                = (*GSet[string])(nil)
	_ Lattice[*TwoPhaseSet[string]]         = (*TwoPhaseSet[string])(nil)
	_ Lattice[*RWSet[string]]               = (*RWSet[string])(nil)
)

func requireJSON(t *testing.T, want string, v json.Marshaler) {
	t.Helper()
	got, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// requireNilReads reads a nil state by every method that Lattice has.
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

// What logs, sizes and readers see of states that do not say it elsewhere.
func TestSizesAndForms(t *testing.T) {
	t.Parallel()
	codec, m := stringCodec(), &Minter{Actor: 1}
	r := NewRegister(codec)
	require.Zero(t, r.Size())
	r.Set(7, 3, "x")
	require.Equal(t, 1, r.Size())
	require.Equal(t, Actor(3), r.Actor())
	requireJSON(t, `"x"`, r)
	requireJSON(t, `null`, NewRegister(codec))
	registers := NewRegisterMap(codec, codec)
	requireJSON(t, `[]`, registers)
	registers.Set(1, 1, "b", "2")
	registers.Set(1, 1, "a", "1")
	registers.Set(1, 1, "c", "3")
	registers.Remove(2, 1, "c")
	requireJSON(t, `[{"key":"a","value":"1"},{"key":"b","value":"2"}]`, registers)
	set := NewSet[string]()
	set.Add(m, "y", "x")
	requireJSON(t, `["y","x"]`, set)
	require.Zero(t, (*Register[string])(nil).Actor())
	require.Zero(t, (*Register[string])(nil).Timestamp())

	mv := NewMVRegister(codec)
	mv.Set(m, "a")
	mv.Join(NewMVRegister(codec).Set(&Minter{Actor: 2}, "b"))
	require.Equal(t, 2, mv.Len())

	g := NewGSet(codec)
	g.Add("a")
	require.True(t, g.Contains("a"))
	require.False(t, g.Contains("b") || (*GSet[string])(nil).Contains("a"))

	counts := seedCountersMap()
	require.Equal(t, 3, counts.Size())
	requireJSON(t, `[{"key":"","value":-50},{"key":"a","value":50},{"key":"b","value":150}]`, counts)
}
