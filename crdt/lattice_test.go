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
