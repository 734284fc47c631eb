package replica

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Machine synchronises the variables of one node with its neighbours. See the package's documentation for
// what it does and package machine for how it is driven.
type Machine struct {
	cfg   Config
	now   time.Duration
	out   []Effect
	index index

	peers      map[machine.NodeID]*peer
	order      []*peer // by id
	touched    []*peer // those that may have something to send when the step ends
	generation uint64  // changes with the answers of Shares
	streams    uint64  // streams begun so far
	requests   uint64  // questions asked so far

	ticket, logged uint64
	logging        fifo[logging] // novelties that wait for Logged

	hooks hooks
}

var _ machine.Machine[Input, Effect] = (*Machine)(nil)

// logging is a novelty between Log and Logged.
type logging struct {
	ticket  uint64
	entry   *entry
	novelty []byte
	from    machine.NodeID
}

// hooks switch safety off, so that tests can show that it is what keeps them green.
type hooks struct {
	trustOld   bool                // no passes for new incarnations, old acknowledgements hold for them
	noopsStall bool                // what brings nothing new does not advance the stream
	noCollapse bool                // the window grows without end
	forget     bool                // what overflows the window is dropped and not repaired
	ackEarly   bool                // acknowledge before Logged
	hash       func(Object) uint64 // instead of Object.Hash
}

// New returns a machine without variables and neighbours. It panics if Self, Incarnation or Open of the
// configuration is not set. Variables that the host has already are made known with Add.
func New(cfg Config) *Machine {
	if cfg.Self == 0 || cfg.Incarnation == 0 || cfg.Open == nil {
		panic("replica: Config.Self, Incarnation and Open must be set")
	}
	return &Machine{
		cfg:        cfg.withDefaults(),
		index:      newIndex(),
		peers:      map[machine.NodeID]*peer{},
		generation: 1,
	}
}

// Add makes a variable known that the host has loaded or just created; it may be called before the first
// Step and between Steps. Without it a variable is found only once it is written or a neighbour names it.
// A key that is known already is left as it is.
func (m *Machine) Add(key wire.ID, object Object) {
	if m.index.byKey[key] == nil {
		m.index.add(&entry{key: key, position: position(key), object: object})
	}
}

// Object returns the object that the machine has for a key, nil when it has none.
func (m *Machine) Object(key wire.ID) Object {
	if e := m.index.byKey[key]; e != nil {
		return e.object
	}
	return nil
}

// Len is the number of variables that the machine knows.
func (m *Machine) Len() int { return len(m.index.byKey) }

// Step takes one input. See machine.Machine. Its cost is that of what the input carries, of one bounded
// message and, for Tick, of a look at each neighbour.
func (m *Machine) Step(now time.Duration, in Input, out []Effect) []Effect {
	m.now, m.out = max(m.now, now), out
	switch in := in.(type) {
	case Local:
		m.local(in)
	case Received:
		m.receive(in)
	case Logged:
		m.onLogged(in.Ticket)
	case PeerUp:
		m.peerUp(in)
	case PeerDown:
		if p := m.peers[in.ID]; p != nil {
			p.up = false
		}
	case PeerRemoved:
		m.peerRemoved(in.ID)
	case Replaced:
		m.replaced(in.Peer)
	case Evicted:
		if e := m.index.byKey[in.Key]; e != nil {
			e.gone = true
			m.index.remove(e)
		}
	case Tick:
		for _, p := range m.order {
			m.touch(p)
		}
	default:
		panic(fmt.Sprintf("replica: unknown input %T", in))
	}
	for i := 0; i < len(m.touched); i++ { // pumping may touch again: the end of a pass is a frame
		p := m.touched[i]
		p.touched = false
		m.pump(p)
	}
	m.touched = m.touched[:0]
	out, m.out = m.out, nil
	return out
}

func (m *Machine) local(in Local) {
	e := m.entry(in.Key, m.cfg.Self)
	if e == nil || len(in.Novelty) == 0 {
		return
	}
	m.spread(e, in.Novelty, m.cfg.Self)
}

// spread puts a durable novelty into the streams of all that share the variable, but for the one that it
// came from.
func (m *Machine) spread(e *entry, novelty []byte, from machine.NodeID) {
	for _, p := range m.sharersOf(e) {
		if p.id != from {
			m.push(p, e, novelty)
		}
	}
}

// join merges what a neighbour sent, and has the novelty logged.
func (m *Machine) join(p *peer, e *entry, delta []byte) {
	novelty, err := e.object.Join(delta)
	if err != nil {
		m.failed(e.key, p.id, &ObjectError{Key: e.key, Peer: p.id, Op: "join", Err: err})
		return
	}
	if len(novelty) == 0 {
		return
	}
	m.ticket++
	m.logging.push(logging{m.ticket, e, novelty, p.id})
	m.effect(Log{Key: e.key, Novelty: novelty, Ticket: m.ticket})
}

// onLogged lets go what has waited for the log.
func (m *Machine) onLogged(ticket uint64) {
	m.logged = max(m.logged, min(ticket, m.ticket))
	for m.logging.len() > 0 && m.logging.first().ticket <= m.logged {
		l := m.logging.pop()
		if l.entry.gone {
			continue
		}
		m.effect(Changed{Key: l.entry.key, Novelty: l.novelty, From: l.from})
		m.spread(l.entry, l.novelty, l.from)
	}
	for _, p := range m.order {
		m.releaseAcks(p)
	}
}

func (m *Machine) receive(in Received) {
	p := m.peers[in.From]
	if p == nil || in.Incarnation < p.incarnation {
		return // not a neighbour yet, or the voice of the dead
	}
	msg, err := decode(in.Message)
	if err != nil {
		m.failed(wire.ID{}, in.From, &MessageError{From: in.From, Why: err.Error()})
		return
	}
	if msg.to != m.cfg.Incarnation {
		return // meant for the process that ran here before
	}
	if in.Incarnation > p.incarnation {
		m.begin(p, in.Incarnation)
	}
	m.touch(p)
	switch {
	case msg.batch != nil:
		m.onBatch(p, msg.batch, len(in.Message))
	case msg.ack != nil:
		m.onAck(p, msg.ack)
	case msg.sums != nil:
		m.onSums(p, msg.sums)
	case msg.pages != nil:
		m.onPages(p, msg.pages)
	case msg.digests != nil:
		m.onDigests(p, msg.digests)
	case msg.answers != nil:
		m.onAnswers(p, msg.answers)
	}
}

func (m *Machine) peerUp(in PeerUp) {
	if in.ID == 0 || in.ID == m.cfg.Self || in.Incarnation == 0 {
		return
	}
	p := m.peers[in.ID]
	if p == nil {
		p = &peer{id: in.ID}
		m.peers[in.ID] = p
		at, _ := slices.BinarySearchFunc(m.order, in.ID, func(q *peer, id machine.NodeID) int { return cmp.Compare(q.id, id) })
		m.order = slices.Insert(m.order, at, p)
		m.generation++
	}
	switch {
	case in.Incarnation > p.incarnation:
		m.begin(p, in.Incarnation)
	case in.Incarnation == p.incarnation && !p.up:
		p.up = true
		m.again(p)
	}
	m.touch(p)
}

func (m *Machine) peerRemoved(id machine.NodeID) {
	p := m.peers[id]
	if p == nil {
		return
	}
	p.up = false
	delete(m.peers, id)
	m.order = slices.DeleteFunc(m.order, func(q *peer) bool { return q == p })
	m.generation++
}

func (m *Machine) replaced(id machine.NodeID) {
	m.generation++
	for _, p := range m.order {
		if id == 0 || p.id == id {
			p.pass = pass{wanted: true, at: m.now}
			m.touch(p)
		}
	}
}

// Synced says whether this node has caught up with what a neighbour had when it was found or last
// Replaced: everything that they share was compared, and what this node lacked has arrived and is
// durable. It is false while a variable cannot be brought over (Failed).
func (m *Machine) Synced(id machine.NodeID) bool {
	p := m.peers[id]
	return p != nil && p.pass.complete && p.dirty.len() == 0 && len(p.asked) == 0 && len(p.stuck) == 0 &&
		m.logged >= p.caughtUp
}

// Idle says whether nothing is under way: every neighbour is synced, and has acknowledged all that it was
// sent. Neighbours that are down count.
func (m *Machine) Idle() bool {
	for _, p := range m.order {
		if !m.Synced(p.id) || p.window.len() > 0 || p.gapBytes > 0 {
			return false
		}
	}
	return m.logging.len() == 0
}

func (m *Machine) effect(e Effect) { m.out = append(m.out, e) }

func (m *Machine) failed(key wire.ID, peer machine.NodeID, err error) {
	m.effect(Failed{Key: key, Peer: peer, Err: err})
}

func (m *Machine) send(p *peer, msg message) {
	if p.up {
		msg.to = p.incarnation
		m.effect(Send{To: p.id, Message: msg.encode(), Repair: msg.batch == nil && msg.ack == nil})
	}
}

func (m *Machine) touch(p *peer) {
	if !p.touched {
		p.touched = true
		m.touched = append(m.touched, p)
	}
}

func (m *Machine) hash(e *entry) uint64 {
	if m.hooks.hash != nil {
		return m.hooks.hash(e.object)
	}
	return e.object.Hash()
}

// fifo is a queue whose memory is used again.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int    { return len(q.items) - q.head }
func (q *fifo[T]) first() *T   { return &q.items[q.head] }
func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }
func (q *fifo[T]) push(item T) { q.items = append(q.items, item) }
func (q *fifo[T]) clear()      { q.items, q.head = nil, 0 }

func (q *fifo[T]) pop() T {
	var zero T
	item := q.items[q.head]
	q.items[q.head] = zero
	if q.head++; q.head > len(q.items)/2 && q.head > 32 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}
