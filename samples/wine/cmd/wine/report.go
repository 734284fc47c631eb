package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// Bars that a run on the real data has to reach; maxOutage holds on any.
const (
	minLift    = 1.7  // hit rate over popularity's
	minNamed   = 0.9  // of the known labels
	minUnknown = 0.8  // of the rest
	maxOutage  = 5.0  // seconds
	manyTries  = 1000 // purchases from which on some of each kind must fail
)

// report is what a run found. With --json it is what is printed.
type report struct {
	OK      bool       `json:"ok"`
	Data    string     `json:"data"`
	Seed    uint64     `json:"seed"`
	Dir     string     `json:"dir,omitempty"` // of the silos' data and logs, if it was kept
	Seconds float64    `json:"seconds"`
	Steps   []stepTime `json:"steps"`
	Checks  []checked  `json:"checks"`

	HitRate    float64        `json:"hit_at_10"`
	Popularity float64        `json:"popularity_at_10"`
	HeldOut    int            `json:"held_out"`
	Photos     photoResult    `json:"photos"`
	Purchases  purchaseCounts `json:"purchases"`
	// InDoubt is how purchases of unknown fate were cleared up.
	InDoubt resolutions `json:"in_doubt"`
	Killed  int         `json:"killed_silo"` // from 1
	// Outage is the longest time without a purchase after the kill, in seconds.
	Outage        float64 `json:"outage_seconds"`
	ReplicasEqual bool    `json:"replicas_equal"`

	bars bool // hit rates and photographs have bars to reach
}

// checked is the outcome of one check.
type checked struct {
	What  string `json:"what"`
	OK    bool   `json:"ok"`
	Wrong string `json:"wrong,omitempty"`
}

// check notes that what holds, if err is nil.
func (r *report) check(what string, err error) {
	c := checked{What: what, OK: err == nil}
	if err != nil {
		c.Wrong = err.Error()
	}
	r.Checks = append(r.Checks, c)
}

// require notes whether what holds.
func (r *report) require(what string, holds bool, format string, args ...any) {
	var err error
	if !holds {
		err = fmt.Errorf(format, args...)
	}
	r.check(what, err)
}

func (r *report) measured(hits, popular walk.Rate) {
	r.HitRate, r.Popularity, r.HeldOut = hits.Value(), popular.Value(), hits.Held
	if r.bars {
		r.require(fmt.Sprintf("hit rate at least %.1f times popularity's", minLift), r.HitRate >= minLift*r.Popularity,
			"%.4f against %.4f", r.HitRate, r.Popularity)
	}
}

func (r *report) photographed(p photoResult) {
	r.Photos = p
	if r.bars {
		r.require(fmt.Sprintf("at least %.0f %% of known labels are named", 100*minNamed), float64(p.Named) >= minNamed*float64(p.Known),
			"%d of %d", p.Named, p.Known)
		r.require(fmt.Sprintf("at least %.0f %% of the rest are answered unknown", 100*minUnknown), float64(p.Unknown) >= minUnknown*float64(p.Others),
			"%d of %d", p.Unknown, p.Others)
	}
}

func (r *report) bought(m *market, died time.Time, victim int) {
	r.Purchases, r.InDoubt, r.Killed, r.Outage = m.counts, m.resolved, victim+1, m.outage(died).Seconds()
	answered := m.counts.Done + m.counts.refused()
	r.require("every purchase is answered", answered == m.total, "%d of %d", answered, m.total)
	r.require(fmt.Sprintf("purchases go on within %.0f s after the kill", maxOutage),
		r.Outage > 0 && r.Outage <= maxOutage, "%.2f s", r.Outage)
	if m.total >= manyTries {
		r.require("some purchases fail for lack of money, some for lack of bottles", m.counts.NoMoney > 0 && m.counts.NoBottle > 0,
			"%d and %d", m.counts.NoMoney, m.counts.NoBottle)
	}
}

func (r *report) ok() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return len(r.Checks) > 0
}

// line is the outcome in one line.
func (r *report) line() string {
	figures := fmt.Sprintf("hit@10=%.4f popularity@10=%.4f photos=%d/%d unknown=%d/%d purchases=%d aborted=%d indoubt-resolved=%d outage=%.2fs replicas-equal=%t",
		r.HitRate, r.Popularity, r.Photos.Named, r.Photos.Known, r.Photos.Unknown, r.Photos.Others,
		r.Purchases.Done, r.Purchases.refused(), r.InDoubt.ByOutcome+r.InDoubt.ByRetry, r.Outage, r.ReplicasEqual)
	if r.ok() {
		return "ok " + figures
	}
	var failed []string
	for _, c := range r.Checks {
		if !c.OK {
			first, _, _ := strings.Cut(c.Wrong, "\n")
			failed = append(failed, c.What+": "+first)
		}
	}
	return "FAILED " + strings.Join(failed, "; ") + " | " + figures
}

func (r *report) print(out io.Writer, asJSON bool) error {
	r.OK = r.ok()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	checks := table.NewWriter()
	checks.SetStyle(table.StyleLight)
	checks.AppendHeader(table.Row{"check", ""})
	for _, c := range r.Checks {
		if c.OK {
			checks.AppendRow(table.Row{c.What, "ok"})
		} else {
			checks.AppendRow(table.Row{c.What, "FAILED"})
		}
	}
	figures := table.NewWriter()
	figures.SetStyle(table.StyleLight)
	figures.AppendHeader(table.Row{"figure", "", ""})
	figures.AppendRows([]table.Row{
		{"hit rate at 10", fmt.Sprintf("%.4f", r.HitRate), fmt.Sprintf("of %d held-out favourites; popularity %.4f", r.HeldOut, r.Popularity)},
		{"labels named", fmt.Sprintf("%d/%d", r.Photos.Named, r.Photos.Known), "of those in the silos' catalogue, disturbed"},
		{"answered unknown", fmt.Sprintf("%d/%d", r.Photos.Unknown, r.Photos.Others), "of the rest, noise, a gradient and text"},
		{"purchases", r.Purchases.Done, fmt.Sprintf("refused: %d no money, %d no bottle", r.Purchases.NoMoney, r.Purchases.NoBottle)},
		{"fate unknown, cleared up", r.InDoubt.ByOutcome + r.InDoubt.ByRetry, fmt.Sprintf("%d by asking, %d by trying again", r.InDoubt.ByOutcome, r.InDoubt.ByRetry)},
		{"outage", fmt.Sprintf("%.2f s", r.Outage), fmt.Sprintf("longest time without a purchase after silo %d was killed", r.Killed)},
		{"total time", fmt.Sprintf("%.1f s", r.Seconds), ""},
	})
	if _, err := fmt.Fprintf(out, "\n%s\n%s\n", checks.Render(), figures.Render()); err != nil {
		return err
	}
	for _, c := range r.Checks {
		if !c.OK {
			fmt.Fprintf(out, "FAILED: %s:\n  %s\n", c.What, strings.ReplaceAll(c.Wrong, "\n", "\n  "))
		}
	}
	if r.Dir != "" {
		fmt.Fprintf(out, "the silos' directories and logs are in %s\n", r.Dir)
	}
	_, err := fmt.Fprintln(out, r.line())
	return err
}
