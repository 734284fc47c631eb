package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	// looked is how many grains are looked for when a silo has been killed: a third of them is its own.
	looked = 900
	// lookedWithin is for how long; what takes longer counts as this.
	lookedWithin = 20 * time.Second
)

// takeovers is what the experiment kill has found.
type takeovers struct {
	runs
	took map[string][]time.Duration // from the kill to the first answer elsewhere, by "silo" and "leader"
}

// killing kills a silo under load, the leader of a log, the views' and the blocks' in turn, and another one alternately, and measures for each
// grain that it held how long it takes until that answers elsewhere.
func killing(ctx context.Context, e *experiment) error {
	t := &takeovers{took: map[string][]time.Duration{}}
	defer func() { t.sum(e.report) }()
	rounds := 4
	if e.short {
		rounds = 2
	}
	return t.run(ctx, e, &run{}, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			return r.underLoad(ctx, func(ctx context.Context) error {
				for round := range rounds {
					if err := t.kill(ctx, r, round); err != nil {
						return err
					}
				}
				return nil
			})
		}
	})
}

func (t *takeovers) kill(ctx context.Context, r *run, round int) error {
	at, err := r.settled(ctx, looked)
	if err != nil {
		return err
	}
	hold(ctx, 2*time.Second)
	leads := r.leader
	if round%4 == 2 {
		leads = r.ledgerLeader
	}
	victim, err := leads(ctx)
	if err != nil {
		return err
	}
	who := "leader"
	if round%2 == 1 {
		who, victim = "silo", victim%silos+1
	}
	s := r.silos[victim-1]
	if err := s.kill(); err != nil {
		return err
	}
	killed := time.Now()
	took := r.load.takeover(at, victim, killed, lookedWithin)
	all := spreadOf(took)
	r.say("%s: killed the %s, silo %d: half of its %d grains answer elsewhere after %v, 99 %% after %v, all after %v",
		r.name, who, victim, all.n, all.p50.Round(time.Millisecond), all.p99.Round(time.Millisecond), all.max.Round(time.Millisecond))
	t.took[who] = append(t.took[who], took...)
	return s.start(ctx)
}

func (t *takeovers) sum(r *report.Report) {
	t.runs.sum(r, "killed silo")
	s := &report.Section{
		Title:   "a silo is killed (SIGKILL) under load: from then to the first answer elsewhere, for each grain that it held",
		Columns: report.Row{"who", "grains", "p50", "p90", "p99", "max"},
	}
	for _, who := range []string{"silo", "leader"} {
		all := spreadOf(t.took[who])
		s.Rows = append(s.Rows, report.Row{who, all.n, all.p50.Round(time.Millisecond), all.p90.Round(time.Millisecond), all.p99.Round(time.Millisecond), all.max.Round(time.Millisecond)})
		requireTakeover(r, "killed "+who, t.took[who])
	}
	r.Sections = append(r.Sections, s)
}

// requireTakeover adds the bar, and how the times spread.
func requireTakeover(r *report.Report, name string, took []time.Duration) {
	slices.Sort(took)
	within := quantile(took, takeoverShare)
	r.Require(name+": 99 % of its grains answer elsewhere within, s", within.Seconds(), fmt.Sprintf("<= %.0f", takeoverAtMost.Seconds()),
		len(took) > 0 && within <= takeoverAtMost)
	all := spreadOf(took)
	r.Figure(name+": its grains that were looked for", float64(all.n))
	r.Figure(name+": p50, s", all.p50.Seconds())
	r.Figure(name+": p90, s", all.p90.Seconds())
	r.Figure(name+": max, s", all.max.Seconds())
}
