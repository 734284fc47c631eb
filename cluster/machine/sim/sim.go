package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
)

// Config says how the network and the disks behave. Its zero value is a network that loses nothing and
// delays each message by 1 to 10 ms, independently, so that messages overtake each other.
type Config[M any] struct {
	// MinDelay and MaxDelay bound a message's way, uniformly. Default 1 ms and 10 ms; for a constant
	// delay, and so messages in order, set both to the same.
	MinDelay, MaxDelay time.Duration
	// Loss and Duplicate are the probabilities, 0 to 1, that a message is lost or arrives twice.
	Loss, Duplicate float64
	// MinSync and MaxSync bound the time that an append to a disk takes. Default 0.5 ms and 3 ms.
	MinSync, MaxSync time.Duration
	// Size gives a message's size in bytes for the counts. Default: 0.
	Size func(M) int
	// Type names a message's type for the counts. Default: fmt's %T.
	Type func(M) string
	// Format prints a message in a trace. Default: fmt's %+v, cut at 160 bytes.
	Format func(M) string
	// Trace is the number of last events that a failure prints. Default 200.
	Trace int
	// MaxEvents ends a run that never comes to rest with a panic. Default 100 million.
	MaxEvents int
}

func (c Config[M]) withDefaults() Config[M] {
	if c.MaxDelay == 0 {
		c.MinDelay, c.MaxDelay = time.Millisecond, 10*time.Millisecond
	}
	if c.MaxSync == 0 {
		c.MinSync, c.MaxSync = time.Millisecond/2, 3*time.Millisecond
	}
	if c.Size == nil {
		c.Size = func(M) int { return 0 }
	}
	if c.Type == nil {
		c.Type = func(m M) string { return fmt.Sprintf("%T", m) }
	}
	if c.Format == nil {
		c.Format = func(m M) string { return fmt.Sprintf("%.160s", fmt.Sprintf("%+v", m)) }
	}
	if c.Trace == 0 {
		c.Trace = 200
	}
	if c.MaxEvents == 0 {
		c.MaxEvents = 100_000_000
	}
	return c
}

// Sim is one simulated cluster. It is not safe for concurrent use; nodes run inside the calls of Step,
// RunFor and RunUntil.
type Sim[M any] struct {
	cfg    Config[M]
	seed   uint64
	rand   *rand.Rand
	now    time.Duration
	events queue[M]
	ran    int

	nodes  map[machine.NodeID]*node[M]
	order  []machine.NodeID // as added: the order of every iteration
	links  map[Link]*linkState
	counts counts
	trace  trace[M]
	faults *disturbance
}

// New returns a cluster without nodes whose run is determined by seed. Most tests use Run instead.
func New[M any](seed uint64, cfg Config[M]) *Sim[M] {
	cfg = cfg.withDefaults()
	return &Sim[M]{
		cfg:   cfg,
		seed:  seed,
		rand:  rand.New(rand.NewPCG(seed, 0x6d617274696e656c)),
		nodes: map[machine.NodeID]*node[M]{},
		links: map[Link]*linkState{},
		trace: trace[M]{ring: make([]traced[M], 0, cfg.Trace), max: cfg.Trace, format: cfg.Format},
	}
}

// Seed is the seed that the run comes from.
func (s *Sim[M]) Seed() uint64 { return s.seed }

// Now is the virtual time since the simulation began.
func (s *Sim[M]) Now() time.Duration { return s.now }

// Rand is the test's own source of randomness; the nodes and the network share it.
func (s *Sim[M]) Rand() *rand.Rand { return s.rand }

// Nodes lists all nodes in the order in which they were added, crashed ones too.
func (s *Sim[M]) Nodes() []machine.NodeID { return slices.Clone(s.order) }

// Notef writes a line of the test's into the trace.
func (s *Sim[M]) Notef(format string, args ...any) {
	s.trace.add(traced[M]{at: s.now, what: "note", text: fmt.Sprintf(format, args...)})
}

// After calls f once d has passed, independently of any node.
func (s *Sim[M]) After(d time.Duration, f func()) {
	s.events.push(event[M]{at: s.now + max(d, 0), fn: f})
}

// Step runs the next event and says whether there was one.
func (s *Sim[M]) Step() bool {
	if s.events.len() == 0 {
		return false
	}
	if s.ran++; s.ran > s.cfg.MaxEvents {
		panic(fmt.Sprintf("sim: seed %d: more than %d events at %v: the protocol does not come to rest",
			s.seed, s.cfg.MaxEvents, s.now))
	}
	e := s.events.pop()
	s.now = e.at
	s.run(e)
	return true
}

// RunFor runs all that happens within the next d, and leaves the time at its end.
func (s *Sim[M]) RunFor(d time.Duration) {
	end := s.now + d
	for s.events.len() > 0 && s.events.next() <= end {
		s.Step()
	}
	s.now = end
}

// RunUntil runs until done, which it asks every 10 ms of virtual time, or until limit has passed; it
// returns done's last answer.
func (s *Sim[M]) RunUntil(done func() bool, limit time.Duration) bool {
	for end := s.now + limit; s.now < end; {
		if done() {
			return true
		}
		s.RunFor(min(10*time.Millisecond, end-s.now))
	}
	return done()
}

// run carries out an event, unless the node that it was meant for is gone or has become another run.
func (s *Sim[M]) run(e event[M]) {
	if e.node == nil {
		e.fn()
		return
	}
	n := e.node
	if e.message {
		link := Link{e.from, n.id}
		if !n.up {
			s.drop(link, e.msg, "to a crashed node")
			return
		}
		if s.cut(link) {
			s.drop(link, e.msg, "cut on the way")
			return
		}
	} else if !n.up || e.incarnation != n.incarnation {
		return // timers and completions end with the run that asked for them
	}
	if n.paused {
		n.held = append(n.held, e)
		return
	}
	if !e.message {
		e.fn()
		return
	}
	s.counts.delivered++
	s.trace.add(traced[M]{at: s.now, what: "receive", from: e.from, to: n.id, msg: e.msg, message: true})
	n.handler.Receive(e.from, e.msg)
}

func (s *Sim[M]) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(s.rand.Int64N(int64(hi-lo)+1))
}
