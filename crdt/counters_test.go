package crdt

import (
	"errors"
	"maps"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func gcounterPart() Codec[*GCounter] { return CodecOf(DecodeGCounter) }

func sampleGCounter() *GCounter {
	c := NewGCounter()
	c.Add(1, 5)
	c.Add(1<<40, 300)
	return c
}

func sampleLexCounter() *LexCounter {
	c := NewLexCounter()
	c.Add(1, 5)
	c.Add(1, -9)
	c.Add(1, 1)
	c.Add(7, 1<<40)
	return c
}

func sampleBounded(t require.TestingT) *BoundedCounter {
	c := NewBoundedCounter()
	c.Inc(1, 10)
	_, err := c.Transfer(1, 2, 4)
	require.NoError(t, err)
	_, err = c.Dec(2, 3)
	require.NoError(t, err)
	c.Inc(300, 1)
	_, err = c.Transfer(300, 2, 1)
	require.NoError(t, err)
	return c
}

func sampleReset() *ResetCounter {
	c := NewResetCounter()
	c.Add(1, 5)
	c.Add(1, -2)
	c.Reset()
	c.Add(1, 1)
	c.Add(9, -300)
	return c
}

type (
	samplePair    = Pair[*GCounter, *Set[string]]
	sampleLexPair = LexPair[*LexCounter, *GCounter]
)

func pairSample() *samplePair {
	s := NewSet[string]()
	s.Add(&Minter{Actor: 1}, "red")
	return NewPair(sampleGCounter(), s)
}

func lexPairSample() *sampleLexPair {
	p := NewLexPair(NewLexCounter(), NewGCounter())
	p.ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(1, 2) })
	p.ChangeSecond(func(c *GCounter) *GCounter { return c.Add(3, 4) })
	return p
}

type sampleStruct struct {
	Up   *GCounter
	Both *samplePair
}

var sampleLayout = NewLayout("Sample",
	Field(2, "up", func(s *sampleStruct) **GCounter { return &s.Up }, gcounterPart()),
	Field(4, "both", func(s *sampleStruct) **samplePair { return &s.Both }, PairCodec(gcounterPart(), SetCodec(stringCodec()))),
)

func structSample() *sampleStruct {
	s := sampleLayout.New()
	s.Up.Add(1, 2)
	s.Both.Join(pairSample())
	return s
}

func TestCounterGolden(t *testing.T) {
	requireGolden(t, "GCounter-two", sampleGCounter().Append(nil))
	requireGolden(t, "GCounterOp", GCounterOp{N: 300}.Append(nil))
	requireGolden(t, "LexCounter-two", sampleLexCounter().Append(nil))
	requireGolden(t, "LexCounterOp", LexCounterOp{N: -300}.Append(nil))
	requireGolden(t, "LexRow", LexRow{Epoch: 7, V: -300}.Append(nil))
	requireGolden(t, "BoundedCounter-three", sampleBounded(t).Append(nil))
	requireGolden(t, "BoundedCounterOp", BoundedCounterOp{Inc: 1, Dec: 2, Give: 3, To: 300}.Append(nil))
	requireGolden(t, "ResetCounter-two", sampleReset().Append(nil))
	requireGolden(t, "ResetCounterOp", sampleReset().Prepare(ResetCounterOp{Reset: true, N: -1}).Append(nil))
	first, second := gcounterPart(), SetCodec(stringCodec())
	requireGolden(t, "Pair-counter-set", pairSample().Append(nil, first, second))
	requireGolden(t, "Pair-digest", pairSample().Digest())
	requireGolden(t, "LexPair-counters", lexPairSample().Append(nil, CodecOf(DecodeLexCounter), first))
	requireGolden(t, "LexPair-digest", lexPairSample().Digest())
	requireGolden(t, "Struct-sample", sampleLayout.Append(nil, structSample()))
	requireGolden(t, "Struct-digest", sampleLayout.Digest(structSample()))
	requireGolden(t, "Counter-empty", NewGCounter().Append(nil))
}

// A reset names what it observed of each actor. Had it set rows back instead, the maximum would bring the
// old rows back, or swallow what was added since (TestCounterOracleFindsKnownWrongTurns does that).
func TestResetsNameWhatTheyObserved(t *testing.T) {
	t.Parallel()
	a, b := NewResetCounter(), NewResetCounter()
	five := a.Add(1, 5)
	b.Join(five)
	reset := b.Reset()
	two := a.Add(1, 2) // at the same time
	a.Join(reset)
	b.Join(two)
	require.True(t, a.Equal(b))
	require.EqualValues(t, 2, a.Value(), "the reset takes the five and not the two")
	require.Nil(t, a.Join(five), "what was reset does not come back")
	require.EqualValues(t, 2, a.Value())

	c := NewResetCounter() // the reset comes first, then what it had observed
	c.Join(reset)
	require.Zero(t, c.Value())
	require.NotNil(t, c.Join(five))
	require.Zero(t, c.Value())
	require.NotNil(t, c.Join(two))
	require.EqualValues(t, 2, c.Value())

	d := NewResetCounter() // an owner that only knows of its reset goes on above it
	d.Join(reset)
	require.Equal(t, CounterRow{P: 5}, d.Row(1))
	d.Add(1, 3)
	require.EqualValues(t, 3, d.Value())

	require.NotNil(t, a.Reset())
	require.Nil(t, a.Reset(), "nothing is left")
	require.Zero(t, a.Value())
	require.Empty(t, maps.Collect(a.All()))
	require.Equal(t, map[Actor]CounterRow{1: {P: 1}, 9: {N: 300}}, maps.Collect(sampleReset().All()))
	for range sampleReset().All() {
		break
	}
}

// A block's reset is prepared where the state is, and takes effect where only the row is.
func TestResetOperations(t *testing.T) {
	t.Parallel()
	c := NewResetCounter()
	c.Add(1, 5)
	c.Add(2, -1)
	op := c.Prepare(ResetCounterOp{Reset: true, N: 7})
	require.Equal(t, []ObservedRow{{1, CounterRow{P: 5}}, {2, CounterRow{N: 1}}}, op.Observed)
	got, err := DecodeResetCounterOp(op.Append(nil))
	require.NoError(t, err)
	require.Equal(t, op, got)
	c.Add(1, 2) // concurrent: it stays
	row := CounterRow{}
	c.Join(got.Effect(100, &row))
	require.EqualValues(t, 9, c.Value())
	require.Equal(t, CounterRow{P: 7}, row)

	require.Nil(t, c.Prepare(ResetCounterOp{N: 1, Observed: op.Observed}).Observed)
	require.Nil(t, ResetCounterOp{}.Effect(0, nil))
	require.Nil(t, ResetCounterOp{Reset: true}.Effect(0, nil), "nothing was observed")
	require.Panics(t, func() { ResetCounterOp{N: 1}.Effect(0, &row) })
	full := CounterRow{P: math.MaxUint64, N: math.MaxUint64 - 1}
	require.Nil(t, ResetCounterOp{N: 1}.Effect(1, &full))
	require.NotNil(t, ResetCounterOp{N: math.MinInt64}.Effect(1, &full))
	require.EqualValues(t, uint64(math.MaxUint64), full.N)
	require.Nil(t, ResetCounterOp{N: -1}.Effect(1, &full))
}

// Rights decide, not the value; what is refused changes nothing; amounts cannot be negative, and sums that
// would wrap around are refused.
func TestBoundedCounterRefuses(t *testing.T) {
	t.Parallel()
	c := NewBoundedCounter()
	c.Inc(1, 10)
	refused := func(want *NoRights, f func() (*BoundedCounter, error)) {
		t.Helper()
		before := c.Clone()
		delta, err := f()
		require.Nil(t, delta)
		var no *NoRights
		require.True(t, errors.As(err, &no), "%v", err)
		require.Equal(t, want, no)
		require.NotEmpty(t, no.Error())
		require.True(t, before.Equal(c), "what is refused changes nothing")
	}
	refused(&NoRights{2, 0, 1}, func() (*BoundedCounter, error) { return c.Dec(2, 1) })
	refused(&NoRights{1, 10, 11}, func() (*BoundedCounter, error) { return c.Dec(1, 11) })
	refused(&NoRights{1, 10, 11}, func() (*BoundedCounter, error) { return c.Transfer(1, 2, 11) })
	refused(&NoRights{1, 10, 11}, func() (*BoundedCounter, error) { return c.Transfer(1, 1, 11) })
	_, err := c.Transfer(1, 2, 4)
	require.NoError(t, err)
	refused(&NoRights{1, 6, 7}, func() (*BoundedCounter, error) { return c.Dec(1, 7) })
	_, err = c.Dec(2, 4)
	require.NoError(t, err)
	refused(&NoRights{2, 0, 1}, func() (*BoundedCounter, error) { return c.Transfer(2, 1, 1) })
	require.EqualValues(t, 6, c.Value())
	require.Equal(t, map[Actor]uint64{1: 6, 2: 0}, maps.Collect(c.All()))
	for range c.All() {
		break
	}

	for _, nothing := range []func() (*BoundedCounter, error){
		func() (*BoundedCounter, error) { return c.Inc(1, 0), nil },
		func() (*BoundedCounter, error) { return c.Dec(1, 0) },
		func() (*BoundedCounter, error) { return c.Transfer(1, 2, 0) },
		func() (*BoundedCounter, error) { return c.Transfer(1, 1, 6) },
	} {
		delta, err := nothing()
		require.NoError(t, err)
		require.Nil(t, delta)
	}
	require.Panics(t, func() { c.Inc(0, 1) })
	require.Panics(t, func() { _, _ = c.Transfer(1, 0, 1) })

	// A minus one in two's complement is the largest number, and is refused as such.
	minusOne := uint64(math.MaxUint64)
	refused(&NoRights{1, 6, minusOne}, func() (*BoundedCounter, error) { return c.Transfer(1, 2, minusOne) })
	refused(&NoRights{1, 6, minusOne}, func() (*BoundedCounter, error) {
		return BoundedCounterOp{Dec: 3, Give: minusOne, To: 2}.Effect(1, c)
	})

	// What is taken and given at once comes from the same rights.
	refused(&NoRights{1, 6, 8}, func() (*BoundedCounter, error) {
		return BoundedCounterOp{Dec: 4, Give: 4, To: 2}.Effect(1, c)
	})

	// Nothing is taken that the number cannot show: spending beyond it would be free.
	full := NewBoundedCounter()
	full.Inc(1, math.MaxUint64)
	full.Inc(2, math.MaxUint64)
	require.Nil(t, full.Inc(1, 1))
	require.EqualValues(t, uint64(math.MaxUint64), full.Value())
	_, err = full.Dec(1, math.MaxUint64)
	require.NoError(t, err)
	_, err = full.Transfer(2, 1, math.MaxUint64)
	require.NoError(t, err)
	require.EqualValues(t, uint64(math.MaxUint64), full.Rights(1))
	_, err = full.Dec(1, 1)
	require.Equal(t, &NoRights{1, 0, 1}, err)
	_, err = full.Transfer(1, 2, 1)
	require.NoError(t, err)
	full.Inc(2, 1)
	_, err = full.Transfer(2, 1, 1)
	require.Equal(t, &NoRights{2, 0, 1}, err, "and nothing is given")
}

// A block spends from the row of the group: it holds that row and what it was given, no more. What it does
// is kept before it is told: from the row as kept and the deltas since, the rights come out the same.
func TestBoundedOperationsNeedTheirRowAlone(t *testing.T) {
	t.Parallel()
	c := sampleBounded(t)
	own := c.Own(2)
	require.Equal(t, c.Rights(2), own.Rights(2))
	require.EqualValues(t, 2, own.Rights(2))
	require.Less(t, own.Size(), c.Size())
	kept, err := DecodeBoundedCounter(own.Append(nil))
	require.NoError(t, err)

	op := BoundedCounterOp{Inc: 3, Dec: 1, Give: 4, To: 1}
	got, err := DecodeBoundedCounterOp(op.Append(nil))
	require.NoError(t, err)
	require.Equal(t, op, got)
	delta, err := got.Effect(2, own)
	require.NoError(t, err)
	require.Equal(t, 3, delta.Size())
	c.Join(delta)
	require.EqualValues(t, 0, c.Rights(2))
	require.EqualValues(t, 10, c.Rights(1))
	require.EqualValues(t, 10, c.Value())

	restored := kept.Clone()
	restored.Join(delta)
	require.True(t, restored.Equal(own))
	_, err = BoundedCounterOp{Dec: 1}.Effect(2, restored)
	require.Equal(t, &NoRights{2, 0, 1}, err)
	_, err = BoundedCounterOp{Dec: 1}.Effect(2, kept)
	require.NoError(t, err, "had the delta not been kept, the same rights would be spent twice")

	// Who has heard of a decrement and not of what covers it shows zero, and is right later.
	d, spent := NewBoundedCounter(), NewBoundedCounter()
	d.Inc(1, 5)
	gift, err := d.Transfer(1, 2, 5)
	require.NoError(t, err)
	spent.Join(gift)
	spend, err := spent.Dec(2, 5)
	require.NoError(t, err)
	require.Zero(t, spent.Value())
	require.Zero(t, spent.Rights(1), "what it gave it has incremented, which is not known here")
	d.Join(spend)
	require.Zero(t, d.Value())
	d.Inc(1, 1)
	require.EqualValues(t, 1, d.Value())
}

func TestGCounterStopsAtItsLargest(t *testing.T) {
	t.Parallel()
	c := NewGCounter()
	require.Nil(t, c.Add(1, 0))
	c.Add(1, math.MaxUint64-1)
	require.EqualValues(t, uint64(math.MaxUint64-1), c.Value())
	c.Add(2, 7)
	require.EqualValues(t, uint64(math.MaxUint64), c.Value(), "a grow-only counter never falls")
	require.NotNil(t, c.Add(1, 9))
	require.Nil(t, c.Add(1, 9))
	require.Panics(t, func() { c.Add(0, 1) })
	require.Equal(t, map[Actor]uint64{1: math.MaxUint64, 2: 7}, maps.Collect(c.All()))
	for range c.All() {
		break
	}
	row := CounterRow{P: 2, N: 4}
	delta := GCounterOp{N: 3}.Effect(5, &row)
	require.Equal(t, CounterRow{P: 5, N: 4}, row)
	require.EqualValues(t, 5, delta.Value())
	require.True(t, sampleGCounter().Clone().Equal(sampleGCounter()))
	c.Join(c)
	require.Equal(t, 2, c.Size())
}

func TestLexCounterRows(t *testing.T) {
	t.Parallel()
	c := NewLexCounter()
	require.Nil(t, c.Add(1, 0))
	c.Add(1, 5)
	require.Equal(t, LexRow{0, 5}, c.Row(1))
	late := c.Clone()
	c.Add(1, -2)
	require.Equal(t, LexRow{1, 3}, c.Row(1), "a decrement begins an epoch")
	c.Add(1, 4)
	require.Equal(t, LexRow{1, 7}, c.Row(1))
	require.Nil(t, c.Join(late), "what was higher in an earlier epoch does not come back")
	require.EqualValues(t, 7, c.Value())
	require.Equal(t, map[Actor]LexRow{1: {1, 7}}, maps.Collect(c.All()))
	for range c.All() {
		break
	}

	for _, tc := range []struct {
		from LexRow
		n    int64
		to   LexRow
	}{
		{LexRow{3, math.MaxInt64 - 1}, 5, LexRow{3, math.MaxInt64}},
		{LexRow{3, math.MinInt64 + 1}, -5, LexRow{4, math.MinInt64}},
		{LexRow{3, -5}, math.MaxInt64, LexRow{3, math.MaxInt64 - 5}},
		{LexRow{3, 5}, math.MinInt64, LexRow{4, math.MinInt64 + 5}},
		{LexRow{3, math.MinInt64}, math.MaxInt64, LexRow{3, -1}},
	} {
		row := tc.from
		delta := LexCounterOp{N: tc.n}.Effect(1, &row)
		require.Equal(t, tc.to, row)
		require.Equal(t, tc.to, delta.Row(1))
	}
	require.Nil(t, LexCounterOp{N: 1}.Effect(1, &LexRow{3, math.MaxInt64}))
	require.Panics(t, func() { LexCounterOp{N: -1}.Effect(1, &LexRow{math.MaxUint64, 0}) })
	require.Panics(t, func() { LexCounterOp{N: -1}.Effect(0, &LexRow{}) })
	got, err := DecodeLexRow(LexRow{4, -5}.Append(nil))
	require.NoError(t, err)
	require.Equal(t, LexRow{4, -5}, got)
}

func TestNilCountersAndCompositionsAreEmpty(t *testing.T) {
	t.Parallel()
	requireNilIsEmpty(t, NewGCounter())
	requireNilIsEmpty(t, NewLexCounter())
	requireNilIsEmpty(t, NewBoundedCounter())
	requireNilIsEmpty(t, NewResetCounter())
	requireNilIsEmpty(t, NewPair(NewGCounter(), NewSet[string]()))
	requireNilIsEmpty(t, NewLexPair(NewGCounter(), NewGCounter()))
	require.Zero(t, (*GCounter)(nil).Value()+(*BoundedCounter)(nil).Value()+(*BoundedCounter)(nil).Rights(1))
	require.Zero(t, (*LexCounter)(nil).Value()+(*ResetCounter)(nil).Value())
	require.Empty(t, (*ResetCounter)(nil).Prepare(ResetCounterOp{Reset: true}).Observed)
	require.True(t, (*BoundedCounter)(nil).Own(1).IsEmpty())
}

func requireNilIsEmpty[L Lattice[L]](t *testing.T, empty L) {
	t.Helper()
	var none L
	require.True(t, none.IsEmpty() && empty.IsEmpty() && none.Equal(empty) && empty.Equal(none) && none.LessOrEqual(empty))
	require.Zero(t, none.Size()+len(none.Parts())+len(empty.Parts()))
	require.Equal(t, empty.Hash(), none.Hash())
	require.Equal(t, empty.Digest(), none.Digest())
	require.Equal(t, none, empty.Join(none))
	require.NotEmpty(t, none.String())
	lacking, err := none.Since(empty.Digest())
	require.NoError(t, err)
	require.Equal(t, none, lacking)
	_, err = none.Since([]byte{1})
	require.Error(t, err)
	clone := none.Clone()
	require.Equal(t, none, clone.Join(empty))
	require.True(t, clone.Equal(empty))
}

func TestReadableForms(t *testing.T) {
	t.Parallel()
	require.Equal(t, "GCounter(305 of 2 rows) 305", sampleGCounter().String()+" "+jsonOf(t, sampleGCounter()))
	require.Equal(t, "LexCounter(1099511627773 of 2 rows) 1099511627773", sampleLexCounter().String()+" "+jsonOf(t, sampleLexCounter()))
	require.Equal(t, "BoundedCounter(8 of 3 rows)", sampleBounded(t).String())
	require.JSONEq(t, `{"value":8,"rights":{"1":6,"2":2,"300":0}}`, jsonOf(t, sampleBounded(t)))
	require.Equal(t, "ResetCounter(-299 of 2 rows) -299", sampleReset().String()+" "+jsonOf(t, sampleReset()))
	require.Equal(t, "(GCounter(305 of 2 rows), Set(1)[red]{1:1})", pairSample().String())
	require.Equal(t, "(LexCounter(2 of 1 rows); GCounter(4 of 1 rows))", lexPairSample().String())
	require.JSONEq(t, `[2,4]`, jsonOf(t, lexPairSample()))
	require.Equal(t, "Sample{up: GCounter(2 of 1 rows), both: (GCounter(305 of 2 rows), Set(1)[red]{1:1})}",
		sampleLayout.String(structSample()))

	require.Equal(t, len(sampleGCounter().Append(nil)), sampleGCounter().EncodedSize())
	require.Equal(t, len(sampleLexCounter().Append(nil)), sampleLexCounter().EncodedSize())
	require.Equal(t, len(sampleBounded(t).Append(nil)), sampleBounded(t).EncodedSize())
	require.Equal(t, len(sampleReset().Append(nil)), sampleReset().EncodedSize())
	first, second := gcounterPart(), SetCodec(stringCodec())
	require.Equal(t, len(pairSample().Append(nil, first, second)), pairSample().EncodedSize(first, second))
	lex := CodecOf(DecodeLexCounter)
	require.Equal(t, len(lexPairSample().Append(nil, lex, first)), lexPairSample().EncodedSize(lex, first))
	require.Equal(t, len(sampleLayout.Append(nil, structSample())), sampleLayout.EncodedSize(structSample()))
}

// At its largest a number stays, and saying so would be a delta that says nothing.
func TestFullCounterSaysNothing(t *testing.T) {
	t.Parallel()
	c := NewCounter()
	row := CounterRow{P: math.MaxUint64 - 1, N: math.MaxUint64}
	c.raise(1, row.P, row.N)
	require.NotNil(t, c.Add(1, 2))
	require.Nil(t, c.Add(1, 1), "nothing grew")
	require.Nil(t, c.Add(1, -1), "nothing grew")
	require.Nil(t, CounterOp{N: -1}.Effect(1, &row))
	require.Nil(t, CounterOp{}.Effect(1, &row))
	require.NotNil(t, CounterOp{N: 1}.Effect(1, &row))
	require.EqualValues(t, uint64(math.MaxUint64), row.P)
}

func TestCounterTellsItsRowsAndSize(t *testing.T) {
	t.Parallel()
	c := NewCounter()
	c.Add(300, -2)
	c.Add(1, 7)
	c.Add(300, 1)
	rows := map[Actor]CounterRow{}
	var actors []Actor
	for a, row := range c.All() {
		rows[a], actors = row, append(actors, a)
	}
	require.Equal(t, map[Actor]CounterRow{1: {P: 7}, 300: {P: 1, N: 2}}, rows)
	require.Equal(t, []Actor{1, 300}, actors)
	for range c.All() {
		break
	}
	for range (*Counter)(nil).All() {
		t.Fatal("nil has no rows")
	}
	require.Equal(t, len(c.Append(nil)), c.EncodedSize())
}

// Counters are their own digests; what is no digest is not called a counter.
func TestErrorsOfDigestsOfCountersSayDigest(t *testing.T) {
	t.Parallel()
	bad := []byte{8, 1, 18, 2, 8}
	since := func(l any) error {
		switch c := l.(type) {
		case *Counter:
			_, err := c.Since(bad)
			return err
		case *GCounter:
			_, err := c.Since(bad)
			return err
		case *LexCounter:
			_, err := c.Since(bad)
			return err
		case *ResetCounter:
			_, err := c.Since(bad)
			return err
		case *BoundedCounter:
			_, err := c.Since(bad)
			return err
		}
		return nil
	}
	for name, c := range map[string]any{
		"Counter": NewCounter(), "GCounter": NewGCounter(), "LexCounter": NewLexCounter(),
		"ResetCounter": NewResetCounter(), "BoundedCounter": NewBoundedCounter(),
	} {
		err := since(c)
		require.ErrorContains(t, err, "crdt: decode "+name+"Digest at byte", name)
		var e *DecodeError
		require.ErrorAs(t, err, &e)
		require.Equal(t, name+"Digest", e.Message)
	}
	_, err := DecodeCounter(bad)
	require.ErrorContains(t, err, "crdt: decode Counter at byte")
}
