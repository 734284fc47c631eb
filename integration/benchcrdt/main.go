// Command benchcrdt measures the add-wins set of package crdt beside a bare Go map and a naive full-state
// join, side by side in one run, and ends with a table of bars.
//
//	go run ./integration/benchcrdt [--short] [--json]
//
// Two kinds of elements, numbers and strings of 16 bytes, in 10³ to 10⁷ elements. Rivals take turns, so that
// whatever else happens on the machine happens to all of them; every figure is the median of the rounds,
// every ratio the median of the rounds' ratios. But the naive join is measured after the others, and its ratio
// is one of medians. Nothing is made in its final size, and the garbage collector
// is on:
//
//	add     from empty to n: each element added and its delta made, beside an insert into a map[K]uint64
//	memory  what n elements hold, index by dot included, beside a map[K]struct{}
//	join    ten new elements of another replica joined into n, beside ten inserts into a map[K]uint64 of n,
//	        and beside the join of a naive set's full states
//
// It exits 0 when it could measure, even if a bar is missed, and says so plainly; 1 when it could not; 2
// for flags that it does not know. The bars are written to integration/results/crdt.json too.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

var command = report.Command{
	Name:    "benchcrdt",
	About:   "Measures the add-wins set beside a bare map and a naive join; some minutes, 5 GB.",
	Results: "crdt.json",
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
	sizes  []int // ascending; joins are compared between the first and the last
	bar    int   // the size at which adds are held against their bar
	rounds func(n int) int
	adds   int // of a turn, in as many sets as that takes; one set where it is larger
	joins  int // of a turn
}

var (
	fullPlan = plan{
		sizes: []int{1e3, 1e4, 1e5, 1e6, 1e7},
		bar:   1e6,
		rounds: func(n int) int {
			if n > 1e6 {
				return 3
			}
			return 7
		},
		adds:  1e6,
		joins: 2e4,
	}
	shortPlan = plan{
		sizes:  []int{1e3, 1e4, 1e5},
		bar:    1e5,
		rounds: func(int) int { return 5 },
		adds:   2e5,
		joins:  2e3,
	}
)

// measure measures each kind of elements, and returns what it has found up to an interrupt.
func measure(ctx context.Context, p plan, stderr io.Writer) *report.Report {
	r := &report.Report{Environment: report.Machine()}
	err := measureKind(ctx, r, p, stderr, "uint64", number)
	if err == nil {
		err = measureKind(ctx, r, p, stderr, "string", text)
	}
	if err != nil {
		r.Failures = append(r.Failures, fmt.Errorf("not measured: %w", err))
	}
	return r
}

func measureKind[K comparable](ctx context.Context, r *report.Report, p plan, stderr io.Writer, kind string, key func(uint64) K) error {
	adds, joins := addSection(kind), joinSection(kind)
	r.Sections = append(r.Sections, adds, joins)
	var memory []float64
	var joined []join
	for _, n := range p.sizes {
		keys := make([]K, n+max(n/10, p.joins*novelty))
		for i := range keys {
			keys[i] = key(uint64(i))
		}
		done := progress(stderr, "%s: add %d elements", kind, n)
		a, err := measureAdd(ctx, keys[:n], p.rounds(n), max(1, p.adds/n))
		if err != nil {
			return err
		}
		adds.Rows = append(adds.Rows, a.row(n))
		memory = append(memory, a.more())
		done("%s, %s of a map insert", report.Nanos(a.set.Median(report.Time)), report.Number(a.ratio(report.Time)))
		if n == p.bar {
			r.AtMost(fmt.Sprintf("%s: add and its delta / insert into a bare map, %d elements", kind, n), a.ratio(report.Time), 2.5)
			r.AtMost(fmt.Sprintf("%s: memory beyond map[K]struct{}, bytes an element, %d elements", kind, n), a.more(), 48)
		}
		done = progress(stderr, "%s: join ten into %d elements", kind, n)
		j, err := measureJoin(ctx, keys[:n], keys[n:], p.rounds(n), p.joins)
		if err != nil {
			return err
		}
		joins.Rows = append(joins.Rows, j.row(n))
		joined = append(joined, j)
		done("%s, %s of ten map inserts", report.Nanos(j.set.Median(report.Time)), report.Number(j.ratio()))
	}
	least, most := p.sizes[0], p.sizes[len(p.sizes)-1]
	r.AtMost(fmt.Sprintf("%s: memory beyond map[K]struct{}, bytes an element, the most at any size", kind), maximum(memory), 48)
	small, large := &joined[0], &joined[len(joined)-1]
	r.Require(fmt.Sprintf("%s: counted work of joining ten, %d elements / %d", kind, most, least), large.steps/small.steps, "= 1", large.steps == small.steps)
	// The bar is that a join costs no more of a larger set, but for the caches, which are the map's as much: the
	// quotient may not grow. That it falls is shown beside it; a join makes a novelty at any size, which weighs
	// less where every insert, the map's too, waits for memory.
	r.AtMost(fmt.Sprintf("%s: time of joining ten / of ten inserts, %d elements / %d", kind, most, least), large.ratio()/small.ratio(), 2)
	r.Figure(fmt.Sprintf("%s: the same, %d elements / %d", kind, least, most), small.ratio()/large.ratio())
	return nil
}

// progress says what begins, and by what it returns what came of it and how long that took.
func progress(w io.Writer, format string, args ...any) (done func(format string, args ...any)) {
	started := time.Now()
	fmt.Fprintf(w, format+" … ", args...)
	return func(format string, args ...any) {
		fmt.Fprintf(w, format+" (%.1f s)\n", append(args, time.Since(started).Seconds())...)
	}
}

func maximum(values []float64) float64 {
	most := values[0]
	for _, v := range values[1:] {
		most = max(most, v)
	}
	return most
}

// number is the i-th element of the kind uint64; all differ.
func number(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 }

// text is the i-th element of the kind string: 16 bytes.
func text(i uint64) string {
	var b [8]byte
	for at, n := 0, number(i); at < len(b); at, n = at+1, n>>8 {
		b[at] = byte(n)
	}
	return hex.EncodeToString(b[:])
}
