package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields are the fields that a decoder knows: the tag of each, which is its number and wire type, and the path
// that errors show. They are looked at when something is wrong or unknown, not before.
type Fields []struct {
	Tag  uint64
	Path string
}

// Reader goes through the fields of a message, for generated decoders:
//
//	r := wire.NewReader(b, fieldsOfLine)
//	for {
//		switch r.Next() {
//		case 0:
//			return r.Err()
//		case 1<<3 | 2: // Name
//			v.Name = r.Text()
//		default:
//			r.Skip()
//		}
//	}
//
// After the first error, which Err returns, the message is over, and what is read is zero.
type Reader struct {
	b      []byte
	off    int
	start  int    // of the field at hand
	tag    uint64 // likewise
	fields Fields
	err    error
}

// NewReader returns a reader of b, at its beginning.
func NewReader(b []byte, fields Fields) Reader { return Reader{b: b, fields: fields} }

// Next goes to the next field and returns its tag, 0 at the end of the message. The field must then be read
// or skipped.
func (r *Reader) Next() uint64 {
	r.start = r.off
	if r.off < len(r.b) {
		if c := r.b[r.off]; c-1 < 0x7f {
			r.off++
			r.tag = uint64(c)
			return uint64(c)
		}
		return r.next()
	}
	return 0
}

func (r *Reader) next() uint64 {
	num, typ, n := protowire.ConsumeTag(r.b[r.off:])
	if n < 0 {
		r.end(&FieldError{r.start, 0, fmt.Sprintf("bad tag: %v", protowire.ParseError(n))})
		return 0
	}
	r.off += n
	r.tag = uint64(num)<<3 | uint64(typ)
	return r.tag
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Fail ends the message with an error of the field at hand; nil is none.
func (r *Reader) Fail(err error) {
	if err != nil {
		r.fail(err)
	}
}

// Refuse ends the message because of the field at hand.
func (r *Reader) Refuse(reason string) {
	r.fail(&FieldError{r.start, protowire.Number(r.tag >> 3), reason})
}

func (r *Reader) fail(err error) {
	for _, f := range r.fields {
		if f.Tag>>3 == r.tag>>3 && f.Path != "" {
			err = At(f.Path, err)
			break
		}
	}
	r.end(err)
}

func (r *Reader) end(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b, r.off = nil, 0
}

const badValue = "bad value"

// bad ends the message because its bytes are no fields.
func (r *Reader) bad(n int) {
	r.end(&FieldError{r.start, protowire.Number(r.tag >> 3), fmt.Sprintf("%s: %v", badValue, protowire.ParseError(n))})
}

// expected names wire types.
var expected = map[uint64]string{
	uint64(protowire.VarintType): "a varint is", uint64(protowire.Fixed32Type): "a fixed32 is",
	uint64(protowire.Fixed64Type): "a fixed64 is", uint64(protowire.BytesType): "bytes are",
}

// Skip passes over a field that is unknown. One that is known by another wire type, and a group, are errors.
func (r *Reader) Skip() {
	number, typ := protowire.Number(r.tag>>3), protowire.Type(r.tag&7)
	if number == 0 { // of a tag that Next took without a look
		_, _, n := protowire.ConsumeTag(r.b[r.start:])
		r.end(&FieldError{r.start, 0, fmt.Sprintf("bad tag: %v", protowire.ParseError(n))})
		return
	}
	switch typ {
	case protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType:
	default:
		r.end(&FieldError{r.start, number, fmt.Sprintf("wire type %d is not used here", typ)})
		return
	}
	n := protowire.ConsumeFieldValue(number, typ, r.b[r.off:])
	if n < 0 {
		r.bad(n)
		return
	}
	for _, f := range r.fields {
		if f.Tag>>3 == uint64(number) {
			r.Refuse(fmt.Sprintf("wire type %d where %s expected", typ, expected[f.Tag&7]))
			return
		}
	}
	r.off += n
}

// Uvarint reads a varint.
func (r *Reader) Uvarint() uint64 {
	if r.off < len(r.b) {
		if c := r.b[r.off]; c < 0x80 {
			r.off++
			return uint64(c)
		}
	}
	return r.longVarint()
}

func (r *Reader) longVarint() uint64 {
	v, n := protowire.ConsumeVarint(r.b[r.off:])
	if n < 0 {
		if r.err == nil {
			r.bad(n)
		}
		return 0
	}
	r.off += n
	return v
}

// Message reads a length-delimited field; what it returns aliases the message.
func (r *Reader) Message() []byte {
	at := r.off
	n := r.Uvarint()
	if n > uint64(len(r.b)-r.off) {
		_, n := protowire.ConsumeBytes(r.b[at:])
		r.bad(n)
		return nil
	}
	from := r.off
	r.off += int(n)
	return r.b[from:r.off]
}

// Text reads a string. A Go string may hold any bytes, so none are refused.
func (r *Reader) Text() string { return string(r.Message()) }

// Blob reads bytes, copied; no bytes are nil.
func (r *Reader) Blob() []byte { return append([]byte(nil), r.Message()...) }

// ByteArray reads an array of bytes into to, whose length it must have.
func (r *Reader) ByteArray(to []byte) {
	m := r.Message()
	if r.err != nil {
		return
	}
	if len(m) != len(to) {
		r.Refuse(fmt.Sprintf("%d bytes where %d are expected", len(m), len(to)))
		return
	}
	copy(to, m)
}

// Bool reads a varint that is 0 or 1.
func (r *Reader) Bool() bool {
	v := r.Uvarint()
	if v > 1 {
		r.Refuse(fmt.Sprintf("%d where a boolean is expected", v))
		return false
	}
	return v == 1
}

// Fixed32 reads four bytes.
func (r *Reader) Fixed32() uint32 {
	if len(r.b)-r.off < 4 {
		r.short()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b[r.off:])
	r.off += 4
	return v
}

// Fixed64 reads eight bytes.
func (r *Reader) Fixed64() uint64 {
	if len(r.b)-r.off < 8 {
		r.short()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b[r.off:])
	r.off += 8
	return v
}

func (r *Reader) short() {
	if r.err == nil {
		_, n := protowire.ConsumeFixed64(nil)
		r.bad(n)
	}
}

// Float32 reads a float32.
func (r *Reader) Float32() float32 { return math.Float32frombits(r.Fixed32()) }

// Float64 reads a float64.
func (r *Reader) Float64() float64 { return math.Float64frombits(r.Fixed64()) }

// Messages that this package reads itself add nothing to the path.
var (
	timeFields = Fields{{1 << 3, ""}, {2 << 3, ""}}
	mapFields  = Fields{{1<<3 | 2, ""}, {2<<3 | 2, ""}}
)

// Time reads what AppendMoment wrote, in UTC.
func (r *Reader) Time() time.Time {
	m := r.Message()
	if r.err != nil {
		return time.Time{}
	}
	t, err := moment(m)
	r.Fail(err)
	return t
}

func moment(b []byte) (time.Time, error) {
	var sec, nano int64
	for r := NewReader(b, timeFields); ; {
		switch r.Next() {
		case 0:
			if r.err != nil {
				return time.Time{}, r.err
			}
			return time.Unix(sec, nano).UTC(), nil
		case 1 << 3:
			sec = protowire.DecodeZigZag(r.Uvarint())
		case 2 << 3:
			if nano = protowire.DecodeZigZag(r.Uvarint()); nano < 0 || nano >= 1e9 {
				r.Refuse(fmt.Sprintf("%d nanoseconds are no part of a second", nano))
			}
		default:
			r.Skip()
		}
	}
}

// ReadInt reads a signed integer; it refuses what T cannot hold.
func ReadInt[T Signed](r *Reader) T {
	v := protowire.DecodeZigZag(r.Uvarint())
	if int64(T(v)) != v {
		r.Refuse(fmt.Sprintf("%d does not fit into %T", v, T(0)))
		return 0
	}
	return T(v)
}

// ReadUint reads an unsigned integer; it refuses what T cannot hold.
func ReadUint[T Unsigned](r *Reader) T {
	v := r.Uvarint()
	if uint64(T(v)) != v {
		r.Refuse(fmt.Sprintf("%d does not fit into %T", v, T(0)))
		return 0
	}
	return T(v)
}

// ReadBools reads packed booleans and appends them to s.
func ReadBools[S ~[]T, T ~bool](r *Reader, s S) S {
	p, s := unpack(r, s, 0)
	for p.off < len(p.b) {
		if v := p.Bool(); p.err == nil {
			s = append(s, T(v))
		}
	}
	r.unpacked(p.err, len(s))
	return s
}

// ReadInts reads packed signed integers and appends them to s.
func ReadInts[S ~[]T, T Signed](r *Reader, s S) S {
	p, s := unpack(r, s, 0)
	for p.off < len(p.b) {
		if v := ReadInt[T](&p); p.err == nil {
			s = append(s, v)
		}
	}
	r.unpacked(p.err, len(s))
	return s
}

// ReadUints reads packed unsigned integers and appends them to s.
func ReadUints[S ~[]T, T Unsigned](r *Reader, s S) S {
	p, s := unpack(r, s, 0)
	for p.off < len(p.b) {
		if v := ReadUint[T](&p); p.err == nil {
			s = append(s, v)
		}
	}
	r.unpacked(p.err, len(s))
	return s
}

// ReadFloat32s reads packed float32s and appends them to s.
func ReadFloat32s[S ~[]T, T ~float32](r *Reader, s S) S {
	p, s := unpack(r, s, 4)
	for p.off < len(p.b) {
		if v := p.Float32(); p.err == nil {
			s = append(s, T(v))
		}
	}
	r.unpacked(p.err, len(s))
	return s
}

// ReadFloat64s reads packed float64s and appends them to s.
func ReadFloat64s[S ~[]T, T ~float64](r *Reader, s S) S {
	p, s := unpack(r, s, 8)
	for p.off < len(p.b) {
		if v := p.Float64(); p.err == nil {
			s = append(s, T(v))
		}
	}
	r.unpacked(p.err, len(s))
	return s
}

// unpack returns a reader of the packed numbers of the field at hand, of that many bytes each (0: as many as
// each needs), and s with room for them.
func unpack[S ~[]T, T any](r *Reader, s S, size int) (Reader, S) {
	m := r.Message()
	n := 0
	if size > 0 {
		n = len(m) / size
	} else {
		for _, c := range m { // the last byte of each is less than 0x80
			n += int(^c >> 7)
		}
	}
	return Reader{b: m, start: r.start, tag: r.tag}, slices.Grow(s, n)
}

// unpacked ends the message if the packed number after n others could not be read.
func (r *Reader) unpacked(err error, n int) {
	if err == nil {
		return
	}
	if e := err.(*FieldError); strings.HasPrefix(e.Reason, badValue) {
		e.Reason = fmt.Sprintf("packed value %d%s", n+1, strings.TrimPrefix(e.Reason, badValue))
	}
	r.fail(err)
}

// ReadMessage reads a length-delimited field with a decoder of it.
func ReadMessage[T any](r *Reader, decode func([]byte) (T, error)) (v T) {
	m := r.Message()
	if r.err != nil {
		return v
	}
	v, err := decode(m)
	r.Fail(err)
	return v
}

// ReadError reads what AppendErrorField wrote.
func ReadError(r *Reader, t *ErrorTable) error {
	m := r.Message()
	if r.err != nil {
		return nil
	}
	v, err := decodeErrorValue(m, t)
	r.Fail(err)
	return v
}

// Room returns s with room for the element that the field at hand is. It makes room for those of the fields that
// follow at once, within a small multiple of their bytes.
func Room[S ~[]T, T any](r *Reader, s S) S {
	if len(s) < cap(s) {
		return s
	}
	var none T
	limit := max(4, 4*(len(r.b)-r.start)/max(1, int(unsafe.Sizeof(none))))
	return slices.Grow(s, r.run(limit))
}

// More returns s with one element more, which is zero.
func More[S ~[]T, T any](r *Reader, s S) S {
	var none T
	return append(Room(r, s), none)
}

// run counts the field at hand, which is length-delimited and not read yet, and those of its tag that follow it at once.
func (r *Reader) run(limit int) int {
	b, head := r.b[r.start:], r.off-r.start
	for n := 1; n < limit; n++ {
		size, used := binary.Uvarint(b[head:])
		if used <= 0 || size > uint64(len(b)-head-used) {
			return n
		}
		next := b[head+used+int(size):]
		if len(next) < head || string(next[:head]) != string(b[:head]) {
			return n
		}
		b = next
	}
	return max(1, limit)
}

// ReadMap reads one entry into m, which it makes where it is nil; of entries with one key the last counts.
func ReadMap[M ~map[K]V, K comparable, V any](r *Reader, m M, key func([]byte) (K, error), value func([]byte) (V, error)) M {
	entry := r.Message()
	if r.err != nil {
		return m
	}
	var k, v []byte
	e := NewReader(entry, mapFields)
	for tag := e.Next(); tag != 0; tag = e.Next() {
		switch tag {
		case 1<<3 | 2:
			k = e.Message()
		case 2<<3 | 2:
			v = e.Message()
		default:
			e.Skip()
		}
	}
	if e.err != nil {
		r.fail(e.err)
		return m
	}
	dk, err := key(k)
	if err != nil {
		r.fail(At("[key]", err))
		return m
	}
	dv, err := value(v)
	if err != nil {
		r.fail(At("[value]", err))
		return m
	}
	if m == nil {
		m = make(M)
	}
	m[dk] = dv
	return m
}
