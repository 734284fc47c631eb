package crdttest

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

type twoPhase = *crdt.TwoPhaseGraph[uint64]

func applyTwoPhase(g twoPhase, op graphOp) (delta twoPhase, err error) {
	switch {
	case op.add && op.edge:
		return g.AddEdge(op.from, op.to)
	case op.add:
		return g.AddVertex(op.from)
	case op.edge:
		return g.RemoveEdge(op.from, op.to)
	default:
		return g.RemoveVertex(op.from)
	}
}

func TestTwoPhaseGraphLaws(t *testing.T) {
	t.Parallel()
	Laws(t, Subject[twoPhase]{
		New: func() twoPhase { return crdt.NewTwoPhaseGraph(Uints()) },
		Begin: func() func(*rapid.T, int, twoPhase) twoPhase {
			return func(t *rapid.T, _ int, g twoPhase) twoPhase {
				draw := drawnBy(t)
				delta, _ := applyTwoPhase(g, drawGraphOp(draw))
				return delta
			}
		},
		Append: func(b []byte, g twoPhase) []byte { return g.Append(b, Uints()) },
		Decode: func(b []byte) (twoPhase, error) { return crdt.DecodeTwoPhaseGraph(b, Uints()) },
	})
}

// fourSets is the graph as it is specified: sets of the vertices and edges added and removed.
type fourSets struct{ va, vr, ea, er map[[2]uint64]bool }

func newFourSets() fourSets {
	return fourSets{map[[2]uint64]bool{}, map[[2]uint64]bool{}, map[[2]uint64]bool{}, map[[2]uint64]bool{}}
}

func (s fourSets) join(o fourSets) {
	maps.Copy(s.va, o.va)
	maps.Copy(s.vr, o.vr)
	maps.Copy(s.ea, o.ea)
	maps.Copy(s.er, o.er)
}

func (s fourSets) vertex(v uint64) bool { k := [2]uint64{v}; return s.va[k] && !s.vr[k] }

func (s fourSets) edge(from, to uint64) bool {
	k := [2]uint64{from, to}
	return s.ea[k] && !s.er[k] && s.vertex(from) && s.vertex(to)
}

// apply returns the delta, and whether the precondition held.
func (s fourSets) apply(op graphOp) (fourSets, bool) {
	d := newFourSets()
	v, e := [2]uint64{op.from}, [2]uint64{op.from, op.to}
	ok := true
	switch {
	case op.add && op.edge:
		ok = s.vertex(op.from) && s.vertex(op.to) && !s.er[e]
		d.ea[e] = true
	case op.add:
		ok = !s.vr[v]
		d.va[v] = true
	case op.edge:
		ok = s.edge(op.from, op.to)
		d.ea[e], d.er[e] = true, true
	default:
		ok = s.vertex(op.from)
		for e := range s.ea {
			ok = ok && !(s.edge(e[0], e[1]) && (e[0] == op.from || e[1] == op.from))
		}
		d.va[v], d.vr[v] = true, true
	}
	if ok {
		s.join(d)
	}
	return d, ok
}

func TestTwoPhaseGraphMeansFourSets(t *testing.T) {
	t.Parallel()
	type both struct {
		real  twoPhase
		model fourSets
	}
	run := func(t require.TestingT, draw choose) {
		var replicas [Replicas]both
		for i := range replicas {
			replicas[i] = both{crdt.NewTwoPhaseGraph(Uints()), newFourSets()}
		}
		var messages []both
		for range 5 + draw("steps", 50) {
			r := &replicas[draw("replica", Replicas)]
			switch step := draw("step", 5); {
			case step <= 2:
				op := drawGraphOp(draw)
				delta, err := applyTwoPhase(r.real, op)
				want, ok := r.model.apply(op)
				require.Equal(t, ok, err == nil, "%+v: %v", op, err)
				if delta != nil { // what is there already is no news
					messages = append(messages, both{delta, want})
				}
			case step == 3 && len(messages) > 0:
				m := messages[draw("message", len(messages))]
				r.real.Join(m.real)
				r.model.join(m.model)
			default:
				o := &replicas[draw("from", Replicas)]
				d, err := o.real.Since(r.real.Digest())
				require.NoError(t, err)
				r.real.Join(d)
				r.model.join(o.model)
			}
			var vs []uint64
			es := 0
			for v := range uint64(3) {
				require.Equal(t, r.model.vertex(v), r.real.HasVertex(v))
				if r.model.vertex(v) {
					vs = append(vs, v)
				}
				for w := range uint64(3) {
					require.Equal(t, r.model.edge(v, w), r.real.HasEdge(v, w))
					if r.model.edge(v, w) {
						es++
					}
				}
			}
			require.Equal(t, vs, slices.Collect(r.real.Vertices()))
			require.Len(t, slices.Collect(r.real.Edges()), es)
		}
	}
	rapid.Check(t, func(t *rapid.T) { run(t, drawnBy(t)) })
	for seed := range seeds.Of(t, 300) {
		run(t, random(seed))
	}
}
