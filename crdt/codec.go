package crdt

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Codec encodes values of type T in protobuf wire format and copies them. Generated code holds one for
// each type that travels or is stored; the zero Codec is not usable.
//
// Append and Decode are inverse to each other, and Append is canonical: equal values give equal bytes.
// Both may be called from several goroutines at once. [StringCodec], [IntCodec] and [UintCodec] are those of
// strings and integers; a lattice has its own beside its type, as [SetCodec].
type Codec[T any] struct {
	// Append appends the encoding of v to b.
	Append func(b []byte, v T) []byte
	// Decode reads a value that fills b entirely. What it returns does not alias b. Bytes that are not
	// such a value give an error that says where; they never panic, and what is allocated stays within
	// a small multiple of len(b).
	Decode func(b []byte) (T, error)
	// Clone returns a copy that shares nothing mutable with v; nil says that T is immutable by type.
	Clone func(v T) T
}

// Copy returns a copy of v that shares nothing mutable with it, v itself where T is immutable by type.
func (c Codec[T]) Copy(v T) T {
	if c.Clone == nil {
		return v
	}
	return c.Clone(v)
}

// StringCodec is the Codec of a string type: the bytes of the string, whatever they are.
func StringCodec[T ~string]() Codec[T] {
	return Codec[T]{
		Append: func(b []byte, v T) []byte { return append(b, v...) },
		Decode: func(b []byte) (T, error) { return T(b), nil },
	}
}

// IntCodec is the Codec of a signed integer type: one varint in zigzag encoding. A number that the type does
// not hold is not decoded.
func IntCodec[T ~int | ~int8 | ~int16 | ~int32 | ~int64]() Codec[T] {
	return Codec[T]{
		Append: func(b []byte, v T) []byte { return protowire.AppendVarint(b, zigzag(int64(v))) },
		Decode: func(b []byte) (T, error) {
			r := reader{message: "int", b: b}
			n := unzigzag(r.varint())
			if v := T(n); r.err == nil && int64(v) == n {
				return finished(&r, v)
			}
			r.fail("%d is out of range", n)
			return 0, r.err
		},
	}
}

// UintCodec is the Codec of an unsigned integer type: one varint. A number that the type does not hold is not
// decoded.
func UintCodec[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64]() Codec[T] {
	return Codec[T]{
		Append: func(b []byte, v T) []byte { return protowire.AppendVarint(b, uint64(v)) },
		Decode: func(b []byte) (T, error) {
			r := reader{message: "uint", b: b}
			n := r.varint()
			if v := T(n); r.err == nil && uint64(v) == n {
				return finished(&r, v)
			}
			r.fail("%d is out of range", n)
			return 0, r.err
		},
	}
}
