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
	return source(v, newRegisterLattice(value), flow.RegisterElements(value))
}

// RegisterKindBy returns the kind of a family of registers, for generated code.
func RegisterKindBy[K, V comparable](f Family[K, *RegisterHandle[V]], value wire.Codec[V]) wire.Kind {
	return sourceBy(f, newRegisterLattice(value), flow.RegisterElements(value))
}

// Set writes v, with a timestamp that is later than that of what the nearest replica holds, whatever that
// replica's clock says.
func (h *RegisterHandle[V]) Set(ctx context.Context, v V) error {
	l, err := lattice[*registerLattice[V]](h.base)
	if err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, l.ops.Append(nil, crdt.RegisterOp[V]{Value: v}))
}

// Value is what was written last, as far as the nearest replica knows; set is false if nothing was.
func (h *RegisterHandle[V]) Value(ctx context.Context) (v V, set bool, err error) {
	err = read(ctx, h.base, func(r *crdt.Register[V]) { v, set = r.Get() })
	return v, set, err
}

// registerLattice is a register as hosts know it.
type registerLattice[V any] = typed[*crdt.Register[V], crdt.RegisterOp[V]]

func newRegisterLattice[V any](value wire.Codec[V]) *registerLattice[V] {
	return &registerLattice[V]{
		states: crdt.RegisterCodec(value),
		ops: wire.Codec[crdt.RegisterOp[V]]{
			Append: func(b []byte, op crdt.RegisterOp[V]) []byte { return crdt.AppendRegisterOp(b, op, value) },
			Decode: func(b []byte) (crdt.RegisterOp[V], error) { return crdt.DecodeRegisterOp(b, value) },
		},
		shows:   func(r *crdt.Register[V]) bool { return !r.IsEmpty() },
		prepare: (*crdt.Register[V]).Prepare,
		effect:  signed(crdt.RegisterOp[V].Effect),
	}
}

// MapHandle is a map of last-writer-wins registers somewhere: each key is decided by itself.
type MapHandle[K, V comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[flow.Entry[K, V]]
	base
}

// Map declares a map of last-writer-wins registers. As a source of graphs it is the collection of its entries.
func Map[K, V comparable](name string, options ...Option) Var[*MapHandle[K, V]] {
	return Var[*MapHandle[K, V]]{declared[*MapHandle[K, V]]{Name: name}, replicas(options), func(p Place, id wire.ID) *MapHandle[K, V] {
		return &MapHandle[K, V]{base: at(p, id)}
	}}
}

// MapKind returns the kind of a map, for generated code.
func MapKind[K, V comparable](v Var[*MapHandle[K, V]], key wire.Codec[K], value wire.Codec[V]) wire.Kind {
	return source(v, newMapLattice(key, value), flow.RegisterMapElements(key, value))
}

// MapKindBy returns the kind of a family of maps, for generated code.
func MapKindBy[F, K, V comparable](f Family[F, *MapHandle[K, V]], key wire.Codec[K], value wire.Codec[V]) wire.Kind {
	return sourceBy(f, newMapLattice(key, value), flow.RegisterMapElements(key, value))
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
	err = read(ctx, h.base, func(m *crdt.RegisterMap[K, V]) { v, held = m.Get(k) })
	return v, held, err
}

// All returns a copy of the entries, as they are now, in an order that equal maps share.
func (h *MapHandle[K, V]) All(ctx context.Context) (iter.Seq2[K, V], error) {
	var all []flow.Entry[K, V]
	err := read(ctx, h.base, func(m *crdt.RegisterMap[K, V]) {
		for k, v := range m.All() {
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
	return h.engine.Mutate(ctx, h.id, l.ops.Append(nil, op))
}

// mapLattice is a map of registers as hosts know it.
type mapLattice[K, V comparable] = typed[*crdt.RegisterMap[K, V], crdt.RegisterMapOp[K, V]]

func newMapLattice[K, V comparable](key wire.Codec[K], value wire.Codec[V]) *mapLattice[K, V] {
	return &mapLattice[K, V]{
		states: crdt.RegisterMapCodec(key, value),
		ops: wire.Codec[crdt.RegisterMapOp[K, V]]{
			Append: func(b []byte, op crdt.RegisterMapOp[K, V]) []byte {
				return crdt.AppendRegisterMapOp(b, op, key, value)
			},
			Decode: func(b []byte) (crdt.RegisterMapOp[K, V], error) { return crdt.DecodeRegisterMapOp(b, key, value) },
		},
		shows:   func(m *crdt.RegisterMap[K, V]) bool { return m.Len() > 0 },
		prepare: (*crdt.RegisterMap[K, V]).Prepare,
		effect:  signed(crdt.RegisterMapOp[K, V].Effect),
	}
}
