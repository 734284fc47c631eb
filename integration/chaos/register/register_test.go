package register_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

func TestTurnsAreJournaled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "journal.jsonl")
	j, err := register.Create(file, 2, 7)
	require.NoError(t, err)
	var middles atomic.Int64
	j.Middle = func(register.Kind) { middles.Add(1) }
	c := graintest.Start(t, 1, register.Grains(j))
	r, ctx := register.GetRegister(c, "a"), t.Context()

	seen, err := r.Write(ctx, 1)
	require.NoError(t, err)
	life := seen.By
	require.Equal(t, register.Seen{By: register.Life{Silo: 2, Run: 7, Activation: life.Activation}, Value: 1, Seq: 1, Swapped: true}, seen)
	seen, err = r.CompareAndSet(ctx, 2, 5)
	require.NoError(t, err)
	require.Equal(t, register.Seen{By: life, Value: 1, Seq: 1}, seen)
	seen, err = r.CompareAndSet(ctx, 3, 1)
	require.NoError(t, err)
	require.Equal(t, register.Seen{By: life, Value: 1, Seq: 2, Swapped: true}, seen)
	seen, err = r.Read(ctx, 4)
	require.NoError(t, err)
	require.Equal(t, register.Seen{By: life, Value: 3, Seq: 2}, seen)
	seen, err = r.Touch(ctx, 5)
	require.NoError(t, err)
	require.Equal(t, register.Seen{By: life}, seen)
	other, err := register.GetRegister(c, "b").Touch(ctx, 6)
	require.NoError(t, err)
	require.NotEqual(t, life, other.By)
	relayed, err := r.Relay(ctx, 7, "b")
	require.NoError(t, err)
	require.Equal(t, register.Seen{By: life}, relayed)
	require.GreaterOrEqual(t, middles.Load(), int64(7), "the middle of each turn")
	require.NoError(t, txn.Atomic(ctx, c, func(ctx context.Context) error {
		_, err := r.Write(ctx, 8)
		return err
	}))

	turns, err := register.Turns(file)
	require.NoError(t, err)
	require.Len(t, turns, 9)
	require.False(t, turns[8].Effective, "the turn does not know what becomes of its caller's block")
	turns = turns[:8]
	taken := turns[6]
	require.Equal(t, register.Turn{Key: "b", Op: 7, Kind: register.Take, Life: other.By, From: "a", Of: life, Start: taken.Start, End: taken.End, Effective: true}, taken)
	turns = slices.Delete(turns, 6, 7)
	last := int64(0)
	for i, turn := range turns {
		require.EqualValues(t, i+1, turn.Op)
		require.True(t, turn.Effective)
		require.Equal(t, i == 0 || i == 2, turn.Wrote)
		require.LessOrEqual(t, turn.Start, turn.End)
		require.LessOrEqual(t, last, turn.Start, "one at a time")
		last = turn.End
	}
}

func TestAJournalThatADeathHasTorn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "journal.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(`{"key":"a","op":1,"kind":"touch"}`+"\n"+`{"key":"a","op":2,"ki`), 0o600))
	turns, err := register.Turns(file)
	require.NoError(t, err)
	require.Len(t, turns, 1)
	require.NoError(t, os.WriteFile(file, []byte("nonsense\n"), 0o600))
	_, err = register.Turns(file)
	require.Error(t, err)
	_, err = register.Create(file, 1, 1)
	require.Error(t, err, "each run has a file of its own")
}
