package crdt

import (
	"fmt"
	"iter"
)

// GSet is a grow-only set: what is added stays. See Shapiro et al., "A comprehensive study of Convergent and
// Commutative Replicated Data Types" (2011), section 3.3.1. Its delta needs no identity, so a block records
// the delta itself.
//
// A set that hashes, iterates or makes digests needs the codec that NewGSet was given; a zero GSet takes
// that of what is joined into it. nil may be read as empty. It costs a map entry for each element. An element
// that is not equal to itself, as NaN, panics. Not safe for concurrent use when anyone changes it.
type GSet[E comparable] phases[E]

// NewGSet returns an empty set.
func NewGSet[E comparable](codec Codec[E]) *GSet[E] { return &GSet[E]{codec: codec} }

// Add adds the elements and returns the delta, those that were not there; nil when all were.
func (s *GSet[E]) Add(es ...E) *GSet[E] { return (*GSet[E])(s.inner().raiseAll(es, false)) }

// String prints up to 16 elements and how many there are.
func (s *GSet[E]) String() string { return fmt.Sprintf("GSet(%d)%s", s.Len(), s.inner().text()) }

func (s *GSet[E]) inner() *phases[E] { return (*phases[E])(s) }

// Contains says whether e is in the set. O(1).
func (s *GSet[E]) Contains(e E) bool { return s.inner().contains(e) }

// Len returns the number of elements in the set.
func (s *GSet[E]) Len() int { return s.inner().len() }

// All yields each element once, in the order of their canonical bytes. It encodes and sorts: O(n log n).
func (s *GSet[E]) All() iter.Seq[E] { return s.inner().all() }

// Join implements Lattice. O(elements of delta).
func (s *GSet[E]) Join(delta *GSet[E]) *GSet[E] {
	return (*GSet[E])(s.inner().join(delta.inner()))
}

// LessOrEqual implements Lattice.
func (s *GSet[E]) LessOrEqual(o *GSet[E]) bool { return s.inner().lessOrEqual(o.inner()) }

// Equal implements Lattice.
func (s *GSet[E]) Equal(o *GSet[E]) bool { return s.inner().equal(o.inner()) }

// Clone implements Lattice.
func (s *GSet[E]) Clone() *GSet[E] { return (*GSet[E])(s.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever added.
func (s *GSet[E]) IsEmpty() bool { return s.inner().size() == 0 }

// Size returns the number of entries.
func (s *GSet[E]) Size() int { return s.inner().size() }

// Hash implements Lattice. It encodes all elements: O(n).
func (s *GSet[E]) Hash() uint64 { return s.inner().hash() }

// Parts implements Lattice: each element by itself.
func (s *GSet[E]) Parts() []*GSet[E] {
	return convert(s.inner().parts(), func(p *phases[E]) *GSet[E] { return (*GSet[E])(p) })
}

// MarshalJSON writes the elements as an array, in the order of All.
func (s *GSet[E]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// Append appends the canonical encoding, message GSet of crdt.proto: elements by their bytes. It sorts:
// O(n log n).
func (s *GSet[E]) Append(b []byte, codec Codec[E]) []byte { return s.inner().append(b, codec) }

// EncodedSize returns how many bytes Append appends. It encodes: O(n log n).
func (s *GSet[E]) EncodedSize(codec Codec[E]) int { return len(s.Append(nil, codec)) }

// DecodeGSet reads a set that fills b. Other bytes give a *DecodeError.
func DecodeGSet[E comparable](b []byte, codec Codec[E]) (*GSet[E], error) {
	p, err := decodePhases(b, "GSet", codec, false)
	return (*GSet[E])(p), err
}

// Digest implements Lattice. It encodes all elements: O(n). Up to 256 entries it has 8 bytes for each,
// beyond about half a byte.
func (s *GSet[E]) Digest() []byte { return s.inner().digest() }

// Since implements Lattice. To a digest that lists elements the answer is exact; to one of buckets it is all
// elements of the buckets that differ.
func (s *GSet[E]) Since(digest []byte) (*GSet[E], error) {
	p, err := s.inner().since(digest)
	return (*GSet[E])(p), err
}
