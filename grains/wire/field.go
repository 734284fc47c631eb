package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is one field of an encoded message, as a decoder meets it.
type Field struct {
	Number protowire.Number
	Type   protowire.Type
	// Offset is where the field begins in the message.
	Offset int
	varint uint64 // of varint, fixed32 and fixed64 fields
	bytes  []byte // of length-delimited fields; aliases the message
}

// FieldError says which bytes of a message could not be decoded, and why.
type FieldError struct {
	Offset int
	Number protowire.Number
	Reason string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("byte %d, field %d: %s", e.Offset, e.Number, e.Reason)
}

// Errorf returns a FieldError at f.
func (f Field) Errorf(format string, args ...any) error {
	return &FieldError{f.Offset, f.Number, fmt.Sprintf(format, args...)}
}

// EachField calls do with each field of the message b, in the order of the bytes, and stops at the first
// error. Groups are refused. It allocates nothing.
func EachField(b []byte, do func(Field) error) error {
	for off := 0; off < len(b); {
		f := Field{Offset: off}
		num, typ, n := protowire.ConsumeTag(b[off:])
		if n < 0 {
			return f.Errorf("bad tag: %v", protowire.ParseError(n))
		}
		f.Number, f.Type = num, typ
		off += n
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b[off:])
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b[off:])
			f.varint = uint64(v)
		case protowire.Fixed64Type:
			f.varint, n = protowire.ConsumeFixed64(b[off:])
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b[off:])
		default:
			return f.Errorf("wire type %d is not used here", typ)
		}
		if n < 0 {
			return f.Errorf("bad value: %v", protowire.ParseError(n))
		}
		off += n
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// Uint is the value of a varint field.
func (f Field) Uint() (uint64, error) {
	if f.Type != protowire.VarintType {
		return 0, f.Errorf("wire type %d where a varint is expected", f.Type)
	}
	return f.varint, nil
}

// Int is the value of a zigzag varint field (sint64).
func (f Field) Int() (int64, error) {
	v, err := f.Uint()
	return protowire.DecodeZigZag(v), err
}

// Bool is the value of a varint field that is 0 or 1.
func (f Field) Bool() (bool, error) {
	v, err := f.Uint()
	if err == nil && v > 1 {
		return false, f.Errorf("%d where a boolean is expected", v)
	}
	return v == 1, err
}

// Fixed64 is the value of a fixed64 field.
func (f Field) Fixed64() (uint64, error) {
	if f.Type != protowire.Fixed64Type {
		return 0, f.Errorf("wire type %d where a fixed64 is expected", f.Type)
	}
	return f.varint, nil
}

// Fixed32 is the value of a fixed32 field.
func (f Field) Fixed32() (uint32, error) {
	if f.Type != protowire.Fixed32Type {
		return 0, f.Errorf("wire type %d where a fixed32 is expected", f.Type)
	}
	return uint32(f.varint), nil
}

// Float64 is the value of a double field.
func (f Field) Float64() (float64, error) {
	v, err := f.Fixed64()
	return math.Float64frombits(v), err
}

// Float32 is the value of a float field.
func (f Field) Float32() (float32, error) {
	v, err := f.Fixed32()
	return math.Float32frombits(v), err
}

// Bytes is the value of a length-delimited field; it aliases the message.
func (f Field) Bytes() ([]byte, error) {
	if f.Type != protowire.BytesType {
		return nil, f.Errorf("wire type %d where bytes are expected", f.Type)
	}
	return f.bytes, nil
}

// String is the value of a string field, copied. A Go string may hold any bytes, so none are refused.
func (f Field) String() (string, error) {
	b, err := f.Bytes()
	return string(b), err
}
