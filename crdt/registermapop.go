package crdt

import "math"

// RegisterMapSet is one write of a RegisterMapOp.
type RegisterMapSet[K comparable, V any] struct {
	Key   K
	Value V
	// Timestamp is in nanoseconds since 1970; filled by RegisterMap.Prepare.
	Timestamp int64
}

// RegisterMapRemove is one remove of a RegisterMapOp.
type RegisterMapRemove[K comparable] struct {
	Key K
	// Timestamp is in nanoseconds since 1970; filled by RegisterMap.Prepare.
	Timestamp int64
}

// RegisterMapOp is a group of writes before it has an actor: what an atomic block records. Removes come
// first, then Sets in order: of several writes of one key the last wins.
type RegisterMapOp[K comparable, V any] struct {
	Set    []RegisterMapSet[K, V]
	Remove []RegisterMapRemove[K]

	keys   Codec[K]
	values Codec[V]
}

// Prepare returns op with every entry stamped with now, or just above the write that it replaces, in the
// map or earlier in op, when that is later. A key that is not equal to itself, as NaN, panics.
func (m *RegisterMap[K, V]) Prepare(op RegisterMapOp[K, V], now int64) RegisterMapOp[K, V] {
	if m != nil {
		op.keys, op.values = m.keys, m.values
	}
	last := make(map[K]int64, len(op.Set)+len(op.Remove))
	next := func(k K) int64 {
		mustEqualItself(k)
		current, ok := last[k]
		if !ok {
			if current, ok = m.Timestamp(k); !ok {
				current = math.MinInt64
			}
		}
		last[k] = nextStamp(now, current)
		return last[k]
	}
	removes := make([]RegisterMapRemove[K], len(op.Remove))
	for i, e := range op.Remove {
		removes[i] = RegisterMapRemove[K]{e.Key, next(e.Key)}
	}
	sets := make([]RegisterMapSet[K, V], len(op.Set))
	for i, e := range op.Set {
		sets[i] = RegisterMapSet[K, V]{e.Key, e.Value, next(e.Key)}
	}
	op.Set, op.Remove = sets, removes
	return op
}

// Effect returns the delta, nil when op has no entries. It needs no state.
func (op RegisterMapOp[K, V]) Effect(actor Actor) *RegisterMap[K, V] {
	if len(op.Set)+len(op.Remove) == 0 {
		return nil
	}
	delta := NewRegisterMap(op.keys, op.values)
	for _, e := range op.Remove {
		delta.putLater(e.Key, mapEntry[V]{stamp: stamp{e.Timestamp, actor}})
	}
	for _, e := range op.Set {
		delta.putLater(e.Key, mapEntry[V]{stamp{e.Timestamp, actor}, true, e.Value})
	}
	return delta
}

// putLater puts e unless the key has a later stamp; of equal stamps, which only an op that was not prepared
// has, the one put last stays.
func (m *RegisterMap[K, V]) putLater(k K, e mapEntry[V]) {
	if old, ok := m.entries[k]; !ok || old.stamp.compare(e.stamp) <= 0 {
		m.put(k, e)
	}
}

// AppendRegisterMapOp appends the encoding of op, message RegisterMapOp of crdt.proto.
func AppendRegisterMapOp[K comparable, V any](b []byte, op RegisterMapOp[K, V], keys Codec[K], values Codec[V]) []byte {
	b = appendVersion(b)
	for _, e := range op.Set {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendNested(b, 1, func(b []byte) []byte { return keys.Append(b, e.Key) })
			b = appendUint(b, 2, zigzag(e.Timestamp))
			return appendNested(b, 3, func(b []byte) []byte { return values.Append(b, e.Value) })
		})
	}
	for _, e := range op.Remove {
		b = appendNested(b, 3, func(b []byte) []byte {
			b = appendNested(b, 1, func(b []byte) []byte { return keys.Append(b, e.Key) })
			return appendUint(b, 2, zigzag(e.Timestamp))
		})
	}
	return b
}

// DecodeRegisterMapOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeRegisterMapOp[K comparable, V any](b []byte, keys Codec[K], values Codec[V]) (RegisterMapOp[K, V], error) {
	op := RegisterMapOp[K, V]{keys: keys, values: values}
	r := reader{message: "RegisterMapOp", b: b}
	r.version()
	for r.next(2, 3) {
		in := reader{message: "RegisterMapOp.Entry", b: r.bytes()}
		var e RegisterMapSet[K, V]
		var hasKey, hasValue bool
		for in.next() {
			switch in.num {
			case 1:
				e.Key, hasKey = decodeValue(&in, keys), true
				checkKey(&in, e.Key)
			case 2:
				e.Timestamp = unzigzag(in.uint())
			case 3:
				e.Value, hasValue = decodeValue(&in, values), true
			default:
				in.unknown()
			}
		}
		if in.err == nil && (!hasKey || hasValue != (r.num == 2)) {
			in.fail("a set needs key and value, a remove the key alone")
		}
		r.inner(&in)
		switch r.num {
		case 2:
			op.Set = append(op.Set, e)
		case 3:
			op.Remove = append(op.Remove, RegisterMapRemove[K]{e.Key, e.Timestamp})
		default:
			r.unknown()
		}
	}
	return finished(&r, op)
}
