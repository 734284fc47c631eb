package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/machine/sim"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/stretchr/testify/require"
)

// traffic lets random nodes write for a while.
func (c *cluster) traffic(d time.Duration, writes, variables int) {
	r := c.s.Rand()
	for i := range writes {
		c.s.RunFor(d / time.Duration(writes))
		id := c.ids[r.IntN(len(c.ids))]
		if !c.s.Up(id) {
			continue
		}
		h, k := c.hosts[id], key(r.IntN(variables))
		if !c.holds(id, k) {
			continue
		}
		if elems := h.set(k).elems(); len(elems) > 0 && r.IntN(3) == 0 {
			h.remove(k, elems[r.IntN(len(elems))])
		} else {
			h.add(k, fmt.Sprintf("e%d", i))
		}
	}
}

// verify checks the end of a run: everybody has the same, which is the join of all that is durable
// anywhere; and what a writer was told is durable is in it, unless a disk was lost.
func (c *cluster) verify(t *testing.T, wiped bool) {
	t.Helper()
	c.s.Calm()
	require.True(t, c.s.RunUntil(c.done, 2*time.Minute), "not equal, or not idle:\n%s", c.describe())
	for _, f := range c.failed {
		t.Errorf("%+v", f)
	}
	union := map[wire.ID]*set{}
	join := func(r record) {
		if union[r.key] == nil {
			union[r.key] = newSet()
		}
		_, err := union[r.key].Join(r.novelty)
		require.NoError(t, err)
	}
	for _, id := range c.ids {
		own := map[wire.ID]*set{}
		for _, r := range c.s.Disk(id).Records() {
			r := r.(record)
			join(r)
			if own[r.key] == nil {
				own[r.key] = newSet()
			}
			_, err := own[r.key].Join(r.novelty)
			require.NoError(t, err)
		}
		for k, s := range own { // what is in memory is what a restart would find
			require.Equal(t, s.Hash(), c.hosts[id].set(k).Hash(), "%v: %v differs from its log", id, k)
		}
	}
	if !wiped {
		for _, r := range c.durable {
			join(r)
		}
	}
	require.NotEmpty(t, union)
	for k, s := range union {
		for _, id := range c.ids {
			if c.holds(id, k) {
				require.Equal(t, s.elems(), c.hosts[id].set(k).elems(), "%v on %v", k, id)
				require.Equal(t, s.Hash(), c.hosts[id].set(k).Hash(), "%v on %v", k, id)
			}
		}
	}
}

func TestSimulated(t *testing.T) {
	t.Parallel()
	small := Config{Window: 2000, MaxMessage: 500, MaxPage: 300, MaxDelta: 1 << 16}
	byKey := func(key wire.ID, peer machine.NodeID) bool { // two of three hold each
		return uint64(peer)%3 != position(key)%3
	}
	placed := small
	placed.Shares = byKey
	cases := []struct {
		name   string
		nodes  int
		cfg    Config
		net    func(*sim.Config[packet])
		faults sim.Faults
		ring   bool
	}{
		{name: "calm", nodes: 3},
		{name: "lossy", nodes: 3, net: func(c *sim.Config[packet]) { c.Loss, c.Duplicate = 0.2, 0.2 }},
		{name: "reordered", nodes: 3, net: func(c *sim.Config[packet]) { c.MaxDelay = 300 * time.Millisecond }},
		{name: "partitions", nodes: 4, cfg: small, faults: sim.Faults{Partition: 700 * time.Millisecond, OneWay: 500 * time.Millisecond}},
		{name: "crashes", nodes: 3, cfg: small, faults: sim.Faults{Crash: 500 * time.Millisecond, Lasting: 300 * time.Millisecond}},
		{name: "wipes", nodes: 4, cfg: small, faults: sim.Faults{Wipe: 1500 * time.Millisecond, Crash: time.Second}},
		{name: "all", nodes: 5, cfg: small, ring: true,
			net: func(c *sim.Config[packet]) { c.Loss, c.Duplicate, c.MaxDelay = 0.1, 0.1, 50*time.Millisecond },
			faults: sim.Faults{Partition: time.Second, OneWay: time.Second, Crash: time.Second, Wipe: 2 * time.Second,
				Pause: time.Second}},
		{name: "placed", nodes: 3, cfg: placed,
			net:    func(c *sim.Config[packet]) { c.Loss, c.Duplicate = 0.1, 0.1 },
			faults: sim.Faults{Partition: time.Second, Crash: time.Second, Pause: time.Second}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			net := simConfig()
			if tc.net != nil {
				tc.net(&net)
			}
			sim.Run(t, 12, net, func(t *testing.T, s *sim.Sim[packet]) {
				cfg := tc.cfg
				if cfg.Shares != nil { // both ends have to hold it
					shares := cfg.Shares
					cfg.Shares = func(k wire.ID, peer machine.NodeID) bool { return shares(k, peer) }
				}
				c := newCluster(t, s, tc.nodes, cfg, hooks{})
				if tc.ring {
					c.edges = func(a, b machine.NodeID) bool {
						n := machine.NodeID(tc.nodes)
						return (a+1-b)%n == 0 || (b+1-a)%n == 0
					}
				}
				c.start()
				s.Disturb(4*time.Second, tc.faults)
				c.traffic(4*time.Second, 400, 40)
				c.verify(t, tc.faults.Wipe > 0)
			})
		})
	}
}
