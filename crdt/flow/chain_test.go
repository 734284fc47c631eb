package flow_test

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt/flow"
)

type count = flow.Entry[string, int64]

// The two wines that most people like: a fold over a fold, each change of which is a death and a birth.
var (
	chainLikes = flow.Input[like]("likes")
	chainEven  = flow.Filter("even", chainLikes, even)
	chainBoth  = flow.Union("both", chainLikes, chainEven)
	chainCount = flow.CountBy("count", chainBoth, wine)
	chainBest  = flow.TopBy("best", chainCount, func(count) string { return "all" }, 2,
		func(a, b count) int { return cmp.Compare(a.Value, b.Value) })
	bestCodec  = flow.EntryCodec(textCodec, countCodec)
	chainBound = []flow.Bound{
		flow.Bind(chainLikes, likeCodec, 1), flow.Bind(chainEven, likeCodec, 2), flow.Bind(chainBoth, likeCodec, 3),
		flow.Bind(chainCount, countCodec, 4), flow.Bind(chainBest, bestCodec, 5),
	}
)

// run is the least of hosts: every node in topological order, one change at a time.
type run struct {
	t   *rapid.T
	g   *flow.Graph
	ops map[string]*flow.Operator
}

func newRun(t *rapid.T) run {
	g, err := flow.Compile(chainBound)
	require.NoError(t, err)
	r := run{t, g, map[string]*flow.Operator{}}
	for _, n := range g.Nodes() {
		r.ops[n.Name], err = g.New(n.Name)
		require.NoError(t, err)
	}
	return r
}

func (r run) push(batch []byte) (best []byte) {
	out := map[string][][]byte{}
	for _, n := range r.g.Nodes() {
		ports := [][][]byte{{batch}}
		if n.Op != "input" {
			ports = nil
			for _, in := range n.Inputs {
				ports = append(ports, out[in])
			}
		}
		for port, batches := range ports {
			for _, b := range batches {
				o, err := r.ops[n.Name].Apply(port, b)
				require.NoError(r.t, err)
				if o != nil {
					out[n.Name] = append(out[n.Name], o)
				}
			}
		}
	}
	return bytes.Join(out["best"], nil)
}

// reset gives every node the snapshots of its inputs anew, as after the loss of all its upstreams.
func (r run) reset(t *rapid.T) {
	for _, n := range r.g.Nodes() {
		var inputs [][][]byte
		for _, in := range n.Inputs {
			inputs = append(inputs, collect(r.ops[in], 30))
		}
		if inputs == nil {
			continue
		}
		out, err := r.ops[n.Name].Replace(inputs)
		require.NoError(t, err)
		require.Nil(t, out, "nothing has changed")
	}
}

func TestGraphOfFoldsOverFoldsEqualsRecomputation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, likes := newRun(t), bag[like]{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			delta := bag[like]{}
			for range rapid.IntRange(1, 5).Draw(t, "items") {
				delta.add(genLike.Draw(t, "like"), rapid.SampledFrom([]int64{1, 1, -1}).Draw(t, "weight"))
			}
			for e, w := range delta {
				likes.add(e, w)
			}
			r.push(delta.encode(likeCodec))

			counts := map[string]int64{}
			for _, e := range likes.present() {
				counts[e.Value]++
			}
			ranking := entries(counts).present()
			slices.SortFunc(ranking, func(a, b count) int {
				return cmp.Or(cmp.Compare(b.Value, a.Value), bytes.Compare(countCodec.Append(nil, a), countCodec.Append(nil, b)))
			})
			want := bag[flow.Entry[string, count]]{}
			for _, c := range ranking[:min(2, len(ranking))] {
				want.add(flow.Entry[string, count]{Key: "all", Value: c}, 1)
			}
			require.True(t, bytes.Equal(want.encode(bestCodec), bytes.Join(collect(r.ops["best"], 0), nil)))
			r.reset(t)
		}
	})
}
