package crdt

// Append appends the canonical encoding of s, message Set of crdt.proto: the context by runs, and the
// elements in dot order. Equal sets give equal bytes.
func (s *Set[E]) Append(b []byte, codec Codec[E]) []byte {
	b = appendVersion(b)
	if s.IsEmpty() {
		return b
	}
	b = appendNested(b, 2, s.ctx.Append)
	if !s.live.indexed() {
		for flat := s.live.flat(); len(flat) > 0; {
			n := 1
			for n < len(flat) && flat[n].dot.Actor == flat[0].dot.Actor {
				n++
			}
			b = appendSetRow(b, flat[0].dot.Actor, codec, func(f func(uint64, E)) {
				for i := range flat[:n] {
					f(flat[i].dot.Counter, flat[i].e)
				}
			})
			flat = flat[n:]
		}
		return b
	}
	for _, row := range s.live.big().rows {
		b = appendSetRow(b, row.actor, codec, func(f func(uint64, E)) {
			for _, blk := range row.blocks {
				at := 0
				blk.live.each(func(pos uint8) bool {
					f(blk.no<<blockBits|uint64(pos), blk.es[at])
					at++
					return true
				})
			}
		})
	}
	return b
}

// EncodedSize returns how many bytes Append appends. It encodes: O(n).
func (s *Set[E]) EncodedSize(codec Codec[E]) int { return len(s.Append(nil, codec)) }

func appendSetRow[E comparable](b []byte, a Actor, codec Codec[E], each func(func(uint64, E))) []byte {
	return appendNested(b, 3, func(b []byte) []byte {
		b = appendUint(b, 1, uint64(a))
		b = appendNested(b, 2, func(b []byte) []byte {
			var last uint64
			each(func(c uint64, _ E) {
				b = appendPacked(b, c-last-1)
				last = c
			})
			return b
		})
		each(func(_ uint64, e E) {
			b = appendNested(b, 3, func(b []byte) []byte { return codec.Append(b, e) })
		})
		return b
	})
}

// DecodeSet reads a set that fills b. Other bytes give a *DecodeError: also a live dot outside the context,
// or a different number of dots and elements.
func DecodeSet[E comparable](b []byte, codec Codec[E]) (*Set[E], error) {
	s := &Set[E]{}
	r := reader{message: "Set", b: b}
	r.version()
	var last Actor
	for r.next(3) {
		switch r.num {
		case 2:
			s.ctx = r.context()
		case 3:
			row := reader{message: "Set.Row", b: r.bytes()}
			last = decodeSetRow(s, &row, last, codec)
			r.inner(&row)
		default:
			r.unknown()
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	s.live.settle()
	return s, nil
}

func decodeSetRow[E comparable](s *Set[E], r *reader, last Actor, codec Codec[E]) Actor {
	a := r.actor(last)
	packed := r.packed(2, "Set.Row.counters")
	if len(packed.b) == 0 {
		r.fail("no live dots")
	}
	at := len(s.live.flat())
	var c uint64
	for packed.err == nil && packed.off < len(packed.b) {
		c = packed.sum(packed.sum(c, packed.varint()), 1)
		d := Dot{a, c}
		if packed.err == nil && !s.ctx.Contains(d) {
			packed.fail("live dot %v is not in the context", d)
		}
		if packed.err == nil {
			var none E
			s.live.insert(d, none)
		}
	}
	r.inner(&packed)
	for r.next(3) {
		if r.num != 3 {
			r.unknown()
			break
		}
		raw := r.bytes()
		if r.err != nil {
			break
		}
		if at == len(s.live.flat()) {
			r.fail("more elements than dots")
			break
		}
		e, err := codec.Decode(raw)
		if err != nil {
			r.failWith(err, "element")
			break
		}
		s.live.flat()[at].e = e
		at++
	}
	if r.err == nil && at != len(s.live.flat()) {
		r.fail("fewer elements than dots")
	}
	return a
}
