package crdt

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
	for _, run := range delta.ctx.runs {
		s.live.within(run, func(d Dot, e E) {
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
	var births []pair[E]
	for _, run := range fresh.runs {
		delta.live.within(run, func(d Dot, e E) { births = append(births, pair[E]{d, e}) })
	}

	s.ctx.Join(&fresh)
	s.live.settle()
	for _, p := range killed {
		s.live.remove(p.dot)
	}
	if !s.live.indexed() && s.live.n+len(births) > flatMax {
		s.live.buildIndex()
	}
	novelty = &Set[E]{ctx: fresh}
	for _, p := range births {
		s.live.insert(p.dot, p.e)
		novelty.live.sum += p.dot.hash()
	}
	novelty.live.flat, novelty.live.n = births, len(births)
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
