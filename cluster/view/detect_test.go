package view

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
)

// watchers are silos that only watch each other.
type watchers struct {
	sim     *sim.Sim[Probe]
	members *log
	slow    map[machine.NodeID]int // the most that each thought itself slow
	votes   []Vote
	watch   map[machine.NodeID]*Detector
}

func newWatchers(t testing.TB, seed uint64, n int) *watchers {
	w := &watchers{sim: sim.New(seed, sim.Config[Probe]{Loss: 0.01, Duplicate: 0.02}), members: newLog(t),
		slow: map[machine.NodeID]int{}, watch: map[machine.NodeID]*Detector{}}
	for i := range n {
		m := Member{Run: Run{siloID(firstSilo + machine.NodeID(i)), 1}, Kinds: []string{"k"}}
		m.Addr = string(m.ID)
		w.members.put(Join{m})
		w.members.put(Ready{m.Run})
	}
	for i := range n {
		w.sim.AddNode(firstSilo+machine.NodeID(i), w.boot)
	}
	return w
}

func (w *watchers) boot(env *sim.Env[Probe]) sim.Handler[Probe] {
	d := NewDetector(DetectorConfig{Self: Run{siloID(env.ID()), uint64(env.Incarnation())}}, rand.New(rand.NewPCG(env.Rand().Uint64(), 1)))
	w.watch[env.ID()] = d
	step := func(in Input) {
		for _, e := range d.Step(env.Now(), in, nil) {
			switch e := e.(type) {
			case SendProbe:
				env.Send(siloNode(SiloID(e.Addr)), e.Probe)
			case Verdict:
				w.votes = append(w.votes, e.Vote)
			}
		}
		w.slow[env.ID()] = max(w.slow[env.ID()], d.Slow())
	}
	step(Applied{Table: w.members.Table()})
	env.Every(50*ms, func() { step(Tick{}) })
	return sim.HandlerFunc[Probe](func(_ machine.NodeID, p Probe) { step(Probed{p}) })
}

func (w *watchers) run(n int) Run { return Run{siloID(firstSilo + machine.NodeID(n)), 1} }

// against lists who has voted that a run is dead.
func (w *watchers) against(r Run) map[Run]bool {
	by := map[Run]bool{}
	for _, v := range w.votes {
		if v.About == r && v.Dead {
			by[v.By] = true
		}
	}
	return by
}

func TestNeighboursOnTheRing(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 9; n++ {
		w := newWatchers(t, 1, n)
		probes := map[Run]int{}
		for i := range n {
			near := neighbours(w.members.Table(), w.run(i), 1)
			require.Len(t, near, min(probed, n-1))
			for _, m := range near {
				require.NotEqual(t, w.run(i), m.Run)
				require.Contains(t, Probers(w.members.Table(), m.Run), w.run(i))
				probes[m.Run]++
			}
		}
		for _, by := range probes {
			require.Equal(t, min(probed, n-1), by)
		}
		require.Empty(t, Probers(w.members.Table(), Run{"stranger", 1}))
	}
}

// Those that probe a dead silo find it in 3 s, all of them, and nobody else is voted against.
func TestTheDeadAreFound(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 20; seed++ {
		w := newWatchers(t, seed, 2+int(seed%6))
		w.sim.RunFor(5 * time.Second)
		require.Empty(t, w.votes, "seed %d: all live", seed)
		w.sim.Crash(firstSilo)
		w.sim.RunFor(3 * time.Second)
		require.Len(t, w.against(w.run(0)), len(Probers(w.members.Table(), w.run(0))), "seed %d", seed)
		for _, v := range w.votes {
			require.Equal(t, w.run(0), v.About, "seed %d", seed)
		}
	}
}

// What a silo sends does not grow with the cluster.
func TestProbesDoNotGrowWithTheCluster(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 20, 80} {
		w := newWatchers(t, 1, n)
		w.sim.RunFor(10 * time.Second)
		sent := w.sim.Counts().Sent.Messages
		require.InDelta(t, 2*probed*20, float64(sent)/float64(n), 0.3*2*probed*20, "messages of each of %d silos in 10 s: probes and answers", n)
	}
}

// A silo that stands still for 1 s is not voted against, nor does it vote when it wakes.
func TestPausesAreNotDeaths(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 20; seed++ {
		w := newWatchers(t, seed, 2+int(seed%6))
		w.sim.RunFor(5 * time.Second)
		w.sim.Pause(firstSilo)
		w.sim.RunFor(time.Second)
		w.sim.Resume(firstSilo)
		w.sim.RunFor(5 * time.Second)
		require.Empty(t, w.votes, "seed %d", seed)
	}
}

// A silo that is back takes the votes against it away.
func TestVotesAreTakenBack(t *testing.T) {
	t.Parallel()
	w := newWatchers(t, 1, 4)
	w.sim.RunFor(2 * time.Second)
	w.sim.Pause(firstSilo)
	w.sim.RunFor(4 * time.Second)
	w.sim.Resume(firstSilo)
	w.sim.RunFor(2 * time.Second)
	last := map[Run]bool{}
	for _, v := range w.votes {
		if v.About == w.run(0) {
			last[v.By] = v.Dead
		}
	}
	require.Len(t, last, 3)
	for by, dead := range last {
		require.False(t, dead, "%v", by)
	}
}

// What a silo cannot reach over one link it reaches through others.
func TestACutLinkIsNotADeath(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 10; seed++ {
		w := newWatchers(t, seed, 4)
		w.sim.CutOneWay(firstSilo, firstSilo+1)
		w.sim.CutOneWay(firstSilo+2, firstSilo)
		w.sim.RunFor(15 * time.Second)
		require.Empty(t, w.votes, "seed %d", seed)
	}
}

// A silo to which everything comes late thinks itself slow, waits longer, and votes against nobody; one
// that is cut off altogether does not vote either.
func TestSlowSilosDistrustThemselves(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 10; seed++ {
		w := newWatchers(t, seed, 5)
		for i := range 4 {
			other := firstSilo + machine.NodeID(i+1)
			late := sim.Quality{MinDelay: 300 * ms, MaxDelay: 600 * ms}
			w.sim.SetLink(firstSilo, other, late)
			w.sim.SetLink(other, firstSilo, late)
		}
		w.sim.RunFor(15 * time.Second)
		for _, v := range w.votes {
			require.NotEqual(t, w.run(0), v.By, "seed %d: the slow one votes", seed)
		}
		require.Positive(t, w.slow[firstSilo])

		w = newWatchers(t, seed, 5)
		w.sim.RunFor(2 * time.Second)
		w.sim.Partition([]machine.NodeID{firstSilo})
		w.sim.RunFor(10 * time.Second)
		for _, v := range w.votes {
			require.NotEqual(t, w.run(0), v.By, "seed %d: the one that is cut off votes", seed)
		}
		require.Len(t, w.against(w.run(0)), probed)
	}
}
