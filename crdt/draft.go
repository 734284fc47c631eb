package crdt

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A draft is a delta that was made in nobody's name: by mutators that were given NewDraft's minter, its actor
// for rows, and DraftTime for timestamps, on a copy of the state. It is a change before it has an identity,
// as a value that can be encoded like any delta. Observe adds what only a replica knows, and Effect makes the
// delta of it, at that replica or in the log of an atomic block, in the name of whoever does it. So every
// type, and what is composed of them, is changed elsewhere than where its actor is, without an operation type
// of its own; the types that have one ([SetOp] and its kin) can be prepared without a copy of the state.
//
// A draft may name what it observed of others, as the dots that a remove ends, and that stays as it is. A
// change in another name than the draft's is nobody's to make, and refused: see ForeignChange.

// DraftTime is the timestamp of writes in a draft: above every other, so that the draft holds the write
// whatever was there. Observe puts a replica's in its place.
const DraftTime int64 = math.MaxInt64

// NewDraft returns the minter for the mutators of one draft. Deltas of one draft are joined to one delta;
// those of two drafts must not be joined before both took effect: they use the same dots.
func NewDraft() *Minter { return &Minter{Actor: draftActor} }

// NewDraftOf returns NewDraft's minter for a lattice that is an [Operation]. For one that is none, whose deltas
// must need no identity, it returns a minter that has no actor and panics when it is used, saying why.
func NewDraftOf[L Lattice[L]]() *Minter {
	var none L
	if _, ok := any(none).(Operation[L]); ok {
		return NewDraft()
	}
	return &Minter{mute: fmt.Sprintf("%T", none)}
}

// Operation is implemented by lattices whose drafts can take effect. All types of this package do, and so
// does a lattice of one's own whose deltas need no identity by returning the receiver.
type Operation[L any] interface {
	// Effect returns the delta that the receiver, a draft, makes in the name of m's actor, nil when it
	// changes nothing. own is the part of the state that the actor keeps durably for itself, its rows;
	// it is not nil, and brought up to date. Effect needs no other state, so equal drafts, minters and own
	// parts give equal deltas. The draft is not changed; after an error own is as it was.
	Effect(m *Minter, own L) (L, error)
}

// Observer is implemented by lattices whose drafts need something of a replica before they take effect.
type Observer[L any] interface {
	// Observe returns the draft with what this state, which may be nil, and the clock add to it; now is in
	// nanoseconds since 1970. Neither state nor draft is changed.
	Observe(draft L, now int64) L
}

// NoEffect is the error of a draft whose type, or the type of a part, is no [Operation].
type NoEffect struct{ Type string }

// Error says which type and what to do.
func (e *NoEffect) Error() string {
	return fmt.Sprintf("crdt: %s does not say what its changes are in another's name: give it the method "+
		"Effect(m *crdt.Minter, own %s) (%s, error), which may return the receiver if its deltas need no identity", e.Type, e.Type, e.Type)
}

// NotWritten is the error of a draft that claims to have observed something of an actor which that actor, who
// is to put it into effect, has not written.
type NotWritten struct{ Actor Actor }

// Error says whose name was used.
func (e *NotWritten) Error() string {
	return fmt.Sprintf("crdt: a draft names what actor %d never wrote: make drafts by the minter of NewDraft", e.Actor)
}

// ForeignChange is the error of a draft that holds a change in another name than the draft's: a live dot, a row
// or a write of an actor. Only that actor can know which of its dots are free and how far its rows are; taken
// over, the change would meet another of the same name somewhere, and one of the two would be lost.
type ForeignChange struct{ Actor Actor }

// Error says whose name was used and what to do.
func (e *ForeignChange) Error() string {
	return fmt.Sprintf("crdt: a draft holds a change by actor %d: pass mutators the minter, or as.Actor, that Mutate gives, "+
		"and return their deltas, not the state", e.Actor)
}

// draftRules is how a Minter's actor puts drafts into effect.
type draftRules struct {
	// check says that nothing is done but to look for what no actor could put into effect. own is the state
	// that the draft was made of, then.
	check bool
	// observed says that other names may be what was observed: the first part of a LexPair's delta is there
	// as it is.
	observed bool
}

// admits refuses a change by another actor than the draft's. known says that own has it.
func (m *Minter) admits(a Actor, known bool) error {
	if a == draftActor || m.rules.observed && (known || !m.rules.check) {
		return nil
	}
	return &ForeignChange{a}
}

// admitsRow is admits for rows. A row of m's actor that is ahead of what it keeps is refused as never written:
// its next addition would be lost. What it has written may be observed.
func (m *Minter) admitsRow(a Actor, known bool) error {
	switch {
	case a == draftActor || a != m.Actor:
		return m.admits(a, known)
	case !known:
		return &NotWritten{a}
	}
	return nil
}

// errNotObserved: taking effect it would win over every later write.
var errNotObserved = errors.New("crdt: a draft has a write without a time: call Observe on it at a replica first")

// Effect makes the delta of a draft; see [Operation]. The error is *NoEffect for a type that is none, and
// *ForeignChange for a change that is not the draft's. After an error m and own are as they were.
func Effect[L Lattice[L]](draft L, m *Minter, own L) (delta L, err error) {
	if draft.IsEmpty() {
		return delta, nil
	}
	op, ok := any(draft).(Operation[L])
	if !ok {
		return delta, &NoEffect{fmt.Sprintf("%T", draft)}
	}
	before := m.mark()
	if delta, err = op.Effect(m, own); err != nil {
		m.reset(before)
		var none L
		return none, err
	}
	return orNil(delta), nil
}

// mark returns where the minter is, which may be nil: drafts of many types need none.
func (m *Minter) mark() uint64 {
	if m == nil {
		return 0
	}
	return m.Next
}

// reset takes back what was minted since a mark and went nowhere.
func (m *Minter) reset(mark uint64) {
	if m != nil {
		m.Next = mark
	}
}

// CheckDraft says, before a draft is sent, whether it is one that no replica can put into effect, whatever it
// knows: *NoEffect when it changes a part whose type is no [Operation], *ForeignChange when it holds a change in
// another name than the draft's. state is what it was made of, or a later state; the least one where it was made
// without any. It matters to a [LexPair] alone, whose deltas carry its first part as it is: what is in the
// state's was observed, anything else is a change. Neither is changed. The cost is a walk over the draft, and a
// copy of those parts of state that the draft changes.
func CheckDraft[L Lattice[L]](draft, state L) error {
	_, err := effectPart(draft, &Minter{Actor: draftActor, rules: draftRules{check: true}}, &state)
	return err
}

// hopeless says whether an error is one that CheckDraft looks for.
func hopeless(err error) bool {
	var mute *NoEffect
	var foreign *ForeignChange
	return errors.As(err, &mute) || errors.As(err, &foreign)
}

// Observe adds to a draft what a replica with that state knows; see [Observer].
func Observe[L Lattice[L]](state, draft L, now int64) L {
	if o, ok := any(state).(Observer[L]); ok && !draft.IsEmpty() {
		return o.Observe(draft, now)
	}
	return draft
}

// effectPart makes the delta of a part's draft, and puts a copy that is brought up to date in own's place: what
// was there is as it was, for when a later part is refused.
func effectPart[L Lattice[L]](draft L, m *Minter, own *L) (delta L, err error) {
	if draft.IsEmpty() {
		return delta, nil
	}
	mine := (*own).Clone()
	delta, err = Effect(draft, m, mine)
	if err != nil && m.rules.check && !hopeless(err) {
		return delta, nil // what else is wrong depends on the replica
	}
	if err == nil {
		*own = mine
	}
	return delta, err
}

// renamedDots returns the set with fresh dots of m in place of the draft's.
func renamedDots[E comparable](s, own *Set[E], m *Minter) (*Set[E], error) {
	if s.IsEmpty() {
		return nil, nil
	}
	if err := observedOf(&s.ctx, m); err != nil {
		return nil, err
	}
	for d := range s.AllDots() {
		if err := m.admits(d.Actor, own.Context().Contains(d)); err != nil {
			return nil, err
		}
	}
	if m.rules.check {
		return nil, nil
	}
	out, fresh := &Set[E]{}, Context{}
	live := make([]pair[E], 0, s.live.size())
	for d, e := range s.AllDots() {
		if d.Actor == draftActor {
			d = m.Mint()
			fresh.AddRun(Run{d.Actor, d.Counter, d.Counter})
		}
		live = append(live, pair[E]{d, e})
	}
	slices.SortFunc(live, func(a, b pair[E]) int { return a.dot.Compare(b.dot) }) // the draft's had been the last
	out.live.setFlat(live)
	out.ctx = renamedContext(&s.ctx, &fresh)
	return orNil(out), nil
}

// observedOf refuses dots of m's actor that are yet to be minted: they would be dead when they are.
func observedOf(c *Context, m *Minter) error {
	for r := range c.Runs() {
		if r.Actor == m.Actor && r.To > m.Next && !m.rules.check {
			return &NotWritten{m.Actor}
		}
	}
	return nil
}

// renamedContext returns the context with fresh dots in place of the draft's: those that the draft both made
// and ended are nowhere.
func renamedContext(c, fresh *Context) (out Context) {
	for r := range c.Runs() {
		if r.Actor != draftActor {
			out.push(r)
		}
	}
	out.Join(fresh)
	return out
}

// Effect implements Operation: live dots of the draft become fresh ones.
func (s *Set[E]) Effect(m *Minter, own *Set[E]) (*Set[E], error) { return renamedDots(s, own, m) }

// Effect implements Operation, as Set.Effect.
func (s *RWSet[E]) Effect(m *Minter, own *RWSet[E]) (*RWSet[E], error) {
	out, err := renamedDots(s.marks(), own.marks(), m)
	return (*RWSet[E])(out), err
}

// Effect implements Operation, as Set.Effect.
func (f *EWFlag) Effect(m *Minter, own *EWFlag) (*EWFlag, error) {
	out, err := renamedDots(f.marks(), own.marks(), m)
	return (*EWFlag)(out), err
}

// Effect implements Operation, as Set.Effect.
func (f *DWFlag) Effect(m *Minter, own *DWFlag) (*DWFlag, error) {
	out, err := renamedDots(f.marks(), own.marks(), m)
	return (*DWFlag)(out), err
}

// Effect implements Operation, as Set.Effect.
func (r *MVRegister[V]) Effect(m *Minter, own *MVRegister[V]) (*MVRegister[V], error) {
	out, err := renamedDots(r.inner(), own.inner(), m)
	return r.wrap(out), err
}

// Effect implements Operation, as Set.Effect.
func (g *Graph[V]) Effect(m *Minter, own *Graph[V]) (*Graph[V], error) {
	out, err := renamedDots(g.items(), own.items(), m)
	return graphOf(out), err
}

// Effect implements Operation, as Set.Effect.
func (m *ORMap[K, S]) Effect(as *Minter, own *ORMap[K, S]) (*ORMap[K, S], error) {
	if m.IsEmpty() {
		return nil, nil
	}
	if err := observedOf(m.Context(), as); err != nil {
		return nil, err
	}
	for d := range m.store.Dots() {
		if err := as.admits(d.Actor, own.Context().Contains(d)); err != nil {
			return nil, err
		}
	}
	if as.rules.check {
		return nil, nil
	}
	out, fresh := &ORMap[K, S]{}, Context{}
	for d := range m.store.Dots() {
		to := d
		if d.Actor == draftActor {
			to = as.Mint()
			fresh.AddRun(Run{to.Actor, to.Counter, to.Counter})
		}
		out.store.Take(&m.store, d, to)
	}
	out.store.keys.ctx = renamedContext(m.Context(), &fresh)
	return orNil(out), nil
}

// Of counters a draft has a row of its own, which is added to the actor's.

// Effect implements Operation: what the draft added goes on top of the actor's row in own.
func (c *Counter) Effect(m *Minter, own *Counter) (*Counter, error) {
	for _, r := range c.list() {
		have := own.Row(r.actor)
		if err := m.admitsRow(r.actor, r.P <= have.P && r.N <= have.N); err != nil {
			return nil, err
		}
	}
	if m.rules.check {
		return nil, nil
	}
	delta := &Counter{}
	for _, r := range c.list() {
		if r.actor != draftActor {
			delta.raise(r.actor, r.P, r.N)
			continue
		}
		mustOwn(m.Actor)
		row := own.Row(m.Actor)
		if r.P > 0 {
			delta.raise(m.Actor, addSaturated(row.P, r.P), 0)
		}
		if r.N > 0 {
			delta.raise(m.Actor, 0, addSaturated(row.N, r.N))
		}
	}
	own.Join(delta)
	return orNil(delta), nil
}

// Effect implements Operation, as Counter.Effect.
func (c *GCounter) Effect(m *Minter, own *GCounter) (*GCounter, error) {
	for _, r := range c.list() {
		if err := m.admitsRow(r.of, r.n <= own.list().get(r.number)); err != nil {
			return nil, err
		}
	}
	if m.rules.check {
		return nil, nil
	}
	delta := &GCounter{}
	for _, r := range c.list() {
		if r.of == draftActor {
			mustOwn(m.Actor)
			r = amount{number{of: m.Actor}, addSaturated(own.Row(m.Actor), r.n)}
		}
		delta.sum.add(delta.rows.raise(r.number, r.n))
	}
	own.Join(delta)
	return orNil(delta), nil
}

// Effect implements Operation, as Counter.Effect.
func (c *LexCounter) Effect(m *Minter, own *LexCounter) (*LexCounter, error) {
	for _, r := range c.list() {
		if err := m.admitsRow(r.actor, r.compare(own.Row(r.actor)) <= 0); err != nil {
			return nil, err
		}
	}
	if m.rules.check {
		return nil, nil
	}
	delta := &LexCounter{}
	for _, r := range c.list() {
		if r.actor != draftActor {
			delta.raise(r.actor, r.LexRow)
			continue
		}
		row := own.Row(m.Actor)
		delta.Join(LexCounterOp{N: r.V}.Effect(m.Actor, &row)) // nil when what went up came down again
	}
	own.Join(delta)
	return orNil(delta), nil
}

// Effect implements Operation: what the draft added and did not reset goes on top of the actor's row in own;
// what it observed of others is reset.
func (c *ResetCounter) Effect(m *Minter, own *ResetCounter) (*ResetCounter, error) {
	if err := c.admitted(m, own); err != nil || m.rules.check {
		return nil, err
	}
	delta := &ResetCounter{}
	c.list().actors(func(a Actor, t tally) bool {
		if a != draftActor {
			delta.rows.join(t, nil)
			return true
		}
		mustOwn(m.Actor)
		total, observed := rowsOf(t)
		add := func(sub, n uint64) {
			if n > 0 {
				k := number{m.Actor, sub}
				delta.rows.raise(k, addSaturated(own.rows.get(k), n))
			}
		}
		add(resetP, total.P-min(total.P, observed.P))
		add(resetN, total.N-min(total.N, observed.N))
		return true
	})
	own.Join(delta)
	return orNil(delta), nil
}

// admitted refuses what was added in other names; what was observed of them is what a reset takes out.
func (c *ResetCounter) admitted(m *Minter, own *ResetCounter) (err error) {
	c.list().actors(func(a Actor, t tally) bool {
		row, have := c.Row(a), own.Row(a)
		total, _ := rowsOf(t)
		if a == m.Actor || total != (CounterRow{}) {
			err = m.admitsRow(a, row.P <= have.P && row.N <= have.N)
		}
		return err == nil
	})
	return err
}

// Observe implements Observer: it adds who gave rights to whom, since what was given to an actor is not in
// its own row.
func (c *BoundedCounter) Observe(draft *BoundedCounter, _ int64) *BoundedCounter {
	out := draft.Clone()
	for _, r := range c.list() {
		if r.sub != 0 && r.sub != uint64(r.of) {
			out.rows.raise(r.number, r.n)
		}
	}
	return out
}

// Effect implements Operation: what the draft decremented or gave comes out of the rights that the actor has
// in own; where these do not suffice the error is *NoRights. A draft may decrement as much as its counter
// holds, whoever has the rights: they are asked for here.
func (c *BoundedCounter) Effect(m *Minter, own *BoundedCounter) (*BoundedCounter, error) {
	mustOwn(m.Actor)
	if err := c.admitted(m, own); err != nil || m.rules.check {
		return nil, err
	}
	mine := own.Clone() // all of it is done, or nothing
	delta, gifts := &BoundedCounter{}, tally(nil)
	var op BoundedCounterOp
	for _, r := range c.list() {
		switch {
		case r.of != draftActor:
			delta.rows.raise(r.number, r.n)
			if r.of == m.Actor || r.sub == uint64(m.Actor) {
				mine.count(r.number, mine.rows.raise(r.number, r.n))
			}
		case r.sub == uint64(draftActor):
			op.Inc = r.n
		case r.sub == 0:
			op.Dec = r.n
		default:
			gifts = append(gifts, r)
		}
	}
	done, err := op.Effect(m.Actor, mine)
	if err != nil {
		return nil, err
	}
	delta.Join(done)
	for _, g := range gifts {
		if done, err = (BoundedCounterOp{Give: g.n, To: Actor(g.sub)}).Effect(m.Actor, mine); err != nil {
			return nil, err
		}
		delta.Join(done)
	}
	own.Join(mine)
	return boundedOf(delta.rows), nil
}

// admitted refuses what was added, taken or given in other names. Who gave what to whom Observe adds later on,
// of anybody.
func (c *BoundedCounter) admitted(m *Minter, own *BoundedCounter) error {
	for _, r := range c.list() {
		gift := r.sub != 0 && r.sub != uint64(r.of)
		if gift && r.of != m.Actor && r.sub != uint64(draftActor) && !m.rules.check {
			continue
		}
		if err := m.admitsRow(r.of, r.n <= own.list().get(r.number)); err != nil {
			return err
		}
	}
	return nil
}

// Observe implements Observer: a draft's write gets a time that is now, or just above that of the write that
// it replaces when that is later.
func (r *Register[V]) Observe(draft *Register[V], now int64) *Register[V] {
	if draft.Actor() != draftActor {
		return draft
	}
	out := draft.Clone()
	out.stamp.at = r.Prepare(RegisterOp[V]{}, now).Timestamp
	return out
}

// Effect implements Operation: the write becomes the actor's.
func (r *Register[V]) Effect(m *Minter, own *Register[V]) (*Register[V], error) {
	if r.IsEmpty() {
		return nil, nil
	}
	s, err := r.stamp.of(m, m.rules.check && r.LessOrEqual(own))
	if err != nil || m.rules.check {
		return nil, err
	}
	out := r.Clone()
	out.stamp = s
	return out, nil
}

// of returns the stamp with m's actor in place of a draft's. known is that of admits.
func (s stamp) of(m *Minter, known bool) (stamp, error) {
	switch {
	case s.actor != draftActor:
		return s, m.admits(s.actor, known)
	case s.at == DraftTime && !m.rules.check:
		return s, errNotObserved
	}
	s.actor = m.Actor
	return s, nil
}

// Observe implements Observer, as Register.Observe for each key.
func (m *RegisterMap[K, V]) Observe(draft *RegisterMap[K, V], now int64) *RegisterMap[K, V] {
	out := draft.like()
	for k, e := range draft.list() {
		if e.stamp.actor == draftActor {
			e.stamp.at = now
			if held, ok := m.Timestamp(k); ok {
				e.stamp.at = nextStamp(now, held)
			}
		}
		out.put(k, e)
	}
	return out
}

// Effect implements Operation: the writes become the actor's.
func (m *RegisterMap[K, V]) Effect(as *Minter, own *RegisterMap[K, V]) (_ *RegisterMap[K, V], err error) {
	out := m.like()
	for k, e := range m.list() {
		held, ok := own.Timestamp(k)
		if e.stamp, err = e.stamp.of(as, ok && e.stamp.at <= held); err != nil {
			return nil, err
		}
		out.put(k, e)
	}
	if as.rules.check {
		return nil, nil
	}
	return orNil(out), nil
}

// Deltas of the rest need no identity.

// Effect implements Operation.
func (s *GSet[E]) Effect(*Minter, *GSet[E]) (*GSet[E], error) { return orNil(s), nil }

// Effect implements Operation.
func (s *TwoPhaseSet[E]) Effect(*Minter, *TwoPhaseSet[E]) (*TwoPhaseSet[E], error) {
	return orNil(s), nil
}

// Effect implements Operation.
func (f *GFlag) Effect(*Minter, *GFlag) (*GFlag, error) { return orNil(f), nil }

// Effect implements Operation.
func (r *MaxRegister[V]) Effect(*Minter, *MaxRegister[V]) (*MaxRegister[V], error) {
	return orNil(r), nil
}

// Effect implements Operation.
func (r *MinRegister[V]) Effect(*Minter, *MinRegister[V]) (*MinRegister[V], error) {
	return orNil(r), nil
}

// Effect implements Operation.
func (x *IVar[V]) Effect(*Minter, *IVar[V]) (*IVar[V], error) { return orNil(x), nil }

// Effect implements Operation.
func (g *TwoPhaseGraph[V]) Effect(*Minter, *TwoPhaseGraph[V]) (*TwoPhaseGraph[V], error) {
	return orNil(g), nil
}

// Effect implements Operation.
func (o *PartialOrder[E]) Effect(*Minter, *PartialOrder[E]) (*PartialOrder[E], error) {
	return orNil(o), nil
}
