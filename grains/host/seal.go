package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// sealing counts the goroutines of seals, until Stop.
type sealing struct {
	mu      sync.Mutex
	running sync.WaitGroup
	over    bool
}

func (s *sealing) begin(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.running.Go(f)
	}
}

// stop lets no other seal begin; the activations of those that have begun end by Stop's doing.
func (s *sealing) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

const (
	// drainedTogether is how long rows that are drained wait for others, to be reported with them.
	drainedTogether = 10 * time.Millisecond
	// handoverTime bounds what grains of one seal have, all together, to hand their memory over.
	handoverTime = 5 * time.Second
)

// Seal ends the activations in these rows: what waits is refused and tried again by its callers, turns that
// run go on to their end, or for Config.FinishWithin, after which they are lost, and each grain hands its
// memory to the row's target and is deactivated. It returns
// at once and calls drained, one call at a time on a goroutine of its own, with the rows in which none is
// left, those without any at first; each row once, unless the host is stopped meanwhile. A row does not wait
// for others.
//
// The standing in which these rows are sealed must have been published before: a turn that begins after
// that is refused, and one that began before is seen here.
func (h *Host) Seal(rows []view.Row, drained func([]view.Row)) {
	h.sealing.begin(func() { h.seal(rows, drained) })
}

func (h *Host) seal(rows []view.Row, drained func([]view.Row)) {
	type slot struct {
		kind string
		slot int
	}
	table := h.Standing().Table()
	at := map[slot]int{}
	for i, r := range rows {
		for _, kind := range table.Kinds(r.Pool) {
			at[slot{kind, r.Slot}] = i
		}
	}
	in, cancel := context.WithTimeout(h.life, handoverTime)
	defer cancel()
	left := make([]int, len(rows)) // activations, by row
	all := h.activations()
	ended := make(chan int, len(all)) // rows; with room for all, so that what ends waits for nobody
	ends := 0
	for _, a := range all {
		i, ok := at[slot{a.id().Kind(), int(a.slot)}]
		if !ok {
			continue
		}
		if h.faults.drainAtOnce {
			h.leave(a, "its slot moves to another silo")
			continue
		}
		left[i]++
		ends++
		h.sealing.running.Go(func() {
			h.finishOrDrop(a, ending{why: "its slot moves to another silo", to: rows[i].Target.ID, in: in})
			ended <- i
		})
	}
	var empty []view.Row
	for i, n := range left {
		if n == 0 {
			empty = append(empty, rows[i])
		}
	}
	for {
		if h.life.Err() != nil { // what is left may still run
			return
		}
		if len(empty) > 0 {
			drained(empty)
		}
		if ends == 0 {
			return
		}
		empty = nil
		together := (<-chan time.Time)(nil) // nil until there is something to report
		for waiting := true; waiting && ends > 0; {
			select {
			case i := <-ended:
				ends--
				if left[i]--; left[i] == 0 {
					empty = append(empty, rows[i])
					if together == nil {
						together = time.After(drainedTogether)
					}
				}
			case <-together:
				waiting = false
			}
		}
	}
}

var errOverstayed = errors.New("its slot moves to another silo, which has waited for the turn to end for long enough")

// finishOrDrop stops an activation, and drops it where its turns do not end in time: whatever they do from then
// on has no effect, so that its slot may be given away, and the others that are sealed with it.
func (h *Host) finishOrDrop(a *activation, e ending) {
	finished := make(chan struct{})
	h.sealing.running.Go(func() { // until the end of the host's life, where the turn has no end
		h.finish(a, e)
		close(finished)
	})
	timer := time.NewTimer(h.FinishWithin)
	defer timer.Stop()
	select {
	case <-finished:
	case <-timer.C:
		h.Logger.Warn("a turn keeps its grain from moving: it has no effect any more, and its caller is told that the outcome is unknown", "grain", a.id().String(), "after", h.FinishWithin)
		a.drop(errOverstayed)
	}
}

// finish stops an activation until the end of the host's life.
func (h *Host) finish(a *activation, e ending) {
	if err := a.stop(h.life, e); err != nil {
		h.Logger.Warn("deactivation", "grain", a.id().String(), "error", err)
	}
}

var errDropped = errors.New("this run of the silo was removed from the cluster")

// Drop ends all activations at once, without OnDeactivate, because other silos serve their grains: the
// contexts of their turns are cancelled, and their callers are told that the outcome is unknown. The silo
// has published a standing without them before.
func (h *Host) Drop() {
	for _, a := range h.activations() {
		a.drop(errDropped)
	}
}
