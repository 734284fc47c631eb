package variable

import (
	"context"
	"iter"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// RegisterHandle is a last-writer-wins register somewhere: of concurrent writes the one with the later
// timestamp stays, the same on every replica.
type RegisterHandle[V comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[V]
	base
}

// Register declares a last-writer-wins register.
func Register[V comparable](name string, options ...Option) Var[*RegisterHandle[V]] {
	return Var[*RegisterHandle[V]]{declared[*RegisterHandle[V]]{Name: name}, replicas(options), func(p Place, id wire.ID) *RegisterHandle[V] {
		return &RegisterHandle[V]{base: at(p, id)}
	}}
}

// RegisterKind returns the kind of a register, for generated code.
func RegisterKind[V comparable](v Var[*RegisterHandle[V]], value wire.Codec[V]) wire.Kind {
	return wire.NewVariable(v.Name, wire.VariableKind{
		Lattice: &registerLattice[V]{value}, Replicas: v.replicas,
		Source:  wire.BindNode(flow.From(v), value, 0),
		NewFeed: func() flow.Feed { return newValueFeed(registerFeed(value), value, single[V]) },
	})
}

// RegisterKindBy returns the kind of a family of registers, for generated code.
func RegisterKindBy[K, V comparable](f Family[K, *RegisterHandle[V]], value wire.Codec[V]) wire.Kind {
	entry := flow.EntryCodec(keyCodec(f.keys), value)
	return wire.NewVariable(f.Name, wire.VariableKind{
		Lattice: &registerLattice[V]{value}, Replicas: f.replicas, Family: true, Problem: f.problem,
		Source:  wire.BindNode(flow.Each(f), entry, 0),
		NewFeed: func() flow.Feed { return newValueFeed(registerFeed(value), entry, keyed[K, V](f.keys)) },
	})
}

// Set writes v, with a timestamp that is later than that of what the nearest replica holds, whatever that
// replica's clock says.
func (h *RegisterHandle[V]) Set(ctx context.Context, v V) error {
	l, err := lattice[*registerLattice[V]](h.base)
	if err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, crdt.AppendRegisterOp(nil, crdt.RegisterOp[V]{Value: v}, l.value))
}

// Value is what was written last, as far as the nearest replica knows; set is false if nothing was.
func (h *RegisterHandle[V]) Value(ctx context.Context) (v V, set bool, err error) {
	err = read(ctx, h.base, func(o *registerObject[V]) { v, set = o.register.Get() })
	return v, set, err
}

type registerLattice[V any] struct{ value wire.Codec[V] }

func (l *registerLattice[V]) New() wire.Object {
	return &registerObject[V]{l, crdt.NewRegister(l.value)}
}

func (l *registerLattice[V]) Effect(actor crdt.Actor, own, op []byte) (delta, newOwn []byte, err error) {
	o, err := crdt.DecodeRegisterOp(op, l.value)
	if err != nil {
		return nil, nil, err
	}
	return o.Effect(actor).Append(nil, l.value), own, nil
}

type registerObject[V any] struct {
	lattice  *registerLattice[V]
	register *crdt.Register[V]
}

func (o *registerObject[V]) Prepare(now int64, op []byte) ([]byte, error) {
	p, err := crdt.DecodeRegisterOp(op, o.lattice.value)
	if err != nil {
		return nil, err
	}
	return crdt.AppendRegisterOp(nil, o.register.Prepare(p, now), o.lattice.value), nil
}

func (o *registerObject[V]) Join(delta []byte) ([]byte, error) {
	d, err := crdt.DecodeRegister(delta, o.lattice.value)
	if err != nil {
		return nil, err
	}
	return o.lattice.encoded(o.register.Join(d)), nil
}

func (l *registerLattice[V]) encoded(r *crdt.Register[V]) []byte {
	if r == nil {
		return nil
	}
	return r.Append(nil, l.value)
}

func (o *registerObject[V]) Hash() uint64   { return o.register.Hash() }
func (o *registerObject[V]) Digest() []byte { return o.register.Digest() }
func (o *registerObject[V]) State() []byte  { return o.register.Append(nil, o.lattice.value) }
func (o *registerObject[V]) String() string { return o.register.String() }

func (o *registerObject[V]) Empty() bool {
	_, set := o.register.Get()
	return !set
}

func (o *registerObject[V]) Since(digest []byte) ([]byte, error) {
	d, err := o.register.Since(digest)
	if err != nil {
		return nil, err
	}
	return o.lattice.encoded(d), nil
}

func registerFeed[V comparable](value wire.Codec[V]) func() state[V] {
	return func() state[V] { return &registerState[V]{value, crdt.NewRegister(value)} }
}

type registerState[V any] struct {
	codec    wire.Codec[V]
	register *crdt.Register[V]
}

func (s *registerState[V]) join(delta []byte) error {
	d, err := crdt.DecodeRegister(delta, s.codec)
	if err == nil {
		s.register.Join(d)
	}
	return err
}

func (s *registerState[V]) value() (V, bool) { return s.register.Get() }

// MapHandle is a map of last-writer-wins registers somewhere: each key is decided by itself.
type MapHandle[K, V comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[flow.Entry[K, V]]
	base
}

// Map declares a map of last-writer-wins registers. It is no source of graphs in this version.
func Map[K, V comparable](name string, options ...Option) Var[*MapHandle[K, V]] {
	return Var[*MapHandle[K, V]]{declared[*MapHandle[K, V]]{Name: name}, replicas(options), func(p Place, id wire.ID) *MapHandle[K, V] {
		return &MapHandle[K, V]{base: at(p, id)}
	}}
}

// MapKind returns the kind of a map, for generated code.
func MapKind[K, V comparable](v Var[*MapHandle[K, V]], key wire.Codec[K], value wire.Codec[V]) wire.Kind {
	return wire.NewVariable(v.Name, wire.VariableKind{Lattice: &mapLattice[K, V]{key, value}, Replicas: v.replicas})
}

// MapKindBy returns the kind of a family of maps, for generated code.
func MapKindBy[F, K, V comparable](f Family[F, *MapHandle[K, V]], key wire.Codec[K], value wire.Codec[V]) wire.Kind {
	return wire.NewVariable(f.Name, wire.VariableKind{
		Lattice: &mapLattice[K, V]{key, value}, Replicas: f.replicas, Family: true, Problem: f.problem,
	})
}

// Set writes v under k.
func (h *MapHandle[K, V]) Set(ctx context.Context, k K, v V) error {
	return h.mutate(ctx, crdt.RegisterMapOp[K, V]{Set: []crdt.RegisterMapSet[K, V]{{Key: k, Value: v}}})
}

// Remove removes what is under the keys; of a concurrent Set of one, the later timestamp stays.
func (h *MapHandle[K, V]) Remove(ctx context.Context, k ...K) error {
	var op crdt.RegisterMapOp[K, V]
	for _, k := range k {
		op.Remove = append(op.Remove, crdt.RegisterMapRemove[K]{Key: k})
	}
	return h.mutate(ctx, op)
}

// Get returns what is under k.
func (h *MapHandle[K, V]) Get(ctx context.Context, k K) (v V, held bool, err error) {
	err = read(ctx, h.base, func(o *mapObject[K, V]) { v, held = o.registers.Get(k) })
	return v, held, err
}

// All returns a copy of the entries, as they are now, in an order that equal maps share.
func (h *MapHandle[K, V]) All(ctx context.Context) (iter.Seq2[K, V], error) {
	var all []flow.Entry[K, V]
	err := read(ctx, h.base, func(o *mapObject[K, V]) {
		for k, v := range o.registers.All() {
			all = append(all, flow.Entry[K, V]{Key: k, Value: v})
		}
	})
	return func(yield func(K, V) bool) {
		for e := range slices.Values(all) {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}, err
}

func (h *MapHandle[K, V]) mutate(ctx context.Context, op crdt.RegisterMapOp[K, V]) error {
	l, err := lattice[*mapLattice[K, V]](h.base)
	if err != nil || len(op.Set)+len(op.Remove) == 0 {
		return err
	}
	return h.engine.Mutate(ctx, h.id, crdt.AppendRegisterMapOp(nil, op, l.key, l.value))
}

type mapLattice[K, V comparable] struct {
	key   wire.Codec[K]
	value wire.Codec[V]
}

func (l *mapLattice[K, V]) New() wire.Object {
	return &mapObject[K, V]{l, crdt.NewRegisterMap(l.key, l.value)}
}

func (l *mapLattice[K, V]) Effect(actor crdt.Actor, own, op []byte) (delta, newOwn []byte, err error) {
	o, err := crdt.DecodeRegisterMapOp(op, l.key, l.value)
	if err != nil {
		return nil, nil, err
	}
	return o.Effect(actor).Append(nil, l.key, l.value), own, nil
}

type mapObject[K, V comparable] struct {
	lattice   *mapLattice[K, V]
	registers *crdt.RegisterMap[K, V]
}

func (o *mapObject[K, V]) Prepare(now int64, op []byte) ([]byte, error) {
	p, err := crdt.DecodeRegisterMapOp(op, o.lattice.key, o.lattice.value)
	if err != nil {
		return nil, err
	}
	return crdt.AppendRegisterMapOp(nil, o.registers.Prepare(p, now), o.lattice.key, o.lattice.value), nil
}

func (o *mapObject[K, V]) Join(delta []byte) ([]byte, error) {
	d, err := crdt.DecodeRegisterMap(delta, o.lattice.key, o.lattice.value)
	if err != nil {
		return nil, err
	}
	return o.lattice.encoded(o.registers.Join(d)), nil
}

func (l *mapLattice[K, V]) encoded(m *crdt.RegisterMap[K, V]) []byte {
	if m == nil {
		return nil
	}
	return m.Append(nil, l.key, l.value)
}

func (o *mapObject[K, V]) Hash() uint64   { return o.registers.Hash() }
func (o *mapObject[K, V]) Digest() []byte { return o.registers.Digest() }
func (o *mapObject[K, V]) State() []byte {
	return o.registers.Append(nil, o.lattice.key, o.lattice.value)
}
func (o *mapObject[K, V]) Empty() bool    { return o.registers.Len() == 0 }
func (o *mapObject[K, V]) String() string { return o.registers.String() }

func (o *mapObject[K, V]) Since(digest []byte) ([]byte, error) {
	d, err := o.registers.Since(digest)
	if err != nil {
		return nil, err
	}
	return o.lattice.encoded(d), nil
}
