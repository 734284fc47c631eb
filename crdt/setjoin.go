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
	var killed []pair[E]
	var steps int64
	for _, run := range delta.ctx.runs {
		steps += searchSteps(&s.ctx)
		s.live.walk(run, &steps, func(d Dot, e E) {
			steps++
			if _, live := delta.live.get(d); !live {
				killed = append(killed, pair[E]{d, e})
			}
		})
	}
	fresh := delta.ctx.minus(&s.ctx)
	if len(killed) == 0 && fresh.IsEmpty() {
		return nil
	}
	// What is live in the delta was live here, is dead here and stays dead, or is fresh.
	births := make([]pair[E], 0, min(uint64(delta.live.size()), fresh.count()))
	for _, run := range fresh.runs {
		steps += searchSteps(&s.ctx)
		delta.live.within(run, func(d Dot, e E) { births = append(births, pair[E]{d, e}) })
	}

	s.ctx.Join(&fresh)
	s.live.settle()
	for _, p := range killed {
		s.live.remove(p.dot)
	}
	if !s.live.indexed() && s.live.size()+len(births) > flatMax {
		s.live.buildIndex()
	}
	novelty = &Set[E]{ctx: fresh}
	for _, p := range births {
		s.live.insert(p.dot, p.e)
	}
	s.live.worked(steps)
	novelty.live.setFlat(births)
	var dead Context
	for _, p := range killed {
		dead.push(Run{p.dot.Actor, p.dot.Counter, p.dot.Counter})
	}
	novelty.ctx.Join(&dead)

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

// searchSteps is what looking up a run of a context counts as.
func searchSteps(c *Context) int64 { return int64(1 + bits.Len(uint(len(c.runs)))) }

// Steps returns how many accesses to its indexes the changes of the set have cost since it was made, cloned
// or decoded: one for each search for an element, for each actor and block of dots looked at, and for each
// dot passed, and the logarithm of the context's runs for each run looked up in it. It is exact and the same
// for the same changes, so that it can be shown that work does not grow with the set. A set of no more than
// 16 dots has no index and counts nothing; nor does it count when the index itself grows or shrinks, which
// moves fewer than 1,024 entries at a time, and on average two for each element added or removed.
func (s *Set[E]) Steps() int64 {
	if s == nil || !s.live.indexed() {
		return 0
	}
	return s.live.big().steps
}
