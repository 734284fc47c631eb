package crdt

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// encodingVersion stands first in every encoded state and digest.
const encodingVersion = 1

// DecodeError says why bytes are not the canonical encoding of a message of this package.
type DecodeError struct {
	// Message is the name of the message in crdt.proto.
	Message string
	// Offset is where in that message's bytes reading stopped.
	Offset int
	// Reason is what was wrong there.
	Reason string
	// Err is the error of an inner message or of a Codec, nil when there is none.
	Err error
}

// Error names message, offset and reason.
func (e *DecodeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("crdt: decode %s at byte %d: %s: %v", e.Message, e.Offset, e.Reason, e.Err)
	}
	return fmt.Sprintf("crdt: decode %s at byte %d: %s", e.Message, e.Offset, e.Reason)
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// reader reads one message strictly: ascending field numbers, minimal varints, no unknown fields. So each
// state has one encoding, and bytes that pass are that one.
type reader struct {
	message string
	b       []byte
	off     int
	num     protowire.Number
	typ     protowire.Type
	err     error
}

func (r *reader) fail(reason string, args ...any) {
	if r.err == nil {
		r.err = &DecodeError{Message: r.message, Offset: r.off, Reason: fmt.Sprintf(reason, args...)}
	}
}

func (r *reader) failWith(err error, reason string) {
	if r.err == nil {
		r.err = &DecodeError{Message: r.message, Offset: r.off, Reason: reason, Err: err}
	}
}

// next reads the next field's tag. A field comes once unless it is named in repeated.
func (r *reader) next(repeated ...protowire.Number) bool {
	if r.err != nil || r.off == len(r.b) {
		return false
	}
	tag := r.varint()
	if r.err != nil {
		return false
	}
	num, typ := protowire.DecodeTag(tag)
	if num < 1 {
		r.fail("%d is no field number", tag>>3)
		return false
	}
	if num < r.num {
		r.fail("field %d after field %d", num, r.num)
		return false
	}
	if num == r.num {
		again := false
		for _, n := range repeated {
			again = again || n == num
		}
		if !again {
			r.fail("field %d comes twice", num)
			return false
		}
	}
	r.num, r.typ = num, typ
	return true
}

func (r *reader) varint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := protowire.ConsumeVarint(r.b[r.off:])
	if n < 0 {
		r.fail("bad varint")
		return 0
	}
	if n != protowire.SizeVarint(v) {
		r.fail("varint is longer than it need be")
		return 0
	}
	r.off += n
	return v
}

// uint reads a varint field, which is left out when it is zero.
func (r *reader) uint() uint64 {
	if r.typ != protowire.VarintType {
		r.fail("field %d has wire type %d, want varint", r.num, r.typ)
		return 0
	}
	v := r.varint()
	if v == 0 {
		r.fail("field %d is zero and should be left out", r.num)
	}
	return v
}

// bytes reads a length-delimited field; what it returns aliases the input.
func (r *reader) bytes() []byte {
	if r.err == nil && r.typ != protowire.BytesType {
		r.fail("field %d has wire type %d, want bytes", r.num, r.typ)
	}
	n := r.varint()
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.b)-r.off) {
		r.fail("field %d is cut short", r.num)
		return nil
	}
	v := r.b[r.off : r.off+int(n)]
	r.off += int(n)
	return v
}

// fixed64 reads a fixed64 field.
func (r *reader) fixed64() uint64 {
	if r.err == nil && r.typ != protowire.Fixed64Type {
		r.fail("field %d has wire type %d, want fixed64", r.num, r.typ)
	}
	if r.err != nil {
		return 0
	}
	v, n := protowire.ConsumeFixed64(r.b[r.off:])
	if n < 0 {
		r.fail("field %d is cut short", r.num)
		return 0
	}
	r.off += n
	return v
}

func (r *reader) unknown() { r.fail("unknown field %d", r.num) }

// version reads field 1 as the encoding's version.
func (r *reader) version() {
	if !r.next() || r.num != 1 {
		r.fail("the version is missing")
		return
	}
	if v := r.uint(); r.err == nil && v != encodingVersion {
		r.fail("version %d, this release reads version %d", v, encodingVersion)
	}
}

// finish returns the first error, or one when bytes are left over.
func (r *reader) finish() error {
	if r.err == nil && r.off != len(r.b) {
		r.fail("bytes left over")
	}
	return r.err
}

// finished returns what was read, nothing of it when reading failed.
func finished[T any](r *reader, v T) (T, error) {
	if err := r.finish(); err != nil {
		var none T
		return none, err
	}
	return v, nil
}

func appendVersion(b []byte) []byte { return appendUint(b, 1, encodingVersion) }

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

// appendNested appends what f appends as a length-delimited field. The length is put in afterwards, which
// moves the bytes by its own size, at most nine.
func appendNested(b []byte, num protowire.Number, f func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	start := len(b)
	b = f(b)
	n := len(b) - start
	size := protowire.SizeVarint(uint64(n))
	var room [10]byte
	b = append(b, room[:size]...)
	copy(b[start+size:], b[start:start+n])
	protowire.AppendVarint(b[:start], uint64(n))
	return b
}
