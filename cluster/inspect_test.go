package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/integration/bank"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What silos say of themselves adds up, and follows deaths and returns.
func TestInspect(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 60*time.Second)
	const accounts = 30
	for i := range accounts {
		_, err := bank.GetAccount(c, bank.AccountID(fmt.Sprint(i))).Deposit(ctx, 1)
		require.NoError(t, err)
	}
	report := func() *cluster.Report {
		r, err := c.Inspect(ctx, cluster.Inspection{Grains: true})
		require.NoError(t, err)
		return r
	}
	r := report()
	require.Eventually(t, func() bool { r = report(); return r.Healthy() }, 20*time.Second, 20*time.Millisecond)
	require.NotEmpty(t, r.Cluster)
	require.Equal(t, c.View().Number, r.View)
	require.Len(t, r.Silos, 3)
	slots, active, leaders := 0, 0, 0
	for i, s := range r.Silos {
		require.Equal(t, c.Silo(i).Addr(), s.Addr)
		require.Equal(t, "active", s.State)
		require.NotZero(t, s.Incarnation)
		require.NotZero(t, s.Applied)
		require.NotEmpty(t, s.Version)
		require.Len(t, s.Grains, 1)
		slots += s.Slots
		active += s.Grains["bank.Account"]
		if s.Leads {
			leaders++
			require.Equal(t, s.Addr, r.Leader)
			require.Equal(t, s.Term, r.Term)
		}
	}
	require.Equal(t, r.Slots, slots)
	require.Equal(t, accounts, active)
	require.Equal(t, 1, leaders)
	quiet, err := c.Inspect(ctx, cluster.Inspection{})
	require.NoError(t, err)
	require.Nil(t, quiet.Silos[0].Grains, "they are counted on request")

	before := r.Silos[0].Incarnation
	c.Kill(0)
	require.Eventually(t, func() bool { r = report(); return r.Silos[0].State == "dead" && r.Leader != "" }, 30*time.Second, 50*time.Millisecond)
	require.False(t, r.Healthy())
	require.Contains(t, strings.Join(r.Problems, "\n"), "silo silo-0:7000 is dead: ")
	require.NotEmpty(t, r.Silos[0].Silent)
	require.Zero(t, r.Silos[0].Slots)
	require.Equal(t, r.Slots, r.Silos[1].Slots+r.Silos[2].Slots)
	c.Restart(0)
	require.Eventually(t, func() bool { r = report(); return r.Healthy() }, 30*time.Second, 50*time.Millisecond, "%v", r.Problems)
	require.Greater(t, r.Silos[0].Incarnation, before)
}

// Where there is no majority any more, somebody still says so.
func TestInspectWithoutMajority(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	c.Kill(0)
	c.Kill(1)
	ctx := within(t, 60*time.Second)
	var problems string
	require.Eventually(t, func() bool {
		r, err := c.Inspect(ctx, cluster.Inspection{})
		require.NoError(t, err)
		problems = strings.Join(r.Problems, "\n")
		return strings.Contains(problems, "no silo leads the log")
	}, 30*time.Second, 50*time.Millisecond)
	require.Contains(t, problems, "silo-0:7000")
	require.Contains(t, problems, "silo-1:7010")
	require.NotContains(t, problems, "silo-2:7020")
}

func TestInspectNobody(t *testing.T) {
	t.Parallel()
	var none *cluster.NoSilo
	_, err := cluster.Inspect(within(t, 10*time.Second), cluster.Config{Silos: "nobody:1,no-one:2", Network: &actor.Network{}}, cluster.Inspection{})
	require.ErrorAs(t, err, &none)
	require.Len(t, none.Reasons, 2)
	_, err = cluster.Inspect(within(t, 10*time.Second), cluster.Config{Silos: "file:" + t.TempDir() + "/none"}, cluster.Inspection{})
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "create it")
	var wrong *cluster.ConfigError
	_, err = cluster.Inspect(t.Context(), cluster.Config{Silos: "nobody"}, cluster.Inspection{})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "Silos", wrong.Field)
	_, err = cluster.Inspect(t.Context(), cluster.Config{Silos: "127.0.0.1:1", Listen: "nowhere", TrustNetwork: true}, cluster.Inspection{})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "Listen", wrong.Field)
}

// What a source yields is no more trusted than what is written: without TLS, this machine's addresses only.
func TestSeedsOfOtherMachinesNeedTLS(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "silos")
	require.NoError(t, os.WriteFile(file, []byte("192.0.2.1:7000\n"), 0o644))
	var wrong *cluster.ConfigError
	_, err := cluster.Inspect(within(t, 10*time.Second), cluster.Config{Silos: "file:" + file, Listen: "127.0.0.1:0"}, cluster.Inspection{})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "TLS", wrong.Field)
	_, err = cluster.Connect(within(t, 10*time.Second), cluster.Config{Silos: "file:" + file})
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "TLS", wrong.Field)
	require.ErrorContains(t, err, "192.0.2.1:7000")
}
