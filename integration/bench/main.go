// Command bench measures calls and purchases beside what others reach, side by side in one run, and ends
// with a table of bars.
//
//	go run ./integration/bench [--short] [--json]
//	go run ./integration/bench calls [--short] [--json]
//
// The second measures calls and what belongs to them against the bars for it: local and remote calls, with
// TLS too, many idle grains, encoders, overload, the generator, a rolling upgrade. The first has three
// sections, each in several rounds in which the rivals take turns, so that whatever else happens on the
// machine happens to all of them; every figure is the median of the rounds, every ratio the median of the
// rounds' ratios:
//
//	local     a typed grain call beside a mutex-guarded method, protoactor-go's RequestFuture and its
//	          cluster.Request, in one process
//	remote    the same and unary gRPC between two processes over loopback TCP, 100 bytes each way
//	purchase  an atomic block over two grains and a variable on three silo processes that fsync
//
// It exits 0 when it could measure, even if a bar is missed, and says so plainly; 1 when it could not; 2
// for flags that it does not know. The bars are written to
// integration/results too, to bench.json or calls.json.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
	"github.com/martinelli-go/martinelli/integration/upgrade"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == serveCommand {
		if err := serve(ctx, args[1:], stdin, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, "bench", args[1:], err)
			return report.ExitFailed
		}
		return report.ExitMeasured
	}
	if len(args) > 0 && args[0] == upgrade.ServeCommand {
		if err := upgrade.Serve(ctx, args[1:], stdin, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, "bench", args[1:], err)
			return report.ExitFailed
		}
		return report.ExitMeasured
	}
	if len(args) > 0 && args[0] == callsCommand {
		return runCalls(ctx, args[1:], stdout, stderr)
	}
	command := report.Command{
		Name:    "bench",
		About:   "Measures calls and purchases beside what others reach; some minutes.",
		Results: "bench.json",
		Measure: func(ctx context.Context, short bool, results string, stderr io.Writer) *report.Report {
			b := &bench{plan: fullPlan, results: results, stderr: stderr}
			if short {
				b.plan = shortPlan
			}
			return b.measureAll(ctx)
		},
	}
	return command.Run(ctx, args, stdout, stderr)
}

// plan is how much is measured. A round gives each rival its turn.
type plan struct {
	localRounds    int
	local          time.Duration // of a turn
	remoteRounds   int
	remote         time.Duration
	purchaseRounds int
	purchase       time.Duration
}

var (
	fullPlan  = plan{9, 150 * time.Millisecond, 9, 700 * time.Millisecond, 3, 6 * time.Second}
	shortPlan = plan{3, 30 * time.Millisecond, 3, 100 * time.Millisecond, 1, time.Second}
)

// bench is one run.
type bench struct {
	plan    plan
	results string // the directory for what is written
	stderr  io.Writer
}

// progress says what is going on.
func (b *bench) progress(format string, args ...any) { fmt.Fprintf(b.stderr, format+"\n", args...) }

// measureAll measures every section. One that fails does not keep the others from being measured.
func (b *bench) measureAll(ctx context.Context) *report.Report {
	r := &report.Report{Environment: b.environment()}
	for _, s := range []struct {
		name    string
		measure func(context.Context, *report.Report) error
	}{
		{"local", b.local}, {"remote", b.remote}, {"purchase", b.purchases},
	} {
		if err := s.measure(ctx, r); err != nil {
			r.Failures = append(r.Failures, fmt.Errorf("%s: not measured: %w", s.name, err))
		}
	}
	return r
}
