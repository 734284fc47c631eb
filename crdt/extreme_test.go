package crdt

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

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
