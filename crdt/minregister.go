package crdt

import "cmp"

// MinRegister holds the smallest value that was written: the lattice of a total order, turned round. See
// "Composition in State-based Replicated Data Types" (Baquero, Almeida, Cunha, Ferreira, Bulletin of the
// EATCS 123, 2017), on chains. Of values that the order calls equal and whose canonical bytes differ
// the one with the smaller bytes stays. A delta needs no identity, so a block records the delta itself.
//
// Order and codec come from NewMinRegister or NewMinRegisterFunc; a zero MinRegister takes those of what is joined
// into it, and cannot be written before. All replicas must use the same order. nil may be read as empty.
// Values are not copied and must not be changed. Not safe for concurrent use when anyone changes it.
// Everything costs one comparison, and an encoding where that finds the values equal.
type MinRegister[V any] extreme[V]

// NewMinRegister returns a register without a value, in the order of cmp.Compare.
func NewMinRegister[V cmp.Ordered](codec Codec[V]) *MinRegister[V] {
	return NewMinRegisterFunc(codec, cmp.Compare[V])
}

// NewMinRegisterFunc returns a register without a value in the order of compare, which must be total but
// for values that it calls equal, and the same everywhere.
func NewMinRegisterFunc[V any](codec Codec[V], compare func(a, b V) int) *MinRegister[V] {
	return &MinRegister[V]{codec: codec, order: compare}
}

func (r *MinRegister[V]) inner() *extreme[V] { return (*extreme[V])(r) }

// Get returns the smallest value and whether one was ever written.
func (r *MinRegister[V]) Get() (v V, ok bool) { return r.inner().get() }

// Set writes v and returns the delta, nil when the register holds a value that is no smaller.
func (r *MinRegister[V]) Set(v V) *MinRegister[V] {
	return (*MinRegister[V])(r.inner().join(r.inner().write(v), -1))
}

// Join implements Lattice.
func (r *MinRegister[V]) Join(delta *MinRegister[V]) *MinRegister[V] {
	return (*MinRegister[V])(r.inner().join(delta.inner(), -1))
}

// LessOrEqual implements Lattice: in its order, in which a larger value is less.
func (r *MinRegister[V]) LessOrEqual(o *MinRegister[V]) bool {
	return r.inner().compare(o.inner(), -1) <= 0
}

// Equal implements Lattice.
func (r *MinRegister[V]) Equal(o *MinRegister[V]) bool { return r.inner().compare(o.inner(), -1) == 0 }

// Clone implements Lattice; the value itself is shared.
func (r *MinRegister[V]) Clone() *MinRegister[V] { return (*MinRegister[V])(r.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever written.
func (r *MinRegister[V]) IsEmpty() bool { return r.inner().empty() }

// Size returns 1, or 0 when nothing was written.
func (r *MinRegister[V]) Size() int { return boolInt(!r.IsEmpty()) }

// Hash implements Lattice. It encodes the value.
func (r *MinRegister[V]) Hash() uint64 { return r.inner().hash() }

// Parts implements Lattice: the register itself.
func (r *MinRegister[V]) Parts() []*MinRegister[V] {
	if r.IsEmpty() {
		return nil
	}
	return []*MinRegister[V]{r.Clone()}
}

// String prints the value.
func (r *MinRegister[V]) String() string { return r.inner().text("MinRegister") }

// MarshalJSON writes the value, null when there is none.
func (r *MinRegister[V]) MarshalJSON() ([]byte, error) { return r.inner().json() }

// Append appends the canonical encoding, message MinRegister of crdt.proto.
func (r *MinRegister[V]) Append(b []byte, codec Codec[V]) []byte { return r.inner().append(b, codec) }

// EncodedSize returns how many bytes Append appends. It encodes.
func (r *MinRegister[V]) EncodedSize(codec Codec[V]) int { return len(r.Append(nil, codec)) }

// DecodeMinRegister reads a register in the order of cmp.Compare that fills b. Other bytes give a
// *DecodeError.
func DecodeMinRegister[V cmp.Ordered](b []byte, codec Codec[V]) (*MinRegister[V], error) {
	return DecodeMinRegisterFunc(b, codec, cmp.Compare[V])
}

// DecodeMinRegisterFunc reads a register in the order of compare that fills b. Other bytes give a
// *DecodeError.
func DecodeMinRegisterFunc[V any](b []byte, codec Codec[V], compare func(a, b V) int) (*MinRegister[V], error) {
	x, err := NewMinRegisterFunc(codec, compare).inner().decode(b, "MinRegister")
	return (*MinRegister[V])(x), err
}

// Digest implements Lattice: the encoded value, for a hash would not tell which of two is the smaller.
func (r *MinRegister[V]) Digest() []byte { return r.inner().digest() }

// Since implements Lattice; the answer is exact.
func (r *MinRegister[V]) Since(digest []byte) (*MinRegister[V], error) {
	x, err := r.inner().since(digest, "MinRegister", -1)
	return (*MinRegister[V])(x), err
}
