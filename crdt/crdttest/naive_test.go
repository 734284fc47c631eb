package crdttest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
)

// naive is the plainest add-wins set: every dot ever seen, and the element of those that live. It is the
// model of crdt.Set, and carries on request the mistakes that released systems made.
type naive struct {
	seen map[crdt.Dot]bool // the dead ones among them are tombstones
	live map[crdt.Dot]uint64
}

type mistakes struct {
	vector          bool // a gap counts as seen
	wholeContext    bool // a delta names all that its replica has seen
	wholeAnswer     bool // an answer to a digest has new elements and the whole context
	bothSides       bool // an element that both sides hold stays, whatever its dots
	dominating      bool // who has seen at least as much is right
	mintFromContext bool // the next dot is one above the highest seen
	contextDigest   bool // what both have seen is taken to be equal
}

func newNaive() *naive {
	return &naive{seen: map[crdt.Dot]bool{}, live: map[crdt.Dot]uint64{}}
}

func (s *naive) clone() *naive { return &naive{maps.Clone(s.seen), maps.Clone(s.live)} }

func (s *naive) dots(e uint64) (dots []crdt.Dot) {
	for d, of := range s.live {
		if of == e {
			dots = append(dots, d)
		}
	}
	slices.SortFunc(dots, crdt.Dot.Compare)
	return dots
}

func (s *naive) max(a crdt.Actor) (n uint64) {
	for d := range s.seen {
		if d.Actor == a {
			n = max(n, d.Counter)
		}
	}
	return n
}

func (s *naive) add(m *crdt.Minter, e uint64, bad mistakes) *naive {
	delta := newNaive()
	for _, d := range s.dots(e) {
		delta.seen[d] = true
	}
	if bad.mintFromContext {
		m.Next = s.max(m.Actor)
	}
	d := m.Mint()
	delta.seen[d], delta.live[d] = true, e
	return s.finish(delta, bad)
}

func (s *naive) remove(es []uint64, bad mistakes) *naive {
	delta := newNaive()
	for _, e := range es {
		for _, d := range s.dots(e) {
			delta.seen[d] = true
		}
	}
	return s.finish(delta, bad)
}

func (s *naive) finish(delta *naive, bad mistakes) *naive {
	s.join(delta, mistakes{})
	if bad.wholeContext {
		maps.Copy(delta.seen, s.seen)
	}
	return delta
}

func (s *naive) join(delta *naive, bad mistakes) {
	if bad.dominating && s.below(delta) {
		s.seen, s.live = maps.Clone(delta.seen), maps.Clone(delta.live)
		return
	}
	held := map[uint64]bool{}
	if bad.bothSides {
		for _, e := range delta.live {
			held[e] = len(s.dots(e)) > 0
		}
	}
	sawBefore := maps.Clone(s.seen)
	if bad.vector {
		highest := map[crdt.Actor]uint64{}
		for d := range s.seen {
			highest[d.Actor] = max(highest[d.Actor], d.Counter)
		}
		for a, n := range highest {
			for ; n > 0; n-- {
				sawBefore[crdt.Dot{Actor: a, Counter: n}] = true
			}
		}
	}
	for d := range delta.seen {
		e, live := delta.live[d]
		switch {
		case !sawBefore[d] && live:
			s.live[d] = e
		case sawBefore[d] && !live && !held[s.live[d]]:
			delete(s.live, d)
		}
		s.seen[d] = true
	}
}

func (s *naive) below(o *naive) bool {
	for d := range s.seen {
		if !o.seen[d] {
			return false
		}
	}
	return true
}

// since returns what o lacks, dot by dot.
func (s *naive) since(o *naive, bad mistakes) *naive {
	delta := newNaive()
	for d := range s.seen {
		e, live := s.live[d]
		_, theirs := o.live[d]
		if !o.seen[d] || theirs && !live && !bad.contextDigest {
			delta.seen[d] = true
			if live {
				delta.live[d] = e
			}
		}
	}
	if bad.wholeAnswer {
		maps.Copy(delta.seen, s.seen)
	}
	return delta
}

func (s *naive) value() []uint64 {
	es := slices.Sorted(maps.Values(s.live))
	if es == nil {
		es = []uint64{}
	}
	return slices.Compact(es)
}

func naiveSubject(bad mistakes) subjectSet[*naive] {
	return subjectSet[*naive]{
		replicated: replicated[*naive]{
			new:   newNaive,
			join:  func(s, delta *naive) { s.join(delta, bad) },
			clone: (*naive).clone,
			since: func(from, to *naive) *naive { return from.since(to, bad) },
		},
		add:    func(s *naive, m *crdt.Minter, e uint64) *naive { return s.add(m, e, bad) },
		remove: func(s *naive, es []uint64) *naive { return s.remove(es, bad) },
		value:  func(s *naive) ([]uint64, error) { return s.value(), nil },
	}
}

// twin is the set, the model, and the mirror that follows the set by its traces alone.
type twin struct {
	set    *crdt.Set[uint64]
	model  *naive
	mirror map[crdt.Dot]uint64
	errs   error
}

func (w *twin) joinSet(delta *crdt.Set[uint64]) {
	var died bool
	w.set.JoinTrace(delta, func(e uint64, d crdt.Dot) {
		if _, ok := w.mirror[d]; ok || died {
			w.errs = errors.Join(w.errs, fmt.Errorf("born twice or after a death: %v", d))
		}
		w.mirror[d] = e
	}, func(e uint64, d crdt.Dot) {
		died = true
		if of, ok := w.mirror[d]; !ok || of != e {
			w.errs = errors.Join(w.errs, fmt.Errorf("died without having lived: %v", d))
		}
		delete(w.mirror, d)
	})
}

// remirror takes the mirror from the set after a mutator, which does not trace.
func (w *twin) remirror() { w.mirror = maps.Collect(w.set.AllDots()) }

// compared runs the set beside the model: dots, contexts and traces must agree at each step.
func compared() subjectSet[*twin] {
	return subjectSet[*twin]{
		replicated: replicated[*twin]{
			new: func() *twin { return &twin{crdt.NewSet[uint64](), newNaive(), map[crdt.Dot]uint64{}, nil} },
			join: func(w, delta *twin) {
				w.joinSet(delta.set)
				w.model.join(delta.model, mistakes{})
			},
			clone: func(w *twin) *twin {
				c := &twin{set: w.set.Clone(), model: w.model.clone()}
				c.remirror()
				return c
			},
			since: func(from, to *twin) *twin {
				delta, err := from.set.Since(to.set.Digest())
				d := &twin{set: delta.Clone(), model: from.model.since(to.model, mistakes{}), errs: err}
				want := modelSet(d.model)
				exact := delta.Equal(want) // and where the digest has hashes only, no less and nothing made up
				if !exact && (to.model.fewRuns() || !want.LessOrEqual(delta) || !delta.LessOrEqual(from.set)) {
					to.errs = fmt.Errorf("Since answers %v, the model %v", delta, want)
				}
				return d
			},
		},
		add: func(w *twin, m *crdt.Minter, e uint64) *twin {
			again := *m
			delta := &twin{set: w.set.Add(m, e), model: w.model.add(&again, e, mistakes{})}
			w.remirror()
			return delta
		},
		remove: func(w *twin, es []uint64) *twin {
			delta := &twin{set: w.set.Remove(es...), model: w.model.remove(es, mistakes{})}
			w.remirror()
			return delta
		},
		value: func(w *twin) ([]uint64, error) { return w.model.value(), errors.Join(w.errs, w.differ()) },
	}
}

// fewRuns says whether no actor has more than three runs of live dots, all in one block: then a digest tells
// them exactly.
func (s *naive) fewRuns() bool {
	runs := map[crdt.Actor]int{}
	for d := range s.live {
		if _, ok := s.live[crdt.Dot{Actor: d.Actor, Counter: d.Counter - 1}]; !ok {
			runs[d.Actor]++
		}
	}
	for _, n := range runs {
		if n > 3 {
			return false
		}
	}
	return true
}

func modelSet(m *naive) *crdt.Set[uint64] {
	out := crdt.NewSet[uint64]()
	for d := range m.seen {
		op := crdt.SetOp[uint64]{Observed: []crdt.Dot{d}}
		if e, ok := m.live[d]; ok {
			op = crdt.SetOp[uint64]{Add: []uint64{e}}
		}
		out.Join(op.Effect(&crdt.Minter{Actor: d.Actor, Next: d.Counter - 1}))
	}
	return out
}

func (w *twin) differ() error {
	value := slices.Sorted(w.set.All())
	if !slices.Equal(value, w.model.value()) && len(value)+len(w.model.value()) > 0 {
		return fmt.Errorf("the set holds %v, the model %v", value, w.model.value())
	}
	if !w.set.Equal(modelSet(w.model)) {
		return fmt.Errorf("the set is %v, the model %v", w.set, modelSet(w.model))
	}
	if !maps.Equal(w.mirror, w.model.live) {
		return fmt.Errorf("the traces tell %v, the model %v", w.mirror, w.model.live)
	}
	for e := range uint64(oracleElements) {
		if !slices.Equal(w.set.Dots(e), w.model.dots(e)) {
			return fmt.Errorf("element %d has dots %v, in the model %v", e, w.set.Dots(e), w.model.dots(e))
		}
		if w.set.Contains(e) != (len(w.model.dots(e)) > 0) {
			return fmt.Errorf("Contains(%d) is wrong", e)
		}
	}
	if w.set.Len() != len(w.model.value()) || w.set.Size() != len(w.model.live) {
		return fmt.Errorf("Len is %d, Size %d", w.set.Len(), w.set.Size())
	}
	return nil
}
