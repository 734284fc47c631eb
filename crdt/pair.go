package crdt

import (
	"encoding/json"
	"fmt"
)

// Pair is the product of two lattices: each part is joined by itself; see Almeida, Shoker, Baquero, "Delta
// State Replicated Data Types" (2018), on composition. More parts with names: see Layout.
//
// A Pair is made by NewPair or DecodePair; nil may be read as empty. It owns its parts and is not safe for
// concurrent use when anyone changes it. All costs are those of the parts.
type Pair[A Lattice[A], B Lattice[B]] struct {
	a A
	b B
}

// NewPair returns a pair of the two states, which are the pair's from now on; either may be nil, then it is
// empty. NewPair(delta, nil) is how a delta of one part becomes a delta of a pair.
func NewPair[A Lattice[A], B Lattice[B]](a A, b B) *Pair[A, B] { return &Pair[A, B]{a, b} }

// First returns the first part, nil or empty when nothing was joined into it. It is only to be read.
func (p *Pair[A, B]) First() (a A) {
	if p == nil {
		return a
	}
	return p.a
}

// Second returns the second part, like First.
func (p *Pair[A, B]) Second() (b B) {
	if p == nil {
		return b
	}
	return p.b
}

// ChangeFirst calls mutate with the first part and returns the pair's delta. mutate changes the part by its
// mutators and returns their delta.
func (p *Pair[A, B]) ChangeFirst(mutate func(A) A) *Pair[A, B] {
	var none B
	p.a = usable(p.a)
	return pairOrNil(mutate(p.a), none)
}

// ChangeSecond does the same with the second part.
func (p *Pair[A, B]) ChangeSecond(mutate func(B) B) *Pair[A, B] {
	var none A
	p.b = usable(p.b)
	return pairOrNil(none, mutate(p.b))
}

func pairOrNil[A Lattice[A], B Lattice[B]](a A, b B) *Pair[A, B] {
	if a.IsEmpty() && b.IsEmpty() {
		return nil
	}
	return &Pair[A, B]{orNil(a), orNil(b)}
}

// Join implements Lattice.
func (p *Pair[A, B]) Join(delta *Pair[A, B]) *Pair[A, B] {
	if delta == nil || p == delta {
		return nil
	}
	return pairOrNil(joinPart(&p.a, delta.a), joinPart(&p.b, delta.b))
}

// LessOrEqual implements Lattice.
func (p *Pair[A, B]) LessOrEqual(o *Pair[A, B]) bool {
	return p.First().LessOrEqual(o.First()) && p.Second().LessOrEqual(o.Second())
}

// Equal implements Lattice.
func (p *Pair[A, B]) Equal(o *Pair[A, B]) bool {
	return p.First().Equal(o.First()) && p.Second().Equal(o.Second())
}

// Clone implements Lattice.
func (p *Pair[A, B]) Clone() *Pair[A, B] { return &Pair[A, B]{p.First().Clone(), p.Second().Clone()} }

// IsEmpty implements Lattice: whether both parts are.
func (p *Pair[A, B]) IsEmpty() bool { return p.First().IsEmpty() && p.Second().IsEmpty() }

// Size implements Lattice: the sum of the parts'.
func (p *Pair[A, B]) Size() int { return p.First().Size() + p.Second().Size() }

// Hash implements Lattice.
func (p *Pair[A, B]) Hash() uint64 {
	return mixHash(1, p.First().Hash()) + mixHash(2, p.Second().Hash())
}

// Parts implements Lattice: those of either part, with the other empty.
func (p *Pair[A, B]) Parts() []*Pair[A, B] {
	var parts []*Pair[A, B]
	for _, a := range p.First().Parts() {
		parts = append(parts, &Pair[A, B]{a: a})
	}
	for _, b := range p.Second().Parts() {
		parts = append(parts, &Pair[A, B]{b: b})
	}
	return parts
}

// String prints both parts.
func (p *Pair[A, B]) String() string { return fmt.Sprintf("(%v, %v)", p.First(), p.Second()) }

// MarshalJSON writes an array of both parts. It is for reading, there is no way back.
func (p *Pair[A, B]) MarshalJSON() ([]byte, error) { return jsonPair(p.First(), p.Second()) }

func jsonPair[A Lattice[A], B Lattice[B]](a A, b B) ([]byte, error) {
	first, err := partJSON(a)
	if err != nil {
		return nil, err
	}
	second, err := partJSON(b)
	if err != nil {
		return nil, err
	}
	return json.Marshal([]json.RawMessage{first, second})
}

// Append appends the canonical encoding, message Pair of crdt.proto.
func (p *Pair[A, B]) Append(b []byte, first Codec[A], second Codec[B]) []byte {
	b = appendVersion(b)
	b = appendPart(b, 2, p.First(), first)
	return appendPart(b, 3, p.Second(), second)
}

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (p *Pair[A, B]) EncodedSize(first Codec[A], second Codec[B]) int {
	return len(p.Append(nil, first, second))
}

// DecodePair reads a pair that fills b. Other bytes give a *DecodeError.
func DecodePair[A Lattice[A], B Lattice[B]](b []byte, first Codec[A], second Codec[B]) (*Pair[A, B], error) {
	r := reader{message: "Pair", b: b}
	p := &Pair[A, B]{}
	p.a, p.b = decodeParts(&r, first, second)
	if err := r.finish(); err != nil {
		return nil, err
	}
	return p, nil
}

func decodeParts[A Lattice[A], B Lattice[B]](r *reader, first Codec[A], second Codec[B]) (A, B) {
	a, b := emptyPart(first), emptyPart(second)
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			a = decodePart(r, first)
		case 3:
			b = decodePart(r, second)
		default:
			r.unknown()
		}
	}
	return a, b
}

// PairCodec is the Codec of pairs as parts of other states.
func PairCodec[A Lattice[A], B Lattice[B]](first Codec[A], second Codec[B]) Codec[*Pair[A, B]] {
	return Codec[*Pair[A, B]]{
		Append: func(b []byte, p *Pair[A, B]) []byte { return p.Append(b, first, second) },
		Decode: func(b []byte) (*Pair[A, B], error) { return DecodePair(b, first, second) },
		Clone:  (*Pair[A, B]).Clone,
	}
}

// Digest implements Lattice: both digests.
func (p *Pair[A, B]) Digest() []byte {
	b := appendVersion(nil)
	b = appendBytes(b, 2, p.First().Digest())
	return appendBytes(b, 3, p.Second().Digest())
}

// Since implements Lattice; the answer is as exact as the parts' are.
func (p *Pair[A, B]) Since(digest []byte) (*Pair[A, B], error) {
	ds, err := digests("PairDigest", digest, 2)
	if err != nil {
		return nil, err
	}
	a, err := partSince("PairDigest", 2, p.First(), ds[0])
	if err != nil {
		return nil, err
	}
	b, err := partSince("PairDigest", 3, p.Second(), ds[1])
	if err != nil {
		return nil, err
	}
	return pairOrNil(a, b), nil
}
