package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
)

// Pair is an element of two parts.
type Pair[A, B any] struct {
	A A
	B B
}

// Entry is an element under a key: of a family of variables, or of a fold over groups.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// PairCodec returns the codec of pairs whose parts have codecs a and b. It is meant for generated code.
func PairCodec[A, B any](a crdt.Codec[A], b crdt.Codec[B]) crdt.Codec[Pair[A, B]] {
	c := crdt.Codec[Pair[A, B]]{
		Append: func(buf []byte, p Pair[A, B]) []byte { return appendTwo(buf, p.A, p.B, a, b) },
		Decode: func(buf []byte) (p Pair[A, B], err error) {
			p.A, p.B, err = decodeTwo("pair", buf, a, b)
			return p, err
		},
	}
	if a.Clone != nil || b.Clone != nil {
		c.Clone = func(p Pair[A, B]) Pair[A, B] { return Pair[A, B]{a.Copy(p.A), b.Copy(p.B)} }
	}
	return c
}

// EntryCodec returns the codec of entries whose key and value have codecs k and v. It is meant for
// generated code; a feed of a family makes its elements with it.
func EntryCodec[K, V any](k crdt.Codec[K], v crdt.Codec[V]) crdt.Codec[Entry[K, V]] {
	c := crdt.Codec[Entry[K, V]]{
		Append: func(buf []byte, e Entry[K, V]) []byte { return appendTwo(buf, e.Key, e.Value, k, v) },
		Decode: func(buf []byte) (e Entry[K, V], err error) {
			e.Key, e.Value, err = decodeTwo("entry", buf, k, v)
			return e, err
		},
	}
	if k.Clone != nil || v.Clone != nil {
		c.Clone = func(e Entry[K, V]) Entry[K, V] { return Entry[K, V]{k.Copy(e.Key), v.Copy(e.Value)} }
	}
	return c
}

// appendTwo writes two fields of bytes, both always present.
func appendTwo[A, B any](buf []byte, x A, y B, a crdt.Codec[A], b crdt.Codec[B]) []byte {
	at := len(buf)
	buf = insertHeader(a.Append(buf, x), at, 1)
	at = len(buf)
	return insertHeader(b.Append(buf, y), at, 2)
}

// insertHeader turns what follows b[at] into a length-delimited field.
func insertHeader(b []byte, at int, field protowire.Number) []byte {
	n := len(b) - at
	var room [protowireHeader]byte
	head := protowire.AppendVarint(protowire.AppendTag(room[:0], field, protowire.BytesType), uint64(n))
	b = append(b, head...)
	copy(b[at+len(head):], b[at:at+n])
	copy(b[at:], head)
	return b
}

// protowireHeader is the longest tag of one of the first fields with the longest length.
const protowireHeader = 1 + 10

func decodeTwo[A, B any](what string, buf []byte, a crdt.Codec[A], b crdt.Codec[B]) (x A, y B, err error) {
	first, second, err := splitTwo(buf)
	if err != nil {
		return x, y, fmt.Errorf("flow: %s: %w", what, err)
	}
	if x, err = a.Decode(first); err != nil {
		return x, y, fmt.Errorf("flow: %s, first part: %w", what, err)
	}
	if y, err = b.Decode(second); err != nil {
		return x, y, fmt.Errorf("flow: %s, second part: %w", what, err)
	}
	return x, y, nil
}

var errTwo = errors.New("not two fields of bytes in canonical form")

func splitTwo(b []byte) (first, second []byte, err error) {
	first, n := consumeField(b, 1)
	if n < 0 {
		return nil, nil, errTwo
	}
	second, m := consumeField(b[n:], 2)
	if m < 0 || n+m != len(b) {
		return nil, nil, errTwo
	}
	return first, second, nil
}

// consumeField returns a field's content and the field's size, negative when b does not begin with it.
func consumeField(b []byte, field byte) ([]byte, int) {
	if len(b) == 0 || b[0] != field<<3|byte(protowire.BytesType) {
		return nil, -1
	}
	v, n := protowire.ConsumeBytes(b[1:])
	if n < 0 || n != protowire.SizeBytes(len(v)) {
		return nil, -1
	}
	return v, 1 + n
}

// sortByBytes sorts elems by their encodings.
func sortByBytes[E any](elems []E, c crdt.Codec[E]) {
	if len(elems) < 2 {
		return
	}
	type encoded struct {
		bytes string
		elem  E
	}
	keyed := make([]encoded, len(elems))
	var buf []byte
	for i, e := range elems {
		buf = c.Append(buf[:0], e)
		keyed[i] = encoded{string(buf), e}
	}
	slices.SortFunc(keyed, func(a, b encoded) int { return strings.Compare(a.bytes, b.bytes) })
	for i, k := range keyed {
		elems[i] = k.elem
	}
}
