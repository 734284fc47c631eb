package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/martinelli-go/martinelli/cluster"
)

func printStatus(w io.Writer, r *cluster.Report) {
	health := "healthy"
	if !r.Healthy() {
		health = fmt.Sprintf("not healthy, %d problems", len(r.Problems))
		if len(r.Problems) == 1 {
			health = "not healthy, 1 problem"
		}
	}
	leader := "nobody"
	if r.Leader != "" {
		leader = fmt.Sprintf("%s, term %d", printable(r.Leader), r.Term)
	}
	ledger := "nobody"
	if r.LedgerLeader != "" {
		ledger = printable(r.LedgerLeader)
	}
	fmt.Fprintf(w, "cluster  %s\nhealth   %s\nview     %d\nleader   %s\nledger   %s\n\n", printable(r.Cluster), health, r.View, leader, ledger)
	t := newTable("silo", "state", "answers", "view", "applied", "slots", "version")
	for _, s := range r.Silos {
		row := table.Row{printable(s.Addr), printable(s.State), "yes", s.View, s.Applied, s.Slots, printable(s.Version)}
		if s.Silent != "" {
			row = table.Row{printable(s.Addr), printable(s.State), "no", none, none, s.Slots, none}
		}
		t.AppendRow(row)
	}
	render(w, t)
}

func printMembers(w io.Writer, r *cluster.Report) {
	t := newTable("silo", "state", "since", "log", "incarnation", "labels", "remarks", "store id")
	for _, s := range r.Silos {
		log := s.Log
		if s.Leads {
			log += ", leads"
		}
		if s.LeadsLedger {
			log += ", leads the ledger"
		}
		incarnation, since := none, none
		if s.Since != 0 {
			since = fmt.Sprintf("view %d", s.Since)
		}
		if s.Incarnation != 0 {
			incarnation = strconv.FormatUint(s.Incarnation, 10)
		}
		t.AppendRow(table.Row{printable(s.Addr), printable(s.State), since, printable(log), incarnation, labels(s), remarks(s), printable(string(s.ID))})
	}
	render(w, t)
}

func labels(s cluster.SiloReport) string {
	var all []string
	for _, name := range sorted(s.Labels) {
		all = append(all, printable(name+"="+s.Labels[name]))
	}
	return strings.Join(all, " ")
}

// remarks are what the leader of the log thinks of a silo, and what moves away from it.
func remarks(s cluster.SiloReport) string {
	var all []string
	if x := s.Suspect; x != nil {
		all = append(all, fmt.Sprintf("silent for %.1f s", x.Silent))
		if x.Votes > 0 {
			all = append(all, fmt.Sprintf("not reached by %d", x.Votes))
		}
		if x.Condemned {
			all = append(all, "given no lease")
		}
	}
	if s.Moving > 0 {
		all = append(all, fmt.Sprintf("%d slots are moving away", s.Moving))
	}
	return strings.Join(all, ", ")
}

// printGrains prints a row for each kind and a column for each silo that answered.
func printGrains(w io.Writer, r *cluster.Report) {
	kinds := map[string]int{}
	head := []any{"kind"}
	for _, s := range r.Silos {
		if s.Silent != "" {
			continue
		}
		head = append(head, printable(s.Addr))
		for kind, n := range s.Grains {
			kinds[kind] += n
		}
	}
	t := newTable(append(head, "all")...)
	for _, kind := range sorted(kinds) {
		row := table.Row{printable(kind)}
		for _, s := range r.Silos {
			if s.Silent == "" {
				row = append(row, s.Grains[kind])
			}
		}
		t.AppendRow(append(row, kinds[kind]))
	}
	render(w, t)
}

func printSlots(w io.Writer, r *cluster.Report) {
	held, moving := 0, 0
	share := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(r.Slots, 1))) }
	t := newTable("silo", "state", "held", "share", "moving away")
	for _, s := range r.Silos {
		held += s.Slots
		moving += s.Moving
		t.AppendRow(table.Row{printable(s.Addr), printable(s.State), s.Slots, share(s.Slots), s.Moving})
	}
	if left := r.Slots - held; left != 0 {
		t.AppendRow(table.Row{"nobody", none, left, share(left), none})
	}
	t.AppendFooter(table.Row{"all", "", r.Slots, "", moving})
	render(w, t)
}

// none stands where there is no figure.
const none = "–"

// figures are the columns of numbers.
var figures = []string{"view", "applied", "slots", "share", "incarnation", "held", "moving away"}

func newTable(columns ...any) table.Writer {
	t := table.NewWriter()
	var configs []table.ColumnConfig
	for _, name := range figures {
		configs = append(configs, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignLeft, AlignFooter: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	t.SetStyle(table.StyleLight)
	t.Style().Format = table.FormatOptions{} // addresses and kinds as they are
	t.AppendHeader(columns)
	return t
}

func render(w io.Writer, t table.Writer) { fmt.Fprintln(w, t.Render()) }

// printable is s without what would move a terminal's cursor: names come over the network.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
