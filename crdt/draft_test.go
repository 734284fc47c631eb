package crdt

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a draft made and ended itself is nowhere afterwards, and no dot is spent on it.
func TestDraftsOfSeveralChanges(t *testing.T) {
	t.Parallel()
	s := NewSet[string]()
	m := &Minter{Actor: 7}
	s.Add(m, "old")
	as, c := NewDraft(), s.Clone()
	draft := c.Add(as, "a", "b")
	draft.Join(c.Remove("a", "old"))
	delta, err := Effect(draft, m, NewSet[string]())
	require.NoError(t, err)
	require.EqualValues(t, 2, m.Next)
	s.Join(delta)
	require.True(t, s.Contains("b"))
	require.Equal(t, 1, s.Len())
	for r := range delta.Context().Runs() {
		require.Equal(t, Actor(7), r.Actor, "nothing of the draft's name is left")
	}
	undone := NewSet[string]()
	draft = undone.Add(as, "x")
	draft.Join(undone.Remove("x"))
	delta, err = Effect(draft, m, NewSet[string]())
	require.NoError(t, err)
	require.Nil(t, delta)

	r := NewResetCounter()
	d := r.Add(draftActor, 5)
	d.Join(r.Reset())
	d.Join(r.Add(draftActor, 2))
	own := NewResetCounter()
	got, err := Effect(d, m, own)
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Value())
	require.EqualValues(t, 2, own.Row(7).P)
}

// A write that no replica has observed has no time, and must not win for ever.
func TestDraftsWithoutATimeAreRefused(t *testing.T) {
	t.Parallel()
	r := NewRegister(stringCodec())
	_, err := Effect(r.Set(DraftTime, draftActor, "a"), &Minter{Actor: 1}, NewRegister(stringCodec()))
	require.ErrorIs(t, err, errNotObserved)
	m := NewRegisterMap(stringCodec(), stringCodec())
	draft := m.Set(DraftTime, draftActor, "k", "v")
	_, err = Effect(draft, &Minter{Actor: 1}, NewRegisterMap(stringCodec(), stringCodec()))
	require.ErrorIs(t, err, errNotObserved)
	_, err = Effect(NewPair(r, NewCounter()), &Minter{Actor: 1}, NewPair(NewRegister(stringCodec()), NewCounter()))
	require.ErrorIs(t, err, errNotObserved)
	delta, err := Effect(Observe(nil, draft, 4), &Minter{Actor: 3}, NewRegisterMap(stringCodec(), stringCodec()))
	require.NoError(t, err)
	ts, _ := delta.Timestamp("k")
	require.EqualValues(t, 4, ts)
}

// A draft decrements what the counter holds; whether the actor has the rights is decided where it takes
// effect, by what it keeps and what was given to it.
func TestDraftsOfBoundedCounters(t *testing.T) {
	t.Parallel()
	state := NewBoundedCounter()
	state.Inc(1, 10)
	_, err := state.Transfer(1, 2, 4)
	require.NoError(t, err)
	draft := func(n uint64) *BoundedCounter {
		d, err := state.Clone().Dec(draftActor, n)
		require.NoError(t, err)
		return Observe(state, d, 0)
	}
	_, err = state.Clone().Dec(draftActor, 11)
	require.Equal(t, &NoRights{Actor: draftActor, Have: 10, Want: 11}, err)

	two := NewBoundedCounter()
	_, err = Effect(draft(5), &Minter{Actor: 2}, two.Clone())
	require.Equal(t, &NoRights{Actor: 2, Have: 4, Want: 5}, err, "the rights are those that were given to it")
	delta, err := Effect(draft(4), &Minter{Actor: 2}, two)
	require.NoError(t, err)
	state.Join(delta)
	require.EqualValues(t, 6, state.Value())
	_, err = Effect(draft(1), &Minter{Actor: 2}, two)
	require.Equal(t, &NoRights{Actor: 2, Have: 0, Want: 1}, err, "what was spent is kept")

	one := state.Own(1)
	d := state.Clone()
	give := d.Inc(draftActor, 3)
	more, err := d.Transfer(draftActor, 2, 2)
	require.NoError(t, err)
	give.Join(more)
	delta, err = Effect(Observe(state, give, 0), &Minter{Actor: 1}, one)
	require.NoError(t, err)
	state.Join(delta)
	require.EqualValues(t, 2, state.Rights(2))
	require.EqualValues(t, 7, state.Rights(1))
	require.EqualValues(t, 7, one.Rights(1))
	require.Empty(t, state.rows.of(draftActor))
}

// A draft that saw an older first part changes nothing, and nothing of it is counted later on.
func TestDraftsOfAnEpochThatHasEnded(t *testing.T) {
	t.Parallel()
	type epochs = *LexPair[*MaxRegister[uint64], *Counter]
	codec := LexPairCodec(MaxRegisterCodec(uintCodec()), CodecOf(DecodeCounter))
	state, own, m := EmptyState(codec), EmptyState(codec), &Minter{Actor: 3}
	epoch := func(n uint64) func(r *MaxRegister[uint64]) *MaxRegister[uint64] {
		return func(r *MaxRegister[uint64]) *MaxRegister[uint64] { return r.Set(n) }
	}
	add := func(p epochs, n int64) epochs {
		return p.ChangeSecond(func(c *Counter) *Counter { return c.Add(draftActor, n) })
	}
	perform := func(draft epochs) {
		delta, err := Effect(draft, m, own)
		require.NoError(t, err)
		state.Join(delta)
	}
	perform(state.Clone().ChangeFirst(epoch(1)))
	late := add(state.Clone(), 100)
	perform(state.Clone().ChangeFirst(epoch(2)))
	perform(add(state.Clone(), 5))
	perform(late)
	perform(add(state.Clone(), 2))
	require.EqualValues(t, 7, state.Second().Value())
	require.EqualValues(t, 7, own.Second().Value())
}

// A draft that claims to know something of the actor that only that actor can know is refused: dots that are
// yet to be minted would be dead when they are, rows that are yet to grow would swallow what is added.
func TestDraftsThatClaimWhatNobodyWrote(t *testing.T) {
	t.Parallel()
	m := func() *Minter { return &Minter{Actor: 7, Next: 3} }
	ahead := &Minter{Actor: 7, Next: 3}
	flag := NewEWFlag()
	flag.Enable(ahead)
	set := NewSet[string]()
	set.Add(ahead, "x")
	set.Remove("x")
	table := NewORMap[string, *FlagStore]()
	table.Update("k", func(f *FlagStore) Change[*FlagStore] { return f.Enable(ahead) })
	value, graph, rw, dw := NewMVRegister(stringCodec()), NewGraph[string](), NewRWSet[string](), NewDWFlag()
	value.Set(ahead, "v")
	graph.AddVertex(ahead, "v")
	rw.Add(ahead, "v")
	dw.Enable(ahead)
	up, down, grow, reset := NewCounter(), NewLexCounter(), NewGCounter(), NewResetCounter()
	up.Add(7, -1)
	down.Add(7, -1)
	grow.Add(7, 1)
	reset.Add(7, 1)
	rights := NewBoundedCounter()
	rights.Inc(7, 1)
	table2 := NewGMap(stringCodec(), NewCounter)
	table2.Update("k", func(c *Counter) *Counter { return c.Add(7, 1) })
	for _, err := range []error{
		effectError(flag, m(), NewEWFlag()), effectError(set, m(), NewSet[string]()), effectError(table, m(), NewORMap[string, *FlagStore]()),
		effectError(value, m(), NewMVRegister(stringCodec())), effectError(graph, m(), NewGraph[string]()),
		effectError(rw, m(), NewRWSet[string]()), effectError(dw, m(), NewDWFlag()),
		effectError(up, m(), NewCounter()), effectError(down, m(), NewLexCounter()), effectError(grow, m(), NewGCounter()),
		effectError(reset, m(), NewResetCounter()), effectError(rights, m(), NewBoundedCounter()),
		effectError(table2, m(), NewGMap(stringCodec(), NewCounter)),
		effectError(NewPair(grow, set), m(), NewPair(NewGCounter(), NewSet[string]())), effectError(NewPair(NewGFlag(), set), m(), NewPair(NewGFlag(), NewSet[string]())),
		effectError(NewLexPair(grow, set), m(), NewLexPair(NewGCounter(), NewSet[string]())),
		func() error {
			_, err := sampleLayout.Effect(&sampleStruct{Up: grow}, m(), sampleLayout.New())
			return err
		}(),
	} {
		require.Equal(t, &NotWritten{7}, err)
		require.ErrorContains(t, err, "make drafts by the minter of NewDraft")
	}
	require.NoError(t, effectError(up, m(), up.Clone()), "what it has written may be observed")
	require.NoError(t, effectError(set, &Minter{Actor: 7, Next: 5}, NewSet[string]()))
}

func effectError[L Lattice[L]](draft L, m *Minter, own L) error {
	_, err := Effect(draft, m, own)
	return err
}

// mute is a lattice that does not say what its changes are in another's name.
type mute struct{ *GFlag }

func (m *mute) flag() *GFlag {
	if m == nil {
		return nil
	}
	return m.GFlag
}

func (m *mute) Join(d *mute) *mute {
	if n := m.GFlag.Join(d.flag()); n != nil {
		return &mute{n}
	}
	return nil
}
func (m *mute) LessOrEqual(o *mute) bool      { return m.flag().LessOrEqual(o.flag()) }
func (m *mute) Equal(o *mute) bool            { return m.flag().Equal(o.flag()) }
func (m *mute) Clone() *mute                  { return &mute{m.flag().Clone()} }
func (m *mute) IsEmpty() bool                 { return m.flag().IsEmpty() }
func (m *mute) Parts() []*mute                { return nil }
func (m *mute) Since(b []byte) (*mute, error) { return nil, nil }
func (m *mute) Effect()                       {}

func TestTypesWithoutEffect(t *testing.T) {
	t.Parallel()
	on := &mute{NewGFlag()}
	on.Enable()
	var wrong *NoEffect
	for _, f := range []func() error{
		func() error { _, err := Effect(on, &Minter{Actor: 1}, &mute{NewGFlag()}); return err },
		func() error {
			_, err := Effect(NewPair(NewGFlag(), on), &Minter{Actor: 1}, NewPair[*GFlag, *mute](nil, nil))
			return err
		},
	} {
		require.ErrorAs(t, f(), &wrong)
		require.Equal(t, "*crdt.mute", wrong.Type)
		require.ErrorContains(t, wrong, "give it the method Effect(m *crdt.Minter, own *crdt.mute) (*crdt.mute, error)")
	}
	delta, err := Effect(&mute{NewGFlag()}, nil, nil)
	require.NoError(t, err)
	require.Nil(t, delta, "what says nothing has no effect")
}

// A change in another name than the draft's meets another of that name somewhere: one of the two would be lost.
func TestDraftsInOtherNamesAreRefused(t *testing.T) {
	t.Parallel()
	five := func() *Minter { return &Minter{Actor: 5} }
	text := stringCodec()
	table := NewORMap[string, *CounterStore]()
	counts := func() *GMap[string, *Counter] { return NewGMap(text, NewCounter) }
	rights := NewBoundedCounter()
	rights.Inc(5, 9)
	rights = rights.Clone()
	gift, err := rights.Transfer(5, 6, 2)
	require.NoError(t, err)
	spent, err := rights.Dec(5, 2)
	require.NoError(t, err)
	reset := NewResetCounter()
	added := reset.Add(5, 3)
	type pair = Pair[*GFlag, *Counter]
	type epochs = LexPair[*LexCounter, *Set[string]]
	newEpochs := func() *epochs { return NewLexPair(NewLexCounter(), NewSet[string]()) }
	for _, err := range []error{
		foreignError(NewSet[string]().Add(five(), "x"), NewSet[string]()),
		foreignError(NewRWSet[string]().Add(five(), "x"), NewRWSet[string]()),
		foreignError(NewEWFlag().Enable(five()), NewEWFlag()),
		foreignError(NewDWFlag().Disable(five()), NewDWFlag()),
		foreignError(NewMVRegister(text).Set(five(), "x"), NewMVRegister(text)),
		foreignError(NewGraph[string]().AddVertex(five(), "x"), NewGraph[string]()),
		foreignError(table.Update("k", func(c *CounterStore) Change[*CounterStore] { return c.Add(five(), 3) }), NewORMap[string, *CounterStore]()),
		foreignError(NewCounter().Add(5, -3), NewCounter()),
		foreignError(NewGCounter().Add(5, 3), NewGCounter()),
		foreignError(NewLexCounter().Add(5, -3), NewLexCounter()),
		foreignError(added, NewResetCounter()),
		foreignError(NewBoundedCounter().Inc(5, 3), NewBoundedCounter()),
		foreignError(spent, NewBoundedCounter()),
		foreignError(NewRegister(text).Set(1<<62, 5, "x"), NewRegister(text)),
		foreignError(NewRegister(text).Set(DraftTime, 5, "x"), NewRegister(text)),
		foreignError(NewRegisterMap(text, text).Set(3, 5, "k", "x"), NewRegisterMap(text, text)),
		foreignError(NewRegisterMap(text, text).Remove(DraftTime, 5, "k"), NewRegisterMap(text, text)),
		foreignError(NewPair(NewGFlag(), NewCounter().Add(5, 1)), &pair{}),
		foreignError(counts().Update("k", func(c *Counter) *Counter { return c.Add(5, 1) }), counts()),
		foreignError(newEpochs().ChangeSecond(func(s *Set[string]) *Set[string] { return s.Add(five(), "x") }), newEpochs()),
		CheckDraft(newEpochs().ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(5, 1) }), newEpochs()),
		CheckDraft(gift, NewBoundedCounter()),
		func() error {
			_, err := sampleLayout.Effect(&sampleStruct{Up: NewGCounter().Add(5, 1)}, &Minter{Actor: 7}, sampleLayout.New())
			return err
		}(),
	} {
		require.Equal(t, &ForeignChange{5}, err)
		require.ErrorContains(t, err, "pass mutators the minter, or as.Actor, that Mutate gives")
	}
	require.NoError(t, CheckDraft(reset.Reset(), NewResetCounter()), "what is reset was observed")
}

// foreignError is that of Effect, which CheckDraft says too.
func foreignError[L Lattice[L]](draft, own L) error {
	_, err := Effect(draft, &Minter{Actor: 7, Next: 10}, own)
	if said := CheckDraft(draft, own); said == nil || err == nil || said.Error() != err.Error() {
		return fmt.Errorf("CheckDraft of %v: %v, Effect: %v", draft, said, err)
	}
	return err
}

// The first part of a LexPair's delta is there as it is: what the state holds of it was observed.
func TestFirstPartsAreObserved(t *testing.T) {
	t.Parallel()
	type epochs = LexPair[*LexCounter, *Set[string]]
	state := NewLexPair(NewLexCounter(), NewSet[string]())
	state.ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(5, 2) })
	before := state.Clone()
	as := NewDraft()
	drafts := []*epochs{
		state.Clone().ChangeSecond(func(s *Set[string]) *Set[string] { return s.Add(as, "x") }),
		state.Clone().ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(as.Actor, 1) }),
	}
	for _, draft := range drafts {
		require.NoError(t, CheckDraft(draft, state))
		delta, err := Effect(draft, &Minter{Actor: 7}, NewLexPair(NewLexCounter(), NewSet[string]()))
		require.NoError(t, err)
		require.NotNil(t, delta)
	}
	more := state.Clone().ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(5, 1) })
	require.Equal(t, &ForeignChange{5}, CheckDraft(more, state), "what the state does not hold is a change")
	require.True(t, state.Equal(before), "checking changes nothing")
}

// What else is wrong depends on the replica, and hides nothing that does not.
func TestCheckDraftLooksForWhatNobodyCanDo(t *testing.T) {
	t.Parallel()
	on := &mute{NewGFlag()}
	on.Enable()
	full := NewBoundedCounter()
	full.Inc(5, 3)
	as := NewDraft()
	spend, err := full.Dec(as.Actor, 2)
	require.NoError(t, err)
	require.NoError(t, CheckDraft(spend, NewBoundedCounter()))
	var wrong *NoEffect
	require.ErrorAs(t, CheckDraft(NewPair(spend, on), nil), &wrong)
	require.Equal(t, "*crdt.mute", wrong.Type)
	later := NewRegister(stringCodec()).Set(DraftTime, as.Actor, "x")
	require.NoError(t, CheckDraft(later, NewRegister(stringCodec())), "it is not observed yet")
}

// Rows are absolute, so what a refused draft left there the next delta would publish.
func TestRefusedDraftsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	type stock = *BoundedCounter
	full := func() stock {
		c := NewBoundedCounter()
		c.Inc(1, 8)
		c.Inc(2, 4)
		return c
	}
	as, state := NewDraft(), full()
	spend := func(n uint64) stock {
		d, err := full().Dec(as.Actor, n)
		require.NoError(t, err)
		return d
	}
	refused := func(name string, refuse func(m *Minter) error) {
		m := &Minter{Actor: 1, Next: 7}
		var no *NoRights
		require.ErrorAs(t, refuse(m), &no, name)
		require.EqualValues(t, 7, m.Next, name)
	}

	c := full()
	both, err := c.Dec(as.Actor, 5)
	require.NoError(t, err)
	give, err := c.Transfer(as.Actor, 2, 5)
	require.NoError(t, err)
	both.Join(give)
	own := state.Own(1)
	before := own.Clone()
	refused("BoundedCounter", func(m *Minter) error { return effectError(state.Observe(both, 0), m, own) })
	require.True(t, own.Equal(before), "%v", own.rows)
	require.Equal(t, before.Value(), own.Value())

	names := NewSet[string]().Add(as, "x")
	pair := NewPair(NewCounter(), NewPair(NewSet[string](), NewBoundedCounter()))
	refused("Pair", func(m *Minter) error {
		return effectError(NewPair(NewCounter().Add(as.Actor, 3), NewPair(names, spend(1))), m, pair)
	})
	require.True(t, pair.IsEmpty(), "%v", pair)

	table := NewGMap(stringCodec(), NewBoundedCounter)
	draft := NewGMap(stringCodec(), NewBoundedCounter)
	draft.put("a", NewBoundedCounter().Inc(as.Actor, 3))
	draft.put("b", spend(1))
	refused("GMap", func(m *Minter) error { return effectError(draft, m, table) })
	require.True(t, table.IsEmpty(), "%v", table)

	lex := NewLexPair(NewLexCounter(), NewBoundedCounter())
	change := NewLexPair(NewLexCounter().Add(as.Actor, 1), NewBoundedCounter())
	change.b = spend(1)
	refused("LexPair", func(m *Minter) error { return effectError(change, m, lex) })
	require.True(t, lex.IsEmpty(), "%v", lex)

	type shelf struct {
		Sold *Counter
		Left stock
	}
	layout := NewLayout("shelf",
		Field(2, "sold", func(s *shelf) **Counter { return &s.Sold }, CodecOf(DecodeCounter)),
		Field(3, "left", func(s *shelf) *stock { return &s.Left }, CodecOf(DecodeBoundedCounter)))
	s := layout.New()
	refused("Layout", func(m *Minter) error {
		_, err := layout.Effect(&shelf{NewCounter().Add(as.Actor, 3), spend(1)}, m, s)
		return err
	})
	require.True(t, layout.IsEmpty(s), "%v", layout.String(s))
}

// What went up and came down again is no change.
func TestLexCounterDraftsThatCancelOut(t *testing.T) {
	t.Parallel()
	own, c, as := NewLexCounter(), NewLexCounter(), NewDraft()
	own.Add(1, 7)
	draft := c.Add(as.Actor, 3)
	draft.Join(c.Add(as.Actor, -3))
	delta, err := Effect(draft, &Minter{Actor: 1}, own)
	require.NoError(t, err)
	require.Nil(t, delta)
}

// In a draft the rights are those that Dec allows; nobody has none.
func TestRightsOfDrafts(t *testing.T) {
	t.Parallel()
	c, as := NewBoundedCounter(), NewDraft()
	c.Inc(1, 8)
	_, err := c.Dec(1, 3)
	require.NoError(t, err)
	require.Zero(t, c.Rights(0))
	require.True(t, c.Own(0).IsEmpty())
	require.EqualValues(t, 5, c.Rights(as.Actor))
	_, err = c.Dec(as.Actor, 2)
	require.NoError(t, err)
	require.EqualValues(t, 3, c.Rights(as.Actor))
	_, err = c.Dec(as.Actor, 4)
	require.EqualError(t, err, "crdt: bounded counter: this draft has rights to 3 and wants 4: the counter holds no more")
	_, err = c.Dec(1, math.MaxUint64)
	require.EqualError(t, err, "crdt: bounded counter: actor 1 has rights to 5 and wants 18446744073709551615: was that a negative amount, made unsigned?")
	_, err = c.Dec(1, 7)
	require.ErrorContains(t, err, "have 2 transferred by an actor that has more")
}

// Who has no Effect has no identity, and is not advised to take one.
func TestDraftsOfTypesWithoutEffect(t *testing.T) {
	t.Parallel()
	require.Equal(t, NewDraft(), NewDraftOf[*Counter]())
	as := NewDraftOf[*mute]()
	require.Zero(t, as.Actor)
	require.PanicsWithValue(t, "crdt: *crdt.mute has no Effect, so its changes have no identity: give it Effect (see crdt.Operation), or use mutators that take no minter",
		func() { as.Mint() })
}
