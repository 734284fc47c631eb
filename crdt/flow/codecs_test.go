package flow_test

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
)

// textCodec encodes a string as itself.
var textCodec = crdt.Codec[string]{
	Append: func(b []byte, s string) []byte { return append(b, s...) },
	Decode: func(b []byte) (string, error) { return string(b), nil },
}

var errNotNumber = errors.New("not a number in its shortest form")

// numberCodec encodes an int64 as one zigzag varint.
var numberCodec = crdt.Codec[int64]{
	Append: func(b []byte, n int64) []byte { return protowire.AppendVarint(b, protowire.EncodeZigZag(n)) },
	Decode: func(b []byte) (int64, error) {
		v, n := protowire.ConsumeVarint(b)
		if n != len(b) || n != protowire.SizeVarint(v) {
			return 0, errNotNumber
		}
		return protowire.DecodeZigZag(v), nil
	},
}
