package variable

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// SetHandle is an add-wins set somewhere: an element that is added and removed at once stays.
//
// What its methods cost, and which errors they return, is said in the package's comment. Elements given
// to one call change together: no replica shows some of them without the others.
type SetHandle[E comparable] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	of[E]
	base
}

// Set declares an add-wins set.
func Set[E comparable](name string, options ...Option) Var[*SetHandle[E]] {
	return Var[*SetHandle[E]]{declared[*SetHandle[E]]{Name: name}, replicas(options), func(p Place, id wire.ID) *SetHandle[E] {
		return &SetHandle[E]{base: at(p, id)}
	}}
}

// SetKind returns the kind of a set, for generated code.
func SetKind[E comparable](v Var[*SetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return source(v, newSetLattice(elem), flow.SetElements(elem))
}

// SetKindBy returns the kind of a family of sets, for generated code.
func SetKindBy[K, E comparable](f Family[K, *SetHandle[E]], elem wire.Codec[E]) wire.Kind {
	return sourceBy(f, newSetLattice(elem), flow.SetElements(elem))
}

// Add adds elements; those that are there are added again, which a concurrent removal does not undo.
func (s *SetHandle[E]) Add(ctx context.Context, e ...E) error {
	return s.mutate(ctx, crdt.SetOp[E]{Add: e})
}

// Remove removes what the nearest replica holds of the elements: an element that somebody else adds
// meanwhile stays.
func (s *SetHandle[E]) Remove(ctx context.Context, e ...E) error {
	return s.mutate(ctx, crdt.SetOp[E]{Remove: e})
}

// Assign makes the set hold the elements of seq: it adds what is missing and removes the rest. In the
// turn of a process it changes only what differs from the process's last Assign of this set, so that
// what others have removed stays removed, and what they have added stays.
func (s *SetHandle[E]) Assign(ctx context.Context, seq iter.Seq[E]) error {
	l, err := lattice[*setLattice[E]](s.base)
	if err != nil {
		return err
	}
	next := make(map[string]E)
	for e := range seq {
		next[string(l.elem.Append(nil, e))] = e
	}
	if r, ok := s.engine.(wire.Recorder); ok {
		return s.assignByDifference(ctx, l, r, next)
	}
	var op crdt.SetOp[E]
	last, err := s.All(ctx)
	if err != nil {
		return err
	}
	for e := range last {
		if b := string(l.elem.Append(nil, e)); has(next, b) {
			delete(next, b)
		} else {
			op.Remove = append(op.Remove, e)
		}
	}
	for _, b := range slices.Sorted(maps.Keys(next)) {
		op.Add = append(op.Add, next[b])
	}
	return s.mutate(ctx, op)
}

func has[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

// assignByDifference writes what differs from the process's record of what it has written.
//
// The set and the record are two variables, and each may reach another silo without the other: a process
// that moves there must neither leave behind what its predecessor wrote nor write again what somebody
// removed. So a write is on record before it is made, and what is to be taken back is on record as doubtful
// before that, and stays so, to be taken back again when a replica brings another write of it: a record grows
// with all that the process ever wrote there.
func (s *SetHandle[E]) assignByDifference(ctx context.Context, l *setLattice[E], r wire.Recorder, next map[string]E) error {
	written, doubtful, err := r.Outputs(ctx, s.id)
	if err != nil {
		return err
	}
	var op crdt.SetOp[E]
	var begun, done wire.OutputChange // before the write, and after it
	for _, b := range slices.Sorted(maps.Keys(next)) {
		if has(written, b) {
			continue
		}
		op.Add = append(op.Add, next[b])
		done.Written = append(done.Written, b)
		// Also what is doubtful already: that entry may be another run's, who takes it off the record.
		begun.Begun = append(begun.Begun, b)
	}
	back := map[string]E{} // to be taken back
	for _, record := range []map[string]struct{}{written, doubtful} {
		for b := range record {
			if has(next, b) {
				continue
			}
			e, err := l.elem.Decode([]byte(b))
			if err != nil {
				return fmt.Errorf("the record of what a process wrote to %s: %w", s.id, err)
			}
			back[b] = e
		}
	}
	held, err := s.heldOf(ctx, back) // the process is run again when the set changes
	if err != nil {
		return err
	}
	for _, b := range slices.Sorted(maps.Keys(back)) {
		if has(held, b) {
			op.Remove = append(op.Remove, back[b])
		}
		// It stays on record as doubtful though it is removed: what is held may be there by an older
		// write than the one that the record speaks of, which a replica may still bring.
		if has(written, b) {
			begun.Doubted = append(begun.Doubted, b)
		}
	}
	// Before it is removed: were it still on record as written, and this run cut off, it would look as if
	// somebody else had removed it, and never come back.
	if len(begun.Begun)+len(begun.Doubted) > 0 {
		if err := r.RecordOutputs(ctx, s.id, begun); err != nil {
			return err
		}
	}
	if err := s.mutate(ctx, op); err != nil {
		return err
	}
	if len(done.Written) == 0 {
		return nil
	}
	return r.RecordOutputs(ctx, s.id, done)
}

// heldOf returns those of the elements that the set holds.
func (s *SetHandle[E]) heldOf(ctx context.Context, of map[string]E) (map[string]struct{}, error) {
	held := map[string]struct{}{}
	if len(of) == 0 {
		return held, nil
	}
	err := read(ctx, s.base, func(set *crdt.Set[E]) {
		for b, e := range of {
			if set.Contains(e) {
				held[b] = struct{}{}
			}
		}
	})
	return held, err
}

// All returns a copy of the elements, as they are now, in an order that equal sets share.
func (s *SetHandle[E]) All(ctx context.Context) (iter.Seq[E], error) {
	var all []E
	err := read(ctx, s.base, func(set *crdt.Set[E]) { all = slices.AppendSeq(make([]E, 0, set.Len()), set.All()) })
	return slices.Values(all), err
}

// Contains says whether the set holds e.
func (s *SetHandle[E]) Contains(ctx context.Context, e E) (held bool, err error) {
	err = read(ctx, s.base, func(set *crdt.Set[E]) { held = set.Contains(e) })
	return held, err
}

// Len is how many elements the set holds.
func (s *SetHandle[E]) Len(ctx context.Context) (n int, err error) {
	err = read(ctx, s.base, func(set *crdt.Set[E]) { n = set.Len() })
	return n, err
}

// Change removes and adds elements in one write, the removals first: an element of both is held after it.
func (s *SetHandle[E]) Change(ctx context.Context, add, remove []E) error {
	return s.mutate(ctx, crdt.SetOp[E]{Add: add, Remove: remove})
}

func (s *SetHandle[E]) mutate(ctx context.Context, op crdt.SetOp[E]) error {
	l, err := lattice[*setLattice[E]](s.base)
	if err != nil || len(op.Add)+len(op.Remove) == 0 {
		return err
	}
	return s.engine.Mutate(ctx, s.id, l.ops.Append(nil, op))
}

// setLattice is an add-wins set as hosts know it.
type setLattice[E comparable] struct {
	typed[*crdt.Set[E], crdt.SetOp[E]]
	elem wire.Codec[E]
}

func newSetLattice[E comparable](elem wire.Codec[E]) *setLattice[E] {
	return &setLattice[E]{typed[*crdt.Set[E], crdt.SetOp[E]]{
		states: crdt.SetCodec(elem),
		ops: wire.Codec[crdt.SetOp[E]]{
			Append: func(b []byte, op crdt.SetOp[E]) []byte { return crdt.AppendSetOp(b, op, elem) },
			Decode: func(b []byte) (crdt.SetOp[E], error) { return crdt.DecodeSetOp(b, elem) },
		},
		shows:   func(s *crdt.Set[E]) bool { return s.Len() > 0 },
		prepare: func(s *crdt.Set[E], op crdt.SetOp[E], _ int64) crdt.SetOp[E] { return s.Prepare(op) },
		effect:  minted(crdt.SetOp[E].Effect),
	}, elem}
}
