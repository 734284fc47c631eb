package crdt

import "math/bits"

// Join implements Lattice. It costs O(k · log n) for a delta of k dots and runs, whatever the set's size n,
// apart from clouds: a delta ahead of a gap moves the runs behind it.
func (s *Set[E]) Join(delta *Set[E]) *Set[E] { return s.JoinTrace(delta, nil, nil) }

// JoinTrace is Join that reports each change of a dot: born for each (element, dot) that became live, then
// died for each that stopped being live, each exactly once and in dot order, after the set has taken the
// delta. A dot that arrives dead is reported by neither. Births come first, so that who counts an element's
// dots does not see an element leave that was only added again. The functions may be nil and may read the
// set, not change it.
func (s *Set[E]) JoinTrace(delta *Set[E], born, died func(E, Dot)) (novelty *Set[E]) {
	if delta.IsEmpty() || delta == s {
		return nil
	}
	var steps int64
	var killed, births []pair[E]
	fresh := &delta.ctx
	if s.ctx.meets(fresh) {
		some := fresh.minus(&s.ctx)
		fresh = &some
		killed, births = s.changedBy(delta, fresh, &steps)
	} else { // as with most deltas: nothing of it lives or has died here
		steps = int64(len(fresh.runs)) * searchSteps(&s.ctx)
		births = delta.live.pairs()
	}
	if len(killed) == 0 && fresh.IsEmpty() {
		return nil
	}

	s.ctx.Join(fresh)
	s.live.settle()
	for _, p := range killed {
		s.live.remove(p.dot)
	}
	s.live.insertAll(births)
	s.live.worked(steps)
	novelty = newNovelty(births, fresh)
	if len(killed) > 0 {
		var dead Context
		for _, p := range killed {
			dead.push(Run{p.dot.Actor, p.dot.Counter, p.dot.Counter})
		}
		novelty.ctx.Join(&dead)
	}

	if born != nil {
		for _, p := range births {
			born(p.e, p.dot)
		}
	}
	if died != nil {
		for _, p := range killed {
			died(p.e, p.dot)
		}
	}
	return novelty
}

// changedBy returns what a delta kills and what it brings; fresh is what of its context is new here.
func (s *Set[E]) changedBy(delta *Set[E], fresh *Context, steps *int64) (killed, births []pair[E]) {
	for _, run := range delta.ctx.runs {
		*steps += searchSteps(&s.ctx)
		s.live.walk(run, steps, func(d Dot, e E) {
			*steps++
			if _, live := delta.live.get(d); !live {
				killed = append(killed, pair[E]{d, e})
			}
		})
	}
	// What is live in the delta was live here, is dead here and stays dead, or is fresh.
	births = make([]pair[E], 0, min(uint64(delta.live.size()), fresh.count()))
	for _, run := range fresh.runs {
		*steps += searchSteps(&s.ctx)
		delta.live.within(run, func(d Dot, e E) { births = append(births, pair[E]{d, e}) })
	}
	return killed, births
}

// newNovelty returns a set of the births with a context like ctx, in one allocation where it has one run.
func newNovelty[E comparable](births []pair[E], ctx *Context) *Set[E] {
	if len(births) < 2 {
		n := &addDelta[E]{}
		n.set.ctx.runs = append(n.run[:0], ctx.runs...)
		n.set.live.setFlat(births)
		return &n.set
	}
	n := &struct {
		addDelta[E]
		more more[E]
	}{more: more[E]{flat: births}}
	n.set.ctx.runs = append(n.run[:0], ctx.runs...)
	n.set.live.more = &n.more
	return &n.set
}

// searchSteps is what looking up a run of a context counts as.
func searchSteps(c *Context) int64 { return int64(1 + bits.Len(uint(len(c.runs)))) }

// Steps returns how many accesses to its indexes the changes of the set have cost since it was made, cloned
// or decoded: one for each search for an element, for each actor and block of dots looked at, and for each
// dot passed, and the logarithm of the context's runs for each run of a delta. It is the same
// for the same changes, so that it can be shown that work does not grow with the set. A set of no more than
// 16 dots has no index and counts nothing; nor does it count when the index itself grows or shrinks, which
// moves fewer than 1,024 entries at a time, and on average two for each element added or removed.
func (s *Set[E]) Steps() int64 {
	if s == nil || !s.live.indexed() {
		return 0
	}
	return s.live.big().steps
}
