package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// scenario is what shows that a safety check is needed: with the check nothing is found, without it something
// is, every time.
type scenario struct {
	fault  faults.Fault
	about  string
	check  check // that notices
	places int   // of clients of their own
	play   func(ctx context.Context, r *run) error
}

// scenarios are one for each switch.
var scenarios = []scenario{
	{faults.Lease, "a silo is cut off for longer than its lease, and a client reaches no other", checkActivations, 2,
		func(ctx context.Context, r *run) error { return r.besieged(ctx, 7*time.Second) }},
	{faults.Wait, "a silo is cut off from the others, and a client reaches no other, while its lease still runs", checkActivations, 2,
		func(ctx context.Context, r *run) error { return r.besieged(ctx, 4*time.Second) }},
	{faults.Ownership, "a client with a view of its own calls a grain where it is not", checkActivations, 0,
		func(ctx context.Context, r *run) error { return r.astray(ctx) }},
	{faults.Epoch, "a call of a grain is under way while the grain gets a successor, and arrives after the successor's", checkRelays, 0,
		func(ctx context.Context, r *run) error {
			// Twice: a connection over which nothing comes for five seconds is given up, with what it held.
			return errors.Join(r.overtaken(ctx), r.overtaken(ctx))
		}},
	{faults.Reads, "a register is read while it holds what a block has written that never commits", checkLinear, 2,
		func(ctx context.Context, r *run) error { return r.misread(ctx) }},
	{faults.Outcome, "a block is asked about while its decision is under way, and the decision arrives after the answer", checkTransfers, 2,
		func(ctx context.Context, r *run) error { return r.misled(ctx) }},
}

// scenarioOf returns the scenario of a switch.
func scenarioOf(f faults.Fault) (scenario, bool) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.fault == f })
	if i < 0 {
		return scenario{}, false
	}
	return scenarios[i], true
}

// phaseName is the phase that plays the scenario, with and without the check.
func (s scenario) phaseName() string { return "without-" + string(s.fault) }

func (s scenario) phase() phase {
	return phase{s.phaseName(), s.about, 3 * time.Minute, s.both}
}

// run plays the scenario on silos with a check switched off.
func (s scenario) run(ctx context.Context, off faults.Fault, e *experiment) (*result, error) {
	k := &runs{}
	e.mutate = string(off)
	err := k.run(ctx, e, &run{places: s.places}, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			r.began = time.Now()
			return s.play(ctx, r)
		}
	})
	return k.result, err
}

// both plays it with the check, and without.
func (s scenario) both(ctx context.Context, e *experiment) error {
	for _, off := range []faults.Fault{faults.None, s.fault} {
		res, err := s.run(ctx, off, e)
		if err != nil {
			return err
		}
		n := 0
		for _, v := range res.Violations {
			if v.Check == s.check {
				n++
			}
		}
		if off == faults.None {
			e.report.Require(fmt.Sprintf("%s: violations with the check", s.fault), float64(len(res.Violations)), "0", len(res.Violations) == 0)
			continue
		}
		e.report.Require(fmt.Sprintf("%s: violations without the check, of: %s", s.fault, s.check), float64(n), ">= 1", n > 0)
		if n > 0 {
			i := slices.IndexFunc(res.Violations, func(v violation) bool { return v.Check == s.check })
			e.report.Sections = append(e.report.Sections, &report.Section{
				Title: "without " + string(s.fault) + ": " + s.about, Columns: report.Row{"found"}, Rows: []report.Row{{n}},
				Notes: []string{"for example: " + res.Violations[i].Detail},
			})
		}
	}
	return nil
}

// besieged cuts off a silo that does not lead, while one client reaches it alone and another only the two
// others; both ask for the grains that it has.
func (r *run) besieged(ctx context.Context, lasts time.Duration) error {
	most, err := r.outside(ctx, silos+1)
	if err != nil {
		return err
	}
	one, err := r.outside(ctx, silos+2)
	if err != nil {
		return err
	}
	at, err := r.settled(ctx, spreadOver)
	if err != nil {
		return err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	victim := leader%silos + 1
	its := owned(at, victim)
	r.isolate(victim, most, one)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { touching(stop, one, its, 6) })
	asking.Go(func() { touching(stop, most, its, 6) })
	hold(ctx, lasts)
	close(stop)
	asking.Wait()
	r.heal(victim, true, most, one)
	r.agree(ctx, most, one)
	return context.Cause(ctx)
}

// owned are the bystanders that a silo has.
func owned(at map[int]int64, silo int) (all []int) {
	for i, on := range at { // some may not have been found
		if on == int64(silo) {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	return all
}

// astray calls a grain at a silo that has not got it, in between calls that go where it is.
func (r *run) astray(ctx context.Context) error {
	at, err := r.settled(ctx, spreadOver)
	if err != nil {
		return err
	}
	const wrong = 2
	s, err := newStray(r.addrs[wrong-1])
	if err != nil {
		return err
	}
	defer s.close()
	for _, i := range owned(at, 1)[:20] {
		key := string(bystanderKey(i))
		for range 3 {
			_ = r.load.call(r.load.clients[0], &operation{Client: -1, Kind: register.Touch, Key: key}, answerWithin) // it is in the history
			o := &operation{Client: -1, Kind: register.Touch, Key: key}
			r.history.begin(o, answerWithin)
			bounded, cancel := context.WithTimeout(ctx, answerWithin)
			seen, err := turn(bounded, s, o)
			cancel()
			r.history.end(o, seen, err)
		}
	}
	return context.Cause(ctx)
}

// errNoSuccessor: nobody took a grain over.
var errNoSuccessor = errors.New("no other silo took the grain over in time")

// overtaken lets a grain's call be under way from the last moment of its silo's lease until the grain has a
// successor that has made the same call.
func (r *run) overtaken(ctx context.Context) error {
	at, err := r.settled(ctx, spreadOver)
	if err != nil {
		return err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	old := leader%silos + 1
	third := old%silos + 1
	from, to := string(bystanderKey(owned(at, old)[0])), string(bystanderKey(owned(at, third)[0]))
	relay := func(within time.Duration) (*operation, error) {
		o := &operation{Client: -1, Kind: register.Relay, Key: from, To: to}
		err := r.load.call(r.load.clients[0], o, within)
		return o, err
	}
	first, err := relay(answerWithin)
	if err != nil {
		return err
	}
	// The silo hears nothing more of the leader, so that its lease runs out; until then it may still call the
	// third silo. What it sends there is held from when the lease is nearly over.
	r.fabric.cut(pair{old, leader})
	r.fabric.cut(pair{leader, old})
	hold(ctx, leaseTime/2)
	if _, err := relay(answerWithin); err != nil { // its connection to the third silo is not idle
		return fmt.Errorf("a relay by a silo that has a lease: %w", err)
	}
	r.fabric.cut(pair{old, third})
	var late sync.WaitGroup
	late.Go(func() { _, _ = relay(answerWithin) }) // which nobody answers
	for begin := time.Now(); ; hold(ctx, 20*time.Millisecond) {
		o, err := relay(probeWithin)
		if err == nil && o.Seen.By != first.Seen.By {
			break
		}
		if time.Since(begin) > 2*answerWithin || ctx.Err() != nil {
			return errNoSuccessor
		}
	}
	r.fabric.mend(pair{old, third}, false)
	late.Wait()
	hold(ctx, time.Second) // for what has arrived to be done
	r.fabric.mend(pair{old, leader}, true)
	r.fabric.mend(pair{leader, old}, true)
	_, err = r.settled(ctx, spreadOver)
	return err
}

// switchOff switches a check off in this process, which is there for that; "" none.
func switchOff(fault string) error {
	if fault != "" {
		if err := os.Setenv(faults.Variable, faults.Consent); err != nil {
			return err
		}
	}
	return faults.Set(faults.Fault(fault))
}
