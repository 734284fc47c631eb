package crdttest

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

type graph = *crdt.Graph[uint64]

// graphOp is an operation on a graph; to is unused for a vertex.
type graphOp struct {
	add, edge bool
	from, to  uint64
}

func drawGraphOp(draw choose) graphOp {
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
				draw := drawnBy(t)
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

// perform says whether the operation is one that is not refused.
func (o *graphOracle) perform(op graphOp, heard uint64) (ok bool) {
	vs, _ := o.value(heard)
	if op.add && op.edge && (!vs[op.from] || !vs[op.to]) {
		o.ops, o.observed = append(o.ops, graphOp{}), append(o.observed, 0) // it has a number, and does nothing
		return false
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
	return true
}

// runGraphOracle drives a history that draw chooses and returns the first contradiction.
func runGraphOracle(draw choose, bad bool) error {
	var o graphOracle
	var refused error
	d := driver[graph]{
		replicated: replicated[graph]{
			new:   crdt.NewGraph[uint64],
			join:  func(g, delta graph) { g.Join(delta) },
			clone: graph.Clone,
			since: func(from, to graph) graph {
				delta, err := from.Since(to.Digest())
				if err != nil {
					panic(err)
				}
				return delta
			},
		},
		perform: func(r heardState[graph], m *crdt.Minter, draw choose) (delta graph, what string) {
			op := drawGraphOp(draw)
			delta = applyGraphOp(r.state, m, op)
			if !o.perform(op, r.heard) && delta != nil {
				refused = fmt.Errorf("%+v was not refused", op)
			}
			return delta, fmt.Sprintf("does %+v", op)
		},
		check: func(r heardState[graph]) error {
			if refused != nil {
				return refused
			}
			return o.check(r, bad)
		},
	}
	if err := d.run(draw); err != nil {
		return err
	}
	for i, r := range d.replicas {
		if !r.state.Equal(d.replicas[0].state) {
			return fmt.Errorf("replica %d differs when all is repaired", i)
		}
	}
	return nil
}

// check says what is wrong with a replica; bad takes edges whose ends are gone for right.
func (o *graphOracle) check(r heardState[graph], bad bool) error {
	g := r.state
	vs, es := o.value(r.heard)
	got := slices.Collect(g.Edges())
	if bad { // as if an edge needed no ends
		es = map[[2]uint64]bool{}
		for a := o.alive(r.heard); a != 0; a &= a - 1 {
			if op := o.ops[bits.TrailingZeros64(a)]; op.edge {
				es[[2]uint64{op.from, op.to}] = true
			}
		}
	}
	n := 0
	for v := range g.Vertices() {
		n++
		if !vs[v] {
			return fmt.Errorf("has vertex %d: %v", v, g)
		}
		at := 0
		for _, e := range got {
			if e.From == v || e.To == v {
				at++
			}
		}
		if at != len(slices.Collect(g.Neighbours(v))) {
			return fmt.Errorf("neighbours of %d in %v", v, g)
		}
	}
	if n != len(vs) || len(got) != len(es) {
		return fmt.Errorf("holds %v, want %v %v", g, vs, es)
	}
	for _, e := range got {
		if !es[[2]uint64{e.From, e.To}] || !g.HasEdge(e.From, e.To) {
			return fmt.Errorf("has edge %v: %v", e, g)
		}
	}
	return nil
}

func TestGraphMeansAddWins(t *testing.T) {
	t.Parallel()
	holds(t, 1000, func(draw choose) error { return runGraphOracle(draw, false) })
	contradicted(t, func(draw choose) error { return runGraphOracle(draw, true) })
}
