package crdt

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
