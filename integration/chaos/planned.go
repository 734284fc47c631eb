package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	// mostDrainTail is how many times the quiet p99 that of a drain may be.
	mostDrainTail = 5
	// afterDrain belongs to a drain too: what was on its way to the silo that is gone.
	afterDrain = time.Second
	// quietFor is what a drain is held against.
	quietFor = 8 * time.Second
	// spreadOver is how many grains tell whether all silos have their share.
	spreadOver = 300
)

// drains is what the experiment drain has found.
type drains struct {
	runs
	quiet, during []time.Duration
	failed        []*operation
	calls         int
	lasted        []time.Duration
}

// draining tells one silo after the other to end, by SIGTERM, under load, and looks at the calls meanwhile.
func draining(ctx context.Context, e *experiment) error {
	d := &drains{}
	defer func() { d.sum(e.report) }()
	rounds := silos
	if e.short {
		rounds = 1
	}
	type times struct{ quiet, begin, end int64 }
	var all []times
	r := &run{}
	err := d.run(ctx, e, r, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			return r.underLoad(ctx, func(ctx context.Context) error {
				for _, s := range r.silos[:rounds] {
					if _, err := r.settled(ctx, spreadOver); err != nil {
						return err
					}
					hold(ctx, time.Second) // the questions of who has what are over
					t := times{quiet: register.Now()}
					hold(ctx, quietFor)
					t.begin = register.Now()
					err := s.stop()
					t.end = register.Now()
					if err != nil {
						return err
					}
					r.say("%s: silo %d drained in %v", r.name, s.number, time.Duration(t.end-t.begin).Round(time.Millisecond))
					all = append(all, t)
					hold(ctx, 2*afterDrain)
					if err := s.start(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
	})
	for _, t := range all {
		d.quiet = append(d.quiet, took(within(r.ops, t.quiet, t.begin))...)
		during := within(r.ops, t.begin, t.end+int64(afterDrain))
		d.during = append(d.during, took(during)...)
		d.failed = append(d.failed, failed(during)...)
		d.calls += len(during)
		d.lasted = append(d.lasted, time.Duration(t.end-t.begin))
	}
	return err
}

func (d *drains) sum(r *report.Report) {
	d.runs.sum(r, "planned drain")
	quiet, during := spreadOf(d.quiet), spreadOf(d.during)
	ratio := 0.0
	if quiet.p99 > 0 {
		ratio = float64(during.p99) / float64(quiet.p99)
	}
	r.Require("planned drain: calls that failed", float64(len(d.failed)), "0", d.calls > 0 && len(d.failed) == 0)
	r.Require("planned drain: p99 of calls, beside the quiet one", ratio, fmt.Sprintf("<= %d", mostDrainTail), ratio > 0 && ratio <= mostDrainTail)
	r.Figure("planned drain: calls meanwhile", float64(d.calls))
	if len(d.lasted) > 0 {
		r.Figure("planned drain: the longest took, s", slices.Max(d.lasted).Seconds())
	}
	s := &report.Section{
		Title:   "a silo is told to end (SIGTERM) under load: how long calls take, until a second after it has ended",
		Columns: report.Row{"", "calls", "p50", "p90", "p99", "max"},
		Notes:   notesOf(d.failed),
	}
	for _, row := range []struct {
		name string
		spread
	}{{"quiet", quiet}, {"drain", during}} {
		s.Rows = append(s.Rows, report.Row{row.name, row.n, fine(row.p50), fine(row.p90), fine(row.p99), fine(row.max)})
	}
	r.Sections = append(r.Sections, s)
}

func fine(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// notesOf tells of some operations that failed.
func notesOf(bad []*operation) (notes []string) {
	for i, o := range bad {
		if i == shownViolations {
			return append(notes, fmt.Sprintf("and %d more", len(bad)-i))
		}
		notes = append(notes, fmt.Sprintf("failed: operation %d (%s of %s) after %v: %s: %s",
			o.ID, o.Kind, o.Key, fine(time.Duration(o.Return-o.Invoke)), o.Outcome, o.Error))
	}
	return notes
}

// rolls is what the experiment rolling has found.
type rolls struct {
	runs
	patient, impatient []*operation
	lasted             time.Duration
}

// rolling restarts one silo after the other under load: SIGTERM, its end, a start, and on to the next as soon as
// it serves. Half of the callers give up after a while; the others leave it to the client to make calls again
// that were not executed.
func rolling(ctx context.Context, e *experiment) error {
	w := &rolls{}
	defer func() { w.sum(e.report) }()
	rounds := 2
	if e.short {
		rounds = 1
	}
	r := &run{}
	var begin, end int64
	err := w.run(ctx, e, r, func(r *run) func(context.Context) error {
		return func(ctx context.Context) error {
			r.load.impatient = true
			return r.underLoad(ctx, func(ctx context.Context) error {
				hold(ctx, 3*time.Second)
				begin = register.Now()
				for range rounds {
					for _, s := range r.silos {
						if err := s.stop(); err != nil {
							return err
						}
						if err := s.start(ctx); err != nil {
							return err
						}
						r.say("%s: silo %d is back", r.name, s.number)
					}
				}
				hold(ctx, 3*time.Second)
				end = register.Now()
				return nil
			})
		}
	})
	w.lasted = time.Duration(end - begin)
	for _, o := range within(r.ops, begin, end) {
		if o.Deadline-o.Invoke == int64(impatientWithin) {
			w.impatient = append(w.impatient, o)
		} else {
			w.patient = append(w.patient, o)
		}
	}
	return err
}

func (w *rolls) sum(r *report.Report) {
	w.runs.sum(r, "rolling restart")
	all := append(slices.Clone(w.patient), w.impatient...)
	how := outcomes(all)
	hard := len(failed(all)) - how[refused]
	r.Require("rolling restart: calls that failed by other than a refusal that says that they were not executed", float64(hard), "0", len(all) > 0 && hard == 0)
	bad := failed(w.patient)
	r.Require("rolling restart: calls that failed, of callers who leave it to the client to retry what was not executed", float64(len(bad)), "0",
		len(w.patient) > 0 && len(bad) == 0)
	r.Figure("rolling restart: calls", float64(len(all)))
	r.Figure(fmt.Sprintf("rolling restart: calls refused, of callers who give up after %v", impatientWithin), float64(outcomes(w.impatient)[refused]))
	times := spreadOf(took(all))
	r.Figure("rolling restart: p99 of calls, ms", float64(times.p99)/1e6)
	r.Figure("rolling restart: the longest call, s", times.max.Seconds())
	r.Figure("rolling restart: it took, s", w.lasted.Seconds())
	r.Sections = append(r.Sections, &report.Section{
		Title:   "a rolling restart under load: what became of calls",
		Columns: report.Row{"callers", "calls", "ok", "refused", "unknown", "untyped", "unanswered"},
		Rows: []report.Row{rowOf("who leave retries to the client", w.patient),
			rowOf(fmt.Sprintf("who give up after %v", impatientWithin), w.impatient)},
		Notes: notesOf(append(bad, slices.DeleteFunc(failed(w.impatient), func(o *operation) bool { return o.Outcome == refused })...)),
	})
}

func rowOf(name string, ops []*operation) report.Row {
	n := outcomes(ops)
	return report.Row{name, len(ops), n[done], n[refused], n[unknown], n[untyped], n[unanswered]}
}
