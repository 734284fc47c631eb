package crdt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/zeebo/xxh3"
)

// extreme is a maximum or minimum register: the caller says which by up, +1 or -1. Values that compare as
// equal are ordered by their canonical bytes, so that replicas agree on which of them stays.
type extreme[V any] struct {
	codec Codec[V]
	order func(a, b V) int
	set   bool
	v     V
}

// adopt takes codec and order from o where they are missing.
func (x *extreme[V]) adopt(o *extreme[V]) {
	x.codec = x.codec.or(o.codec)
	if x.order == nil {
		x.order = o.order
	}
}

func (x *extreme[V]) empty() bool { return x == nil || !x.set }

// compare orders values, and the empty state below all of them in the direction of up.
func (x *extreme[V]) compare(o *extreme[V], up int) int {
	switch {
	case x.empty() || o.empty():
		return cmp.Compare(boolInt(!x.empty()), boolInt(!o.empty()))
	case x == o:
		return 0
	}
	both := *x
	both.adopt(o)
	if both.order == nil {
		panic("crdt: a maximum or minimum register without an order: make it by its New function")
	}
	c := both.order(x.v, o.v)
	if c == 0 {
		mustHave(both.codec)
		c = bytes.Compare(both.codec.Append(nil, x.v), both.codec.Append(nil, o.v))
	}
	return cmp.Compare(c, 0) * up
}

func (x *extreme[V]) join(delta *extreme[V], up int) *extreme[V] {
	if delta == nil {
		return nil
	}
	x.adopt(delta)
	if delta.compare(x, up) <= 0 {
		return nil
	}
	x.set, x.v = true, delta.v
	return x.clone()
}

// write returns the delta of writing v.
func (x *extreme[V]) write(v V) *extreme[V] {
	return &extreme[V]{codec: x.codec, order: x.order, set: true, v: v}
}

func (x *extreme[V]) get() (v V, ok bool) {
	if x == nil {
		return v, false
	}
	return x.v, x.set
}

func (x *extreme[V]) clone() *extreme[V] {
	if x == nil {
		return &extreme[V]{}
	}
	c := *x
	return &c
}

func (x *extreme[V]) hash() uint64 {
	if x.empty() {
		return 0
	}
	mustHave(x.codec)
	return xxh3.Hash(x.append(nil, x.codec))
}

func (x *extreme[V]) text(name string) string {
	if x.empty() {
		return name + "()"
	}
	return fmt.Sprintf("%s(%v)", name, x.v)
}

func (x *extreme[V]) json() ([]byte, error) {
	if x.empty() {
		return []byte("null"), nil
	}
	return json.Marshal(x.v)
}

func (x *extreme[V]) append(b []byte, codec Codec[V]) []byte {
	b = appendVersion(b)
	if x.empty() {
		return b
	}
	return appendNested(b, 2, func(b []byte) []byte { return codec.Append(b, x.v) })
}

func (x *extreme[V]) decode(b []byte, message string) (*extreme[V], error) {
	r := reader{message: message, b: b}
	r.version()
	for r.next() {
		if r.num != 2 {
			r.unknown()
			break
		}
		x.set, x.v = true, decodeValue(&r, x.codec)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *extreme[V]) digest() []byte {
	if x.empty() {
		return appendVersion(nil)
	}
	mustHave(x.codec)
	return x.append(nil, x.codec)
}

func (x *extreme[V]) since(digest []byte, message string, up int) (*extreme[V], error) {
	other := &extreme[V]{}
	if x != nil {
		other.adopt(x)
	}
	if other.codec.Decode == nil { // nothing is known of values, and nothing is held
		other.codec.Decode = func([]byte) (v V, err error) { return v, nil }
	}
	other, err := other.decode(digest, message)
	if err != nil || x.compare(other, up) <= 0 {
		return nil, err
	}
	return x.clone(), nil
}
