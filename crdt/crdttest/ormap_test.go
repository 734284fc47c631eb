package crdttest

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

// leaf is a dot store at the bottom of nested maps, with what its operations mean.
type leaf[S crdt.DotStore[S]] struct {
	codec  crdt.Codec[S]
	args   int // of add and remove: 0 … args-1
	add    func(s S, m *crdt.Minter, arg uint64) crdt.Change[S]
	remove func(s S, arg uint64) crdt.Change[S]
	value  func(s S) map[uint64]int
	// overwrites and removes say whether an operation with arg ends an add with old that it has seen.
	overwrites, removes func(arg, old uint64) bool
	// means is the value of the adds that live.
	means func(args []uint64) map[uint64]int
}

func always(_, _ uint64) bool   { return true }
func never(_, _ uint64) bool    { return false }
func same(arg, old uint64) bool { return arg == old }

func distinct(args []uint64) map[uint64]int {
	out := map[uint64]int{}
	for _, a := range args {
		out[a] = 1
	}
	return out
}

func setLeaf() leaf[*crdt.SetStore[uint64]] {
	type store = *crdt.SetStore[uint64]
	return leaf[store]{
		codec:  crdt.SetStoreCodec(Uints()),
		args:   4,
		add:    func(s store, m *crdt.Minter, e uint64) crdt.Change[store] { return s.Add(m, e) },
		remove: func(s store, e uint64) crdt.Change[store] { return s.Remove(e) },
		value: func(s store) map[uint64]int {
			out := map[uint64]int{}
			for e := range s.All() {
				out[e]++
			}
			return out
		},
		overwrites: same,
		removes:    same,
		means:      distinct,
	}
}

func counterLeaf() leaf[*crdt.CounterStore] {
	type store = *crdt.CounterStore
	return leaf[store]{
		codec:      crdt.CounterStoreCodec(),
		args:       4,
		add:        func(s store, m *crdt.Minter, n uint64) crdt.Change[store] { return s.Add(m, int64(n)*2-3) },
		remove:     func(s store, _ uint64) crdt.Change[store] { return s.Reset() },
		value:      func(s store) map[uint64]int { return map[uint64]int{0: int(s.Value())} },
		overwrites: never,
		removes:    always,
		means: func(args []uint64) map[uint64]int {
			sum := 0
			for _, n := range args {
				sum += int(n)*2 - 3
			}
			return map[uint64]int{0: sum}
		},
	}
}

func valueLeaf() leaf[*crdt.ValueStore[uint64]] {
	type store = *crdt.ValueStore[uint64]
	return leaf[store]{
		codec:  crdt.ValueStoreCodec(Uints()),
		args:   300,
		add:    func(s store, m *crdt.Minter, v uint64) crdt.Change[store] { return s.Set(m, v) },
		remove: func(s store, _ uint64) crdt.Change[store] { return s.Clear() },
		value: func(s store) map[uint64]int {
			out := map[uint64]int{}
			for v := range s.All() {
				out[v] = 1
			}
			return out
		},
		overwrites: always,
		removes:    always,
		means:      distinct,
	}
}

func flagLeaf() leaf[*crdt.FlagStore] {
	type store = *crdt.FlagStore
	return leaf[store]{
		codec:  crdt.FlagStoreCodec(),
		args:   1,
		add:    func(s store, m *crdt.Minter, _ uint64) crdt.Change[store] { return s.Enable(m) },
		remove: func(s store, _ uint64) crdt.Change[store] { return s.Disable() },
		value: func(s store) map[uint64]int {
			if s.Enabled() {
				return map[uint64]int{0: 1}
			}
			return map[uint64]int{}
		},
		overwrites: always,
		removes:    always,
		means:      distinct,
	}
}

// nested is a map of maps of leaves.
type nested[S crdt.DotStore[S]] = crdt.ORMap[uint64, *crdt.MapStore[uint64, S]]

// nestedOp is an operation on a nested map, of one leaf, of an inner key or of an outer key.
type nestedOp struct {
	add        bool
	depth      int // of a remove: 1 an outer key, 2 an inner key, 3 inside a leaf
	outer, key uint64
	arg        uint64
}

func drawNestedOp(draw choose, keys, args int) nestedOp {
	op := nestedOp{
		outer: uint64(draw("outer", keys)),
		key:   uint64(draw("key", keys)),
		arg:   uint64(draw("arg", args)),
	}
	op.add = draw("add", 5) < 3
	op.depth = 1 + draw("depth", 3)
	return op
}

func (l leaf[S]) change(v *crdt.MapStore[uint64, *crdt.MapStore[uint64, S]], m *crdt.Minter, op nestedOp,
) crdt.Change[*crdt.MapStore[uint64, *crdt.MapStore[uint64, S]]] {
	type inner = *crdt.MapStore[uint64, S]
	if !op.add && op.depth == 1 {
		return v.Remove(op.outer)
	}
	return v.Update(op.outer, func(in inner) crdt.Change[inner] {
		if !op.add && op.depth == 2 {
			return in.Remove(op.key)
		}
		return in.Update(op.key, func(s S) crdt.Change[S] {
			if op.add {
				return l.add(s, m, op.arg)
			}
			return l.remove(s, op.arg)
		})
	})
}

func (l leaf[S]) subject(keys int) Subject[*nested[S]] {
	values := crdt.MapStoreCodec(Uints(), l.codec)
	return Subject[*nested[S]]{
		New: crdt.NewORMap[uint64, *crdt.MapStore[uint64, S]],
		Begin: func() func(*rapid.T, int, *nested[S]) *nested[S] {
			ms := minters()
			return func(t *rapid.T, replica int, m *nested[S]) *nested[S] {
				draw := drawnBy(t)
				op := drawNestedOp(draw, keys, l.args)
				switch draw("way", 8) {
				case 0: // as a block does
					prepared := m.Prepare(func(v *crdt.MapStore[uint64, *crdt.MapStore[uint64, S]], d *crdt.Minter,
					) crdt.Change[*crdt.MapStore[uint64, *crdt.MapStore[uint64, S]]] {
						return l.change(v, d, op)
					})
					b := crdt.AppendORMapOp(nil, prepared, Uints(), values)
					decoded, err := crdt.DecodeORMapOp(b, Uints(), values)
					if err != nil {
						t.Fatal(err)
					}
					delta := decoded.Effect(ms[replica])
					m.Join(delta)
					return delta
				case 1:
					if draw("really", 4) == 0 {
						return m.Clear()
					}
					return nil
				default:
					return m.Apply(l.change(m.Values(), ms[replica], op))
				}
			}
		},
		Append:      func(b []byte, m *nested[S]) []byte { return m.Append(b, Uints(), values) },
		Decode:      func(b []byte) (*nested[S], error) { return crdt.DecodeORMap(b, Uints(), values) },
		LooseDigest: true, // where live dots are scattered
	}
}

func TestORMapLaws(t *testing.T) {
	t.Parallel()
	t.Run("sets", func(t *testing.T) { t.Parallel(); Laws(t, setLeaf().subject(2)) })
	t.Run("counters", func(t *testing.T) { t.Parallel(); Laws(t, counterLeaf().subject(2)) })
	t.Run("values", func(t *testing.T) { t.Parallel(); Laws(t, valueLeaf().subject(6)) })
	t.Run("flags", func(t *testing.T) { t.Parallel(); Laws(t, flagLeaf().subject(3)) })
}
