package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// localBatch is how many calls are timed together: reading the clock costs more than the fastest call.
const localBatch = 1024

var localCallers = []int{1, 64}

// local holds calls within one process, which add a number and get the sum, against protoactor-go's
// RequestFuture, with one caller and with many.
func (b *bench) local(ctx context.Context, r *report.Report) (err error) {
	most := localCallers[len(localCallers)-1]
	mutex, future := newMutexRival(most), newProtoLocalRival(most)
	rivals := []*rival{mutex, future}
	defer func() { err = errors.Join(err, stopAll(rivals)) }()
	request, err := newProtoClusterLocalRival()
	if err != nil {
		return err
	}
	rivals = append(rivals, request)
	fromSilo, fromGrain, err := newGrainLocalRivals(ctx, most)
	if err != nil {
		return err
	}
	rivals = append(rivals, fromSilo, fromGrain)
	s := &report.Section{
		Title:   "local: one process, add a number and get the sum",
		Columns: report.Row{"", "callers", "time a call", "spread", "calls/s", "allocs a call"},
		Notes: []string{
			"Nothing is durable. Each caller has a target of its own; a target answers one call at a time.",
			"Allocations are the whole process's. With several callers, time a call is elapsed time by calls.",
		},
	}
	r.Sections = append(r.Sections, s)
	for _, callers := range localCallers {
		all, err := b.rounds(ctx, "local", rivals, b.plan.localRounds, callers, localBatch, b.plan.local)
		if err != nil {
			return err
		}
		for i, rival := range rivals {
			s.Rows = append(s.Rows, report.Row{
				rival.name, callers, report.Nanos(all[i].median(callTime)), report.Percent(all[i].spread(callTime)),
				report.Number(all[i].median(sample.perSecond)), report.Number(all[i].median(allocs)),
			})
		}
		for i, ours := range rivals[3:] {
			title := func(rest string) string { return fmt.Sprintf("local %s, callers %d: %s", ours.name, callers, rest) }
			r.AtMost(title("time / RequestFuture's"), ratio(all[i+3], all[1], callTime), 0.25)
			r.AtMost(title("allocations a call"), all[i+3].median(allocs), 3)
			r.Figure(title("time / cluster.Request's"), ratio(all[i+3], all[2], callTime))
			r.Figure(title("time / mutex-guarded call's"), ratio(all[i+3], all[0], callTime))
		}
	}
	return nil
}

func callTime(s sample) float64 { return float64(s.took) / float64(s.calls) }
func allocs(s sample) float64   { return s.allocs }
