package crdt

import (
	"fmt"
	"iter"
	"strings"
)

// MVRegister is a multi-value register: a write replaces the values that it has seen, and values written
// concurrently stay side by side until somebody writes having seen them. Deciding is left to whoever reads;
// Register decides by time. See Shapiro et al., "A comprehensive study of Convergent and Commutative
// Replicated Data Types" (2011), section 3.2.2, and for dots in place of vectors "Delta State Replicated
// Data Types" (Almeida, Shoker, Baquero, 2018), on causal types.
//
// Values are kept as their canonical bytes: Values decodes, what it returns is the caller's, and what is
// equal in bytes is one value. A register that is read or written needs the codec that NewMVRegister was
// given; a zero MVRegister takes that of what is joined into it. nil may be read as empty. A state costs the
// runs of its context and a dot and a value for each concurrent write. Not safe for concurrent use when
// anyone changes it.
type MVRegister[V any] struct {
	codec Codec[V]
	set   Set[string]
}

// NewMVRegister returns a register without a value.
func NewMVRegister[V any](codec Codec[V]) *MVRegister[V] { return &MVRegister[V]{codec: codec} }

func (r *MVRegister[V]) inner() *Set[string] {
	if r == nil {
		return nil
	}
	return &r.set
}

func (r *MVRegister[V]) wrap(s *Set[string]) *MVRegister[V] {
	if s == nil {
		return nil
	}
	out := &MVRegister[V]{set: *s}
	if r != nil {
		out.codec = r.codec
	}
	return out
}

// All yields the values, each once, in the order of the oldest live write by actor, then counter. The
// register must not be changed meanwhile.
func (r *MVRegister[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		for raw := range r.inner().All() {
			mustHave(r.codec)
			v, err := r.codec.Decode([]byte(raw))
			if err != nil { // they were made by Append, or passed Decode
				panic(fmt.Sprintf("crdt: a Codec does not decode what it appended: %v", err))
			}
			if !yield(v) {
				return
			}
		}
	}
}

// Values returns the values in the order of All: none before the first write and after Clear, more than one
// after concurrent writes.
func (r *MVRegister[V]) Values() []V {
	var vs []V
	for v := range r.All() {
		vs = append(vs, v)
	}
	return vs
}

// Len returns the number of distinct values.
func (r *MVRegister[V]) Len() int { return r.inner().Len() }

// Context returns the dots that the state has seen, live and dead. It belongs to the register: it is only to
// be read, and only until the register changes.
func (r *MVRegister[V]) Context() *Context { return r.inner().Context() }

// Set writes v under a fresh dot of m in place of all values that are here and returns the delta. It panics
// with *DotReused when m hands out a dot that the register has seen.
func (r *MVRegister[V]) Set(m *Minter, v V) *MVRegister[V] {
	return r.wrap(r.set.commit(&r.Prepare(MVRegisterOp[V]{Value: v}).Effect(m).set))
}

// Clear takes out all values that are here and returns the delta, nil when there were none. A concurrent
// write survives it.
func (r *MVRegister[V]) Clear() *MVRegister[V] { return r.wrap(r.set.Clear()) }

// Join implements Lattice. O(k · log n) for a delta of k dots and runs.
func (r *MVRegister[V]) Join(delta *MVRegister[V]) *MVRegister[V] {
	if delta == nil {
		return nil
	}
	r.codec = r.codec.or(delta.codec)
	return r.wrap(r.set.Join(&delta.set))
}

// LessOrEqual implements Lattice.
func (r *MVRegister[V]) LessOrEqual(o *MVRegister[V]) bool { return r.inner().LessOrEqual(o.inner()) }

// Equal implements Lattice: also what both have seen must be the same.
func (r *MVRegister[V]) Equal(o *MVRegister[V]) bool { return r.inner().Equal(o.inner()) }

// Clone implements Lattice.
func (r *MVRegister[V]) Clone() *MVRegister[V] { return r.wrap(r.inner().Clone()) }

// IsEmpty implements Lattice: whether the state has seen no dot at all.
func (r *MVRegister[V]) IsEmpty() bool { return r.inner().IsEmpty() }

// Size returns the number of live dots: at least Len, more where one value was written concurrently.
func (r *MVRegister[V]) Size() int { return r.inner().Size() }

// Hash implements Lattice. It covers dots, which name their values.
func (r *MVRegister[V]) Hash() uint64 { return r.inner().Hash() }

// Parts implements Lattice: one register for each seen dot, live with its value, or dead; see Set.Parts on
// how many that may be.
func (r *MVRegister[V]) Parts() []*MVRegister[V] { return convert(r.inner().Parts(), r.wrap) }

// String prints the values, as bytes in quotes when there is no codec, and the context.
func (r *MVRegister[V]) String() string {
	var shown []string
	if r != nil && r.codec.Decode == nil {
		for raw := range r.set.All() {
			shown = append(shown, fmt.Sprintf("%q", raw))
		}
	} else {
		for v := range r.All() {
			shown = append(shown, fmt.Sprint(v))
		}
	}
	return fmt.Sprintf("MVRegister[%s]%v", strings.Join(shown, " | "), r.Context())
}

// MarshalJSON writes the values as an array, in the order of All.
func (r *MVRegister[V]) MarshalJSON() ([]byte, error) { return marshalItems(r.All()) }

func bytesCodec() Codec[string] {
	return Codec[string]{Append: func(b []byte, v string) []byte { return append(b, v...) }}
}

// Append appends the canonical encoding, message MVRegister of crdt.proto. Values are encoded already, so it
// needs no codec.
func (r *MVRegister[V]) Append(b []byte) []byte { return r.inner().Append(b, bytesCodec()) }

// EncodedSize returns how many bytes Append appends. It encodes.
func (r *MVRegister[V]) EncodedSize() int { return len(r.Append(nil)) }

// DecodeMVRegister reads a register that fills b. Other bytes give a *DecodeError.
func DecodeMVRegister[V any](b []byte, codec Codec[V]) (*MVRegister[V], error) {
	raw := bytesCodec()
	raw.Decode = func(b []byte) (string, error) {
		v, err := codec.Decode(b)
		if err != nil {
			return "", err
		}
		return string(codec.Append(nil, v)), nil
	}
	s, err := DecodeSet(b, raw)
	if err != nil {
		return nil, renamed(err, "Set", "MVRegister")
	}
	return NewMVRegister(codec).wrap(s), nil
}

// Digest implements Lattice: context and live dots.
func (r *MVRegister[V]) Digest() []byte { return r.inner().digestDots() }

// Since implements Lattice; the answer is exact.
func (r *MVRegister[V]) Since(digest []byte) (*MVRegister[V], error) {
	delta, err := r.inner().sinceDots(digest)
	return r.wrap(delta), err
}

// MVRegisterOp is a write before it has a dot: what an atomic block records.
type MVRegisterOp[V any] struct {
	Value V
	// Clear says that the values are taken out and Value is not written.
	Clear bool
	// Observed are the live dots where the operation was prepared: what it replaces. Filled by
	// MVRegister.Prepare.
	Observed []Dot

	codec Codec[V]
}

// Prepare returns op with Observed filled from the register, in place of what it held.
func (r *MVRegister[V]) Prepare(op MVRegisterOp[V]) MVRegisterOp[V] {
	op.Observed = r.inner().liveDots()
	if r != nil {
		op.codec = r.codec
	}
	return op
}

// Effect returns the delta, nil when there is nothing to change. It needs no state but the codec that
// Prepare or DecodeMVRegisterOp gave; m may be nil when op only clears. Observed is believed, as by
// SetOp.Effect.
func (op MVRegisterOp[V]) Effect(m *Minter) *MVRegister[V] {
	of := SetOp[string]{Observed: op.Observed}
	if !op.Clear {
		mustHave(op.codec)
		of.Add = []string{string(op.codec.Append(nil, op.Value))}
	}
	return NewMVRegister(op.codec).wrap(of.Effect(m))
}

// AppendMVRegisterOp appends the encoding of op, message MVRegisterOp of crdt.proto.
func AppendMVRegisterOp[V any](b []byte, op MVRegisterOp[V], codec Codec[V]) []byte {
	b = appendVersion(b)
	if !op.Clear {
		b = appendNested(b, 2, func(b []byte) []byte { return codec.Append(b, op.Value) })
	}
	if len(op.Observed) > 0 {
		b = appendDots(b, 3, op.Observed)
	}
	return b
}

// DecodeMVRegisterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeMVRegisterOp[V any](b []byte, codec Codec[V]) (MVRegisterOp[V], error) {
	op := MVRegisterOp[V]{codec: codec, Clear: true}
	r := reader{message: "MVRegisterOp", b: b}
	r.version()
	for r.next(3) {
		switch r.num {
		case 2:
			op.Clear, op.Value = false, decodeValue(&r, codec)
		case 3:
			op.Observed = r.dots(op.Observed)
		default:
			r.unknown()
		}
	}
	return finished(&r, op)
}
