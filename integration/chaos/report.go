package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// What is required of a minute; shorter and longer runs are held against their part of it.
const (
	checkedPerMinute = 20_000
	leastGoodput     = 0.5
	takeoverShare    = 0.99
	takeoverAtMost   = 5 * time.Second
)

// newReport is a report of nothing yet.
func newReport(o *options) *report.Report {
	r := &report.Report{
		Environment: fmt.Sprintf("%s; %d silo processes, %d callers of %d clients; seeds from %d on, %v each", report.Machine(), silos, clients*callersPerClient, clients, o.seed, o.duration),
	}
	if o.mutate != "" {
		r.Environment += "; WITHOUT A SAFETY CHECK: " + o.mutate
	}
	return r
}

// sumSeeds holds what all seeds have shown against what is required.
func sumSeeds(r *report.Report, o *options, results []*result) {
	r.Sections = append(r.Sections, seedsOf(o, results))
	sumViolations(r, results)
	sumOperations(r, o, results)
	sumFaults(r, o, results)
	sumGoodput(r, results)
	sumTakeover(r, o, results)
}

// shownViolations is how many of a seed are printed; the rest is in its files.
const shownViolations = 8

// seedsOf lists what each seed has shown.
func seedsOf(o *options, results []*result) *report.Section {
	s := &report.Section{
		Title:   "seeds: what was made, answered and found",
		Columns: report.Row{"seed", "operations", "ok", "refused", "unknown", "faults", "quiet/s", "goodput", "takeover 99 %", "slowest", "stalled", "violations"},
	}
	s.Notes = append(s.Notes, "Goodput is that of the worst 5 s away from faults, beside the quiet one; stalled is how long the machine did not let the clients' process run.")
	for _, res := range results {
		faults := 0
		for _, n := range res.Faults {
			faults += n
		}
		took := slices.SortedFunc(slices.Values(slices.Concat(res.Takeover["silo"], res.Takeover["leader"])), cmp.Compare[time.Duration])
		s.Rows = append(s.Rows, report.Row{
			res.Seed, res.Operations, res.Checked, res.Outcomes[refused], res.Outcomes[unknown], faults,
			report.Number(res.Goodput.Quiet), report.Number(res.Goodput.Worst), quantile(took, takeoverShare).Round(time.Millisecond),
			res.Slowest.Round(time.Millisecond), res.Stalled.Round(time.Millisecond), len(res.Violations),
		})
		for _, m := range res.Missed {
			s.Notes = append(s.Notes, fmt.Sprintf("seed %d: a fault could not be made: %s", res.Seed, m))
		}
		for i, v := range res.Violations {
			if i == shownViolations {
				s.Notes = append(s.Notes, fmt.Sprintf("seed %d: and %d more", res.Seed, len(res.Violations)-i))
				break
			}
			s.Notes = append(s.Notes, fmt.Sprintf("seed %d: VIOLATION: %s:\n    %s", res.Seed, v.Check, v.Detail))
		}
		if len(res.Violations) > 0 || res.Dir != "" {
			s.Notes = append(s.Notes, fmt.Sprintf("seed %d: histories, journals and logs are in %s; once more: %s", res.Seed, res.Dir, again(o, res.Seed)))
		}
	}
	return s
}

// again is the command that runs a seed again.
func again(o *options, seed uint64) string {
	parts := []string{"go run ./integration/chaos", "--only", random, "--seed", strconv.FormatUint(seed, 10), "--duration", o.duration.String()}
	if o.mutate != "" {
		parts = append(parts, "--mutate", o.mutate)
	}
	return strings.Join(parts, " ")
}

func sumViolations(r *report.Report, results []*result) {
	for _, c := range checks {
		n := 0
		for _, res := range results {
			for _, v := range res.Violations {
				if v.Check == c {
					n++
				}
			}
		}
		r.Require("violations: "+string(c), float64(n), "0", n == 0 && len(results) > 0)
	}
}

func sumOperations(r *report.Report, o *options, results []*result) {
	need := math.Floor(checkedPerMinute * o.duration.Minutes())
	least, all := math.Inf(1), 0
	for _, res := range results {
		least = min(least, float64(res.Checked))
		all += res.Checked
	}
	r.Require("successful checked operations, the least of a seed", least, fmt.Sprintf(">= %.0f", need), len(results) > 0 && least >= need)
	r.Figure("successful checked operations", float64(all))
}

// whole: a seed is long enough for every kind of fault.
func (o *options) whole() bool { return o.duration >= time.Minute }

// sumFaults wants every kind of fault once for each seed, and in each a pause in the middle of a turn that is
// longer than a lease.
func sumFaults(r *report.Report, o *options, results []*result) {
	paused := 0
	for _, k := range kinds {
		n := 0
		for _, res := range results {
			n += res.Faults[k]
			if k == pausedTurn && res.Faults[k] > 0 {
				paused++
			}
		}
		if !o.whole() {
			r.Figure("faults: "+string(k), float64(n))
			continue
		}
		r.Require("faults: "+string(k), float64(n), fmt.Sprintf(">= %d", max(1, len(results))), n >= max(1, len(results)))
	}
	r.Require("seeds with a pause in the middle of a turn for longer than a lease", float64(paused), fmt.Sprintf(">= %d", max(1, len(results))), paused >= max(1, len(results)))
}

func sumGoodput(r *report.Report, results []*result) {
	worst, windows, all := math.Inf(1), 0, len(results) > 0
	for _, res := range results {
		all = all && res.Goodput.Windows > 0
		windows += res.Goodput.Windows
		if res.Goodput.Windows > 0 {
			worst = min(worst, res.Goodput.Worst)
		}
	}
	r.Require("goodput of the worst 5 s, beside the quiet one", worst, fmt.Sprintf(">= %v", leastGoodput), all && worst >= leastGoodput)
	r.Figure("windows of goodput", float64(windows))
}

func sumTakeover(r *report.Report, o *options, results []*result) {
	for _, who := range []string{"silo", "leader"} {
		var took []time.Duration
		for _, res := range results {
			took = append(took, res.Takeover[who]...)
		}
		if o.whole() || len(took) > 0 {
			requireTakeover(r, "killed "+who+", among other faults", took)
		}
	}
}

// quantile is what a share of the sorted durations does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(int(math.Ceil(share*float64(len(sorted))))-1, len(sorted)-1))]
}
