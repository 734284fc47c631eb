package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

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

// none is what is required where nothing is yet.
const none = "–"

// section is a table of figures, with what must be known to read them.
type section struct {
	title   string
	columns table.Row
	rows    []table.Row
	notes   []string
}

// report is what one run has found.
type report struct {
	environment string
	sections    []*section
	bars        []bar
	failures    []error // what could not be measured
}

// figure adds a bar without a requirement.
func (r *report) figure(name string, value float64) {
	r.bars = append(r.bars, bar{name, significant(value), none, true})
}

// require adds a bar that is met or not.
func (r *report) require(name string, value float64, required string, ok bool) {
	r.bars = append(r.bars, bar{name, significant(value), required, ok})
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

// number prints a figure with three digits, and at least all before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// nanos prints a time in nanoseconds with three digits and a fitting unit.
func nanos(d float64) string {
	switch {
	case d < 1e4:
		return number(d) + " ns"
	case d < 1e7:
		return number(d/1e3) + " µs"
	default:
		return number(d/1e6) + " ms"
	}
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// print writes the tables; the bars come last.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.environment)
	for _, s := range r.sections {
		t := newTable(w, s.columns)
		t.AppendRows(s.rows)
		fmt.Fprintf(w, "\n%s\n", s.title)
		t.Render()
		for _, note := range s.notes {
			fmt.Fprintln(w, "  "+note)
		}
	}
	t := newTable(w, table.Row{"bar", "value", "required", "ok"})
	missed := 0
	for _, b := range r.bars {
		ok := "yes"
		if !b.OK {
			ok = "NO"
			missed++
		}
		t.AppendRow(table.Row{b.Bar, number(b.Value), b.Required, ok})
	}
	fmt.Fprintln(w)
	t.Render()
	switch {
	case len(r.failures) > 0:
		fmt.Fprintf(w, "%d of 3 sections could not be measured\n", len(r.failures))
	case missed > 0:
		fmt.Fprintf(w, "%d of %d bars MISSED\n", missed, len(r.bars))
	default:
		fmt.Fprintf(w, "no bar missed (%s: nothing is required yet)\n", none)
	}
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
	rows := r.bars
	if rows == nil {
		rows = []bar{}
	}
	b, err := json.MarshalIndent(struct {
		Rows []bar `json:"rows"`
	}{rows}, "", "  ")
	if err != nil {
		panic(err) // strings, booleans and finite numbers are encodable
	}
	return append(b, '\n')
}

func (r *report) printJSON(w io.Writer) { w.Write(r.document()) }

func (r *report) write(file string) error { return os.WriteFile(file, r.document(), 0o644) }
