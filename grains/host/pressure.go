package host

import (
	"math"
	"math/bits"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryEvery is how often it is asked whether memory is short.
	memoryEvery = time.Second
	// What is alive on the heap is kept below shortAbove of the limit: beyond it grains go, until relievedAt would
	// be reached if all of the heap were theirs. The collector needs the rest.
	shortAbove, relievedAt = 0.75, 0.65
	// restless grains, called a moment ago, stay whatever happens: they would be back at once.
	restless = time.Second
)

// memoryLimit is what the process was given by GOMEMLIMIT or debug.SetMemoryLimit, 0: nothing.
func memoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 0
}

// liveHeap is how many bytes the last collection of garbage has left on the heap, and which one that was.
func liveHeap() (live, cycle uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// relieve deactivates the grains that have been idle the longest, as many as memory is short of, once for each
// collection of garbage: only the next tells what that has brought.
func (h *Host) relieve(live, cycle uint64) {
	limit := float64(h.MemoryLimit)
	if float64(live) <= shortAbove*limit || cycle == h.relieved {
		return
	}
	h.relieved = cycle
	var idle ages
	now := h.now()
	h.each(func(a *activation) bool {
		idle.add(a.idleFor(now))
		return !h.draining.Load()
	})
	share := min(max(1-relievedAt*limit/float64(live), 1./16), 1./2)
	most := int(math.Ceil(share * float64(idle.all)))
	oldest := idle.oldest(most)
	ended := 0
	// First those that are older for sure, then as many of about the same age as are missing.
	for _, least := range []int{oldest + 1, oldest} {
		h.each(func(a *activation) bool {
			if ended < most && age(a.idleFor(now)) >= least && h.retire(a, now, "memory is short") {
				ended++
				h.load.memory.Add(1)
			}
			return ended < most && !h.draining.Load()
		})
	}
	h.Logger.Warn("memory is short: grains that nobody has called for long are deactivated", "grains", ended, "of", idle.all, "alive", live, "limit", h.MemoryLimit)
}

// ages counts idle times by classes, each an eighth of a power of two wide.
type ages struct {
	count [512]int
	all   int
}

// age is the class of an idle time; -1: it is none that counts.
func age(idle time.Duration) int {
	if idle < restless {
		return -1
	}
	v := uint64(idle) >> 20 // about milliseconds
	e := bits.Len64(v) - 4  // v is 953 or more
	return e*8 + int(v>>e)&7
}

func (c *ages) add(idle time.Duration) {
	if i := age(idle); i >= 0 {
		c.count[i]++
		c.all++
	}
}

// oldest is the class in which the n-th oldest is.
func (c *ages) oldest(n int) int {
	for i := len(c.count) - 1; i > 0; i-- {
		if n -= c.count[i]; n <= 0 {
			return i
		}
	}
	return 0
}
