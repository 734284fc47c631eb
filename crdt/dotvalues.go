package crdt

import (
	"fmt"
	"iter"
	"slices"
	"sort"
)

// dotRows is what each live dot supports, by actor and counter. Putting a dot after all others of its actor
// costs O(log actors), anywhere else it moves those behind it.
type dotRows[V any] struct {
	rows []dotRow[V] // sorted by actor, none empty
	n    int
}

type dotRow[V any] struct {
	actor    Actor
	counters []uint64
	values   []V // one for each counter
}

func (s *dotRows[V]) row(a Actor) (int, bool) {
	i := sort.Search(len(s.rows), func(i int) bool { return s.rows[i].actor >= a })
	return i, i < len(s.rows) && s.rows[i].actor == a
}

func (s *dotRows[V]) get(d Dot) (v V, ok bool) {
	i, ok := s.row(d.Actor)
	if !ok {
		return v, false
	}
	at, ok := slices.BinarySearch(s.rows[i].counters, d.Counter)
	if !ok {
		return v, false
	}
	return s.rows[i].values[at], true
}

func (s *dotRows[V]) put(d Dot, v V) {
	i, ok := s.row(d.Actor)
	if !ok {
		s.rows = slices.Insert(s.rows, i, dotRow[V]{actor: d.Actor})
	}
	r := &s.rows[i]
	at := len(r.counters)
	if at > 0 && r.counters[at-1] >= d.Counter {
		if at, ok = slices.BinarySearch(r.counters, d.Counter); ok {
			return
		}
	}
	r.counters = slices.Insert(r.counters, at, d.Counter)
	r.values = slices.Insert(r.values, at, v)
	s.n++
}

func (s *dotRows[V]) drop(d Dot) (v V, ok bool) {
	i, ok := s.row(d.Actor)
	if !ok {
		return v, false
	}
	r := &s.rows[i]
	at, ok := slices.BinarySearch(r.counters, d.Counter)
	if !ok {
		return v, false
	}
	v = r.values[at]
	r.counters, r.values = slices.Delete(r.counters, at, at+1), slices.Delete(r.values, at, at+1)
	if len(r.counters) == 0 {
		s.rows = slices.Delete(s.rows, i, i+1)
	}
	s.n--
	return v, true
}

func (s *dotRows[V]) all() iter.Seq2[Dot, V] {
	return func(yield func(Dot, V) bool) {
		for _, r := range s.rows {
			for i, c := range r.counters {
				if !yield(Dot{r.actor, c}, r.values[i]) {
					return
				}
			}
		}
	}
}

// ValueStore is a multi-value register as a value of an [ORMap]: a write replaces the values that it has
// seen, and concurrent writes stay side by side until the next one. Values are not copied and must not be
// changed. nil may be read as empty.
type ValueStore[V any] struct{ dots dotRows[V] }

// Set is the change that replaces all values seen here by v, under a fresh dot of m.
func (s *ValueStore[V]) Set(m *Minter, v V) Change[*ValueStore[V]] {
	c := reset(s)
	d := m.Mint()
	c.Context.Add(d)
	c.Live = &ValueStore[V]{}
	c.Live.dots.put(d, v)
	return c
}

// Clear is the change that takes out all values seen here.
func (s *ValueStore[V]) Clear() Change[*ValueStore[V]] { return reset(s) }

// AllDots yields the values with their dots, in order.
func (s *ValueStore[V]) AllDots() iter.Seq2[Dot, V] {
	if s == nil {
		return func(func(Dot, V) bool) {}
	}
	return s.dots.all()
}

// All yields the values in the order of their dots: one unless writes were concurrent.
func (s *ValueStore[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range s.AllDots() {
			if !yield(v) {
				return
			}
		}
	}
}

// New implements DotStore.
func (s *ValueStore[V]) New() *ValueStore[V] { return &ValueStore[V]{} }

// NumDots implements DotStore.
func (s *ValueStore[V]) NumDots() int {
	if s == nil {
		return 0
	}
	return s.dots.n
}

// Dots implements DotStore.
func (s *ValueStore[V]) Dots() iter.Seq[Dot] { return firsts(s.AllDots()) }

// Take implements DotStore.
func (s *ValueStore[V]) Take(from *ValueStore[V], d, as Dot) {
	if v, ok := from.dots.get(d); ok {
		s.dots.put(as, v)
	}
}

// Drop implements DotStore.
func (s *ValueStore[V]) Drop(d Dot) { s.dots.drop(d) }

// String prints up to 16 values.
func (s *ValueStore[V]) String() string { return "Values" + printed(s.All()) }

// MarshalJSON writes an array of the values.
func (s *ValueStore[V]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// ValueStoreCodec encodes value stores, message ValueStore of crdt.proto.
func ValueStoreCodec[V any](values Codec[V]) Codec[*ValueStore[V]] {
	return storeCodec("ValueStore", values, (*ValueStore[V]).AllDots,
		func(s *ValueStore[V], d Dot, v V) { s.dots.put(d, v) }, nil)
}

// CounterStore is a counter as a value of an [ORMap]. Each addition is a dot with its amount, so a reset
// names the additions that it has seen, exactly: what others add at the same time is neither lost, as with
// rows that are joined by the larger number, nor brought back, as with one dot for each actor's total.
// The price is a dot for each addition since the last reset: some 20 bytes of memory and 5 on the wire.
// nil may be read as zero.
type CounterStore struct {
	dots dotRows[int64]
	sum  uint64 // modulo 2^64
}

// Add is the change that adds n, which may be negative, under a fresh dot of m; no change when n is 0.
func (s *CounterStore) Add(m *Minter, n int64) (c Change[*CounterStore]) {
	if n == 0 {
		return c
	}
	d := m.Mint()
	c.Context.Add(d)
	c.Live = &CounterStore{}
	c.Live.put(d, n)
	return c
}

// Reset is the change that takes back the additions seen here.
func (s *CounterStore) Reset() Change[*CounterStore] { return reset(s) }

// Value returns the sum. It is exact while the true sum fits int64 and wraps around modulo 2^64 beyond, the
// same at every replica. O(1).
func (s *CounterStore) Value() int64 {
	if s == nil {
		return 0
	}
	return int64(s.sum)
}

// AllDots yields the amounts with their dots, in order.
func (s *CounterStore) AllDots() iter.Seq2[Dot, int64] {
	if s == nil {
		return func(func(Dot, int64) bool) {}
	}
	return s.dots.all()
}

func (s *CounterStore) put(d Dot, n int64) {
	s.dots.put(d, n)
	s.sum += uint64(n)
}

// New implements DotStore.
func (s *CounterStore) New() *CounterStore { return &CounterStore{} }

// NumDots implements DotStore.
func (s *CounterStore) NumDots() int {
	if s == nil {
		return 0
	}
	return s.dots.n
}

// Dots implements DotStore.
func (s *CounterStore) Dots() iter.Seq[Dot] { return firsts(s.AllDots()) }

// Take implements DotStore.
func (s *CounterStore) Take(from *CounterStore, d, as Dot) {
	if n, ok := from.dots.get(d); ok {
		s.put(as, n)
	}
}

// Drop implements DotStore.
func (s *CounterStore) Drop(d Dot) {
	if n, ok := s.dots.drop(d); ok {
		s.sum -= uint64(n)
	}
}

// String prints the value.
func (s *CounterStore) String() string { return fmt.Sprintf("Counter(%d)", s.Value()) }

// MarshalJSON writes the value.
func (s *CounterStore) MarshalJSON() ([]byte, error) { return fmt.Append(nil, s.Value()), nil }

// CounterStoreCodec encodes counter stores, message CounterStore of crdt.proto.
func CounterStoreCodec() Codec[*CounterStore] {
	amounts := Codec[int64]{
		Append: func(b []byte, n int64) []byte { return appendPacked(b, zigzag(n)) },
		Decode: func(b []byte) (int64, error) {
			r := reader{message: "CounterStore.rows", b: b}
			n := unzigzag(r.varint())
			if n == 0 {
				r.fail("an amount of zero")
			}
			return finished(&r, n)
		},
	}
	return storeCodec("CounterStore", amounts, (*CounterStore).AllDots, (*CounterStore).put, nil)
}

// FlagStore is an enable-wins flag as a value of an [ORMap]: a disable takes back the enables that it has
// seen. nil may be read as off.
type FlagStore struct{ dots dotRows[struct{}] }

// Enable is the change that turns the flag on, under a fresh dot of m in place of those seen here.
func (s *FlagStore) Enable(m *Minter) Change[*FlagStore] {
	c := reset(s)
	d := m.Mint()
	c.Context.Add(d)
	c.Live = &FlagStore{}
	c.Live.dots.put(d, struct{}{})
	return c
}

// Disable is the change that turns the flag off as far as seen here.
func (s *FlagStore) Disable() Change[*FlagStore] { return reset(s) }

// Enabled says whether the flag is on.
func (s *FlagStore) Enabled() bool { return s.NumDots() > 0 }

func (s *FlagStore) allDots() iter.Seq2[Dot, struct{}] {
	if s == nil {
		return func(func(Dot, struct{}) bool) {}
	}
	return s.dots.all()
}

// New implements DotStore.
func (s *FlagStore) New() *FlagStore { return &FlagStore{} }

// NumDots implements DotStore.
func (s *FlagStore) NumDots() int {
	if s == nil {
		return 0
	}
	return s.dots.n
}

// Dots implements DotStore.
func (s *FlagStore) Dots() iter.Seq[Dot] { return firsts(s.allDots()) }

// Take implements DotStore.
func (s *FlagStore) Take(_ *FlagStore, _, as Dot) { s.dots.put(as, struct{}{}) }

// Drop implements DotStore.
func (s *FlagStore) Drop(d Dot) { s.dots.drop(d) }

// String prints on or off.
func (s *FlagStore) String() string {
	if s.Enabled() {
		return "Flag(on)"
	}
	return "Flag(off)"
}

// MarshalJSON writes true or false.
func (s *FlagStore) MarshalJSON() ([]byte, error) { return fmt.Append(nil, s.Enabled()), nil }

// FlagStoreCodec encodes flag stores, message FlagStore of crdt.proto.
func FlagStoreCodec() Codec[*FlagStore] {
	return storeCodec("FlagStore", Codec[struct{}]{}, (*FlagStore).allDots,
		func(s *FlagStore, d Dot, _ struct{}) { s.dots.put(d, struct{}{}) }, nil)
}
