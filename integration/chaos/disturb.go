package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// runSeed disturbs silos under load as the seed says, and checks. The error is that it could not.
func runSeed(ctx context.Context, r *run) (*result, error) {
	res, err := r.perform(ctx, r.disturb)
	if err != nil {
		return nil, err
	}
	res.Goodput = measureGoodput(r.ops, r.began.UnixNano(), r.spans, r.duration)
	return res, nil
}

// disturb runs the load, and the faults of the plan at their times.
func (r *run) disturb(ctx context.Context) error {
	schedule := plan(r.seed, r.duration, silos)
	r.locate(ctx, bystanders)
	return r.underLoad(ctx, func(ctx context.Context) error {
		r.say("%s: load for %v, %d faults", r.name, r.duration, len(schedule))
		for _, f := range schedule {
			hold(ctx, time.Until(r.began.Add(f.At)))
			if ctx.Err() != nil {
				break
			}
			r.faulting.Go(func() { r.inject(ctx, f) })
		}
		hold(ctx, time.Until(r.began.Add(r.duration)))
		if late := r.calmUntil() - r.duration; late > 0 && ctx.Err() == nil {
			r.say("%s: %v longer, for the calm: the last fault ended late", r.name, late.Round(time.Millisecond))
			r.duration += late
			hold(ctx, late)
		}
		return context.Cause(ctx)
	})
}

// calmUntil is how long the load must go on for a window of goodput behind the last fault.
func (r *run) calmUntil() (until time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		until = max(until, s.end+settling+window+time.Second)
	}
	return until
}

// inject makes one fault, and ends it.
func (r *run) inject(ctx context.Context, f fault) {
	if f.Kind == killedLead {
		leader, err := r.eitherLeader(ctx)
		if err != nil {
			r.missed(f, err)
			return
		}
		f.Silo = leader
	}
	begin := time.Since(r.began)
	r.say("%s: %v", r.name, f)
	err := r.make(ctx, f)
	switch {
	case ctx.Err() != nil:
		return
	case errors.As(err, new(*misbehaved)):
		r.violate(found(checkSilosStand, "%v", err))
	case err != nil:
		r.missed(f, err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Faults[f.Kind]++
	r.spans = append(r.spans, span{begin, time.Since(r.began), f.what()})
}

func (r *run) missed(f fault, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	r.spans = append(r.spans, span{now, now, f.what()})
	r.result.Missed = append(r.result.Missed, fmt.Sprintf("%v: %v", f, err))
}

// turnTries is how often a silo is told to stop in a turn, until one begins: it may have been taken as down,
// and have no grain for a moment.
const turnTries = 4

// make makes one fault. It returns when it is over.
func (r *run) make(ctx context.Context, f fault) error {
	switch f.Kind {
	case cutBoth, cutOne:
		for _, w := range f.Ways {
			r.fabric.cut(w)
		}
		hold(ctx, f.For)
		for _, w := range f.Ways {
			r.fabric.mend(w, f.Lose)
		}
		return nil
	case delayed:
		for _, w := range f.Ways {
			r.fabric.slow(w, f.Delay, f.Jitter)
		}
		hold(ctx, f.For)
		for _, w := range f.Ways {
			r.fabric.slow(w, 0, 0)
		}
		return nil
	}
	s := r.silos[f.Silo-1]
	s.fault.Lock()
	defer s.fault.Unlock()
	switch f.Kind {
	case killed, killedLead:
		return r.kill(ctx, s, f)
	case restarted:
		err := s.stop()
		hold(ctx, f.For)
		r.revive(ctx, s)
		return err
	case pausedTurn:
		err := errNoTurn
		for range turnTries {
			if errors.Is(err, errNoTurn) {
				err = s.stopInTurn(f.Turn)
			}
		}
		if err != nil {
			return err
		}
	default:
		if err := s.signal(sigStop); err != nil {
			return err
		}
	}
	hold(ctx, f.For)
	return s.signal(sigCont)
}

// takeoverWithin is how long grains of a killed silo are looked for elsewhere; what takes longer counts as
// this.
const takeoverWithin = takeoverAtMost + time.Second

// kill kills a silo, measures how soon others take its grains over, and starts it again: when they have,
// else its grains would answer where they were.
func (r *run) kill(ctx context.Context, s *member, f fault) error {
	at := r.locate(ctx, bystanders)
	who := "silo"
	if f.Kind == killedLead {
		who = "leader"
	}
	if err := s.kill(); err != nil {
		r.revive(ctx, s)
		return err
	}
	now := time.Now()
	took := r.load.takeover(at, s.number, now, takeoverWithin)
	hold(ctx, f.For-time.Since(now))
	r.revive(ctx, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Takeover[who] = append(r.result.Takeover[who], took...)
	return nil
}
