package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/replica"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	// outbox is how many messages wait for a silo's transport; the machine repeats those that are dropped.
	outbox = 256
	// announceWait bounds one announcement, and is the pause before it is repeated.
	announceWait = time.Second
	// reportLimit bounds what is remembered of what was reported.
	reportLimit = 1 << 12
)

// nodeOf is the name that machines have for a silo, the same on all.
func nodeOf(s view.SiloID) machine.NodeID {
	return machine.NodeID(max(1, xxh3.HashString(string(s))))
}

// placing is what decides who holds what. It is immutable.
type placing struct {
	self    view.SiloID
	view    *view.Table // nil before the first
	follows []string    // kinds that this silo follows, in the order of Follow
	theirs  map[view.SiloID]following

	arrivals []*arrival // what this silo may be a new replica by: see newcomer.go
}

// following is what another silo follows.
type following struct {
	incarnation uint64
	kinds       map[string]bool
}

type placingPointer struct{ atomic.Pointer[placing] }

// follow says whether a silo follows a kind.
func (p *placing) follow(s view.SiloID, kind string) bool {
	if s == p.self {
		return slices.Contains(p.follows, kind)
	}
	return p.theirs[s].kinds[kind]
}

// holds says whether a variable is kept on this silo. Before the first view it may be.
func (p *placing) holds(k *wire.VariableKind, id wire.ID) bool {
	return p.view == nil || isReplica(p.view, k, id, p.self) || p.follow(p.self, id.Kind())
}

// peer is another silo that has been up.
type peer struct {
	silo        view.SiloID
	incarnation uint64
	up          bool
	out         chan replica.Send // capacity outbox
}

// report is what is told once.
type report struct {
	variable wire.ID
	peer     machine.NodeID
}

// step drives the machine. The caller holds mu.
func (h *Host) step(in replica.Input) {
	h.effects = h.machine.Step(time.Since(h.start), in, h.effects[:0])
	for _, e := range h.effects {
		switch e := e.(type) {
		case replica.Send:
			if p := h.peers[e.To]; p != nil {
				select {
				case p.out <- e:
				default:
				}
			}
		case replica.Log:
			// When nothing is taken any more it is never acknowledged, and comes again in another run.
			_ = h.queue.put(&entry{variable: h.table.get(e.Key), delta: e.Novelty, ticket: e.Ticket}, false)
		case replica.Changed:
			h.changed = append(h.changed, change{e.Key, e.Novelty})
		case replica.Failed:
			h.report(e)
		}
	}
	clear(h.effects)
}

// report logs what could not be done for a variable with a silo, once for each pair.
func (h *Host) report(f replica.Failed) {
	r := report{f.Key, f.Peer}
	if h.reported[r] || len(h.reported) >= reportLimit {
		return
	}
	h.reported[r] = true
	silo := h.cfg.Self
	if p := h.peers[f.Peer]; p != nil {
		silo = p.silo
	}
	h.logger.Error("variable: not synchronised", "variable", f.Key.String(), "with", string(silo), "error", f.Err)
}

// open is how the machine meets a variable that another silo names. It runs in a step.
func (h *Host) open(id wire.ID) (replica.Object, error) {
	k, err := kindOf(h.cfg.Kinds, id.Kind())
	if err != nil {
		return nil, err
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	return h.table.make(id, k.Lattice), nil
}

// shares says whether this silo and another both keep a variable, at least one of them because the view
// says so: those that only follow hear from those.
func (h *Host) shares(id wire.ID, node machine.NodeID) bool {
	p, k := h.peers[node], h.cfg.Kinds[id.Kind()].Variable()
	if p == nil || k == nil {
		return false
	}
	at := h.placing.Load()
	here, there := isReplica(at.view, k, id, h.cfg.Self), isReplica(at.view, k, id, p.silo)
	return here && there || here && at.follow(p.silo, id.Kind()) || there && at.follow(h.cfg.Self, id.Kind())
}

// onView takes a new view.
func (h *Host) onView(v *view.Table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.ended:
		return
	default:
	}
	old := h.placing.Load()
	if old.view != nil && v.Number <= old.view.Number {
		return
	}
	next := *old
	next.view, next.theirs = v, maps.Clone(old.theirs)
	for _, s := range v.Members {
		if s.Incarnation > next.theirs[s.ID].incarnation {
			delete(next.theirs, s.ID) // a new run tells anew
		}
	}
	next.arrivals = h.arrive(old, v)
	h.settle(&next)
	if old.view == nil || !slices.EqualFunc(old.view.Keepers(), v.Keepers(), func(a, b view.Member) bool { return a.ID == b.ID }) {
		h.step(replica.Replaced{})
		h.handDisplaced()
	}
	if was, _ := memberOf(old.view, h.cfg.Self); was.State != view.Active { // those that vote are replicas already
		h.handDisplaced()
	}
	for _, s := range v.Members {
		if s.ID != h.cfg.Self {
			h.onSilo(s)
		}
	}
	h.kick()
}

// onSilo takes what a view says of another silo. The caller holds mu.
func (h *Host) onSilo(s view.Member) {
	node := nodeOf(s.ID)
	p := h.peers[node]
	switch {
	case p == nil && !s.Alive():
		return
	case p == nil && node == nodeOf(h.cfg.Self), p != nil && p.silo != s.ID:
		// One in 2^64 for each pair.
		h.logger.Error("variable: two stores' ids have the same hash; they are not synchronised: remove one's data directory", "store", string(s.ID))
		return
	case p == nil:
		p = &peer{silo: s.ID, out: make(chan replica.Send, outbox)}
		h.peers[node] = p
		h.running.Go(func() { h.deliver(p) })
	}
	switch {
	case s.Alive() && (!p.up || p.incarnation != s.Incarnation):
		p.up, p.incarnation = true, s.Incarnation
		h.step(replica.PeerUp{ID: node, Incarnation: machine.Incarnation(s.Incarnation)})
	case !s.Alive() && p.up:
		// Nothing is kept for a silo that the view calls down: when it is back, the first pass finds what
		// it missed, and meanwhile it costs no memory.
		p.up = false
		h.step(replica.PeerRemoved{ID: node})
	}
}

// deliver hands the messages for a silo to the transport, in their order.
func (h *Host) deliver(p *peer) {
	for {
		select {
		case <-h.ended:
			return
		case m := <-p.out:
			transport := h.cfg.Replicas
			if m.Repair || len(m.Message) > h.cfg.Limit {
				transport = h.cfg.Repairs
			}
			_ = transport.Notify(p.silo, m.Message) // the machine repeats what does not arrive
		}
	}
}

// ServeNotify takes a message of another silo's host: the handler of the transport Replicas. It does not
// block for the disk or the network, and keeps payload.
func (h *Host) ServeNotify(from view.SiloID, incarnation uint64, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	node := nodeOf(from)
	if p := h.peers[node]; p != nil && p.silo == from {
		h.step(replica.Received{From: node, Incarnation: machine.Incarnation(incarnation), Message: payload})
	}
}

// Follow keeps all variables of a kind on this silo from now on, until the host is closed, whether the
// view places them here or not. The copies count for no write; the first come with the next comparison.
func (h *Host) Follow(kind string) error {
	if _, err := kindOf(h.cfg.Kinds, kind); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.placing.Load()
	if slices.Contains(old.follows, kind) {
		return nil
	}
	next := *old
	next.follows = append(slices.Clone(old.follows), kind)
	h.placing.Store(&next)
	h.step(replica.Replaced{})
	h.kick()
	return nil
}

// onFollowing takes what another silo says that it follows.
func (h *Host) onFollowing(from view.SiloID, f following) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.placing.Load()
	known := old.theirs[from]
	if f.incarnation < known.incarnation ||
		f.incarnation == known.incarnation && len(f.kinds) <= len(known.kinds) { // a run only follows more
		return
	}
	next := *old
	next.theirs = maps.Clone(old.theirs)
	if next.theirs == nil {
		next.theirs = map[view.SiloID]following{}
	}
	next.theirs[from] = f
	h.placing.Store(&next)
	h.step(replica.Replaced{Peer: nodeOf(from)})
}

// kick has announcements looked at.
func (h *Host) kick() {
	select {
	case h.announce <- struct{}{}:
	default:
	}
}

// announcements tells every silo that is up what this one follows, until it has answered; each run of
// each silo, and again when it becomes more.
func (h *Host) announcements(ctx context.Context) {
	type told struct {
		incarnation uint64
		kinds       int
	}
	var mu sync.Mutex
	done := map[view.SiloID]told{}
	for again := false; ; {
		var retry <-chan time.Time
		if again {
			retry = time.After(announceWait)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.announce:
		case <-retry:
		}
		again = false
		at := h.placing.Load()
		if at.view == nil || len(at.follows) == 0 {
			continue
		}
		var all sync.WaitGroup
		message := request{op: opFollowing, incarnation: h.cfg.Incarnation, kinds: at.follows}.append(nil)
		for _, s := range at.view.Members {
			now := told{s.Incarnation, len(at.follows)}
			mu.Lock()
			known := done[s.ID] == now
			mu.Unlock()
			if s.ID == h.cfg.Self || !s.Alive() || known {
				continue
			}
			all.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, announceWait)
				defer cancel()
				_, err := h.remote.ask(ctx, s.ID, message)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					again = true
					h.logger.Debug("variable: announcing what is followed", "to", string(s.ID), "error", fmt.Sprint(err))
					return
				}
				done[s.ID] = now
			})
		}
		all.Wait()
	}
}
