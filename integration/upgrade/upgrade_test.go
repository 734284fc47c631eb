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

// State that new code has written, old code reads. What it writes back has the new fields where the struct embeds
// grains.Unknown, and has them no more where it does not.
func TestStateGoesBackAndForth(t *testing.T) {
	t.Parallel()
	s := one{t, silo.NewMemory()}
	s.with(v1.Grains(), func(ctx context.Context, c grains.Caller) {
		_, err := v1.GetTab(c, "ann").Order(ctx, v1.Item{Name: "wine", Price: 7})
		require.NoError(t, err)
	})
	s.with(v2.Grains(), func(ctx context.Context, c grains.Caller) {
		_, err := v2.GetTab(c, "ann").Order(ctx, v2.Item{Name: "cheese", Price: 7, Table: "4"})
		require.NoError(t, err)
		b, err := v2.GetTab(c, "ann").Tip(ctx, 3)
		require.NoError(t, err)
		require.Equal(t, v2.Bill{Items: 2, Sum: 14, Tip: 3}, b, "what the old build wrote is there")
	})
	s.with(v1.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v1.GetTab(c, "ann").Order(ctx, v1.Item{Name: "wine", Price: 7})
		require.NoError(t, err)
		require.EqualValues(t, []int64{3, 21}, []int64{b.Items, b.Sum}, "the old build passes over the new fields")
	})
	s.with(v2.Grains(), func(ctx context.Context, c grains.Caller) {
		b, err := v2.GetTab(c, "ann").Total(ctx)
		require.NoError(t, err)
		require.Equal(t, v2.Bill{Items: 3, Sum: 21, Tip: 3}, b, "the tip is kept: the old build's Bill embeds Unknown")
		n, err := v2.GetTab(c, "ann").Last(ctx)
		require.NoError(t, err)
		require.Equal(t, v2.Note{Item: "wine"}, n, "a new field of Note is lost: the old build's does not")
	})
}
