package upgrade

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	v1 "github.com/martinelli-go/martinelli/integration/upgrade/v1"
	v2 "github.com/martinelli-go/martinelli/integration/upgrade/v2"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ServeCommand {
		if err := Serve(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Three silos with directories are replaced one by one, under load from old and new clients: no call fails, and
// afterwards everything of the new build works.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	began := time.Now()
	f, err := Run(t.Context(), Short, t.Output())
	require.NoError(t, err)
	t.Logf("%d calls, the longest took %v; of a new method %d refused, %d served; the upgrade took %v, all %v",
		f.Calls, f.Longest, f.Refused, f.Served, f.Took, time.Since(began))
	require.Empty(t, f.Failed)
	require.Empty(t, f.Wrong)
	require.Positive(t, f.Refused, "no call of the new method came to an old silo")
	require.Positive(t, f.Served, "no call of the new method came to a new silo")
}

// one is a silo that keeps what it has in memory, from one build to the other.
type one struct {
	t      *testing.T
	memory *silo.Memory
}

func (o one) with(kinds []grains.Kind, do func(context.Context, grains.Caller)) {
	ctx, cancel := context.WithTimeout(o.t.Context(), 30*time.Second)
	defer cancel()
	s, err := silo.Start(ctx, silo.Config{Grains: kinds, Memory: o.memory, Network: silo.NewNetwork(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(o.t, err)
	do(ctx, s)
	require.NoError(o.t, s.Stop(ctx))
}

// State that new code has written, old code reads; what old code writes back has the fields that old code knows.
// So a new field of state is to be written once no old silo is left, or to be one that may be lost until then.
func TestStateGoesBackAndForth(t *testing.T) {
	t.Parallel()
	s := one{t, silo.NewMemory()}
	s.with(v1.Grains(), func(ctx context.Context, c grains.Caller) {
		_, err := v1.GetTab(c, "ann").Order(ctx, v1.Item{Name: "wine", Price: 7})
		require.NoError(t, err)
	})
	s.with(v2.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v2.GetTab(c, "ann").Tip(ctx, 3)
		require.NoError(t, err)
		require.Equal(t, v2.Bill{Items: 1, Sum: 7, Tip: 3}, b, "what the old build wrote is there")
	})
	s.with(v1.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v1.GetTab(c, "ann").Sum(ctx)
		require.NoError(t, err)
		require.Equal(t, v1.Bill{Items: 1, Sum: 7}, b, "the old build passes over the new field")
	})
	s.with(v2.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v2.GetTab(c, "ann").Total(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 3, b.Tip, "reading loses nothing")
	})
	s.with(v1.Grains(), func(ctx context.Context, c grains.Caller) {
		_, err := v1.GetTab(c, "ann").Order(ctx, v1.Item{Name: "wine", Price: 7})
		require.NoError(t, err)
	})
	s.with(v2.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v2.GetTab(c, "ann").Total(ctx)
		require.NoError(t, err)
		require.Equal(t, v2.Bill{Items: 2, Sum: 14}, b, "writing by old code drops the new field")
	})
}
