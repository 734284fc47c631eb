package host

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// process is one process on this silo. The scheduler's lock guards it.
type process struct {
	name string
	kind *wire.ProcessKind
	jobs map[string]*job // of the keys that this silo owns

	// A round takes what is dirty; the next begins at least kind.Round after its last run has ended.
	dirty     map[*job]struct{} // a view that the last run read has changed
	round     map[*job]struct{} // of the round under way, not run yet; nil between rounds
	lastRound time.Time
	timer     bool // a timer will begin a round

	shared  map[string]*shared
	failing map[*job]struct{} // whose last run failed
}

// job is one key of a process.
type job struct {
	p     *process
	key   string
	grant view.Grant // that its runs are under

	queued, running bool
	checkOnly       bool // queued to compare its record with outputs, and to run if they differ
	again           bool // something changed while it ran
	suspect         bool // its record changed while it ran
	gone            bool // the silo does not own it any more
	cancel          context.CancelFunc
	over            func() // is called, once, when the present run has ended; nil while nobody waits for that
	retry           *time.Timer
	failures        int

	outputs map[string]struct{} // its record, as the last run left it; the run's own

	read  reads // what the last whole run read, and what was read since
	fresh reads // what the present run has read so far
}

// reads are what a run depends on.
type reads struct {
	variables map[wire.ID]struct{}
	families  map[string]struct{} // whose keys were listed
	views     map[string]struct{}
}

// shared is a value that runs of a process share.
type shared struct {
	done    chan struct{} // closed when value and err are there
	value   any
	err     error
	views   map[string]struct{}
	changed bool // one of the views has changed since
}

// Progress says how far the processes of a silo are.
type Progress struct {
	Keys    int // that this silo runs processes for
	Queued  int
	Running int
	Dirty   int // wait for a round
	Failing int // whose last run failed; they are tried again
	Runs    int // that have ended since the start
	Rounds  int // that have begun since the start
}

// Progress says how far the processes of this silo are.
func (h *Host) Progress() Progress {
	s := h.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Progress{Queued: len(s.queue), Running: s.running, Runs: s.runs, Rounds: s.rounds}
	for _, of := range s.processes {
		p.Keys += len(of.jobs)
		p.Dirty += len(of.dirty)
		p.Failing += len(of.failing)
	}
	return p
}

// Idle says whether no process of this silo runs or has a reason to. What is on its way here, as changes
// of variables or views, is not known.
func (h *Host) Idle() bool {
	s := h.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || len(s.queue) > 0 || s.running > 0 {
		return false
	}
	for _, p := range s.processes {
		if len(p.dirty)+len(p.failing) > 0 || p.round != nil {
			return false
		}
	}
	return true
}

// run is one run of j, without the lock. What it panics with is an error.
func (s *scheduler) run(ctx context.Context, j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return j.p.kind.Run(ctx, &turn{engine: s.host.config.Engine, s: s, job: j}, j.key)
}

// held is what the silo holds a key of p under. It may have no lease at the moment: then runs fail, and are
// tried again.
func (s *scheduler) held(p *process, key string) (view.Grant, bool) {
	return s.host.config.Standing().Holds(wire.NewID(p.name, key))
}

// owns says whether the newest view still has the grant of j, sealed or not: what is sealed is Seal's to end,
// which has to know of the runs that are under way.
func (s *scheduler) owns(j *job) bool {
	row, ok := s.host.config.Standing().Table().Of(wire.NewID(j.p.name, j.key))
	return ok && row.Holder.ID == s.host.config.Self && row.Token == j.grant.Token
}

// startRound begins a round of p when there is reason to and the time has come, or sets a timer.
func (s *scheduler) startRound(p *process) {
	if s.stopped || p.round != nil || len(p.dirty) == 0 {
		return
	}
	if wait := time.Until(p.lastRound.Add(p.kind.Round)); wait > 0 {
		if !p.timer {
			p.timer = true
			time.AfterFunc(wait, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				p.timer = false
				s.startRound(p)
			})
		}
		return
	}
	s.rounds++
	p.round, p.dirty = p.dirty, map[*job]struct{}{}
	for name, v := range p.shared {
		if v.changed {
			delete(p.shared, name)
		}
	}
	for j := range p.round {
		s.enqueue(j)
	}
}

// ranInRound notes that j needs no run for the round any more.
func (s *scheduler) ranInRound(j *job) {
	p := j.p
	if _, in := p.round[j]; !in {
		return
	}
	delete(p.round, j)
	if len(p.round) == 0 {
		p.round, p.lastRound = nil, time.Now()
		s.startRound(p)
	}
}

func (s *scheduler) markDirty(j *job) {
	if !j.gone {
		j.p.dirty[j] = struct{}{}
		s.startRound(j.p)
	}
}
