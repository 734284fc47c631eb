package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bench/shop"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// Overload: more calls than grains have turns for. Turns wait 1 ms and use no processor, so that what runs
// out is turns, and the callers, who are on the same machine, can offer more than that.

const (
	// sleepers are the grains that are called; so many turns run at a time.
	sleepers = 16
	// overloadFor is how long a round is, and bestFor how long the best throughput is measured before it.
	overloadFor, bestFor = 5 * time.Second, 2 * time.Second
	// overloadTimes is how much more is offered than the best throughput.
	overloadTimes = 3
	// overloadDeadline is that of each call.
	overloadDeadline = 10 * time.Second
)

// overload measures what a silo does then.
func (b *bench) overload(ctx context.Context, r *report.Report, c callsPlan) (err error) {
	at, err := newRemoteSilo(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.stop()) }()
	targets := make([]shop.Sleeper, sleepers)
	for i := range targets {
		targets[i] = shop.GetSleeper(at.client, targetName(i))
	}
	s := &report.Section{
		Title:   fmt.Sprintf("overload: %d grains whose turns wait 1 ms, %d × what they can do is asked of them", sleepers, overloadTimes),
		Columns: report.Row{"round", "best, calls/s", "offered", "done", "refused", "p99 of refusals", "p50 of what was done", "silo's memory before", "and most"},
	}
	r.Sections = append(r.Sections, s)
	var kept, refusals, memory []float64
	var first, last float64
	var untyped int64
	for round := range c.rounds {
		b.progress("overload, round %d of %d", round+1, c.rounds)
		best, err := bestThroughput(ctx, targets)
		if err != nil {
			return err
		}
		before, _ := at.server.Memory()
		o, err := offer(ctx, targets, overloadTimes*best)
		if err != nil {
			return err
		}
		_, most := at.server.Memory()
		untyped += o.other.Load()
		kept = append(kept, o.perSecond/best)
		refusals = append(refusals, float64(o.refused.quantile(0.99))/1e6)
		memory = append(memory, most)
		if round == 0 {
			first = most
		}
		last = most
		s.Rows = append(s.Rows, report.Row{
			round + 1, report.Number(best), report.Number(o.offered), report.Number(o.perSecond), report.Number(float64(len(o.refused.latencies))),
			report.Nanos(float64(o.refused.quantile(0.99))), report.Nanos(float64(o.done.quantile(0.5))),
			report.Number(before) + " MiB", report.Number(most) + " MiB",
		})
		if len(o.refused.latencies) == 0 {
			return errors.New("nothing was refused: it was no overload")
		}
	}
	r.AtLeast("overload: throughput / best throughput", report.Median(kept), 0.7)
	r.AtMost("overload: p99 until a call is refused, ms", report.Median(refusals), 20)
	r.AtMost("overload: calls that failed in another way than by a typed refusal", float64(untyped), 0)
	r.AtMost("overload: the silo's peak memory, last round / first round", last/first, 1.25)
	r.AtMost("overload: the silo's peak memory, MiB", report.Median(memory), 512)
	return nil
}

// bestThroughput is how many calls a second are answered when each grain always has some that wait, and few.
func bestThroughput(ctx context.Context, targets []shop.Sleeper) (float64, error) {
	const each = 4
	var done atomic.Int64
	began := time.Now()
	var callers sync.WaitGroup
	errs := make([]error, each*len(targets))
	for i := range errs {
		callers.Go(func() {
			for time.Since(began) < bestFor {
				if err := targets[i%len(targets)].Sleep(ctx); err != nil {
					errs[i] = err
					return
				}
				done.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// offered is what became of calls that were made at a given pace.
type offered struct {
	offered, perSecond float64 // a second: made, and done while calls were being made
	done, refused      sample  // their latencies
	other              atomic.Int64
}

// offer makes calls at that pace, whatever becomes of them.
func offer(ctx context.Context, targets []shop.Sleeper, perSecond float64) (*offered, error) {
	o := &offered{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	made, inTime := 0, 0
	for now := range tick.C {
		passed := now.Sub(began)
		if passed > overloadFor || ctx.Err() != nil {
			break
		}
		for ; float64(made) < perSecond*passed.Seconds(); made++ {
			to := targets[made%len(targets)]
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, overloadDeadline)
				defer cancel()
				start := time.Now()
				err := to.Sleep(ctx)
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					o.done.latencies = append(o.done.latencies, took)
					if start.Add(took).Sub(began) <= overloadFor {
						inTime++
					}
				case errors.Is(err, grains.ErrOverloaded):
					o.refused.latencies = append(o.refused.latencies, took)
				default:
					o.other.Add(1)
				}
			})
		}
	}
	calls.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	o.offered, o.perSecond = float64(made)/overloadFor.Seconds(), float64(inTime)/overloadFor.Seconds()
	slices.Sort(o.done.latencies)
	slices.Sort(o.refused.latencies)
	return o, nil
}
