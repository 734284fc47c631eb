package crdt

import "cmp"

// Codecs of the types with parameters, as parts of other states and as variables. Types without have theirs
// by CodecOf: CodecOf(DecodeEWFlag).

func codecWith[L Lattice[L]](appendTo func(b []byte, l L) []byte, decode func(b []byte) (L, error)) Codec[L] {
	return Codec[L]{Append: appendTo, Decode: decode, Clone: func(l L) L { return l.Clone() }}
}

// SetCodec is the Codec of add-wins sets.
func SetCodec[E comparable](elements Codec[E]) Codec[*Set[E]] {
	return codecWith(func(b []byte, s *Set[E]) []byte { return s.Append(b, elements) },
		func(b []byte) (*Set[E], error) { return DecodeSet(b, elements) })
}

// RegisterCodec is the Codec of last-writer-wins registers.
func RegisterCodec[V any](values Codec[V]) Codec[*Register[V]] {
	return codecWith(func(b []byte, r *Register[V]) []byte { return r.Append(b, values) },
		func(b []byte) (*Register[V], error) { return DecodeRegister(b, values) })
}

// RegisterMapCodec is the Codec of maps of last-writer-wins registers.
func RegisterMapCodec[K comparable, V any](keys Codec[K], values Codec[V]) Codec[*RegisterMap[K, V]] {
	return codecWith(func(b []byte, m *RegisterMap[K, V]) []byte { return m.Append(b, keys, values) },
		func(b []byte) (*RegisterMap[K, V], error) { return DecodeRegisterMap(b, keys, values) })
}

// GSetCodec is the Codec of grow-only sets.
func GSetCodec[E comparable](elements Codec[E]) Codec[*GSet[E]] {
	return codecWith(func(b []byte, s *GSet[E]) []byte { return s.Append(b, elements) },
		func(b []byte) (*GSet[E], error) { return DecodeGSet(b, elements) })
}

// TwoPhaseSetCodec is the Codec of two-phase sets.
func TwoPhaseSetCodec[E comparable](elements Codec[E]) Codec[*TwoPhaseSet[E]] {
	return codecWith(func(b []byte, s *TwoPhaseSet[E]) []byte { return s.Append(b, elements) },
		func(b []byte) (*TwoPhaseSet[E], error) { return DecodeTwoPhaseSet(b, elements) })
}

// RWSetCodec is the Codec of remove-wins sets.
func RWSetCodec[E comparable](elements Codec[E]) Codec[*RWSet[E]] {
	return codecWith(func(b []byte, s *RWSet[E]) []byte { return s.Append(b, elements) },
		func(b []byte) (*RWSet[E], error) { return DecodeRWSet(b, elements) })
}

// MVRegisterCodec is the Codec of multi-value registers.
func MVRegisterCodec[V any](values Codec[V]) Codec[*MVRegister[V]] {
	return codecWith(func(b []byte, r *MVRegister[V]) []byte { return r.Append(b) },
		func(b []byte) (*MVRegister[V], error) { return DecodeMVRegister(b, values) })
}

// IVarCodec is the Codec of single-assignment variables.
func IVarCodec[V any](values Codec[V]) Codec[*IVar[V]] {
	return codecWith(func(b []byte, x *IVar[V]) []byte { return x.Append(b, values) },
		func(b []byte) (*IVar[V], error) { return DecodeIVar(b, values) })
}

// MaxRegisterCodec is the Codec of maximum registers in the order of cmp.Compare.
func MaxRegisterCodec[V cmp.Ordered](values Codec[V]) Codec[*MaxRegister[V]] {
	return codecWith(func(b []byte, r *MaxRegister[V]) []byte { return r.Append(b, values) },
		func(b []byte) (*MaxRegister[V], error) { return DecodeMaxRegister(b, values) })
}

// MinRegisterCodec is the Codec of minimum registers in the order of cmp.Compare.
func MinRegisterCodec[V cmp.Ordered](values Codec[V]) Codec[*MinRegister[V]] {
	return codecWith(func(b []byte, r *MinRegister[V]) []byte { return r.Append(b, values) },
		func(b []byte) (*MinRegister[V], error) { return DecodeMinRegister(b, values) })
}

// GraphCodec is the Codec of add-wins graphs.
func GraphCodec[V comparable](vertices Codec[V]) Codec[*Graph[V]] {
	return codecWith(func(b []byte, g *Graph[V]) []byte { return g.Append(b, vertices) },
		func(b []byte) (*Graph[V], error) { return DecodeGraph(b, vertices) })
}

// TwoPhaseGraphCodec is the Codec of two-phase graphs.
func TwoPhaseGraphCodec[V comparable](vertices Codec[V]) Codec[*TwoPhaseGraph[V]] {
	return codecWith(func(b []byte, g *TwoPhaseGraph[V]) []byte { return g.Append(b, vertices) },
		func(b []byte) (*TwoPhaseGraph[V], error) { return DecodeTwoPhaseGraph(b, vertices) })
}

// PartialOrderCodec is the Codec of add-remove partial orders.
func PartialOrderCodec[E comparable](elements Codec[E]) Codec[*PartialOrder[E]] {
	return codecWith(func(b []byte, o *PartialOrder[E]) []byte { return o.Append(b, elements) },
		func(b []byte) (*PartialOrder[E], error) { return DecodePartialOrder(b, elements) })
}

// ORMapCodec is the Codec of add-wins maps; that of values is SetStoreCodec or one of its kin.
func ORMapCodec[K comparable, S DotStore[S]](keys Codec[K], values Codec[S]) Codec[*ORMap[K, S]] {
	return codecWith(func(b []byte, m *ORMap[K, S]) []byte { return m.Append(b, keys, values) },
		func(b []byte) (*ORMap[K, S], error) { return DecodeORMap(b, keys, values) })
}

// GMapCodec is the Codec of grow-only maps; a key begins with what values makes of nothing.
func GMapCodec[K comparable, L Lattice[L]](keys Codec[K], values Codec[L]) Codec[*GMap[K, L]] {
	least := func() L { return emptyPart(values) }
	return codecWith(func(b []byte, m *GMap[K, L]) []byte { return m.Append(b, keys, values) },
		func(b []byte) (*GMap[K, L], error) { return DecodeGMap(b, keys, values, least) })
}

// EmptyState returns the empty state that a replica begins with: what the codec makes of nil, which knows the
// codecs inside.
func EmptyState[L Lattice[L]](codec Codec[L]) L { return emptyPart(codec) }
