// Command benchchannels measures what large transfers do to small calls: three processes on this machine,
// small calls between all pairs, and with them nothing, transfers of 64 MiB between all pairs on their own
// channel, or the same transfers on the connections of the calls. It ends with a table of bars.
//
//	go run ./integration/benchchannels [--short] [--json]
//
// The three take turns, so that whatever else happens on the machine happens to all of them; every figure is
// the median of the rounds, every ratio the median of the rounds' ratios. Each process makes a call of 100
// bytes to each other one, waits for the answer and for a millisecond, and again, and notes how long each
// answer took, until the last transfer has ended. Transfers follow each other without pause; on their
// channel they have the default rate, on shared connections there is none.
//
// It exits 0 when it could measure, even if a bar is missed, and says so plainly; 1 when it could not; 2
// for flags that it does not know. The bars are written to integration/results/channels.json too.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func main() {
	if _, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

var command = report.Command{
	Name:    "benchchannels",
	About:   "Measures small calls beside transfers of 64 MiB; some minutes, 2 GB.",
	Results: "channels.json",
	Measure: func(ctx context.Context, short bool, _ string, stderr io.Writer) *report.Report {
		p := plan{processes: 3, rounds: 7, phase: 5 * time.Second}
		if short {
			p.rounds, p.phase = 1, 2*time.Second
		}
		return measure(ctx, p, stderr)
	},
}

type plan struct {
	processes, rounds int
	phase             time.Duration
}

// The phases of a round.
const (
	quiet    = "quiet"
	channels = "channels"
	shared   = "shared"
)

var phases = []string{quiet, channels, shared}

// figures of one phase: times of calls in nanoseconds, and MiB a second in all.
type figures struct{ p50, p99, rate float64 }

func measure(ctx context.Context, p plan, stderr io.Writer) *report.Report {
	r := &report.Report{Environment: report.Machine()}
	rounds := map[string][]figures{}
	if err := run(ctx, p, stderr, rounds); err != nil {
		r.Failures = append(r.Failures, err)
		return r
	}
	s := &report.Section{
		Title:   fmt.Sprintf("Calls of 100 B between all pairs of %d processes, medians of %d rounds", p.processes, p.rounds),
		Columns: report.Row{"beside", "p50", "p99", "transfers, MiB/s in all"},
		Notes:   []string{"shared: one message of 64 MiB after the other on the connections of the calls"},
	}
	for _, phase := range phases {
		var p50, p99, rate []float64
		for _, f := range rounds[phase] {
			p50, p99, rate = append(p50, f.p50), append(p99, f.p99), append(rate, f.rate)
		}
		s.Rows = append(s.Rows, report.Row{phase, report.Nanos(report.Median(p50)), report.Nanos(report.Median(p99)), report.Number(report.Median(rate))})
	}
	r.Sections = append(r.Sections, s)
	var overQuiet, overShared, rate []float64
	for i, f := range rounds[channels] {
		overQuiet = append(overQuiet, f.p99/rounds[quiet][i].p99)
		overShared = append(overShared, f.p99/rounds[shared][i].p99)
		rate = append(rate, f.rate)
	}
	moved := report.Median(rate)
	r.Require("transfers on their channel, MiB/s in all", moved, ">= 100", moved >= 100)
	r.AtMost("p99 of calls beside them / quiet p99", report.Median(overQuiet), 4)
	r.AtMost("p99 of calls beside them / p99 on shared connections", report.Median(overShared), 0.25)
	return r
}

// percentile sorts times.
func percentile(times []float64, part float64) float64 {
	slices.Sort(times)
	return times[min(len(times)-1, int(part*float64(len(times))))]
}
