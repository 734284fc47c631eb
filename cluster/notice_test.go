package cluster_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Ids of blocks can be guessed: whoever is neither a silo nor a block's coordinator neither ends nor wounds it.
func TestNobodyElseEndsABlock(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	f := newFleet(t)
	f.start(ctx, "", "a:1")
	f.deposit(ctx, "a:1", "here")
	c, err := cluster.Connect(ctx, cluster.Config{Silos: "a:1", Grains: bank.Shared(), Network: f.network.Messages, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	stranger, err := actor.Start(actor.Config{Network: f.network.Messages, Addr: "stranger:1", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, stranger.Stop(ctx)) }()
	forge := func(to string, kind link.NoticeKind) {
		for i := range uint64(6 * 6) {
			a := commit.Attempt{ID: commit.ID{Client: 1 + i%6, Seq: 1 + i/6}, N: 1}
			require.NoError(t, stranger.Notify(to, link.ServiceBlocks, link.Notice{Kind: kind, Attempt: a}.Append(nil)))
		}
	}
	for _, begun := range []struct {
		at string // the coordinator
		by grains.Caller
	}{{"a:1", f.silos["a:1"]}, {"the client", c}} {
		attempts := 0
		require.NoError(t, txn.Atomic(ctx, begun.by, func(ctx context.Context) error {
			attempts++
			for range 20 {
				if _, err := bank.GetAccount(begun.by, "here").Deposit(ctx, 1); err != nil {
					return err
				}
				forge("a:1", link.NoticeAborted)
				forge("a:1", link.NoticeCommitted)
				forge("a:1", link.NoticeLost)
				forge("a:1", link.NoticeWound)
			}
			return nil
		}))
		require.Equal(t, 1, attempts, "a block that %s coordinates", begun.at)
	}
	balance, err := bank.GetAccount(c, "here").Balance(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 41, balance)
}
