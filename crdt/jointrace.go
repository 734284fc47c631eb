package crdt

// JoinTrace is Join that reports each element that came into the set, once and in no order, after the set
// has taken the delta. added may be nil and may read the set, not change it.
func (s *GSet[E]) JoinTrace(delta *GSet[E], added func(E)) (novelty *GSet[E]) {
	novelty = s.Join(delta)
	if added != nil {
		for e := range novelty.inner().list() {
			added(e)
		}
	}
	return novelty
}

// JoinTrace is Join that reports each key and value that came to be, then each that is no longer, in no
// order, after the map has taken the delta: a value that is written over is gone, and one that is written
// again goes and comes. The functions may be nil and may read the map, not change it. It costs what Join
// costs.
func (m *RegisterMap[K, V]) JoinTrace(delta *RegisterMap[K, V], born, died func(K, V)) (novelty *RegisterMap[K, V]) {
	type was struct {
		k K
		v V
	}
	var before []was // of the keys that the delta writes
	if died != nil && m != delta {
		for k := range delta.list() {
			if v, live := m.Get(k); live {
				before = append(before, was{k, v})
			}
		}
	}
	novelty = m.Join(delta)
	if born != nil {
		for k, e := range novelty.list() {
			if e.live {
				born(k, e.v)
			}
		}
	}
	for _, w := range before {
		if _, written := novelty.list()[w.k]; written {
			died(w.k, w.v)
		}
	}
	return novelty
}

// JoinTrace is Join that names, before anything changes, each key whose value is about to change, once and
// in no order. touched may be nil and may read the map, not change it. It costs what Join costs and a
// comparison of each value of the delta.
func (m *GMap[K, L]) JoinTrace(delta *GMap[K, L], touched func(K)) (novelty *GMap[K, L]) {
	if touched != nil && m != delta {
		for k, theirs := range delta.list() {
			if mine, ok := m.Get(k); !ok || !theirs.LessOrEqual(mine) {
				touched(k)
			}
		}
	}
	return m.Join(delta)
}
