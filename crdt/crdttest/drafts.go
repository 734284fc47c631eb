package crdttest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

// Mutation changes a state by a mutator of its type, in the name of as, writes with the timestamp now, and
// returns the mutator's delta, or its error. It does the same again to an equal state.
type Mutation[L any] func(state L, as *crdt.Minter, now int64) (delta L, err error)

// Drafts checks Effect and Observe of a lattice that is a [crdt.Operation]: that a change made as a draft, on a
// copy, sent, observed and put into effect elsewhere comes out as if its actor had made it, bit for bit, whatever
// both sides heard of meanwhile; that drafts which are refused leave no trace; and that a change in another name
// than the draft's is refused. codec is the canonical encoding, of empty states too. draw draws a Mutation; a
// lattice passes by luck whose identities no Mutation shows.
func Drafts[L crdt.Lattice[L]](t *testing.T, codec crdt.Codec[L], draw func(t *rapid.T) Mutation[L]) {
	t.Helper()
	changed := false
	rapid.Check(t, func(t *rapid.T) {
		foreignNamesAreRefused(t, codec, draw(t))
		rs := []*drafter[L]{newDrafter(codec, 5), newDrafter(codec, 95)}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "replica")
			if rapid.IntRange(0, 3).Draw(t, "step") == 0 {
				rs[i].direct.Join(rs[1-i].direct)
				rs[i].drafted.Join(rs[1-i].drafted)
				continue
			}
			rs[i].change(t, draw(t), rapid.Int64Range(-3, 9).Draw(t, "now"))
			changed = changed || !rs[i].drafted.IsEmpty()
		}
	})
	require.True(t, changed, "no mutation has changed anything")
}

// drafter is a replica twice: changed by its actor itself, and by drafts.
type drafter[L crdt.Lattice[L]] struct {
	codec           crdt.Codec[L]
	direct, drafted L
	own             []byte
	minter, as      crdt.Minter
}

func newDrafter[L crdt.Lattice[L]](codec crdt.Codec[L], a crdt.Actor) *drafter[L] {
	return &drafter[L]{
		codec, crdt.EmptyState(codec), crdt.EmptyState(codec), codec.Append(nil, crdt.EmptyState(codec)),
		crdt.Minter{Actor: a}, crdt.Minter{Actor: a},
	}
}

// copied is what the other side of a connection gets.
func copied[L any](t *rapid.T, codec crdt.Codec[L], l L) L {
	out, err := codec.Decode(codec.Append(nil, l))
	require.NoError(t, err)
	return out
}

func (r *drafter[L]) change(t *rapid.T, do Mutation[L], now int64) {
	_, wrong := do(r.direct, &r.minter, now)

	before := r.codec.Append(nil, r.drafted)
	draft, err := do(r.drafted.Clone(), crdt.NewDraft(), crdt.DraftTime)
	if err != nil {
		require.IsType(t, wrong, err) // which of several edges is in the way may differ
		return
	}
	sent := copied(t, r.codec, draft)
	require.NoError(t, crdt.CheckDraft(sent, r.drafted), "%v", sent)
	prepared := copied(t, r.codec, crdt.Observe(r.drafted, sent, now))
	require.Equal(t, before, r.codec.Append(nil, r.drafted), "checking and observing change nothing")
	own, again, as, twin := r.keptOwn(t), r.keptOwn(t), r.as, r.as
	kept := r.codec.Append(nil, prepared)
	delta, err := crdt.Effect(prepared, &as, own)
	require.Equal(t, wrong, err)
	require.Equal(t, kept, r.codec.Append(nil, prepared), "the draft is not changed")
	if err != nil {
		require.Equal(t, r.own, r.codec.Append(nil, own), "a draft that is refused leaves no trace")
		require.Equal(t, r.as, as, "a draft that is refused takes no dots")
		return
	}
	same, err := crdt.Effect(prepared, &twin, again)
	require.NoError(t, err)
	require.Equal(t, r.codec.Append(nil, delta), r.codec.Append(nil, same), "equal drafts have equal effects")
	require.Equal(t, r.codec.Append(nil, own), r.codec.Append(nil, again))
	require.Equal(t, as, twin)
	r.as, r.own = as, r.codec.Append(nil, own)
	r.drafted.Join(delta)
	require.Equal(t, r.codec.Append(nil, r.direct), r.codec.Append(nil, r.drafted), "%v, by a draft %v", r.direct, r.drafted)
}

func (r *drafter[L]) keptOwn(t *rapid.T) L {
	own, err := r.codec.Decode(r.own)
	require.NoError(t, err)
	return own
}

// foreignNamesAreRefused: where who makes a change shows in its delta, nobody else may put it into effect.
func foreignNamesAreRefused[L crdt.Lattice[L]](t *rapid.T, codec crdt.Codec[L], do Mutation[L]) {
	by := func(a crdt.Actor) (L, []byte) {
		d, err := do(crdt.EmptyState(codec), &crdt.Minter{Actor: a}, 3)
		if err != nil {
			return crdt.EmptyState(codec), nil
		}
		return d, codec.Append(nil, d)
	}
	one, bytes := by(41)
	_, others := by(42)
	if string(bytes) == string(others) {
		return
	}
	var foreign *crdt.ForeignChange
	require.ErrorAs(t, crdt.CheckDraft(one, crdt.EmptyState(codec)), &foreign, "%v is a change by actor 41", one)
	require.EqualValues(t, 41, foreign.Actor)
}
