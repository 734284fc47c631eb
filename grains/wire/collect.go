package wire

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// AppendElement appends v as a length-delimited field, even when its encoding is empty.
func AppendElement[T any](b []byte, n protowire.Number, v T, put func([]byte, T) []byte) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return Sealed(put(append(b, 0), v), len(b)+1)
}

// DecodeMessage reads a length-delimited field.
func DecodeMessage[T any](f Field, decode func([]byte) (T, error)) (v T, err error) {
	m, err := f.Bytes()
	if err != nil {
		return v, err
	}
	return decode(m)
}

// FillArray copies decoded elements into an array, given as a slice of it. No elements leave it zero, as
// the field of an older sender does.
func FillArray[T any](to, from []T) error {
	if len(from) == 0 {
		return nil
	}
	if len(from) != len(to) {
		return fmt.Errorf("%d elements where %d are expected", len(from), len(to))
	}
	copy(to, from)
	return nil
}

// AppendMap appends each entry as a message of key (1) and value (2), both always there, sorted by the
// encoded key.
func AppendMap[K comparable, V any](b []byte, n protowire.Number, v map[K]V, key func([]byte, K) []byte, value func([]byte, V) []byte) []byte {
	if len(v) == 0 {
		return b
	}
	if len(v) == 1 {
		for k, e := range v {
			b = append(protowire.AppendTag(b, n, protowire.BytesType), 0)
			at := len(b)
			b = Sealed(key(append(b, 1<<3|2, 0), k), at+2)
			b = Sealed(value(append(b, 2<<3|2, 0), e), len(b)+2)
			b = Sealed(b, at)
		}
		return b
	}
	type entry struct {
		key      K
		from, to int // of the encoded key
	}
	s := NewScratch()
	arena := s.Bytes()
	entries := make([]entry, 0, len(v))
	for k := range v {
		from := len(arena)
		arena = key(arena, k)
		entries = append(entries, entry{k, from, len(arena)})
	}
	slices.SortFunc(entries, func(x, y entry) int { return bytes.Compare(arena[x.from:x.to], arena[y.from:y.to]) })
	for _, e := range entries {
		b = append(protowire.AppendTag(b, n, protowire.BytesType), 0)
		at := len(b)
		b = AppendText(append(b, 1<<3|2), arena[e.from:e.to])
		b = Sealed(value(append(b, 2<<3|2, 0), v[e.key]), len(b)+2)
		b = Sealed(b, at)
	}
	s.release(arena)
	return b
}

// CloneSlice copies a slice; clone copies an element, nil where elements are immutable. No elements are
// nil, as they are after a call to another silo.
func CloneSlice[S ~[]T, T any](v S, clone func(T) T) S {
	if len(v) == 0 {
		return nil
	}
	c := make(S, len(v))
	copy(c, v)
	if clone != nil {
		for i := range c {
			c[i] = clone(c[i])
		}
	}
	return c
}

// CloneMap copies a map; clone copies a value, nil where values are immutable.
func CloneMap[M ~map[K]V, K comparable, V any](v M, clone func(V) V) M {
	if len(v) == 0 {
		return nil
	}
	c := make(M, len(v))
	for k, e := range v {
		if clone != nil {
			e = clone(e)
		}
		c[k] = e
	}
	return c
}

// ClonePointer copies what v points to; clone copies it deeply, nil where that is immutable.
func ClonePointer[T any](v *T, clone func(T) T) *T {
	if v == nil {
		return nil
	}
	c := *v
	if clone != nil {
		c = clone(c)
	}
	return &c
}
