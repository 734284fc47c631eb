package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/stretchr/testify/require"
)

// On a full mesh of three, a novelty crosses from its writer to each of the others, and each of those
// sends it to the third once: nothing goes back, and what is not new goes no further.
func TestMeshCounts(t *testing.T) {
	t.Parallel()
	net := simConfig()
	net.MinDelay, net.MaxDelay = 5*time.Millisecond, 5*time.Millisecond // connections keep order
	frames := 0
	net.Type = func(p packet) string {
		if typ := packetType(p); typ != "batch" {
			return typ
		}
		m, _ := decode(p.bytes)
		for _, f := range m.batch.frames {
			if !f.mark() {
				frames++
			}
		}
		return "batch"
	}
	s := sim.New(1, net)
	c := newCluster(t, s, 3, Config{}, hooks{}).start()
	s.RunFor(5 * time.Second) // they find each other
	s.ResetCounts()
	frames = 0
	const n = 300
	for i := range n {
		c.hosts[c.ids[i%3]].add(key(i%50), fmt.Sprintf("e%d", i))
		s.RunFor(time.Millisecond)
	}
	require.True(t, s.RunUntil(c.done, 10*time.Second))
	t.Logf("%d novelties, %d frames\n%v", n, frames, s.Counts())
	// Two frames to the others, each of which forwards to the third once: it cannot know that the third has
	// it, because both forward at the same time.
	require.Equal(t, 4*n, frames)
	require.Zero(t, s.Counts().ByType["digests"].Messages)
}

// On a chain there is one way, and so exactly as many frames as there are links.
func TestChainCounts(t *testing.T) {
	t.Parallel()
	net := simConfig()
	net.MinDelay, net.MaxDelay = 5*time.Millisecond, 5*time.Millisecond // connections keep order
	frames := 0
	net.Type = func(p packet) string {
		if m, err := decode(p.bytes); err == nil && m.batch != nil {
			for _, f := range m.batch.frames {
				if !f.mark() {
					frames++
				}
			}
		}
		return packetType(p)
	}
	s := sim.New(1, net)
	c := newCluster(t, s, 5, Config{}, hooks{})
	c.edges = func(a, b machine.NodeID) bool { return a+1 == b || b+1 == a }
	c.start()
	s.RunFor(5 * time.Second)
	frames = 0
	for i := range 100 {
		c.hosts[c.ids[i%5]].add(key(i%50), fmt.Sprintf("e%d", i))
		s.RunFor(time.Millisecond)
	}
	require.True(t, s.RunUntil(c.done, 10*time.Second))
	require.Equal(t, 100*4, frames)
}

// A node that comes back without anything gets everything, in messages of bounded size, and what differs
// in few places costs little.
func TestManyVariables(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := newPair(t)
	for i := range n {
		p.a.set(key(i)).add(dot{1, 1}, "x")
	}
	count := map[string]sim.Count{}
	exchange := func() {
		clear(count)
		p.drain(func(from *end, s Send) {
			require.LessOrEqual(t, len(s.Message), 300<<10)
			typ := packetType(packet{bytes: s.Message})
			c := count[typ]
			count[typ] = sim.Count{Messages: c.Messages + 1, Bytes: c.Bytes + len(s.Message)}
		})
		t.Logf("%v", count)
		for i := range n {
			require.Equal(t, p.a.set(key(i)).Hash(), p.b.set(key(i)).Hash(), "%d", i)
		}
		require.True(t, p.a.m.Idle())
		require.True(t, p.b.m.Idle())
	}
	exchange()

	p.b.m.hooks.hash, p.a.m.hooks.hash = nil, nil
	p.a.set(key(77)).remove("x") // as if the novelty had got lost, on either side
	p.b.set(key(78)).add(dot{2, 1}, "y")
	p.b.set(key(n+1)).add(dot{2, 1}, "new")
	p.a.set(key(n+2)).add(dot{1, 1}, "new")
	p.a.step(Replaced{})
	exchange()
	require.Equal(t, []string{"x", "y"}, p.a.set(key(78)).elems())
	require.Equal(t, []string{"new"}, p.a.set(key(n+1)).elems())
	require.Equal(t, []string{"new"}, p.b.set(key(n+2)).elems())
	require.Less(t, count["sums"].Bytes, 40<<10)
	require.Less(t, count["pages"].Bytes, 4<<10)
	require.Less(t, count["batch"].Bytes+count["answers"].Bytes+count["digests"].Bytes, 2<<10)
}

// drain is exchange with a look at what is sent.
func (p *pair) drain(look func(from *end, s Send)) {
	for _, x := range []*end{p.a, p.b} {
		x.look = look
	}
	p.exchange()
	for _, x := range []*end{p.a, p.b} {
		x.look = nil
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	large := make([]byte, 5000)
	cfg := Config{MaxDelta: 2000, AntiEntropy: -1}
	t.Run("novelty", func(t *testing.T) {
		t.Parallel()
		p := newPairOf(t, cfg)
		p.exchange()
		p.a.step(Local{key(1), p.a.set(key(1)).add(dot{1, 1}, string(large))})
		p.exchange()
		var e *TooLargeError
		require.Len(t, p.a.failed, 1)
		require.ErrorAs(t, p.a.failed[0].Err, &e)
		require.Equal(t, TooLargeError{Key: key(1), Peer: 2, Size: e.Size, Limit: 2000}, *e)
		require.Greater(t, e.Size, 5000)
		require.False(t, p.a.m.Synced(2))
	})
	t.Run("repair, asked", func(t *testing.T) {
		t.Parallel()
		p := newPairOf(t, cfg)
		p.b.set(key(1)).add(dot{1, 1}, string(large))
		p.b.set(key(2)).add(dot{1, 1}, "small")
		p.exchange()
		var e *TooLargeError
		require.NotEmpty(t, p.a.failed)
		require.ErrorAs(t, p.a.failed[0].Err, &e)
		require.Equal(t, machine.NodeID(1), e.Peer)
		require.NotEmpty(t, p.b.failed)
		require.Equal(t, []string{"small"}, p.a.set(key(2)).elems(), "the others must not suffer")
		require.False(t, p.a.m.Synced(2))
		p.b.set(key(1)).remove(string(large)) // now it fits
		p.a.step(Replaced{})
		p.b.step(Replaced{})
		p.exchange()
		require.True(t, p.a.m.Synced(2))
		require.Equal(t, p.a.set(key(1)).Hash(), p.b.set(key(1)).Hash())
	})
	t.Run("repair, pushed", func(t *testing.T) {
		t.Parallel()
		p := newPairOf(t, cfg)
		p.a.set(key(1)).add(dot{1, 1}, string(large))
		p.a.step(Replaced{})
		p.exchange()
		require.NotEmpty(t, p.a.failed)
		require.False(t, p.a.m.Synced(2))
		require.Empty(t, p.b.set(key(1)).elems())
	})
}

// What does not decode is reported and acknowledged, and nothing of it is merged; what follows is.
func TestBadDelta(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.exchange()
	p.a.step(Local{key(1), []byte{1}})
	p.a.step(Local{key(2), p.a.set(key(2)).add(dot{1, 1}, "x")})
	p.exchange()
	require.Len(t, p.b.failed, 1)
	require.ErrorIs(t, p.b.failed[0].Err, errSet)
	require.Equal(t, key(1), p.b.failed[0].Key)
	require.Equal(t, machine.NodeID(1), p.b.failed[0].Peer)
	require.Equal(t, []string{"x"}, p.b.set(key(2)).elems())
	require.True(t, p.a.m.Idle())

	p.b.step(Received{1, p.a.incarnation, []byte("\xff\xff")})
	p.exchange()
	var e *MessageError
	require.ErrorAs(t, p.b.failed[1].Err, &e)
	require.Equal(t, machine.NodeID(1), e.From)
}

// A kind that this node does not know is refused, is reported, and holds nothing up.
func TestRefusedKind(t *testing.T) {
	t.Parallel()
	errKindUnknown := errors.New("no such kind here")
	p := newPair(t)
	p.exchange()
	p.b.m.cfg.Open = func(k wire.ID) (Object, error) {
		if k.Kind() == "strange" {
			return nil, errKindUnknown
		}
		return newSet(), nil
	}
	p.a.step(Local{wire.NewID("strange", "1"), p.a.set(wire.NewID("strange", "1")).add(dot{1, 1}, "x")})
	p.a.step(Local{key(2), p.a.set(key(2)).add(dot{1, 1}, "x")})
	p.exchange()
	require.Len(t, p.b.failed, 1)
	require.ErrorIs(t, p.b.failed[0].Err, errKindUnknown)
	require.Equal(t, []string{"x"}, p.b.set(key(2)).elems())
	require.True(t, p.a.m.Idle())
}

// What is not shared does not travel; when it becomes shared it does.
func TestReplaced(t *testing.T) {
	t.Parallel()
	shared := false
	p := newPairOf(t, Config{AntiEntropy: -1, Shares: func(k wire.ID, _ machine.NodeID) bool { return shared || k != key(1) }})
	for i := range 3 {
		p.a.step(Local{key(i), p.a.set(key(i)).add(dot{1, 1}, "x")})
	}
	p.exchange()
	require.True(t, p.a.m.Idle())
	require.Equal(t, 2, p.b.m.Len())
	shared = true
	p.a.step(Replaced{Peer: 2})
	require.False(t, p.a.m.Synced(2))
	p.b.step(Replaced{})
	p.exchange()
	require.True(t, p.a.m.Synced(2))
	require.Equal(t, []string{"x"}, p.b.set(key(1)).elems())
}

func TestEvictedAndRemoved(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for i := range 3 {
		p.a.step(Local{key(i), p.a.set(key(i)).add(dot{1, 1}, "x")})
	}
	p.exchange()
	p.a.step(Evicted{key(1)})
	require.Nil(t, p.a.m.Object(key(1)))
	require.Equal(t, 2, p.a.m.Len())
	p.a.step(Replaced{})
	p.exchange()
	require.Equal(t, []string{"x"}, p.a.set(key(1)).elems(), "it is shared, so it comes back")
	p.a.step(PeerRemoved{2})
	require.True(t, p.a.m.Idle())
	p.a.step(Local{key(1), p.a.set(key(1)).add(dot{1, 2}, "y")})
	p.b.step(PeerDown{1})
	p.exchange()
	p.a.step(PeerUp{2, p.b.incarnation}) // as a new session, with the other side knowing the old one
	p.b.step(PeerUp{1, p.a.incarnation})
	p.exchange()
	require.Equal(t, []string{"x", "y"}, p.b.set(key(1)).elems())
	require.True(t, p.a.m.Idle())
	require.True(t, p.b.m.Idle())
}

// A neighbour that is silent for a while is asked ever more seldom, and at once when it is back.
func TestBackoff(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.exchange()
	p.a.step(Local{key(1), p.a.set(key(1)).add(dot{1, 1}, "x")})
	sends := 0
	for range 600 {
		p.now += 100 * time.Millisecond
		p.a.step(Tick{})
		for _, e := range p.a.take() {
			if _, ok := e.(Send); ok {
				sends++
			}
		}
	}
	require.Less(t, sends, 15)
	p.a.step(PeerDown{2})
	p.now += time.Minute
	p.a.step(Tick{})
	require.Empty(t, p.a.take())
	p.a.step(PeerUp{2, p.b.incarnation})
	require.NotEmpty(t, p.a.effects)
	p.exchange()
	require.True(t, p.a.m.Idle())
}

// BenchmarkNovelties measures a node that takes novelties from one neighbour and forwards them to
// another: join, log, acknowledge, encode.
func BenchmarkNovelties(b *testing.B) {
	p := newPair(b)
	p.exchange()
	keys := make([]wire.ID, 1000)
	for i := range keys {
		keys[i] = key(i)
	}
	deltas := make([][]byte, b.N)
	for i := range deltas {
		deltas[i] = appendDot(nil, dot{1, uint64(i + 1)}, state{true, "an element"})
	}
	b.ReportAllocs()
	b.ResetTimer()
	var ticket uint64
	for i := 0; i < b.N; {
		for range 100 { // one turn of a host: a batch of writes, then the network
			if i < b.N {
				p.a.step(Local{keys[i%len(keys)], deltas[i]})
				i++
			}
		}
		for len(p.a.effects)+len(p.b.effects) > 0 {
			for _, e := range p.a.take() {
				if s, ok := e.(Send); ok {
					p.b.step(Received{1, 1, s.Message})
				}
			}
			for _, e := range p.b.take() {
				switch e := e.(type) {
				case Send:
					p.a.step(Received{2, 1, e.Message})
				case Log:
					ticket = e.Ticket
				}
			}
			if ticket > p.b.m.logged {
				p.b.step(Logged{ticket})
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "novelties/s")
}
