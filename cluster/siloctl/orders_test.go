package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/actor/certtest"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// scripted is an operator whose orders end as it says.
type scripted struct {
	steps  []cluster.Progress
	err    error
	given  atomic.Int32
	forced bool
	closed bool
}

func (s *scripted) Drain(_ context.Context, _ string, progress func(cluster.Progress)) error {
	s.given.Add(1)
	for _, p := range s.steps {
		progress(p)
	}
	return s.err
}

func (s *scripted) Remove(ctx context.Context, name string, force bool, progress func(cluster.Progress)) error {
	s.forced = force
	return s.Drain(ctx, name, progress)
}

func (s *scripted) Init(context.Context, []string) (string, error) {
	s.given.Add(1)
	return "7f3a", s.err
}

func (s *scripted) Close() error {
	s.closed = true
	return nil
}

// give runs the command with an operator that is scripted; answer is what is typed, where there is a terminal.
func give(t *testing.T, to *scripted, terminal bool, answer string, args ...string) (ran, string) {
	var out, errs bytes.Buffer
	var shown string
	p := program{
		stdin: strings.NewReader(answer), stdout: &out, stderr: &errs, interactive: terminal,
		getenv: func(name string) string {
			return map[string]string{silosVariable: "a:1", secretVariable: "by variable"}[name]
		},
		operate: func(_ context.Context, c cluster.Config, secret string) (operator, error) {
			shown = c.Silos + " " + secret
			return to, nil
		},
	}
	code := p.run(t.Context(), args)
	return ran{code, out.String(), errs.String()}, shown
}

var draining = []cluster.Progress{{State: "active", Held: 1365, Log: "voter"}, {State: "leaving", Held: 700, Log: "voter"}, {State: "leaving", Held: 700, Log: "voter"}, {State: "dead", Log: "voter"}, {Log: "none"}}

func TestOrders(t *testing.T) {
	t.Parallel()
	refused := &cluster.Refused{Order: "drain", Silo: "b:1", Cause: cluster.ErrOnlySilo, Detail: "start \x1bone"}
	unfinished := &cluster.Unfinished{Order: "remove", Silo: "b:1", Waiting: "it is voter in the log", Cause: context.DeadlineExceeded}
	for name, c := range map[string]struct {
		to   *scripted
		args []string
		code int
	}{
		"order-drain":       {&scripted{steps: draining}, []string{"drain", "b:1"}, exitHealthy},
		"order-drain-json":  {&scripted{steps: draining[:4]}, []string{"drain", "--json", "b:1"}, exitHealthy},
		"order-refused":     {&scripted{err: refused}, []string{"drain", "b:1"}, exitUnhealthy},
		"order-unfinished":  {&scripted{steps: draining[:1], err: unfinished}, []string{"remove", "b:1", "--yes", "--json"}, exitUnhealthy},
		"order-remove":      {&scripted{steps: draining[3:]}, []string{"remove", "--yes", "b:1", "--force"}, exitHealthy},
		"order-init":        {&scripted{}, []string{"init", "a:1, b:1,c:1"}, exitHealthy},
		"order-init-json":   {&scripted{}, []string{"init", "a:1,b:1", "--json"}, exitHealthy},
		"order-nobody":      {&scripted{err: &cluster.NoSilo{Reasons: map[string]string{"a:1": "refused"}, Cause: errors.New("each was asked once")}}, []string{"drain", "b:1"}, exitUnreachable},
		"order-nobody-json": {&scripted{err: &cluster.NoSilo{Reasons: map[string]string{"a:1": "refused"}, Cause: errors.New("each was asked once")}}, []string{"drain", "b:1", "--json"}, exitUnreachable},
	} {
		got, _ := give(t, c.to, false, "", c.args...)
		require.Equal(t, c.code, got.code, name)
		text := got.stdout + "--- standard error\n" + got.stderr
		require.NotContains(t, text, "\x1b")
		golden(t, name, text)
		require.True(t, c.to.closed)
		require.Equal(t, name == "order-remove", c.to.forced)
		if strings.HasSuffix(name, "-json") {
			var d orderDocument
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &d))
			require.Equal(t, c.code == exitHealthy, d.Done)
		}
	}
	for _, c := range orders {
		golden(t, "help-"+c.name, run(t, nil, c.name, "--help").stdout)
	}
}

// What is for good is asked about at a terminal, and needs --yes elsewhere.
func TestRemoveIsAskedAbout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terminal bool
		answer   string
		args     []string
		code     int
		given    int32
	}{
		{true, "yes\n", nil, exitHealthy, 1},
		{true, "y\n", nil, exitUnhealthy, 0},
		{true, "", nil, exitUnhealthy, 0},
		{true, "", []string{"--yes"}, exitHealthy, 1},
		{false, "yes\n", nil, exitUsage, 0},
		{false, "", []string{"--yes"}, exitHealthy, 1},
	} {
		to := &scripted{}
		got, _ := give(t, to, c.terminal, c.answer, append([]string{"remove", "b:1"}, c.args...)...)
		require.Equal(t, c.code, got.code, "%+v", c)
		require.Equal(t, c.given, to.given.Load(), "%+v", c)
	}
	got, _ := give(t, &scripted{steps: draining}, true, "yes\n", "remove", "b:1")
	require.Contains(t, got.stderr, "Its directory can never come back. Type yes")
	require.Contains(t, got.stderr, clearLine+"siloctl: b:1 is leaving, holds 700 slots")
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for want, args := range map[string][]string{
		"drain what? It takes ADDR|ID":    {"drain"},
		"init what?":                      {"init", "--timeout", "1s"},
		`takes one argument, and no "b"`:  {"drain", "a", "b"},
		"--timeout 0s":                    {"remove", "a", "--timeout", "0"},
		"not defined: -force":             {"drain", "a", "--force"},
		"--secret-file: it is empty":      {"drain", "a", "--secret-file", empty},
		"--secret-file: open /no/such/fi": {"drain", "a", "--secret-file", "/no/such/file"},
	} {
		to := &scripted{}
		got, _ := give(t, to, false, "", args...)
		require.Equal(t, exitUsage, got.code, want)
		require.Contains(t, got.stderr, want)
		require.Zero(t, to.given.Load())
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("by file\r\n"), 0o600))
	_, shown := give(t, &scripted{}, false, "", "drain", "b:1", "--secret-file", file)
	require.Equal(t, "a:1 by file", shown)
	_, shown = give(t, &scripted{}, false, "", "drain", "b:1")
	require.Equal(t, "a:1 by variable", shown)
	_, shown = give(t, &scripted{}, false, "", "init", "b:1,c:1")
	require.Equal(t, "b:1,c:1 by variable", shown, "who founds is asked, and nobody else")
}

// The command as it is, over a network: by the name in a certificate it is seen who is an operator.
func TestOperatorsByCertificate(t *testing.T) {
	if underRace {
		t.Skip("the silo and who asks it each set gRPC's global logger, which is a race in one process")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ours, err := certtest.New(t.TempDir())
	require.NoError(t, err)
	files := func(name string, dns ...string) actor.TLS {
		cert, key, err := ours.Issue(name, dns...)
		require.NoError(t, err)
		return actor.TLS{Cert: cert, Key: key, CA: ours.File}
	}
	var s *silo.Silo
	require.Eventually(t, func() bool { // two neighbouring ports that are free
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return false
		}
		addr := l.Addr().String()
		_ = l.Close()
		s, err = silo.Start(ctx, silo.Config{
			Grains: bank.Grains(), Listen: addr, DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
			TLS: files("silo-1", actor.DefaultSiloName), Secret: "s", Operators: []string{"ops"},
		})
		return err == nil
	}, 30*time.Second, time.Millisecond)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s\n"), 0o600))
	wrong := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(wrong, []byte("t\n"), 0o600))
	for name, c := range map[string]struct {
		tls    actor.TLS
		secret []string
		want   string
	}{
		"an operator":                 {files("ops"), nil, "nobody could take what it holds"},
		"somebody else":               {files("eve"), nil, "only an operator may do that"},
		"a silo":                      {files("silo-2", actor.DefaultSiloName), []string{"--secret-file", secret}, "nobody could take what it holds"},
		"a silo's certificate alone":  {files("silo-2", actor.DefaultSiloName), nil, "only an operator may do that"},
		"a silo without the secret":   {files("silo-2", actor.DefaultSiloName), []string{"--secret-file", wrong}, "secret"},
		"somebody who has the secret": {files("eve"), []string{"--secret-file", secret}, "certificate"},
	} {
		var out, errs bytes.Buffer
		p := program{stdout: &out, stderr: &errs, getenv: func(string) string { return "" },
			operate: func(ctx context.Context, c cluster.Config, secret string) (operator, error) {
				return cluster.Operate(ctx, c, secret)
			}}
		args := append([]string{"drain", s.Addr(), "--silos", s.Addr(), "--cert", c.tls.Cert, "--key", c.tls.Key, "--ca", c.tls.CA}, c.secret...)
		require.NotZero(t, p.run(ctx, args), name)
		require.Contains(t, errs.String(), c.want, name)
	}
	require.NoError(t, s.Stop(ctx))
}
