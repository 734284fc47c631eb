package crdt

import (
	"fmt"
	"iter"
)

// ORMap is an add-wins map of causal values with reset-remove. Its values are dot stores ([SetStore],
// [ValueStore], [CounterStore], [FlagStore], [MapStore] for maps in maps to any depth, or one's own), and
// all of them share the one causal context of the map. Removing a key resets what the remover has seen of
// its value, at any depth, and nothing else: what others change at the same time stays, and with it the key,
// but only that. After "Delta State Replicated Data Types" (Almeida, Shoker, Baquero, 2018), section 7.4.
//
// A key is in the map while a dot of its value lives: emptying a set under a key removes the key.
//
// To each dot a state is one of unseen, live and dead, in this order, as in a [Set]: Join costs O(k · log n)
// for a delta of k dots and runs, times the depth of their values. Memory is for each live dot a map's
// entry, one entry by dot and key at each level, and what the dot supports.
//
// The zero ORMap is empty and ready for use; a nil one may be read as empty. It is not safe for concurrent
// use when anyone changes it; reading alone changes nothing. Keys, elements and values are not copied.
type ORMap[K comparable, S DotStore[S]] struct{ store MapStore[K, S] }

// NewORMap returns an empty map.
func NewORMap[K comparable, S DotStore[S]]() *ORMap[K, S] { return &ORMap[K, S]{} }

// Values returns the map without its context, to be read only, and until the map changes.
func (m *ORMap[K, S]) Values() *MapStore[K, S] {
	if m == nil {
		return nil
	}
	return &m.store
}

// Get returns the value of k, to be read only, and whether k is in the map; nil when it is not.
func (m *ORMap[K, S]) Get(k K) (S, bool) { return m.Values().Get(k) }

// Len returns the number of keys.
func (m *ORMap[K, S]) Len() int { return m.Values().Len() }

// All yields the keys and their values, to be read only, in the order of each key's oldest live dot. The
// map must not be changed meanwhile. It visits all dots.
func (m *ORMap[K, S]) All() iter.Seq2[K, S] { return m.Values().All() }

// Context returns the dots that the state has seen, live and dead, to be read only.
func (m *ORMap[K, S]) Context() *Context { return m.keys().Context() }

// keys is the map as the set of its keys, with the same dots.
func (m *ORMap[K, S]) keys() *Set[K] {
	if m == nil {
		return nil
	}
	return &m.store.keys
}

// Update changes the value of k to what f makes of it and returns the delta, nil when nothing changed. f
// gets nil when k is not in the map; it must not change what it gets.
//
// It panics with *DotReused when a dot is minted that the map has seen, and when k is not equal to itself, as
// NaN is not.
func (m *ORMap[K, S]) Update(k K, f func(S) Change[S]) *ORMap[K, S] {
	return m.Apply(m.store.Update(k, f))
}

// Remove takes out keys as far as they are seen here and returns the delta, nil when none was there.
func (m *ORMap[K, S]) Remove(ks ...K) *ORMap[K, S] { return m.Apply(m.store.Remove(ks...)) }

// Clear takes out all keys and returns the delta, nil when there were none.
func (m *ORMap[K, S]) Clear() *ORMap[K, S] { return m.Apply(m.store.Clear()) }

// Apply makes a change that was made of Values and returns the delta, nil when nothing changed. It panics
// with *DotReused when a dot is minted that the map has seen.
func (m *ORMap[K, S]) Apply(c Change[*MapStore[K, S]]) *ORMap[K, S] {
	delta := deltaOf(c)
	if delta == nil {
		return nil
	}
	m.store.keys.mustBeFresh(&delta.store.keys)
	m.Join(delta)
	return delta
}

func deltaOf[K comparable, S DotStore[S]](c Change[*MapStore[K, S]]) *ORMap[K, S] {
	if c.Context.IsEmpty() {
		return nil
	}
	delta := &ORMap[K, S]{}
	if c.Live != nil {
		delta.store = *c.Live
	}
	delta.store.keys.ctx = c.Context
	return delta
}

// Join implements Lattice.
func (m *ORMap[K, S]) Join(delta *ORMap[K, S]) *ORMap[K, S] { return m.JoinTrace(delta, nil) }

// JoinTrace is Join that names, before anything changes, each key that a dot is about to come to or leave,
// once for each such dot. touched may be nil and may read the map, not change it.
func (m *ORMap[K, S]) JoinTrace(delta *ORMap[K, S], touched func(K)) (novelty *ORMap[K, S]) {
	if delta.IsEmpty() || delta == m {
		return nil
	}
	mine, theirs := &m.store.keys, &delta.store.keys
	var killed []Dot
	for _, run := range theirs.ctx.runs {
		mine.live.within(run, func(d Dot, k K) {
			if _, live := theirs.live.get(d); !live {
				killed = append(killed, d)
				if touched != nil {
					touched(k)
				}
			}
		})
	}
	fresh := theirs.ctx.minus(&mine.ctx)
	if len(killed) == 0 && fresh.IsEmpty() {
		return nil
	}
	// What is live in the delta was live here, is dead here and stays dead, or is fresh.
	var births []Dot
	for _, run := range fresh.runs {
		theirs.live.within(run, func(d Dot, k K) {
			births = append(births, d)
			if touched != nil {
				touched(k)
			}
		})
	}
	for _, d := range killed {
		m.store.Drop(d)
	}
	novelty = &ORMap[K, S]{}
	for _, d := range births {
		m.store.Take(&delta.store, d, d)
		novelty.store.Take(&delta.store, d, d)
	}
	mine.ctx.Join(&fresh)
	ended := contextOf(killed)
	fresh.Join(&ended)
	novelty.store.keys.ctx = fresh
	return novelty
}

// IsEmpty says whether the state has seen no dot at all; a map whose keys were all removed is not empty in
// this sense.
func (m *ORMap[K, S]) IsEmpty() bool { return m.keys().IsEmpty() }

// Size returns the number of live dots.
func (m *ORMap[K, S]) Size() int { return m.Values().NumDots() }

// Clone implements Lattice. O(n log n).
func (m *ORMap[K, S]) Clone() *ORMap[K, S] {
	c := &ORMap[K, S]{}
	if m != nil {
		c.store = *cloneStore(&m.store)
		c.store.keys.ctx = *m.store.keys.ctx.Clone()
	}
	return c
}

// Equal says whether both have seen the same dots and hold the same of them live. O(n).
func (m *ORMap[K, S]) Equal(o *ORMap[K, S]) bool { return m.keys().Equal(o.keys()) }

// LessOrEqual implements Lattice. It costs O(runs of m · log, and o's live dots inside them).
func (m *ORMap[K, S]) LessOrEqual(o *ORMap[K, S]) bool { return m.keys().LessOrEqual(o.keys()) }

// Hash is equal for equal maps. O(runs of the context). It covers dots, which name what they support.
func (m *ORMap[K, S]) Hash() uint64 { return m.keys().Hash() }

// Digest implements Lattice: the context, and the live dots as a set's digest has them.
func (m *ORMap[K, S]) Digest() []byte { return m.keys().Digest() }

// Since implements Lattice, with what Set.Since says of exactness and cost.
func (m *ORMap[K, S]) Since(digest []byte) (*ORMap[K, S], error) {
	dots, err := m.keys().Since(digest)
	if dots == nil || err != nil {
		return nil, err
	}
	return m.of(dots), nil
}

// Parts returns one map for each seen dot, as Set.Parts does and with its warning.
func (m *ORMap[K, S]) Parts() []*ORMap[K, S] {
	var parts []*ORMap[K, S]
	for _, dots := range m.keys().Parts() {
		parts = append(parts, m.of(dots))
	}
	return parts
}

// of returns the part of m that has seen what dots has, with the same of it live.
func (m *ORMap[K, S]) of(dots *Set[K]) *ORMap[K, S] {
	out := &ORMap[K, S]{}
	for d := range dots.AllDots() {
		out.store.Take(&m.store, d, d)
	}
	out.store.keys.ctx = dots.ctx
	return out
}

// String prints up to 16 keys with their values, how many there are, and the context.
func (m *ORMap[K, S]) String() string {
	return fmt.Sprintf("OR%v%v", m.Values(), m.Context())
}

// MarshalJSON writes an array of objects with key and value, in the order of All.
func (m *ORMap[K, S]) MarshalJSON() ([]byte, error) { return m.Values().MarshalJSON() }

// Append appends the canonical encoding, message ORMap of crdt.proto.
func (m *ORMap[K, S]) Append(b []byte, keys Codec[K], values Codec[S]) []byte {
	b = appendVersion(b)
	if m.IsEmpty() {
		return b
	}
	b = appendNested(b, 2, m.store.keys.ctx.Append)
	return m.store.appendEntries(b, 3, keys, values)
}

// EncodedSize returns the number of bytes of the encoding. It encodes.
func (m *ORMap[K, S]) EncodedSize(keys Codec[K], values Codec[S]) int {
	return len(m.Append(nil, keys, values))
}

// DecodeORMap reads a map that fills b. Other bytes give a *DecodeError: also a live dot outside the context
// or in two places, and a key without dots.
func DecodeORMap[K comparable, S DotStore[S]](b []byte, keys Codec[K], values Codec[S]) (*ORMap[K, S], error) {
	m := &ORMap[K, S]{}
	r := reader{message: "ORMap", b: b}
	r.version()
	var last []byte
	var dots []pair[K]
	for r.next(3) {
		switch r.num {
		case 2:
			m.store.keys.ctx = r.context()
		case 3:
			in := reader{message: "ORMap.Entry", b: r.bytes()}
			last, dots = m.store.readEntry(&in, last, keys, values, dots)
			r.inner(&in)
		default:
			r.unknown()
		}
	}
	m.store.index(&r, dots)
	for d := range m.store.Dots() {
		if r.err == nil && !m.store.keys.ctx.Contains(d) {
			r.fail("live dot %v is not in the context", d)
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return m, nil
}
