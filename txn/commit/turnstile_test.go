package commit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// block is the holder of a block whose age is its number: 1 is the oldest.
func block(age uint64, n uint32) Holder {
	return Holder{Attempt: attempt(age, 1, n), Timestamp: Timestamp{Time: int64(age), Client: age, Seq: 1}}
}

func grant(c CallID) Signal   { return Signal{Kind: Grant, Call: c} }
func refused(c CallID) Signal { return Signal{Kind: Refuse, Call: c} }
func wound(h Holder) Signal   { return Signal{Kind: Wound, Attempt: h.Attempt} }

type turnstileCheck struct {
	*testing.T
	Turnstile
}

func (c *turnstileCheck) arrive(want bool, call CallID, by Holder, signals ...Signal) {
	c.Helper()
	c.within(want, call, by, 0, signals...)
}

func (c *turnstileCheck) within(want bool, call CallID, by Holder, within CallID, signals ...Signal) {
	c.Helper()
	got, out := c.Arrive(call, by, within)
	require.Equal(c, want, got)
	c.signals(out, signals...)
}

func (c *turnstileCheck) lockFor(want bool, call CallID, by Holder, signals ...Signal) {
	c.Helper()
	got, out := c.Lock(call, by)
	require.Equal(c, want, got)
	c.signals(out, signals...)
}

func (c *turnstileCheck) signals(got []Signal, want ...Signal) {
	c.Helper()
	require.ElementsMatch(c, want, got)
}

func TestPlainCallsTakeTurns(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.arrive(true, 1, Holder{})
	c.arrive(false, 2, Holder{})
	c.arrive(false, 3, Holder{})
	c.arrive(false, 4, Holder{})
	c.signals(c.Cancel(3))
	c.signals(c.Leave(1), grant(2))
	c.signals(c.Leave(2), grant(4))
	c.lockFor(false, 4, Holder{}, refused(4))
	c.signals(c.Leave(4))
	require.True(t, c.Idle())
}

// A → B → A: the chain that comes back runs inside its own turn, and does not wait for itself.
func TestAChainThatComesBackRunsInItsOwnTurn(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]Holder{"plain": {}, "in a block": block(1, 1)} {
		t.Run(name, func(t *testing.T) {
			c := turnstileCheck{T: t}
			c.arrive(true, 1, by)
			c.arrive(false, 2, Holder{})
			c.within(true, 3, by, 1)
			c.within(true, 4, by, 3)
			c.signals(c.Leave(1)) // the first of them gave up early; the others still run
			c.signals(c.Leave(4))
			c.signals(c.Leave(3), grant(2))
			c.within(false, 5, by, 3) // its chain has the turn no more
		})
	}
}

func TestAnOlderBlockWoundsWhoHoldsTheLock(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	young, old := block(9, 1), block(1, 1)
	c.arrive(true, 1, young)
	c.lockFor(true, 1, young)
	c.lockFor(true, 1, young)
	c.signals(c.Leave(1))
	c.arrive(true, 2, Holder{}) // what needs no lock passes
	c.signals(c.Leave(2))
	c.arrive(false, 3, old, wound(young))
	c.arrive(false, 4, block(2, 1)) // once only
	c.arrive(true, 5, young)        // who waits for the lock keeps nobody from the turn
	require.Equal(t, []Attempt{young.Attempt}, c.Wounded())
	c.signals(c.Leave(5))
	c.signals(c.Release(young.Attempt), grant(3))
	require.Empty(t, c.Wounded())
	c.lockFor(true, 3, old)
	c.signals(c.Leave(3))
	c.signals(c.Release(old.Attempt), grant(4))
	c.signals(c.Leave(4))
	require.True(t, c.Idle())
}

func TestAYoungerBlockWaits(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	old, young := block(1, 1), block(2, 1)
	c.arrive(true, 1, old)
	c.arrive(false, 2, young)
	c.lockFor(true, 1, old)
	c.signals(c.Leave(1))
	c.signals(c.Release(old.Attempt), grant(2))
}

// A young block inside A's turn waits for B's lock, an old one holds B's and waits for A's turn: the
// turn counts as held, and the young one gives it up.
func TestATurnCountsAsALock(t *testing.T) {
	t.Parallel()
	young, old := block(9, 1), block(1, 1)
	var a, b Turnstile
	meet := func(blind bool) (wounded bool) {
		a, b = Turnstile{blindToTurns: blind}, Turnstile{blindToTurns: blind}
		granted, _ := a.Arrive(1, Holder{}, 0)
		require.True(t, granted)
		require.Empty(t, a.OpenBlock(1, young))
		granted, _ = b.Arrive(2, old, 0)
		require.True(t, granted)
		granted, _ = b.Lock(2, old)
		require.True(t, granted)
		require.Empty(t, b.Leave(2))
		granted, out := b.Arrive(3, young, 0)
		require.False(t, granted)
		require.Empty(t, out)
		granted, out = a.Arrive(4, old, 0)
		require.False(t, granted)
		return len(out) == 1 && out[0] == wound(young)
	}
	require.False(t, meet(true), "blind to turns, nobody would ever move")
	require.True(t, meet(false))

	require.Empty(t, b.Cancel(3))
	require.Empty(t, b.Release(young.Attempt))
	require.Empty(t, a.Release(young.Attempt))
	again := block(9, 2)
	granted, out := a.Yield(1, again)
	require.False(t, granted)
	require.Equal(t, []Signal{grant(4)}, out)
	require.Equal(t, []Signal{grant(1)}, a.Leave(4))
	require.Empty(t, a.OpenBlock(1, again))
	require.Empty(t, b.Release(old.Attempt))
	granted, _ = b.Arrive(5, again, 0)
	require.True(t, granted)
}

func TestOpeningABlockInATurnThatAnOlderOneWaitsFor(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	young, old := block(9, 1), block(1, 1)
	c.arrive(true, 1, Holder{})
	c.arrive(false, 2, old)
	c.arrive(false, 3, Holder{})
	c.signals(c.OpenBlock(1, young), wound(young))
	c.signals(c.Release(young.Attempt))
	granted, out := c.Yield(1, block(9, 2))
	require.False(t, granted)
	c.signals(out, grant(2))
	c.signals(c.Leave(2), grant(3)) // the one that yielded is behind all who waited
	c.signals(c.Leave(3), grant(1))
	granted, out = c.Yield(1, block(9, 3))
	require.True(t, granted, "nobody waits")
	require.Empty(t, out)
	c.signals(c.OpenBlock(1, block(9, 3)))
	c.CloseBlock(1)
	c.arrive(false, 4, old) // submitted: it is not wounded
	c.signals(c.Leave(1), grant(4))
}

func TestTheOpenerWaitsForTheLockInsideItsTurn(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	holder, opener, old := block(5, 1), block(7, 1), block(1, 1)
	c.arrive(true, 1, holder)
	c.lockFor(true, 1, holder)
	c.signals(c.Leave(1))
	c.arrive(true, 2, Holder{})
	c.signals(c.OpenBlock(2, opener))
	c.lockFor(false, 2, opener)
	c.arrive(false, 3, old, wound(holder), wound(opener))
	c.signals(c.Release(holder.Attempt), grant(2)) // it is wounded, and may still hold the lock till it is told
	c.signals(c.Leave(2))                          // its call ends; the lock stays
	require.Equal(t, []Attempt{opener.Attempt}, c.Wounded())
	c.signals(c.Release(opener.Attempt), grant(3))
}

func TestASubmittedBlockIsNotWounded(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	young, old := block(9, 1), block(1, 1)
	c.arrive(true, 1, young)
	c.lockFor(true, 1, young)
	c.signals(c.Release(young.Attempt))
	c.arrive(false, 2, old)
	c.signals(c.Leave(1), grant(2))
}

func TestALaterAttemptWoundsItsPredecessor(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	first, second := block(1, 1), block(1, 2)
	c.arrive(true, 1, first)
	c.lockFor(true, 1, first)
	c.signals(c.Leave(1))
	c.arrive(false, 2, second, wound(first)) // the end of the first was lost on its way here
	c.signals(c.Release(first.Attempt), grant(2))
	c.arrive(false, 3, first, refused(3)) // a straggler
}

// An ID that was taken over has attempts of two ages. Were the earlier one to wait for the later, a third
// block between them in age could close a ring.
func TestALaterAttemptRefusesItsPredecessors(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	first, second := block(1, 1), block(1, 2)
	second.Timestamp.Time = 50
	c.arrive(true, 1, Holder{})
	c.arrive(false, 2, first)
	c.arrive(false, 3, second, refused(2))
	c.arrive(false, 4, first, refused(4))
	c.signals(c.Leave(1), grant(3))
	c.lockFor(true, 3, second)
	c.arrive(false, 5, first, refused(5))
}

// A call of an earlier attempt that still waits goes with the later one: nobody else will cancel it.
func TestReleaseRefusesTheCallsOfEarlierAttempts(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.arrive(true, 1, Holder{})
	c.arrive(false, 2, block(1, 1))
	c.signals(c.Release(block(1, 2).Attempt), refused(2))
	c.arrive(false, 3, block(1, 3))
	c.signals(c.Leave(1), grant(3))
}

func TestABlockOvertakesYoungerOnesButNoPlainCall(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.arrive(true, 1, Holder{})
	c.arrive(false, 2, block(5, 1))
	c.arrive(false, 3, Holder{})
	c.arrive(false, 4, block(7, 1))
	c.arrive(false, 5, Holder{})
	c.arrive(false, 6, block(2, 1))
	c.signals(c.Leave(1), grant(6)) // the first slot is a block's
	c.signals(c.Leave(6), grant(3))
	c.signals(c.Leave(3), grant(2)) // the slot of 4, the oldest that is left
	c.signals(c.Leave(2), grant(5))
	c.signals(c.Leave(5), grant(4))
	c.signals(c.Leave(4))
	require.True(t, c.Idle())
}

// What an aborted attempt, a cancelled call or a lost client leaves behind aborts nobody: in whatever
// state the end finds it, the next block runs at once.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	gone, next := block(1, 1), block(9, 1) // the next is younger: it could wound nobody
	leaveAll := func(c *turnstileCheck) {
		for call := CallID(1); call <= 4; call++ {
			_ = c.Cancel(call)
			_ = c.Leave(call)
		}
	}
	for end, f := range map[string]func(*turnstileCheck){
		"released, then left": func(c *turnstileCheck) { _ = c.Release(gone.Attempt); leaveAll(c) },
		"left, then released": func(c *turnstileCheck) { leaveAll(c); _ = c.Release(gone.Attempt) },
		"client dropped":      func(c *turnstileCheck) { _ = c.Drop(gone.Attempt.ID.Client); leaveAll(c) },
	} {
		for state, reach := range map[string]func(*turnstileCheck){
			"in the turn":      func(c *turnstileCheck) { c.arrive(true, 1, gone) },
			"holding the lock": func(c *turnstileCheck) { c.arrive(true, 1, gone); c.lockFor(true, 1, gone) },
			"holding the lock, out of the turn": func(c *turnstileCheck) {
				c.arrive(true, 1, gone)
				c.lockFor(true, 1, gone)
				_ = c.Leave(1)
			},
			"opened here": func(c *turnstileCheck) {
				c.arrive(true, 1, Holder{})
				_ = c.OpenBlock(1, gone)
				c.lockFor(true, 1, gone)
				c.within(true, 2, gone, 1)
			},
			"yielded": func(c *turnstileCheck) {
				c.arrive(true, 1, Holder{})
				_ = c.OpenBlock(1, gone)
				c.arrive(false, 2, Holder{})
				_, _ = c.Yield(1, gone)
			},
			"waiting for the turn": func(c *turnstileCheck) {
				c.arrive(true, 1, Holder{})
				c.arrive(false, 2, gone)
			},
			"waiting for the lock": func(c *turnstileCheck) {
				c.arrive(true, 1, block(5, 1))
				c.lockFor(true, 1, block(5, 1))
				_ = c.Leave(1)
				c.arrive(true, 2, Holder{})
				_ = c.OpenBlock(2, gone)
				_, _ = c.Lock(2, gone)
				_ = c.Release(block(5, 1).Attempt)
			},
			"wounded": func(c *turnstileCheck) {
				c.arrive(true, 1, gone)
				c.lockFor(true, 1, gone)
				c.arrive(false, 2, block(0, 1), wound(gone))
			},
		} {
			t.Run(state+", "+end, func(t *testing.T) {
				c := &turnstileCheck{T: t}
				reach(c)
				f(c)
				require.True(t, c.Idle())
				require.Empty(t, c.Wounded())
				c.arrive(true, 20, next)
				c.lockFor(true, 20, next)
				c.arrive(false, 21, gone, refused(21))
			})
		}
	}
}

func TestClosedTurnstileRefuses(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	c.arrive(true, 1, Holder{})
	c.signals(c.OpenBlock(1, block(3, 1)))
	c.arrive(false, 2, block(5, 1))
	c.arrive(false, 3, Holder{})
	c.signals(c.Close(), refused(2), refused(3))
	c.arrive(false, 4, Holder{}, refused(4))
	c.lockFor(false, 1, block(3, 1), refused(1))
	granted, _ := c.Yield(1, block(3, 2))
	require.True(t, granted)
	c.signals(c.Leave(1))
	require.True(t, c.Idle())
}

func TestOutwaitWoundsTheYounger(t *testing.T) {
	t.Parallel()
	c := turnstileCheck{T: t}
	outwait := func(by Holder, younger bool, want ...Signal) {
		t.Helper()
		got, out := c.Outwait(by)
		require.Equal(t, younger, got)
		c.signals(out, want...)
	}
	c.arrive(true, 1, Holder{})
	outwait(block(1, 1), false) // a plain turn takes no part
	c.signals(c.OpenBlock(1, block(3, 1)))
	outwait(Holder{}, false)
	outwait(block(5, 1), false)
	outwait(block(2, 1), true, wound(block(3, 1)))
	outwait(block(2, 1), true) // wounded once
	c.signals(c.Leave(1))
	require.True(t, c.Idle())
}

func TestAnUncontendedTurnAllocatesNothing(t *testing.T) {
	var ts Turnstile
	by := block(1, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = ts.Arrive(1, Holder{}, 0)
		_ = ts.Leave(1)
		_, _ = ts.Arrive(2, by, 0)
		_, _ = ts.Lock(2, by)
		_ = ts.Leave(2)
	}))
}

func BenchmarkUncontendedTurn(b *testing.B) {
	var ts Turnstile
	for b.Loop() {
		_, _ = ts.Arrive(1, Holder{}, 0)
		_ = ts.Leave(1)
	}
}
