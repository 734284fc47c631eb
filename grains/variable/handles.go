package variable

import (
	"context"
	"iter"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Types that are asked for often have methods of their own, on top of those of [Handle].

// EWFlagHandle is an enable-wins flag somewhere: one that is enabled and disabled at once is on.
type EWFlagHandle struct{ Handle[*crdt.EWFlag] }

// EWFlag declares an enable-wins flag.
func EWFlag(name string, options ...Option) Var[*EWFlagHandle] {
	return declare(name, options, func(h Handle[*crdt.EWFlag]) *EWFlagHandle { return &EWFlagHandle{h} })
}

// EWFlagKind returns the kind of an enable-wins flag, for generated code.
func EWFlagKind(v Var[*EWFlagHandle]) wire.Kind { return kindOf(v, newEWFlag()) }

// EWFlagKindBy returns the kind of a family of them, for generated code.
func EWFlagKindBy[K comparable](f Family[K, *EWFlagHandle]) wire.Kind { return kindBy(f, newEWFlag()) }

func newEWFlag() *drafts[*crdt.EWFlag] {
	l := newDrafts(crdt.CodecOf(crdt.DecodeEWFlag))
	l.shows = (*crdt.EWFlag).On
	return l
}

// Enable turns the flag on, also against a Disable at the same time.
func (h *EWFlagHandle) Enable(ctx context.Context) error {
	return h.Mutate(ctx, func(f *crdt.EWFlag, as *crdt.Minter) (*crdt.EWFlag, error) { return f.Enable(as), nil })
}

// Disable turns the flag off as far as the nearest replica knows.
func (h *EWFlagHandle) Disable(ctx context.Context) error {
	return h.Mutate(ctx, func(f *crdt.EWFlag, _ *crdt.Minter) (*crdt.EWFlag, error) { return f.Disable(), nil })
}

// On says whether the flag is on.
func (h *EWFlagHandle) On(ctx context.Context) (on bool, err error) {
	err = h.Read(ctx, func(f *crdt.EWFlag) { on = f.On() })
	return on, err
}

// DWFlagHandle is a disable-wins flag somewhere: one that is enabled and disabled at once is off.
type DWFlagHandle struct{ Handle[*crdt.DWFlag] }

// DWFlag declares a disable-wins flag.
func DWFlag(name string, options ...Option) Var[*DWFlagHandle] {
	return declare(name, options, func(h Handle[*crdt.DWFlag]) *DWFlagHandle { return &DWFlagHandle{h} })
}

// DWFlagKind returns the kind of a disable-wins flag, for generated code.
func DWFlagKind(v Var[*DWFlagHandle]) wire.Kind { return kindOf(v, newDWFlag()) }

// DWFlagKindBy returns the kind of a family of them, for generated code.
func DWFlagKindBy[K comparable](f Family[K, *DWFlagHandle]) wire.Kind { return kindBy(f, newDWFlag()) }

func newDWFlag() *drafts[*crdt.DWFlag] {
	l := newDrafts(crdt.CodecOf(crdt.DecodeDWFlag))
	l.shows = (*crdt.DWFlag).On
	return l
}

// Enable turns the flag on as far as the nearest replica knows of Disables.
func (h *DWFlagHandle) Enable(ctx context.Context) error {
	return h.Mutate(ctx, func(f *crdt.DWFlag, as *crdt.Minter) (*crdt.DWFlag, error) { return f.Enable(as), nil })
}

// Disable turns the flag off, also against an Enable at the same time.
func (h *DWFlagHandle) Disable(ctx context.Context) error {
	return h.Mutate(ctx, func(f *crdt.DWFlag, as *crdt.Minter) (*crdt.DWFlag, error) { return f.Disable(as), nil })
}

// On says whether the flag is on.
func (h *DWFlagHandle) On(ctx context.Context) (on bool, err error) {
	err = h.Read(ctx, func(f *crdt.DWFlag) { on = f.On() })
	return on, err
}

// MVRegisterHandle is a multi-value register somewhere: values that were written at the same time stay side
// by side until one is written by who has seen them.
type MVRegisterHandle[V comparable] struct{ Handle[*crdt.MVRegister[V]] }

// MVRegister declares a multi-value register.
func MVRegister[V comparable](name string, options ...Option) Var[*MVRegisterHandle[V]] {
	return declare(name, options, func(h Handle[*crdt.MVRegister[V]]) *MVRegisterHandle[V] { return &MVRegisterHandle[V]{h} })
}

// MVRegisterKind returns the kind of a multi-value register, for generated code.
func MVRegisterKind[V comparable](v Var[*MVRegisterHandle[V]], value wire.Codec[V]) wire.Kind {
	return kindOf(v, newDrafts(crdt.MVRegisterCodec(value)))
}

// MVRegisterKindBy returns the kind of a family of them, for generated code.
func MVRegisterKindBy[K, V comparable](f Family[K, *MVRegisterHandle[V]], value wire.Codec[V]) wire.Kind {
	return kindBy(f, newDrafts(crdt.MVRegisterCodec(value)))
}

// Set writes v in place of the values that the nearest replica holds.
func (h *MVRegisterHandle[V]) Set(ctx context.Context, v V) error {
	return h.Mutate(ctx, func(r *crdt.MVRegister[V], as *crdt.Minter) (*crdt.MVRegister[V], error) { return r.Set(as, v), nil })
}

// Values returns the values: none before the first write, several after writes at the same time.
func (h *MVRegisterHandle[V]) Values(ctx context.Context) (vs []V, err error) {
	err = h.Read(ctx, func(r *crdt.MVRegister[V]) { vs = r.Values() })
	return vs, err
}

// GSetHandle is a grow-only set somewhere.
type GSetHandle[E comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[E]
	Handle[*crdt.GSet[E]]
}

// GSet declares a grow-only set.
func GSet[E comparable](name string, options ...Option) Var[*GSetHandle[E]] {
	return declare(name, options, func(h Handle[*crdt.GSet[E]]) *GSetHandle[E] { return &GSetHandle[E]{Handle: h} })
}

// GSetKind returns the kind of a grow-only set, for generated code.
func GSetKind[E comparable](v Var[*GSetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return source(v, newDrafts(crdt.GSetCodec(elem)), flow.GSetElements(elem))
}

// GSetKindBy returns the kind of a family of them, for generated code.
func GSetKindBy[K, E comparable](f Family[K, *GSetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return sourceBy(f, newDrafts(crdt.GSetCodec(elem)), flow.GSetElements(elem))
}

// Add adds elements, for good. It does not read the set first.
func (h *GSetHandle[E]) Add(ctx context.Context, e ...E) error {
	return h.Join(ctx, crdt.NewGSet(wire.Codec[E]{}).Add(e...))
}

// All returns a copy of the elements, as they are now, in an order that equal sets share.
func (h *GSetHandle[E]) All(ctx context.Context) (iter.Seq[E], error) {
	var all []E
	err := h.Read(ctx, func(s *crdt.GSet[E]) { all = slices.Collect(s.All()) })
	return slices.Values(all), err
}

// Contains says whether the set holds e.
func (h *GSetHandle[E]) Contains(ctx context.Context, e E) (held bool, err error) {
	err = h.Read(ctx, func(s *crdt.GSet[E]) { held = s.Contains(e) })
	return held, err
}

// RWSetHandle is a remove-wins set somewhere: an element that is added and removed at once is not in it.
type RWSetHandle[E comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[E]
	base
}

// RWSet declares a remove-wins set. What is removed costs as much as what is there; see [crdt.RWSet].
func RWSet[E comparable](name string, options ...Option) Var[*RWSetHandle[E]] {
	return Var[*RWSetHandle[E]]{declared[*RWSetHandle[E]]{Name: name}, replicas(options), func(p Place, id wire.ID) *RWSetHandle[E] {
		return &RWSetHandle[E]{base: at(p, id)}
	}}
}

// RWSetKind returns the kind of a remove-wins set, for generated code.
func RWSetKind[E comparable](v Var[*RWSetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return source(v, newRWSetLattice(elem), flow.RWSetElements(elem))
}

// RWSetKindBy returns the kind of a family of them, for generated code.
func RWSetKindBy[K, E comparable](f Family[K, *RWSetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return sourceBy(f, newRWSetLattice(elem), flow.RWSetElements(elem))
}

type rwSetLattice[E comparable] = typed[*crdt.RWSet[E], crdt.RWSetOp[E]]

func newRWSetLattice[E comparable](elem wire.Codec[E]) *rwSetLattice[E] {
	return &rwSetLattice[E]{
		states: crdt.RWSetCodec(elem),
		ops: wire.Codec[crdt.RWSetOp[E]]{
			Append: func(b []byte, op crdt.RWSetOp[E]) []byte { return crdt.AppendRWSetOp(b, op, elem) },
			Decode: func(b []byte) (crdt.RWSetOp[E], error) { return crdt.DecodeRWSetOp(b, elem) },
		},
		shows:   func(s *crdt.RWSet[E]) bool { return s.Len() > 0 },
		prepare: func(s *crdt.RWSet[E], op crdt.RWSetOp[E], _ int64) crdt.RWSetOp[E] { return s.Prepare(op) },
		effect:  minted(crdt.RWSetOp[E].Effect),
	}
}

// Add adds elements as far as the nearest replica knows of removals.
func (h *RWSetHandle[E]) Add(ctx context.Context, e ...E) error { return h.Change(ctx, e, nil) }

// Remove removes elements, also against additions at the same time.
func (h *RWSetHandle[E]) Remove(ctx context.Context, e ...E) error { return h.Change(ctx, nil, e) }

// Change removes and adds elements in one write: an element of both is held after it.
func (h *RWSetHandle[E]) Change(ctx context.Context, add, remove []E) error {
	l, err := lattice[*rwSetLattice[E]](h.base)
	if err != nil || len(add)+len(remove) == 0 {
		return err
	}
	return h.engine.Mutate(ctx, h.id, l.ops.Append(nil, crdt.RWSetOp[E]{Add: add, Remove: remove}))
}

// All returns a copy of the elements, as they are now, in an order that equal sets share.
func (h *RWSetHandle[E]) All(ctx context.Context) (iter.Seq[E], error) {
	var all []E
	err := read(ctx, h.base, func(s *crdt.RWSet[E]) { all = slices.Collect(s.All()) })
	return slices.Values(all), err
}

// Contains says whether the set holds e.
func (h *RWSetHandle[E]) Contains(ctx context.Context, e E) (held bool, err error) {
	err = read(ctx, h.base, func(s *crdt.RWSet[E]) { held = s.Contains(e) })
	return held, err
}

// BoundedCounterHandle is a counter somewhere that never falls below zero: what a silo takes it has the
// rights to, by what was added there or given to it; see [crdt.BoundedCounter]. Atomic blocks have rights of
// their own, which they get by adding in a block.
type BoundedCounterHandle struct{ Handle[*crdt.BoundedCounter] }

// BoundedCounter declares a bounded counter.
func BoundedCounter(name string, options ...Option) Var[*BoundedCounterHandle] {
	return declare(name, options, func(h Handle[*crdt.BoundedCounter]) *BoundedCounterHandle { return &BoundedCounterHandle{h} })
}

// BoundedCounterKind returns the kind of a bounded counter, for generated code.
func BoundedCounterKind(v Var[*BoundedCounterHandle]) wire.Kind { return kindOf(v, newBounded()) }

// BoundedCounterKindBy returns the kind of a family of them, for generated code.
func BoundedCounterKindBy[K comparable](f Family[K, *BoundedCounterHandle]) wire.Kind {
	return kindBy(f, newBounded())
}

func newBounded() *drafts[*crdt.BoundedCounter] {
	l := newDrafts(crdt.CodecOf(crdt.DecodeBoundedCounter))
	l.shows = func(c *crdt.BoundedCounter) bool { return c.Value() > 0 }
	return l
}

// Add adds n, and gives the nearest replica the rights to it. After an error that wraps grains.ErrUnknown it
// may have been added: adding again may count twice.
func (h *BoundedCounterHandle) Add(ctx context.Context, n uint64) error {
	as := crdt.NewDraft()
	return h.Join(ctx, crdt.NewBoundedCounter().Inc(as.Actor, n))
}

// Take takes n out of the rights of the nearest replica. The error is a *crdt.NoRights, whose actor names
// that replica, when it has not so many, and then nothing has changed: have some given to it, or take
// elsewhere. What was taken is logged before Take returns.
func (h *BoundedCounterHandle) Take(ctx context.Context, n uint64) error {
	return h.spend(ctx, n, (*crdt.BoundedCounter).Dec)
}

// Give gives n of the rights of the nearest replica to another actor. The error is a *crdt.NoRights when it
// has not so many.
func (h *BoundedCounterHandle) Give(ctx context.Context, to crdt.Actor, n uint64) error {
	return h.spend(ctx, n, func(c *crdt.BoundedCounter, as crdt.Actor, n uint64) (*crdt.BoundedCounter, error) {
		return c.Transfer(as, to, n)
	})
}

// spend sends a draft that is made of as many rights as it takes: those of the replica are what counts.
func (h *BoundedCounterHandle) spend(ctx context.Context, n uint64, how func(*crdt.BoundedCounter, crdt.Actor, uint64) (*crdt.BoundedCounter, error)) error {
	c := crdt.NewBoundedCounter()
	c.Inc(1, n)
	draft, err := how(c, crdt.NewDraft().Actor, n)
	if err != nil {
		return err
	}
	return h.Join(ctx, draft)
}

// Count is what was added less what was taken, as far as the nearest replica knows.
func (h *BoundedCounterHandle) Count(ctx context.Context) (n uint64, err error) {
	err = h.Read(ctx, func(c *crdt.BoundedCounter) { n = c.Value() })
	return n, err
}

// Rights is who may take how much, as far as the nearest replica knows.
func (h *BoundedCounterHandle) Rights(ctx context.Context) (rights map[crdt.Actor]uint64, err error) {
	rights = map[crdt.Actor]uint64{}
	err = h.Read(ctx, func(c *crdt.BoundedCounter) {
		for actor, n := range c.All() {
			rights[actor] = n
		}
	})
	return rights, err
}

// ORMapHandle is an add-wins map of causal values somewhere; values are stores of package crdt, maps of
// maps among them. As a source of graphs it is the collection of its keys.
type ORMapHandle[K comparable, S crdt.DotStore[S]] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[K]
	base
}

// ORMap declares an add-wins map:
//
//	var Carts = variable.ORMap[Item, *crdt.CounterStore]("carts")
//
//	err := Carts.On(c).Update(ctx, item, func(n *crdt.CounterStore, as *crdt.Minter) crdt.Change[*crdt.CounterStore] {
//		return n.Add(as, 1)
//	})
func ORMap[K comparable, S crdt.DotStore[S]](name string, options ...Option) Var[*ORMapHandle[K, S]] {
	return Var[*ORMapHandle[K, S]]{declared[*ORMapHandle[K, S]]{Name: name}, replicas(options), func(p Place, id wire.ID) *ORMapHandle[K, S] {
		return &ORMapHandle[K, S]{base: at(p, id)}
	}}
}

// ORMapKind returns the kind of an add-wins map, for generated code.
func ORMapKind[K comparable, S crdt.DotStore[S]](v Var[*ORMapHandle[K, S]], keys wire.Codec[K], values wire.Codec[S]) wire.Kind {
	return source(v, newORMapLattice(keys, values), flow.ORMapKeys(keys, values))
}

// ORMapKindBy returns the kind of a family of them, for generated code.
func ORMapKindBy[F, K comparable, S crdt.DotStore[S]](f Family[F, *ORMapHandle[K, S]], keys wire.Codec[K], values wire.Codec[S]) wire.Kind {
	return sourceBy(f, newORMapLattice(keys, values), flow.ORMapKeys(keys, values))
}

type ormapLattice[K comparable, S crdt.DotStore[S]] = typed[*crdt.ORMap[K, S], crdt.ORMapOp[K, S]]

func newORMapLattice[K comparable, S crdt.DotStore[S]](keys wire.Codec[K], values wire.Codec[S]) *ormapLattice[K, S] {
	return &ormapLattice[K, S]{
		states: crdt.ORMapCodec(keys, values),
		ops: wire.Codec[crdt.ORMapOp[K, S]]{
			Append: func(b []byte, op crdt.ORMapOp[K, S]) []byte { return crdt.AppendORMapOp(b, op, keys, values) },
			Decode: func(b []byte) (crdt.ORMapOp[K, S], error) { return crdt.DecodeORMapOp(b, keys, values) },
		},
		shows:   func(m *crdt.ORMap[K, S]) bool { return m.Len() > 0 },
		prepare: unprepared[*crdt.ORMap[K, S], crdt.ORMapOp[K, S]],
		effect:  minted(crdt.ORMapOp[K, S].Effect),
	}
}

// Update changes the value of k by what change makes of it; it gets nil where k is not in the map, must not
// change what it gets, and not use variables: on a replica it sees the state itself, without a copy.
func (h *ORMapHandle[K, S]) Update(ctx context.Context, k K, change func(value S, as *crdt.Minter) crdt.Change[S]) error {
	return h.Change(ctx, func(m *crdt.MapStore[K, S], as *crdt.Minter) crdt.Change[*crdt.MapStore[K, S]] {
		return m.Update(k, func(v S) crdt.Change[S] { return change(v, as) })
	})
}

// Remove removes what the nearest replica holds under the keys: what somebody else changes meanwhile stays.
func (h *ORMapHandle[K, S]) Remove(ctx context.Context, k ...K) error {
	return h.Change(ctx, func(m *crdt.MapStore[K, S], _ *crdt.Minter) crdt.Change[*crdt.MapStore[K, S]] { return m.Remove(k...) })
}

// Change makes one change of the whole map, at any depth; the same holds of change as in Update.
func (h *ORMapHandle[K, S]) Change(ctx context.Context, change func(*crdt.MapStore[K, S], *crdt.Minter) crdt.Change[*crdt.MapStore[K, S]]) error {
	l, err := lattice[*ormapLattice[K, S]](h.base)
	if err != nil {
		return err
	}
	var op []byte
	err = h.Read(ctx, func(m *crdt.ORMap[K, S]) {
		if made := m.Prepare(change); !made.IsZero() {
			op = l.ops.Append(nil, made) // while the state is locked: it shares with it
		}
	})
	if err != nil || op == nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, op)
}

// Read calls use with the map at the nearest replica; use must neither change nor keep it.
func (h *ORMapHandle[K, S]) Read(ctx context.Context, use func(*crdt.ORMap[K, S])) error {
	return read(ctx, h.base, use)
}
