package wire

import "github.com/martinelli-go/martinelli/crdt"

// Codec encodes values of one type; see package crdt.
type Codec[T any] = crdt.Codec[T]

// EmptyCodec is the codec of nothing: no arguments, no result.
var EmptyCodec = Codec[struct{}]{
	Append: func(b []byte, _ struct{}) []byte { return b },
	Decode: func([]byte) (struct{}, error) { return struct{}{}, nil },
}
