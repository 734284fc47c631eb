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
		Lattice: counterLattice{}, Replicas: v.replicas,
		Source:  wire.BindNode(flow.From(v), int64Codec, 0),
		NewFeed: func() flow.Feed { return newValueFeed(counterFeed, int64Codec, single[int64]) },
	})
}

// CounterKindBy returns the kind of a family of counters, for generated code.
func CounterKindBy[K comparable](f Family[K, *CounterHandle]) wire.Kind {
	entry := flow.EntryCodec(keyCodec(f.keys), int64Codec)
	return wire.NewVariable(f.Name, wire.VariableKind{
		Lattice: counterLattice{}, Replicas: f.replicas, Family: true, Problem: f.problem,
		Source:  wire.BindNode(flow.Each(f), entry, 0),
		NewFeed: func() flow.Feed { return newValueFeed(counterFeed, entry, keyed[K, int64](f.keys)) },
	})
}

// Add adds n, which may be negative. After an error that wraps grains.ErrUnknown it may have been added:
// adding again may count twice.
func (h *CounterHandle) Add(ctx context.Context, n int64) error {
	if _, err := lattice[counterLattice](h.base); err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, crdt.CounterOp{N: n}.Append(nil))
}

// Value is the sum of all additions that the nearest replica knows.
func (h *CounterHandle) Value(ctx context.Context) (n int64, err error) {
	err = read(ctx, h.base, func(o *counterObject) { n = o.counter.Value() })
	return n, err
}

type counterLattice struct{}

func (counterLattice) New() wire.Object { return &counterObject{crdt.NewCounter()} }

func (counterLattice) Effect(actor crdt.Actor, own, op []byte) (delta, newOwn []byte, err error) {
	o, err := crdt.DecodeCounterOp(op)
	if err != nil {
		return nil, nil, err
	}
	var row crdt.CounterRow
	if own != nil {
		if row, err = crdt.DecodeCounterRow(own); err != nil {
			return nil, nil, err
		}
	}
	return o.Effect(actor, &row).Append(nil), row.Append(nil), nil
}

type counterObject struct{ counter *crdt.Counter }

func (o *counterObject) Prepare(_ int64, op []byte) ([]byte, error) {
	_, err := crdt.DecodeCounterOp(op)
	return op, err
}

func (o *counterObject) Join(delta []byte) ([]byte, error) {
	d, err := crdt.DecodeCounter(delta)
	if err != nil {
		return nil, err
	}
	return encodedCounter(o.counter.Join(d)), nil
}

func encodedCounter(c *crdt.Counter) []byte {
	if c == nil {
		return nil
	}
	return c.Append(nil)
}

func (o *counterObject) Hash() uint64   { return o.counter.Hash() }
func (o *counterObject) Digest() []byte { return o.counter.Digest() }
func (o *counterObject) State() []byte  { return o.counter.Append(nil) }
func (o *counterObject) Empty() bool    { return o.counter.Value() == 0 }
func (o *counterObject) String() string { return o.counter.String() }

func (o *counterObject) Since(digest []byte) ([]byte, error) {
	d, err := o.counter.Since(digest)
	if err != nil {
		return nil, err
	}
	return encodedCounter(d), nil
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
