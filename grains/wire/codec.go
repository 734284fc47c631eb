package wire

import (
	"errors"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/crdt"
)

// Codec encodes values of one type; see package crdt. A struct is encoded as a message; a value of any
// other type as field 1 of a message. A field that holds the zero value is absent, pointers apart.
//
// What does not survive: the difference between a nil and an empty slice or map (both arrive as nil);
// the location and the monotonic reading of a time.Time, which arrives in UTC. The sign of a zero and the
// bits of a NaN do survive, so floats that compare equal may differ in bytes.
type Codec[T any] = crdt.Codec[T]

// EmptyCodec is the codec of nothing: no arguments, no result.
var EmptyCodec = Codec[struct{}]{
	Append: func(b []byte, _ struct{}) []byte { return b },
	Decode: func([]byte) (struct{}, error) { return struct{}{}, nil },
}

// Signed is any signed integer type, Unsigned any unsigned one.
type (
	Signed interface {
		~int | ~int8 | ~int16 | ~int32 | ~int64
	}
	Unsigned interface {
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
	}
)

// The ready codecs of types that are one number, string, byte slice or time.

// BoolCodec is the codec of a boolean type.
func BoolCodec[T ~bool]() Codec[T] { return Codec[T]{Append: PutBool[T], Decode: TakeBool[T]} }

// IntCodec is the codec of a signed integer type; time.Duration is one.
func IntCodec[T Signed]() Codec[T] { return Codec[T]{Append: PutInt[T], Decode: TakeInt[T]} }

// UintCodec is the codec of an unsigned integer type.
func UintCodec[T Unsigned]() Codec[T] { return Codec[T]{Append: PutUint[T], Decode: TakeUint[T]} }

// Float32Codec is the codec of a float32 type.
func Float32Codec[T ~float32]() Codec[T] {
	return Codec[T]{Append: PutFloat32[T], Decode: TakeFloat32[T]}
}

// Float64Codec is the codec of a float64 type.
func Float64Codec[T ~float64]() Codec[T] {
	return Codec[T]{Append: PutFloat64[T], Decode: TakeFloat64[T]}
}

// StringCodec is the codec of a string type.
func StringCodec[T ~string]() Codec[T] { return Codec[T]{Append: PutString[T], Decode: TakeString[T]} }

// BytesCodec is the codec of a byte slice type.
func BytesCodec[T ~[]byte]() Codec[T] {
	return Codec[T]{Append: PutBytes[T], Decode: TakeBytes[T], Clone: CloneBytes[T]}
}

// TimeCodec is the codec of time.Time.
func TimeCodec() Codec[time.Time] { return Codec[time.Time]{Append: PutTime, Decode: TakeTime} }

// Put… append a value that stands alone, as field 1; Take… decode it.

// PutBool appends a boolean as field 1.
func PutBool[T ~bool](b []byte, v T) []byte { return AppendBool(b, 1, v) }

// PutInt appends a signed integer as field 1.
func PutInt[T Signed](b []byte, v T) []byte { return AppendInt(b, 1, v) }

// PutUint appends an unsigned integer as field 1.
func PutUint[T Unsigned](b []byte, v T) []byte { return AppendUint(b, 1, v) }

// PutFloat32 appends a float32 as field 1.
func PutFloat32[T ~float32](b []byte, v T) []byte { return AppendFloat32(b, 1, v) }

// PutFloat64 appends a float64 as field 1.
func PutFloat64[T ~float64](b []byte, v T) []byte { return AppendFloat64(b, 1, v) }

// PutString appends a string as field 1.
func PutString[T ~string](b []byte, v T) []byte { return AppendString(b, 1, v) }

// PutBytes appends bytes as field 1.
func PutBytes[T ~[]byte](b []byte, v T) []byte { return AppendBytes(b, 1, v) }

// PutTime appends a time as field 1.
func PutTime(b []byte, v time.Time) []byte { return AppendTime(b, 1, v) }

// TakeBool decodes a boolean in field 1.
func TakeBool[T ~bool](b []byte) (T, error) {
	return take(b, varintFirst, func(r Reader) (T, Reader) { v := T(r.Bool()); return v, r })
}

// TakeInt decodes a signed integer in field 1.
func TakeInt[T Signed](b []byte) (T, error) {
	return take(b, varintFirst, func(r Reader) (T, Reader) { v := ReadInt[T](&r); return v, r })
}

// TakeUint decodes an unsigned integer in field 1.
func TakeUint[T Unsigned](b []byte) (T, error) {
	return take(b, varintFirst, func(r Reader) (T, Reader) { v := ReadUint[T](&r); return v, r })
}

// TakeFloat32 decodes a float32 in field 1.
func TakeFloat32[T ~float32](b []byte) (T, error) {
	return take(b, fixed32First, func(r Reader) (T, Reader) { v := T(r.Float32()); return v, r })
}

// TakeFloat64 decodes a float64 in field 1.
func TakeFloat64[T ~float64](b []byte) (T, error) {
	return take(b, fixed64First, func(r Reader) (T, Reader) { v := T(r.Float64()); return v, r })
}

// TakeString decodes a string in field 1.
func TakeString[T ~string](b []byte) (T, error) {
	return take(b, bytesFirst, func(r Reader) (T, Reader) { v := T(r.Text()); return v, r })
}

// TakeBytes decodes bytes in field 1.
func TakeBytes[T ~[]byte](b []byte) (T, error) {
	return take(b, bytesFirst, func(r Reader) (T, Reader) { v := T(r.Blob()); return v, r })
}

// TakeTime decodes a time in field 1.
func TakeTime(b []byte) (time.Time, error) {
	return take(b, bytesFirst, func(r Reader) (time.Time, Reader) { v := r.Time(); return v, r })
}

// The one field of what stands alone.
var (
	varintFirst  = Fields{{1 << 3, ""}}
	fixed64First = Fields{{1<<3 | 1, ""}}
	bytesFirst   = Fields{{1<<3 | 2, ""}}
	fixed32First = Fields{{1<<3 | 5, ""}}
)

// take gives read the reader and has it back, because one that is pointed to would be allocated.
func take[T any](b []byte, first Fields, read func(Reader) (T, Reader)) (v T, err error) {
	for r := NewReader(b, first); ; {
		switch r.Next() {
		case 0:
			if r.err != nil {
				var none T
				return none, r.err
			}
			return v, nil
		case first[0].Tag:
			v, r = read(r)
		default:
			r.Skip()
		}
	}
}

// Append… append one field, unless it is zero.

// AppendBool appends a boolean field.
func AppendBool[T ~bool](b []byte, n protowire.Number, v T) []byte {
	if !v {
		return b
	}
	return append(protowire.AppendTag(b, n, protowire.VarintType), 1)
}

// AppendInt appends a zigzag varint (sint64).
func AppendInt[T Signed](b []byte, n protowire.Number, v T) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeZigZag(int64(v)))
}

// AppendUint appends a varint (uint64).
func AppendUint[T Unsigned](b []byte, n protowire.Number, v T) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}

// DecodeUint reads a varint; it refuses what T cannot hold.
func DecodeUint[T Unsigned](f Field) (T, error) {
	v, err := f.Uint()
	if err == nil && uint64(T(v)) != v {
		return 0, f.Errorf("%d does not fit into %T", v, T(0))
	}
	return T(v), err
}

// AppendFloat32 appends a fixed32 (float).
func AppendFloat32[T ~float32](b []byte, n protowire.Number, v T) []byte {
	bits := math.Float32bits(float32(v))
	if bits == 0 {
		return b
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), bits)
}

// AppendFloat64 appends a fixed64 (double).
func AppendFloat64[T ~float64](b []byte, n protowire.Number, v T) []byte {
	bits := math.Float64bits(float64(v))
	if bits == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), bits)
}

// AppendString appends a string field.
func AppendString[T ~string](b []byte, n protowire.Number, v T) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), string(v))
}

// AppendBytes appends a bytes field.
func AppendBytes[T ~[]byte](b []byte, n protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// CloneBytes copies bytes; no bytes are nil, as they are after a call to another silo.
func CloneBytes[T ~[]byte](v T) T {
	if len(v) == 0 {
		return nil
	}
	return append(T(nil), v...)
}

// AppendTime appends the time as seconds and nanoseconds since 1970 UTC, in a message that the zero Time
// alone leaves out.
func AppendTime(b []byte, n protowire.Number, v time.Time) []byte {
	if v.IsZero() {
		return b
	}
	return AppendMoment(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// AppendErrorField appends an error inside a value, unless it is nil: its text, and the identity of what
// t knows.
func AppendErrorField(b []byte, n protowire.Number, err error, t *ErrorTable) []byte {
	if err == nil {
		return b
	}
	return AppendElement(b, n, err, func(b []byte, err error) []byte { return AppendError(b, err, t) })
}

func decodeErrorValue(b []byte, t *ErrorTable) (value, err error) {
	value = DecodeError(b, t)
	if bad := (*DecodeFailure)(nil); errors.As(value, &bad) {
		return nil, bad.Err
	}
	return value, nil
}

// PathError says in which field of which struct bytes could not be decoded. Err is a *FieldError as a
// rule, whose offset counts from the beginning of the innermost message.
type PathError struct {
	Path string // "Order.Lines.Price"
	Err  error
}

func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// At adds a step to the path of a decoder's error; nil stays nil.
func At(step string, err error) error {
	if err == nil {
		return nil
	}
	inner, ok := err.(*PathError)
	if !ok {
		return &PathError{step, err}
	}
	// A path that went through a recursive type is cut, so that hostile bytes do not make it long.
	if strings.Count(inner.Path, ".") > 8 {
		return inner
	}
	return &PathError{step + "." + inner.Path, inner.Err}
}

// maxDepth is how deep values of a recursive type may be nested.
const maxDepth = 1000

// Deeper refuses a value that is nested too deeply.
func Deeper(depth int) error {
	if depth > maxDepth {
		return &FieldError{Reason: "nested too deeply"}
	}
	return nil
}
