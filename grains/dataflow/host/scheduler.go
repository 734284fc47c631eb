package host

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// scheduler runs the processes of a silo. An entry of its indexes is used up by the change that it is
// there for: the job will run, and the run will note again what it reads.
type scheduler struct {
	host    *Host
	workers int
	stops   []func()

	mu        sync.Mutex
	work      *sync.Cond // something is in the queue, or the scheduler has stopped
	started   bool
	stopped   bool
	processes map[string]*process
	of        map[string][]*process          // by family
	keys      map[string]map[string]struct{} // of those families, that are known here
	queue     []*job
	running   int
	runs      int
	rounds    int
	logged    map[string]bool // processes whose failure has been logged

	byVariable map[wire.ID]map[*job]struct{}
	byFamily   map[string]map[*job]struct{}
	byView     map[string]map[*job]struct{}
	sharedBy   map[string]map[*shared]struct{} // by view
}

func newScheduler(h *Host, workers int) *scheduler {
	s := &scheduler{
		host: h, workers: workers, processes: map[string]*process{}, of: map[string][]*process{}, keys: map[string]map[string]struct{}{},
		byVariable: map[wire.ID]map[*job]struct{}{}, byFamily: map[string]map[*job]struct{}{}, byView: map[string]map[*job]struct{}{},
		sharedBy: map[string]map[*shared]struct{}{}, logged: map[string]bool{},
	}
	s.work = sync.NewCond(&s.mu)
	for name, k := range h.config.Kinds {
		if k.Process() == nil {
			continue
		}
		p := &process{
			name: name, kind: k.Process(), jobs: map[string]*job{}, dirty: map[*job]struct{}{},
			shared: map[string]*shared{}, failing: map[*job]struct{}{},
		}
		s.processes[name] = p
		if of := p.kind.Of; of != "" {
			s.of[of] = append(s.of[of], p)
			s.keys[of] = map[string]struct{}{}
		}
	}
	return s
}

func (s *scheduler) start() error {
	if len(s.processes) > 0 {
		for range s.workers {
			s.host.Follower.work.Go(s.serve)
		}
		s.stops = append(s.stops, s.host.variables.Watch(
			func(wire.ID) bool { return true },
			func(id wire.ID, _ []byte) {
				if id.Kind() == outputs.Name {
					s.outputsChanged(id)
				} else {
					s.variableChanged(id)
				}
			},
		))
		if err := s.host.variables.Follow(outputs.Name); err != nil {
			return fmt.Errorf("following the records of processes: %w", err)
		}
		for family := range s.keys {
			if err := s.host.variables.Follow(family); err != nil {
				return fmt.Errorf("following %s for its processes: %w", family, err)
			}
			s.host.variables.Snapshot(family, func(id wire.ID, _ []byte) { s.variableChanged(id) })
		}
		s.stops = append(s.stops, s.host.config.Views.Subscribe(func(*view.Table) { s.moved() }))
		s.moved()
	}
	s.mu.Lock()
	s.started = true
	s.mu.Unlock()
	return nil
}

func (s *scheduler) stop() {
	for _, stop := range s.stops {
		stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, p := range s.processes {
		for _, j := range p.jobs {
			if j.retry != nil {
				j.retry.Stop()
			}
		}
	}
	s.work.Broadcast()
}

// moved takes up the keys that the view gives to this silo, and leaves those that it gives to others.
func (s *scheduler) moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		for _, j := range p.jobs {
			if !s.owns(j) {
				s.remove(j)
			}
		}
		if p.kind.Of == "" {
			s.take(p, "", false)
		}
		for key := range s.keys[p.kind.Of] {
			s.take(p, key, false)
		}
	}
}

// take makes sure that there is a job for a key that this silo owns, which runs at once when it is new, or
// when the key's variable changed.
func (s *scheduler) take(p *process, key string, changed bool) {
	j := p.jobs[key]
	if j == nil {
		g, held := s.held(p, key)
		if !held {
			return
		}
		j = &job{p: p, key: key, grant: g, read: newReads()}
		p.jobs[key] = j
		changed = true
	}
	if changed {
		s.enqueue(j)
	}
}

func (s *scheduler) remove(j *job) {
	p := j.p
	j.gone = true
	delete(p.jobs, j.key)
	delete(p.dirty, j)
	delete(p.failing, j)
	if j.retry != nil {
		j.retry.Stop()
	}
	if j.cancel != nil {
		j.cancel()
	}
	s.forget(j, j.read, newReads())
	s.ranInRound(j)
}

func (s *scheduler) enqueue(j *job) {
	switch {
	case j.gone || s.stopped:
		return
	case j.queued:
		j.checkOnly = false
		return
	case j.running:
		j.again = true
		return
	}
	if j.retry != nil {
		j.retry.Stop()
		j.retry = nil
	}
	j.queued = true
	s.queue = append(s.queue, j)
	s.work.Signal()
}

// outputsChanged has the record of a job compared with what its last run left there. A run's own writes
// come by here, too; what a silo that ran it before had written, and brings late, is what matters.
func (s *scheduler) outputsChanged(id wire.ID) {
	name, key, _ := strings.Cut(id.Key(), "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[name]
	if p == nil {
		return
	}
	switch j := p.jobs[key]; {
	case j == nil || j.gone || j.queued || s.stopped:
	case j.running:
		j.suspect = true
	default:
		s.enqueue(j)
		j.checkOnly = true
	}
}

// check compares j's record with what its last run left there, without the lock.
func (s *scheduler) check(ctx context.Context, j *job) (same bool) {
	now, err := recorded(ctx, s.host.config.Engine, j)
	return err == nil && maps.Equal(now, j.outputs)
}

// serve is one worker.
func (s *scheduler) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.queue) == 0 && !s.stopped {
			s.work.Wait()
		}
		if s.stopped {
			return
		}
		j := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if j.queued = false; j.gone {
			continue
		}
		ctx, cancel := context.WithTimeout(s.host.life, s.host.timing.run)
		checkOnly := j.checkOnly
		j.running, j.cancel, j.checkOnly, j.suspect = true, cancel, false, false
		s.running++
		if checkOnly {
			s.mu.Unlock()
			same := s.check(ctx, j)
			cancel()
			s.mu.Lock()
			s.end(j)
			if j.again || !same {
				j.again = false
				s.enqueue(j)
			} else if j.suspect {
				s.enqueue(j)
				j.checkOnly = j.queued
			}
			continue
		}
		j.fresh = newReads()
		_, inRound := j.p.round[j]
		s.mu.Unlock()
		err := s.run(ctx, j)
		cancel()
		s.mu.Lock()
		s.end(j)
		s.runs++
		s.ended(j, err, inRound)
	}
}

// end notes that j does not run any more.
func (s *scheduler) end(j *job) {
	j.running, j.cancel = false, nil
	s.running--
	if j.over != nil {
		j.over()
		j.over = nil
	}
}

// ended takes what became of a run.
func (s *scheduler) ended(j *job, err error, inRound bool) {
	if j.gone {
		// What it read after it was removed.
		s.forget(j, j.read, newReads())
		return
	}
	p := j.p
	if err == nil {
		s.forget(j, j.read, j.fresh)
		j.read, j.failures = j.fresh, 0
		if delete(p.failing, j); len(p.failing) == 0 {
			delete(s.logged, p.name)
		}
	} else if !s.stopped {
		s.failed(j, err)
	}
	if inRound {
		s.ranInRound(j)
	}
	switch {
	case j.again:
		j.again = false
		s.enqueue(j)
	case j.suspect && err == nil && !j.queued:
		s.enqueue(j)
		j.checkOnly = j.queued
	}
}

// failed has j run again later. Of a streak of failures of a process the first is logged.
func (s *scheduler) failed(j *job, err error) {
	if !s.logged[j.p.name] {
		s.logged[j.p.name] = true
		s.host.log.Error("a process failed and is tried again, later each time; further failures are logged when all its keys have succeeded",
			"process", j.p.name, "key", j.key, "error", err)
	}
	j.p.failing[j] = struct{}{}
	pause := min(10*time.Millisecond<<min(j.failures, 20), s.host.timing.backoff)
	j.failures++
	j.retry = time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.enqueue(j)
	})
}

// variableChanged runs at once what depends on id.
func (s *scheduler) variableChanged(id wire.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.of[id.Kind()]; len(of) > 0 {
		s.keys[id.Kind()][id.Key()] = struct{}{}
		for _, p := range of {
			s.take(p, id.Key(), true)
		}
	}
	for _, jobs := range []map[*job]struct{}{s.byVariable[id], s.byFamily[id.Kind()]} {
		for j := range jobs {
			s.enqueue(j)
		}
	}
	delete(s.byVariable, id)
	delete(s.byFamily, id.Kind())
}

// viewChanged has what depends on the view run in the next round.
func (s *scheduler) viewChanged(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.sharedBy[name] {
		v.changed = true
	}
	delete(s.sharedBy, name)
	jobs := s.byView[name]
	delete(s.byView, name)
	of := map[*process]struct{}{}
	for j := range jobs {
		if !j.gone {
			j.p.dirty[j] = struct{}{}
			of[j.p] = struct{}{}
		}
	}
	for p := range of {
		s.startRound(p)
	}
}

func newReads() reads {
	return reads{map[wire.ID]struct{}{}, map[string]struct{}{}, map[string]struct{}{}}
}

// note says that the present run of j reads something; it comes before the reading.
func note[K comparable](s *scheduler, j *job, what K, read, fresh map[K]struct{}, index map[K]map[*job]struct{}) {
	if j.gone {
		return
	}
	read[what], fresh[what] = struct{}{}, struct{}{}
	add(index, what, j)
}

func add[K, V comparable](index map[K]map[V]struct{}, k K, v V) {
	if index[k] == nil {
		index[k] = map[V]struct{}{}
	}
	index[k][v] = struct{}{}
}

// forget takes out of the indexes what was read and is not any more.
func (s *scheduler) forget(j *job, old, now reads) {
	drop(j, old.variables, now.variables, s.byVariable)
	drop(j, old.families, now.families, s.byFamily)
	drop(j, old.views, now.views, s.byView)
}

func drop[K comparable](j *job, old, now map[K]struct{}, index map[K]map[*job]struct{}) {
	for k := range old {
		if _, stays := now[k]; stays {
			continue
		}
		if delete(index[k], j); len(index[k]) == 0 {
			delete(index, k)
		}
	}
}
