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

// packet is what nodes exchange: a machine's message, or a sign of life without one.
type packet struct {
	incarnation machine.Incarnation
	bytes       []byte
}

func (p packet) String() string {
	if p.bytes == nil {
		return "alive " + p.incarnation.String()
	}
	m, err := decode(p.bytes)
	if err != nil {
		return err.Error()
	}
	switch {
	case m.batch != nil:
		return fmt.Sprintf("%v→%v batch s%d base %d first %d frames %d", p.incarnation, m.to, m.batch.stream, m.batch.base, m.batch.first, len(m.batch.frames))
	case m.ack != nil:
		return fmt.Sprintf("%v→%v ack %+v", p.incarnation, m.to, *m.ack)
	case m.sums != nil:
		return fmt.Sprintf("%v→%v sums %d from %x: %d", p.incarnation, m.to, m.sums.id, m.sums.lo, len(m.sums.sums))
	case m.pages != nil:
		return fmt.Sprintf("%v→%v pages %d to %x: %d", p.incarnation, m.to, m.pages.id, m.pages.last, len(m.pages.segments))
	case m.digests != nil:
		return fmt.Sprintf("%v→%v digests %d: %d", p.incarnation, m.to, m.digests.id, len(m.digests.items))
	}
	return fmt.Sprintf("%v→%v answers %d: %d", p.incarnation, m.to, m.answers.id, len(m.answers.items))
}

func packetType(p packet) string {
	if p.bytes == nil {
		return "alive"
	}
	m, err := decode(p.bytes)
	switch {
	case err != nil:
		return "malformed"
	case m.batch != nil:
		return "batch"
	case m.ack != nil:
		return "ack"
	case m.sums != nil:
		return "sums"
	case m.pages != nil:
		return "pages"
	case m.digests != nil:
		return "digests"
	}
	return "answers"
}

// record is what a node logs.
type record struct {
	key     wire.ID
	novelty []byte
}

// host is one run of a simulated node: it drives a machine, keeps its log and knows its neighbours by
// their signs of life.
type host struct {
	env   *sim.Env[packet]
	c     *cluster
	m     *Machine
	heard map[machine.NodeID]time.Duration
	seq   uint64
}

type cluster struct {
	t      testing.TB
	s      *sim.Sim[packet]
	cfg    Config // what the nodes have in common
	hooks  hooks
	ids    []machine.NodeID
	hosts  map[machine.NodeID]*host
	failed []Failed
	edges  func(a, b machine.NodeID) bool // who is whose neighbour; nil: everybody

	durable []record // writes that were acknowledged to their writers
}

func simConfig() sim.Config[packet] {
	return sim.Config[packet]{
		Size: func(p packet) int { return len(p.bytes) },
		Type: packetType,
	}
}

func newCluster(t testing.TB, s *sim.Sim[packet], nodes int, cfg Config, h hooks) *cluster {
	c := &cluster{t: t, s: s, cfg: cfg, hooks: h, hosts: map[machine.NodeID]*host{}}
	for id := machine.NodeID(1); int(id) <= nodes; id++ {
		c.ids = append(c.ids, id)
	}
	return c
}

func (c *cluster) start() *cluster {
	for _, id := range c.ids {
		c.s.AddNode(id, c.boot)
	}
	return c
}

func (c *cluster) boot(env *sim.Env[packet]) sim.Handler[packet] {
	h := &host{env: env, c: c, heard: map[machine.NodeID]time.Duration{}}
	c.hosts[env.ID()] = h
	cfg := c.cfg
	cfg.Self, cfg.Incarnation = env.ID(), env.Incarnation()
	cfg.Open = func(wire.ID) (Object, error) { return newSet(), nil }
	if cfg.AntiEntropy == 0 {
		cfg.AntiEntropy = -1 // what a test shows must not be the safety net's doing
	}
	h.m = New(cfg)
	h.m.hooks = c.hooks
	for _, r := range env.Disk().Records() {
		r := r.(record)
		h.m.Add(r.key, newSet())
		_, err := h.m.Object(r.key).Join(r.novelty)
		require.NoError(c.t, err)
	}
	env.Every(50*time.Millisecond, func() {
		for _, id := range c.ids {
			if id != env.ID() && (c.edges == nil || c.edges(id, env.ID())) {
				env.Send(id, packet{incarnation: env.Incarnation()})
				if at, ok := h.heard[id]; ok && env.Now()-at > 500*time.Millisecond {
					delete(h.heard, id)
					h.step(PeerDown{id})
				}
			}
		}
		h.step(Tick{})
	})
	return h
}

func (h *host) Receive(from machine.NodeID, p packet) {
	h.heard[from] = h.env.Now()
	h.step(PeerUp{from, p.incarnation})
	if p.bytes != nil {
		h.step(Received{from, p.incarnation, p.bytes})
	}
}

func (h *host) step(in Input) {
	for _, e := range h.m.Step(h.env.Now(), in, nil) {
		switch e := e.(type) {
		case Send:
			h.env.Send(e.To, packet{h.env.Incarnation(), e.Message})
		case Log:
			h.env.Append(record{e.Key, e.Novelty}, func() { h.step(Logged{e.Ticket}) })
		case Failed:
			h.c.failed = append(h.c.failed, e)
		}
	}
}

// add and remove write into a variable of this node.
func (h *host) add(key wire.ID, elem string) {
	h.seq++
	actor := uint64(h.env.ID())<<32 | uint64(h.env.Incarnation()) // never used by another run
	h.write(key, h.set(key).add(dot{actor, h.seq}, elem))
}

func (h *host) remove(key wire.ID, elem string) {
	if delta := h.set(key).remove(elem); delta != nil {
		h.write(key, delta)
	}
}

func (h *host) write(key wire.ID, delta []byte) {
	r := record{key, delta}
	h.env.Append(r, func() {
		h.c.durable = append(h.c.durable, r)
		h.step(Local{key, delta})
	})
}

func (h *host) set(key wire.ID) *set {
	h.m.Add(key, newSet())
	return h.m.Object(key).(*set)
}

// equal says whether all nodes that are up and share a variable have it in the same state.
func (c *cluster) equal() bool {
	want := map[wire.ID]uint64{}
	for _, id := range c.ids {
		for key, e := range c.hosts[id].m.index.byKey {
			h := e.object.Hash()
			if h == 0 {
				continue
			}
			if w, ok := want[key]; ok && w != h {
				return false
			}
			want[key] = h
		}
	}
	for _, id := range c.ids {
		for key, h := range want {
			if !c.holds(id, key) {
				continue
			}
			if e := c.hosts[id].m.index.byKey[key]; e == nil || e.object.Hash() != h {
				return false
			}
		}
	}
	return true
}

// holds says whether the node shares the variable with anybody.
func (c *cluster) holds(id machine.NodeID, key wire.ID) bool {
	for _, other := range c.ids {
		if other != id && (c.cfg.Shares == nil || c.cfg.Shares(key, other) && c.cfg.Shares(key, id)) {
			return true
		}
	}
	return false
}

// settled says whether nothing is under way anywhere.
func (c *cluster) settled() bool {
	for _, id := range c.ids {
		if !c.hosts[id].m.Idle() {
			return false
		}
	}
	return true
}

func (c *cluster) done() bool { return c.settled() && c.equal() }

// describe prints what each node has, for failures.
func (c *cluster) describe() (text string) {
	for _, id := range c.ids {
		h := c.hosts[id]
		text += fmt.Sprintf("%v idle=%v vars=%d logging=%d", id, h.m.Idle(), h.m.Len(), h.m.logging.len())
		for _, p := range h.m.order {
			text += fmt.Sprintf("\n   %v%v up=%v window=%d (%d..%d..%d) dirty=%d asked=%d stuck=%d in=%d/%d gaps=%d pass=%+v", p.id, p.incarnation,
				p.up, p.window.len(), p.base, p.sent, p.next, p.dirty.len(), len(p.asked), len(p.stuck), p.durable, p.expected, len(p.gaps), p.pass)
		}
		text += "\n"
	}
	return text
}

func key(i int) wire.ID { return wire.NewID("test.Var", fmt.Sprintf("k%05d", i)) }
