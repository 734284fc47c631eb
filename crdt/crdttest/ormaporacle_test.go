package crdttest

import (
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"testing"

	"github.com/martinelli-go/martinelli/crdt"
)

// The oracle of nested maps knows operations and what their replica had heard of, and no dots: an add lives
// until an operation that had observed it ends it, and a remove observes what it names, at its depth.

const nestedKeys = 2

// place is where an add is.
type place struct{ outer, key, arg uint64 }

// nestedEvent is one operation of a history; sets of them are bit sets.
type nestedEvent struct {
	nestedOp
	observed uint64
}

type nestedOracle struct{ ops []nestedEvent }

func (o *nestedOracle) alive(heard uint64) uint64 {
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

// meaning is what the oracle has to know of a leaf.
type meaning struct {
	overwrites, removes func(arg, old uint64) bool
	means               func(args []uint64) map[uint64]int
}

func (o *nestedOracle) perform(m meaning, op nestedOp, heard uint64) {
	e := nestedEvent{nestedOp: op}
	for a := o.alive(heard); a != 0; a &= a - 1 {
		i := bits.TrailingZeros64(a)
		if old := o.ops[i]; op.ends(m, place{old.outer, old.key, old.arg}) {
			e.observed |= 1 << i
		}
	}
	o.ops = append(o.ops, e)
}

// ends says whether op ends an add that it has seen.
func (op nestedOp) ends(m meaning, old place) bool {
	switch {
	case op.outer != old.outer:
		return false
	case !op.add && op.depth == 1:
		return true
	case op.key != old.key:
		return false
	case op.add:
		return m.overwrites(op.arg, old.arg)
	default:
		return op.depth == 2 || m.removes(op.arg, old.arg)
	}
}

// nestedValue is the value of a nested map: leaf values by outer and inner key.
type nestedValue map[[2]uint64]map[uint64]int

func (m meaning) value(live []place) nestedValue {
	args := map[[2]uint64][]uint64{}
	for _, p := range live {
		at := [2]uint64{p.outer, p.key}
		args[at] = append(args[at], p.arg)
	}
	out := nestedValue{}
	for at, as := range args {
		out[at] = m.means(as)
	}
	return out
}

// subjectMap is a nested map that the oracle can drive.
type subjectMap[S any] struct {
	replicated[S]
	meaning
	args  int
	apply func(s S, m *crdt.Minter, op nestedOp) S
	value func(s S) nestedValue
}

// runMapOracle drives a history that draw chooses and returns the first contradiction.
func runMapOracle[S any](im subjectMap[S], draw choose) error {
	var o nestedOracle
	d := driver[S]{
		replicated: im.replicated,
		perform: func(r heardState[S], m *crdt.Minter, draw choose) (delta S, what string) {
			op := drawNestedOp(draw, nestedKeys, im.args)
			o.perform(im.meaning, op, r.heard)
			return im.apply(r.state, m, op), fmt.Sprintf("does %+v", op)
		},
		check: func(r heardState[S]) error {
			var live []place
			for a := o.alive(r.heard); a != 0; a &= a - 1 {
				op := o.ops[bits.TrailingZeros64(a)]
				live = append(live, place{op.outer, op.key, op.arg})
			}
			if got, want := im.value(r.state), im.meaning.value(live); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("holds %v, want %v", got, want)
			}
			return nil
		},
	}
	return d.run(draw)
}

func (l leaf[S]) meaning() meaning { return meaning{l.overwrites, l.removes, l.means} }

func (l leaf[S]) real() subjectMap[*nested[S]] {
	return subjectMap[*nested[S]]{
		replicated: replicated[*nested[S]]{
			new:   crdt.NewORMap[uint64, *crdt.MapStore[uint64, S]],
			join:  func(s, delta *nested[S]) { s.Join(delta) },
			clone: (*nested[S]).Clone,
			since: func(from, to *nested[S]) *nested[S] {
				d, err := from.Since(to.Digest())
				if err != nil {
					panic(err)
				}
				return d
			},
		},
		meaning: l.meaning(),
		args:    l.args,
		apply: func(s *nested[S], m *crdt.Minter, op nestedOp) *nested[S] {
			return s.Apply(l.change(s.Values(), m, op))
		},
		value: func(s *nested[S]) nestedValue {
			out := nestedValue{}
			for k, in := range s.All() {
				for k2, v := range in.All() {
					out[[2]uint64{k, k2}] = l.value(v)
				}
			}
			return out
		},
	}
}

// naiveMap is the plainest map of its kind: every dot ever seen, and where the live ones are.
type naiveMap struct {
	seen map[crdt.Dot]bool
	live map[crdt.Dot]place
}

type mapMistakes struct {
	vector       bool // a gap counts as seen
	wholeContext bool // a delta names all that its replica has seen
	bothSides    bool // an outer key that both sides hold keeps all that it holds
	dominating   bool // who has seen at least as much is right
	keyContexts  bool // each outer key has a context of its own, which goes when it is removed
	removeAll    bool // a remove ends what is there when it arrives, seen or not
	digestSeen   bool // what both have seen is taken to be equal
	wholeAnswer  bool // an answer to a digest has new values and the whole context
}

func newNaiveMap() *naiveMap { return &naiveMap{map[crdt.Dot]bool{}, map[crdt.Dot]place{}} }

func (s *naiveMap) clone() *naiveMap { return &naiveMap{maps.Clone(s.seen), maps.Clone(s.live)} }

func (s *naiveMap) keys() map[uint64]bool {
	out := map[uint64]bool{}
	for _, p := range s.live {
		out[p.outer] = true
	}
	return out
}

func (s *naiveMap) join(delta *naiveMap, bad mapMistakes) {
	if bad.dominating && len(s.seen) <= len(delta.seen) {
		above := true
		for d := range s.seen {
			above = above && delta.seen[d]
		}
		if above {
			s.seen, s.live = maps.Clone(delta.seen), maps.Clone(delta.live)
			return
		}
	}
	mine, theirs := s.keys(), delta.keys()
	before := maps.Clone(s.seen)
	if bad.vector {
		for d := range s.seen {
			for ; d.Counter > 0; d.Counter-- {
				before[d] = true
			}
		}
	}
	for d := range delta.seen {
		if _, live := delta.live[d]; !live {
			if p, ok := s.live[d]; ok && bad.bothSides && mine[p.outer] && theirs[p.outer] {
				continue
			}
			delete(s.live, d)
		} else if !before[d] {
			s.live[d] = delta.live[d]
		}
		s.seen[d] = true
	}
	if bad.keyContexts { // what was seen is forgotten with the last of a key: here, with the last of all
		if now := s.keys(); len(now) == 0 && len(mine) > 0 {
			s.seen = map[crdt.Dot]bool{}
		}
	}
}

func naiveMapSubject(m meaning, args int, bad mapMistakes) subjectMap[*naiveMap] {
	return subjectMap[*naiveMap]{
		replicated: replicated[*naiveMap]{
			new:   newNaiveMap,
			join:  func(s, delta *naiveMap) { s.join(delta, bad) },
			clone: (*naiveMap).clone,
			since: func(from, to *naiveMap) *naiveMap {
				if !bad.digestSeen && !bad.wholeAnswer {
					return from
				}
				delta := newNaiveMap()
				for d := range from.seen {
					if p, live := from.live[d]; !to.seen[d] {
						delta.seen[d] = true
						if live {
							delta.live[d] = p
						}
					}
				}
				if bad.wholeAnswer {
					maps.Copy(delta.seen, from.seen)
				}
				return delta
			},
		},
		meaning: m,
		args:    args,
		apply: func(s *naiveMap, minter *crdt.Minter, op nestedOp) *naiveMap {
			delta := newNaiveMap()
			for d, p := range s.live {
				if op.ends(m, p) {
					delta.seen[d] = true
				}
			}
			if op.add {
				d := minter.Mint()
				delta.seen[d], delta.live[d] = true, place{op.outer, op.key, op.arg}
			}
			s.join(delta, mapMistakes{})
			switch {
			case bad.wholeContext:
				maps.Copy(delta.seen, s.seen)
			case bad.removeAll && !op.add: // as if the key had been named, and not the dots
				for c := range uint64(60) {
					for _, m := range minters() {
						delta.seen[crdt.Dot{Actor: m.Actor, Counter: c + 1}] = true
					}
				}
			}
			return delta
		},
		value: func(s *naiveMap) nestedValue { return m.value(slices.Collect(maps.Values(s.live))) },
	}
}

// both runs the map beside the model and lets the model speak where they differ.
func both[S crdt.DotStore[S]](l leaf[S]) subjectMap[*beside[S]] {
	real, model := l.real(), naiveMapSubject(l.meaning(), l.args, mapMistakes{})
	return subjectMap[*beside[S]]{
		replicated: replicated[*beside[S]]{
			new: func() *beside[S] { return &beside[S]{real.new(), model.new()} },
			join: func(s, d *beside[S]) {
				real.join(s.real, d.real)
				model.join(s.model, d.model)
			},
			clone: func(s *beside[S]) *beside[S] { return &beside[S]{real.clone(s.real), model.clone(s.model)} },
			since: func(from, to *beside[S]) *beside[S] {
				return &beside[S]{real.since(from.real, to.real), model.since(from.model, to.model)}
			},
		},
		meaning: l.meaning(),
		args:    l.args,
		apply: func(s *beside[S], m *crdt.Minter, op nestedOp) *beside[S] {
			again := *m
			return &beside[S]{real.apply(s.real, m, op), model.apply(s.model, &again, op)}
		},
		value: func(s *beside[S]) nestedValue {
			n := 0
			for r := range s.real.Context().Runs() {
				n += int(r.To - r.From + 1)
			}
			if n != len(s.model.seen) || s.real.Size() != len(s.model.live) {
				return nil
			}
			return real.value(s.real)
		},
	}
}

type beside[S crdt.DotStore[S]] struct {
	real  *nested[S]
	model *naiveMap
}

func mapOracle[S crdt.DotStore[S]](t *testing.T, l leaf[S]) {
	t.Parallel()
	holds(t, 1000, func(draw choose) error { return runMapOracle(both(l), draw) })
}

func TestORMapMeansResetRemove(t *testing.T) {
	t.Parallel()
	t.Run("sets", func(t *testing.T) { mapOracle(t, setLeaf()) })
	t.Run("counters", func(t *testing.T) { mapOracle(t, counterLeaf()) })
	t.Run("values", func(t *testing.T) { mapOracle(t, valueLeaf()) })
	t.Run("flags", func(t *testing.T) { mapOracle(t, flagLeaf()) })
}

// TestMapOracleFindsKnownWrongTurns makes each mistake in the model and expects the oracle to object.
func TestMapOracleFindsKnownWrongTurns(t *testing.T) {
	t.Parallel()
	l := setLeaf()
	for name, bad := range map[string]mapMistakes{
		"a vector in place of a context":             {vector: true},
		"deltas that carry the whole context":        {wholeContext: true},
		"a key on both sides stays as it is":         {bothSides: true},
		"the state with the larger context is taken": {dominating: true},
		"contexts that go with their keys":           {keyContexts: true},
		"a remove that ends what it has not seen":    {removeAll: true},
		"digests of the context alone":               {digestSeen: true},
		"answers that carry the whole context":       {wholeAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contradicted(t, func(draw choose) error { return runMapOracle(naiveMapSubject(l.meaning(), l.args, bad), draw) })
		})
	}
	holdsLong(t, 1000, func(draw choose) error {
		return runMapOracle(naiveMapSubject(l.meaning(), l.args, mapMistakes{}), draw)
	})
}
