// Command benchflow measures the operators of package crdt/flow beside a bare Go map and a recomputation from
// scratch, side by side in one run, and ends with a table of bars.
//
//	go run ./integration/benchflow [--short] [--json]
//
// Each operator, and a chain of a filter, a map and a sum by groups, holds 10³ to 10⁶ elements and takes
// changes of one element: a new one comes, later it goes again. Changes are encoded, as hosts pass them from
// operator to operator. Rivals take turns, so that whatever else happens on the machine happens to all of
// them; every figure is the median of the rounds, every ratio the median of the rounds' ratios.
//
// It exits 0 when it could measure, even if a bar is missed, and says so plainly; 1 when it could not; 2
// for flags that it does not know. The bars are written to integration/results/flow.json too.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

var command = report.Command{
	Name:    "benchflow",
	About:   "Measures operators beside a bare map and a recomputation from scratch; some minutes.",
	Results: "flow.json",
	Measure: func(ctx context.Context, short bool, _ string, stderr io.Writer) *report.Report {
		p := fullPlan
		if short {
			p = shortPlan
		}
		return measure(ctx, p, stderr)
	},
}

// plan is how much is measured.
type plan struct {
	sizes   []int // ascending; the bars are of the last, and compare it with the first
	rounds  int
	changes int // of a turn
}

var (
	fullPlan  = plan{[]int{1e3, 1e4, 1e5, 1e6}, 7, 2e4}
	shortPlan = plan{[]int{1e3, 1e4}, 5, 2e3}
)

// measure measures the chain and each operator, and returns what it has found up to an interrupt.
func measure(ctx context.Context, p plan, stderr io.Writer) *report.Report {
	r := &report.Report{Environment: report.Machine()}
	if err := measureAll(ctx, r, p, stderr); err != nil {
		r.Failures = append(r.Failures, fmt.Errorf("not measured: %w", err))
	}
	return r
}

func measureAll(ctx context.Context, r *report.Report, p plan, stderr io.Writer) error {
	found := map[string][]*result{} // by name, then by size
	for _, make := range subjects {
		s := section(make(p.sizes[0]).name)
		r.Sections = append(r.Sections, s)
		for _, n := range p.sizes {
			subject := make(n)
			fmt.Fprintf(stderr, "%s, %d elements\n", subject.name, n)
			res, err := subject.measure(ctx, p)
			if err != nil {
				return fmt.Errorf("%s, %d elements: %w", subject.name, n, err)
			}
			s.Rows = append(s.Rows, res.row(n))
			found[subject.name] = append(found[subject.name], res)
		}
	}
	least, most := p.sizes[0], p.sizes[len(p.sizes)-1]
	ends := func(name string) (small, large *result) { return found[name][0], found[name][len(p.sizes)-1] }
	small, large := ends(chainName)
	r.AtMost(fmt.Sprintf("%s: µs a change, %d elements", chainName, most), large.change.Median(report.Time)/1e3, 3)
	r.Require(fmt.Sprintf("%s: counted work of a change, %d elements / %d", chainName, most, least), large.steps/small.steps, "= 1", large.steps == small.steps)
	r.AtMost(fmt.Sprintf("%s: time of a change / of an insert into a bare map, %d elements / %d", chainName, most, least), large.ratio()/small.ratio(), 2)
	for _, name := range []string{joinName, productName} {
		small, large := ends(name)
		r.Require(fmt.Sprintf("%s: counted work of a change, %d elements / %d", name, most, least), large.steps/small.steps, "= 1", large.steps == small.steps)
		r.AtMost(fmt.Sprintf("%s: counted work for each element that comes in or goes out, %d elements", name, most), large.stepsPerElement, 2)
	}
	return nil
}
