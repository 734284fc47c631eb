package crdt

import (
	"encoding/json"
	"fmt"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// CodecOf makes a Codec of a lattice whose encoding needs no codec of its own, like Counter: its Append
// method and its decoder.
func CodecOf[L interface {
	Lattice[L]
	Append(b []byte) []byte
}](decode func(b []byte) (L, error)) Codec[L] {
	return Codec[L]{
		Append: func(b []byte, l L) []byte { return l.Append(b) },
		Decode: decode,
		Clone:  func(l L) L { return l.Clone() },
	}
}

// The rest is what composed types do with a part.

// isNil says whether l is the nil pointer. The pointer is converted without an allocation.
func isNil[L Lattice[L]](l L) bool {
	var none L
	return any(l) == any(none)
}

// joinPart joins delta into a part, which may be nil, and returns the novelty.
func joinPart[L Lattice[L]](part *L, delta L) (novelty L) {
	switch {
	case delta.IsEmpty():
		return novelty
	case isNil(*part):
		*part = delta.Clone()
		return delta.Clone()
	}
	return (*part).Join(delta)
}

// orNil returns nil in place of an empty part.
func orNil[L Lattice[L]](part L) (_ L) {
	if part.IsEmpty() {
		var none L
		return none
	}
	return part
}

// usable returns the part, or an empty one in place of nil.
func usable[L Lattice[L]](part L) L {
	if isNil(part) {
		return part.Clone()
	}
	return part
}

// emptyPart is an empty state that knows its codecs.
func emptyPart[L Lattice[L]](codec Codec[L]) L {
	var none L
	l, err := codec.Decode(codec.Append(nil, none))
	if err != nil {
		return none.Clone()
	}
	return l
}

// mixHash tells the hashes of parts apart by their place.
func mixHash(place int, h uint64) uint64 {
	return bits.RotateLeft64(h, 17*place) * (0x9e3779b97f4a7c15 + 2*uint64(place))
}

// appendPart appends a part's encoding, nothing for an empty part.
func appendPart[L Lattice[L]](b []byte, num protowire.Number, part L, codec Codec[L]) []byte {
	if part.IsEmpty() {
		return b
	}
	return appendNested(b, num, func(b []byte) []byte { return codec.Append(b, part) })
}

// decodePart reads a part, which is not empty: else it should have been left out.
func decodePart[L Lattice[L]](r *reader, codec Codec[L]) L {
	part := decodeValue(r, codec)
	if r.err == nil && part.IsEmpty() {
		r.fail("field %d is empty and should be left out", r.num)
	}
	return part
}

// digests reads the digests of the parts, which have the fields 2 to n + 1, all there.
func digests(message string, b []byte, n int) ([][]byte, error) {
	r := reader{message: message, b: b}
	r.version()
	var out [][]byte
	for r.next() {
		if int(r.num) != len(out)+2 || len(out) == n {
			r.fail("field %d is not the digest of the next of %d parts", r.num, n)
			break
		}
		out = append(out, r.bytes())
	}
	if r.err == nil && len(out) < n {
		r.fail("%d digests of %d parts", len(out), n)
	}
	return out, r.finish()
}

// partSince asks a part for what a digest lacks; a digest that is none gives a *DecodeError that says of
// which message and part.
func partSince[L Lattice[L]](message string, num int, part L, digest []byte) (L, error) {
	lacking, err := part.Since(digest)
	if err != nil {
		var none L
		r := reader{message: message, num: protowire.Number(num)}
		r.failWith(err, fmt.Sprintf("digest of field %d", num))
		return none, r.err
	}
	return lacking, nil
}

// partJSON is a part's own JSON, or its String where it has none.
func partJSON[L Lattice[L]](part L) ([]byte, error) {
	if m, ok := any(part).(json.Marshaler); ok {
		return m.MarshalJSON()
	}
	return json.Marshal(part.String())
}
