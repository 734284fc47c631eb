package crdt

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// MapStore is a map of dot stores that is itself a dot store: what an [ORMap] is made of, and how maps nest
// to any depth. A key is there while a dot of its value lives; a key whose value is empty is no key. The
// key of a dot is found in O(log actors + log blocks). nil may be read as empty.
type MapStore[K comparable, S DotStore[S]] struct {
	// keys says by dot which key it belongs to. Its store is flat or has rows alone: the dots of a key are
	// those of its value, so its index by key stays empty. Its context is used in an ORMap only.
	keys   Set[K]
	values map[K]S // none empty
}

// putDot adds a dot that is not live to a store without index by element.
func putDot[K comparable](s *store[K], d Dot, k K) {
	if !s.indexed() {
		if len(s.flat()) < flatMax {
			s.insert(d, k)
			return
		}
		old := *s
		s.clearIndexed()
		for _, p := range old.flat() {
			s.big().insertDot(s.big().blockFor(p.dot), p.dot, p.e)
		}
	}
	s.big().insertDot(s.big().blockFor(d), d, k)
}

// dropDot takes a dot out of a store without index by element.
func dropDot[K comparable](s *store[K], d Dot) {
	if !s.indexed() {
		s.remove(d)
		return
	}
	s.big().removeDot(d)
}

// Get returns the value of k, to be read only, and whether k is in the map; nil when it is not.
func (s *MapStore[K, S]) Get(k K) (v S, ok bool) {
	if s == nil {
		return v, false
	}
	v, ok = s.values[k]
	return v, ok
}

// Len returns the number of keys.
func (s *MapStore[K, S]) Len() int {
	if s == nil {
		return 0
	}
	return len(s.values)
}

// All yields the keys and their values, to be read only, in the order of each key's oldest live dot. It
// visits all dots.
func (s *MapStore[K, S]) All() iter.Seq2[K, S] {
	return func(yield func(K, S) bool) {
		if s == nil {
			return
		}
		seen := make(map[K]struct{}, len(s.values))
		s.keys.live.each(func(_ Dot, k K) bool {
			if _, ok := seen[k]; ok {
				return true
			}
			seen[k] = struct{}{}
			return yield(k, s.values[k])
		})
	}
}

// Update is the change of the value of k that f makes of it; f gets nil when k is not in the map, and must
// not change what it gets. A key that is not equal to itself, as NaN, panics.
func (s *MapStore[K, S]) Update(k K, f func(S) Change[S]) (c Change[*MapStore[K, S]]) {
	mustEqualItself(k)
	v, _ := s.Get(k)
	inner := f(v)
	c.Context = inner.Context
	if inner.Live.NumDots() > 0 {
		c.Live = &MapStore[K, S]{values: map[K]S{k: inner.Live}}
		for d := range inner.Live.Dots() {
			putDot(&c.Live.keys.live, d, k)
		}
	}
	return c
}

// Remove is the change that takes out keys: all that is seen here of their values, and nothing else. What
// others change at the same time stays, and with it the key.
func (s *MapStore[K, S]) Remove(ks ...K) (c Change[*MapStore[K, S]]) {
	var dots []Dot
	for _, k := range ks {
		if v, ok := s.Get(k); ok {
			dots = slices.AppendSeq(dots, v.Dots())
		}
	}
	c.Context = contextOf(dots)
	return c
}

// Clear is the change that takes out all keys.
func (s *MapStore[K, S]) Clear() Change[*MapStore[K, S]] { return reset(s) }

// New implements DotStore.
func (s *MapStore[K, S]) New() *MapStore[K, S] { return &MapStore[K, S]{} }

// NumDots implements DotStore.
func (s *MapStore[K, S]) NumDots() int {
	if s == nil {
		return 0
	}
	return s.keys.live.size()
}

// Dots implements DotStore.
func (s *MapStore[K, S]) Dots() iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		if s != nil {
			s.keys.live.each(func(d Dot, _ K) bool { return yield(d) })
		}
	}
}

// Take implements DotStore.
func (s *MapStore[K, S]) Take(from *MapStore[K, S], d, as Dot) {
	k, ok := from.keys.live.get(d)
	if !ok {
		return
	}
	theirs := from.values[k]
	v, ok := s.values[k]
	if !ok {
		v = theirs.New()
		if s.values == nil {
			s.values = make(map[K]S)
		}
		s.values[k] = v
	}
	v.Take(theirs, d, as)
	putDot(&s.keys.live, as, k)
}

// Drop implements DotStore.
func (s *MapStore[K, S]) Drop(d Dot) {
	k, ok := s.keys.live.get(d)
	if !ok {
		return
	}
	dropDot(&s.keys.live, d)
	v := s.values[k]
	v.Drop(d)
	if v.NumDots() == 0 {
		delete(s.values, k)
	}
}

// String prints up to 16 keys with their values and how many there are.
func (s *MapStore[K, S]) String() string {
	return fmt.Sprintf("Map(%d)%s", s.Len(), printed(printedPairs(s.All())))
}

// MarshalJSON writes an array of objects with key and value.
func (s *MapStore[K, S]) MarshalJSON() ([]byte, error) { return marshalPairs(s.All()) }

// appendEntries appends the entries sorted by the bytes of their keys.
func (s *MapStore[K, S]) appendEntries(b []byte, field int32, keys Codec[K], values Codec[S]) []byte {
	if s == nil {
		return b
	}
	return appendSorted(b, field, s.values, keys, values)
}

// readEntry reads one entry whose key is above last, and appends its dots to dots.
func (s *MapStore[K, S]) readEntry(r *reader, last []byte, keys Codec[K], values Codec[S], dots []pair[K]) ([]byte, []pair[K]) {
	k, v, raw := readEntry(r, last, keys, values)
	if r.err != nil {
		return raw, dots
	}
	if _, ok := s.values[k]; ok {
		r.fail("a key comes twice")
		return raw, dots
	}
	if v.NumDots() == 0 {
		r.fail("a key without dots")
		return raw, dots
	}
	for d := range v.Dots() {
		dots = append(dots, pair[K]{d, k})
	}
	if s.values == nil {
		s.values = make(map[K]S)
	}
	s.values[k] = v
	return raw, dots
}

// index takes the dots of all entries, in any order. Keys are in the order of their bytes: put one by one,
// dots that run against it would each move all others.
func (s *MapStore[K, S]) index(r *reader, dots []pair[K]) {
	if r.err != nil {
		return
	}
	slices.SortFunc(dots, func(a, b pair[K]) int { return a.dot.Compare(b.dot) })
	var last Dot
	for _, p := range dots {
		if p.dot.IsZero() || p.dot == last {
			r.fail("dot %v has two places, or none", p.dot)
			return
		}
		putDot(&s.keys.live, p.dot, p.e)
		last = p.dot
	}
}

// MapStoreCodec encodes map stores, message MapStore of crdt.proto.
func MapStoreCodec[K comparable, S DotStore[S]](keys Codec[K], values Codec[S]) Codec[*MapStore[K, S]] {
	return Codec[*MapStore[K, S]]{
		Append: func(b []byte, s *MapStore[K, S]) []byte { return s.appendEntries(b, 1, keys, values) },
		Decode: func(b []byte) (*MapStore[K, S], error) {
			s := &MapStore[K, S]{}
			r := reader{message: "MapStore", b: b}
			var last []byte
			var dots []pair[K]
			for r.next(1) {
				if r.num != 1 {
					r.unknown()
					break
				}
				in := reader{message: "MapStore.Entry", b: r.bytes()}
				last, dots = s.readEntry(&in, last, keys, values, dots)
				r.inner(&in)
			}
			s.index(&r, dots)
			if err := r.finish(); err != nil {
				return nil, err
			}
			return s, nil
		},
		Clone: cloneStore[*MapStore[K, S]],
	}
}

// appendSorted appends the entries of a map, each as a field, sorted by the bytes of their keys.
func appendSorted[K comparable, V any](b []byte, field int32, m map[K]V, keys Codec[K], values Codec[V]) []byte {
	for _, e := range sortedEntries(m, keys) {
		b = appendNested(b, protowire.Number(field), func(b []byte) []byte {
			b = appendBytes(b, 1, e.bytes)
			return appendNested(b, 2, func(b []byte) []byte { return values.Append(b, e.value) })
		})
	}
	return b
}

// sortedEntry is a map's entry with its key's canonical bytes.
type sortedEntry[K comparable, V any] struct {
	key   K
	bytes []byte
	value V
}

func sortedEntries[K comparable, V any](m map[K]V, keys Codec[K]) []sortedEntry[K, V] {
	out := make([]sortedEntry[K, V], 0, len(m))
	for k, v := range m {
		mustHave(keys)
		out = append(out, sortedEntry[K, V]{k, keys.Append(nil, k), v})
	}
	slices.SortFunc(out, func(a, b sortedEntry[K, V]) int { return bytes.Compare(a.bytes, b.bytes) })
	return out
}

// readEntry reads a key, as readKey, and a value.
func readEntry[K comparable, V any](r *reader, last []byte, keys Codec[K], values Codec[V]) (k K, v V, raw []byte) {
	k, raw = readKey(r, last, keys)
	if r.err == nil && (!r.next() || r.num != 2) {
		r.fail("the value is missing")
	}
	if r.err == nil {
		v = decodeValue(r, values)
	}
	return k, v, raw
}

// readKey reads field 1 as a key, whose bytes it returns too, above last unless that is nil.
func readKey[K comparable](r *reader, last []byte, keys Codec[K]) (k K, raw []byte) {
	if !r.next() || r.num != 1 {
		r.fail("the key is missing")
		return k, nil
	}
	at := *r
	k = decodeValue(r, keys)
	checkKey(r, k)
	raw = at.bytes()
	if raw == nil {
		raw = []byte{}
	}
	if r.err == nil && last != nil && bytes.Compare(raw, last) <= 0 {
		r.fail("keys are not in order")
	}
	return k, raw
}
