package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
	pairs   int // rounds of rivals that take turns: what else the machine does is not the same for all
	idle    int // grains
	upgrade upgrade.Plan
}

var (
	fullCalls  = callsPlan{rounds: 5, pairs: 9, idle: 1_000_000, upgrade: upgrade.Full}
	shortCalls = callsPlan{rounds: 1, pairs: 3, idle: 10_000, upgrade: upgrade.Short}
)

// measureCalls measures every section of calls. One that fails does not keep the others from being measured.
func (b *bench) measureCalls(ctx context.Context, c callsPlan) *report.Report {
	r := &report.Report{Environment: b.environment()}
	for _, s := range []struct {
		name    string
		measure func(context.Context, *report.Report) error
	}{
		{"local", func(ctx context.Context, r *report.Report) error { return b.localBars(ctx, r, c) }},
		{"remote", func(ctx context.Context, r *report.Report) error { return b.remoteBars(ctx, r, c, "") }},
		{"remote, TLS", func(ctx context.Context, r *report.Report) error { return b.remoteTLS(ctx, r, c) }},
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

// localBars holds local calls against protoactor-go's RequestFuture, with one caller and with many.
func (b *bench) localBars(ctx context.Context, r *report.Report, c callsPlan) (err error) {
	most := localCallers[len(localCallers)-1]
	mutex, future := newMutexRival(most), newProtoLocalRival(most)
	fromSilo, fromGrain, err := newGrainLocalRivals(ctx, most)
	if err != nil {
		return errors.Join(err, stopAll([]*rival{mutex, future}))
	}
	rivals := []*rival{mutex, future, fromSilo, fromGrain}
	defer func() { err = errors.Join(err, stopAll(rivals)) }()
	s := &report.Section{
		Title:   "local: one process, add a number and get the sum",
		Columns: report.Row{"", "callers", "time a call", "spread", "calls/s", "allocs a call"},
	}
	r.Sections = append(r.Sections, s)
	for _, callers := range localCallers {
		all, err := b.rounds(ctx, "local", rivals, c.pairs, callers, localBatch, b.plan.local)
		if err != nil {
			return err
		}
		for i, rival := range rivals {
			s.Rows = append(s.Rows, report.Row{
				rival.name, callers, report.Nanos(all[i].median(callTime)), report.Percent(all[i].spread(callTime)),
				report.Number(all[i].median(sample.perSecond)), report.Number(all[i].median(allocs)),
			})
		}
		for i, ours := range rivals[2:] {
			title := func(rest string) string { return fmt.Sprintf("local %s, callers %d: %s", ours.name, callers, rest) }
			r.AtMost(title("time / RequestFuture's"), ratio(all[i+2], all[1], callTime), 0.25)
			r.AtMost(title("allocations a call"), all[i+2].median(allocs), 3)
			r.Figure(title("time / mutex-guarded call's"), ratio(all[i+2], all[0], callTime))
		}
	}
	return nil
}

// remoteTLS is remoteBars over TLS, with gRPC alone beside it.
func (b *bench) remoteTLS(ctx context.Context, r *report.Report, c callsPlan) (err error) {
	dir, err := os.MkdirTemp("", "bench-certificates-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certs, err := newCertificates(dir)
	if err != nil {
		return err
	}
	return b.remoteBars(ctx, r, c, certs)
}

// remoteBars holds calls between two processes against unary gRPC and, without TLS, against cluster.Request.
func (b *bench) remoteBars(ctx context.Context, r *report.Report, c callsPlan, certs certificates) (err error) {
	payload := bytes.Repeat([]byte{'x'}, payloadSize)
	starts := []func() (*rival, error){
		func() (*rival, error) { return newGRPCRival(ctx, payload, certs) },
		func() (*rival, error) { return newGrainRemoteRival(ctx, payload, certs) },
	}
	name, how := "remote", "without encryption"
	if certs == "" {
		starts = append(starts,
			func() (*rival, error) { return newProtoClusterRemoteRival(ctx, payload) },
			func() (*rival, error) { return newProtoRemoteRival(ctx, payload) })
	} else {
		name, how = "remote, TLS", "TLS 1.3, certificates at both ends"
	}
	var rivals []*rival
	defer func() { err = errors.Join(err, stopAll(rivals)) }()
	for _, start := range starts {
		rival, err := start()
		if err != nil {
			return err
		}
		rivals = append(rivals, rival)
	}
	s := &report.Section{
		Title:   fmt.Sprintf("%s: two processes, loopback TCP, %s, %d bytes each way", name, how, payloadSize),
		Columns: report.Row{"", "callers", "calls/s", "spread", "p50", "p99", "allocs a call"},
		Notes: []string{
			"One connection for all callers; each has a target of its own, but for gRPC, which has none.",
			"Silos and clients have their floor of heap (Config.HeapFloor, 32 MiB), so that they collect garbage less often; the others' processes have none.",
			"protoactor-go's requests have a timeout of 5 s, the others' a context with a deadline. Allocations are the caller's process's.",
		},
	}
	r.Sections = append(r.Sections, s)
	for _, callers := range []int{1, mostCallers} {
		all, err := b.rounds(ctx, name, rivals, c.pairs, callers, 1, b.plan.remote)
		if err != nil {
			return err
		}
		for i, rival := range rivals {
			s.Rows = append(s.Rows, report.Row{
				rival.name, callers, report.Number(all[i].median(sample.perSecond)), report.Percent(all[i].spread(sample.perSecond)),
				report.Nanos(all[i].median(p50)), report.Nanos(all[i].median(p99)), report.Number(all[i].median(allocs)),
			})
		}
		unary, ours := all[0], all[1]
		title := func(rest string) string { return fmt.Sprintf("%s, callers %d: %s", name, callers, rest) }
		if callers == 1 {
			r.AtMost(title("p50 / unary gRPC's"), ratio(ours, unary, p50), 1.1)
			continue
		}
		r.AtLeast(title("calls/s / unary gRPC's"), ratio(ours, unary, sample.perSecond), 2.5)
		if certs == "" {
			r.AtLeast(title("calls/s / cluster.Request's"), ratio(ours, all[2], sample.perSecond), 2)
			r.Figure(title("calls/s / remote RequestFuture's"), ratio(ours, all[3], sample.perSecond))
		}
		r.Figure(title("allocations a call, at the caller"), ours.median(allocs))
	}
	return nil
}
