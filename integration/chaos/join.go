package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	// activeGrains is how many are active when the fourth silo comes.
	activeGrains = 100_000
	// movedWithin is how long after its slot's move a grain may take to answer.
	movedWithin = 5 * time.Second
	// watchers ask for the canaries, askers for the rest.
	watchers, askers = 24, 96
	// stillFor is how long no slot must have moved for the move to be over, movesWithin how long it may take.
	stillFor    = 4 * time.Second
	movesWithin = 90 * time.Second
)

func grainKey(i int) register.Key { return register.Key(fmt.Sprintf("grain-%d", i)) }

// joins is what the experiment join has found.
type joins struct {
	runs
	active  int             // grains, before
	moved   []time.Duration // from the move of its slot to the grain's answer at the new silo
	slots   int             // that moved
	failed  []string        // what was asked for and did not answer
	served  time.Duration   // from the start of the new process to its serving
	settled time.Duration   // from there to the last slot's move
	share   int             // grains that answer at the new silo in the end
	all     int             // of so many that answer at all
}

// joining lets a fourth silo come to three that have many active grains.
//
// A slot's move begins when a grain of it has been answered at its old silo for the last time. That moment is
// found by asking for one grain of each slot, the canary, over and over; it lies up to one round of that
// before the silo has really let go of the slot. As soon as a canary is answered by the new silo, all other
// grains of the slot are asked for; each grain's time is from the moment above to its first answer at the
// new silo. So the time in which nobody has asked yet counts too, and nothing that silos say of themselves
// is taken for true.
func joining(ctx context.Context, e *experiment) error {
	j := &joins{}
	defer func() { j.sum(e.report, e.short) }()
	n := activeGrains
	if e.short {
		n = activeGrains / 10
	}
	return j.run(ctx, e, &run{spare: 1}, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			r.began = time.Now()
			if _, err := r.settled(ctx, spreadOver); err != nil {
				return err
			}
			m := &moves{run: r, grains: n, owner: make([]int64, n)}
			if err := m.activate(ctx); err != nil {
				return err
			}
			active, err := r.activated(ctx)
			if err != nil {
				return err
			}
			j.active = active
			r.say("%s: %d grains are active", r.name, j.active)
			return m.join(ctx, j)
		}
	})
}

// moves follows grains from silo to silo.
type moves struct {
	run    *run
	grains int
	owner  []int64       // which silo answered for each, before
	bySlot map[int][]int // the grains of a slot; the first is the canary

	mu     sync.Mutex
	old    map[int]int64 // when the old silo has answered for the canary last, by slot
	gone   map[int]bool  // slots that have moved
	last   time.Time     // when the last of them did
	errors []string
}

func (m *moves) touch(ctx context.Context, i int) (register.Seen, error) {
	bounded, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return register.GetRegister(m.run.load.clients[i%clients], grainKey(i)).Touch(bounded, 0)
}

// sweep touches grains, many at once, and calls f with what came.
func (m *moves) sweep(ctx context.Context, f func(i int, seen register.Seen, err error)) {
	var next atomic.Int64
	each(askers, func(int) {
		for i := int(next.Add(1) - 1); i < m.grains && ctx.Err() == nil; i = int(next.Add(1) - 1) {
			seen, err := m.touch(ctx, i)
			f(i, seen, err)
		}
	})
}

// activate wakes all grains, and notes where they are.
func (m *moves) activate(ctx context.Context) error {
	var failed atomic.Value
	begin := time.Now()
	m.sweep(ctx, func(i int, seen register.Seen, err error) {
		if err != nil {
			failed.Store(err)
		}
		m.owner[i] = seen.By.Silo
	})
	if err, ok := failed.Load().(error); ok {
		return fmt.Errorf("wake %d grains: %w", m.grains, err)
	}
	m.run.say("%s: woke %d grains in %v", m.run.name, m.grains, time.Since(begin).Round(time.Millisecond))
	c := m.run.load.clients[0]
	m.bySlot = map[int][]int{}
	for i := range m.grains {
		slot := view.Slot(register.GetRegister(c, grainKey(i)).GrainID())
		m.bySlot[slot] = append(m.bySlot[slot], i)
	}
	m.old, m.gone = map[int]int64{}, map[int]bool{}
	return context.Cause(ctx)
}

// activated counts the active grains by what silos say.
func (r *run) activated(ctx context.Context) (n int, err error) {
	bounded, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	report, err := r.load.clients[0].Inspect(bounded, cluster.Inspection{Grains: true})
	if err != nil {
		return 0, err
	}
	for _, s := range report.Silos {
		for _, kind := range s.Grains {
			n += kind
		}
	}
	return n, nil
}

// join starts the silo and follows what moves.
func (m *moves) join(ctx context.Context, j *joins) error {
	r := m.run
	watching, enough := context.WithCancel(ctx)
	defer enough()
	came := make(chan int, view.Slots) // slots, as their canaries are answered by the new silo: none waits
	var watch, rest sync.WaitGroup
	watch.Go(func() { m.watch(watching, came) })
	var mu sync.Mutex
	for range askers {
		rest.Go(func() {
			for slot := range came {
				for _, i := range m.bySlot[slot] {
					if took, err := m.arrival(ctx, i, slot); err != nil {
						m.fail(i, err)
					} else {
						mu.Lock()
						j.moved = append(j.moved, took)
						mu.Unlock()
					}
				}
			}
		})
	}
	hold(ctx, 2*time.Second) // each canary is asked for at least once before anything moves
	begin := time.Now()
	joined := r.silos[silos].start(ctx)
	served := time.Now()
	if joined == nil {
		j.served = served.Sub(begin)
		r.say("%s: silo %d serves after %v", r.name, silos+1, j.served.Round(time.Millisecond))
		m.still(ctx, served)
	}
	enough()
	watch.Wait()
	close(came)
	rest.Wait()
	if joined != nil {
		return fmt.Errorf("the fourth silo does not come: %w", joined)
	}
	m.mu.Lock()
	j.slots, j.failed = len(m.gone), m.errors
	if j.slots > 0 {
		j.settled = m.last.Sub(served)
	}
	m.mu.Unlock()
	r.say("%s: %d slots with %d grains have moved", r.name, j.slots, len(j.moved))
	m.sweep(ctx, func(i int, seen register.Seen, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			j.failed = append(j.failed, fmt.Sprintf("%s, in the end: %v", grainKey(i), err))
			return
		}
		j.all++
		if seen.By.Silo == silos+1 {
			j.share++
		}
	})
	return context.Cause(ctx)
}

// watch asks for the canaries of all slots that have not moved, over and over, until ctx ends.
func (m *moves) watch(ctx context.Context, came chan<- int) {
	var slots []int
	for slot := range m.bySlot {
		slots = append(slots, slot)
	}
	each(watchers, func(n int) {
		for at := n; ctx.Err() == nil; at += watchers {
			slot := slots[at%len(slots)]
			m.mu.Lock()
			gone := m.gone[slot]
			m.mu.Unlock()
			if gone {
				if at%len(slots) < watchers {
					hold(ctx, time.Millisecond) // where all have moved there is nothing to do
				}
				continue
			}
			i := m.bySlot[slot][0]
			seen, err := m.touch(ctx, i)
			now := register.Now()
			if err != nil {
				if ctx.Err() == nil {
					m.fail(i, err)
				}
				continue
			}
			m.mu.Lock()
			if seen.By.Silo == m.owner[i] {
				m.old[slot] = max(m.old[slot], now)
			} else if !m.gone[slot] {
				m.gone[slot], m.last = true, time.Now()
				came <- slot
			}
			m.mu.Unlock()
		}
	})
}

var errStayed = errors.New("it answers at its old silo, and another grain of its slot at the new one")

// arrival asks for a grain of a slot that has moved.
func (m *moves) arrival(ctx context.Context, i, slot int) (time.Duration, error) {
	m.mu.Lock()
	since := m.old[slot]
	m.mu.Unlock()
	seen, err := m.touch(ctx, i)
	if err == nil && seen.By.Silo == m.owner[i] {
		err = errStayed
	}
	return time.Duration(register.Now() - since), err
}

func (m *moves) fail(i int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errors = append(m.errors, fmt.Sprintf("%s: %v", grainKey(i), err))
}

// still returns when no slot has moved for a while.
func (m *moves) still(ctx context.Context, since time.Time) {
	for limit := since.Add(movesWithin); time.Now().Before(limit) && ctx.Err() == nil; hold(ctx, 50*time.Millisecond) {
		m.mu.Lock()
		last := m.last
		m.mu.Unlock()
		if last.Before(since) {
			last = since
		}
		if time.Since(last) > stillFor {
			return
		}
	}
}

func (j *joins) sum(r *report.Report, short bool) {
	j.runs.sum(r, "join")
	n := activeGrains
	if short {
		n /= 10
	}
	all := spreadOf(j.moved)
	r.Require("join: active grains", float64(j.active), fmt.Sprintf(">= %d", n), j.active >= n)
	r.Require("join: a moved grain answers at its new silo within, s", all.max.Seconds(), fmt.Sprintf("<= %v", movedWithin.Seconds()),
		all.n > 0 && all.max <= movedWithin)
	r.Require("join: grains that did not answer in time, or not where their slot is", float64(len(j.failed)), "0", all.n > 0 && len(j.failed) == 0)
	r.Figure("join: p50 of moved grains, s", all.p50.Seconds())
	r.Figure("join: p99 of moved grains, s", all.p99.Seconds())
	r.Figure("join: grains that moved", float64(all.n))
	r.Figure("join: slots that moved", float64(j.slots))
	r.Figure("join: the new silo serves after, s", j.served.Seconds())
	r.Figure("join: from then to the last slot, s", j.settled.Seconds())
	if j.all > 0 {
		r.Figure("join: share of the grains at the new silo", float64(j.share)/float64(j.all))
	}
	s := &report.Section{
		Title:   "a fourth silo joins: for each grain that moved, from its slot's last answer at the old silo to its own first at the new one",
		Columns: report.Row{"active grains", "slots moved", "grains moved", "p50", "p90", "p99", "max"},
		Rows:    []report.Row{{j.active, j.slots, all.n, fine(all.p50), fine(all.p90), fine(all.p99), fine(all.max)}},
	}
	for i, f := range j.failed {
		if i == shownViolations {
			s.Notes = append(s.Notes, fmt.Sprintf("and %d more", len(j.failed)-i))
			break
		}
		s.Notes = append(s.Notes, "failed: "+f)
	}
	r.Sections = append(r.Sections, s)
}
