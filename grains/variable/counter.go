package variable

import (
	"context"
	"iter"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// CounterHandle is a counter somewhere that goes up and down.
type CounterHandle struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[int64]
	base
}

// Counter declares a counter.
func Counter(name string, options ...Option) Var[*CounterHandle] {
	return Var[*CounterHandle]{declared[*CounterHandle]{Name: name}, replicas(options), func(p Place, id wire.ID) *CounterHandle {
		return &CounterHandle{base: at(p, id)}
	}}
}

var int64Codec = wire.Codec[int64]{
	Append: func(b []byte, n int64) []byte { return crdt.CounterOp{N: n}.Append(b) },
	Decode: func(b []byte) (int64, error) {
		op, err := crdt.DecodeCounterOp(b)
		return op.N, err
	},
}

// CounterKind returns the kind of a counter, for generated code.
func CounterKind(v Var[*CounterHandle]) wire.Kind {
	return wire.NewVariable(v.Name, wire.VariableKind{
		Lattice: newCounterLattice(), Replicas: v.replicas,
		Source:  wire.BindNode(flow.From(v), int64Codec, 0),
		NewFeed: func() flow.Feed { return newValueFeed(counterFeed, int64Codec, single[int64]) },
	})
}

// CounterKindBy returns the kind of a family of counters, for generated code.
func CounterKindBy[K comparable](f Family[K, *CounterHandle]) wire.Kind {
	entry := flow.EntryCodec(keyCodec(f.keys), int64Codec)
	return wire.NewVariable(f.Name, wire.VariableKind{
		Lattice: newCounterLattice(), Replicas: f.replicas, Family: true, Problem: f.problem,
		Source:  wire.BindNode(flow.Each(f), entry, 0),
		NewFeed: func() flow.Feed { return newValueFeed(counterFeed, entry, keyed[K, int64](f.keys)) },
	})
}

// Add adds n, which may be negative. After an error that wraps grains.ErrUnknown it may have been added:
// adding again may count twice.
func (h *CounterHandle) Add(ctx context.Context, n int64) error {
	if _, err := lattice[*counterLattice](h.base); err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, crdt.CounterOp{N: n}.Append(nil))
}

// Value is the sum of all additions that the nearest replica knows.
func (h *CounterHandle) Value(ctx context.Context) (n int64, err error) {
	err = read(ctx, h.base, func(c *crdt.Counter) { n = c.Value() })
	return n, err
}

// counterLattice is a counter as hosts know it.
type counterLattice = typed[*crdt.Counter, crdt.CounterOp]

func newCounterLattice() *counterLattice {
	return &counterLattice{
		states:  crdt.CodecOf(crdt.DecodeCounter),
		ops:     wire.Codec[crdt.CounterOp]{Append: func(b []byte, op crdt.CounterOp) []byte { return op.Append(b) }, Decode: crdt.DecodeCounterOp},
		shows:   func(c *crdt.Counter) bool { return c.Value() != 0 },
		prepare: unprepared[*crdt.Counter, crdt.CounterOp],
		effect: func(op crdt.CounterOp, actor crdt.Actor, own []byte) (_ *crdt.Counter, _ []byte, err error) {
			var row crdt.CounterRow
			if own != nil {
				if row, err = crdt.DecodeCounterRow(own); err != nil {
					return nil, nil, err
				}
			}
			return op.Effect(actor, &row), row.Append(nil), nil
		},
	}
}

// counterFeed: a counter is a collection of one element, its value, once anybody has counted.
func counterFeed() state[int64] { return &counterState{crdt.NewCounter(), false} }

type counterState struct {
	counter *crdt.Counter
	counted bool
}

func (s *counterState) join(delta []byte) error {
	d, err := crdt.DecodeCounter(delta)
	if err == nil && s.counter.Join(d) != nil {
		s.counted = true
	}
	return err
}

func (s *counterState) value() (int64, bool) { return s.counter.Value(), s.counted }

// state is a variable with one value at most, as a feed follows it.
type state[V any] interface {
	join(delta []byte) error // after an error the state is as it was
	value() (V, bool)
}

// valueFeed follows variables that have one value.
type valueFeed[V, Out comparable] struct {
	fresh func() state[V]
	out   wire.Codec[Out]
	make  func(key string, v V) (Out, error)
	all   map[string]state[V]
}

func newValueFeed[V, Out comparable](fresh func() state[V], out wire.Codec[Out], make func(string, V) (Out, error)) *valueFeed[V, Out] {
	return &valueFeed[V, Out]{fresh, out, make, map[string]state[V]{}}
}

// single is the element of a variable that is no family.
func single[V any](_ string, v V) (V, error) { return v, nil }

// keyed is the element of a variable of a family.
func keyed[K comparable, V any](keys wire.KeyCodec[K]) func(string, V) (flow.Entry[K, V], error) {
	return func(key string, v V) (flow.Entry[K, V], error) {
		k, err := keys.Parse(key)
		return flow.Entry[K, V]{Key: k, Value: v}, err
	}
}

func (f *valueFeed[V, Out]) Join(key string, delta []byte) ([]byte, error) {
	s, known := f.all[key]
	if !known {
		var zero V
		if _, err := f.make(key, zero); err != nil {
			return nil, err
		}
		s = f.fresh()
	}
	before, had := s.value()
	if err := s.join(delta); err != nil {
		return nil, err
	}
	f.all[key] = s
	after, has := s.value()
	if had == has && before == after {
		return nil, nil
	}
	var items []flow.Weighted[Out]
	if had {
		out, _ := f.make(key, before) // the key parsed when it came
		items = append(items, flow.Weighted[Out]{Elem: out, Weight: -1})
	}
	if has {
		out, _ := f.make(key, after)
		items = append(items, flow.Weighted[Out]{Elem: out, Weight: 1})
	}
	return flow.AppendBatch(nil, items, f.out), nil
}

func (f *valueFeed[V, Out]) Snapshot(limit int) iter.Seq[[]byte] {
	var items []flow.Weighted[Out]
	for key, s := range f.all {
		if v, has := s.value(); has {
			out, _ := f.make(key, v) // the key parsed when it came
			items = append(items, flow.Weighted[Out]{Elem: out, Weight: 1})
		}
	}
	return flow.SplitBatch(flow.AppendBatch(nil, items, f.out), limit)
}
