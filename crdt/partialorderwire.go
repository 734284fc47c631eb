package crdt

// orderFactCodec encodes facts, message PartialOrderFact of crdt.proto.
func orderFactCodec[E comparable](elements Codec[E]) Codec[orderFact[E]] {
	return Codec[orderFact[E]]{
		Append: func(b []byte, f orderFact[E]) []byte {
			b = appendNested(b, 1, func(b []byte) []byte { return elements.Append(b, f.e) })
			if f.gone {
				return appendUint(b, 2, 1)
			}
			if f.after.kind == 1 {
				b = appendNested(b, 3, func(b []byte) []byte { return elements.Append(b, f.after.e) })
			}
			if f.before.kind == 1 {
				b = appendNested(b, 4, func(b []byte) []byte { return elements.Append(b, f.before.e) })
			}
			return b
		},
		Decode: func(b []byte) (orderFact[E], error) {
			f := orderFact[E]{before: End[E]()}
			r := reader{message: "PartialOrderFact", b: b}
			if !r.next() || r.num != 1 {
				r.fail("the element is missing")
			}
			if r.err == nil {
				f.e = decodeValue(&r, elements)
			}
			for r.next() {
				switch r.num {
				case 2:
					f = orderFact[E]{e: f.e, gone: r.bool()}
				case 3:
					f.after = At(decodeValue(&r, elements))
				case 4:
					f.before = At(decodeValue(&r, elements))
				default:
					r.unknown()
				}
				if f.gone && r.num > 2 {
					r.fail("a remove with a place")
				}
			}
			return finished(&r, f)
		},
	}
}

// Append appends the canonical encoding, message PartialOrder of crdt.proto.
func (o *PartialOrder[E]) Append(b []byte, elements Codec[E]) []byte {
	return o.inner().append(b, orderFactCodec(elements))
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (o *PartialOrder[E]) EncodedSize(elements Codec[E]) int { return len(o.Append(nil, elements)) }

// DecodePartialOrder reads an order that fills b. Other bytes give a *DecodeError.
func DecodePartialOrder[E comparable](b []byte, elements Codec[E]) (*PartialOrder[E], error) {
	facts, err := decodePhases(b, "PartialOrder", orderFactCodec(elements), false)
	return orderOf(facts), err
}
