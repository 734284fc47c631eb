package variable

import (
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// source is the kind of a variable that graphs read, as the collection that elements says.
func source[H flow.Collection[E], L crdt.Lattice[L], E comparable](v Var[H], l wire.Lattice, elements flow.Elements[L, E]) wire.Kind {
	return wire.NewVariable(v.Name, wire.VariableKind{
		Lattice: l, Replicas: v.replicas,
		Source:  wire.BindNode(flow.From[H, E](v), elements.Codec(), 0),
		NewFeed: func() flow.Feed { return flow.NewFeed(elements) },
	})
}

// sourceBy is the kind of a family of them.
func sourceBy[K comparable, H flow.Collection[E], L crdt.Lattice[L], E comparable](f Family[K, H], l wire.Lattice, elements flow.Elements[L, E]) wire.Kind {
	keys := keyCodec(f.keys)
	return wire.NewVariable(f.Name, wire.VariableKind{
		Lattice: l, Replicas: f.replicas, Family: true, Problem: f.problem,
		Source:  wire.BindNode(flow.Each[K, H, E](f), flow.EntryCodec(keys, elements.Codec()), 0),
		NewFeed: func() flow.Feed { return flow.NewFeedBy(keys, elements) },
	})
}

// keyCodec encodes keys as elements of graphs, by their text.
func keyCodec[K comparable](keys wire.KeyCodec[K]) wire.Codec[K] {
	return wire.Codec[K]{
		Append: func(b []byte, k K) []byte { return append(b, keys.Text(k)...) },
		Decode: func(b []byte) (K, error) { return keys.Parse(string(b)) },
	}
}
