package grains_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
)

// Streams, one-way calls and references between silos, and from a client.
func TestWaysOfCalling(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, guild.Grains())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for i, from := range []grains.Caller{c, c.Silo(0), c.Silo(1)} {
		master := guild.GetMaster(from, fmt.Sprint("guild-", i))
		next := 0
		for tally, err := range master.Count(ctx, 0, 500) {
			require.NoError(t, err)
			require.Equal(t, next, tally.N)
			require.Len(t, tally.Marks, next%3)
			next++
		}
		require.Equal(t, 500, next)

		for n := range int64(20) {
			_, err := master.Admit(ctx, guild.GetMember(from, n), 1)
			require.ErrorIs(t, err, grains.ErrCycle, "the member calls the guild that waits for it")
		}
		_, err := master.Admit(ctx, nil, 1)
		require.ErrorIs(t, err, guild.ErrNobody)
		var members int64
		for who, err := range master.Roll(ctx) {
			if members == 20 {
				require.ErrorIs(t, err, guild.ErrNobody)
				break
			}
			require.NoError(t, err)
			require.True(t, who == guild.GetMember(from, members), "what comes back is the caller's own")
			members++
		}
	}
	master := guild.GetMaster(c, "guild-0")
	for range 100 {
		require.NoError(t, master.Tell(ctx, "work"))
	}
	require.Eventually(t, func() bool {
		var ran uint64
		for i := range 3 {
			ran += c.Silo(i).Stats().OneWay.Delivered
		}
		// What closes a stream that its reader has left is a one-way call too.
		return c.OneWay().Delivered >= 100 && c.OneWay().Pending == 0 && ran >= 100
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, c.OneWay().Undelivered)
}

// A stream whose silo dies is lost, by type; its grain goes on elsewhere.
func TestAStreamWhoseSiloDies(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, guild.Grains())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	master := guild.GetMaster(c, "guild")
	owner, ok := c.View().Owner(master.GrainID())
	require.True(t, ok)
	var last error
	for tally, err := range master.Count(ctx, 0, 1_000_000) {
		if last = err; err == nil && tally.N == 50 {
			for i := range 3 {
				if c.Silo(i) != nil && c.Silo(i).Addr() == owner.Addr {
					c.Kill(i)
				}
			}
		}
	}
	require.ErrorIs(t, last, grains.ErrStreamLost)
	name, err := master.Name(ctx)
	require.NoError(t, err)
	require.Equal(t, "guild", name)
}
