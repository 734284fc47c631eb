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

// local measures calls within one process: add a number, get the sum.
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
	for _, callers := range localCallers {
		all, err := b.rounds(ctx, "local", rivals, b.plan.localRounds, callers, localBatch, b.plan.local)
		if err != nil {
			return err
		}
		of := map[*rival]samples{}
		for i, rival := range rivals {
			of[rival] = all[i]
			s.Rows = append(s.Rows, report.Row{
				rival.name, callers, report.Nanos(all[i].median(callTime)), report.Percent(all[i].spread(callTime)),
				report.Number(all[i].median(sample.perSecond)), report.Number(all[i].median(allocs)),
			})
		}
		for _, ours := range []*rival{fromSilo, fromGrain} {
			title := func(rest string) string {
				return fmt.Sprintf("local %s, callers %d: %s", ours.name, callers, rest)
			}
			r.Figure(title("time / RequestFuture's"), ratio(of[ours], of[future], callTime))
			r.Figure(title("time / cluster.Request's"), ratio(of[ours], of[request], callTime))
			r.Figure(title("time / mutex-guarded call's"), ratio(of[ours], of[mutex], callTime))
			r.Figure(title("allocations a call"), of[ours].median(allocs))
		}
	}
	r.Sections = append(r.Sections, s)
	return nil
}

func callTime(s sample) float64 { return float64(s.took) / float64(s.calls) }
func allocs(s sample) float64   { return s.allocs }
