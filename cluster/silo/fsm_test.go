package silo

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

var founders = []view.Member{{ID: "a", Addr: "a:1"}, {ID: "b", Addr: "b:1"}}

func newFSM(t *testing.T, apply func([]variables.Delta) error) *fsm {
	machine := view.NewMachine(founders)
	f := &fsm{
		ledger: commit.NewLedger(commit.Config{
			Effect:   func(_ wire.ID, own, op []byte) (delta, newOwn []byte, err error) { return op, own, nil },
			Replicas: func(wire.ID) []string { return []string{"a", "b"} },
		}),
		views: &view.Holder{}, machine: machine, apply: apply, failed: func(err error) { t.Error(err) },
	}
	f.views.Set(machine.View())
	return f
}

func taken([]variables.Delta) error { return nil }

// block is the entry of a block that changes a variable and a state.
func block(client, seq uint64) []byte {
	key := commit.StateKey{Grain: wire.NewID("k", "x"), State: 1}
	return append([]byte{entryCommit}, commit.EncodeEntry(commit.Register{}, commit.Decision{
		Attempt: commit.Attempt{ID: commit.ID{Client: client, Seq: seq}, N: 1},
		Reads:   []commit.Read{{Key: key}}, Writes: []commit.Write{{Key: key, Value: []byte("v")}},
		Ops: []commit.Operation{{Variable: wire.NewID("v", "y"), Op: []byte("op")}},
	})...)
}

func up(id view.SiloID, incarnation uint64) []byte {
	return append([]byte{entryView}, view.Entry{Silo: id, Addr: string(id) + ":1", Incarnation: incarnation, Up: true}.Append(nil)...)
}

// A snapshot takes the place of all that was there before it, and brings what the replicas may lack.
func TestRestoreReplaces(t *testing.T) {
	t.Parallel()
	from := newFSM(t, taken)
	from.Apply(1, up("a", 7))
	from.Apply(2, block(1, 1))
	write, err := from.Snapshot()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, write(&b))

	var brought int
	to := newFSM(t, func(ds []variables.Delta) error { brought += len(ds); return nil })
	to.Apply(1, append([]byte{entryCommit}, commit.EncodeEntry(commit.Register{}, commit.Register{})...))
	require.NoError(t, to.Restore(bytes.NewReader(b.Bytes())))
	require.Equal(t, from.ledger.Hash(), to.ledger.Hash())
	require.Equal(t, from.machine.View(), to.views.Current())
	require.Equal(t, 1, brought)
	require.Equal(t, from.Apply(3, block(2, 1)), to.Apply(3, block(2, 1)))
	require.Equal(t, from.ledger.Hash(), to.ledger.Hash())

	for cut := range b.Len() - 1 {
		require.Error(t, newFSM(t, taken).Restore(bytes.NewReader(b.Bytes()[:cut])), "torn at %d", cut)
	}
}

// Bytes that are no entry change nothing, on any silo.
func TestHostileEntries(t *testing.T) {
	t.Parallel()
	f := newFSM(t, taken)
	for i, entry := range [][]byte{nil, {}, {'x'}, {entryView}, {entryView, 0xff}, {entryCommit}, {entryCommit, 9, 9}, up("stranger", 1)} {
		f.Apply(uint64(i+1), entry)
	}
	require.Zero(t, f.views.Current().Number)
	require.Zero(t, f.views.Current().UpCount())
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

// A leader's verdicts: who is silent is down, a new run is up, and nobody is judged by silence that the
// leader itself slept through.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fresh, old := now, now.Add(-time.Minute)
	views := &view.Holder{}
	views.Set(view.New(3, []view.Member{{ID: "a", Addr: "a:1", Incarnation: 5, Up: true}, {ID: "b", Addr: "b:1", Incarnation: 5}}))
	for _, c := range []struct {
		name  string
		signs map[view.SiloID]sign
		since time.Time
		want  []view.Entry
	}{
		{"nothing new", map[view.SiloID]sign{"a": {5, "a:1", fresh}}, old, nil},
		{"silent", map[view.SiloID]sign{"a": {5, "a:1", old}}, old, []view.Entry{{Silo: "a", Addr: "a:1", Incarnation: 5}}},
		{"silent, but the leader is new or was away", map[view.SiloID]sign{"a": {5, "a:1", old}}, fresh, nil},
		{"another run, before the first was missed", map[view.SiloID]sign{"a": {6, "a:2", fresh}}, old,
			[]view.Entry{{Silo: "a", Addr: "a:2", Incarnation: 6, Up: true}}},
		{"back", map[view.SiloID]sign{"a": {5, "a:1", fresh}, "b": {5, "b:1", fresh}}, old,
			[]view.Entry{{Silo: "b", Addr: "b:1", Incarnation: 5, Up: true}}},
		{"a run before the last", map[view.SiloID]sign{"a": {5, "a:1", fresh}, "b": {4, "b:1", fresh}}, old, nil},
	} {
		s := &Silo{views: views, config: Config{Silence: 2 * time.Second}, signs: signs{last: c.signs}}
		require.Equal(t, c.want, s.verdicts(c.since), c.name)
	}
}

// Only founders are listened to, and a late sign of an earlier run says nothing.
func TestSigns(t *testing.T) {
	t.Parallel()
	views := &view.Holder{}
	views.Set(view.New(1, founders))
	s := &Silo{views: views, signs: signs{last: map[view.SiloID]sign{}}}
	s.heard(view.Entry{Silo: "stranger", Incarnation: 1})
	s.heard(view.Entry{Silo: "a", Addr: "a:2", Incarnation: 2})
	s.heard(view.Entry{Silo: "a", Addr: "a:1", Incarnation: 1})
	require.Len(t, s.signs.last, 1)
	require.Equal(t, "a:2", s.signs.last["a"].addr)
}
