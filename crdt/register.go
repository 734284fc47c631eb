package crdt

import (
	"bytes"
	"cmp"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
)

// stamp orders writes of last-writer-wins registers; equal stamps are ordered by the values' bytes.
type stamp struct {
	at    int64
	actor Actor
}

func (s stamp) compare(o stamp) int {
	if c := cmp.Compare(s.at, o.at); c != 0 {
		return c
	}
	return cmp.Compare(s.actor, o.actor)
}

// nextStamp returns the time for a write that must win over one made at current.
func nextStamp(now, current int64) int64 {
	if current == math.MaxInt64 {
		return current
	}
	return max(now, current+1)
}

// Register holds the value that was written last: by timestamp, then actor, then the value's canonical
// bytes, so that replicas agree whatever they were handed: the LWW-register of "A comprehensive study of
// Convergent and Commutative Replicated Data Types" (Shapiro, Preguiça, Baquero, Zawirski, 2011), section
// 3.2.1, after "The Maintenance of Duplicate Databases" (Johnson, Thomas, RFC 677, 1975). Timestamps are
// hybrid-logical nanoseconds since 1970: Prepare makes one that is at least the clock's and above what it replaces. A register believes
// timestamps; whoever takes states from others first bounds how far Timestamp may be ahead of its clock.
//
// A register that compares or hashes values needs the codec that NewRegister was given; a zero Register
// takes that of what is joined into it. nil may be read as empty. Values are not copied: they must not be
// changed after Set, nor after Get. Not safe for concurrent use when anyone changes it. What changed is
// seen by comparing Get before and after a Join.
type Register[V any] struct {
	codec Codec[V]
	set   bool
	stamp stamp
	v     V
}

// NewRegister returns a register without a value.
func NewRegister[V any](codec Codec[V]) *Register[V] { return &Register[V]{codec: codec} }

// Get returns the value and whether one was ever written.
func (r *Register[V]) Get() (v V, ok bool) {
	if r == nil {
		return v, false
	}
	return r.v, r.set
}

// Timestamp returns that of the value, 0 when there is none.
func (r *Register[V]) Timestamp() int64 {
	if r == nil {
		return 0
	}
	return r.stamp.at
}

// Actor returns who wrote the value, 0 when there is none.
func (r *Register[V]) Actor() Actor {
	if r == nil {
		return 0
	}
	return r.stamp.actor
}

// Set writes v and returns the delta, nil when the register holds a later write, which then stays.
func (r *Register[V]) Set(ts int64, actor Actor, v V) *Register[V] {
	return r.Join(&Register[V]{codec: r.codec, set: true, stamp: stamp{ts, actor}, v: v})
}

// compare orders states. It encodes values only when the stamps are equal.
func (r *Register[V]) compare(o *Register[V]) int {
	switch {
	case r.IsEmpty() || o.IsEmpty():
		return cmp.Compare(boolInt(!r.IsEmpty()), boolInt(!o.IsEmpty()))
	case r.stamp != o.stamp:
		return r.stamp.compare(o.stamp)
	case r == o:
		return 0
	}
	return compareValues(r.codec.or(o.codec), r.v, o.v)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// or returns c, or o when c is the zero Codec.
func (c Codec[T]) or(o Codec[T]) Codec[T] {
	if c.Append == nil {
		return o
	}
	return c
}

func compareValues[V any](codec Codec[V], a, b V) int {
	mustHave(codec)
	return bytes.Compare(codec.Append(nil, a), codec.Append(nil, b))
}

func mustHave[V any](codec Codec[V]) {
	if codec.Append == nil {
		panic("crdt: values and elements are compared and hashed by their bytes, and this state has no Codec: make it by its New function")
	}
}

// Join implements Lattice. O(1), but for the encoding of two values written at one time by one actor.
func (r *Register[V]) Join(delta *Register[V]) *Register[V] {
	if delta == nil {
		return nil
	}
	r.codec = r.codec.or(delta.codec)
	if delta.compare(r) <= 0 {
		return nil
	}
	r.set, r.stamp, r.v = true, delta.stamp, delta.v
	return r.Clone()
}

// LessOrEqual implements Lattice.
func (r *Register[V]) LessOrEqual(o *Register[V]) bool { return r.compare(o) <= 0 }

// Equal implements Lattice.
func (r *Register[V]) Equal(o *Register[V]) bool { return r.compare(o) == 0 }

// Clone implements Lattice; the value itself is shared.
func (r *Register[V]) Clone() *Register[V] {
	if r == nil {
		return &Register[V]{}
	}
	c := *r
	return &c
}

// IsEmpty implements Lattice: whether nothing was ever written.
func (r *Register[V]) IsEmpty() bool { return r == nil || !r.set }

// Size returns 1, or 0 when nothing was written.
func (r *Register[V]) Size() int { return boolInt(!r.IsEmpty()) }

// Hash implements Lattice. It encodes the value.
func (r *Register[V]) Hash() uint64 {
	if r.IsEmpty() {
		return 0
	}
	mustHave(r.codec)
	return xxh3.Hash(r.Append(nil, r.codec))
}

// Parts implements Lattice: the register itself.
func (r *Register[V]) Parts() []*Register[V] {
	if r.IsEmpty() {
		return nil
	}
	return []*Register[V]{r.Clone()}
}

// String prints value, timestamp and actor.
func (r *Register[V]) String() string {
	if r.IsEmpty() {
		return "Register()"
	}
	return fmt.Sprintf("Register(%v at %d by %d)", r.v, r.stamp.at, r.stamp.actor)
}

// Append appends the canonical encoding, message Register of crdt.proto.
func (r *Register[V]) Append(b []byte, codec Codec[V]) []byte {
	b = appendVersion(b)
	if r.IsEmpty() {
		return b
	}
	b = r.stamp.append(b)
	return appendNested(b, 4, func(b []byte) []byte { return codec.Append(b, r.v) })
}

// EncodedSize returns how many bytes Append appends. It encodes.
func (r *Register[V]) EncodedSize(codec Codec[V]) int { return len(r.Append(nil, codec)) }

func (s stamp) append(b []byte) []byte {
	b = appendUint(b, 2, zigzag(s.at))
	return appendUint(b, 3, uint64(s.actor))
}

// DecodeRegister reads a register that fills b. Other bytes give a *DecodeError.
func DecodeRegister[V any](b []byte, codec Codec[V]) (*Register[V], error) {
	out := NewRegister(codec)
	r := reader{message: "Register", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			out.stamp.at = unzigzag(r.uint())
		case 3:
			out.stamp.actor = Actor(r.uint())
		case 4:
			out.set, out.v = true, decodeValue(&r, codec)
		default:
			r.unknown()
		}
	}
	if r.err == nil && !out.set && out.stamp != (stamp{}) {
		r.fail("a stamp without a value")
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return out, nil
}

// decodeValue reads a length-delimited field by a codec.
func decodeValue[V any](r *reader, codec Codec[V]) (v V) {
	raw := r.bytes()
	if r.err != nil {
		return v
	}
	v, err := codec.Decode(raw)
	if err != nil {
		r.failWith(err, fmt.Sprintf("field %d", r.num))
	}
	return v
}

// Digest implements Lattice: stamp and a hash of the value. It encodes the value.
func (r *Register[V]) Digest() []byte {
	b := appendVersion(nil)
	if r.IsEmpty() {
		return b
	}
	b = r.stamp.append(b)
	return appendFixed64(b, 4, r.Hash())
}

// Since implements Lattice. Where stamps are equal and values differ the answer is the register, whichever
// is the larger.
func (r *Register[V]) Since(digest []byte) (*Register[V], error) {
	var theirs stamp
	var hash uint64
	set := false
	in := reader{message: "RegisterDigest", b: digest}
	in.version()
	for in.next() {
		switch in.num {
		case 2:
			theirs.at = unzigzag(in.uint())
		case 3:
			theirs.actor = Actor(in.uint())
		case 4:
			hash, set = in.fixed64(), true
		default:
			in.unknown()
		}
	}
	if err := in.finish(); err != nil {
		return nil, err
	}
	if r.IsEmpty() || set && (r.stamp.compare(theirs) < 0 || r.stamp == theirs && r.Hash() == hash) {
		return nil, nil
	}
	return r.Clone(), nil
}

// RegisterOp is a write before it has an actor: what an atomic block records.
type RegisterOp[V any] struct {
	Value V
	// Timestamp is in nanoseconds since 1970; filled by Register.Prepare.
	Timestamp int64

	codec Codec[V]
}

// Prepare stamps op with now, or just above the write that it replaces when that is later.
func (r *Register[V]) Prepare(op RegisterOp[V], now int64) RegisterOp[V] {
	op.Timestamp = now
	if !r.IsEmpty() {
		op.Timestamp = nextStamp(now, r.stamp.at)
	}
	if r != nil {
		op.codec = r.codec
	}
	return op
}

// Effect returns the delta. It needs no state.
func (op RegisterOp[V]) Effect(actor Actor) *Register[V] {
	return &Register[V]{codec: op.codec, set: true, stamp: stamp{op.Timestamp, actor}, v: op.Value}
}

// AppendRegisterOp appends the encoding of op, message RegisterOp of crdt.proto.
func AppendRegisterOp[V any](b []byte, op RegisterOp[V], codec Codec[V]) []byte {
	b = appendVersion(b)
	b = appendUint(b, 2, zigzag(op.Timestamp))
	return appendNested(b, 3, func(b []byte) []byte { return codec.Append(b, op.Value) })
}

// DecodeRegisterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeRegisterOp[V any](b []byte, codec Codec[V]) (RegisterOp[V], error) {
	op := RegisterOp[V]{codec: codec}
	r := reader{message: "RegisterOp", b: b}
	r.version()
	found := false
	for r.next() {
		switch r.num {
		case 2:
			op.Timestamp = unzigzag(r.uint())
		case 3:
			op.Value, found = decodeValue(&r, codec), true
		default:
			r.unknown()
		}
	}
	if r.err == nil && !found {
		r.fail("the value is missing")
	}
	return finished(&r, op)
}
