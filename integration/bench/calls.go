package main

import (
	"context"
	"fmt"
	"io"

	"github.com/martinelli-go/martinelli/integration/internal/report"
	"github.com/martinelli-go/martinelli/integration/upgrade"
)

// callsCommand, as the first argument, measures calls alone, with the bars that they are held against.
const callsCommand = "calls"

// runCalls is that command.
func runCalls(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := report.Command{
		Name:    "bench calls",
		About:   "Measures calls beside what others reach, many idle grains, encoders, overload, the generator and a rolling\nupgrade, each against its bar; some ten minutes.",
		Results: "calls.json",
		Measure: func(ctx context.Context, short bool, results string, stderr io.Writer) *report.Report {
			b := &bench{plan: fullPlan, results: results, stderr: stderr}
			c := fullCalls
			if short {
				b.plan, c = shortPlan, shortCalls
			}
			return b.measureCalls(ctx, c)
		},
	}
	return command.Run(ctx, args, stdout, stderr)
}

// callsPlan is how much of what only runCalls measures.
type callsPlan struct {
	rounds  int
	idle    int // grains
	upgrade upgrade.Plan
}

var (
	fullCalls  = callsPlan{rounds: 5, idle: 1_000_000, upgrade: upgrade.Full}
	shortCalls = callsPlan{rounds: 1, idle: 10_000, upgrade: upgrade.Short}
)

// measureCalls measures every section of calls. One that fails does not keep the others from being measured.
func (b *bench) measureCalls(ctx context.Context, c callsPlan) *report.Report {
	r := &report.Report{Environment: b.environment()}
	for _, s := range []struct {
		name    string
		measure func(context.Context, *report.Report) error
	}{
		{"local", b.local},
		{"remote", b.remote},
		{"remote, TLS", b.remoteTLS},
		{"idle", func(ctx context.Context, r *report.Report) error { return b.idle(ctx, r, c) }},
		{"encoders", func(ctx context.Context, r *report.Report) error { return b.encoders(ctx, r, c) }},
		{"overload", func(ctx context.Context, r *report.Report) error { return b.overload(ctx, r, c) }},
		{"generator", func(ctx context.Context, r *report.Report) error { return b.generator(ctx, r, c) }},
		{"upgrade", func(ctx context.Context, r *report.Report) error {
			f, err := upgrade.Run(ctx, c.upgrade, b.stderr)
			if err == nil {
				f.Report(r)
			}
			return err
		}},
	} {
		if err := s.measure(ctx, r); err != nil {
			r.Failures = append(r.Failures, fmt.Errorf("%s: not measured: %w", s.name, err))
		}
	}
	return r
}
