package commit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func (c *turnstileCheck) share(want bool, call, within CallID, signals ...Signal) {
	c.Helper()
	got, out := c.Share(call, within)
	require.Equal(c, want, got)
	c.signals(out, signals...)
}

func (c *turnstileCheck) alone(want bool, call CallID, signals ...Signal) {
	c.Helper()
	got, out := c.Alone(call)
	require.Equal(c, want, got)
	c.signals(out, signals...)
}

func TestCallsThatReadShareTheTurn(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.share(true, 1, 0)
	c.share(true, 2, 0)
	require.True(t, c.Running())
	require.False(t, c.Idle())
	c.arrive(false, 3, Holder{})
	c.share(false, 4, 0) // or a stream of them would keep 3 waiting
	c.share(false, 5, 0)
	c.arrive(false, 6, Holder{})
	c.share(false, 7, 0)
	c.signals(c.Leave(2))
	c.signals(c.Leave(1), grant(3))
	c.signals(c.Leave(3), grant(4), grant(5)) // 7 does not overtake 6
	c.signals(c.Leave(4))
	c.signals(c.Leave(5), grant(6))
	c.signals(c.Cancel(7))
	c.signals(c.Leave(6))
	require.True(t, c.Blank())
}

// Who waits until a lock is free keeps no reader from a turn that it could not have itself.
func TestReadersPassWhoWaitsForTheLock(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	holder, old := block(5, 1), block(7, 1)
	c.arrive(true, 1, holder)
	c.lockFor(true, 1, holder)
	c.signals(c.Leave(1))
	c.arrive(false, 2, old)
	c.share(true, 3, 0)
	c.share(true, 4, 0)
	c.signals(c.Release(holder.Attempt)) // 2 could run now, but for 3 and 4
	c.share(false, 5, 0)
	c.signals(c.Leave(3))
	c.signals(c.Leave(4), grant(2))
	c.signals(c.Leave(2), grant(5))
}

// A chain of calls that only read comes back to a grain where another waits for its first: it joins that.
func TestAReaderThatComesBackDoesNotWait(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.share(true, 1, 0)
	c.arrive(false, 2, Holder{})
	c.share(true, 3, 1)
	c.signals(c.Leave(1))
	c.share(true, 4, 3)
	c.share(false, 5, 1) // 1 has left
	c.signals(c.Leave(3))
	c.signals(c.Leave(4), grant(2))
	c.share(true, 6, 2) // inside of a turn that is not shared
	c.signals(c.Leave(2))
	c.signals(c.Leave(6), grant(5))
}

func TestAReaderMakesTheTurnItsOwn(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.share(true, 1, 0)
	c.alone(true, 1) // nobody else is there
	c.alone(true, 1)
	c.share(false, 2, 0)
	c.signals(c.Leave(1), grant(2))

	c.share(true, 3, 0)
	c.alone(false, 2) // 3 has it too
	c.alone(false, 3, grant(2))
	c.signals(c.OpenBlock(2, block(9, 1)))
	c.arrive(false, 4, block(1, 1), wound(block(9, 1)))
	c.signals(c.Release(block(9, 1).Attempt))
	granted, out := c.Yield(2, block(9, 2))
	require.False(t, granted)
	c.signals(out, grant(3)) // it waits as a plain call does, and nobody overtakes it
	c.signals(c.Leave(3), grant(4))
	c.signals(c.Leave(4), grant(2))
	c.signals(c.Leave(2))
	c.alone(false, 2, refused(2))
	require.True(t, c.Idle())
}

// Before the grain is activated, calls that read have the turn one by one.
func TestAColdTurnIsNotShared(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.Cold()
	c.share(true, 1, 0)
	c.share(false, 2, 0)
	c.share(false, 3, 0)
	c.signals(c.Leave(1), grant(2)) // it did not activate the grain
	c.arrive(false, 4, Holder{})
	c.share(false, 5, 0)
	c.signals(c.Warm(), grant(3))
	c.signals(c.Leave(2))
	c.signals(c.Leave(3), grant(4))
	c.signals(c.Leave(4), grant(5))
	c.signals(c.Leave(5))
	require.True(t, c.Blank())

	c.Cold()
	c.arrive(true, 6, Holder{})
	c.signals(c.Warm()) // 6 does not share
	c.share(false, 7, 0)
}

func TestPasses(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	passes := func(alone, share bool) {
		t.Helper()
		require.Equal(t, alone, c.Passes(Holder{}, 0, false))
		require.Equal(t, share, c.Passes(Holder{}, 0, true))
	}
	passes(true, true)
	c.share(true, 1, 0)
	passes(false, true)
	c.arrive(false, 2, Holder{})
	passes(false, false)
	require.True(t, c.Passes(Holder{}, 1, true), "it comes back")
	c.signals(c.Leave(1), grant(2))
	passes(false, false)
	c.signals(c.Leave(2))

	c.arrive(true, 3, block(1, 1))
	c.lockFor(true, 3, block(1, 1))
	c.signals(c.Leave(3))
	c.arrive(false, 4, block(2, 1))
	require.False(t, c.Passes(block(3, 1), 0, false))
	passes(true, true)
}

// A long queue is worked off without memory for each who waits, and nobody is lost on the way.
func TestALongQueue(t *testing.T) {
	var ts Turnstile
	next := CallID(1)
	granted, _ := ts.Arrive(next, Holder{}, 0)
	require.True(t, granted)
	for range 100 {
		next++
		_, _ = ts.Arrive(next, Holder{}, 0)
	}
	has := CallID(1)
	require.Zero(t, testing.AllocsPerRun(1, func() {
		for range 10_000 {
			next++
			_, _ = ts.Arrive(next, Holder{}, 0)
			out := ts.Leave(has)
			has++
			if len(out) != 1 || out[0].Call != has {
				panic("a call was lost")
			}
		}
	}))
	require.Equal(t, 100, ts.Queued())
}

func BenchmarkSharedTurn(b *testing.B) {
	var ts Turnstile
	for b.Loop() {
		_, _ = ts.Share(1, 0)
		_ = ts.Leave(1)
	}
}
