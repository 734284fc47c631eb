// Command bench measures calls and purchases beside what others reach, side by side in one run, and ends
// with a table of bars.
//
//	go run ./integration/bench [--short] [--json]
//
// Three sections, each in several rounds in which the rivals take turns, so that whatever else happens on
// the machine happens to all of them; every figure is the median of the rounds, every ratio the median of
// the rounds' ratios:
//
//	local     a typed grain call beside a mutex-guarded method, protoactor-go's RequestFuture and its
//	          cluster.Request, in one process
//	remote    the same and unary gRPC between two processes over loopback TCP, 100 bytes each way
//	purchase  an atomic block over two grains and a variable on three silo processes that fsync
//
// It exits 0 when it could measure, even if a bar is missed, and says so plainly; 1 when it could not; 2
// for flags that it does not know. The bars are written to integration/results/bench.json too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitMeasured = 0
	exitFailed   = 1
	exitUsage    = 2
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
			return exitFailed
		}
		return exitMeasured
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./integration/bench [flags]\n\nMeasures calls and purchases beside what others reach; about two minutes.")
		flags.PrintDefaults()
	}
	short := flags.Bool("short", false, "a few seconds: to see that it works; its figures mean little")
	asJSON := flags.Bool("json", false, "print the rows as JSON instead of tables")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitMeasured
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "bench: unexpected argument %q: it takes flags alone\n", flags.Arg(0))
		flags.Usage()
		return exitUsage
	}
	root, err := moduleRoot()
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	b := &bench{plan: fullPlan, results: filepath.Join(root, "integration", "results"), stderr: stderr}
	if *short {
		b.plan = shortPlan
	}
	if err := os.MkdirAll(b.results, 0o755); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	r := b.measureAll(ctx)
	if err := r.write(filepath.Join(b.results, "bench.json")); err != nil {
		r.failures = append(r.failures, err)
	}
	if *asJSON {
		r.printJSON(stdout)
	} else {
		r.print(stdout)
	}
	for _, err := range r.failures {
		fmt.Fprintln(stderr, "bench:", err)
	}
	if len(r.failures) > 0 {
		return exitFailed
	}
	return exitMeasured
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
	fullPlan  = plan{7, 150 * time.Millisecond, 5, 700 * time.Millisecond, 3, 6 * time.Second}
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
func (b *bench) measureAll(ctx context.Context) *report {
	r := &report{environment: b.environment()}
	for _, s := range []struct {
		name    string
		measure func(context.Context, *report) error
	}{
		{"local", b.local}, {"remote", b.remote}, {"purchase", b.purchases},
	} {
		if err := s.measure(ctx, r); err != nil {
			r.failures = append(r.failures, fmt.Errorf("%s: not measured: %w", s.name, err))
		}
	}
	return r
}

// moduleRoot is the directory of the module that the working directory is in.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %s or above it: run it inside of the repository", start)
		}
	}
}
