package actor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Network joins nodes of one process in memory, for tests. What is sent is
// copied through its encoding, so that nodes share no memory. Without delays a
// message is taken in on the sender's goroutine. The zero value is ready.
type Network struct {
	mu     sync.RWMutex
	nodes  map[string]*Node
	names  int
	cut    map[direction]bool
	rules  map[direction]rule
	tamper func(from, to string, s Service) (drop bool, delay time.Duration)
	lines  map[lane]*line
}

// direction is from one address to another.
type direction struct{ from, to string }

// lane is one channel of a direction: each has its own order.
type lane struct {
	direction
	channel Channel
}

type rule struct {
	drop  bool
	delay time.Duration
}

// line holds the delayed messages of a lane, in order.
type line struct {
	mu      sync.Mutex
	waiting []delayed
	running bool
}

type delayed struct {
	due  time.Time
	from *Node
	env  []byte
}

var errUnreachable = errors.New("no node at this address")

// join sets n's address and transport before anybody can find it.
func (w *Network) join(n *Node) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr := n.cfg.Advertise
	if addr == "" {
		addr = n.cfg.Addr
	}
	if addr == "" {
		w.names++
		addr = fmt.Sprintf("memory-%d", w.names)
	}
	if w.nodes == nil {
		w.nodes = map[string]*Node{}
	}
	if w.nodes[addr] != nil {
		return &PortInUse{Addr: addr, Cause: errors.New("another node of this network has it")}
	}
	n.addr, n.transport = addr, &memory{network: w, node: n}
	w.nodes[addr] = n
	return nil
}

// Cut loses everything between a and b, in both directions and without a word,
// as a broken cable does.
func (w *Network) Cut(a, b string) { w.setCut(a, b, true) }

// Heal undoes Cut.
func (w *Network) Heal(a, b string) { w.setCut(a, b, false) }

func (w *Network) setCut(a, b string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = map[direction]bool{}
	}
	w.cut[direction{a, b}], w.cut[direction{b, a}] = cut, cut
}

// Drop loses everything from one address to another, or stops doing so.
func (w *Network) Drop(from, to string, drop bool) {
	w.setRule(from, to, func(r *rule) { r.drop = drop })
}

// Delay holds each message from one address to another for d, in order.
func (w *Network) Delay(from, to string, d time.Duration) {
	w.setRule(from, to, func(r *rule) { r.delay = d })
}

func (w *Network) setRule(from, to string, set func(*rule)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rules == nil {
		w.rules = map[direction]rule{}
	}
	r := w.rules[direction{from, to}]
	set(&r)
	w.rules[direction{from, to}] = r
}

// Tamper sets a function that is asked about each message, replies and
// cancellations included; nil removes it. It must not call the network.
func (w *Network) Tamper(f func(from, to string, s Service) (drop bool, delay time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tamper = f
}

// Kill ends the node at addr as SIGKILL does: requests in flight to it are
// unknown at once at their callers, its own end likewise, and what it serves is
// cancelled without an answer. Its address is free afterwards.
func (w *Network) Kill(addr string) {
	w.mu.Lock()
	n := w.nodes[addr]
	w.mu.Unlock()
	if n == nil {
		return
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	n.left.Store(true) // nothing leaves it from here
	_ = n.Stop(ended)
}

// leave takes n out and tells the others.
func (w *Network) leave(n *Node) {
	w.mu.Lock()
	if w.nodes[n.addr] != n {
		w.mu.Unlock()
		return
	}
	delete(w.nodes, n.addr)
	var others []*Node
	for _, o := range w.nodes {
		others = append(others, o)
	}
	w.mu.Unlock()
	for _, o := range others {
		p := o.peer(n.addr)
		p.silo.Store(false)
		for ch := range channels {
			p.on[ch].incarnation.Store(0)
			o.callerLost(n.addr, ch)
		}
	}
}

// memory is a node's end of a Network.
type memory struct {
	network *Network
	node    *Node
}

func (m *memory) send(o outgoing) error {
	w, l := m.network, direction{m.node.addr, o.to}
	w.mu.RLock()
	member := w.nodes[l.from] == m.node
	target, lost, r, tamper := w.nodes[l.to], w.cut[l], w.rules[l], w.tamper
	w.mu.RUnlock()
	switch {
	case !member || m.node.left.Load():
		return errors.New("this node has left the network")
	case target == nil && !lost:
		return errUnreachable
	case target != nil && o.silo && !target.cfg.Silo:
		return notASilo(o.to)
	}
	if tamper != nil {
		drop, delay := tamper(l.from, l.to, Service(o.env.Service))
		r.drop = r.drop || drop
		r.delay = max(r.delay, delay)
	}
	encoded := appendEnvelope(nil, o.env)
	o.begin()
	o.sent()
	if lost || r.drop {
		return nil
	}
	ch := o.channel()
	w.line(lane{l, ch}).push(w, lane{l, ch}, delayed{time.Now().Add(r.delay), m.node, encoded}, r.delay > 0)
	if o.call != nil && w.node(l.to) != target {
		// It left between our look and our push, perhaps before this call
		// could be seen to have begun.
		m.node.calls.fail(l.to, ch, "the peer is gone", true)
	}
	return nil
}

func (w *Network) node(addr string) *Node {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.nodes[addr]
}

func (w *Network) line(l lane) *line {
	w.mu.RLock()
	q := w.lines[l]
	w.mu.RUnlock()
	if q != nil {
		return q
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines == nil {
		w.lines = map[lane]*line{}
	}
	if w.lines[l] == nil {
		w.lines[l] = new(line)
	}
	return w.lines[l]
}

// push delivers at once, or behind what waits.
func (q *line) push(w *Network, l lane, d delayed, wait bool) {
	q.mu.Lock()
	if !wait && !q.running {
		q.mu.Unlock()
		w.deliver(l, d)
		return
	}
	q.waiting = append(q.waiting, d)
	if !q.running {
		q.running = true
		go q.run(w, l)
	}
	q.mu.Unlock()
}

// run delivers what waits, each when it is due, and ends when nothing does.
func (q *line) run(w *Network, l lane) {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		next := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		if wait := time.Until(next.due); wait > 0 {
			time.Sleep(wait)
		}
		w.deliver(l, next)
	}
}

// deliver hands a message to whoever has the address now. A cut made since it
// was sent still loses it, and so does its sender's end.
func (w *Network) deliver(l lane, d delayed) {
	w.mu.RLock()
	target, lost := w.nodes[l.to], w.cut[l.direction] || w.nodes[l.from] != d.from
	w.mu.RUnlock()
	if target == nil || lost {
		return
	}
	a := new(arrival)
	if err := decodeEnvelope(&a.env, d.env, ""); err != nil {
		target.garbage("an envelope that does not decode", nil)
		return
	}
	target.receive(a, origin{identity: identity{silo: d.from.cfg.Silo}, channel: l.channel})
}

func (m *memory) reset(string, Channel) {}

// release has nothing to wait for: close has taken the node off the network.
func (m *memory) release(context.Context) {}

// flush waits for what is delayed.
func (m *memory) flush(ctx context.Context) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for m.network.delays(m.node.addr) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// delays reports whether anything sent from addr is on its way.
func (w *Network) delays(addr string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for l, q := range w.lines {
		if l.from == addr {
			q.mu.Lock()
			running := q.running
			q.mu.Unlock()
			if running {
				return true
			}
		}
	}
	return false
}

func (m *memory) close() { m.network.leave(m.node) }
