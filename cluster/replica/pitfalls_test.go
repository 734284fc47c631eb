package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/stretchr/testify/require"
)

// broken runs a scenario as the machine is, which must hold, and with a safety switched off, which must
// not.
func broken(t *testing.T, name string, off hooks, scenario func(h hooks) (problem string)) {
	t.Helper()
	require.Empty(t, scenario(hooks{}))
	problem := scenario(off)
	require.NotEmpty(t, problem, "no check notices that %s", name)
	t.Logf("%s: %s", name, problem)
}

// A neighbour that lost everything is a new incarnation: what its predecessor acknowledged is void.
func TestNewIncarnationStartsWithDigests(t *testing.T) {
	t.Parallel()
	broken(t, "a new incarnation inherits acknowledgements", hooks{trustOld: true}, func(h hooks) string {
		s := sim.New(4, simConfig())
		c := newCluster(t, s, 2, Config{}, h).start()
		s.RunFor(time.Second)
		for i := range 20 {
			c.hosts[1].add(key(i), "x")
		}
		s.RunUntil(c.done, 10*time.Second)
		s.Wipe(2)
		s.Restart(2)
		c.hosts[1].add(key(0), "y")
		if !s.RunUntil(c.done, 30*time.Second) {
			return fmt.Sprintf("the new incarnation has %d of 20 variables", c.hosts[2].m.Len())
		}
		return ""
	})
}

// An acknowledgement, a stream's message and an answer that are meant for, or come from, another
// incarnation have no effect.
func TestStaleMessages(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.a.step(Local{key(1), newSet().add(dot{1, 1}, "x")})
	p.exchange()
	require.True(t, p.a.m.Idle())
	old := p.b.incarnation
	ackOfOld := message{to: p.a.incarnation, ack: &ack{stream: p.a.m.peers[2].stream, next: 100}}
	p.b.restart()
	p.a.step(PeerUp{2, p.b.incarnation})
	p.a.take() // the pass begins
	p.a.step(Local{key(2), newSet().add(dot{1, 2}, "y")})
	p.a.take()
	before := *p.a.m.peers[2]
	p.a.step(Received{2, old, ackOfOld.encode()})             // from the dead
	p.a.step(Received{2, p.b.incarnation, ackOfOld.encode()}) // of an old stream
	p.a.step(Received{2, p.b.incarnation, message{to: 99, ack: &ack{stream: before.stream, next: 2}}.bytes()})
	require.Equal(t, before.base, p.a.m.peers[2].base)
	require.Equal(t, 1, p.a.m.peers[2].window.len())
	require.Empty(t, p.a.take())
}

// What brings nothing new still advances the stream and is acknowledged.
func TestNoopAdvances(t *testing.T) {
	t.Parallel()
	broken(t, "what brings nothing stalls the stream", hooks{noopsStall: true}, func(h hooks) string {
		s := sim.New(5, simConfig())
		c := newCluster(t, s, 3, Config{}, h).start()
		s.RunFor(time.Second)
		c.hosts[1].add(key(1), "x") // reaches 3 directly and through 2
		if !s.RunUntil(c.done, 30*time.Second) {
			return "a window never drains"
		}
		return ""
	})
}

// A neighbour that never acknowledges costs a bounded window, and gets all once it does.
func TestSilentNeighbour(t *testing.T) {
	t.Parallel()
	scenario := func(h hooks) string {
		s := sim.New(6, simConfig())
		c := newCluster(t, s, 2, Config{Window: 10_000}, h).start()
		s.RunFor(time.Second)
		s.CutOneWay(2, 1) // its signs of life do not arrive either; 1 goes on as long as it believes
		for i := range 2000 {
			c.hosts[1].add(key(i%100), fmt.Sprintf("e%d", i))
			s.RunFor(time.Millisecond)
			if got := c.hosts[1].m.peers[2].bytes; got > 10_000 {
				return fmt.Sprintf("the window holds %d bytes", got)
			}
		}
		s.Calm()
		if !s.RunUntil(c.done, 30*time.Second) {
			return "novelties were lost with the window"
		}
		return ""
	}
	broken(t, "the window grows without end", hooks{noCollapse: true}, scenario)
	broken(t, "what overflows is forgotten", hooks{forget: true}, scenario)
}

// A removal mints no dot. A pass must find it, by the states' hashes.
func TestRemovalsAreRepaired(t *testing.T) {
	t.Parallel()
	broken(t, "contexts alone are compared", hooks{hash: contextHash}, func(h hooks) string {
		s := sim.New(12, simConfig())
		c := newCluster(t, s, 2, Config{}, h).start()
		c.hosts[1].add(key(1), "x")
		c.hosts[1].add(key(1), "y")
		s.RunUntil(c.done, 10*time.Second)
		s.Crash(2)
		c.hosts[1].remove(key(1), "x")
		s.RunFor(time.Second)
		s.Restart(2)
		if !s.RunUntil(c.done, 10*time.Second) {
			return fmt.Sprintf("the replica that was away has %v, the other %v", c.hosts[2].set(key(1)).elems(), c.hosts[1].set(key(1)).elems())
		}
		return ""
	})
}

// The slow pass finds what got lost without anybody noticing.
func TestAntiEntropy(t *testing.T) {
	t.Parallel()
	s := sim.New(13, simConfig())
	c := newCluster(t, s, 2, Config{AntiEntropy: 2 * time.Second}, hooks{}).start()
	for i := range 100 {
		c.hosts[1].add(key(i), "x")
	}
	require.True(t, s.RunUntil(c.done, 10*time.Second), c.describe())
	c.hosts[1].set(key(7)).remove("x") // behind the machine's back
	require.True(t, s.RunUntil(c.equal, 10*time.Second), c.describe())
	require.Empty(t, c.hosts[2].set(key(7)).elems())
	s.ResetCounts()
	s.RunFor(60 * time.Second)
	counts := s.Counts()
	require.Zero(t, counts.ByType["digests"].Messages)
	require.Less(t, counts.Sent.Bytes, 60*300, "%v", counts)
}

// Nothing is acknowledged, forwarded or shown before it is logged.
func TestNothingLeavesBeforeTheLog(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		p := newPair(t)
		p.exchange()
		p.b.m.hooks.ackEarly = early
		p.b.step(PeerUp{3, 1})
		p.b.take()
		p.a.step(Local{key(1), newSet().add(dot{1, 1}, "x")})
		for _, e := range p.a.take() {
			p.b.step(Received{1, p.a.incarnation, e.(Send).Message})
			p.b.step(Received{1, p.a.incarnation, e.(Send).Message}) // doubled: still not durable
		}
		effects := p.b.take()
		var tickets []uint64
		acked := false
		for _, e := range effects {
			switch e := e.(type) {
			case Log:
				tickets = append(tickets, e.Ticket)
			case Send:
				m, err := decode(e.Message)
				require.NoError(t, err)
				if e.To == 1 && m.ack != nil && m.ack.next > p.a.m.peers[2].base {
					acked = true
				}
				require.Nil(t, m.batch, "forwarded before it was logged")
			default:
				t.Fatalf("%+v", e)
			}
		}
		require.Len(t, tickets, 1)
		require.Equal(t, early, acked)
		p.b.step(Logged{tickets[0]})
		var changed, forwarded bool
		for _, e := range p.b.take() {
			switch e := e.(type) {
			case Changed:
				changed = true
				require.Equal(t, key(1), e.Key)
			case Send:
				m, err := decode(e.Message)
				require.NoError(t, err)
				forwarded = forwarded || e.To == 3 && m.batch != nil
				require.False(t, e.To == 1 && m.batch != nil, "sent back where it came from")
			}
		}
		require.True(t, changed)
		require.True(t, forwarded)
	}
}
