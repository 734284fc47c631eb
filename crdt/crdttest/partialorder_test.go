package crdttest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

type order = *crdt.PartialOrder[uint64]

// orderNames hands out names that no other element has.
type orderNames struct{ next uint64 }

func (n *orderNames) position(draw choose, label string) (crdt.Position[uint64], uint64) {
	switch k := draw(label, int(n.next)+2); k {
	case 0:
		return crdt.Start[uint64](), 0
	case 1:
		return crdt.End[uint64](), 0
	default:
		return crdt.At(uint64(k - 1)), uint64(k - 1)
	}
}

func TestPartialOrderLaws(t *testing.T) {
	t.Parallel()
	Laws(t, Subject[order]{
		New: func() order { return crdt.NewPartialOrder(Uints()) },
		Begin: func() func(*rapid.T, int, order) order {
			names := &orderNames{}
			return func(t *rapid.T, _ int, o order) order {
				draw := drawnBy(t)
				a, e := names.position(draw, "after")
				b, _ := names.position(draw, "before")
				if draw("remove", 4) == 0 {
					delta, _ := o.Remove(e)
					return delta
				}
				delta, err := o.Add(names.next+1, a, b)
				if err == nil {
					names.next++
				}
				return delta
			}
		},
		Append: func(b []byte, o order) []byte { return o.Append(b, Uints()) },
		Decode: func(b []byte) (order, error) { return crdt.DecodePartialOrder(b, Uints()) },
	})
}

// TestPartialOrderMeansItsHistory compares with the order that follows from the adds heard of: the closure
// of after and before, over removed elements too.
func TestPartialOrderMeansItsHistory(t *testing.T) {
	t.Parallel()
	type fact struct {
		e             uint64
		gone          bool
		after, before uint64 // 0 is the start, or the end
	}
	type replica struct {
		real  order
		facts map[fact]bool
	}
	run := func(t require.TestingT, draw choose) {
		var replicas [Replicas]replica
		for i := range replicas {
			replicas[i] = replica{crdt.NewPartialOrder(Uints()), map[fact]bool{}}
		}
		names := &orderNames{}
		type message struct {
			delta order
			fact  fact
		}
		var messages []message
		for range 5 + draw("steps", 30) {
			r := &replicas[draw("replica", Replicas)]
			switch step := draw("step", 5); {
			case step <= 2:
				a, after := names.position(draw, "after")
				b, before := names.position(draw, "before")
				var delta order
				var err error
				f := fact{e: after, gone: true}
				if draw("remove", 4) == 0 {
					delta, err = r.real.Remove(after)
				} else {
					f = fact{e: names.next + 1, after: after, before: before}
					if delta, err = r.real.Add(f.e, a, b); err == nil {
						names.next++
					}
				}
				if err == nil {
					r.facts[f] = true
					messages = append(messages, message{delta, f})
				}
			case step == 3 && len(messages) > 0:
				m := messages[draw("message", len(messages))]
				r.real.Join(m.delta)
				r.facts[m.fact] = true
			default:
				o := replicas[draw("from", Replicas)]
				d, err := o.real.Since(r.real.Digest())
				require.NoError(t, err)
				r.real.Join(d)
				for f := range o.facts {
					r.facts[f] = true
				}
			}
			n := names.next + 1
			before := make([][]bool, n)
			for i := range before {
				before[i] = make([]bool, n)
			}
			placed, gone := make([]bool, n), make([]bool, n)
			for f := range r.facts {
				if f.gone {
					gone[f.e] = true
					continue
				}
				placed[f.e] = true
				if f.after > 0 {
					before[f.after][f.e] = true
				}
				if f.before > 0 {
					before[f.e][f.before] = true
				}
			}
			for k := range n {
				for i := range n {
					for j := range n {
						before[i][j] = before[i][j] || before[i][k] && before[k][j]
					}
				}
			}
			line := slices.Collect(r.real.All())
			count := 0
			for i := uint64(1); i < n; i++ {
				require.Equal(t, placed[i] && !gone[i], r.real.Contains(i))
				at := slices.Index(line, i)
				require.Equal(t, placed[i] && !gone[i], at >= 0)
				if at >= 0 {
					count++
				}
				for j := uint64(1); j < n; j++ {
					require.Equal(t, before[i][j], r.real.Before(crdt.At(i), crdt.At(j)))
					require.False(t, before[i][j] && before[j][i], "names are used once, so there are no cycles")
					if to := slices.Index(line, j); at >= 0 && to >= 0 && before[i][j] {
						require.Less(t, at, to)
					}
				}
			}
			require.Len(t, line, count)
		}
	}
	rapid.Check(t, func(t *rapid.T) { run(t, drawnBy(t)) })
	for seed := range seeds.Of(t, 100) {
		run(t, random(seed))
	}
}
