package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// bar is a figure that is held against a requirement.
type bar struct {
	Bar      string  `json:"bar"`
	Value    float64 `json:"value"`
	Required string  `json:"required"`
	OK       bool    `json:"ok"`
}

// none is what is required where nothing is.
const none = "–"

// report is what all seeds have shown.
type report struct {
	options  options
	results  []*result
	failures []error // why it could not run
	bars     []bar
}

// What is required of a minute; shorter and longer runs are held against their part of it.
const (
	checkedPerMinute  = 20_000
	leastGoodput      = 0.5
	takeoverShare     = 0.99
	takeoverAtMost    = 5 * time.Second
	eachKindEachCycle = 1
)

func (r *report) require(name string, value float64, required string, ok bool) {
	r.bars = append(r.bars, bar{name, significant(value), required, ok})
}

func (r *report) figure(name string, value float64) { r.require(name, value, none, true) }

// sum holds the results against what is required.
func (r *report) sum() {
	for _, c := range checks {
		n := 0
		for _, res := range r.results {
			for _, v := range res.Violations {
				if v.Check == c {
					n++
				}
			}
		}
		r.require(string(c)+": violations", float64(n), "0", n == 0)
	}
	r.sumOperations()
	r.sumFaults()
	r.sumGoodput()
	r.sumTakeover()
}

func (r *report) sumOperations() {
	need := math.Floor(checkedPerMinute * r.options.duration.Minutes())
	least := math.Inf(1)
	all := 0
	for _, res := range r.results {
		least = min(least, float64(res.Checked))
		all += res.Checked
	}
	r.require("successful checked operations, the least of a seed", least, fmt.Sprintf("≥ %.0f", need), len(r.results) > 0 && least >= need)
	r.figure("successful checked operations", float64(all))
}

// sumFaults wants every kind of fault once for each seed.
func (r *report) sumFaults() {
	for _, k := range kinds {
		n := 0
		for _, res := range r.results {
			n += res.Faults[k]
		}
		r.require(fmt.Sprintf("faults: %s", k), float64(n), fmt.Sprintf("≥ %d", len(r.results)), n >= len(r.results))
	}
}

func (r *report) sumGoodput() {
	worst, windows := math.Inf(1), 0
	for _, res := range r.results {
		if res.Goodput.Windows > 0 {
			worst = min(worst, res.Goodput.Worst)
			windows += res.Goodput.Windows
		}
	}
	r.require("goodput of the worst window of 5 s, beside the quiet one's", worst, fmt.Sprintf("≥ %v", leastGoodput), windows > 0 && worst >= leastGoodput)
	r.figure("windows of goodput", float64(windows))
}

func (r *report) sumTakeover() {
	for _, who := range []string{"silo", "leader"} {
		var took []time.Duration
		for _, res := range r.results {
			took = append(took, res.Takeover[who]...)
		}
		slices.Sort(took)
		name := "killed " + who + ": "
		at := func(share float64) float64 { return quantile(took, share).Seconds() }
		r.require(name+"99 % of its grains answer elsewhere within, s", at(takeoverShare), fmt.Sprintf("≤ %.0f", takeoverAtMost.Seconds()),
			len(took) > 0 && at(takeoverShare) <= takeoverAtMost.Seconds())
		r.figure(name+"grains that were looked for", float64(len(took)))
		r.figure(name+"half of its grains, s", at(0.5))
		r.figure(name+"90 % of its grains, s", at(0.9))
		r.figure(name+"all of its grains, s", at(1))
	}
}

// quantile is what a share of the sorted durations does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(int(math.Ceil(share*float64(len(sorted))))-1, len(sorted)-1))]
}

// significant rounds to three digits, or to none after the point.
func significant(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	if math.Abs(v) >= 100 {
		return math.Round(v)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // what was just formatted parses
	return v
}

// shownViolations is how many of a seed are printed; the rest is in its files.
const shownViolations = 8

// print writes what each seed has shown, then the bars.
func (r *report) print(w io.Writer) {
	t := newTable(w, table.Row{"seed", "operations", "ok", "refused", "unknown", "faults", "goodput", "takeover 99 %", "slowest", "violations"})
	for _, res := range r.results {
		n := 0
		for _, k := range kinds {
			n += res.Faults[k]
		}
		took := slices.SortedFunc(slices.Values(slices.Concat(res.Takeover["silo"], res.Takeover["leader"])), cmp.Compare[time.Duration])
		t.AppendRow(table.Row{
			res.Seed, res.Operations, res.Checked, res.Outcomes[refused], res.Outcomes[unknown], n, fmt.Sprintf("%.2f × %.0f/s", res.Goodput.Worst, res.Goodput.Quiet),
			quantile(took, takeoverShare).Round(time.Millisecond), res.Slowest.Round(time.Millisecond), len(res.Violations),
		})
	}
	fmt.Fprintln(w)
	t.Render()
	for _, res := range r.results {
		for _, m := range res.Missed {
			fmt.Fprintf(w, "seed %d: a fault could not be made: %s\n", res.Seed, m)
		}
		for i, v := range res.Violations {
			if i == shownViolations {
				fmt.Fprintf(w, "seed %d: and %d more\n", res.Seed, len(res.Violations)-i)
				break
			}
			fmt.Fprintf(w, "seed %d: VIOLATION: %s:\n  %s\n", res.Seed, v.Check, v.Detail)
		}
		if len(res.Violations) > 0 {
			fmt.Fprintf(w, "seed %d: histories, journals and logs are in %s; once more: %s\n", res.Seed, res.Dir, r.again(res.Seed))
		}
	}
	t = newTable(w, table.Row{"bar", "value", "required", "ok"})
	missed := 0
	for _, b := range r.bars {
		ok := "yes"
		if !b.OK {
			ok = "NO"
			missed++
		}
		t.AppendRow(table.Row{b.Bar, strconv.FormatFloat(b.Value, 'f', -1, 64), b.Required, ok})
	}
	fmt.Fprintln(w)
	t.Render()
	switch {
	case len(r.failures) > 0:
		fmt.Fprintf(w, "%d of %d seeds could be run\n", len(r.results), r.options.seeds)
	case missed > 0:
		fmt.Fprintf(w, "%d of %d bars MISSED\n", missed, len(r.bars))
	default:
		fmt.Fprintln(w, "no bar missed")
	}
	if r.options.fault != "" {
		fmt.Fprintf(w, "The silos ran without a safety check: %s.\n", r.options.fault)
	}
}

// again is the command that runs a seed again.
func (r *report) again(seed uint64) string {
	parts := []string{"go run ./integration/chaos", "--seed", strconv.FormatUint(seed, 10), "--duration", r.options.duration.String()}
	if r.options.fault != "" {
		parts = append(parts, "--fault", r.options.fault)
	}
	return strings.Join(parts, " ")
}

// newTable returns a table whose columns, but for the first, stand at the right.
func newTable(w io.Writer, columns table.Row) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(columns)
	var configs []table.ColumnConfig
	for i := 2; i <= len(columns); i++ {
		configs = append(configs, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	return t
}

// document is the form of the rows for machines.
func (r *report) document() []byte {
	b, err := json.MarshalIndent(struct {
		Rows []bar `json:"rows"`
	}{r.bars}, "", "  ")
	if err != nil {
		panic(err) // strings, booleans and finite numbers are encodable
	}
	return append(b, '\n')
}

func (r *report) printJSON(w io.Writer) { _, _ = w.Write(r.document()) }

func (r *report) write(file string) error { return os.WriteFile(file, r.document(), 0o644) }
