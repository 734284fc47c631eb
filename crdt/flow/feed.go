package flow

import (
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
)

// Feed turns what the replicas of one variable, or of one family, learn into weighted elements: +1 when
// a dot that supports an element is born, -1 when it dies, each exactly once however often a delta is
// delivered. Its batches are what a source's operator applies. NewFeed and NewFeedBy make feeds of the types
// of package crdt, which are what package variable gives to hosts.
//
// A feed is used by one goroutine at a time.
type Feed interface {
	// Join takes a delta of the variable at key (empty for one that is no family) and returns the
	// change, nil when the delta brought nothing new. After an error nothing has changed.
	Join(key string, delta []byte) (batch []byte, err error)
	// Snapshot returns everything that is held as batches of at most about limit bytes.
	Snapshot(limit int) iter.Seq[[]byte]
}

// NewFeed makes the feed of one variable, which is empty at first; keys are not looked at. It holds a replica
// of the variable. Join costs what the type's JoinTrace costs, and encodes what changed.
func NewFeed[L crdt.Lattice[L], E comparable](of Elements[L, E]) Feed {
	return newFeed(of, of.elem, func(string) (func(E) E, error) { return func(e E) E { return e }, nil })
}

// NewFeedBy makes the feed of a family of variables, whose elements come under their keys, with the codec
// EntryCodec(keys, of.Codec()). keys gives the text of a key; a text that it does not decode is refused with
// its error. It holds a replica of each variable.
func NewFeedBy[K, E comparable, L crdt.Lattice[L]](keys crdt.Codec[K], of Elements[L, E]) Feed {
	return newFeed(of, EntryCodec(keys, of.elem), func(text string) (func(E) Entry[K, E], error) {
		k, err := keys.Decode([]byte(text))
		return func(e E) Entry[K, E] { return Entry[K, E]{k, e} }, err
	})
}

type feed[L crdt.Lattice[L], E, Out comparable] struct {
	of    Elements[L, E]
	out   crdt.Codec[Out]
	under func(key string) (func(E) Out, error)
	held  map[string]*fed[L, E, Out]
}

// fed is one variable.
type fed[L crdt.Lattice[L], E, Out comparable] struct {
	state L
	put   func(E) Out
}

func newFeed[L crdt.Lattice[L], E, Out comparable](of Elements[L, E], out crdt.Codec[Out], under func(string) (func(E) Out, error)) *feed[L, E, Out] {
	return &feed[L, E, Out]{of, out, under, make(map[string]*fed[L, E, Out])}
}

// Join implements Feed.
func (f *feed[L, E, Out]) Join(key string, delta []byte) ([]byte, error) {
	d, err := f.of.states.Decode(delta)
	if err != nil {
		return nil, err
	}
	at := f.held[key]
	if at == nil {
		put, err := f.under(key)
		if err != nil {
			return nil, err
		}
		at = &fed[L, E, Out]{crdt.EmptyState(f.of.states), put}
		f.held[key] = at
	}
	var items []Weighted[Out]
	f.of.join(at.state, d, at.weigh(&items))
	return AppendBatch(nil, items, f.out), nil
}

// Snapshot implements Feed.
func (f *feed[L, E, Out]) Snapshot(limit int) iter.Seq[[]byte] {
	var items []Weighted[Out]
	for _, at := range f.held {
		f.of.each(at.state, at.weigh(&items))
	}
	return SplitBatch(AppendBatch(nil, items, f.out), limit)
}

func (at *fed[L, E, Out]) weigh(items *[]Weighted[Out]) func(E, int64) {
	return func(e E, weight int64) { *items = append(*items, Weighted[Out]{at.put(e), weight}) }
}
