package crdt

import "iter"

// storeCodec is the codec of a store whose dots support one value each, written as rows like those of Set.
// A values codec without functions stands for dots that support nothing. done, which may be nil, is called
// with what was decoded.
func storeCodec[S DotStore[S], V any](
	message string, values Codec[V], all func(S) iter.Seq2[Dot, V], put func(S, Dot, V), done func(S) error,
) Codec[S] {
	return Codec[S]{
		Append: func(b []byte, s S) []byte { return appendDotRows(b, all(s), values) },
		Decode: func(b []byte) (S, error) {
			var none S
			s := none.New()
			r := reader{message: message, b: b}
			var last Actor
			for r.next(1) {
				if r.num != 1 {
					r.unknown()
					break
				}
				in := reader{message: message + ".Row", b: r.bytes()}
				last = readDotRow(&in, last, values, func(d Dot, v V) { put(s, d, v) })
				r.inner(&in)
			}
			err := r.finish()
			if err == nil && done != nil {
				err = done(s)
			}
			if err != nil {
				return none, err
			}
			return s, nil
		},
		Clone: func(s S) S { return cloneStore(s) },
	}
}

func cloneStore[S DotStore[S]](s S) S {
	c := s.New()
	if s.NumDots() > 0 {
		for d := range s.Dots() {
			c.Take(s, d, d)
		}
	}
	return c
}

func appendDotRows[V any](b []byte, all iter.Seq2[Dot, V], codec Codec[V]) []byte {
	var row dotRow[V]
	flush := func() {
		if len(row.counters) == 0 {
			return
		}
		b = appendNested(b, 1, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(row.actor))
			b = appendNested(b, 2, func(b []byte) []byte {
				var last uint64
				for _, c := range row.counters {
					b = appendPacked(b, c-last-1)
					last = c
				}
				return b
			})
			if codec.Append != nil {
				for _, v := range row.values {
					b = appendNested(b, 3, func(b []byte) []byte { return codec.Append(b, v) })
				}
			}
			return b
		})
		row = dotRow[V]{counters: row.counters[:0], values: row.values[:0]}
	}
	for d, v := range all {
		if d.Actor != row.actor {
			flush()
			row.actor = d.Actor
		}
		row.counters, row.values = append(row.counters, d.Counter), append(row.values, v)
	}
	flush()
	return b
}

func readDotRow[V any](r *reader, last Actor, codec Codec[V], put func(Dot, V)) Actor {
	a := r.actor(last)
	packed := r.packed(2, r.message+".counters")
	if len(packed.b) == 0 {
		r.fail("no live dots")
	}
	var counters []uint64
	var c uint64
	for packed.err == nil && packed.off < len(packed.b) {
		if c = packed.sum(packed.sum(c, packed.varint()), 1); packed.err == nil {
			counters = append(counters, c)
		}
	}
	r.inner(&packed)
	var v V
	if codec.Decode == nil {
		for _, c := range counters {
			put(Dot{a, c}, v)
		}
		if r.next() {
			r.unknown()
		}
		return a
	}
	for r.next(3) {
		if r.num != 3 {
			r.unknown()
			break
		}
		v = decodeValue(r, codec)
		if r.err == nil && len(counters) == 0 {
			r.fail("more values than dots")
		}
		if r.err != nil {
			break
		}
		put(Dot{a, counters[0]}, v)
		counters = counters[1:]
	}
	if r.err == nil && len(counters) > 0 {
		r.fail("fewer values than dots")
	}
	return a
}
