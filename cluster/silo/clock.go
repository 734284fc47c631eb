package silo

import (
	"math"
	"sync/atomic"
	"time"
)

// clock is the clock that leases are measured on: it counts the time in which the machine was suspended, and
// costs what time.Now does.
//
// The clock that counts suspension costs a system call, and time.Now reads one that does not, together with
// that of the wall, which does. So the two are compared: where the wall has moved against the process's time by
// more than jump since last, the machine may have been suspended (or somebody has set the clock), and it is
// looked up how much.
type clock struct {
	start time.Time
	now   func() time.Time
	boot  func() (time.Duration, bool) // false where there is no such clock
	last  atomic.Pointer[reading]
}

// reading is a moment by which others are told apart.
type reading struct {
	wall time.Duration // wall minus process's time
	boot time.Duration // what is to be added to the process's time
}

// jump is how far the wall may move against the process's time, between two readings, without a look at the
// clock that counts suspension. What is missed is a hundredth of a lease.
const jump = 20 * time.Millisecond

// leaseClock is the clock of a silo. Silos in memory are in one process, and may be in a test that has a time
// of its own: they take the process's.
func leaseClock(inMemory bool) func() time.Duration {
	boot := bootTime
	if inMemory {
		boot = func() (time.Duration, bool) { return 0, false }
	}
	return newClock(time.Now, boot).read
}

func newClock(now func() time.Time, boot func() (time.Duration, bool)) *clock {
	c := &clock{start: now(), now: now, boot: boot}
	c.look()
	return c
}

// look takes a new reading. Both clocks have to be read in one moment: what passes between the two would count
// twice until the next look, and make the clock go back then, so that a lease of before ran for longer.
func (c *clock) look() *reading {
	var r *reading
	for least, tries := time.Duration(math.MaxInt64), 0; least > together && tries < lookTries; tries++ {
		t := c.now()
		boot, ok := c.boot()
		took := c.now().Sub(t)
		if took >= least {
			continue
		}
		least = took
		passed := t.Sub(c.start)
		r = &reading{wall: time.Duration(t.UnixNano()) - passed}
		if ok {
			r.boot = boot - passed
		}
	}
	// Who looks at the same time finds the same, up to together.
	c.last.Store(r)
	return r
}

const (
	together  = time.Millisecond
	lookTries = 100 // as many interruptions in a row, each within some microseconds, are not met
)

func (c *clock) read() time.Duration {
	t := c.now()
	passed := t.Sub(c.start)
	r := c.last.Load()
	if moved := time.Duration(t.UnixNano()) - passed - r.wall; moved > jump || moved < -jump {
		r = c.look()
	}
	return passed + r.boot
}
