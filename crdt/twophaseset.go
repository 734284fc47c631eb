package crdt

import (
	"fmt"
	"iter"
)

// TwoPhaseSet is a set in which an element can be added, and removed once and for all: it does not come
// back. See Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types"
// (2011), section 3.3.2; here an element is unseen, added or removed in one map in place of two sets, which
// is the same order. Its delta needs no identity, so a block records the delta itself.
//
// A removed element costs its map entry for ever. A set that hashes, iterates or makes digests needs the
// codec that NewTwoPhaseSet was given; a zero TwoPhaseSet takes that of what is joined into it. nil may be
// read as empty. An element that is not equal to itself, as NaN, panics. Not safe for concurrent use when
// anyone changes it.
type TwoPhaseSet[E comparable] phases[E]

// NewTwoPhaseSet returns an empty set.
func NewTwoPhaseSet[E comparable](codec Codec[E]) *TwoPhaseSet[E] {
	return &TwoPhaseSet[E]{codec: codec}
}

// Add adds the elements and returns the delta: those that had not been added before; nil when all had. One
// that was removed stays removed.
func (s *TwoPhaseSet[E]) Add(es ...E) *TwoPhaseSet[E] {
	return (*TwoPhaseSet[E])(s.inner().raiseAll(es, false))
}

// Remove takes out those of the elements that are in the set, for ever, and returns the delta, nil when
// none was there. An element that is not in the set can still be added later.
func (s *TwoPhaseSet[E]) Remove(es ...E) *TwoPhaseSet[E] {
	return (*TwoPhaseSet[E])(s.inner().raiseAll(es, true))
}

// Removed says whether e was removed, and so can never be added.
func (s *TwoPhaseSet[E]) Removed(e E) bool { return s.inner().isRemoved(e) }

// String prints up to 16 elements, how many there are and how many were removed.
func (s *TwoPhaseSet[E]) String() string {
	return fmt.Sprintf("TwoPhaseSet(%d, %d removed)%s", s.Len(), s.Size()-s.Len(), s.inner().text())
}

func (s *TwoPhaseSet[E]) inner() *phases[E] { return (*phases[E])(s) }

// Contains says whether e is in the set. O(1).
func (s *TwoPhaseSet[E]) Contains(e E) bool { return s.inner().contains(e) }

// Len returns the number of elements in the set.
func (s *TwoPhaseSet[E]) Len() int { return s.inner().len() }

// All yields each element once, in the order of their canonical bytes. It encodes and sorts: O(n log n).
func (s *TwoPhaseSet[E]) All() iter.Seq[E] { return s.inner().all() }

// Join implements Lattice. O(elements of delta).
func (s *TwoPhaseSet[E]) Join(delta *TwoPhaseSet[E]) *TwoPhaseSet[E] {
	return (*TwoPhaseSet[E])(s.inner().join(delta.inner()))
}

// LessOrEqual implements Lattice.
func (s *TwoPhaseSet[E]) LessOrEqual(o *TwoPhaseSet[E]) bool { return s.inner().lessOrEqual(o.inner()) }

// Equal implements Lattice.
func (s *TwoPhaseSet[E]) Equal(o *TwoPhaseSet[E]) bool { return s.inner().equal(o.inner()) }

// Clone implements Lattice.
func (s *TwoPhaseSet[E]) Clone() *TwoPhaseSet[E] { return (*TwoPhaseSet[E])(s.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever added.
func (s *TwoPhaseSet[E]) IsEmpty() bool { return s.inner().size() == 0 }

// Size returns the number of entries, removed ones included.
func (s *TwoPhaseSet[E]) Size() int { return s.inner().size() }

// Hash implements Lattice. It encodes all elements: O(n).
func (s *TwoPhaseSet[E]) Hash() uint64 { return s.inner().hash() }

// Parts implements Lattice: each element by itself.
func (s *TwoPhaseSet[E]) Parts() []*TwoPhaseSet[E] {
	return convert(s.inner().parts(), func(p *phases[E]) *TwoPhaseSet[E] { return (*TwoPhaseSet[E])(p) })
}

// MarshalJSON writes the elements as an array, in the order of All.
func (s *TwoPhaseSet[E]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// Append appends the canonical encoding, message TwoPhaseSet of crdt.proto: elements by their bytes. It sorts:
// O(n log n).
func (s *TwoPhaseSet[E]) Append(b []byte, codec Codec[E]) []byte { return s.inner().append(b, codec) }

// EncodedSize returns how many bytes Append appends. It encodes: O(n log n).
func (s *TwoPhaseSet[E]) EncodedSize(codec Codec[E]) int { return len(s.Append(nil, codec)) }

// DecodeTwoPhaseSet reads a set that fills b. Other bytes give a *DecodeError.
func DecodeTwoPhaseSet[E comparable](b []byte, codec Codec[E]) (*TwoPhaseSet[E], error) {
	p, err := decodePhases(b, "TwoPhaseSet", codec, true)
	return (*TwoPhaseSet[E])(p), err
}

// Digest implements Lattice. It encodes all elements: O(n). Up to 256 entries it has 8 bytes for each,
// beyond about half a byte.
func (s *TwoPhaseSet[E]) Digest() []byte { return s.inner().digest() }

// Since implements Lattice. To a digest that lists elements the answer is exact; to one of buckets it is all
// elements of the buckets that differ.
func (s *TwoPhaseSet[E]) Since(digest []byte) (*TwoPhaseSet[E], error) {
	p, err := s.inner().since(digest)
	return (*TwoPhaseSet[E])(p), err
}
