package crdt

import (
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
	require.Zero(t, state.Rights(draftActor))
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
