package crdttest

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
)

var errNotCanonical = errors.New("not the canonical encoding")

// Strings is a codec of strings: their bytes, which must be UTF-8.
func Strings() crdt.Codec[string] {
	return crdt.Codec[string]{
		Append: func(b []byte, v string) []byte { return append(b, v...) },
		Decode: func(b []byte) (string, error) {
			if !utf8.Valid(b) {
				return "", errNotCanonical
			}
			return string(b), nil
		},
	}
}

// Uints is a codec of unsigned integers: one varint of the shortest form.
func Uints() crdt.Codec[uint64] {
	return crdt.Codec[uint64]{
		Append: protowire.AppendVarint,
		Decode: func(b []byte) (uint64, error) {
			v, n := protowire.ConsumeVarint(b)
			if n != len(b) || n != protowire.SizeVarint(v) {
				return 0, errNotCanonical
			}
			return v, nil
		},
	}
}
