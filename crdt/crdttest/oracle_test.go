package crdttest

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/martinelli-go/martinelli/crdt"
)

// The oracle runs a set through a history and compares its value, after each step, with what the meaning
// of "add wins" says of the operations that the replica has heard of, and of what each of these had heard
// of when it was made. It knows nothing of dots.

const oracleElements = 4

// operation is one add or remove of a history. Operations are numbered, and sets of them are bit sets.
type operation struct {
	add      bool
	elements uint64 // bit set: one for an add, any number for a remove
	seen     uint64 // operations that its replica had heard of
	observed uint64 // adds of its elements that were alive there
}

type oracle struct{ ops []operation }

// alive returns the adds of heard that no operation of heard had observed and thereby ended.
func (o *oracle) alive(heard uint64) uint64 {
	var adds, ended uint64
	for h := heard; h != 0; h &= h - 1 {
		i := bits.TrailingZeros64(h)
		if o.ops[i].add {
			adds |= 1 << i
		}
		ended |= o.ops[i].observed
	}
	return adds &^ ended
}

func (o *oracle) of(adds, elements uint64) (some uint64) {
	for a := adds; a != 0; a &= a - 1 {
		if i := bits.TrailingZeros64(a); o.ops[i].elements&elements != 0 {
			some |= 1 << i
		}
	}
	return some
}

func (o *oracle) perform(add bool, elements, heard uint64) {
	o.ops = append(o.ops, operation{add, elements, heard, o.of(o.alive(heard), elements)})
}

// value returns the elements of the adds that are alive.
func (o *oracle) value(heard uint64) (value uint64) {
	for a := o.alive(heard); a != 0; a &= a - 1 {
		value |= o.ops[bits.TrailingZeros64(a)].elements
	}
	return value
}

// textbook is the usual definition: an element is in when some add of it was seen by no remove of it. It
// speaks of causal delivery, where whoever heard of an operation has heard of all that it had heard of; ok
// says whether that was so here, and at the making of each operation.
func (o *oracle) textbook(heard uint64) (value uint64, ok bool) {
	for i, a := range o.ops {
		if heard&(1<<i) == 0 {
			continue
		}
		if !o.closed(heard) || !o.closed(a.seen) {
			return 0, false
		}
		if !a.add {
			continue
		}
		removed := false
		for j, r := range o.ops {
			removed = removed || heard&(1<<j) != 0 && !r.add && r.elements&a.elements != 0 && r.seen&(1<<i) != 0
		}
		if !removed {
			value |= a.elements
		}
	}
	return value, true
}

func (o *oracle) closed(heard uint64) bool {
	for h := heard; h != 0; h &= h - 1 {
		if o.ops[bits.TrailingZeros64(h)].seen&^heard != 0 {
			return false
		}
	}
	return true
}

// subjectSet is a set that the oracle can drive.
type subjectSet[S any] struct {
	replicated[S]
	add    func(s S, m *crdt.Minter, e uint64) S
	remove func(s S, es []uint64) S
	value  func(s S) ([]uint64, error)
}

// runOracle drives a history that draw chooses and returns the first contradiction.
func runOracle[S any](im subjectSet[S], draw choose) error {
	var o oracle
	d := driver[S]{
		replicated: im.replicated,
		perform: func(r heardState[S], m *crdt.Minter, draw choose) (delta S, what string) {
			if draw("operation", 3) < 2 {
				e := draw("element", oracleElements)
				o.perform(true, 1<<e, r.heard)
				return im.add(r.state, m, uint64(e)), fmt.Sprintf("adds %d", e)
			}
			mask := uint64(1 + draw("elements", 1<<oracleElements-1))
			o.perform(false, mask, r.heard)
			return im.remove(r.state, elementsOf(mask)), fmt.Sprintf("removes %v", elementsOf(mask))
		},
		check: func(r heardState[S]) error {
			got, err := im.value(r.state)
			if err != nil {
				return err
			}
			want := elementsOf(o.value(r.heard))
			if !slices.Equal(got, want) {
				return fmt.Errorf("holds %v, want %v", got, want)
			}
			if book, ok := o.textbook(r.heard); ok && !slices.Equal(elementsOf(book), want) {
				return fmt.Errorf("the specifications differ: %v and %v", elementsOf(book), want)
			}
			return nil
		},
	}
	return d.run(draw)
}

func elementsOf(mask uint64) []uint64 {
	es := []uint64{}
	for ; mask != 0; mask &= mask - 1 {
		es = append(es, uint64(bits.TrailingZeros64(mask)))
	}
	return es
}

func TestSetMeansAddWins(t *testing.T) {
	t.Parallel()
	holds(t, 3000, func(draw choose) error { return runOracle(compared(), draw) })
}

// TestOracleFindsKnownWrongTurns makes each mistake in the naive model and expects the oracle to object.
func TestOracleFindsKnownWrongTurns(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]mistakes{
		"a vector in place of a context":             {vector: true},
		"deltas that carry the whole context":        {wholeContext: true},
		"answers that carry the whole context":       {wholeAnswer: true},
		"present on both sides stays":                {bothSides: true},
		"the state with the larger context is taken": {dominating: true},
		"dots minted from the context":               {mintFromContext: true},
		"digests of the context alone":               {contextDigest: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contradicted(t, func(draw choose) error { return runOracle(naiveSubject(m), draw) })
		})
	}
	holdsLong(t, 1000, func(draw choose) error { return runOracle(naiveSubject(mistakes{}), draw) })
}
