package silo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine has the clock that counts suspension.
type machine struct {
	ran, slept time.Duration
	looks      int
}

func (m *machine) boot() (time.Duration, bool) { m.looks++; return m.ran + m.slept + time.Hour, true }

func TestLeaseClock(t *testing.T) {
	t.Parallel()
	before := time.Now()
	c := newClock(time.Now, bootTime)
	if _, ok := bootTime(); ok {
		first := c.read()
		boot, _ := bootTime()
		require.InDelta(t, float64(boot), float64(first), float64(time.Second))
	}
	last := c.read()
	for range 1000 {
		next := c.read()
		require.GreaterOrEqual(t, next, last)
		last = next
	}
	require.Less(t, last-c.last.Load().boot, time.Since(before)+time.Second)
}

// A machine that was suspended finds that its leases have run out; a clock that was set does not count.
func TestSuspensionCounts(t *testing.T) {
	t.Parallel()
	start := time.Now().Round(0) // the wall's reading alone: Sub is by the wall, as if it were the process's
	m := &machine{}
	c := newClock(func() time.Time { return start.Add(m.ran) }, m.boot)
	first := c.read()
	m.ran += time.Second
	require.Equal(t, first+time.Second, c.read())
	require.Equal(t, 1, m.looks, "time that only passes costs no system call")
	r := *c.last.Load()
	r.wall -= 10 * time.Second // as if the wall had moved on by so much since
	c.last.Store(&r)
	m.slept += 10 * time.Second
	require.Equal(t, first+11*time.Second, c.read())
	require.Equal(t, 2, m.looks)
	r = *c.last.Load()
	r.wall += time.Hour // it was set back
	c.last.Store(&r)
	require.Equal(t, first+11*time.Second, c.read())
	require.Equal(t, 3, m.looks)
}

// A process that stands still between the readings of the two clocks reads both again: the time would count
// twice, and be taken back at the next look.
func TestStandingStillInALook(t *testing.T) {
	t.Parallel()
	start := time.Now().Round(0)
	m := &machine{}
	stop := time.Duration(0)
	c := newClock(func() time.Time { return start.Add(m.ran) }, func() (time.Duration, bool) {
		m.ran += stop
		stop = 0
		return m.boot()
	})
	first := c.read()
	r := *c.last.Load()
	r.wall -= 10 * time.Second
	c.last.Store(&r)
	stop = 5 * time.Second
	c.read()
	require.Equal(t, 5*time.Second, m.ran)
	require.Equal(t, first+m.ran, c.read())
}

func BenchmarkLeaseClock(b *testing.B) {
	now := leaseClock(false)
	for b.Loop() {
		now()
	}
}
