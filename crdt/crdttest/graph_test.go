package crdttest

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

type graph = *crdt.Graph[uint64]

// graphOp is an operation on a graph; to is unused for a vertex.
type graphOp struct {
	add, edge bool
	from, to  uint64
}

func drawGraphOp(draw func(string, int) int) graphOp {
	const vertices = 3
	return graphOp{draw("add", 5) < 3, draw("edge", 2) == 0, uint64(draw("from", vertices)), uint64(draw("to", vertices))}
}

func applyGraphOp(g graph, m *crdt.Minter, op graphOp) graph {
	switch {
	case op.add && op.edge:
		delta, _ := g.AddEdge(m, op.from, op.to)
		return delta
	case op.add:
		return g.AddVertex(m, op.from)
	case op.edge:
		return g.RemoveEdge(op.from, op.to)
	default:
		return g.RemoveVertex(op.from)
	}
}

func TestGraphLaws(t *testing.T) {
	t.Parallel()
	Laws(t, Subject[graph]{
		New: crdt.NewGraph[uint64],
		Begin: func() func(*rapid.T, int, graph) graph {
			ms := minters()
			return func(t *rapid.T, replica int, g graph) graph {
				draw := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
				return applyGraphOp(g, ms[replica], drawGraphOp(draw))
			}
		},
		Append:      func(b []byte, g graph) []byte { return g.Append(b, Uints()) },
		Decode:      func(b []byte) (graph, error) { return crdt.DecodeGraph(b, Uints()) },
		LooseDigest: true,
	})
}

// graphOracle knows operations and what each observed, as bit sets, and no dots.
type graphOracle struct {
	ops      []graphOp
	observed []uint64
}

func (o *graphOracle) alive(heard uint64) (adds uint64) {
	var ended uint64
	for h := heard; h != 0; h &= h - 1 {
		i := bits.TrailingZeros64(h)
		if o.ops[i].add {
			adds |= 1 << i
		}
		ended |= o.observed[i]
	}
	return adds &^ ended
}

func (o *graphOracle) value(heard uint64) (vs map[uint64]bool, es map[[2]uint64]bool) {
	vs, es = map[uint64]bool{}, map[[2]uint64]bool{}
	alive := o.alive(heard)
	for a := alive; a != 0; a &= a - 1 {
		if op := o.ops[bits.TrailingZeros64(a)]; !op.edge {
			vs[op.from] = true
		}
	}
	for a := alive; a != 0; a &= a - 1 {
		if op := o.ops[bits.TrailingZeros64(a)]; op.edge && vs[op.from] && vs[op.to] {
			es[[2]uint64{op.from, op.to}] = true
		}
	}
	return vs, es
}

// perform returns the number of the operation; ok is false when it is refused.
func (o *graphOracle) perform(op graphOp, heard uint64) (n int, ok bool) {
	vs, _ := o.value(heard)
	if op.add && op.edge && (!vs[op.from] || !vs[op.to]) {
		return 0, false
	}
	var observed uint64
	for a := o.alive(heard); a != 0; a &= a - 1 {
		i := bits.TrailingZeros64(a)
		old := o.ops[i]
		var ends bool
		switch {
		case op.edge:
			ends = old.edge && old.from == op.from && old.to == op.to
		case old.edge: // the edges of a vertex that goes, or that comes
			ends = (old.from == op.from || old.to == op.from) && (!op.add || !vs[op.from])
		default:
			ends = old.from == op.from
		}
		if ends {
			observed |= 1 << i
		}
	}
	o.ops, o.observed = append(o.ops, op), append(o.observed, observed)
	return len(o.ops) - 1, true
}

func runGraphOracle(draw func(label string, n int) int, bad bool) error {
	var (
		o        graphOracle
		replicas [Replicas]heardState[graph]
		ms       = minters()
		messages []heardState[graph]
	)
	for i := range replicas {
		replicas[i].state = crdt.NewGraph[uint64]()
	}
	check := func(i int) error {
		g := replicas[i].state
		vs, es := o.value(replicas[i].heard)
		got := slices.Collect(g.Edges())
		if bad { // as if an edge needed no ends
			es = map[[2]uint64]bool{}
			for a := o.alive(replicas[i].heard); a != 0; a &= a - 1 {
				if op := o.ops[bits.TrailingZeros64(a)]; op.edge {
					es[[2]uint64{op.from, op.to}] = true
				}
			}
		}
		n := 0
		for v := range g.Vertices() {
			n++
			if !vs[v] {
				return fmt.Errorf("replica %d has vertex %d: %v, after %v", i, v, g, o.ops)
			}
			at := 0
			for _, e := range got {
				if e.From == v || e.To == v {
					at++
				}
			}
			if at != len(slices.Collect(g.Neighbours(v))) {
				return fmt.Errorf("replica %d: neighbours of %d in %v", i, v, g)
			}
		}
		if n != len(vs) || len(got) != len(es) {
			return fmt.Errorf("replica %d holds %v, want %v %v, after %v", i, g, vs, es, o.ops)
		}
		for _, e := range got {
			if !es[[2]uint64{e.From, e.To}] || !g.HasEdge(e.From, e.To) {
				return fmt.Errorf("replica %d has edge %v: %v, after %v", i, e, g, o.ops)
			}
		}
		return nil
	}
	repair := func(from, to int) error {
		d, err := replicas[from].state.Since(replicas[to].state.Digest())
		replicas[to].state.Join(d)
		replicas[to].heard |= replicas[from].heard
		return err
	}
	for steps := 5 + draw("steps", 50); steps > 0; steps-- {
		i := draw("replica", Replicas)
		r := &replicas[i]
		switch step := draw("step", 12); {
		case step <= 5:
			op := drawGraphOp(draw)
			delta := applyGraphOp(r.state, ms[i], op)
			n, ok := o.perform(op, r.heard)
			if !ok {
				if delta != nil {
					return fmt.Errorf("replica %d: %+v was not refused", i, op)
				}
				continue
			}
			r.heard |= 1 << n
			messages = append(messages, heardState[graph]{delta.Clone(), 1 << n})
		case step <= 8 && len(messages) > 0: // any order, again and again, or never
			m := messages[draw("message", len(messages))]
			r.state.Join(m.state)
			r.heard |= m.heard
		case step == 9 && len(messages) > 1: // grouped
			a, b := messages[draw("a", len(messages))], messages[draw("b", len(messages))]
			group := a.state.Clone()
			group.Join(b.state)
			messages = append(messages, heardState[graph]{group, a.heard | b.heard})
		case step == 10:
			if err := repair((i+1)%Replicas, i); err != nil {
				return err
			}
		}
		if err := check(i); err != nil {
			return err
		}
	}
	for range 2 {
		for i := range replicas {
			if err := repair(i, (i+1)%Replicas); err != nil {
				return err
			}
		}
	}
	for i := range replicas {
		if err := check(i); err != nil {
			return err
		}
		if !replicas[i].state.Equal(replicas[0].state) {
			return fmt.Errorf("replica %d differs when all is repaired", i)
		}
	}
	return nil
}

func TestGraphMeansAddWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
		require.NoError(t, runGraphOracle(draw, false))
	})
	for seed := range seeds.Of(t, 1000) {
		require.NoError(t, runGraphOracle(random(seed), false), "seed %d", seed)
	}
	for seed := range seeds.UpTo(t, 1000) {
		if runGraphOracle(random(seed), true) != nil {
			return
		}
	}
	t.Fatal("the oracle takes graphs whose edges outlive their ends")
}
