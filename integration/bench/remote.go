package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	payloadSize = 100
	mostCallers = 512
)

var remoteCallers = []int{1, mostCallers}

var errShortEcho = errors.New("the answer is not what was sent")

// targetName names the target of a caller.
func targetName(caller int) string { return fmt.Sprintf("counter-%d", caller) }

// remote measures calls between two processes, remoteTLS the same over TLS, with gRPC alone beside it.
func (b *bench) remote(ctx context.Context, r *report.Report) error { return b.between(ctx, r, "") }

func (b *bench) remoteTLS(ctx context.Context, r *report.Report) (err error) {
	dir, err := os.MkdirTemp("", "bench-certificates-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certs, err := newCertificates(dir)
	if err != nil {
		return err
	}
	return b.between(ctx, r, certs)
}

// between holds calls between two processes against unary gRPC and, without TLS, against cluster.Request.
func (b *bench) between(ctx context.Context, r *report.Report, certs certificates) (err error) {
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
	for _, callers := range remoteCallers {
		all, err := b.rounds(ctx, name, rivals, b.plan.remoteRounds, callers, 1, b.plan.remote)
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

func p50(s sample) float64  { return float64(s.quantile(0.50)) }
func p99(s sample) float64  { return float64(s.quantile(0.99)) }
func p999(s sample) float64 { return float64(s.quantile(0.999)) }
