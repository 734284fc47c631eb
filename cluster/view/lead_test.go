package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
)

const ms = time.Millisecond

// rig is a leader over a log of its own, whose entries are committed at once.
type rig struct {
	*log
	lead *Lead
	now  time.Duration
	runs []Run
}

func newRig(t testing.TB, silos int, h hooks) *rig {
	r := &rig{log: newLog(t), now: time.Second}
	for n := range silos {
		r.runs = append(r.runs, r.join(n, 1))
	}
	r.lead = NewLead(LeadConfig{}, r.now, r.Current())
	r.lead.hooks = h
	return r
}

// step gives the leader an input and commits what it proposes; it returns the commands.
func (r *rig) step(in Input) (proposed []Command) {
	r.t.Helper()
	for _, e := range r.lead.Step(r.now, in, nil) {
		commands := e.(Propose).Commands
		proposed = append(proposed, commands...)
		r.lead.Step(r.now, r.put(commands...), nil)
	}
	return proposed
}

// pass lets time pass in steps of 50 ms, in which those silos renew.
func (r *rig) pass(d time.Duration, renewing ...Run) (proposed []Command) {
	r.t.Helper()
	for end := r.now + d; r.now < end; {
		r.now += 50 * ms
		for _, run := range renewing {
			proposed = append(proposed, r.step(Asked{Renew{[]Renewal{{run, uint64(r.now)}}}})...)
		}
		proposed = append(proposed, r.step(Tick{})...)
	}
	return proposed
}

func (r *rig) removed(run Run) bool {
	_, is := r.Table().Has(run)
	return !is
}

// What many ask for within one period is one entry.
func TestRenewalsAreBatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, 9, hooks{})
	proposed := r.pass(2*time.Second, r.runs...)
	require.InDelta(t, 10, len(proposed), 1, "entries in 2 s")
	require.Len(t, proposed[len(proposed)-1].(Renew).Renewals, 9)
}

// Two votes where there are two to give, and 1.1 leases without a renewal.
func TestRemovalTakesVotesAndTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, hooks{})
	dead, others := r.runs[3], r.runs[:3]
	wait := Times{}.Wait()
	require.Equal(t, 2750*ms, wait)
	r.pass(time.Second, r.runs...)
	last := r.now
	r.step(Vote{By: others[0], About: dead, Dead: true})
	r.pass(4*time.Second, others...)
	require.False(t, r.removed(dead), "one vote is not enough")
	r.step(Vote{By: others[0], About: dead, Dead: true})
	r.step(Vote{By: dead, About: dead, Dead: true})
	r.step(Vote{By: Run{"stranger", 1}, About: dead, Dead: true})
	r.pass(200*ms, others...)
	require.False(t, r.removed(dead), "nor is one's own, or a stranger's")
	r.step(Vote{By: others[1], About: dead, Dead: true})
	r.pass(100*ms, others...)
	require.True(t, r.removed(dead))
	require.Greater(t, r.now-last, wait)

	r = newRig(t, 4, hooks{})
	dead, others = r.runs[3], r.runs[:3]
	r.pass(time.Second, r.runs...)
	for _, by := range others {
		r.step(Vote{By: by, About: dead, Dead: true})
	}
	r.pass(1900*ms, r.runs...)
	require.False(t, r.removed(dead), "1.1 leases have not passed")
	require.True(t, r.lead.condemned(dead))
	require.Len(t, r.lead.Suspects(), 1)
	require.Equal(t, 3, r.lead.Suspects()[0].Votes)
	for _, by := range others {
		r.step(Vote{By: by, About: dead})
	}
	r.pass(4*time.Second, r.runs...)
	require.False(t, r.removed(dead), "those who voted have seen it since")
	require.Empty(t, r.lead.Suspects())
}

// Who is thought dead by its neighbours gets no lease, although it reaches the leader.
func TestCondemnedGetNoLease(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	dead := r.runs[2]
	r.pass(time.Second, r.runs...)
	for range 6 {
		r.step(Vote{By: r.runs[0], About: dead, Dead: true})
		r.step(Vote{By: r.runs[1], About: dead, Dead: true})
		for _, c := range r.pass(500*ms, r.runs...) {
			if renew, ok := c.(Renew); ok {
				for _, renewal := range renew.Renewals {
					require.NotEqual(t, dead, renewal.Run)
				}
			}
		}
	}
	require.True(t, r.removed(dead))
}

// With two silos there is one vote to give; and who does not renew at all is removed without any.
func TestRemovalWhereVotesLack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, hooks{})
	r.pass(time.Second, r.runs...)
	for range 6 {
		r.step(Vote{By: r.runs[0], About: r.runs[1], Dead: true})
		r.pass(500*ms, r.runs[0])
	}
	require.True(t, r.removed(r.runs[1]))

	r = newRig(t, 3, hooks{})
	r.pass(time.Second, r.runs...)
	last := r.now
	r.pass(4900*ms, r.runs[:2]...)
	require.False(t, r.removed(r.runs[2]))
	r.pass(300*ms, r.runs[:2]...)
	require.True(t, r.removed(r.runs[2]), "two leases have passed")
	require.Greater(t, r.now-last, 5*time.Second)
}

// A leader that stood still, or whose clock jumped, has not seen the others silent for so long.
func TestStallsOfTheLeaderDoNotCount(t *testing.T) {
	t.Parallel()
	stalls := func(h hooks) bool {
		r := newRig(t, 3, h)
		r.pass(time.Second, r.runs...)
		r.pass(250 * ms)
		r.now += 20 * time.Second
		r.step(Tick{})
		r.pass(time.Second, r.runs[:2]...)
		return r.removed(r.runs[2])
	}
	require.False(t, stalls(hooks{}))
	require.True(t, stalls(hooks{stallsCount: true}), "the check does not notice a leader that counts its own stalls")
}

// A new leader gives everybody the whole time: nobody could renew while there was none.
func TestNewLeaderTakesEverybodyAsRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	r.pass(time.Second, r.runs...)
	r.now += 3 * time.Second // an election that takes its time
	r.lead = NewLead(LeadConfig{}, r.now, r.Current())
	for range 5 {
		r.step(Vote{By: r.runs[0], About: r.runs[2], Dead: true})
		r.step(Vote{By: r.runs[1], About: r.runs[2], Dead: true})
		r.pass(500*ms, r.runs[:2]...)
	}
	require.False(t, r.removed(r.runs[2]), "2.5 s after the barrier")
	r.step(Vote{By: r.runs[0], About: r.runs[2], Dead: true})
	r.step(Vote{By: r.runs[1], About: r.runs[2], Dead: true})
	r.pass(400*ms, r.runs[:2]...)
	require.True(t, r.removed(r.runs[2]))
}

// A removal that a deposed leader left in the log is void once the member has renewed.
func TestLateRemovalIsVoid(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	r.pass(time.Second, r.runs...)
	late := Remove{r.runs[2], r.lead.runs[r.runs[2]].mark} // decided, and not logged yet
	r.pass(500*ms, r.runs...)
	require.Equal(t, []Outcome{Renewed}, r.put(late).Outcomes)
	require.False(t, r.removed(r.runs[2]))
}

// The next run of a store waits for the lease of the one before.
func TestRestartedSiloWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	r.pass(time.Second, r.runs...)
	next, err := NewJoin(member(2, 2))
	require.NoError(t, err)
	require.Empty(t, r.step(Asked{next}))
	r.pass(2500*ms, r.runs...)
	require.False(t, r.removed(r.runs[2]), "the old run asks still, and gets nothing")
	r.pass(300*ms, r.runs...)
	require.True(t, r.removed(r.runs[2]))
	require.Equal(t, []Command{next}, r.step(Asked{next}))
}

// Nobody but the leader itself decides on removals and votes.
func TestWhatSilosMayNotAsk(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	for _, c := range []Command{Remove{r.runs[1], 0}, Promote{r.runs[1].ID}, Demote{r.runs[1].ID}} {
		require.Empty(t, r.step(Asked{c}), "%T", c)
	}
	require.Equal(t, []Command{Leave{r.runs[1]}}, r.step(Asked{Leave{r.runs[1]}}))
}

// Who is expelled keeps what it has until its lease cannot run any longer.
func TestExpel(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, hooks{})
	r.pass(time.Second, r.runs...)
	r.step(Expel{r.runs[2]})
	r.step(Expel{Run{"stranger", 1}})
	r.pass(2500*ms, r.runs...)
	require.False(t, r.removed(r.runs[2]))
	r.pass(300*ms, r.runs...)
	require.True(t, r.removed(r.runs[2]))
	require.False(t, r.removed(r.runs[1]))
}

// A process that is killed is found within 3 s, also where it led the log; one that stands still for 1 s
// is kept. Each silo in turn, over clusters of 3 to 7 with messages lost and doubled.
func TestKilledAndPausedSilos(t *testing.T) {
	t.Parallel()
	var worst, gone, leader time.Duration
	for seed := uint64(1); seed <= 12; seed++ {
		w := newSimWorld(sim.New(seed, simNetwork()), 3+2*int(seed%3), hooks{})
		w.quiet = true
		w.sim.RunFor(3 * time.Second)
		victim := w.silos[int(seed)%len(w.silos)]
		run := w.running[victim].run
		require.False(t, w.gone(run), "seed %d", seed)
		w.pause(victim, time.Second)
		w.sim.RunFor(8 * time.Second)
		require.False(t, w.gone(run), "seed %d: %v stood still for 1 s and was removed", seed, run)

		led := seed%4 == 0
		if led {
			victim = w.log.leader
			run = w.running[victim].run
		}
		w.sim.Crash(victim)
		from := w.sim.Now()
		require.True(t, w.sim.RunUntil(func() bool { return w.condemned(run) }, 3*time.Second), "seed %d: %v was killed, nobody saw", seed, run)
		worst = max(worst, w.sim.Now()-from)
		limit := 3 * time.Second
		if led {
			limit += 1200 * ms // an election and a barrier
		}
		require.True(t, w.sim.RunUntil(func() bool { return w.gone(run) }, limit), "seed %d: %v was killed and is a member still", seed, run)
		if led {
			leader = max(leader, w.sim.Now()-from)
		} else {
			gone = max(gone, w.sim.Now()-from)
		}
		require.NoError(t, w.check(), "seed %d", seed)
	}
	t.Logf("found within %v, removed within %v; the leader, by its successor, within %v", worst, gone, leader)
}

func (w *simWorld) gone(r Run) bool {
	_, is := w.log.registry.Table().Has(r)
	return !is
}

// condemned says whether the leader counts a run as dead.
func (w *simWorld) condemned(r Run) bool {
	silo := w.running[w.log.leader]
	return silo != nil && silo.lead != nil && silo.env.Live() && (silo.lead.runs[r] == nil || silo.lead.condemned(r))
}

// As many as a majority can do without die at once, the leader among them: their neighbours on the ring
// are gone too, and helpers that are asked. All are removed, at the latest for their silence, and nobody else.
func TestManyDieAtOnce(t *testing.T) {
	t.Parallel()
	var worst time.Duration
	for seed := uint64(1); seed <= 8; seed++ {
		n := 5 + 2*int(seed%3)
		w := newSimWorld(sim.New(seed, simNetwork()), n, hooks{})
		w.quiet = true
		w.sim.RunFor(4 * time.Second)
		var dead []Run
		for i := range n / 2 {
			victim := w.silos[(siloIndex(w.log.leader)+i)%n]
			dead = append(dead, w.running[victim].run)
		}
		for _, r := range dead {
			w.sim.Crash(siloNode(r.ID))
		}
		from := w.sim.Now()
		all := func() bool {
			for _, r := range dead {
				if !w.gone(r) {
					return false
				}
			}
			return true
		}
		limit := 2*2500*ms + 1200*ms // two leases after a new leader's barrier, whatever votes there are
		require.True(t, w.sim.RunUntil(all, limit), "seed %d: of %v some are members still", seed, dead)
		worst = max(worst, w.sim.Now()-from)
		w.sim.RunFor(2 * time.Second)
		require.Len(t, w.log.registry.Table().Living(), n-len(dead), "seed %d: who lives was removed", seed)
		require.NoError(t, w.check(), "seed %d", seed)
	}
	t.Logf("removed within %v", worst)
}

func siloIndex(id machine.NodeID) int { return int(id - firstSilo) }
