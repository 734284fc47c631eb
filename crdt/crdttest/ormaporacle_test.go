package crdttest

import (
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
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

func (o *nestedOracle) perform(m meaning, op nestedOp, heard uint64) int {
	e := nestedEvent{nestedOp: op}
	for a := o.alive(heard); a != 0; a &= a - 1 {
		i := bits.TrailingZeros64(a)
		if old := o.ops[i]; op.ends(m, place{old.outer, old.key, old.arg}) {
			e.observed |= 1 << i
		}
	}
	o.ops = append(o.ops, e)
	return len(o.ops) - 1
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
	meaning
	args  int
	new   func() S
	apply func(s S, m *crdt.Minter, op nestedOp) S
	join  func(s, delta S)
	clone func(s S) S
	since func(from, to S) S
	value func(s S) nestedValue
}

func runMapOracle[S any](im subjectMap[S], draw func(label string, n int) int) error {
	type repair struct {
		to int
		heardState[S]
	}
	var (
		o        nestedOracle
		replicas [Replicas]heardState[S]
		disks    [Replicas]heardState[S]
		ms       = minters()
		messages []heardState[S]
		repairs  []repair
		trail    []string
	)
	for i := range replicas {
		replicas[i].state = im.new()
		disks[i].state = im.new()
	}
	check := func(i int) error {
		var live []place
		for a := o.alive(replicas[i].heard); a != 0; a &= a - 1 {
			op := o.ops[bits.TrailingZeros64(a)]
			live = append(live, place{op.outer, op.key, op.arg})
		}
		got, want := im.value(replicas[i].state), im.meaning.value(live)
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("replica %d holds %v, want %v, after %v", i, got, want, trail)
		}
		return nil
	}
	for steps := 5 + draw("steps", 45); steps > 0; steps-- {
		i := draw("replica", Replicas)
		r := &replicas[i]
		switch step := draw("step", 13); {
		case step <= 5:
			op := drawNestedOp(draw, nestedKeys, im.args)
			trail = append(trail, fmt.Sprintf("%d: %+v", i, op))
			delta := im.clone(im.apply(r.state, ms[i], op))
			n := o.perform(im.meaning, op, r.heard)
			r.heard |= 1 << n
			messages = append(messages, heardState[S]{delta, 1 << n})
		case step <= 8 && len(messages) > 0: // any order, again and again, or never
			m := messages[draw("message", len(messages))]
			trail = append(trail, fmt.Sprintf("%d hears %b", i, m.heard))
			im.join(r.state, m.state)
			r.heard |= m.heard
		case step == 9 && len(messages) > 1: // grouped
			a, b := messages[draw("a", len(messages))], messages[draw("b", len(messages))]
			group := im.clone(a.state)
			im.join(group, b.state)
			messages = append(messages, heardState[S]{group, a.heard | b.heard})
		case step == 10: // a repair, whose answer may be late
			j := (i + 1 + draw("other", Replicas-1)) % Replicas
			trail = append(trail, fmt.Sprintf("%d answers %d's digest", i, j))
			repairs = append(repairs, repair{j, heardState[S]{im.clone(im.since(r.state, replicas[j].state)), r.heard}})
		case step == 11 && len(repairs) > 0:
			k := draw("repair", len(repairs))
			i = repairs[k].to
			trail = append(trail, fmt.Sprintf("%d repairs", i))
			im.join(replicas[i].state, repairs[k].state)
			replicas[i].heard |= repairs[k].heard
		case step == 12: // to disk, or back to what the disk has: then answers on their way are void
			if draw("crash", 2) == 0 {
				disks[i] = heardState[S]{im.clone(r.state), r.heard}
				break
			}
			trail = append(trail, fmt.Sprintf("%d crashes", i))
			*r = heardState[S]{im.clone(disks[i].state), disks[i].heard}
			repairs = slices.DeleteFunc(repairs, func(p repair) bool { return p.to == i })
		}
		if err := check(i); err != nil {
			return err
		}
	}
	trail = append(trail, "all repair")
	for range 2 {
		for i := range replicas {
			for j := range replicas {
				if i != j {
					im.join(replicas[j].state, im.since(replicas[i].state, replicas[j].state))
					replicas[j].heard |= replicas[i].heard
				}
			}
		}
	}
	for i := range replicas {
		if err := check(i); err != nil {
			return err
		}
	}
	return nil
}

func (l leaf[S]) meaning() meaning { return meaning{l.overwrites, l.removes, l.means} }

func (l leaf[S]) real() subjectMap[*nested[S]] {
	return subjectMap[*nested[S]]{
		meaning: l.meaning(),
		args:    l.args,
		new:     crdt.NewORMap[uint64, *crdt.MapStore[uint64, S]],
		apply: func(s *nested[S], m *crdt.Minter, op nestedOp) *nested[S] {
			return s.Apply(l.change(s.Values(), m, op))
		},
		join:  func(s, delta *nested[S]) { s.Join(delta) },
		clone: (*nested[S]).Clone,
		since: func(from, to *nested[S]) *nested[S] {
			d, err := from.Since(to.Digest())
			if err != nil {
				panic(err)
			}
			return d
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
		meaning: m,
		args:    args,
		new:     newNaiveMap,
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
		value: func(s *naiveMap) nestedValue { return m.value(slices.Collect(maps.Values(s.live))) },
	}
}

// both runs the map beside the model and lets the model speak where they differ.
func both[S crdt.DotStore[S]](l leaf[S]) subjectMap[*beside[S]] {
	real, model := l.real(), naiveMapSubject(l.meaning(), l.args, mapMistakes{})
	return subjectMap[*beside[S]]{
		meaning: l.meaning(),
		args:    l.args,
		new:     func() *beside[S] { return &beside[S]{real.new(), model.new()} },
		apply: func(s *beside[S], m *crdt.Minter, op nestedOp) *beside[S] {
			again := *m
			return &beside[S]{real.apply(s.real, m, op), model.apply(s.model, &again, op)}
		},
		join: func(s, d *beside[S]) {
			real.join(s.real, d.real)
			model.join(s.model, d.model)
		},
		clone: func(s *beside[S]) *beside[S] { return &beside[S]{real.clone(s.real), model.clone(s.model)} },
		since: func(from, to *beside[S]) *beside[S] {
			return &beside[S]{real.since(from.real, to.real), model.since(from.model, to.model)}
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
	rapid.Check(t, func(t *rapid.T) {
		err := runMapOracle(both(l), func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) })
		require.NoError(t, err)
	})
	for seed := range seeds.Of(t, 1000) {
		require.NoError(t, runMapOracle(both(l), random(seed)), "seed %d", seed)
	}
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
			for seed := range seeds.UpTo(t, 200_000) {
				if err := runMapOracle(naiveMapSubject(l.meaning(), l.args, bad), random(seed)); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("the oracle accepts it")
		})
	}
}
