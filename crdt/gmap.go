package crdt

import (
	"fmt"
	"iter"
	"maps"

	"github.com/zeebo/xxh3"
)

// GMap is a grow-only map of lattices: keys are never taken out, and the values of a key are joined. An
// entry whose value is the least state is no entry. The product by keys of "Conflict-free Replicated Data
// Types" (Shapiro, Preguiça, Baquero, Zawirski, 2011) and of "Delta State Replicated Data Types" (Almeida,
// Shoker, Baquero, 2018), whose deltas hold the keys that changed. Values that mint dots need a Minter of
// their own for each key, or one for all; they share no context, unlike those of an [ORMap].
//
// Maps are made by NewGMap; a zero GMap takes keys' codec and least value from what is joined into it, and
// panics when it iterates, hashes or makes digests without a codec. nil may be read as empty. Not safe for concurrent use when anyone changes it.
type GMap[K comparable, L Lattice[L]] struct {
	keys    Codec[K]
	least   func() L
	entries map[K]L // none empty
}

// NewGMap returns an empty map. keys is used by Hash, Digest, Since and the order of iteration; least makes
// the value that a key begins with, as in func() *Counter { return NewCounter() }.
func NewGMap[K comparable, L Lattice[L]](keys Codec[K], least func() L) *GMap[K, L] {
	return &GMap[K, L]{keys: keys, least: least}
}

func (m *GMap[K, L]) list() map[K]L {
	if m == nil {
		return nil
	}
	return m.entries
}

func (m *GMap[K, L]) like() *GMap[K, L] {
	if m == nil {
		return &GMap[K, L]{}
	}
	return NewGMap(m.keys, m.least)
}

func (m *GMap[K, L]) put(k K, v L) {
	if m.entries == nil {
		m.entries = make(map[K]L)
	}
	m.entries[k] = v
}

// Get returns the value of k, to be read only, and whether there is one.
func (m *GMap[K, L]) Get(k K) (v L, ok bool) {
	v, ok = m.list()[k]
	return v, ok
}

// Len returns the number of keys.
func (m *GMap[K, L]) Len() int { return len(m.list()) }

// IsEmpty implements Lattice.
func (m *GMap[K, L]) IsEmpty() bool { return m.Len() == 0 }

// Size returns the sum of the values' sizes, each at least 1. O(n).
func (m *GMap[K, L]) Size() int {
	n := 0
	for _, v := range m.list() {
		n += max(1, v.Size())
	}
	return n
}

// All yields the entries sorted by the bytes of their keys; values are to be read only. O(n log n).
func (m *GMap[K, L]) All() iter.Seq2[K, L] {
	return func(yield func(K, L) bool) {
		if m.IsEmpty() {
			return
		}
		for _, e := range sortedEntries(m.entries, m.keys) {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Update changes the value of k by one of its mutators and returns the delta, nil when mutate returns one
// that says nothing. mutate gets the value itself, a least one when there is none, and must return the delta
// of what it did to it. A key that is not equal to itself, as NaN, panics.
func (m *GMap[K, L]) Update(k K, mutate func(L) L) *GMap[K, L] {
	mustEqualItself(k)
	v, ok := m.entries[k]
	if !ok {
		if m.least == nil {
			panic("crdt: a GMap that is changed needs its values' least state: make it by NewGMap")
		}
		v = m.least()
	}
	inner := mutate(v)
	if inner.IsEmpty() {
		return nil
	}
	m.put(k, v)
	delta := m.like()
	delta.put(k, inner)
	return delta
}

// Join implements Lattice, at the cost of the values' joins.
func (m *GMap[K, L]) Join(delta *GMap[K, L]) *GMap[K, L] {
	if delta == nil || m == delta {
		return nil
	}
	if m.keys.Append == nil {
		m.keys = delta.keys
	}
	if m.least == nil {
		m.least = delta.least
	}
	var novelty *GMap[K, L]
	for k, theirs := range delta.entries {
		mine, ok := m.entries[k]
		if !ok && m.least != nil {
			mine = m.least() // it knows what a delta need not: the codecs inside
		}
		news := joinPart(&mine, theirs)
		if news.IsEmpty() {
			continue
		}
		if !ok {
			m.put(k, mine)
		}
		if novelty == nil {
			novelty = m.like()
		}
		novelty.put(k, news)
	}
	return novelty
}

// LessOrEqual implements Lattice.
func (m *GMap[K, L]) LessOrEqual(o *GMap[K, L]) bool {
	for k, v := range m.list() {
		if theirs, ok := o.list()[k]; !ok || !v.LessOrEqual(theirs) {
			return false
		}
	}
	return true
}

// Equal implements Lattice.
func (m *GMap[K, L]) Equal(o *GMap[K, L]) bool {
	if m.Len() != o.Len() {
		return false
	}
	for k, v := range m.list() {
		if theirs, ok := o.list()[k]; !ok || !v.Equal(theirs) {
			return false
		}
	}
	return true
}

// Clone implements Lattice.
func (m *GMap[K, L]) Clone() *GMap[K, L] {
	c := m.like()
	for k, v := range m.list() {
		c.put(k, v.Clone())
	}
	return c
}

// Parts implements Lattice: each part of each value under its key.
func (m *GMap[K, L]) Parts() []*GMap[K, L] {
	var parts []*GMap[K, L]
	for k, v := range m.list() {
		for _, part := range v.Parts() {
			p := m.like()
			p.put(k, part)
			parts = append(parts, p)
		}
	}
	return parts
}

// states calls f with every entry.
func (m *GMap[K, L]) states(f func(K, keyState)) {
	var buf []byte
	for k, v := range m.list() {
		mustHave(m.keys)
		buf = m.keys.Append(buf[:0], k)
		f(k, keyState{entryHash{xxh3.Hash(buf), v.Hash()}, v.Digest})
	}
}

func (m *GMap[K, L]) keyStates() keyStates {
	return func(f func(keyState)) { m.states(func(_ K, s keyState) { f(s) }) }
}

// Hash implements Lattice. It hashes all values.
func (m *GMap[K, L]) Hash() uint64 { return m.keyStates().hashes().sum() }

// Digest implements Lattice. Up to 256 keys it has the digest of each value, beyond about half a byte for
// each key.
func (m *GMap[K, L]) Digest() []byte { return m.keyStates().append(nil, m.Len()) }

// Since implements Lattice. To a digest that lists keys the answer is as exact as the values' own. To one of
// buckets it is all entries of the buckets that differ.
func (m *GMap[K, L]) Since(digest []byte) (*GMap[K, L], error) {
	d, err := decodeKeyDigest(digest)
	if err != nil {
		return nil, err
	}
	byKey := make(map[uint64][]K)
	m.states(func(k K, s keyState) { byKey[s.key] = append(byKey[s.key], k) })
	delta := m.like()
	d.lacking(m.keyStates(), func(s keyState, theirs []byte) {
		for _, k := range byKey[s.key] {
			v := m.entries[k]
			if theirs == nil || len(byKey[s.key]) > 1 { // unknown, or two keys with one hash
				delta.put(k, v.Clone())
				continue
			}
			lacks, sinceErr := v.Since(theirs)
			if sinceErr != nil {
				err = fmt.Errorf("crdt: the digest's value of key %v: %w", k, sinceErr)
			} else if !lacks.IsEmpty() {
				delta.put(k, lacks)
			}
		}
	})
	if err != nil || delta.IsEmpty() {
		return nil, err
	}
	return delta, nil
}

// String prints up to 16 entries and how many there are, in no order where the map was given no codec.
func (m *GMap[K, L]) String() string {
	entries := m.All()
	if m.like().keys.Append == nil {
		entries = maps.All(m.list())
	}
	return fmt.Sprintf("GMap(%d)%s", m.Len(), printed(printedPairs(entries)))
}

// MarshalJSON writes an array of objects with key and value, in the order of All.
func (m *GMap[K, L]) MarshalJSON() ([]byte, error) { return marshalPairs(m.All()) }

// Append appends the canonical encoding, message GMap of crdt.proto.
func (m *GMap[K, L]) Append(b []byte, keys Codec[K], values Codec[L]) []byte {
	return appendSorted(appendVersion(b), 2, m.list(), keys, values)
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (m *GMap[K, L]) EncodedSize(keys Codec[K], values Codec[L]) int {
	return len(m.Append(nil, keys, values))
}

// DecodeGMap reads a map that fills b. Other bytes give a *DecodeError: also an entry whose value is the
// least state. least is that of NewGMap.
func DecodeGMap[K comparable, L Lattice[L]](b []byte, keys Codec[K], values Codec[L], least func() L) (*GMap[K, L], error) {
	m := NewGMap(keys, least)
	r := reader{message: "GMap", b: b}
	r.version()
	var last []byte
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "GMap.Entry", b: r.bytes()}
		k, v, raw := readEntry(&in, last, keys, values)
		if in.err == nil && v.IsEmpty() {
			in.fail("an entry without a value")
		}
		if r.inner(&in); r.err != nil {
			break
		}
		if _, ok := m.entries[k]; ok {
			r.fail("a key comes twice")
		}
		m.put(k, v)
		last = raw
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return m, nil
}
