package crdt

import "cmp"

// MaxRegister holds the largest value that was written: the lattice of a total order. See
// "Composition in State-based Replicated Data Types" (Baquero, Almeida, Cunha, Ferreira, Bulletin of the
// EATCS 123, 2017), on chains. Of values that the order calls equal and whose canonical bytes differ
// the one with the larger bytes stays. A delta needs no identity, so a block records the delta itself.
//
// Order and codec come from NewMaxRegister or NewMaxRegisterFunc; a zero MaxRegister takes those of what is joined
// into it, and cannot be written before. All replicas must use the same order. nil may be read as empty.
// Values are not copied and must not be changed. Not safe for concurrent use when anyone changes it.
// Everything costs one comparison, and an encoding where that finds the values equal.
type MaxRegister[V any] extreme[V]

// NewMaxRegister returns a register without a value, in the order of cmp.Compare.
func NewMaxRegister[V cmp.Ordered](codec Codec[V]) *MaxRegister[V] {
	return NewMaxRegisterFunc(codec, cmp.Compare[V])
}

// NewMaxRegisterFunc returns a register without a value in the order of compare, which must be total but
// for values that it calls equal, and the same everywhere.
func NewMaxRegisterFunc[V any](codec Codec[V], compare func(a, b V) int) *MaxRegister[V] {
	return &MaxRegister[V]{codec: codec, order: compare}
}

func (r *MaxRegister[V]) inner() *extreme[V] { return (*extreme[V])(r) }

// Get returns the largest value and whether one was ever written.
func (r *MaxRegister[V]) Get() (v V, ok bool) { return r.inner().get() }

// Set writes v and returns the delta, nil when the register holds a value that is no larger.
func (r *MaxRegister[V]) Set(v V) *MaxRegister[V] {
	return (*MaxRegister[V])(r.inner().join(r.inner().write(v), 1))
}

// Join implements Lattice.
func (r *MaxRegister[V]) Join(delta *MaxRegister[V]) *MaxRegister[V] {
	return (*MaxRegister[V])(r.inner().join(delta.inner(), 1))
}

// LessOrEqual implements Lattice: in its order, in which a smaller value is less.
func (r *MaxRegister[V]) LessOrEqual(o *MaxRegister[V]) bool {
	return r.inner().compare(o.inner(), 1) <= 0
}

// Equal implements Lattice.
func (r *MaxRegister[V]) Equal(o *MaxRegister[V]) bool { return r.inner().compare(o.inner(), 1) == 0 }

// Clone implements Lattice; the value itself is shared.
func (r *MaxRegister[V]) Clone() *MaxRegister[V] { return (*MaxRegister[V])(r.inner().clone()) }

// IsEmpty implements Lattice: whether nothing was ever written.
func (r *MaxRegister[V]) IsEmpty() bool { return r.inner().empty() }

// Size returns 1, or 0 when nothing was written.
func (r *MaxRegister[V]) Size() int { return boolInt(!r.IsEmpty()) }

// Hash implements Lattice. It encodes the value.
func (r *MaxRegister[V]) Hash() uint64 { return r.inner().hash() }

// Parts implements Lattice: the register itself.
func (r *MaxRegister[V]) Parts() []*MaxRegister[V] {
	if r.IsEmpty() {
		return nil
	}
	return []*MaxRegister[V]{r.Clone()}
}

// String prints the value.
func (r *MaxRegister[V]) String() string { return r.inner().text("MaxRegister") }

// MarshalJSON writes the value, null when there is none.
func (r *MaxRegister[V]) MarshalJSON() ([]byte, error) { return r.inner().json() }

// Append appends the canonical encoding, message MaxRegister of crdt.proto.
func (r *MaxRegister[V]) Append(b []byte, codec Codec[V]) []byte { return r.inner().append(b, codec) }

// EncodedSize returns how many bytes Append appends. It encodes.
func (r *MaxRegister[V]) EncodedSize(codec Codec[V]) int { return len(r.Append(nil, codec)) }

// DecodeMaxRegister reads a register in the order of cmp.Compare that fills b. Other bytes give a
// *DecodeError.
func DecodeMaxRegister[V cmp.Ordered](b []byte, codec Codec[V]) (*MaxRegister[V], error) {
	return DecodeMaxRegisterFunc(b, codec, cmp.Compare[V])
}

// DecodeMaxRegisterFunc reads a register in the order of compare that fills b. Other bytes give a
// *DecodeError.
func DecodeMaxRegisterFunc[V any](b []byte, codec Codec[V], compare func(a, b V) int) (*MaxRegister[V], error) {
	x, err := NewMaxRegisterFunc(codec, compare).inner().decode(b, "MaxRegister")
	return (*MaxRegister[V])(x), err
}

// Digest implements Lattice: the encoded value, for a hash would not tell which of two is the larger.
func (r *MaxRegister[V]) Digest() []byte { return r.inner().digest() }

// Since implements Lattice; the answer is exact.
func (r *MaxRegister[V]) Since(digest []byte) (*MaxRegister[V], error) {
	x, err := r.inner().since(digest, "MaxRegister", 1)
	return (*MaxRegister[V])(x), err
}
