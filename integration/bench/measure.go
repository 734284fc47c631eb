package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// rival is one way of making a call. Each caller has a target of its own, where the rival has targets,
// so that no caller waits for another's turn.
type rival struct {
	name string
	// calls makes n calls, one after the other, on behalf of one of the callers; several callers at once.
	calls func(ctx context.Context, caller, n int) error
	stop  func() error
}

// sample is one rival's turn in one round.
type sample struct {
	calls     int
	took      time.Duration
	allocs    float64         // a call, in this process
	latencies []time.Duration // of single calls, sorted; none where calls are too short to be timed singly
}

// perSecond is all callers' calls.
func (s sample) perSecond() float64 { return float64(s.calls) / s.took.Seconds() }

// quantile is the latency that a share of the calls does not exceed.
func (s sample) quantile(share float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(int(share*float64(len(s.latencies))), len(s.latencies)-1)]
}

// grace is how long the calls that are under way when a turn ends may take.
const grace = 10 * time.Second

// turn lets a rival's callers call for a while. Calls are made in batches, each timed as a whole.
func (r *rival) turn(ctx context.Context, callers, batch int, d time.Duration) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, d+2*grace)
	defer cancel()
	// Whatever is made at the first call is made before the clock runs.
	if err := each(callers, func(i int) error { return r.calls(ctx, i, 1) }); err != nil {
		return sample{}, fmt.Errorf("%s: first call: %w", r.name, err)
	}
	times := make([][]time.Duration, callers)
	for i := range times {
		times[i] = make([]time.Duration, 0, 1024)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := each(callers, func(i int) error {
		for begun := start; begun.Sub(start) < d; {
			if err := r.calls(ctx, i, batch); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			now := time.Now()
			times[i] = append(times[i], now.Sub(begun))
			begun = now
		}
		return nil
	})
	s := sample{took: time.Since(start)}
	runtime.ReadMemStats(&after)
	if err != nil {
		return sample{}, err
	}
	all := slices.Concat(times...)
	s.calls = batch * len(all)
	s.allocs = float64(after.Mallocs-before.Mallocs) / float64(s.calls)
	if batch == 1 {
		slices.Sort(all)
		s.latencies = all
	}
	return s, nil
}

// each runs f for each of n callers at once and returns their errors, each once.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(slices.CompactFunc(errs, func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })...)
}

// samples are one rival's turns, by round.
type samples []sample

// median of a figure over the rounds.
func (all samples) median(figure func(sample) float64) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = figure(s)
	}
	return report.Median(values)
}

// spread is how far a figure's rounds lie apart, as a share of their median.
func (all samples) spread(figure func(sample) float64) float64 {
	least, most := figure(all[0]), figure(all[0])
	for _, s := range all[1:] {
		least, most = min(least, figure(s)), max(most, figure(s))
	}
	return (most - least) / all.median(figure)
}

// ratio is the median of the rounds' ratios.
func ratio(all, others samples, figure func(sample) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = figure(all[i]) / figure(others[i])
	}
	return report.Median(values)
}

// rounds lets rivals take turns, and returns each one's samples. Who begins changes with the round.
func (b *bench) rounds(ctx context.Context, title string, rivals []*rival, rounds, callers, batch int, d time.Duration) ([]samples, error) {
	all := make([]samples, len(rivals))
	for round := range rounds {
		b.progress("%s, callers: %d, round %d of %d", title, callers, round+1, rounds)
		for i := range rivals {
			i = (i + round) % len(rivals)
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			s, err := rivals[i].turn(ctx, callers, batch, d)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], s)
		}
	}
	return all, nil
}

// stopAll stops rivals and returns what went wrong there.
func stopAll(rivals []*rival) error {
	var errs []error
	for _, r := range rivals {
		if r.stop != nil {
			if err := r.stop(); err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", r.name, err))
			}
		}
	}
	return errors.Join(errs...)
}
