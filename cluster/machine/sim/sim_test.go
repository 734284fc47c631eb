package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/stretchr/testify/require"
)

// gossip is a node that remembers the greatest number that it heard of, durably, and tells it around.
type gossip struct {
	env   *Env[int]
	peers int
	best  int
}

func bootGossip(peers int) Boot[int] {
	return func(env *Env[int]) Handler[int] {
		g := &gossip{env: env, peers: peers}
		for _, r := range env.Disk().Records() {
			g.best = max(g.best, r.(int))
		}
		env.Every(50*time.Millisecond, g.tell)
		return g
	}
}

func (g *gossip) tell() {
	g.env.Send(machine.NodeID(1+g.env.Rand().IntN(g.peers)), g.best)
}

func (g *gossip) Receive(_ machine.NodeID, m int) { g.hear(m) }

func (g *gossip) hear(m int) {
	if m > g.best {
		g.env.Append(m, func() { g.best = max(g.best, m) })
	}
}

func bests(s *Sim[int]) (all []int) {
	for _, id := range s.Nodes() {
		if s.Up(id) {
			all = append(all, s.nodes[id].handler.(*gossip).best)
		} else {
			all = append(all, -1)
		}
	}
	return all
}

func TestGossipSurvivesFaults(t *testing.T) {
	t.Parallel()
	Run(t, 20, Config[int]{Loss: 0.2, Duplicate: 0.2}, func(t *testing.T, s *Sim[int]) {
		const n = 5
		for id := range machine.NodeID(n) {
			s.AddNode(id+1, bootGossip(n))
		}
		s.Disturb(5*time.Second, Faults{Partition: time.Second, OneWay: time.Second, Crash: time.Second, Pause: time.Second})
		for i := range 100 {
			s.RunFor(50 * time.Millisecond)
			if id := s.any(); s.Up(id) {
				s.nodes[id].handler.(*gossip).hear(i)
			}
		}
		s.Calm()
		equal := func() bool {
			b := bests(s)
			for _, v := range b {
				if v != b[0] {
					return false
				}
			}
			return true
		}
		require.True(t, s.RunUntil(equal, time.Minute), "%v", bests(s))
		require.Greater(t, bests(s)[0], 50)
	})
}

func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		s := New(seed, Config[int]{Loss: 0.1, Duplicate: 0.1})
		for id := range machine.NodeID(4) {
			s.AddNode(id+1, bootGossip(4))
		}
		s.Disturb(3*time.Second, Faults{Partition: time.Second, Crash: time.Second, Wipe: time.Second, Pause: time.Second})
		for i := range 20 {
			s.After(time.Duration(i)*100*time.Millisecond, func() { s.nodes[1].disk.Replace(i) })
		}
		s.RunFor(3 * time.Second)
		return s.Trace() + s.Counts().String() + fmt.Sprint(bests(s))
	}
	require.Equal(t, run(7), run(7))
	require.NotEqual(t, run(7), run(8))
}

func TestCrashKeepsWhatWasDurable(t *testing.T) {
	t.Parallel()
	Run(t, 50, Config[int]{}, func(t *testing.T, s *Sim[int]) {
		acknowledged := 0
		s.AddNode(1, func(env *Env[int]) Handler[int] {
			for i := len(env.Disk().Records()); i < 10; i++ {
				env.Append(i, func() { acknowledged++ })
			}
			return HandlerFunc[int](func(machine.NodeID, int) {})
		})
		s.RunFor(2 * time.Millisecond)
		s.Crash(1)
		records := s.Disk(1).Records()
		require.GreaterOrEqual(t, len(records), acknowledged)
		for i, r := range records {
			require.Equal(t, i, r)
		}
		s.Restart(1)
		s.RunFor(time.Second)
		require.Len(t, s.Disk(1).Records(), 10)
		require.Equal(t, machine.Incarnation(2), s.Incarnation(1))
		s.Wipe(1)
		require.Empty(t, s.Disk(1).Records())
	})
}

func TestLinksAndPauses(t *testing.T) {
	t.Parallel()
	s := New(1, Config[string]{Size: func(m string) int { return len(m) }})
	got := map[machine.NodeID][]string{}
	envs := map[machine.NodeID]*Env[string]{}
	for id := machine.NodeID(1); id <= 3; id++ {
		s.AddNode(id, func(env *Env[string]) Handler[string] {
			envs[id] = env
			return HandlerFunc[string](func(_ machine.NodeID, m string) { got[id] = append(got[id], m) })
		})
	}
	send := func(from, to machine.NodeID, m string) {
		envs[from].Send(to, m)
		s.RunFor(20 * time.Millisecond)
	}
	s.CutOneWay(1, 2)
	send(1, 2, "cut")
	send(2, 1, "open")
	s.Mend(1, 2)
	s.Partition([]machine.NodeID{1, 2})
	send(1, 2, "inside")
	send(1, 3, "across")
	s.Heal()
	s.Pause(3)
	send(1, 3, "a")
	send(1, 3, "b")
	require.Empty(t, got[3])
	s.Resume(3)
	s.RunFor(0)
	s.Crash(2)
	send(1, 2, "dead")
	require.Equal(t, map[machine.NodeID][]string{1: {"open"}, 2: {"inside"}, 3: {"a", "b"}}, got)
	c := s.Counts()
	require.Equal(t, 7, c.Sent.Messages)
	require.Equal(t, 3, c.Lost)
	require.Equal(t, Count{Messages: 3, Bytes: 13}, c.ByLink[Link{1, 2}])
	require.Contains(t, s.Trace(), "drop     n1→n3 cut across")
}

func TestTenThousandNodes(t *testing.T) {
	t.Parallel()
	const n = 10_000
	s := New(1, Config[int]{Trace: 10})
	for id := range machine.NodeID(n) {
		s.AddNode(id+1, bootGossip(n))
	}
	s.nodes[1].handler.(*gossip).hear(1)
	heard := func() bool {
		for _, b := range bests(s) {
			if b != 1 {
				return false
			}
		}
		return true
	}
	require.True(t, s.RunUntil(heard, 10*time.Second))
	t.Logf("%d events, %v of virtual time", s.ran, s.Now())
}
