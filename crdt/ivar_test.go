package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
