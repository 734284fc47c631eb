package wire

import (
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// What generated encoders are made of. They write the tag of a field themselves, as constant bytes, and leave
// fields that are zero out.

// maxScratch is the largest buffer that is kept for the next encoding.
const maxScratch = 64 << 10

// Scratch is a buffer that lasts for one encoding. Encoders that begin with nothing use one, so that their
// only allocation is that of the result, which has no byte too many.
type Scratch struct{ b []byte }

var scratches = sync.Pool{New: func() any { return &Scratch{make([]byte, 0, 512)} }}

// NewScratch returns an empty Scratch, for the caller alone until Copy.
func NewScratch() *Scratch { return scratches.Get().(*Scratch) }

// Bytes is empty, and what the encoding is to be appended to.
func (s *Scratch) Bytes() []byte { return s.b[:0] }

// Copy returns a copy of b, to which Bytes has grown, and gives the scratch back; of no bytes it returns nil.
func (s *Scratch) Copy(b []byte) []byte {
	c := append([]byte(nil), b...)
	s.release(b)
	return c
}

func (s *Scratch) release(b []byte) {
	if cap(b) <= maxScratch {
		s.b = b
		scratches.Put(s)
	}
}

// ZigZag is how a signed number is written: small ones of either sign are short.
func ZigZag[T Signed](v T) uint64 { return uint64(int64(v)<<1) ^ uint64(int64(v)>>63) }

// AppendVarint appends a number, in as few bytes as it needs.
func AppendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendText appends the length of a string or of bytes, and them.
func AppendText[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(AppendVarint(b, uint64(len(v))), v...)
}

// Bits32 is what a float32 is written as, Bits64 what a float64 is.
func Bits32[T ~float32](v T) uint32 { return math.Float32bits(float32(v)) }

// Bits64 is what a float64 is written as.
func Bits64[T ~float64](v T) uint64 { return math.Float64bits(float64(v)) }

// Append32 appends four bytes, Append64 eight.
func Append32(b []byte, bits uint32) []byte { return binary.LittleEndian.AppendUint32(b, bits) }

// Append64 appends eight bytes.
func Append64(b []byte, bits uint64) []byte { return binary.LittleEndian.AppendUint64(b, bits) }

// AppendMoment appends the length of a time's encoding, and it: seconds (1) and nanoseconds (2) since 1970 UTC.
func AppendMoment(b []byte, v time.Time) []byte {
	at := len(b)
	b = append(b, 0) // 18 bytes at most
	if sec := v.Unix(); sec != 0 {
		b = AppendVarint(append(b, 1<<3), ZigZag(sec))
	}
	if nano := v.Nanosecond(); nano != 0 {
		b = AppendVarint(append(b, 2<<3), ZigZag(nano))
	}
	b[at] = byte(len(b) - at - 1)
	return b
}

// Sealed writes the length of b[at:], for which one byte is kept before it.
func Sealed(b []byte, at int) []byte {
	if size := len(b) - at; size < 1<<7 {
		b[at-1] = byte(size)
		return b
	}
	return sealLong(b, at)
}

func sealLong(b []byte, at int) []byte {
	var room [10]byte
	size := len(b) - at
	head := AppendVarint(room[:0], uint64(size))
	b = append(b, head[1:]...)
	copy(b[at-1+len(head):], b[at:at+size])
	copy(b[at-1:], head)
	return b
}

// SealedUnlessEmpty is Sealed where something follows the head of a field, which has that many bytes and begins at from; else
// the field is left out.
func SealedUnlessEmpty(b []byte, from, head int) []byte {
	if len(b) == from+head {
		return b[:from]
	}
	return Sealed(b, from+head)
}

// PackBools appends booleans, as they are in a packed field.
func PackBools[T ~bool](b []byte, v []T) []byte {
	for _, x := range v {
		if x {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// PackInts appends signed integers, likewise.
func PackInts[T Signed](b []byte, v []T) []byte {
	for _, x := range v {
		b = AppendVarint(b, ZigZag(x))
	}
	return b
}

// PackUints appends unsigned integers, likewise.
func PackUints[T Unsigned](b []byte, v []T) []byte {
	for _, x := range v {
		b = AppendVarint(b, uint64(x))
	}
	return b
}

// PackFloat32s appends float32s, likewise.
func PackFloat32s[T ~float32](b []byte, v []T) []byte {
	for _, x := range v {
		b = Append32(b, Bits32(x))
	}
	return b
}

// PackFloat64s appends float64s, likewise.
func PackFloat64s[T ~float64](b []byte, v []T) []byte {
	for _, x := range v {
		b = Append64(b, Bits64(x))
	}
	return b
}
