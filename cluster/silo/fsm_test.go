package silo

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

func newViews(t *testing.T) viewFSM {
	node, err := actor.Start(actor.Config{Network: &actor.Network{}, Addr: "a:1", Silo: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = node.Stop(context.Background()) })
	m, err := newMembership(view.Member{Run: view.Run{ID: "a", Incarnation: 7}, Addr: "a:1", Kinds: []string{"k"}}, view.Times{}, view.DetectorConfig{},
		func() time.Duration { return time.Second }, &view.Holder{}, node, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return viewFSM{m}
}

func newFSM(t *testing.T, apply func([]variables.Delta) error) *fsm {
	return &fsm{
		ledger: commit.NewLedger(commit.Config{
			Silos:  []string{"a", "b"},
			Effect: func(_ wire.ID, own, op []byte) (delta, newOwn []byte, err error) { return op, own, nil },
		}),
		apply: apply, failed: func(err error) { t.Error(err) },
	}
}

func taken([]variables.Delta) error { return nil }

// block is the entry of a block that changes a variable and a state.
func block(client, seq uint64) []byte {
	key := commit.StateKey{Grain: wire.NewID("k", "x"), State: 1}
	return commit.EncodeEntry(commit.Register{}, commit.Decision{
		Attempt: commit.Attempt{ID: commit.ID{Client: client, Seq: seq}, N: 1},
		Reads:   []commit.Read{{Key: key}}, Writes: []commit.Write{{Key: key, Value: []byte("v")}},
		Ops: []commit.Operation{{Variable: wire.NewID("v", "y"), Op: []byte("op")}},
	})
}

func up(id view.SiloID, incarnation uint64) []byte {
	run := view.Run{ID: id, Incarnation: incarnation}
	join, err := view.NewJoin(view.Member{Run: run, Addr: string(id) + ":1", Kinds: []string{"k"}})
	if err != nil {
		panic(err)
	}
	return view.EncodeCommands(join, view.Ready{Run: run}, view.Renew{Renewals: []view.Renewal{{Run: run, Mark: 1}}})
}

// A snapshot takes the place of all that was there before it, and brings what the replicas may lack.
func TestRestoreReplaces(t *testing.T) {
	t.Parallel()
	from := newFSM(t, taken)
	from.Apply(1, block(1, 1))
	b := saved(t, from)
	var brought int
	to := newFSM(t, func(ds []variables.Delta) error { brought += len(ds); return nil })
	to.Apply(1, commit.EncodeEntry(commit.Register{}, commit.Register{}))
	require.NoError(t, to.Restore(bytes.NewReader(b)))
	require.Equal(t, from.ledger.Hash(), to.ledger.Hash())
	require.Equal(t, 1, brought)
	require.Equal(t, from.Apply(3, block(2, 1)), to.Apply(3, block(2, 1)))
	require.Equal(t, from.ledger.Hash(), to.ledger.Hash())
	for cut := range len(b) - 1 {
		require.Error(t, newFSM(t, taken).Restore(bytes.NewReader(b[:cut])), "torn at %d", cut)
	}
}

func TestRestoreViews(t *testing.T) {
	t.Parallel()
	from, to := newViews(t), newViews(t)
	from.Apply(1, up("a", 7))
	to.Apply(1, up("b", 3))
	b := saved(t, from)
	require.NoError(t, to.Restore(bytes.NewReader(b)))
	require.Equal(t, b, saved(t, to))
	require.True(t, to.membership.Standing().Leased(2*time.Second), "a renewal that came with the snapshot counts")
	for cut := range len(b) {
		require.Error(t, newViews(t).Restore(bytes.NewReader(b[:cut])), "torn at %d", cut)
	}
}

func saved(t *testing.T, f interface {
	Snapshot() (func(io.Writer) error, error)
}) []byte {
	write, err := f.Snapshot()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, write(&b))
	return b.Bytes()
}

// Bytes that are no entry change nothing, on any silo.
func TestHostileEntries(t *testing.T) {
	t.Parallel()
	v, f := newViews(t), newFSM(t, taken)
	hash := f.ledger.Hash()
	for i, entry := range [][]byte{nil, {}, {'x'}, {0xff}, {9, 9}} {
		v.Apply(uint64(i+1), entry)
		f.Apply(uint64(i+1), entry)
	}
	require.Zero(t, v.membership.views.Current().Number)
	require.Empty(t, v.membership.views.Current().Members)
	require.NotEqual(t, hash, f.ledger.Hash(), "that there was one is part of its history")
}

// What a block did counts as logged here only when the replicas here have it.
func TestDrainedIsWhatReplicasHave(t *testing.T) {
	t.Parallel()
	var f *fsm
	f = newFSM(t, func([]variables.Delta) error {
		require.EqualValues(t, 5, f.ledger.Pos())
		require.Zero(t, f.drained.Load(), "on its way is not logged")
		return nil
	})
	f.Apply(5, block(1, 1))
	require.EqualValues(t, 5, f.drained.Load())
}
