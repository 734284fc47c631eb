package host

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// late joins, on every silo, that another actor has added an element to a set: what a silo that is gone
// had written and somebody brings now.
func late(t *testing.T, w *world, actor crdt.Actor, id wire.ID, elem string) {
	t.Helper()
	codec := wire.StringCodec[string]()
	if id.Kind() == outputs.Name {
		codec = wire.Codec[string]{Append: func(b []byte, v string) []byte { return append(b, v...) }}
	}
	op := crdt.AppendSetOp(nil, crdt.SetOp[string]{Add: []string{elem}}, codec)
	delta, _, err := w.kinds[id.Kind()].Variable().Lattice.Effect(actor, nil, op)
	require.NoError(t, err)
	for _, n := range w.nodes {
		if n.vars != nil {
			n.vars.join(id, delta)
		}
	}
}

// What a process's predecessor on another silo had written reaches this one in pieces: the record without
// the output, or the output without the record, in either order. In the end it is taken back.
func TestLateOutputsOfAPredecessorAreTakenBack(t *testing.T) {
	t.Parallel()
	result := wire.NewID("results", "u")
	record := wire.NewID(outputs.Name, outputsKey("rank", "u"))
	elem := string(wire.StringCodec[string]().Append(nil, "ghost=7"))
	steps := map[string]func(t *testing.T, w *world, actor crdt.Actor){
		"output": func(t *testing.T, w *world, a crdt.Actor) { late(t, w, a, result, "ghost=7") },
		"begun": func(t *testing.T, w *world, a crdt.Actor) {
			late(t, w, a+1, record, markDoubtful+"another run #001"+outputOf(result, elem))
		},
		"recorded": func(t *testing.T, w *world, a crdt.Actor) {
			late(t, w, a+2, record, markWritten+"another run #002"+outputOf(result, elem))
		},
	}
	for i, order := range [][]string{
		{"begun", "output"}, {"output", "begun"}, {"output", "recorded"}, {"recorded", "output"},
		{"begun", "recorded", "output"}, {"begun", "output", "recorded"},
		// The set holds the element by an older write than the one that the record speaks of.
		{"output", "recorded", "output"}, {"output", "begun", "output"},
	} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			var runs atomic.Int64
			w := newWorld(t, 1, uint64(i), rank(&runs, 0).Kind())
			m := model{"u": {"a": true}}
			require.NoError(t, favorites.At(w.at(0).place(), "u").Add(t.Context(), "a"))
			eventually(t, func() error { return m.ranked(w, w.at(0)) })
			for n, step := range order {
				steps[step](t, w, crdt.Actor(100+10*n))
				// Settled in between, so that the process has seen the pieces one by one.
				eventually(t, func() error {
					if !w.at(0).host.Idle() {
						return fmt.Errorf("%+v", w.at(0).host.Progress())
					}
					return nil
				})
			}
			eventually(t, func() error { return m.ranked(w, w.at(0)) })
		})
	}
}

// What somebody else removed from an output stays away for as long as the process goes on putting it out,
// and may come back when it has been away in between.
func TestRemovedOutputsStayAway(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	w := newWorld(t, 1, 1, rank(&runs, 0).Kind())
	at, ctx := w.at(0).place(), t.Context()
	holds := func(want ...string) {
		t.Helper()
		eventually(t, func() error {
			got, err := results.At(at, "u").All(ctx)
			if err != nil {
				return err
			}
			if have := slices.Sorted(got); !slices.Equal(have, want) || !w.at(0).host.Idle() {
				return fmt.Errorf("%v, not %v; %+v", have, want, w.at(0).host.Progress())
			}
			return nil
		})
	}
	require.NoError(t, favorites.At(at, "u").Add(ctx, "a", "b"))
	holds("a=1", "b=1")
	require.NoError(t, results.At(at, "u").Remove(ctx, "a=1"))
	require.NoError(t, favorites.At(at, "u").Add(ctx, "c"))
	holds("b=1", "c=1")
	require.NoError(t, favorites.At(at, "u").Remove(ctx, "a"))
	holds("b=1", "c=1")
	require.NoError(t, favorites.At(at, "u").Add(ctx, "a"))
	holds("a=1", "b=1", "c=1")
}

// A run takes off the record what it has read there. What another run puts there in the same moment, and
// writes only then, stays on record, or nobody would ever take the write back.
func TestARunLeavesOthersOnRecord(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	w := newWorld(t, 1, 1, rank(&runs, 0).Kind())
	ctx := t.Context()
	result := wire.NewID("results", "u")
	record := wire.NewID(outputs.Name, outputsKey("rank", "u"))
	s := w.at(0).host.scheduler
	grant, held := s.held(s.processes["rank"], "u")
	require.True(t, held)
	mine := &turn{engine: &testEngine{w.at(0)}, s: s, job: &job{p: s.processes["rank"], key: "u", grant: grant}}
	_, _, err := mine.Outputs(ctx, result)
	require.NoError(t, err)
	require.NoError(t, mine.RecordOutputs(ctx, result, wire.OutputChange{Begun: []string{"x"}}))
	_, doubtful, err := mine.Outputs(ctx, result)
	require.NoError(t, err)
	require.Contains(t, doubtful, "x")
	late(t, w, 200, record, markDoubtful+"another run #001"+outputOf(result, "x"))
	require.NoError(t, mine.RecordOutputs(ctx, result, wire.OutputChange{Written: []string{"x"}}))
	written, doubtful, err := mine.Outputs(ctx, result)
	require.NoError(t, err)
	require.Contains(t, written, "x")
	require.Contains(t, doubtful, "x", "the other run's entry")
	require.NoError(t, mine.RecordOutputs(ctx, result, wire.OutputChange{Doubted: []string{"x"}}))
	written, doubtful, err = mine.Outputs(ctx, result)
	require.NoError(t, err)
	require.Empty(t, written)
	require.Contains(t, doubtful, "x")
}
