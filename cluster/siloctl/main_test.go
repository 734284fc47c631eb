package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/integration/bank"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed into testdata")

// healthy and broken are clusters of three silos.
var healthy = cluster.Report{
	Cluster: "7f3a", View: 12, Leader: "10.0.0.2:7000", Term: 4, LedgerLeader: "10.0.0.1:7000", Slots: 4096, Problems: []string{},
	Silos: []cluster.SiloReport{
		{ID: "s1", Addr: "10.0.0.1:7000", Incarnation: 1763771000000000001, State: "active", Since: 3, Log: "voter", Labels: map[string]string{"zone": "a", "rack": "7"}, Slots: 1366, Version: "v0.1.0", View: 12, Term: 4, Applied: 90, LeadsLedger: true, LedgerTerm: 6, Grains: map[string]int{"wine.User": 10, "wine.Cellar": 3}},
		{ID: "s2", Addr: "10.0.0.2:7000", Incarnation: 1763771000000000002, State: "active", Since: 4, Log: "voter", Slots: 1365, Version: "v0.1.0", View: 12, Leads: true, Term: 4, Applied: 91, Grains: map[string]int{"wine.User": 12}},
		{ID: "s3", Addr: "10.0.0.3:7000", Incarnation: 1763771000000000003, State: "active", Since: 5, Log: "non-voter", Slots: 1365, Moving: 12, Version: "v0.1.0", View: 12, Term: 4, Applied: 91},
	},
}

var broken = cluster.Report{
	Cluster: "7f3a", View: 12, Slots: 4096, Problems: []string{"silo 10.0.0.2:7000 does not answer: \x1b[31mtimeout", "no silo leads the log: nothing is decided until one does"},
	Silos: []cluster.SiloReport{
		{ID: "s1", Addr: "10.0.0.1:7000", Incarnation: 1, State: "active", Since: 3, Log: "voter", Labels: map[string]string{"z\x1bone": "\n"}, Slots: 1366, Moving: 1366, Version: "v0.1.0", View: 12, Term: 4, Applied: 90, Grains: map[string]int{"wine.User": 10, "wine.\x1bCellar": 3}},
		{ID: "s2", Addr: "10.0.0.2:7000", Incarnation: 2, State: "active", Since: 4, Log: "voter", Slots: 1365, Silent: "timeout", Suspect: &cluster.Suspicion{Votes: 2, Silent: 1.84, Condemned: true}},
		{ID: "s3", Addr: "10.0.0.3:7000", State: "dead", Since: 11, Log: "voter", Silent: "refused"},
		{ID: "s4", Addr: "10.0.0.4:7000", State: "absent", Log: "non-voter", Silent: "refused"},
	},
}

// ran is what a run of the command did.
type ran struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, inspect func(context.Context, cluster.Config, cluster.Inspection) (*cluster.Report, error), args ...string) ran {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, inspect: inspect, getenv: func(string) string { return "" }}
	return ran{p.run(ctx, args), out.String(), errs.String()}
}

func is(r cluster.Report) func(context.Context, cluster.Config, cluster.Inspection) (*cluster.Report, error) {
	return func(context.Context, cluster.Config, cluster.Inspection) (*cluster.Report, error) { return &r, nil }
}

// What is printed is what testdata holds; go test -rewrite writes that anew.
func TestOutput(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]cluster.Report{"healthy": healthy, "broken": broken} {
		code := map[bool]int{true: exitHealthy, false: exitUnhealthy}[r.Healthy()]
		for _, args := range [][]string{{"status"}, {"members"}, {"grains"}, {"slots"}, {"status", "--json"}} {
			got := run(t, is(r), append(args, "--silos", "a:1")...)
			require.Equal(t, code, got.code)
			text := got.stdout + "--- standard error\n" + got.stderr
			require.NotContains(t, text, "\x1b")
			golden(t, name+"-"+strings.ReplaceAll(strings.Join(args, ""), "--", "-"), text)
		}
	}
	golden(t, "help", run(t, nil, "--help").stdout)
	golden(t, "help-status", run(t, nil, "status", "--help").stdout)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, name)
}

// The document can be read back without loss, whichever command printed it.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, r := range []cluster.Report{healthy, broken} {
		for _, c := range commands {
			got := run(t, is(r), c.name, "-json", "-silos=a:1")
			d := json.NewDecoder(strings.NewReader(got.stdout))
			d.DisallowUnknownFields()
			var back cluster.Report
			require.NoError(t, d.Decode(&back))
			require.Equal(t, r, back)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	var asked cluster.Config
	var what cluster.Inspection
	fails := func(err error) func(context.Context, cluster.Config, cluster.Inspection) (*cluster.Report, error) {
		return func(_ context.Context, c cluster.Config, w cluster.Inspection) (*cluster.Report, error) {
			asked, what = c, w
			return nil, err
		}
	}
	for _, help := range [][]string{{"help"}, {"-h"}, {"--help"}, {"grains", "-h"}} {
		got := run(t, nil, help...)
		require.Equal(t, exitHealthy, got.code)
		require.Contains(t, got.stdout, "Exit codes:")
		require.Empty(t, got.stderr)
	}
	for want, args := range map[string][]string{
		"no command":                {},
		`no command "nope"`:         {"nope"},
		"which silos?":              {"status"},
		"--timeout 0s":              {"status", "--silos", "a:1", "--timeout", "0"},
		"not defined: -quick":       {"status", "--quick"},
		`takes no argument "extra"`: {"status", "--silos", "a:1", "extra"},
	} {
		got := run(t, nil, args...)
		require.Equal(t, exitUsage, got.code, want)
		require.Contains(t, got.stderr, want)
		require.Empty(t, got.stdout)
	}
	got := run(t, fails(&cluster.ConfigError{Field: "Silos", Reason: "makes no sense"}), "status", "--silos", "?")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "--silos: makes no sense")

	got = run(t, fails(&cluster.NoSilo{Reasons: map[string]string{"b:1": "refused", "a:1": "\x1btimeout"}, Cause: errors.New("each was asked once")}),
		"grains", "--silos", "a:1,b:1", "--listen", "me:1")
	require.Equal(t, exitUnreachable, got.code)
	require.Contains(t, got.stderr, "\n  a:1: ?timeout\n  b:1: refused\nCheck that a silo runs there")
	require.Equal(t, "a:1,b:1", asked.Silos)
	require.Equal(t, "me:1", asked.Listen)
	require.True(t, what.Grains)

	var out bytes.Buffer
	p := program{stdout: &out, stderr: &out, inspect: fails(errors.New("x")), getenv: func(name string) string { return "by " + name }}
	require.Equal(t, exitUnreachable, p.run(t.Context(), []string{"status"}))
	require.Equal(t, "by MARTINELLI_SILOS", asked.Silos)
	require.False(t, what.Grains)
}

// The command as it is, over a network, with silos found by a file.
func TestRealSilo(t *testing.T) {
	if underRace {
		t.Skip("the silo and who asks it each set gRPC's global logger, which is a race in one process")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var s *silo.Silo
	require.Eventually(t, func() bool { // two neighbouring ports that are free
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return false
		}
		addr := l.Addr().String()
		_ = l.Close()
		s, err = silo.Start(ctx, silo.Config{Grains: bank.Grains(), Listen: addr, DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		return err == nil
	}, 30*time.Second, time.Millisecond)
	_, err := bank.GetAccount(s, "a").Deposit(ctx, 1)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "silos")
	require.NoError(t, os.WriteFile(file, []byte("127.0.0.1:1\n"+s.Addr()+"\n"), 0o644))

	got := run(t, cluster.Inspect, "grains", "--silos", "file:"+file, "--json")
	require.Equal(t, exitHealthy, got.code, got.stderr)
	var r cluster.Report
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &r))
	require.Equal(t, s.Addr(), r.Leader)
	require.Equal(t, s.Addr(), r.LedgerLeader)
	require.Equal(t, map[string]int{"bank.Account": 1}, r.Silos[0].Grains)

	require.NoError(t, s.Stop(ctx))
	got = run(t, cluster.Inspect, "status", "--silos", s.Addr())
	require.Equal(t, exitUnreachable, got.code)
	require.Contains(t, got.stderr, s.Addr()+": ")
	require.Contains(t, got.stderr, "Check that a silo runs there")
}

// A cluster of three, one of which dies.
func TestThreeSilos(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	inspect := func(ctx context.Context, _ cluster.Config, what cluster.Inspection) (*cluster.Report, error) {
		return c.Inspect(ctx, what)
	}
	var got ran
	require.Eventually(t, func() bool { got = run(t, inspect, "status", "--silos", "a:1"); return got.code == exitHealthy }, 30*time.Second, 20*time.Millisecond)
	for i := range 3 {
		require.Contains(t, got.stdout, c.Silo(i).Addr())
	}
	gone := c.Silo(1).Addr()
	c.Kill(1)
	require.Eventually(t, func() bool {
		got = run(t, inspect, "status", "--silos", "a:1")
		return strings.Contains(got.stderr, fmt.Sprintf("silo %s is dead", gone))
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, exitUnhealthy, got.code)
	require.Contains(t, got.stdout, "not healthy")
}
