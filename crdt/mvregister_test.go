package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
