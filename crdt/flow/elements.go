package flow

import (
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// Elements says which collection of E the states of a lattice L are, and which changes of it a delta makes.
// It is what feeds are made of (NewFeed, NewFeedBy). It is immutable and safe for concurrent use.
//
// Elements must equal themselves; batches with a NaN, or what holds one, are refused by operators.
type Elements[L crdt.Lattice[L], E comparable] struct {
	states crdt.Codec[L]
	elem   crdt.Codec[E]
	join   func(state, delta L, tell func(e E, weight int64))
	each   func(state L, tell func(e E, weight int64))
}

// Codec is that of the elements, with which the source is bound.
func (e Elements[L, E]) Codec() crdt.Codec[E] { return e.elem }

// SetElements: the elements of an add-wins set, each with the number of dots that support it.
func SetElements[E comparable](elem crdt.Codec[E]) Elements[*crdt.Set[E], E] {
	type tell = func(E, int64)
	return Elements[*crdt.Set[E], E]{
		states: crdt.SetCodec(elem), elem: elem,
		join: func(s, delta *crdt.Set[E], tell tell) {
			s.JoinTrace(delta, func(e E, _ crdt.Dot) { tell(e, +1) }, func(e E, _ crdt.Dot) { tell(e, -1) })
		},
		each: func(s *crdt.Set[E], tell tell) {
			for e := range s.All() {
				tell(e, int64(len(s.Dots(e))))
			}
		},
	}
}

// RWSetElements: the elements of a remove-wins set.
func RWSetElements[E comparable](elem crdt.Codec[E]) Elements[*crdt.RWSet[E], E] {
	type tell = func(E, int64)
	return Elements[*crdt.RWSet[E], E]{
		states: crdt.RWSetCodec(elem), elem: elem,
		join: func(s, delta *crdt.RWSet[E], tell tell) {
			s.JoinTrace(delta, func(e E) { tell(e, +1) }, func(e E) { tell(e, -1) })
		},
		each: func(s *crdt.RWSet[E], tell tell) { once(s.All(), tell) },
	}
}

// GSetElements: the elements of a grow-only set.
func GSetElements[E comparable](elem crdt.Codec[E]) Elements[*crdt.GSet[E], E] {
	type tell = func(E, int64)
	return Elements[*crdt.GSet[E], E]{
		states: crdt.GSetCodec(elem), elem: elem,
		join: func(s, delta *crdt.GSet[E], tell tell) { s.JoinTrace(delta, func(e E) { tell(e, +1) }) },
		each: func(s *crdt.GSet[E], tell tell) { once(s.All(), tell) },
	}
}

func once[E any](all iter.Seq[E], tell func(E, int64)) {
	for e := range all {
		tell(e, +1)
	}
}

// CounterElements: one element, the counter's value, once anybody has counted. See crdt.CounterOp for the
// codec.
func CounterElements() Elements[*crdt.Counter, int64] {
	number := crdt.Codec[int64]{
		Append: func(b []byte, n int64) []byte { return crdt.CounterOp{N: n}.Append(b) },
		Decode: func(b []byte) (int64, error) {
			op, err := crdt.DecodeCounterOp(b)
			return op.N, err
		},
	}
	return ValueElements(crdt.CodecOf(crdt.DecodeCounter), number, func(c *crdt.Counter) (int64, bool) { return c.Value(), !c.IsEmpty() })
}

// RegisterElements: one element, the value that was written last, once there is one.
func RegisterElements[V comparable](value crdt.Codec[V]) Elements[*crdt.Register[V], V] {
	return ValueElements(crdt.RegisterCodec(value), value, (*crdt.Register[V]).Get)
}

// ValueElements is for any lattice that shows one value at a time, or none. value must be pure.
func ValueElements[L crdt.Lattice[L], V comparable](states crdt.Codec[L], value crdt.Codec[V], of func(L) (V, bool)) Elements[L, V] {
	type tell = func(V, int64)
	each := func(weight int64) func(L, tell) {
		return func(l L, tell tell) {
			if v, ok := of(l); ok {
				tell(v, weight)
			}
		}
	}
	born, died := each(+1), each(-1)
	return Elements[L, V]{
		states: states, elem: value, each: born,
		join: func(l, delta L, tell tell) {
			died(l, tell)
			l.Join(delta)
			born(l, tell)
		},
	}
}

// RegisterMapElements: the entries of a map of registers.
func RegisterMapElements[K, V comparable](keys crdt.Codec[K], values crdt.Codec[V]) Elements[*crdt.RegisterMap[K, V], Entry[K, V]] {
	type tell = func(Entry[K, V], int64)
	return Elements[*crdt.RegisterMap[K, V], Entry[K, V]]{
		states: crdt.RegisterMapCodec(keys, values), elem: EntryCodec(keys, values),
		join: func(m, delta *crdt.RegisterMap[K, V], tell tell) {
			m.JoinTrace(delta, func(k K, v V) { tell(Entry[K, V]{k, v}, +1) }, func(k K, v V) { tell(Entry[K, V]{k, v}, -1) })
		},
		each: func(m *crdt.RegisterMap[K, V], tell tell) {
			for k, v := range m.All() {
				tell(Entry[K, V]{k, v}, +1)
			}
		},
	}
}

// ORMapKeys: the keys of an add-wins map.
func ORMapKeys[K comparable, S crdt.DotStore[S]](keys crdt.Codec[K], states crdt.Codec[S]) Elements[*crdt.ORMap[K, S], K] {
	return mapElements(crdt.ORMapCodec(keys, states), keys, (*crdt.ORMap[K, S]).All, (*crdt.ORMap[K, S]).Get, (*crdt.ORMap[K, S]).JoinTrace,
		func(k K, _ S, tell func(K)) { tell(k) })
}

// ORMapElements: an entry for each V that list yields for the value of a key of an add-wins map, as
// (*crdt.SetStore[V]).All does. list must be pure. A change costs what list yields for the keys that it
// touches.
func ORMapElements[K, V comparable, S crdt.DotStore[S]](keys crdt.Codec[K], states crdt.Codec[S], values crdt.Codec[V], list func(S) iter.Seq[V]) Elements[*crdt.ORMap[K, S], Entry[K, V]] {
	return mapElements(crdt.ORMapCodec(keys, states), EntryCodec(keys, values), (*crdt.ORMap[K, S]).All, (*crdt.ORMap[K, S]).Get, (*crdt.ORMap[K, S]).JoinTrace, entriesOf[K](list))
}

// GMapElements: an entry for each V that list yields for the value of a key of a grow-only map. list must be
// pure. A change costs what list yields for the keys that it touches.
func GMapElements[K, V comparable, L crdt.Lattice[L]](keys crdt.Codec[K], states crdt.Codec[L], values crdt.Codec[V], list func(L) iter.Seq[V]) Elements[*crdt.GMap[K, L], Entry[K, V]] {
	return mapElements(crdt.GMapCodec(keys, states), EntryCodec(keys, values), (*crdt.GMap[K, L]).All, (*crdt.GMap[K, L]).Get, (*crdt.GMap[K, L]).JoinTrace, entriesOf[K](list))
}

func entriesOf[K, S, V any](list func(S) iter.Seq[V]) func(K, S, func(Entry[K, V])) {
	return func(k K, s S, tell func(Entry[K, V])) {
		for v := range list(s) {
			tell(Entry[K, V]{k, v})
		}
	}
}

// mapElements is for maps whose joins name the keys that they are about to touch: what the value of such a
// key made before dies, and what it makes after is born, which cancels where nothing changed.
func mapElements[M crdt.Lattice[M], K, E comparable, S any](states crdt.Codec[M], elem crdt.Codec[E],
	all func(M) iter.Seq2[K, S], get func(M, K) (S, bool), join func(m, delta M, touched func(K)) M, of func(K, S, func(E)),
) Elements[M, E] {
	return Elements[M, E]{
		states: states, elem: elem,
		join: func(m, delta M, tell func(E, int64)) {
			touched := map[K]struct{}{}
			each := func(k K, weight int64) {
				if s, ok := get(m, k); ok {
					of(k, s, func(e E) { tell(e, weight) })
				}
			}
			join(m, delta, func(k K) {
				if _, known := touched[k]; !known {
					touched[k] = struct{}{}
					each(k, -1)
				}
			})
			for k := range touched {
				each(k, +1)
			}
		},
		each: func(m M, tell func(E, int64)) {
			for k, s := range all(m) {
				of(k, s, func(e E) { tell(e, +1) })
			}
		},
	}
}
