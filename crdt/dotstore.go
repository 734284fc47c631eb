package crdt

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// DotStore is a causal value without its context: live dots, and what each of them supports. It is what an
// [ORMap] holds under its keys, so that values at any depth share the one context of the map. The name and
// the idea are from "Delta State Replicated Data Types" (Almeida, Shoker, Baquero, 2018), section 7, where
// a causal type is a dot store with a context; here what a dot supports never changes while the dot lives,
// so that dots alone decide what to join, what is new and what a digest has to tell.
//
// A type of one's own becomes a value of maps by these six methods and a Codec, which encodes no context.
// S is the pointer type itself; nil is the store without dots and may be read. What a store does not offer
// is Join: the map decides dot by dot, and tells its stores by Take and Drop. A mutator changes nothing; it
// returns a [Change], which the map joins.
type DotStore[S any] interface {
	// New returns a store without dots. It is called on nil, too.
	New() S
	// NumDots returns the number of live dots. O(1).
	NumDots() int
	// Dots yields the live dots in order, each once. The store does not change meanwhile.
	Dots() iter.Seq[Dot]
	// Take makes the dot as live, supporting what d supports in from. d is live there; as is not live here
	// and, outside of operations, is d itself. from is only read.
	Take(from S, d, as Dot)
	// Drop makes a live dot dead. The store forgets it and what it supports.
	Drop(d Dot)
	// String prints the value for logs.
	String() string
}

// Change is what a mutator of a [DotStore] would change: a delta of it. The zero Change changes nothing.
type Change[S any] struct {
	// Context names the dots of Live, which are fresh, and the dots that were observed and die, and no
	// others.
	Context Context
	// Live holds the fresh dots; nil when there are none.
	Live S
}

// dead is a change that ends dots.
func dead[S DotStore[S]](dots iter.Seq[Dot]) (c Change[S]) {
	for d := range dots {
		c.Context.push(Run{d.Actor, d.Counter, d.Counter})
	}
	return c
}

// reset ends all dots of a store: it names what was observed and nothing else.
func reset[S DotStore[S]](s S) Change[S] {
	if s.NumDots() == 0 {
		return Change[S]{}
	}
	return dead[S](s.Dots())
}

// SetStore is a [Set] as a value of an [ORMap]: add-wins, with the same costs, and the map's context in
// place of its own. nil may be read as empty.
type SetStore[E comparable] struct{ set Set[E] }

// Len returns the number of distinct elements.
func (s *SetStore[E]) Len() int { return s.view().Len() }

// Contains says whether e is in the set.
func (s *SetStore[E]) Contains(e E) bool { return s.view().Contains(e) }

// All yields each element once, in the order of its oldest live dot.
func (s *SetStore[E]) All() iter.Seq[E] { return s.view().All() }

// AllDots yields each live dot and its element, in order.
func (s *SetStore[E]) AllDots() iter.Seq2[Dot, E] { return s.view().AllDots() }

func (s *SetStore[E]) view() *Set[E] {
	if s == nil {
		return nil
	}
	return &s.set
}

// Add is the change that adds the elements under fresh dots of m; see Set.Add.
func (s *SetStore[E]) Add(m *Minter, es ...E) Change[*SetStore[E]] {
	return s.Apply(m, SetOp[E]{Add: es})
}

// Remove is the change that takes out the elements.
func (s *SetStore[E]) Remove(es ...E) Change[*SetStore[E]] {
	return s.Apply(nil, SetOp[E]{Remove: es})
}

// Clear is the change that takes out all elements.
func (s *SetStore[E]) Clear() Change[*SetStore[E]] { return reset(s) }

// Apply is the change of a set's operation, prepared here. m may be nil when nothing is added.
func (s *SetStore[E]) Apply(m *Minter, op SetOp[E]) (c Change[*SetStore[E]]) {
	delta := s.view().Prepare(op).Effect(m)
	if delta == nil {
		return c
	}
	c.Context = delta.ctx
	if delta.live.size() > 0 {
		c.Live = &SetStore[E]{Set[E]{live: delta.live}}
	}
	return c
}

// New implements DotStore.
func (s *SetStore[E]) New() *SetStore[E] { return &SetStore[E]{} }

// NumDots implements DotStore.
func (s *SetStore[E]) NumDots() int { return s.view().Size() }

// Dots implements DotStore.
func (s *SetStore[E]) Dots() iter.Seq[Dot] { return firsts(s.AllDots()) }

// Take implements DotStore.
func (s *SetStore[E]) Take(from *SetStore[E], d, as Dot) {
	if e, ok := from.set.live.get(d); ok {
		s.set.live.settle()
		s.set.live.insert(as, e)
	}
}

// Drop implements DotStore.
func (s *SetStore[E]) Drop(d Dot) {
	s.set.live.settle()
	s.set.live.remove(d)
}

// String prints up to 16 elements and how many there are.
func (s *SetStore[E]) String() string {
	return fmt.Sprintf("Set(%d)%s", s.Len(), printed(s.All()))
}

// MarshalJSON writes an array of the elements.
func (s *SetStore[E]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// SetStoreCodec encodes set stores, message SetStore of crdt.proto.
func SetStoreCodec[E comparable](elements Codec[E]) Codec[*SetStore[E]] {
	return storeCodec("SetStore", elements, (*SetStore[E]).AllDots,
		func(s *SetStore[E], d Dot, e E) { s.set.live.insert(d, e) }, (*SetStore[E]).settled)
}

func (s *SetStore[E]) settled() error {
	s.set.live.settle()
	return nil
}

func firsts[A, B any](seq iter.Seq2[A, B]) iter.Seq[A] {
	return func(yield func(A) bool) {
		for a := range seq {
			if !yield(a) {
				return
			}
		}
	}
}

// printedItems is how many items a printed state shows.
const printedItems = 16

// printed prints the first items as [a b c …].
func printed[T any](items iter.Seq[T]) string {
	var shown []string
	for v := range items {
		if len(shown) == printedItems {
			shown = append(shown, "…")
			break
		}
		shown = append(shown, fmt.Sprint(v))
	}
	return "[" + strings.Join(shown, " ") + "]"
}

// printedPairs prints entries as key:value.
func printedPairs[K, V any](entries iter.Seq2[K, V]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k, v := range entries {
			if !yield(fmt.Sprintf("%v:%v", k, v)) {
				return
			}
		}
	}
}

func marshalItems[T any](items iter.Seq[T]) ([]byte, error) {
	out := []T{}
	for v := range items {
		out = append(out, v)
	}
	return json.Marshal(out)
}

// keyed is an entry of a map in JSON, whose keys may be of any type.
type keyed[K, V any] struct {
	Key   K `json:"key"`
	Value V `json:"value"`
}

func marshalPairs[K, V any](items iter.Seq2[K, V]) ([]byte, error) {
	out := []keyed[K, V]{}
	for k, v := range items {
		out = append(out, keyed[K, V]{k, v})
	}
	return json.Marshal(out)
}
