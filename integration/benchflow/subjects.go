package main

import (
	"cmp"
	"iter"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

const (
	chainName   = "filter → map → sum by group"
	joinName    = "join"
	productName = "product"
)

// Elements of a group: in folds, and on each side of a join.
const (
	foldGroup = 100
	joinGroup = 10
)

type (
	set    = map[uint64]struct{}
	values = map[uint64]uint64
	couple = flow.Pair[uint64, uint64]
)

var (
	signed = crdt.Codec[int64]{
		Append: func(b []byte, v int64) []byte { return codec.Append(b, uint64(v)) },
		Decode: func(b []byte) (int64, error) {
			v, err := codec.Decode(b)
			return int64(v), err
		},
	}
	averages = crdt.Codec[flow.Average]{
		Append: func(b []byte, a flow.Average) []byte { return signed.Append(signed.Append(b, a.Sum), a.Count) },
		Decode: func(b []byte) (a flow.Average, err error) {
			at := min(8, len(b))
			if a.Sum, err = signed.Decode(b[:at]); err == nil {
				a.Count, err = signed.Decode(b[at:])
			}
			return a, err
		},
	}
	entries  = flow.EntryCodec(codec, codec)
	counteds = flow.EntryCodec(codec, signed)
	means    = flow.EntryCodec(codec, averages)
	couples  = flow.PairCodec(codec, codec)
)

func keep(e uint64) bool     { return e%8 != 7 }
func triple(e uint64) uint64 { return 3 * e }

func twice(e uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) { _ = yield(2*e) && yield(2*e+1) }
}

// by puts n elements, and those that come to them, into groups of a size.
func by(n, size int) func(uint64) uint64 {
	groups := uint64(max(1, n/size))
	return func(e uint64) uint64 { return e % groups }
}

// fresh is the i-th element that comes to n. No filter drops it.
func fresh(n int) func(int) uint64 {
	return func(i int) uint64 { return uint64((n+7)/8*8 + i/7*8 + i%7) }
}

// graph binds the sources and nodes of n elements, and makes the operators of some of the nodes.
func graph(names []string, nodes ...flow.Bound) func() ([]*flow.Operator, error) {
	return func() ([]*flow.Operator, error) {
		g, err := flow.Compile(append([]flow.Bound{flow.Bind(inputs[0], codec, 1), flow.Bind(inputs[1], codec, 1)}, nodes...))
		if err != nil {
			return nil, err
		}
		var ops []*flow.Operator
		for _, name := range names {
			op, err := g.New(name)
			if err != nil {
				return nil, err
			}
			ops = append(ops, op)
		}
		return ops, nil
	}
}

// inputs are the graphs' sources; not variables of their own, for which the generator would write codecs.
var inputs = [...]flow.Node[uint64]{flow.Input[uint64]("left"), flow.Input[uint64]("right")}

// one is a subject of one operator, which bears its node's name.
func one[B comparable](n int, node flow.Node[B], out crdt.Codec[B], naive func(set, []uint64) any) subject {
	name := node.Spec().Name
	return subject{name: name, chain: graph([]string{name}, flow.Bind(node, out, 1)), n: n, fresh: fresh(n), naive: naive}
}

// beside gives a subject as many elements at port 1: the same ones.
func (s subject) beside(n int) subject {
	s.other = make([]uint64, n)
	for i := range s.other {
		s.other[i] = uint64(i)
	}
	return s
}

// sums is a fold in plain Go.
func sums(in set, by func(uint64) uint64, fold func(sum, e uint64) uint64) values {
	out := values{}
	for e := range in {
		out[by(e)] = fold(out[by(e)], e)
	}
	return out
}

func plus(sum, e uint64) uint64 { return sum + e }

// collected is the collection of what each element puts there.
func collected(in set, each func(e uint64, put func(uint64))) set {
	out := set{}
	for e := range in {
		each(e, func(o uint64) { out[o] = struct{}{} })
	}
	return out
}

func contents(other []uint64) set {
	out := set{}
	for _, e := range other {
		out[e] = struct{}{}
	}
	return out
}

// subjects make what is measured, for n elements.
var subjects = []func(n int) subject{
	func(n int) subject {
		kept := flow.Filter("keep", inputs[0], keep)
		mapped := flow.Map("triple", kept, triple)
		group := by(n, foldGroup)
		sum := flow.SumBy("sum", mapped, group, func(e uint64) uint64 { return e })
		return subject{
			name: chainName, n: n, fresh: fresh(n),
			chain: graph([]string{"keep", "triple", "sum"}, flow.Bind(kept, codec, 1), flow.Bind(mapped, codec, 1), flow.Bind(sum, entries, 1)),
			naive: func(in set, _ []uint64) any {
				kept := collected(in, func(e uint64, put func(uint64)) {
					if keep(e) {
						put(e)
					}
				})
				mapped := collected(kept, func(e uint64, put func(uint64)) { put(triple(e)) })
				return sums(mapped, group, plus)
			},
		}
	},
	func(n int) subject {
		return one(n, flow.Filter("filter", inputs[0], keep), codec, func(in set, _ []uint64) any {
			return collected(in, func(e uint64, put func(uint64)) {
				if keep(e) {
					put(e)
				}
			})
		})
	},
	func(n int) subject {
		return one(n, flow.Map("map", inputs[0], triple), codec, func(in set, _ []uint64) any {
			return collected(in, func(e uint64, put func(uint64)) { put(triple(e)) })
		})
	},
	func(n int) subject {
		return one(n, flow.FlatMap("flat-map", inputs[0], twice), codec, func(in set, _ []uint64) any {
			return collected(in, func(e uint64, put func(uint64)) {
				for o := range twice(e) {
					put(o)
				}
			})
		})
	},
	func(n int) subject {
		return one(n, flow.Union("union", inputs[0], inputs[1]), codec, func(in set, other []uint64) any {
			out := contents(other)
			for e := range in {
				out[e] = struct{}{}
			}
			return out
		}).beside(n)
	},
	func(n int) subject {
		return one(n, flow.Distinct("distinct", inputs[0]), codec, func(in set, _ []uint64) any {
			return collected(in, func(e uint64, put func(uint64)) { put(e) })
		})
	},
	func(n int) subject {
		s := one(n, flow.Intersection("intersection", inputs[0], inputs[1]), codec, func(in set, other []uint64) any {
			also := contents(other)
			return collected(in, func(e uint64, put func(uint64)) {
				if _, ok := also[e]; ok {
					put(e)
				}
			})
		}).beside(n)
		for i := range n / 10 {
			s.other = append(s.other, s.fresh(i)) // so that what comes to the left meets its like
		}
		return s
	},
	func(n int) subject {
		return one(n, flow.DifferenceNonMonotone("difference", inputs[0], inputs[1]), codec, func(in set, other []uint64) any {
			also := contents(other)
			return collected(in, func(e uint64, put func(uint64)) {
				if _, ok := also[e]; !ok {
					put(e)
				}
			})
		}).beside(n)
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.CountBy("count by group", inputs[0], group), counteds, func(in set, _ []uint64) any {
			return sums(in, group, func(sum, _ uint64) uint64 { return sum + 1 })
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.SumBy("sum by group", inputs[0], group, func(e uint64) uint64 { return e }), entries, func(in set, _ []uint64) any {
			return sums(in, group, plus)
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.AverageBy("average by group", inputs[0], group, func(e uint64) uint64 { return e }), means, func(in set, _ []uint64) any {
			out := map[uint64]flow.Average{}
			for e := range in {
				a := out[group(e)]
				out[group(e)] = flow.Average{Sum: a.Sum + int64(e), Count: a.Count + 1}
			}
			return out
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.MinBy("min by group", inputs[0], group, cmp.Compare[uint64]), entries, func(in set, _ []uint64) any {
			out := values{}
			for e := range in {
				if least, ok := out[group(e)]; !ok || e < least {
					out[group(e)] = e
				}
			}
			return out
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.MaxBy("max by group", inputs[0], group, cmp.Compare[uint64]), entries, func(in set, _ []uint64) any {
			return sums(in, group, func(most, e uint64) uint64 { return max(most, e) })
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		return one(n, flow.TopBy("top 10 by group", inputs[0], group, 10, cmp.Compare[uint64]), entries, func(in set, _ []uint64) any {
			out := map[uint64][]uint64{}
			for e := range in {
				out[group(e)] = append(out[group(e)], e)
			}
			for g, es := range out {
				slices.Sort(es)
				out[g] = es[max(0, len(es)-10):]
			}
			return out
		})
	},
	func(n int) subject {
		group := by(n, foldGroup)
		most := func(a, b uint64) uint64 { return max(a, b) }
		return one(n, flow.FoldBy("fold by group, in a tree", inputs[0], group, func(e uint64) uint64 { return e }, most), entries, func(in set, _ []uint64) any {
			return sums(in, group, most)
		})
	},
	func(n int) subject {
		key := by(n, joinGroup)
		return one(n, flow.Join(joinName, inputs[0], key, inputs[1], key), couples, func(in set, other []uint64) any {
			at := map[uint64][]uint64{}
			for _, e := range other {
				at[key(e)] = append(at[key(e)], e)
			}
			var out []couple
			for e := range in {
				for _, o := range at[key(e)] {
					out = append(out, couple{A: e, B: o})
				}
			}
			return out
		}).beside(n)
	},
	func(n int) subject {
		return one(n, flow.Product(productName, inputs[0], inputs[1]), couples, func(in set, other []uint64) any {
			var out []couple
			for e := range in {
				for _, o := range other {
					out = append(out, couple{A: e, B: o})
				}
			}
			return out
		}).beside(joinGroup)
	},
}
