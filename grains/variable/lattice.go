package variable

import (
	"fmt"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// typed is what hosts are given of a type: states of type L, which operations of type O change.
type typed[L crdt.Lattice[L], O any] struct {
	states wire.Codec[L]
	ops    wire.Codec[O]
	// shows says whether a reader of the state sees anything.
	shows func(L) bool
	// prepare adds to an operation what it observes; now is in nanoseconds since 1970.
	prepare func(state L, op O, now int64) O
	// effect makes the delta of an operation. own is what the actor keeps for itself, nil at first.
	effect func(op O, actor crdt.Actor, own []byte) (delta L, newOwn []byte, err error)
}

var _ wire.Lattice = (*typed[*crdt.Counter, crdt.CounterOp])(nil)

// stateType names the states' type; t may be nil.
func (t *typed[L, O]) stateType() string {
	var none L
	return fmt.Sprintf("%T", none)
}

func (t *typed[L, O]) New() wire.Object { return &object[L, O]{t, crdt.EmptyState(t.states)} }

func (t *typed[L, O]) Effect(actor crdt.Actor, own, op []byte) (delta, newOwn []byte, err error) {
	o, err := t.ops.Decode(op)
	if err != nil {
		return nil, nil, err
	}
	d, newOwn, err := t.effect(o, actor, own)
	if err != nil {
		return nil, nil, err
	}
	return t.encoded(d), newOwn, nil
}

// encoded is a delta's encoding, nil for one that says nothing.
func (t *typed[L, O]) encoded(delta L) []byte {
	if delta.IsEmpty() {
		return nil
	}
	return t.states.Append(nil, delta)
}

// object is a state as hosts know it.
type object[L crdt.Lattice[L], O any] struct {
	of    *typed[L, O]
	value L
}

func (o *object[L, O]) state() L { return o.value }

func (o *object[L, O]) stateType() string { return o.of.stateType() }

func (o *object[L, O]) Prepare(now int64, op []byte) ([]byte, error) {
	p, err := o.of.ops.Decode(op)
	if err != nil {
		return nil, err
	}
	return o.of.ops.Append(nil, o.of.prepare(o.value, p, now)), nil
}

func (o *object[L, O]) Join(delta []byte) ([]byte, error) {
	d, err := o.of.states.Decode(delta)
	if err != nil {
		return nil, err
	}
	return o.of.encoded(o.value.Join(d)), nil
}

// Hash is 0 for the empty state alone, which hosts tell by it.
func (o *object[L, O]) Hash() uint64 {
	if o.value.IsEmpty() {
		return 0
	}
	return max(1, o.value.Hash())
}

func (o *object[L, O]) Digest() []byte { return o.value.Digest() }
func (o *object[L, O]) State() []byte  { return o.of.states.Append(nil, o.value) }
func (o *object[L, O]) Empty() bool    { return !o.of.shows(o.value) }
func (o *object[L, O]) String() string { return o.value.String() }

func (o *object[L, O]) Since(digest []byte) ([]byte, error) {
	d, err := o.value.Since(digest)
	if err != nil {
		return nil, err
	}
	return o.of.encoded(d), nil
}

// unprepared is prepare of operations that observe nothing.
func unprepared[L, O any](_ L, op O, _ int64) O { return op }

// minted is effect of operations that need fresh dots: their actor keeps its minter.
func minted[L, O any](effect func(O, *crdt.Minter) L) func(O, crdt.Actor, []byte) (L, []byte, error) {
	return func(op O, actor crdt.Actor, own []byte) (delta L, newOwn []byte, err error) {
		m, err := decodeMinter(actor, own)
		if err != nil {
			return delta, nil, err
		}
		delta = effect(op, &m)
		return delta, m.Append(nil), nil
	}
}

// decodeMinter returns the minter whose state is own, nil for one that has minted nothing.
func decodeMinter(actor crdt.Actor, own []byte) (crdt.Minter, error) {
	if own == nil {
		return crdt.Minter{Actor: actor}, nil
	}
	m, err := crdt.DecodeMinter(own)
	if err == nil && m.Actor != actor {
		err = fmt.Errorf("dots of actor %d minted by %d", m.Actor, actor)
	}
	return m, err
}

// signed is effect of operations that need their actor's name alone, which keeps nothing.
func signed[L, O any](effect func(O, crdt.Actor) L) func(O, crdt.Actor, []byte) (L, []byte, error) {
	return func(op O, actor crdt.Actor, own []byte) (L, []byte, error) { return effect(op, actor), own, nil }
}
