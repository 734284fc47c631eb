// Command chaos disturbs silo processes under load, and checks what they have done.
//
//	go run ./integration/chaos [--seed 1] [--seeds 1] [--duration 60s] [--only NAMES] [--short] [--mutate NAME] [--json] [--keep]
//
// Its phases, which --only names, separated by commas:
//
//	seeds      random faults: silos are killed, the leader of the log too, stopped and started, paused for a
//	           moment, for longer than a lease, and for as long in the middle of a turn, cut off, delayed
//	kill       how soon the grains of a killed silo answer elsewhere
//	drain      what calls notice of a silo that is told to end
//	rolling    what calls notice of a restart of all silos, one after the other
//	join       how soon 100,000 active grains answer where they belong when a fourth silo comes
//	cut        what clients on either side see when one of three silos is cut off, and healed
//	placement  how evenly keys are dealt out, and how few move, counted in a registry
//
// Each run founds a cluster whose silos reach each other through a proxy, in this process, for each ordered
// pair, and lets callers write and read registers, variables and accounts. Callers reach the silos directly,
// so that one that is cut off is still asked; some clients are processes of their own that reach only some
// silos.
//
// Then it checks: every call was answered in time, by a result or a typed error; each register's history
// is linearizable (by porcupine); the journals that the silos keep of their turns show that no two
// activations of a grain were at work at once in a way that counts, and that none was heard that had a
// successor; variables and accounts hold what was answered, once; replicas are equal.
//
// A safety check can be switched off with --mutate, to see that found. Then a scenario that needs the check is
// played, with it and without, in place of all phases that are not named by --only:
//
//	lease      turns begin, go on and reply without a lease
//	epoch      calls of a grain that has a successor are let in
//	ownership  a silo runs calls of grains that it does not own
//	wait       a silo is removed before its lease must have run out
//	reads      what a block has only read, in the turn that it began in, is not validated
//	outcome    a block that is asked about is called aborted, and may commit after that
//
// It ends with a table of bars, which it writes to integration/results/chaos.json too. It exits 0 when it
// could run, even if a bar is missed, and says so plainly; 1 when it could not; 2 for flags that it does
// not know. A run that shows a violation, or in which a takeover took too long or a fault could not be made,
// leaves its histories, journals and logs behind, and says where.
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
	"slices"
	"strings"
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
	only     map[string]bool
	short    bool
	mutate   string
	json     bool
	keep     bool
}

const (
	// shortestRun is the least duration that leaves time for a fault between the quiet and the calm.
	shortestRun = 30 * time.Second
	// shortRun is the duration of a seed with --short.
	shortRun = 35 * time.Second
)

// execute is main with its surroundings passed in.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	roles := map[string]func(context.Context, []string, io.Reader, io.Writer, io.Writer) error{serveCommand: serve, askCommand: ask}
	if len(args) > 0 && roles[args[0]] != nil {
		if err := roles[args[0]](ctx, args[1:], stdin, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, "chaos", args, err)
			return report.ExitFailed
		}
		return report.ExitMeasured
	}
	o, code := parse(args, stderr)
	if code != report.ExitMeasured || o == nil {
		return code
	}
	if err := switchOff(o.mutate); err != nil {
		fmt.Fprintln(stderr, "chaos: --mutate:", err)
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
	r := measure(ctx, o, results, stderr)
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

// measure runs what was asked for.
func measure(ctx context.Context, o *options, results string, stderr io.Writer) *report.Report {
	r := newReport(o)
	begin := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(stderr, "%6.1f s "+format+"\n", append([]any{time.Since(begin).Seconds()}, args...)...)
	}
	if o.only[random] {
		var all []*result
		for i := range uint64(o.seeds) {
			res, err := one(ctx, o, o.seed+i, results, say)
			if err != nil {
				r.Failures = append(r.Failures, fmt.Errorf("seed %d: %w", o.seed+i, err))
				break
			}
			all = append(all, res)
		}
		sumSeeds(r, o, all)
	}
	all := slices.Clone(phases)
	for _, s := range scenarios {
		all = append(all, s.phase())
	}
	for _, p := range all {
		if !o.only[p.name] || ctx.Err() != nil {
			continue
		}
		e := &experiment{phase: p, seed: o.seed, short: o.short, mutate: o.mutate, results: results, report: r, say: say}
		if err := e.perform(ctx, o.keep); err != nil {
			r.Failures = append(r.Failures, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return r
}

// parse reads the flags; the options are nil where there is nothing to run.
func parse(args []string, stderr io.Writer) (*options, int) {
	o := &options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./integration/chaos [flags]\n\nDisturbs silo processes under load, and checks what they have done.")
		for _, p := range phases {
			fmt.Fprintf(stderr, "  %-10s %s\n", p.name, p.about)
		}
		fmt.Fprint(stderr, "\nWith --mutate, where a check that is switched off is needed:\n")
		for _, s := range scenarios {
			fmt.Fprintf(stderr, "  %-10s %s\n", s.fault, s.about)
		}
		fmt.Fprintln(stderr)
		flags.PrintDefaults()
	}
	flags.Uint64Var(&o.seed, "seed", 1, "of faults and load; with --seeds, the first")
	flags.IntVar(&o.seeds, "seeds", 1, "how many seeds to run, one after the other")
	flags.DurationVar(&o.duration, "duration", time.Minute, "of the load of each seed, at least "+shortestRun.String())
	flags.StringVar(&o.mutate, "mutate", "", fmt.Sprintf("switch a safety check off, for a checker to notice: one of %v", faults.All))
	flags.BoolVar(&o.json, "json", false, "print the rows as JSON instead of tables")
	flags.BoolVar(&o.keep, "keep", false, "keep histories, journals and logs of runs without violations too")
	only := flags.String("only", "", "phases to run, separated by commas; there are "+strings.Join(names(), ", ")+" (default all)")
	flags.BoolVar(&o.short, "short", false, fmt.Sprintf("a seed of %v and small experiments: to see that it works; some figures mean little", shortRun))
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
		if err := o.complete(*only); err != nil {
			fmt.Fprintln(stderr, "chaos:", err)
			break
		}
		return o, report.ExitMeasured
	}
	flags.Usage()
	return nil, report.ExitUsage
}

// complete reads the flags that name something.
func (o *options) complete(only string) (err error) {
	if o.short {
		o.seeds, o.duration = 1, shortRun
	}
	if s, ok := scenarioOf(faults.Fault(o.mutate)); ok && only == "" {
		o.only = map[string]bool{s.phaseName(): true}
		return nil
	}
	if o.only, err = chosen(only); err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	return nil
}

// one runs one seed, in a directory of its own, beside the results: the system's for temporary files may be
// memory.
func one(ctx context.Context, o *options, seed uint64, results string, say func(string, ...any)) (*result, error) {
	dir, err := os.MkdirTemp(results, fmt.Sprintf("chaos-%d-", seed))
	if err != nil {
		return nil, err
	}
	r := &run{name: fmt.Sprintf("seed %d", seed), seed: seed, duration: o.duration, mutate: o.mutate, dir: dir, say: say}
	res, err := runSeed(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%w (logs are in %s)", err, dir)
	}
	if len(res.Violations) > 0 || res.strange() || o.keep {
		res.Dir = dir
		return res, r.dropData()
	}
	return res, os.RemoveAll(dir)
}
