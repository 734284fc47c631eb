package crdt

import (
	"fmt"
	"iter"
)

type mapEntry[V any] struct {
	stamp stamp
	live  bool // false: a tombstone
	v     V
}

// RegisterMap is a map of last-writer-wins registers; see Register for their order and for timestamps, and
// "A comprehensive study of Convergent and Commutative Replicated Data Types" (Shapiro, Preguiça, Baquero,
// Zawirski, 2011), section 3.3.3, for the set that its keys are, the LWW-element-set.
// Removing writes a tombstone, which stays and costs its key: a later Set wins over it, an earlier one that
// arrives late does not bring the key back. At equal stamps a value wins over a tombstone.
//
// A map that compares or hashes needs the codecs that NewRegisterMap was given; a zero RegisterMap takes
// those of what is joined into it. nil may be read as empty. Keys and values are not copied and must not be
// changed; writing a key that is not equal to itself, as NaN, panics. Not safe for concurrent use when anyone changes it.
type RegisterMap[K comparable, V any] struct {
	keys    Codec[K]
	values  Codec[V]
	entries map[K]mapEntry[V]
	live    int
}

// NewRegisterMap returns an empty map.
func NewRegisterMap[K comparable, V any](keys Codec[K], values Codec[V]) *RegisterMap[K, V] {
	return &RegisterMap[K, V]{keys: keys, values: values}
}

// Get returns the value of k and whether there is one.
func (m *RegisterMap[K, V]) Get(k K) (v V, ok bool) {
	if m == nil {
		return v, false
	}
	e := m.entries[k]
	return e.v, e.live
}

// Timestamp returns that of the last write to k, a remove too, and whether there was one.
func (m *RegisterMap[K, V]) Timestamp(k K) (ts int64, ok bool) {
	if m == nil {
		return 0, false
	}
	e, ok := m.entries[k]
	return e.stamp.at, ok
}

// MaxTimestamp returns the latest timestamp of all entries, 0 when there are none: for checking what
// another sent against the clock. O(n).
func (m *RegisterMap[K, V]) MaxTimestamp() int64 {
	var latest int64
	first := true
	for _, e := range m.list() {
		if first || e.stamp.at > latest {
			latest, first = e.stamp.at, false
		}
	}
	return latest
}

// Len returns the number of keys that have a value.
func (m *RegisterMap[K, V]) Len() int {
	if m == nil {
		return 0
	}
	return m.live
}

// Size returns the number of entries, tombstones included.
func (m *RegisterMap[K, V]) Size() int { return len(m.list()) }

// IsEmpty implements Lattice: whether no key was ever written.
func (m *RegisterMap[K, V]) IsEmpty() bool { return m.Size() == 0 }

// All yields the keys that have a value, with it, sorted by the bytes of the keys; in no order where the map
// was given no codecs. The map must not be changed meanwhile. O(n log n).
func (m *RegisterMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.like().keys.Append == nil {
			for k, e := range m.list() {
				if e.live && !yield(k, e.v) {
					return
				}
			}
			return
		}
		for _, e := range sortedEntries(m.entries, m.keys) {
			if e.value.live && !yield(e.key, e.value.v) {
				return
			}
		}
	}
}

func (m *RegisterMap[K, V]) list() map[K]mapEntry[V] {
	if m == nil {
		return nil
	}
	return m.entries
}

// like returns an empty map with m's codecs.
func (m *RegisterMap[K, V]) like() *RegisterMap[K, V] {
	if m == nil {
		return &RegisterMap[K, V]{}
	}
	return NewRegisterMap(m.keys, m.values)
}

func (m *RegisterMap[K, V]) put(k K, e mapEntry[V]) {
	if m.entries == nil {
		m.entries = make(map[K]mapEntry[V])
	}
	m.live += boolInt(e.live) - boolInt(m.entries[k].live)
	m.entries[k] = e
}

// compareEntries orders two writes of one key. It encodes values only when all else is equal.
func compareEntries[V any](codec Codec[V], a, b *mapEntry[V]) int {
	if a.stamp != b.stamp {
		return a.stamp.compare(b.stamp)
	}
	if !a.live || !b.live {
		return boolInt(a.live) - boolInt(b.live)
	}
	return compareValues(codec, a.v, b.v)
}

// Set writes k and returns the delta, nil when the map holds a later write of k.
func (m *RegisterMap[K, V]) Set(ts int64, actor Actor, k K, v V) *RegisterMap[K, V] {
	return m.write(k, mapEntry[V]{stamp{ts, actor}, true, v})
}

// Remove writes a tombstone for k, present or not, and returns the delta, nil when the map holds a later
// write of k.
func (m *RegisterMap[K, V]) Remove(ts int64, actor Actor, k K) *RegisterMap[K, V] {
	return m.write(k, mapEntry[V]{stamp: stamp{ts, actor}})
}

func (m *RegisterMap[K, V]) write(k K, e mapEntry[V]) *RegisterMap[K, V] {
	mustEqualItself(k)
	if old, ok := m.entries[k]; ok && compareEntries(m.values, &e, &old) <= 0 {
		return nil
	}
	m.put(k, e)
	delta := m.like()
	delta.put(k, e)
	return delta
}

// Join implements Lattice. The novelty has the entries that won. O(entries of delta).
func (m *RegisterMap[K, V]) Join(delta *RegisterMap[K, V]) *RegisterMap[K, V] {
	if delta == nil || m == delta {
		return nil
	}
	m.keys, m.values = m.keys.or(delta.keys), m.values.or(delta.values)
	var novelty *RegisterMap[K, V]
	for k, e := range delta.entries {
		if old, ok := m.entries[k]; ok && compareEntries(m.values, &e, &old) <= 0 {
			continue
		}
		m.put(k, e)
		if novelty == nil {
			novelty = m.like()
		}
		novelty.put(k, e)
	}
	return novelty
}

// LessOrEqual implements Lattice.
func (m *RegisterMap[K, V]) LessOrEqual(o *RegisterMap[K, V]) bool {
	if m.Size() > o.Size() {
		return false
	}
	for k, e := range m.list() {
		other, ok := o.entries[k]
		if !ok || compareEntries(m.values.or(o.values), &e, &other) > 0 {
			return false
		}
	}
	return true
}

// Equal implements Lattice.
func (m *RegisterMap[K, V]) Equal(o *RegisterMap[K, V]) bool {
	return m.Size() == o.Size() && m.LessOrEqual(o) && o.LessOrEqual(m)
}

// Clone implements Lattice; values are shared.
func (m *RegisterMap[K, V]) Clone() *RegisterMap[K, V] {
	c := m.like()
	if m.Size() > 0 {
		c.live = m.live
		c.entries = make(map[K]mapEntry[V], len(m.entries))
		for k, e := range m.entries {
			c.entries[k] = e
		}
	}
	return c
}

// Parts implements Lattice: each entry by itself.
func (m *RegisterMap[K, V]) Parts() []*RegisterMap[K, V] {
	var parts []*RegisterMap[K, V]
	for k, e := range m.list() {
		p := m.like()
		p.put(k, e)
		parts = append(parts, p)
	}
	return parts
}

// String prints up to 16 entries and how many there are.
func (m *RegisterMap[K, V]) String() string {
	return fmt.Sprintf("RegisterMap(%d, %d removed)%s", m.Len(), m.Size()-m.Len(), printed(printedPairs(m.All())))
}

func (e *mapEntry[V]) append(b []byte, values Codec[V]) []byte {
	b = e.stamp.append(b)
	if e.live {
		b = appendNested(b, 4, func(b []byte) []byte { return values.Append(b, e.v) })
	}
	return b
}

// Append appends the canonical encoding, message RegisterMap of crdt.proto: entries by their key's bytes.
// It sorts: O(n log n).
func (m *RegisterMap[K, V]) Append(b []byte, keys Codec[K], values Codec[V]) []byte {
	b = appendVersion(b)
	for _, e := range sortedEntries(m.list(), keys) {
		b = appendNested(b, 2, func(b []byte) []byte {
			return e.value.append(appendBytes(b, 1, e.bytes), values)
		})
	}
	return b
}

// EncodedSize returns how many bytes Append appends. It encodes: O(n log n).
func (m *RegisterMap[K, V]) EncodedSize(keys Codec[K], values Codec[V]) int {
	return len(m.Append(nil, keys, values))
}

// DecodeRegisterMap reads a map that fills b. Other bytes give a *DecodeError.
func DecodeRegisterMap[K comparable, V any](b []byte, keys Codec[K], values Codec[V]) (*RegisterMap[K, V], error) {
	m := NewRegisterMap(keys, values)
	r := reader{message: "RegisterMap", b: b}
	r.version()
	var last []byte
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "RegisterMap.Entry", b: r.bytes()}
		k, raw := readKey(&in, last, keys)
		last = raw
		var e mapEntry[V]
		for in.next() {
			switch in.num {
			case 2:
				e.stamp.at = unzigzag(in.uint())
			case 3:
				e.stamp.actor = Actor(in.uint())
			case 4:
				e.live, e.v = true, decodeValue(&in, values)
			default:
				in.unknown()
			}
		}
		if r.inner(&in); r.err != nil {
			break
		}
		if _, ok := m.entries[k]; ok {
			r.fail("a key comes twice")
		}
		m.put(k, e)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return m, nil
}
