package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// Handler is one run of a node.
type Handler[M any] interface {
	// Receive takes a message that arrived. The sender may keep a reference to m, and m may arrive
	// again: it must not be changed.
	Receive(from machine.NodeID, m M)
}

// HandlerFunc is a Handler that is a function.
type HandlerFunc[M any] func(from machine.NodeID, m M)

// Receive calls f.
func (f HandlerFunc[M]) Receive(from machine.NodeID, m M) { f(from, m) }

// Boot starts a node: it reads what env.Disk still holds, sets timers and returns what receives messages.
// All that the former run of the node had in memory must be out of its reach.
type Boot[M any] func(env *Env[M]) Handler[M]

type node[M any] struct {
	id          machine.NodeID
	boot        Boot[M]
	handler     Handler[M]
	incarnation machine.Incarnation
	up, paused  bool
	held        []event[M] // what came while it was paused
	disk        *Disk
	lives       int // disks that it has had
	skew        time.Duration
}

// Env is what one run of a node sees of the world. It stays valid, without effect, after the run ended.
type Env[M any] struct {
	sim         *Sim[M]
	node        *node[M]
	incarnation machine.Incarnation
}

// ID is the node's id.
func (e *Env[M]) ID() machine.NodeID { return e.node.id }

// Incarnation names this run; each restart has a greater one.
func (e *Env[M]) Incarnation() machine.Incarnation { return e.incarnation }

// DiskNumber counts the disks that the node has had, from 1: it changes exactly when a crash lost one. A
// protocol that mints actors takes (ID, DiskNumber) as the store id.
func (e *Env[M]) DiskNumber() int { return e.node.lives }

// Now is the node's own clock.
func (e *Env[M]) Now() time.Duration { return e.sim.now + e.node.skew }

// Rand is the source of all randomness.
func (e *Env[M]) Rand() *rand.Rand { return e.sim.rand }

// Disk is what of the node survives a crash.
func (e *Env[M]) Disk() *Disk { return e.node.disk }

// Live says whether this run still goes on.
func (e *Env[M]) Live() bool { return e.node.up && e.node.incarnation == e.incarnation }

// Send sends m, which must not be changed any more. To an unknown node it panics.
func (e *Env[M]) Send(to machine.NodeID, m M) {
	if e.Live() {
		e.sim.send(e.node.id, to, m)
	}
}

// After calls f after d, unless the run has ended by then.
func (e *Env[M]) After(d time.Duration, f func()) {
	e.sim.events.push(event[M]{at: e.sim.now + max(d, 0), node: e.node, incarnation: e.incarnation, fn: f})
}

// Every calls f after d and then again every d, until the run ends.
func (e *Env[M]) Every(d time.Duration, f func()) {
	if d <= 0 {
		panic("sim: Every needs a positive period")
	}
	e.After(d, func() {
		f()
		e.Every(d, f)
	})
}

// Append appends a record to the disk and calls done when it is durable; done may be nil. Records become
// durable in the order of their appending. A crash before done loses the record, or keeps it: then
// nobody was told. The record must not be changed any more.
func (e *Env[M]) Append(record any, done func()) {
	if !e.Live() {
		return
	}
	s, d := e.sim, e.node.disk
	d.pending = append(d.pending, appending{record, done})
	d.busyUntil = max(d.busyUntil, s.now) // one append need not wait for the last: syncs are grouped
	d.busyUntil = max(d.busyUntil, s.now+s.between(s.cfg.MinSync, s.cfg.MaxSync))
	s.events.push(event[M]{at: d.busyUntil, node: e.node, incarnation: e.incarnation, fn: func() {
		if d != e.node.disk || len(d.pending) == 0 {
			return
		}
		first := d.pending[0] // each completion takes the oldest, so that a pause changes no order
		d.pending = d.pending[1:]
		d.records = append(d.records, first.record)
		if first.done != nil {
			first.done()
		}
	}})
}

// Notef writes a line into the trace.
func (e *Env[M]) Notef(format string, args ...any) {
	e.sim.trace.add(traced[M]{at: e.sim.now, what: "note", to: e.node.id, text: fmt.Sprintf(format, args...)})
}

// Disk is an append-only sequence of records.
type Disk struct {
	records   []any
	pending   []appending
	busyUntil time.Duration
}

// appending is a record on its way to the disk.
type appending struct {
	record any
	done   func()
}

// Records returns what is durable, in order. It must not be changed.
func (d *Disk) Records() []any { return d.records }

// Replace makes records the whole content, durably and at once: a snapshot. Appends that are under way
// are not part of it and follow it.
func (d *Disk) Replace(records ...any) { d.records = records }

// AddNode adds a node and boots it. It panics when the id is taken or zero.
func (s *Sim[M]) AddNode(id machine.NodeID, boot Boot[M]) {
	if id == 0 || s.nodes[id] != nil {
		panic(fmt.Sprintf("sim: node id %v is zero or taken", id))
	}
	s.nodes[id] = &node[M]{id: id, boot: boot, disk: &Disk{}, lives: 1}
	s.order = append(s.order, id)
	s.Restart(id)
}

// Up says whether the node runs; a paused one does.
func (s *Sim[M]) Up(id machine.NodeID) bool { return s.node(id).up }

// Incarnation is the incarnation of the node's current or last run.
func (s *Sim[M]) Incarnation(id machine.NodeID) machine.Incarnation { return s.node(id).incarnation }

// Disk is the disk of a node, also of one that is down.
func (s *Sim[M]) Disk(id machine.NodeID) *Disk { return s.node(id).disk }

// Crash ends the node's run and keeps its disk. Of the appends that were under way a random number, from
// the first on, is on it.
func (s *Sim[M]) Crash(id machine.NodeID) {
	n := s.node(id)
	if !n.up {
		return
	}
	n.up, n.paused, n.held, n.handler = false, false, nil, nil
	kept := s.rand.IntN(len(n.disk.pending) + 1)
	records := n.disk.records
	for _, p := range n.disk.pending[:kept] {
		records = append(records, p.record)
	}
	n.disk = &Disk{records: records}
	s.trace.add(traced[M]{at: s.now, what: "crash", to: id})
}

// Wipe ends the node's run and loses its disk.
func (s *Sim[M]) Wipe(id machine.NodeID) {
	s.Crash(id)
	n := s.node(id)
	n.disk = &Disk{}
	n.lives++
	s.trace.add(traced[M]{at: s.now, what: "wipe", to: id})
}

// Restart boots a node that is down, as a new incarnation, with the disk that it has; of one that is up
// it does nothing.
func (s *Sim[M]) Restart(id machine.NodeID) {
	n := s.node(id)
	if n.up {
		return
	}
	n.incarnation++
	n.up = true
	s.trace.add(traced[M]{at: s.now, what: "start", to: id, text: n.incarnation.String()})
	n.handler = n.boot(&Env[M]{sim: s, node: n, incarnation: n.incarnation})
}

// Pause stops a node without its noticing: messages, timers and completed writes wait until Resume.
func (s *Sim[M]) Pause(id machine.NodeID) {
	if n := s.node(id); n.up && !n.paused {
		n.paused = true
		s.trace.add(traced[M]{at: s.now, what: "pause", to: id})
	}
}

// Resume lets a paused node go on with what has waited, in the order of its coming.
func (s *Sim[M]) Resume(id machine.NodeID) {
	n := s.node(id)
	if !n.paused {
		return
	}
	n.paused = false
	s.trace.add(traced[M]{at: s.now, what: "resume", to: id})
	for _, e := range n.held {
		e.at = s.now
		s.events.push(e)
	}
	n.held = nil
}

// SkewClock sets by how much the node's clock differs from the simulation's.
func (s *Sim[M]) SkewClock(id machine.NodeID, by time.Duration) { s.node(id).skew = by }

func (s *Sim[M]) node(id machine.NodeID) *node[M] {
	n := s.nodes[id]
	if n == nil {
		panic(fmt.Sprintf("sim: no node %v", id))
	}
	return n
}
