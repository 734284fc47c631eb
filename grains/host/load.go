package host

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Stats is what a host has to do at the moment, and what it has refused and ended since it began.
type Stats struct {
	Activations int   // grains in memory
	Calls       int64 // that run, or wait
	Waiting     int64 // of them, that wait for their turn
	Bytes       int64 // of the arguments of those that came from elsewhere
	Refused     Refused
	Collected   Collected
}

// Refused and Collected count by reason.
type (
	Refused   = grains.RefusedCalls
	Collected = grains.CollectedGrains
)

// load is what the Stats are made of.
type load struct {
	calls                   atomic.Int64 // with the room of all shards
	bytes, waiting          atomic.Int64
	atGrain, atHost, tooBig atomic.Uint64
	expired                 atomic.Uint64
	idle, memory, requested atomic.Uint64
}

// Stats costs a look at each of the table's shards, not at what is in them.
func (h *Host) Stats() Stats {
	l := &h.load
	s := Stats{
		Calls: l.calls.Load(), Waiting: l.waiting.Load(), Bytes: l.bytes.Load(),
		Refused:   Refused{Grain: l.atGrain.Load(), Calls: l.atHost.Load(), Bytes: l.tooBig.Load(), Expired: l.expired.Load()},
		Collected: Collected{Idle: l.idle.Load(), Memory: l.memory.Load(), Requested: l.requested.Load()},
	}
	for i := range h.shards {
		s.Calls -= h.shards[i].room.Load()
		h.shards[i].mu.Lock()
		s.Activations += len(h.shards[i].row)
		h.shards[i].mu.Unlock()
	}
	return s
}

// room is how many times the host's bounds hold for a call. Calls that grains make have the same room once more:
// a turn that runs must not fail for those that have not begun.
func (r *running) room() int64 {
	if r.from != nil || len(r.chain) > 0 || r.by.Kind != "" {
		return 2
	}
	return 1
}

// crowded refuses a call that admit would refuse, before there is an activation for it.
func (h *Host) crowded(to wire.ID, r *running) error {
	if calls := h.load.calls.Load(); calls < int64(h.Calls) || calls < r.room()*int64(h.Calls) || r.own || h.faults.unbounded {
		return nil
	}
	if s, _ := h.shard(to); s.room.Load() > 0 {
		return nil
	}
	return h.crowdedOut(to, r)
}

func (h *Host) crowdedOut(to wire.ID, r *running) error {
	h.load.atHost.Add(1)
	return overloaded(to, r, fmt.Sprintf("%d calls wait or run at the silo, the most that may (Config.Calls)", r.room()*int64(h.Calls)))
}

// admit counts a call that waits or runs from now on, until release; or refuses it.
func (a *activation) admit(r *running) error {
	h := a.host
	if !h.shards[a.at].enter(h, r) {
		return h.crowdedOut(a.id(), r)
	}
	l := &h.load
	if r.size > 0 && l.bytes.Add(int64(r.size)) > r.room()*int64(h.CallBytes) && !h.faults.unbounded {
		l.bytes.Add(-int64(r.size))
		h.shards[a.at].leave(h)
		l.tooBig.Add(1)
		return overloaded(a.id(), r, fmt.Sprintf("the arguments of calls that wait or run at the silo would measure more than %d bytes (Config.CallBytes)", r.room()*int64(h.CallBytes)))
	}
	return nil
}

// release ends what admit began.
func (a *activation) release(r *running) {
	a.host.shards[a.at].leave(a.host)
	if r.size > 0 {
		a.host.load.bytes.Add(-int64(r.size))
	}
}

// enter takes room for a call, of what the shard has or of what the host may have; false: there is none.
func (s *shard) enter(h *Host, r *running) bool {
	for n := s.room.Load(); n > 0; n = s.room.Load() {
		if s.room.CompareAndSwap(n, n-1) {
			return true
		}
	}
	l, most := &h.load, r.room()*int64(h.Calls)
	if batch := h.batch(); batch > 1 {
		if l.calls.Add(batch) <= most {
			s.room.Add(batch - 1)
			return true
		}
		l.calls.Add(-batch)
	}
	if l.calls.Add(1) > most && !r.own && !h.faults.unbounded {
		l.calls.Add(-1)
		return false
	}
	return true
}

// leave gives room back: to the shard, or to all, when the shard has more than it needs.
func (s *shard) leave(h *Host) {
	batch := h.batch()
	if batch <= 1 {
		h.load.calls.Add(-1)
	} else if n := s.room.Add(1); n >= 2*batch && s.room.CompareAndSwap(n, n-batch) {
		h.load.calls.Add(-batch)
	}
}

// batch is how much room a shard takes at a time: at most a quarter of what may be in use is in no use.
func (h *Host) batch() int64 { return int64(h.Calls) / (8 * shards) }

// full says that as many calls wait at the activation as may; a.mu is held.
func (a *activation) full() bool {
	return a.turnstile.Queued() >= a.host.Queue && !a.host.faults.unbounded
}

// tooMany refuses a call that would be one more.
func (a *activation) tooMany(r *running) error {
	a.host.load.atGrain.Add(1)
	return overloaded(a.id(), r, fmt.Sprintf("%d calls wait for their turn at the grain, the most that may (Config.Queue)", a.host.Queue))
}

func overloaded(to wire.ID, r *running, detail string) error {
	return &wire.CallError{To: to, Method: r.name, Cause: wire.ErrOverloaded, Detail: detail}
}

// errTooLong ends the wait of a call whose context has no deadline.
var errTooLong = fmt.Errorf("%v have passed, which is the limit for a context without a deadline", link.DefaultTimeout)

// patience is how long a call whose context has no deadline waits until its turn comes.
const patience = link.DefaultTimeout

// waitingSince is when a call began to wait for its grain's next activation.
type waitingSince struct{ time.Time }

// tooLong says whether that is longer ago than a call without a deadline waits; the first time it is asked is
// the beginning.
func (s *waitingSince) tooLong() bool {
	if s.IsZero() {
		s.Time = time.Now()
	}
	return time.Since(s.Time) > patience
}
