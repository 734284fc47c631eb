package crdt

import "fmt"

// LexPair is the lexicographic pair: of two states the one whose first part is larger wins whole, and only
// when the first parts are equal are the second ones joined. So raising the first part drops the second:
// an epoch that voids what was counted before it, a version and its contents. See Almeida, Shoker, Baquero,
// "Delta State Replicated Data Types" (2018), on composition, and for decompositions Enes, Almeida, Baquero,
// Leitão (ICDE 2019), appendix.
//
// First parts must be a chain: of any two states one is LessOrEqual to the other, as with Register, or a
// LexPair of chains. Where two are not, their join takes the join of the first parts and drops both second
// ones; that converges too, but the novelty is then not always the smallest.
//
// A LexPair is made by NewLexPair or DecodeLexPair; nil may be read as empty. It owns its parts and is not
// safe for concurrent use when anyone changes it. All costs are those of the parts, and a copy of the first
// part for each delta.
type LexPair[A Lattice[A], B Lattice[B]] struct {
	a    A
	b    B
	none B // what b falls back to, or nil; never changed, so deltas share it
}

// NewLexPair returns the pair of a first part and an empty second one, which are the pair's from now on;
// either may be nil.
func NewLexPair[A Lattice[A], B Lattice[B]](first A, empty B) *LexPair[A, B] {
	p := &LexPair[A, B]{a: first, b: empty}
	if empty.IsEmpty() {
		p.none = empty.Clone()
	}
	return p
}

// First returns the first part, nil or empty when nothing was joined into it. It is only to be read.
func (p *LexPair[A, B]) First() (a A) {
	if p == nil {
		return a
	}
	return p.a
}

// Second returns the second part, like First.
func (p *LexPair[A, B]) Second() (b B) {
	if p == nil {
		return b
	}
	return p.b
}

// ChangeFirst calls mutate with the first part and returns the pair's delta. mutate changes the part by its
// mutators and returns their delta; unless that is empty, the second part is dropped.
func (p *LexPair[A, B]) ChangeFirst(mutate func(A) A) *LexPair[A, B] {
	p.a = usable(p.a)
	if mutate(p.a).IsEmpty() {
		return nil
	}
	p.b = p.none.Clone()
	return &LexPair[A, B]{a: p.a.Clone(), none: p.none}
}

// ChangeSecond does the same with the second part. The delta carries the first part as it is: it is void
// where that has been raised.
func (p *LexPair[A, B]) ChangeSecond(mutate func(B) B) *LexPair[A, B] {
	if isNil(p.b) {
		p.b = p.none.Clone()
	}
	return p.second(mutate(p.b))
}

// second returns the delta or novelty of the second part alone, nil when it is empty.
func (p *LexPair[A, B]) second(b B) *LexPair[A, B] {
	if b.IsEmpty() {
		return nil
	}
	return &LexPair[A, B]{a: p.a.Clone(), b: b, none: p.none}
}

// Join implements Lattice. When the first part grows the novelty is the whole delta.
func (p *LexPair[A, B]) Join(delta *LexPair[A, B]) *LexPair[A, B] {
	if p == delta || delta.IsEmpty() {
		return nil
	}
	if isNil(p.none) {
		p.none = delta.none
	}
	below, above := delta.a.LessOrEqual(p.a), p.a.LessOrEqual(delta.a)
	switch {
	case below && above:
		return p.second(joinPart(&p.b, delta.b))
	case below:
		return nil
	case above:
		joinPart(&p.a, delta.a)
		p.b = p.none.Clone()
		joinPart(&p.b, delta.b)
		return delta.Clone()
	}
	p.b = p.none.Clone()
	return &LexPair[A, B]{a: joinPart(&p.a, delta.a), none: p.none}
}

// LessOrEqual implements Lattice.
func (p *LexPair[A, B]) LessOrEqual(o *LexPair[A, B]) bool {
	if !p.First().LessOrEqual(o.First()) {
		return false
	}
	return !o.First().LessOrEqual(p.First()) || p.Second().LessOrEqual(o.Second())
}

// Equal implements Lattice.
func (p *LexPair[A, B]) Equal(o *LexPair[A, B]) bool {
	return p.First().Equal(o.First()) && p.Second().Equal(o.Second())
}

// Clone implements Lattice.
func (p *LexPair[A, B]) Clone() *LexPair[A, B] {
	c := &LexPair[A, B]{a: p.First().Clone(), b: p.Second().Clone()}
	if p != nil {
		c.none = p.none
		if isNil(p.b) {
			c.b = p.none.Clone()
		}
	}
	return c
}

// IsEmpty implements Lattice: whether both parts are.
func (p *LexPair[A, B]) IsEmpty() bool { return p.First().IsEmpty() && p.Second().IsEmpty() }

// Size implements Lattice: the sum of the parts'.
func (p *LexPair[A, B]) Size() int { return p.First().Size() + p.Second().Size() }

// Hash implements Lattice.
func (p *LexPair[A, B]) Hash() uint64 {
	return mixHash(3, p.First().Hash()) + mixHash(4, p.Second().Hash())
}

// Parts implements Lattice: those of the second part, each beside the first as it is; those of the first
// when the second is empty.
func (p *LexPair[A, B]) Parts() []*LexPair[A, B] {
	var parts []*LexPair[A, B]
	if p.Second().IsEmpty() {
		for _, a := range p.First().Parts() {
			parts = append(parts, &LexPair[A, B]{a: a, none: p.none})
		}
		return parts
	}
	for _, b := range p.b.Parts() {
		parts = append(parts, &LexPair[A, B]{a: p.a.Clone(), b: b, none: p.none})
	}
	return parts
}

// String prints both parts.
func (p *LexPair[A, B]) String() string { return fmt.Sprintf("(%v; %v)", p.First(), p.Second()) }

// MarshalJSON writes an array of both parts. It is for reading, there is no way back.
func (p *LexPair[A, B]) MarshalJSON() ([]byte, error) { return jsonPair(p.First(), p.Second()) }

// Append appends the canonical encoding, message LexPair of crdt.proto.
func (p *LexPair[A, B]) Append(b []byte, first Codec[A], second Codec[B]) []byte {
	b = appendVersion(b)
	b = appendPart(b, 2, p.First(), first)
	return appendPart(b, 3, p.Second(), second)
}

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (p *LexPair[A, B]) EncodedSize(first Codec[A], second Codec[B]) int {
	return len(p.Append(nil, first, second))
}

// DecodeLexPair reads a pair that fills b. Other bytes give a *DecodeError.
func DecodeLexPair[A Lattice[A], B Lattice[B]](b []byte, first Codec[A], second Codec[B]) (*LexPair[A, B], error) {
	r := reader{message: "LexPair", b: b}
	p := &LexPair[A, B]{none: emptyPart(second)}
	p.a, p.b = decodeParts(&r, first, second)
	if err := r.finish(); err != nil {
		return nil, err
	}
	return p, nil
}

// LexPairCodec is the Codec of lexicographic pairs as parts of other states.
func LexPairCodec[A Lattice[A], B Lattice[B]](first Codec[A], second Codec[B]) Codec[*LexPair[A, B]] {
	return Codec[*LexPair[A, B]]{
		Append: func(b []byte, p *LexPair[A, B]) []byte { return p.Append(b, first, second) },
		Decode: func(b []byte) (*LexPair[A, B], error) { return DecodeLexPair(b, first, second) },
		Clone:  (*LexPair[A, B]).Clone,
	}
}

// Digest implements Lattice: both digests, and the hash of the first part to tell whether it is the same.
func (p *LexPair[A, B]) Digest() []byte {
	b := appendVersion(nil)
	b = appendBytes(b, 2, p.First().Digest())
	b = appendBytes(b, 3, p.Second().Digest())
	return appendFixed64(b, 4, p.First().Hash())
}

// Since implements Lattice; the answer is as exact as the parts' are. Where the first part is larger it is
// the whole state.
func (p *LexPair[A, B]) Since(digest []byte) (*LexPair[A, B], error) {
	const message = "LexPairDigest"
	r := reader{message: message, b: digest}
	var first, second []byte
	var hash uint64
	fields := 0
	r.version()
	for ; r.next(); fields++ {
		switch r.num {
		case 2:
			first = r.bytes()
		case 3:
			second = r.bytes()
		case 4:
			hash = r.fixed64()
		default:
			r.unknown()
		}
	}
	if r.err == nil && fields != 3 {
		r.fail("%d fields of 3", fields)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	ahead, err := partSince(message, 2, p.First(), first)
	if err != nil {
		return nil, err
	}
	// Both are asked, so that what is no digest is refused whatever the first part says.
	lacking, err := partSince(message, 3, p.Second(), second)
	switch {
	case err != nil:
		return nil, err
	case p.IsEmpty():
		return nil, nil
	case p.First().Hash() == hash:
		return p.second(lacking), nil
	case ahead.IsEmpty():
		return nil, nil
	}
	return p.Clone(), nil
}
