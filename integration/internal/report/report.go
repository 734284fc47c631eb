// Package report is how the measurements of this module show what they have found: tables of figures, then
// a table of bars, on a terminal, and the bars as JSON for machines. A command is a Command, whose Measure
// fills a Report.
package report

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

// Bar is a figure that is held against a requirement.
type Bar struct {
	Bar      string  `json:"bar"`
	Value    float64 `json:"value"`
	Required string  `json:"required"`
	OK       bool    `json:"ok"`
}

// None is what is required where nothing is.
const None = "–"

// Row is a row of a table.
type Row = table.Row

// Section is a table of figures, with what must be known to read them.
type Section struct {
	Title   string
	Columns Row
	Rows    []Row
	Notes   []string
}

// Report is what one run has found. The zero Report is empty and ready for use.
type Report struct {
	Environment string
	Sections    []*Section
	Bars        []Bar
	Failures    []error // what could not be measured
}

// Figure adds a bar without a requirement.
func (r *Report) Figure(name string, value float64) { r.Require(name, value, None, true) }

// Require adds a bar that is met or not.
func (r *Report) Require(name string, value float64, required string, ok bool) {
	r.Bars = append(r.Bars, Bar{name, significant(value), required, ok})
}

// AtMost adds a bar that is met by values up to most, before they are rounded.
func (r *Report) AtMost(name string, value, most float64) {
	r.Require(name, value, fmt.Sprintf("<= %v", most), value <= most)
}

// AtLeast adds a bar that is met by values from least on, before they are rounded.
func (r *Report) AtLeast(name string, value, least float64) {
	r.Require(name, value, fmt.Sprintf(">= %v", least), value >= least)
}

// significant rounds to three digits, or to none after the point; what is no number becomes 0.
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

// Print writes the tables; the bars come last.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.Environment)
	for _, s := range r.Sections {
		t := newTable(w, s.Columns)
		t.AppendRows(s.Rows)
		fmt.Fprintf(w, "\n%s\n", s.Title)
		t.Render()
		for _, note := range s.Notes {
			fmt.Fprintln(w, "  "+note)
		}
	}
	t := newTable(w, Row{"bar", "value", "required", "ok"})
	missed, open := 0, 0
	for _, b := range r.Bars {
		ok := "yes"
		if !b.OK {
			ok = "NO"
			missed++
		}
		if b.Required == None {
			open++
		}
		t.AppendRow(Row{b.Bar, Number(b.Value), b.Required, ok})
	}
	fmt.Fprintln(w)
	t.Render()
	switch {
	case len(r.Failures) > 0:
		fmt.Fprintf(w, "sections that could not be measured: %d\n", len(r.Failures))
	case missed > 0:
		fmt.Fprintf(w, "%d of %d bars MISSED\n", missed, len(r.Bars))
	case open > 0:
		fmt.Fprintf(w, "no bar missed (%s: nothing is required yet)\n", None)
	default:
		fmt.Fprintln(w, "no bar missed")
	}
}

// newTable returns a table whose columns, but for the first, stand at the right.
func newTable(w io.Writer, columns Row) table.Writer {
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

// Document is the form of the bars for machines.
func (r *Report) Document() []byte {
	rows := r.Bars
	if rows == nil {
		rows = []Bar{}
	}
	b, err := json.MarshalIndent(struct {
		Rows []Bar `json:"rows"`
	}{rows}, "", "  ")
	if err != nil {
		panic(err) // strings, booleans and finite numbers are encodable
	}
	return append(b, '\n')
}

// PrintJSON writes the document.
func (r *Report) PrintJSON(w io.Writer) { w.Write(r.Document()) }

// Write puts the document into a file.
func (r *Report) Write(file string) error { return os.WriteFile(file, r.Document(), 0o644) }
