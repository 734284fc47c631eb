package crdt

// Drafts of compositions are those of their parts.

// Observe implements Observer.
func (p *Pair[A, B]) Observe(draft *Pair[A, B], now int64) *Pair[A, B] {
	return &Pair[A, B]{Observe(p.First(), draft.First(), now), Observe(p.Second(), draft.Second(), now)}
}

// Effect implements Operation.
func (p *Pair[A, B]) Effect(m *Minter, own *Pair[A, B]) (*Pair[A, B], error) {
	mineA, mineB := own.a, own.b
	a, err := effectPart(p.First(), m, &mineA)
	if err != nil {
		return nil, err
	}
	b, err := effectPart(p.Second(), m, &mineB)
	if err != nil {
		return nil, err
	}
	own.a, own.b = mineA, mineB
	return pairOrNil(a, b), nil
}

// Observe implements Observer.
func (p *LexPair[A, B]) Observe(draft *LexPair[A, B], now int64) *LexPair[A, B] {
	out := draft.Clone()
	out.a, out.b = Observe(p.First(), draft.a, now), Observe(p.Second(), draft.b, now)
	return out
}

// Effect implements Operation. What the actor keeps of the second part belongs to the first part that it was
// written beside, and ends with it. Deltas carry the first part as it is, so what is in other names there is
// taken for observed; CheckDraft can tell.
func (p *LexPair[A, B]) Effect(m *Minter, own *LexPair[A, B]) (*LexPair[A, B], error) {
	mineA, mineB := own.a, own.b
	observing := *m
	observing.rules.observed = true
	a, err := effectPart(p.First(), &observing, &mineA)
	if err != nil {
		return nil, err
	}
	m.Next = observing.Next
	if m.rules.check {
		_, err = effectPart(p.Second(), m, &mineB)
		return nil, err
	}
	joinPart(&mineA, a)
	late := false
	if !a.LessOrEqual(own.a) {
		mineB = own.none.Clone()
	} else if late = !own.a.LessOrEqual(a); late {
		mineB = own.none.Clone() // another first part has come between: the delta changes nothing any more
	}
	b, err := effectPart(p.Second(), m, &mineB)
	if err != nil {
		return nil, err
	}
	if own.a = mineA; !late {
		own.b = mineB
	}
	return &LexPair[A, B]{a: a, b: orNil(b)}, nil
}

// Observe implements Observer.
func (m *GMap[K, L]) Observe(draft *GMap[K, L], now int64) *GMap[K, L] {
	out := draft.like()
	for k, v := range draft.list() {
		out.put(k, Observe(m.list()[k], v, now))
	}
	return out
}

// Effect implements Operation. own has a value for each key under which the actor keeps something: of
// counters as values, one for each that it has ever added to.
func (m *GMap[K, L]) Effect(as *Minter, own *GMap[K, L]) (*GMap[K, L], error) {
	out, kept := m.like(), map[K]L{}
	for k, v := range m.All() { // in order, so that everybody hands out the same dots
		mine := own.list()[k]
		if isNil(mine) && own.least != nil {
			mine = own.least()
		}
		delta, err := effectPart(v, as, &mine)
		if err != nil {
			return nil, err
		}
		if !delta.IsEmpty() {
			out.put(k, delta)
		}
		if !mine.IsEmpty() {
			kept[k] = mine
		}
	}
	for k, mine := range kept {
		own.put(k, mine)
	}
	return orNil(out), nil
}

// Observe does the work of [Observer].
func (l *Layout[S]) Observe(s, draft *S, now int64) *S {
	out := new(S)
	for _, f := range l.fields {
		f.observe(s, draft, now, out)
	}
	return l.Delta(out)
}

// Effect does the work of [Operation].
func (l *Layout[S]) Effect(draft *S, m *Minter, own *S) (*S, error) {
	out := new(S)
	var keep []func()
	for _, f := range l.fields {
		k, err := f.effect(draft, m, own, out)
		if err != nil {
			return nil, err
		}
		keep = append(keep, k)
	}
	for _, k := range keep {
		k()
	}
	return l.Delta(out), nil
}
