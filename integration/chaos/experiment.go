package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// phase is a part of the program that --only names.
type phase struct {
	name  string
	about string
	bound time.Duration // that it may take
	do    func(context.Context, *experiment) error
}

// random is the phase of the seeds, which --seed, --seeds and --duration are about.
const random = "seeds"

// phases are the experiments beside the seeds, in the order in which they run.
var phases = []phase{
	{"kill", "SIGKILL of silos, the leader of the log among them: when do their grains answer elsewhere", 5 * time.Minute, killing},
	{"drain", "SIGTERM of silos: no call fails, and none is slow", 5 * time.Minute, draining},
	{"rolling", "a restart of all, one after the other: no call fails that is made again where that is safe", 5 * time.Minute, rolling},
	{"join", "a fourth silo comes to 100,000 active grains: when do those that move answer there", 6 * time.Minute, joining},
	{"cut", "one silo is cut off: it stops serving grains, and goes on with variables", 5 * time.Minute, cutting},
	{"placement", "how evenly keys are dealt out, and how few move, counted", time.Minute, placed},
}

// names lists all phases.
func names() []string {
	all := []string{random}
	for _, p := range phases {
		all = append(all, p.name)
	}
	return all
}

// chosen reads --only: all, where it is empty.
func chosen(only string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, name := range names() {
		known[name] = true
	}
	if only == "" {
		return known, nil
	}
	want := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		if !known[name] {
			return nil, fmt.Errorf("no phase %q: there are %s", name, strings.Join(names(), ", "))
		}
		want[name] = true
	}
	return want, nil
}

// experiment is one phase while it runs.
type experiment struct {
	phase
	seed    uint64
	short   bool
	mutate  string
	results string // the directory under which runs have theirs
	report  *report.Report
	say     func(format string, args ...any)

	dirs []string // of its runs
}

// perform does the phase, in bounded time. What its runs have left is kept where a bar is missed, or where it
// is wanted.
func (e *experiment) perform(ctx context.Context, keep bool) error {
	e.say("%s: %s", e.name, e.about)
	ctx, cancel := context.WithTimeoutCause(ctx, e.bound, fmt.Errorf("it has taken %v, which is its limit", e.bound))
	defer cancel()
	before := len(e.report.Bars)
	err := e.do(ctx, e)
	for _, b := range e.report.Bars[before:] {
		keep = keep || !b.OK
	}
	if keep || err != nil {
		if len(e.dirs) > 0 {
			e.report.Sections = append(e.report.Sections, &report.Section{
				Title: e.name + ": histories, journals and logs", Columns: report.Row{"kept in"}, Rows: rowsOf(e.dirs),
				Notes: []string{"once more: go run ./integration/chaos --only " + e.name},
			})
		}
		return err
	}
	for _, dir := range e.dirs {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func rowsOf(lines []string) (rows []report.Row) {
	for _, line := range lines {
		rows = append(rows, report.Row{line})
	}
	return rows
}

// runs is what the run of an experiment has shown beyond what the experiment looks for. Experiments embed it.
type runs struct {
	result *result // nil: it could not be done
}

// run does a script with silos that r says how many there are of, and checks.
func (k *runs) run(ctx context.Context, e *experiment, r *run, script func(*run) func(context.Context) error) error {
	dir, err := os.MkdirTemp(e.results, "chaos-"+e.name+"-")
	if err != nil {
		return err
	}
	e.dirs = append(e.dirs, dir)
	r.name, r.seed, r.mutate, r.dir, r.say = e.name, e.seed, e.mutate, dir, e.say
	k.result, err = r.perform(ctx, script(r))
	return errors.Join(err, r.dropData())
}

// dropData removes what silos have stored. It is large, and histories, journals and logs tell more.
func (r *run) dropData() (err error) {
	for _, s := range r.silos {
		err = errors.Join(err, os.RemoveAll(filepath.Join(r.dir, fmt.Sprintf("silo-%d", s.number))))
	}
	return err
}

// sum adds the bar of violations.
func (k *runs) sum(r *report.Report, name string) {
	n := 0
	if k.result != nil {
		n = len(k.result.Violations)
	}
	r.Require(name+": violations of any check", float64(n), "0", k.result != nil && n == 0)
	if n == 0 {
		return
	}
	s := &report.Section{Title: name + ": violations", Columns: report.Row{"violations"}, Rows: []report.Row{{n}}}
	for i, v := range k.result.Violations {
		if i == shownViolations {
			s.Notes = append(s.Notes, fmt.Sprintf("and %d more", n-i))
			break
		}
		s.Notes = append(s.Notes, fmt.Sprintf("VIOLATION: %s:\n    %s", v.Check, v.Detail))
	}
	r.Sections = append(r.Sections, s)
}
