package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func TestFlagsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--bogus"}, {"now"}, {"--seeds", "0"}, {"--only", "seeds,nothing"}, {"--duration", "1s"}, {"--mutate", "everything"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, report.ExitUsage, execute(context.Background(), args, nil, &stdout, &stderr), "%v", args)
		require.Empty(t, stdout.String())
		require.NotEmpty(t, stderr.String())
	}
}

// good is a result that misses nothing.
func good() *result {
	res := &result{
		Seed: 7, Operations: 30_000, Checked: 29_000, Faults: map[kind]int{}, Goodput: goodput{Quiet: 500, Windows: 2, Worst: 0.9},
		Takeover: map[string][]time.Duration{"silo": {time.Second}, "leader": {2 * time.Second}},
	}
	for _, k := range kinds {
		res.Faults[k] = 1
	}
	return res
}

func TestBarsThatAreMissedAreSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*result)
		ok    bool
	}{
		{"nothing", func(*result) {}, true},
		{"a violation", func(r *result) { r.Violations = []violation{found(checkLinear, "by hand")} }, false},
		{"everything is refused", func(r *result) { r.Checked = 19_999 }, false},
		{"a kind of fault did not happen", func(r *result) { r.Faults[cutOne] = 0 }, false},
		{"goodput does not come back", func(r *result) { r.Goodput.Worst = 0.49 }, false},
		{"goodput was not measured", func(r *result) { r.Goodput = goodput{} }, false},
		{"grains are away for long", func(r *result) { r.Takeover["leader"] = []time.Duration{time.Second, 6 * time.Second} }, false},
		{"no takeover was measured", func(r *result) { r.Takeover = nil }, false},
	} {
		res := good()
		c.spoil(res)
		o := &options{seed: 7, seeds: 1, duration: time.Minute}
		r := newReport(o)
		sumSeeds(r, o, []*result{res})
		ok := true
		for _, b := range r.Bars {
			ok = ok && b.OK
		}
		require.Equal(t, c.ok, ok, c.name)
		var out bytes.Buffer
		r.Print(&out)
		if c.ok {
			require.Contains(t, out.String(), "no bar missed")
			continue
		}
		require.Contains(t, out.String(), "MISSED", c.name)
		if len(res.Violations) > 0 {
			require.Contains(t, out.String(), "--seed 7", "a violation comes with its seed")
		}
	}
}

func TestNothingIsShownByNothing(t *testing.T) {
	t.Parallel()
	r, o := &report.Report{}, &options{duration: time.Minute}
	sumSeeds(r, o, nil)
	(&takeovers{}).sum(r)
	(&drains{}).sum(r)
	(&rolls{}).sum(r)
	(&joins{}).sum(r, false)
	(&cuts{}).sum(r)
	for _, b := range r.Bars {
		require.Equal(t, b.Required == report.None, b.OK, b.Bar)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	require.Zero(t, quantile(all, 0.99))
	for i := range 200 {
		all = append(all, time.Duration(i+1))
	}
	require.EqualValues(t, 198, quantile(all, 0.99))
	require.EqualValues(t, 200, quantile(all, 1))
	require.EqualValues(t, 100, quantile(all, 0.5))
}

func TestHistoriesAreWritten(t *testing.T) {
	t.Parallel()
	h := newHistory()
	o := &operation{Kind: register.Write, Key: "r"}
	h.begin(o, time.Second)
	h.end(o, register.Seen{Value: 1, Seq: 1}, nil)
	late := &operation{Kind: addToSet, Key: "v"}
	h.begin(late, time.Second)
	ops := h.close()
	require.Len(t, ops, 2)
	require.Equal(t, unanswered, ops[1].Outcome)
	require.EqualValues(t, ops[1].ID, ops[1].Item)
	file := filepath.Join(t.TempDir(), "history.jsonl")
	require.NoError(t, writeHistory(file, ops))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	require.Len(t, lines, 2)
	var read operation
	require.NoError(t, json.Unmarshal(lines[0], &read))
	require.Equal(t, *ops[0], read)
}

// Of a seed in which something was strange, it is said where its files are, without a violation too.
func TestStrangeSeedsSayWhereTheirFilesAre(t *testing.T) {
	t.Parallel()
	require.False(t, (&result{Takeover: map[string][]time.Duration{"silo": {takeoverAtMost}}}).strange())
	require.True(t, (&result{Missed: []string{"no turn began"}}).strange())
	slow := &result{Takeover: map[string][]time.Duration{"silo": {time.Second}, "leader": {takeoverAtMost + 1}}, Dir: "over-there"}
	require.True(t, slow.strange())
	notes := strings.Join(seedsOf(&options{}, []*result{slow}).Notes, "\n")
	require.Contains(t, notes, "over-there")
}
