package report

import (
	"context"
	"runtime"
	"time"
)

// Cost is what one operation costs, on average over those that were timed as a whole.
type Cost struct {
	Time   float64 // ns that passed
	CPU    float64 // ns of all cores, garbage collection included; 0 where the system does not tell
	Allocs float64
}

// Time, as a figure.
func Time(c Cost) float64 { return c.Time }

// CPU, as a figure.
func CPU(c Cost) float64 { return c.CPU }

// Allocs, as a figure.
func Allocs(c Cost) float64 { return c.Allocs }

// Stopwatch adds up what passes while it runs, so that what prepares an operation and what clears up after
// it is not counted.
type Stopwatch struct {
	time, cpu time.Duration
	allocs    uint64

	start    time.Time
	startCPU time.Duration
	mem      runtime.MemStats
}

// Begin starts the watch; allocations are counted only by BeginAll, which stops the world for a moment.
func (w *Stopwatch) Begin() { w.start = time.Now() }

// End stops what Begin started.
func (w *Stopwatch) End() { w.time += time.Since(w.start) }

// BeginAll collects garbage and starts the watch for time, CPU time and allocations.
func (w *Stopwatch) BeginAll() {
	runtime.GC()
	runtime.ReadMemStats(&w.mem)
	w.startCPU = cpuTime()
	w.Begin()
}

// EndAll stops what BeginAll started.
func (w *Stopwatch) EndAll() {
	w.End()
	w.cpu += cpuTime() - w.startCPU
	before := w.mem.Mallocs
	runtime.ReadMemStats(&w.mem)
	w.allocs += w.mem.Mallocs - before
}

// Over returns the cost of each of n operations.
func (w *Stopwatch) Over(n int) Cost {
	return Cost{float64(w.time) / float64(n), float64(w.cpu) / float64(n), float64(w.allocs) / float64(n)}
}

// Timed returns the cost of each of n operations that f does.
func Timed(n int, f func()) Cost {
	var w Stopwatch
	w.BeginAll()
	f()
	w.EndAll()
	return w.Over(n)
}

// Costs are one rival's, by round.
type Costs []Cost

// Median of a figure over the rounds.
func (all Costs) Median(figure func(Cost) float64) float64 {
	values := make([]float64, len(all))
	for i, c := range all {
		values[i] = figure(c)
	}
	return Median(values)
}

// Ratio is the median of the rounds' ratios, 0 where the figure is not known.
func Ratio(all, others Costs, figure func(Cost) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		if of := figure(others[i]); of != 0 {
			values[i] = figure(all[i]) / of
		}
	}
	return Median(values)
}

// Alternate lets rivals take turns, so that whatever else happens on the machine happens to all of them,
// and returns each one's costs. Who begins changes with the round.
func Alternate(ctx context.Context, rounds int, rivals ...func() Cost) ([]Costs, error) {
	all := make([]Costs, len(rivals))
	for round := range rounds {
		for i := range rivals {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			i = (i + round) % len(rivals)
			all[i] = append(all[i], rivals[i]())
		}
	}
	return all, nil
}

// Held returns what make makes and how many bytes of the heap that takes.
func Held[T any](make func() T) (made T, bytes float64) {
	before := heap()
	made = make()
	after := heap()
	return made, float64(after) - float64(before)
}

// heap returns the bytes of what lives on the heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one only marked as free, in finalizers and pools
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
