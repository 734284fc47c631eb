package crdt

// Codec encodes values of type T in protobuf wire format and copies them. Generated code holds one for
// each type that travels or is stored; the zero Codec is not usable.
//
// Append and Decode are inverse to each other, and Append is canonical: equal values give equal bytes.
// Both may be called from several goroutines at once.
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
