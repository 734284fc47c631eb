package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	payloadSize = 100
	mostCallers = 512
)

var remoteCallers = []int{1, 64, mostCallers}

var errShortEcho = errors.New("the answer is not what was sent")

// targetName names the target of a caller.
func targetName(caller int) string { return fmt.Sprintf("counter-%d", caller) }

// remote measures calls between two processes.
func (b *bench) remote(ctx context.Context, r *report.Report) (err error) {
	payload := bytes.Repeat([]byte{'x'}, payloadSize)
	var rivals []*rival
	defer func() { err = errors.Join(err, stopAll(rivals)) }()
	for _, start := range []func() (*rival, error){
		func() (*rival, error) { return newGRPCRival(ctx, payload, "") },
		func() (*rival, error) { return newProtoRemoteRival(ctx, payload) },
		func() (*rival, error) { return newProtoClusterRemoteRival(ctx, payload) },
		func() (*rival, error) { return newGrainRemoteRival(ctx, payload, "") },
	} {
		rival, err := start()
		if err != nil {
			return err
		}
		rivals = append(rivals, rival)
	}

	s := &report.Section{
		Title:   fmt.Sprintf("remote: two processes, loopback TCP without encryption, %d bytes each way", payloadSize),
		Columns: report.Row{"", "callers", "calls/s", "spread", "p50", "p99", "allocs a call"},
		Notes: []string{
			"Nothing is durable. One connection for all callers; each has a target of its own, but for gRPC, which has none.",
			"protoactor-go's requests have a timeout of 5 s, the others' a context with a deadline. Allocations are the caller's process's.",
		},
	}
	for _, callers := range remoteCallers {
		all, err := b.rounds(ctx, "remote", rivals, b.plan.remoteRounds, callers, 1, b.plan.remote)
		if err != nil {
			return err
		}
		for i, rival := range rivals {
			s.Rows = append(s.Rows, report.Row{
				rival.name, callers, report.Number(all[i].median(sample.perSecond)), report.Percent(all[i].spread(sample.perSecond)),
				report.Nanos(all[i].median(p50)), report.Nanos(all[i].median(p99)), report.Number(all[i].median(allocs)),
			})
		}
		unary, future, request, ours := all[0], all[1], all[2], all[3]
		title := func(rest string) string {
			return fmt.Sprintf("remote grain call, callers %d: %s", callers, rest)
		}
		r.Figure(title("calls/s / cluster.Request's"), ratio(ours, request, sample.perSecond))
		r.Figure(title("calls/s / remote RequestFuture's"), ratio(ours, future, sample.perSecond))
		r.Figure(title("calls/s / unary gRPC's"), ratio(ours, unary, sample.perSecond))
		if callers == 1 {
			r.Figure(title("p50 / unary gRPC's"), ratio(ours, unary, p50))
		}
		r.Figure(title("allocations a call"), ours.median(allocs))
	}
	r.Sections = append(r.Sections, s)
	return nil
}

func p50(s sample) float64  { return float64(s.quantile(0.50)) }
func p99(s sample) float64  { return float64(s.quantile(0.99)) }
func p999(s sample) float64 { return float64(s.quantile(0.999)) }
