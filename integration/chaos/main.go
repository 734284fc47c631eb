// Command chaos disturbs three silo processes under load, and checks what they have done.
//
//	go run ./integration/chaos [--seed 1] [--seeds 1] [--duration 60s] [--fault NAME] [--json] [--keep]
//
// For each seed it founds a cluster whose silos reach each other through a proxy, in this process, for
// each ordered pair; lets callers write and read registers, variables and accounts; and makes the faults
// that the seed gives: kills any silo and the leader of the log, stops and starts one, pauses one, for a
// moment, for longer than it may be silent, and for as long in the middle of a turn; cuts and delays what
// passes between them. Callers reach the silos directly, so that one that is cut off is still asked.
//
// Then it checks: every call was answered in time, by a result or a typed error; each register's history
// is linearizable (by porcupine); the journals that the silos keep of their turns show that no two
// activations of a grain were at work at once in a way that counts; variables and accounts hold what was
// answered, once; replicas are equal. A safety check can be switched off with --fault, to see it found.
//
// It ends with a table of bars, which it writes to integration/results/chaos.json too. It exits 0 when it
// could run, even if a bar is missed, and says so plainly; 1 when it could not; 2 for flags that it does
// not know. A seed that shows a violation leaves its histories, journals and logs behind, and says where.
//
// It wants Linux: the proxies listen on addresses of 127.0.0.0/8.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	seed     uint64
	seeds    int
	duration time.Duration
	fault    string
	json     bool
	keep     bool
}

// shortestRun is the least duration that leaves time for a fault between the quiet and the calm.
const shortestRun = 30 * time.Second

// execute is main with its surroundings passed in.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == serveCommand {
		if err := serve(ctx, args[1:], stdin, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, "chaos", args, err)
			return report.ExitFailed
		}
		return report.ExitMeasured
	}
	o, code := parse(args, stderr)
	if code != report.ExitMeasured || o == nil {
		return code
	}
	if o.fault != "" { // the silos inherit it
		if err := os.Setenv(faults.Variable, faults.Consent); err != nil {
			fmt.Fprintln(stderr, "chaos: --fault:", err)
			return report.ExitFailed
		}
	}
	if err := faults.Set(faults.Fault(o.fault)); err != nil {
		fmt.Fprintln(stderr, "chaos: --fault:", err)
		return report.ExitUsage
	}
	root, err := report.ModuleRoot()
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return report.ExitFailed
	}
	results := filepath.Join(root, "integration", "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return report.ExitFailed
	}
	net.DefaultResolver = resolver(0)
	var all []*result
	var failures []error
	for i := range uint64(o.seeds) {
		res, err := one(ctx, o, o.seed+i, results, stderr)
		if err != nil {
			failures = append(failures, fmt.Errorf("seed %d: %w", o.seed+i, err))
			break
		}
		all = append(all, res)
	}
	r := summed(o, all)
	r.Failures = failures
	if err := r.Write(filepath.Join(results, "chaos.json")); err != nil {
		r.Failures = append(r.Failures, err)
	}
	if o.json {
		r.PrintJSON(stdout)
	} else {
		r.Print(stdout)
	}
	for _, err := range r.Failures {
		fmt.Fprintln(stderr, "chaos:", err)
	}
	if len(r.Failures) > 0 {
		return report.ExitFailed
	}
	return report.ExitMeasured
}

// parse reads the flags; the options are nil where there is nothing to run.
func parse(args []string, stderr io.Writer) (*options, int) {
	o := &options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./integration/chaos [flags]\n\nDisturbs three silo processes under load, and checks what they have done.")
		flags.PrintDefaults()
	}
	flags.Uint64Var(&o.seed, "seed", 1, "of faults and load; with --seeds, the first")
	flags.IntVar(&o.seeds, "seeds", 1, "how many seeds to run, one after the other")
	flags.DurationVar(&o.duration, "duration", time.Minute, "of the load of each seed, at least "+shortestRun.String())
	flags.StringVar(&o.fault, "fault", "", fmt.Sprintf("switch a safety check off, for a checker to notice: one of %v", faults.All))
	flags.BoolVar(&o.json, "json", false, "print the rows as JSON instead of tables")
	flags.BoolVar(&o.keep, "keep", false, "keep histories, journals and logs of runs without violations too")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, report.ExitMeasured
	case err != nil:
		return nil, report.ExitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "chaos: unexpected argument %q: it takes flags alone\n", flags.Arg(0))
	case o.seeds < 1:
		fmt.Fprintln(stderr, "chaos: --seeds: at least 1")
	case o.duration < shortestRun:
		fmt.Fprintf(stderr, "chaos: --duration: at least %v, for there to be a fault\n", shortestRun)
	default:
		return o, report.ExitMeasured
	}
	flags.Usage()
	return nil, report.ExitUsage
}

// one runs one seed, in a directory of its own, beside the results: the system's for temporary files may be
// memory.
func one(ctx context.Context, o *options, seed uint64, results string, stderr io.Writer) (*result, error) {
	dir, err := os.MkdirTemp(results, fmt.Sprintf("chaos-%d-", seed))
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	res, err := runSeed(ctx, &run{
		seed: seed, duration: o.duration, fault: o.fault, dir: dir,
		say: func(format string, args ...any) {
			fmt.Fprintf(stderr, "%5.1f s "+format+"\n", append([]any{time.Since(begin).Seconds()}, args...)...)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w (logs are in %s)", err, dir)
	}
	for i := range silos {
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("silo-%d", i+1))); err != nil {
			return nil, err
		}
	}
	if len(res.Violations) > 0 || o.keep {
		res.Dir = dir
		return res, nil
	}
	return res, os.RemoveAll(dir)
}
