package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// AppendElement appends v as a length-delimited field, even when its encoding is empty.
func AppendElement[T any](b []byte, n protowire.Number, v T, put func([]byte, T) []byte) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return seal(put(append(b, 0), v), len(b))
}

// AppendMessage appends v as a length-delimited field, unless its encoding is empty.
func AppendMessage[T any](b []byte, n protowire.Number, v T, put func([]byte, T) []byte) []byte {
	start := len(b)
	b = protowire.AppendTag(b, n, protowire.BytesType)
	at := len(b)
	if b = put(append(b, 0), v); len(b) == at+1 {
		return b[:start]
	}
	return seal(b, at)
}

// seal writes the length of what follows b[at], where one byte is kept for it.
func seal(b []byte, at int) []byte {
	size := len(b) - at - 1
	if size < 1<<7 {
		b[at] = byte(size)
		return b
	}
	var room [10]byte
	head := protowire.AppendVarint(room[:0], uint64(size))
	b = append(b, head[1:]...)
	copy(b[at+len(head):], b[at+1:at+1+size])
	copy(b[at:], head)
	return b
}

// DecodeMessage reads a length-delimited field.
func DecodeMessage[T any](f Field, decode func([]byte) (T, error)) (v T, err error) {
	m, err := f.Bytes()
	if err != nil {
		return v, err
	}
	return decode(m)
}

// AppendPointer appends what v points to, even when its encoding is empty; nil is absent.
func AppendPointer[T any](b []byte, n protowire.Number, v *T, put func([]byte, T) []byte) []byte {
	if v == nil {
		return b
	}
	return AppendElement(b, n, *v, put)
}

// DecodePointer reads what AppendPointer wrote.
func DecodePointer[T any](f Field, decode func([]byte) (T, error)) (*T, error) {
	v, err := DecodeMessage(f, decode)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// AppendRepeated appends each element as a field.
func AppendRepeated[T any](b []byte, n protowire.Number, v []T, put func([]byte, T) []byte) []byte {
	for _, e := range v {
		b = AppendElement(b, n, e, put)
	}
	return b
}

// DecodeRepeated reads one element and appends it to to.
func DecodeRepeated[S ~[]T, T any](f Field, to *S, decode func([]byte) (T, error)) error {
	v, err := DecodeMessage(f, decode)
	if err != nil {
		return err
	}
	*to = append(*to, v)
	return nil
}

// AppendStrings appends each string as a field.
func AppendStrings[T ~string](b []byte, n protowire.Number, v []T) []byte {
	for _, e := range v {
		b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), string(e))
	}
	return b
}

// DecodeStrings reads one string and appends it to to.
func DecodeStrings[S ~[]T, T ~string](f Field, to *S) error {
	v, err := f.String()
	if err != nil {
		return err
	}
	*to = append(*to, T(v))
	return nil
}

// Numbers in slices are packed: one field holds them all.

// AppendBools appends booleans, packed.
func AppendBools[T ~bool](b []byte, n protowire.Number, v []T) []byte {
	return appendPacked(b, n, v, func(b []byte, v T) []byte {
		return protowire.AppendVarint(b, protowire.EncodeBool(bool(v)))
	})
}

// AppendInts appends signed integers, packed.
func AppendInts[T Signed](b []byte, n protowire.Number, v []T) []byte {
	return appendPacked(b, n, v, func(b []byte, v T) []byte {
		return protowire.AppendVarint(b, protowire.EncodeZigZag(int64(v)))
	})
}

// AppendUints appends unsigned integers, packed.
func AppendUints[T Unsigned](b []byte, n protowire.Number, v []T) []byte {
	return appendPacked(b, n, v, func(b []byte, v T) []byte { return protowire.AppendVarint(b, uint64(v)) })
}

// AppendFloat32s appends float32s, packed.
func AppendFloat32s[T ~float32](b []byte, n protowire.Number, v []T) []byte {
	return appendPacked(b, n, v, func(b []byte, v T) []byte {
		return protowire.AppendFixed32(b, math.Float32bits(float32(v)))
	})
}

// AppendFloat64s appends float64s, packed.
func AppendFloat64s[T ~float64](b []byte, n protowire.Number, v []T) []byte {
	return appendPacked(b, n, v, func(b []byte, v T) []byte {
		return protowire.AppendFixed64(b, math.Float64bits(float64(v)))
	})
}

func appendPacked[T any](b []byte, n protowire.Number, v []T, put func([]byte, T) []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	at := len(b)
	b = append(b, 0)
	for _, e := range v {
		b = put(b, e)
	}
	return seal(b, at)
}

// DecodeBools reads packed booleans and appends them to to.
func DecodeBools[S ~[]T, T ~bool](f Field, to *S) error {
	return decodePacked(f, to, protowire.VarintType, DecodeBool[T])
}

// DecodeInts reads packed signed integers and appends them to to.
func DecodeInts[S ~[]T, T Signed](f Field, to *S) error {
	return decodePacked(f, to, protowire.VarintType, DecodeInt[T])
}

// DecodeUints reads packed unsigned integers and appends them to to.
func DecodeUints[S ~[]T, T Unsigned](f Field, to *S) error {
	return decodePacked(f, to, protowire.VarintType, DecodeUint[T])
}

// DecodeFloat32s reads packed float32s and appends them to to.
func DecodeFloat32s[S ~[]T, T ~float32](f Field, to *S) error {
	return decodePacked(f, to, protowire.Fixed32Type, DecodeFloat32[T])
}

// DecodeFloat64s reads packed float64s and appends them to to.
func DecodeFloat64s[S ~[]T, T ~float64](f Field, to *S) error {
	return decodePacked(f, to, protowire.Fixed64Type, DecodeFloat64[T])
}

func decodePacked[S ~[]T, T any](f Field, to *S, typ protowire.Type, decode func(Field) (T, error)) error {
	m, err := f.Bytes()
	if err != nil {
		return err
	}
	for off := 0; off < len(m); {
		e := Field{Number: f.Number, Type: typ, Offset: f.Offset}
		var n int
		switch typ {
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(m[off:])
			e.varint = uint64(v)
		case protowire.Fixed64Type:
			e.varint, n = protowire.ConsumeFixed64(m[off:])
		default:
			e.varint, n = protowire.ConsumeVarint(m[off:])
		}
		if n < 0 {
			return f.Errorf("packed value %d: %v", len(*to)+1, protowire.ParseError(n))
		}
		v, err := decode(e)
		if err != nil {
			return err
		}
		*to = append(*to, v)
		off += n
	}
	return nil
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
	type entry struct{ from, to int }
	var arena []byte
	keys := make([]K, 0, len(v))
	spans := make([]entry, 0, len(v))
	order := make([]int, 0, len(v))
	for k := range v {
		from := len(arena)
		arena = key(arena, k)
		order = append(order, len(keys))
		keys = append(keys, k)
		spans = append(spans, entry{from, len(arena)})
	}
	encoded := func(i int) []byte { return arena[spans[i].from:spans[i].to] }
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(encoded(i), encoded(j)) })
	for _, i := range order {
		b = AppendElement(b, n, i, func(b []byte, i int) []byte {
			b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), encoded(i))
			return AppendElement(b, 2, v[keys[i]], value)
		})
	}
	return b
}

// DecodeMap reads one entry into to; of entries with one key the last counts.
func DecodeMap[M ~map[K]V, K comparable, V any](f Field, to *M, key func([]byte) (K, error), value func([]byte) (V, error)) error {
	m, err := f.Bytes()
	if err != nil {
		return err
	}
	var k, v []byte
	err = EachField(m, func(f Field) (err error) {
		switch f.Number {
		case 1:
			k, err = f.Bytes()
		case 2:
			v, err = f.Bytes()
		}
		return err
	})
	if err != nil {
		return err
	}
	dk, err := key(k)
	if err != nil {
		return At("[key]", err)
	}
	dv, err := value(v)
	if err != nil {
		return At("[value]", err)
	}
	if *to == nil {
		*to = make(M)
	}
	(*to)[dk] = dv
	return nil
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
