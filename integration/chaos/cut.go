package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	// leaseTime is how long a silo that is cut off may go on with exclusive grains.
	leaseTime = 2500 * time.Millisecond
	// cutWithin is the deadline of calls while a silo is cut off: they are refused by then.
	cutWithin = time.Second
	// agreed is how many grains are asked for after the healing, each in three ways.
	agreed = 100
)

// cuts is what the experiment cut has found.
type cuts struct {
	runs
	mu    sync.Mutex
	sides []side // a cut each
}

// side is what clients have seen of one cut.
type side struct {
	who       string // whom it cut off
	at        int64  // by register.Now
	cut       []*operation
	variables []*operation
	lost      int // adds that a read at the same silo did not show
	kept      []*operation
	taken     []*operation
	converged time.Duration // after the healing; negative: not
	disputed  int           // grains of which not all clients say that the same activation has them
}

// cutting cuts one silo off from the two others, first one that follows, then the leader of the log. A client
// reaches only the one, another only the two.
func cutting(ctx context.Context, e *experiment) error {
	c := &cuts{}
	defer func() { c.sum(e.report) }()
	rounds, lasts := 2, 12*time.Second
	if e.short {
		rounds, lasts = 1, 8*time.Second
	}
	return c.run(ctx, e, &run{places: 2}, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			r.began = time.Now()
			most, err := r.outside(ctx, silos+1)
			if err != nil {
				return err
			}
			one, err := r.outside(ctx, silos+2)
			if err != nil {
				return err
			}
			for round := range rounds {
				if err := c.round(ctx, r, most, one, round, lasts); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// round is one cut, which lasts for a while.
func (c *cuts) round(ctx context.Context, r *run, most, one *outsider, round int, lasts time.Duration) error {
	at, err := r.settled(ctx, spreadOver)
	if err != nil {
		return err
	}
	victim, err := r.leader(ctx)
	if err != nil {
		return err
	}
	s := side{who: "leader"}
	if round%2 == 0 {
		s.who, victim = "follower", victim%silos+1
	}
	var its, theirs []int
	for i := range spreadOver {
		if at[i] == int64(victim) {
			its = append(its, i)
		} else {
			theirs = append(theirs, i)
		}
	}
	r.isolate(victim, most, one)
	s.at = register.Now()
	r.say("%s: silo %d is cut off, the %s", r.name, victim, s.who)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { s.cut = touching(stop, one, its, 6) })
	asking.Go(func() { s.variables, s.lost = changing(stop, one, 2) })
	asking.Go(func() { s.taken = touching(stop, most, its, 6) })
	asking.Go(func() { s.kept = touching(stop, most, theirs, 4) })
	hold(ctx, lasts)
	close(stop)
	asking.Wait()
	r.heal(victim, round%2 == 1, most, one)
	s.converged, s.disputed = r.agree(ctx, most, one)
	r.say("%s: healed: replicas are equal after %v, %d of %d grains are disputed", r.name, s.converged.Round(time.Millisecond), s.disputed, agreed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sides = append(c.sides, s)
	return context.Cause(ctx)
}

// isolate cuts a silo off from all others, lets one reach it alone, and most all but it.
func (r *run) isolate(silo int, most, one *outsider) {
	var others []int
	for s := 1; s <= silos; s++ {
		if s != silo {
			others = append(others, s)
		}
	}
	one.reaches(r, silo)
	most.reaches(r, others...)
	for _, other := range others {
		r.fabric.cut(pair{silo, other})
		r.fabric.cut(pair{other, silo})
	}
}

// heal ends that.
func (r *run) heal(silo int, lose bool, clients ...*outsider) {
	for s := 1; s <= silos; s++ {
		if s != silo {
			r.fabric.mend(pair{silo, s}, lose)
			r.fabric.mend(pair{s, silo}, lose)
		}
	}
	for _, c := range clients {
		c.reaches(r)
	}
}

// touching touches bystanders in turn, from several goroutines, until stop is closed.
func touching(stop <-chan struct{}, c *outsider, of []int, callers int) (all []*operation) {
	var mu sync.Mutex
	each(callers, func(n int) {
		for i := n; ; i += callers {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			o := &operation{Client: -1, Kind: register.Touch, Key: string(bystanderKey(of[i%len(of)]))}
			_ = c.call(o, cutWithin) // it is in the operation
			mu.Lock()
			all = append(all, o)
			mu.Unlock()
		}
	})
	return all
}

// changing adds to sets and reads them, until stop is closed; lost counts what was added and is not read.
func changing(stop <-chan struct{}, c *outsider, callers int) (all []*operation, lost int) {
	var mu sync.Mutex
	each(callers, func(n int) {
		for i := n; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			key := string(variableKey(i % variables))
			add := &operation{Client: -1, Kind: addToSet, Key: key}
			added := c.call(add, cutWithin)
			read := &operation{Client: -1, Kind: readSet, Key: key, Item: add.Item}
			saw := c.call(read, cutWithin)
			mu.Lock()
			all = append(all, add, read)
			if added == nil && saw == nil && !read.Seen.Swapped {
				lost++
			}
			mu.Unlock()
		}
	})
	return all, lost
}

// agree waits until replicas are equal and all clients say of each grain that the same activation has it.
func (r *run) agree(ctx context.Context, most, one *outsider) (converged time.Duration, disputed int) {
	ctx, cancel := context.WithTimeout(ctx, convergeWithin)
	defer cancel()
	begin := time.Now()
	converged, disputed = -1, agreed
	for ctx.Err() == nil && (converged < 0 || disputed > 0) {
		if converged < 0 {
			if all, err := r.load.clients[0].Audit(ctx); err == nil && len(all) == r.running() && len(apart(all)) == 0 {
				converged = time.Since(begin)
			}
		}
		disputed = 0
		var mu sync.Mutex
		each(agreed, func(i int) {
			direct, err := r.load.probe(i)
			same := err == nil
			for _, c := range []*outsider{most, one} {
				o := &operation{Client: -1, Kind: register.Touch, Key: string(bystanderKey(i))}
				same = same && c.call(o, cutWithin) == nil && o.Seen.By == direct.By
			}
			if !same {
				mu.Lock()
				disputed++
				mu.Unlock()
			}
		})
		hold(ctx, 100*time.Millisecond)
	}
	return converged, disputed
}

// lastAnswer is how long after the cut an operation was still answered by a result, which counts as none
// where there were no operations.
func (s *side) lastAnswer() (last time.Duration) {
	if len(s.cut) == 0 {
		return math.MaxInt64
	}
	for _, o := range s.cut {
		if o.Outcome == done {
			last = max(last, time.Duration(o.Return-s.at))
		}
	}
	return last
}

// after are the operations that began some time after the cut.
func (s *side) after(ops []*operation, d time.Duration) []*operation {
	return slices.DeleteFunc(slices.Clone(ops), func(o *operation) bool { return o.Invoke < s.at+int64(d) })
}

// takenOver is how long after the cut each of the silo's grains has answered elsewhere for the first time.
func (s *side) takenOver() []time.Duration {
	first := map[string]time.Duration{}
	for _, o := range s.taken {
		d := time.Duration(o.Return - s.at)
		if had, ok := first[o.Key]; o.Outcome == done && (!ok || d < had) {
			first[o.Key] = d
		} else if !ok && o.Outcome != done {
			first[o.Key] = math.MaxInt64
		}
	}
	all := make([]time.Duration, 0, len(first))
	for _, d := range first {
		all = append(all, d)
	}
	return all
}

func (c *cuts) sum(r *report.Report) {
	c.runs.sum(r, "cut 2 + 1")
	s := &report.Section{
		Title:   "one of three silos is cut off: what clients see on either side",
		Columns: report.Row{"cut off", "last answer there", "refused after", "unknown", "untyped", "variables there", "failed", "its grains elsewhere, p50", "p99", "converged"},
	}
	seen := len(c.sides) > 0
	var last, slowest, converged time.Duration
	refusals := math.MaxInt // by type, the least of a side
	var soft, hard, changes, unserved, lost, served, unheld, disputed int
	for _, side := range c.sides {
		late := side.after(side.cut, leaseTime)
		how := outcomes(late)
		refusals = min(refusals, how[refused]+how[unknown])
		soft += how[unknown]
		hard += how[untyped] + how[unanswered]
		last = max(last, side.lastAnswer())
		changes += len(side.variables)
		unserved += len(failed(side.variables))
		lost += side.lost
		theirs := append(side.after(side.taken, takeoverAtMost), side.kept...)
		served += len(theirs)
		unheld += len(failed(theirs))
		times := spreadOf(side.takenOver())
		slowest = max(slowest, times.p99)
		if converged = max(converged, side.converged); side.converged < 0 {
			converged = math.MaxInt64
		}
		disputed += side.disputed
		s.Rows = append(s.Rows, report.Row{
			side.who, side.lastAnswer().Round(time.Millisecond), how[refused], how[unknown], how[untyped] + how[unanswered], len(side.variables), len(failed(side.variables)),
			times.p50.Round(time.Millisecond), times.p99.Round(time.Millisecond), side.converged.Round(time.Millisecond),
		})
		s.Notes = append(s.Notes, notesOf(append(failed(side.variables), failed(theirs)...))...)
	}
	r.Sections = append(r.Sections, s)
	const name = "cut 2 + 1: "
	r.Require(name+"the one answers for exclusive grains until, s", last.Seconds(), fmt.Sprintf("<= %v", leaseTime.Seconds()), seen && last <= leaseTime)
	r.Require(name+"calls that the one refused from then on, by type, the least of a cut", float64(refusals), ">= 1", seen && refusals > 0)
	r.Require(name+"calls that it answered otherwise", float64(hard), "0", seen && hard == 0)
	r.Figure(name+"of those that it refused, not known to be not executed", float64(soft))
	r.Require(name+"writes and reads of variables at the one that failed", float64(unserved+lost), "0", changes > 0 && unserved+lost == 0)
	r.Figure(name+"writes and reads of variables at the one", float64(changes))
	r.Require(name+fmt.Sprintf("calls at the two that failed: of their grains, and of the one's after %v", takeoverAtMost), float64(unheld), "0", served > 0 && unheld == 0)
	r.Figure(name+"99 % of the one's grains answer at the two within, s", slowest.Seconds())
	r.Require(name+"healed: replicas are equal after, s", converged.Seconds(), fmt.Sprintf("<= %v", convergeWithin.Seconds()), seen && converged <= convergeWithin)
	r.Require(name+"healed: grains that have not one holder", float64(disputed), "0", seen && disputed == 0)
}
