package crdt

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zeebo/xxh3"
)

// IVar is a single-assignment variable: written once, or more than once with the same value. Its states
// are: empty, below every value, below the conflict, which is what two different values join to. A conflict
// stays: nothing is above it. See "Lasp: a language for distributed, coordination-free programming"
// (Meiklejohn, Van Roy, PPDP 2015), on single-assignment variables.
//
// Writing a value that differs from the one held is refused with *IVarConflict and changes nothing; replicas
// that do not know of each other can still write two, and then Get returns *IVarConflict at each that has
// heard of both. Which values they were is no longer part of the state: who wants to tell keeps what Get
// returned before a Join and what was joined. A delta needs no identity, so a block records the delta
// itself.
//
// Values are the same when their canonical bytes are. A variable that compares or hashes values needs the
// codec that NewIVar was given; a zero IVar takes that of what is joined into it. nil may be read as empty.
// Values are not copied and must not be changed. Not safe for concurrent use when anyone changes it.
type IVar[V any] struct {
	codec Codec[V]
	state ivarState
	v     V
}

type ivarState uint8

const (
	ivarEmpty ivarState = iota
	ivarAssigned
	ivarConflict
)

// IVarConflict says that a single-assignment variable was written with two different values.
type IVarConflict struct {
	// Held and Written print the value that the variable holds and the one that was refused. Both are empty
	// when the values were written at different replicas and the state is the conflict.
	Held, Written string
}

// Error says what happened and what to do.
func (e *IVarConflict) Error() string {
	if e.Held == "" && e.Written == "" {
		return "crdt: single-assignment variable: different values were written at different replicas; " +
			"it stays in conflict: use a new variable, and one writer or a register"
	}
	return fmt.Sprintf("crdt: single-assignment variable holds %s: refused to write %s", e.Held, e.Written)
}

// NewIVar returns a variable without a value.
func NewIVar[V any](codec Codec[V]) *IVar[V] { return &IVar[V]{codec: codec} }

func (x *IVar[V]) is(s ivarState) bool { return x == nil && s == ivarEmpty || x != nil && x.state == s }

// Get returns the value and whether one was written, and *IVarConflict when there were two.
func (x *IVar[V]) Get() (v V, ok bool, err error) {
	switch {
	case x.is(ivarEmpty):
		return v, false, nil
	case x.is(ivarConflict):
		return v, false, &IVarConflict{}
	default:
		return x.v, true, nil
	}
}

// InConflict says whether two different values were written.
func (x *IVar[V]) InConflict() bool { return x.is(ivarConflict) }

// Set writes v and returns the delta, nil when v is what the variable holds. When it holds another value or
// is in conflict it changes nothing and returns *IVarConflict.
func (x *IVar[V]) Set(v V) (*IVar[V], error) {
	delta := &IVar[V]{codec: x.codec, state: ivarAssigned, v: v}
	switch {
	case x.is(ivarConflict):
		return nil, &IVarConflict{}
	case x.is(ivarAssigned) && !x.Equal(delta):
		return nil, &IVarConflict{Held: fmt.Sprint(x.v), Written: fmt.Sprint(v)}
	}
	return x.Join(delta), nil
}

// Join implements Lattice. It encodes values when there are two. Whether the join made a conflict is seen
// by InConflict before and after.
func (x *IVar[V]) Join(delta *IVar[V]) *IVar[V] {
	if delta.LessOrEqual(x) {
		return nil
	}
	x.codec = x.codec.or(delta.codec)
	if x.state == ivarEmpty {
		x.state, x.v = delta.state, delta.v
	} else {
		var none V
		x.state, x.v = ivarConflict, none
	}
	novelty := delta.Clone()
	novelty.codec = x.codec
	return novelty
}

// LessOrEqual implements Lattice.
func (x *IVar[V]) LessOrEqual(o *IVar[V]) bool {
	return x.is(ivarEmpty) || o.is(ivarConflict) || x.Equal(o)
}

// Equal implements Lattice.
func (x *IVar[V]) Equal(o *IVar[V]) bool {
	switch {
	case x == o:
		return true
	case !x.is(ivarAssigned) || !o.is(ivarAssigned):
		return x.IsEmpty() == o.IsEmpty() && x.InConflict() == o.InConflict()
	}
	codec := x.codec.or(o.codec)
	mustHave(codec)
	return bytes.Equal(codec.Append(nil, x.v), codec.Append(nil, o.v))
}

// Clone implements Lattice; the value itself is shared.
func (x *IVar[V]) Clone() *IVar[V] {
	if x == nil {
		return &IVar[V]{}
	}
	c := *x
	return &c
}

// IsEmpty implements Lattice: whether nothing was written.
func (x *IVar[V]) IsEmpty() bool { return x.is(ivarEmpty) }

// Size returns 1, or 0 when nothing was written.
func (x *IVar[V]) Size() int { return boolInt(!x.IsEmpty()) }

// Hash implements Lattice. It encodes the value.
func (x *IVar[V]) Hash() uint64 {
	if x.IsEmpty() {
		return 0
	}
	return xxh3.Hash(x.Append(nil, x.codec))
}

// Parts implements Lattice: the variable itself. That includes the conflict: any two values join to it, so
// none of them are parts of it.
func (x *IVar[V]) Parts() []*IVar[V] {
	if x.IsEmpty() {
		return nil
	}
	return []*IVar[V]{x.Clone()}
}

// String prints the value, or that there is none or a conflict.
func (x *IVar[V]) String() string {
	switch {
	case x.is(ivarEmpty):
		return "IVar()"
	case x.is(ivarConflict):
		return "IVar(conflict)"
	default:
		return fmt.Sprintf("IVar(%v)", x.v)
	}
}

// MarshalJSON writes the value, null when there is none, and {"conflict":true} for the conflict.
func (x *IVar[V]) MarshalJSON() ([]byte, error) {
	switch {
	case x.is(ivarEmpty):
		return []byte("null"), nil
	case x.is(ivarConflict):
		return []byte(`{"conflict":true}`), nil
	default:
		return json.Marshal(x.v)
	}
}

// Append appends the canonical encoding, message IVar of crdt.proto.
func (x *IVar[V]) Append(b []byte, codec Codec[V]) []byte {
	b = appendVersion(b)
	if x.is(ivarAssigned) {
		mustHave(codec)
		b = appendNested(b, 2, func(b []byte) []byte { return codec.Append(b, x.v) })
	}
	return appendUint(b, 3, uint64(boolInt(x.InConflict())))
}

// EncodedSize returns how many bytes Append appends. It encodes.
func (x *IVar[V]) EncodedSize(codec Codec[V]) int { return len(x.Append(nil, codec)) }

// DecodeIVar reads a variable that fills b. Other bytes give a *DecodeError.
func DecodeIVar[V any](b []byte, codec Codec[V]) (*IVar[V], error) {
	x := NewIVar(codec)
	r := reader{message: "IVar", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			x.state, x.v = ivarAssigned, decodeValue(&r, codec)
		case 3:
			if x.state == ivarAssigned {
				r.fail("a conflict with a value")
			}
			if r.bool() {
				x.state = ivarConflict
			}
		default:
			r.unknown()
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return x, nil
}

// Digest implements Lattice: a hash of the value. It encodes the value.
func (x *IVar[V]) Digest() []byte {
	b := appendVersion(nil)
	if x.is(ivarAssigned) {
		b = appendFixed64(b, 2, x.Hash())
	}
	return appendUint(b, 3, uint64(boolInt(x.InConflict())))
}

// Since implements Lattice; the answer is exact.
func (x *IVar[V]) Since(digest []byte) (*IVar[V], error) {
	var hash uint64
	assigned, conflict := false, false
	r := reader{message: "IVarDigest", b: digest}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			hash, assigned = r.fixed64(), true
		case 3:
			conflict = r.bool()
		default:
			r.unknown()
		}
	}
	if r.err == nil && assigned && conflict {
		r.fail("a conflict with a value")
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if x.IsEmpty() || conflict || assigned && x.is(ivarAssigned) && x.Hash() == hash {
		return nil, nil
	}
	return x.Clone(), nil
}
