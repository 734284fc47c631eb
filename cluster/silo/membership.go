package silo

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// membership drives the machines of package view for one run of a silo: the registry, which the log feeds,
// the keeper and the detector of every silo, and the lead of the one that leads. Its methods may be called
// from any goroutine; the machines are stepped under mu, and what they ask for is done by one goroutine,
// outside of it.
type membership struct {
	self  view.Run
	addr  string
	now   func() time.Duration
	views *view.Holder
	node  *actor.Node
	log   *slog.Logger
	times view.Times
	seal  func(rows []view.Row, drained func([]view.Row))
	// forget is how long nothing is heard of a store before it is taken for gone; waited are the stores that
	// the ledger keeps for, which those that are gone leave by farewell.
	forget   time.Duration
	waited   func() []string
	farewell func(store string) []byte

	standing atomic.Pointer[view.Standing]
	group    *consensus.Group // of the views; set once, before the first tick
	data     *consensus.Group // of the ledger; as well

	mu       sync.Mutex
	registry *view.Registry
	keeper   *view.Keeper
	detector *view.Detector
	lead     *view.Lead           // nil while this silo does not lead
	term     uint64               // of lead
	added    map[string]time.Time // when this leader saw each store in the log first
	expelled map[view.SiloID]bool // by somebody in charge, as far as this leader was told
	effects  []view.Effect
	pending  []view.Effect
	wake     chan struct{} // one: there is something pending

	absent map[string]time.Duration // of govern's goroutine: see goneFromData

	serving chan struct{} // closed when the silo is active
	left    chan struct{} // closed when the silo has left as it wanted to
	removed chan struct{} // closed when it was removed
}

func newMembership(m view.Member, times view.Times, detector view.DetectorConfig, now func() time.Duration, views *view.Holder, node *actor.Node, log *slog.Logger) (*membership, error) {
	keeper, err := view.NewKeeper(view.KeeperConfig{Member: m, Times: times})
	if err != nil {
		return nil, err
	}
	detector.Self = m.Run
	ms := &membership{
		self: m.Run, addr: m.Addr, now: now, views: views, node: node, log: log, times: times,
		registry: view.NewRegistry(), keeper: keeper,
		detector: view.NewDetector(detector, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		expelled: map[view.SiloID]bool{}, wake: make(chan struct{}, 1),
		serving: make(chan struct{}), left: make(chan struct{}), removed: make(chan struct{}),
	}
	ms.standing.Store(keeper.Standing())
	views.Set(ms.registry.Table())
	return ms, nil
}

// Standing is what the silo may serve.
func (m *membership) Standing() *view.Standing { return m.standing.Load() }

// apply applies an entry of the log; the result goes to whoever proposed it.
func (m *membership) apply(entry []byte) ([]byte, error) {
	m.mu.Lock()
	a, err := m.registry.Apply(entry)
	if err == nil {
		m.stepAll(a)
	}
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	// Hosts look at the standing when they are told of a view: it is there before.
	m.views.Set(a.Table)
	return a.Result(), nil
}

func (m *membership) snapshot() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.registry.Snapshot()
}

func (m *membership) restore(r io.Reader) error {
	m.mu.Lock()
	err := m.registry.Restore(r)
	a := m.registry.Current()
	if err == nil {
		m.stepAll(a)
	}
	m.mu.Unlock()
	if err == nil {
		m.views.Set(a.Table)
	}
	return err
}

// stepAll steps all machines; mu is held.
func (m *membership) stepAll(in view.Input) {
	now := m.now()
	out := m.keeper.Step(now, in, m.effects[:0])
	m.standing.Store(m.keeper.Standing())
	out = m.detector.Step(now, in, out)
	if m.lead != nil {
		out = m.lead.Step(now, in, out)
	}
	m.hand(out)
}

// step steps all machines with an input; those that do not take it ignore it.
func (m *membership) step(in view.Input) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stepAll(in)
}

// hand passes effects to the goroutine that carries them out; mu is held.
func (m *membership) hand(out []view.Effect) {
	if len(out) == 0 {
		return
	}
	m.pending = append(m.pending, out...)
	clear(out)
	m.effects = out
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run drives the machines until ctx ends.
func (m *membership) run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { m.leading(ctx) })
	loops.Go(func() { m.govern(ctx) })
	tick := time.NewTicker(m.tickEvery())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.step(view.Tick{})
		case <-m.wake:
		}
		m.mu.Lock()
		out := m.pending
		m.pending = nil
		m.mu.Unlock()
		for _, e := range out {
			m.carryOut(e)
		}
	}
}

// tickEvery is a third of the time for which a leader may stand still.
func (m *membership) tickEvery() time.Duration {
	if m.times.Stall > 0 {
		return m.times.Stall / 3
	}
	return 50 * time.Millisecond
}

func (m *membership) carryOut(e view.Effect) {
	switch e := e.(type) {
	case view.Ask:
		m.toLeader(link.ServiceAsk, view.EncodeCommands(e.Command), view.Asked(e))
	case view.Verdict:
		m.toLeader(link.ServiceVote, e.Vote.Append(nil), e.Vote)
	case view.SendProbe:
		b := protowire.AppendVarint(nil, m.views.Current().Number)
		_ = m.node.Notify(e.Addr, link.ServiceProbe, e.Probe.Append(b)) // a probe may be lost
	case view.Propose:
		// What becomes of it is seen in what is applied.
		_, _ = m.group.Submit(view.EncodeCommands(e.Commands...))
	case view.Seal:
		m.seal(e.Rows, func(rows []view.Row) { m.step(view.Drained{Rows: rows}) })
	case view.Serving:
		close(m.serving)
	case view.Ended:
		if e.Removed {
			close(m.removed)
		} else {
			close(m.left)
		}
	}
}

// toLeader sends what is for the leader of the log, or steps with it where this silo leads. What is lost is
// sent again by who wants it.
func (m *membership) toLeader(s actor.Service, payload []byte, in view.Input) {
	leader, ok := m.group.Leader()
	if !ok {
		return
	}
	addr, err := siloAddr(leader.Addr)
	switch {
	case err != nil:
		m.log.Error("the address of the log's leader", "error", err)
	case leader.ID == string(m.self.ID):
		m.step(in)
	default:
		_ = m.node.Notify(addr, s, payload)
	}
}

// leading makes a lead when this silo gains leadership, and drops it when it loses that.
func (m *membership) leading(ctx context.Context) {
	for {
		state, changed := m.group.Leadership()
		m.mu.Lock()
		switch {
		case !state.Self:
			m.lead = nil
		case m.lead == nil || m.term != state.Term:
			m.lead, m.term, m.added = view.NewLead(view.LeadConfig{Times: m.times}, m.now(), m.registry.Current()), state.Term, nil
		}
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// asked is the handler of link.ServiceAsk.
func (m *membership) asked(from actor.Peer, payload []byte) {
	commands, err := view.DecodeCommands(payload)
	if err != nil || len(commands) != 1 || !from.Silo {
		m.refuse("a request for the view", from, err)
		return
	}
	if j, ok := commands[0].(view.Join); ok && m.isExpelled(j.Member.ID) {
		return // for good
	}
	run, addr, ok := m.author(commands[0])
	if !ok || addr != from.Addr || run.Incarnation != from.Incarnation {
		m.refuse("a request for the view in another's name", from, nil)
		return
	}
	m.step(view.Asked{Command: commands[0]})
}

// author is the run that a command is of, and where it is.
func (m *membership) author(c view.Command) (run view.Run, addr string, ok bool) {
	switch c := c.(type) {
	case view.Join:
		return c.Member.Run, c.Member.Addr, true
	case view.Ready:
		run = c.Run
	case view.Leave:
		run = c.Run
	case view.Left:
		run = c.Run
	case view.Release:
		run = c.Run
	case view.Renew:
		if len(c.Renewals) != 1 {
			return run, "", false
		}
		run = c.Renewals[0].Run
	default:
		return run, "", false
	}
	member, ok := m.views.Current().Has(run)
	return run, member.Addr, ok
}

// voted is the handler of link.ServiceVote.
func (m *membership) voted(from actor.Peer, payload []byte) {
	v, err := view.DecodeVote(payload)
	if err != nil || !m.is(from, v.By) {
		m.refuse("a vote", from, err)
		return
	}
	m.step(v)
}

// probed is the handler of link.ServiceProbe.
func (m *membership) probed(from actor.Peer, payload []byte) {
	number, n := protowire.ConsumeVarint(payload)
	if n < 0 {
		return
	}
	p, err := view.DecodeProbe(payload[n:])
	if err != nil || !m.is(from, p.From) {
		return // of a run that is new, or over: it comes again
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if number > m.views.Current().Number {
		m.stepAll(view.Heard{Number: number})
	}
	m.stepAll(view.Probed{Probe: p})
}

// is says whether a message came from that run.
func (m *membership) is(from actor.Peer, run view.Run) bool {
	member, ok := m.views.Current().Has(run)
	return ok && from.Silo && member.Addr == from.Addr && run.Incarnation == from.Incarnation
}

func (m *membership) refuse(what string, from actor.Peer, err error) {
	m.log.Debug("refused: "+what, "from", from.Addr, "error", err)
}

// expel has the leader remove a store for good: its run, if one lives, when its lease has run out, then its
// replica of the log. It says whether this silo leads.
func (m *membership) expel(id view.SiloID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lead == nil {
		return false
	}
	m.expelled[id] = true
	if member, ok := m.registry.Table().Member(id); ok && member.Alive() {
		m.stepAll(view.Expel{Run: member.Run})
	}
	return true
}

func (m *membership) isExpelled(id view.SiloID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.expelled[id]
}

// suspects are those of whom this silo, if it leads the log, hears too little.
func (m *membership) suspects() []view.Suspect {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lead == nil {
		return nil
	}
	return m.lead.Suspects()
}
