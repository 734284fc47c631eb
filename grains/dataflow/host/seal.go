package host

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// sealTime is how long a run of a process may go on after its key was sealed; then its context ends.
const sealTime = 2 * time.Second

// Seal leaves the keys of processes in these rows: no run begins any more, and those that are under way end, or
// are cancelled after 2 seconds. It returns at once and calls drained, one call at a time on a goroutine of its
// own, with the rows in which none is left, those without any at first; each row once, unless the host is
// stopped meanwhile. Operators need none of it: two of one do no harm.
//
// The standing in which these rows are sealed must have been published before.
func (h *Host) Seal(rows []view.Row, drained func([]view.Row)) {
	left, ended := h.scheduler.seal(rows, h.config.Standing().Table()) // the holder of views may have an older one still
	h.work.Go(func() {
		var empty []view.Row
		for i, n := range left {
			if n == 0 {
				empty = append(empty, rows[i])
			}
		}
		for runs := cap(ended); ; runs-- {
			if len(empty) > 0 {
				drained(empty)
			}
			if runs == 0 {
				return
			}
			empty = nil
			select {
			case i := <-ended:
				if left[i]--; left[i] == 0 {
					empty = append(empty, rows[i])
				}
			case <-h.life.Done():
				return
			}
		}
	})
}

// seal takes the keys in rows from this silo. Of the runs that are under way, left is how many there are in
// each row, and ended, which has room for all, yields the row of each that ends.
func (s *scheduler) seal(rows []view.Row, table *view.Table) (left []int, ended chan int) {
	type slot struct {
		kind string
		slot int
	}
	at := map[slot]int{}
	for i, r := range rows {
		for _, kind := range table.Kinds(r.Pool) {
			at[slot{kind, r.Slot}] = i
		}
	}
	left = make([]int, len(rows))
	var running []*job
	var in []int
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		for key, j := range p.jobs {
			i, sealed := at[slot{p.name, view.Slot(wire.NewID(p.name, key))}]
			if !sealed {
				continue
			}
			cancel := j.cancel
			j.cancel = nil // it may end by itself
			s.remove(j)
			if j.running {
				left[i]++
				running, in = append(running, j), append(in, i)
				time.AfterFunc(sealTime, cancel)
			}
		}
	}
	ended = make(chan int, len(running))
	for n, j := range running {
		j.over = func() { ended <- in[n] }
	}
	return left, ended
}
