package silo

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A silo that joins is waited for by the ledger before variables are kept on it.
func TestWhoJoinsIsWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	network := NewNetwork()
	start := func(addr string) *Silo {
		s, err := Start(ctx, Config{Advertise: addr, Join: "a:1", Network: network, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
		return s
	}
	a := start("a:1")
	b := start("b:1")
	require.Contains(t, a.run.ledger.Silos(), string(b.run.id))
}
