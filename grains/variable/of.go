package variable

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Handle is a variable of any lattice somewhere: a type of package crdt, a struct of them, one's own.
//
//	var Roads = variable.Of[*crdt.Graph[City]]("roads")
//
//	err := Roads.On(c).Mutate(ctx, func(g *crdt.Graph[City], as *crdt.Minter) (*crdt.Graph[City], error) {
//		return g.AddEdge(as, "Ghent", "Bruges")
//	})
//
// A change is made here, on a copy of the state, as a draft (package crdt): a delta in nobody's name, which
// is what travels. The replica that it reaches makes it its own. So a lattice whose deltas carry dots, rows
// or timestamps is a [crdt.Operation]; all of package crdt are, and generated structs. One that is not can be
// a variable as well, if its deltas need no identity, but neither be a part of another nor be changed in an
// atomic block: see [crdt.NoEffect] and [NotInBlock].
//
// A delta must be the draft's: one that was made under another minter, actor or time than those that Mutate
// gives is refused with a *crdt.ForeignChange, and so is a state in place of a delta.
type Handle[L crdt.Lattice[L]] struct{ base }

// Of declares a variable of the lattice L.
func Of[L crdt.Lattice[L]](name string, options ...Option) Var[*Handle[L]] {
	return declare(name, options, func(h Handle[L]) *Handle[L] { return &h })
}

// declare makes a variable whose handle is made of a plain one.
func declare[L crdt.Lattice[L], H any](name string, options []Option, wrap func(Handle[L]) H) Var[H] {
	return Var[H]{declared[H]{Name: name}, replicas(options), func(p Place, id wire.ID) H { return wrap(Handle[L]{at(p, id)}) }}
}

// OfKind returns the kind of such a variable, for generated code; the codec makes the empty state, too.
func OfKind[L crdt.Lattice[L]](v Var[*Handle[L]], codec wire.Codec[L]) wire.Kind {
	return kindOf(v, newDrafts(codec))
}

// OfKindBy returns the kind of a family of such variables, for generated code.
func OfKindBy[K comparable, L crdt.Lattice[L]](f Family[K, *Handle[L]], codec wire.Codec[L]) wire.Kind {
	return kindBy(f, newDrafts(codec))
}

func kindOf[H any](v Var[H], l wire.Lattice) wire.Kind {
	return wire.NewVariable(v.Name, wire.VariableKind{Lattice: l, Replicas: v.replicas})
}

func kindBy[K comparable, H any](f Family[K, H], l wire.Lattice) wire.Kind {
	return wire.NewVariable(f.Name, wire.VariableKind{Lattice: l, Replicas: f.replicas, Family: true, Problem: f.problem})
}

// Value returns a copy of the state at the nearest replica.
func (h *Handle[L]) Value(ctx context.Context) (l L, err error) {
	err = h.Read(ctx, func(state L) { l = state.Clone() })
	return l, err
}

// Read calls use with the state at the nearest replica, without a copy where that is this node. use must
// neither change nor keep it, and not use variables: this one is locked meanwhile.
func (h *Handle[L]) Read(ctx context.Context, use func(L)) error { return read(ctx, h.base, use) }

// Mutate calls change with a copy of the state, which it may change by the type's mutators, and sends the
// delta that it returns: the join of the mutators' deltas, nil for no change. Its error is returned as it
// is, and nothing is sent. as is for mutators that take a minter, as.Actor for those that take an actor, and
// [crdt.DraftTime] is the time for those that take one; a replica's name and time take their places. For a
// lattice that is no [crdt.Operation], as panics when it is used, and as.Actor is 0, nobody.
//
// The copy shows what the nearest replica holds, but of rights it cannot show that replica's: of a bounded
// counter as.Actor may take all there is, and Mutate returns the replica's *crdt.NoRights when it has less.
//
// It costs a copy of the state, which comes over the network where this node is no replica: see Join for a
// delta that needs no state.
func (h *Handle[L]) Mutate(ctx context.Context, change func(l L, as *crdt.Minter) (delta L, err error)) error {
	state, err := h.Value(ctx)
	if err != nil {
		return err
	}
	delta, err := change(state, crdt.NewDraftOf[L]())
	if err != nil {
		return err
	}
	return h.Join(ctx, delta)
}

// Join sends a delta that was made without the state: of a type whose deltas need no identity, or a draft
// that mutators made of an empty state under crdt.NewDraft. The error is a *crdt.ForeignChange, and nothing is
// sent, when it holds a change under another name.
func (h *Handle[L]) Join(ctx context.Context, delta L) error {
	l, err := lattice[*drafts[L]](h.base)
	if err != nil || delta.IsEmpty() {
		return err
	}
	if err := h.check(ctx, l, delta); err != nil {
		return err
	}
	return h.engine.Mutate(ctx, h.id, l.ops.Append(nil, delta))
}

// NotInBlock is the error of changing a variable in an atomic block when its lattice does not say what its
// changes are in another's name: a block's changes are made when it commits, by the log that decides it.
//
// errors.As finds it where the change was tried, and in what Atomic returns there. Out of a grain's method on
// another silo comes its text alone, as of all errors but those of package grains and of the package of the
// grain's interface.
type NotInBlock struct {
	Variable wire.ID
	Type     string
}

// Error says which type and what to do.
func (e *NotInBlock) Error() string {
	return fmt.Sprintf("variable %s cannot be changed in an atomic block: %v, or change it after the block", e.Variable, &crdt.NoEffect{Type: e.Type})
}

// drafts are states of type L that are changed by drafts.
type drafts[L crdt.Lattice[L]] = typed[L, L]

func newDrafts[L crdt.Lattice[L]](codec wire.Codec[L]) *drafts[L] {
	return &drafts[L]{
		states: codec, ops: codec, shows: shows[L], prepare: crdt.Observe[L],
		effect: func(draft L, actor crdt.Actor, own []byte) (delta L, newOwn []byte, err error) {
			if !performs[L]() {
				return draft, own, nil
			}
			k, err := decodeKept(codec, actor, own)
			if err != nil {
				return delta, nil, err
			}
			if delta, err = crdt.Effect(draft, &k.minter, k.part); err != nil {
				return delta, nil, err
			}
			return delta, k.append(codec), nil
		},
	}
}

// performs says whether drafts of L can take effect.
func performs[L crdt.Lattice[L]]() bool {
	var none L
	_, ok := any(none).(crdt.Operation[L])
	return ok
}

// shows says whether a reader of a state sees anything, as far as the type can tell.
func shows[L crdt.Lattice[L]](l L) bool {
	if counted, ok := any(l).(interface{ Len() int }); ok {
		return counted.Len() > 0
	}
	return !l.IsEmpty()
}

// check refuses here, with an error that keeps its type, what no replica could do.
func (h *Handle[L]) check(ctx context.Context, l *drafts[L], draft L) error {
	inBlock := wire.BlockOf(ctx) != nil
	if !performs[L]() {
		if inBlock {
			return &NotInBlock{h.id, fmt.Sprintf("%T", draft)}
		}
		return nil
	}
	err := crdt.CheckDraft(draft, crdt.EmptyState(l.states))
	var foreign *crdt.ForeignChange
	if errors.As(err, &foreign) { // unless it is what a LexPair's first part held
		state, unread := h.Value(ctx)
		if unread != nil {
			return unread
		}
		err = crdt.CheckDraft(draft, state)
	}
	var mute *crdt.NoEffect
	switch {
	case err == nil:
		return nil
	case inBlock && errors.As(err, &mute):
		return &NotInBlock{h.id, mute.Type}
	}
	return fmt.Errorf("variable %s: %w", h.id, err)
}

// kept is what an actor keeps of a variable: its minter, and its part of the state.
type kept[L crdt.Lattice[L]] struct {
	minter crdt.Minter
	part   L
}

func decodeKept[L crdt.Lattice[L]](codec wire.Codec[L], actor crdt.Actor, b []byte) (k kept[L], err error) {
	var minter, part []byte
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			minter, err = f.Bytes()
		case 2:
			part, err = f.Bytes()
		}
		return err
	})
	if err == nil {
		k.minter, err = decodeMinter(actor, minter)
	}
	if err == nil && part != nil {
		k.part, err = codec.Decode(part)
	} else if err == nil {
		k.part = crdt.EmptyState(codec)
	}
	return k, err
}

// append returns nil for one who keeps nothing.
func (k kept[L]) append(codec wire.Codec[L]) (b []byte) {
	if k.minter.Next > 0 {
		b = wire.AppendBytes(b, 1, k.minter.Append(nil))
	}
	if !k.part.IsEmpty() {
		b = wire.AppendBytes(b, 2, codec.Append(nil, k.part))
	}
	return b
}
