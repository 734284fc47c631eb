package crdt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A pair's delta has the part that changed alone, and what joins it sees what it has not.
func TestPairsJoinByParts(t *testing.T) {
	t.Parallel()
	p := NewPair[*GCounter, *Set[string]](nil, nil)
	m := &Minter{Actor: 1}
	up := p.ChangeFirst(func(c *GCounter) *GCounter { return c.Add(1, 2) })
	tag := p.ChangeSecond(func(s *Set[string]) *Set[string] { return s.Add(m, "red") })
	require.True(t, up.Second().IsEmpty() && tag.First().IsEmpty())
	require.Nil(t, p.ChangeFirst(func(c *GCounter) *GCounter { return c.Add(1, 0) }))
	require.Nil(t, p.Join(up))
	require.Nil(t, p.Join(p))

	q := NewPair(NewGCounter(), NewSet[string]())
	both := up.Clone()
	both.Join(tag)
	require.True(t, q.Join(up).Equal(up))
	require.True(t, q.Join(both).Equal(tag), "what was known is no news")
	require.True(t, q.Equal(p))
	require.Equal(t, 2, q.Size())
	require.EqualValues(t, 2, q.First().Value())
	none := NewPair[*GCounter, *Set[string]](nil, nil)
	require.True(t, none.Join(both).Equal(both))
	none.ChangeFirst(func(c *GCounter) *GCounter { return c.Add(7, 1) })
	require.EqualValues(t, 2, both.First().Value(), "nothing is shared with the delta")
	require.True(t, q.Second().Contains("red"))
}

// Raising the first part voids the second one, wherever it was changed meanwhile.
func TestLexPairsFirstPartDominates(t *testing.T) {
	t.Parallel()
	up := func(p *sampleLexPair) *sampleLexPair {
		return p.ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(1, 1) })
	}
	count := func(p *sampleLexPair, a Actor) *sampleLexPair {
		return p.ChangeSecond(func(c *GCounter) *GCounter { return c.Add(a, 5) })
	}
	a := NewLexPair(NewLexCounter(), NewGCounter())
	b := a.Clone()
	b.Join(up(a))
	old := count(b, 2)
	raised := up(a)
	require.True(t, raised.Second().IsEmpty())
	require.Nil(t, a.Join(old), "it was counted in an epoch that has ended")
	require.True(t, b.Join(raised).Equal(raised))
	require.Zero(t, b.Second().Value())
	require.True(t, a.Equal(b))

	x, y := count(a, 1), count(b, 2)
	a.Join(y)
	require.True(t, b.Join(x).Equal(x))
	require.True(t, a.Equal(b))
	require.EqualValues(t, 10, a.Second().Value(), "within an epoch both count")
	require.Nil(t, up(a.Clone()).Join(nil))
	require.Nil(t, a.ChangeFirst(func(c *LexCounter) *LexCounter { return c.Add(1, 0) }))
	require.Nil(t, a.ChangeSecond(func(c *GCounter) *GCounter { return c.Add(1, 0) }))

	kept := count(a, 1) // what travels is not changed by what comes after it
	bytes := kept.String()
	ahead := a.Clone()
	up(ahead)
	up(a)
	require.Equal(t, bytes, kept.String())
	require.True(t, a.Equal(ahead))
	count(a, 1)

	// A replica that is behind gets the whole, one that is ahead nothing.
	behind := NewLexPair(NewLexCounter(), NewGCounter())
	answer, err := a.Since(behind.Digest())
	require.NoError(t, err)
	require.True(t, answer.Equal(a))
	answer, err = behind.Since(a.Digest())
	require.NoError(t, err)
	require.Nil(t, answer)
	count(behind, 9)
	answer, err = behind.Since(a.Digest())
	require.NoError(t, err)
	require.Nil(t, answer, "what has ended is not sent")
}

// First parts that are no chain are joined, and no second part of lesser first parts survives.
func TestLexPairsOfIncomparableFirstPartsConverge(t *testing.T) {
	t.Parallel()
	pair := func(a Actor) *LexPair[*GCounter, *GCounter] {
		p := NewLexPair(NewGCounter(), NewGCounter())
		p.ChangeFirst(func(c *GCounter) *GCounter { return c.Add(a, 1) })
		p.ChangeSecond(func(c *GCounter) *GCounter { return c.Add(a, 1) })
		return p
	}
	x, y := pair(1), pair(2)
	require.False(t, x.LessOrEqual(y) || y.LessOrEqual(x))
	novelty := x.Join(y)
	z := pair(1)
	require.NotNil(t, z.Join(novelty))
	require.True(t, z.Equal(x))
	y.Join(pair(1))
	require.True(t, x.Equal(y))
	require.EqualValues(t, 2, x.First().Value())
	require.True(t, x.Second().IsEmpty())
	require.Len(t, x.Parts(), 2)
}

// A part that was decoded or begun from nothing can be written to: it knows its codec.
func TestEmptyPartsKnowTheirCodecs(t *testing.T) {
	t.Parallel()
	reg := RegisterCodec(stringCodec())
	type regs = *Pair[*Register[string], *Register[string]]
	write := func(v string) func(*Register[string]) *Register[string] {
		return func(r *Register[string]) *Register[string] { return r.Set(1, 1, v) }
	}
	decode := func() regs {
		p, err := DecodePair(appendVersion(nil), reg, reg)
		require.NoError(t, err)
		return p
	}
	p, q := decode(), decode()
	d := p.ChangeFirst(write("a"))
	q.ChangeFirst(write("b"))
	q.Join(d) // at one time by one actor: values are compared
	v, _ := q.First().Get()
	require.Equal(t, "b", v)

	l, err := DecodeLexPair(appendVersion(nil), reg, reg)
	require.NoError(t, err)
	l.ChangeSecond(write("dropped"))
	l.ChangeFirst(write("x"))
	m := l.Clone()
	l.ChangeSecond(write("a"))
	m.Join(l)
	m.ChangeSecond(write("b"))
	v, _ = m.Second().Get()
	require.Equal(t, "b", v)

	maps := RegisterMapCodec(uintCodec(), stringCodec())
	table, err := maps.Decode(maps.Append(nil, nil))
	require.NoError(t, err)
	delta := table.Set(1, 1, 7, "v")
	require.True(t, maps.Clone(delta).Equal(table))

	broken := Codec[*GCounter]{Append: gcounterPart().Append, Decode: func([]byte) (*GCounter, error) { return nil, errBroken }}
	require.True(t, emptyPart(broken).IsEmpty())
	require.NotNil(t, emptyPart(broken))
}

var errBroken = &DecodeError{Message: "broken"}

func TestLayoutsAreCheckedWhenMade(t *testing.T) {
	t.Parallel()
	field := func(num int) StructField[sampleStruct] {
		return Field(num, "up", func(s *sampleStruct) **GCounter { return &s.Up }, gcounterPart())
	}
	for _, nums := range [][]int{{1}, {0}, {3, 2}, {2, 2}, {1 << 29}} {
		require.Panics(t, func() {
			var fields []StructField[sampleStruct]
			for _, n := range nums {
				fields = append(fields, field(n))
			}
			NewLayout("Bad", fields...)
		}, "%v", nums)
	}
	require.Nil(t, sampleLayout.Join(sampleLayout.New(), nil))
	s := structSample()
	require.Nil(t, sampleLayout.Join(s, s))
	require.Equal(t, 4, sampleLayout.Size(s))
	require.Equal(t, sampleLayout.Hash(nil), sampleLayout.Hash(sampleLayout.New()))
	require.NotEqual(t, sampleLayout.Hash(nil), sampleLayout.Hash(s))
	text, err := sampleLayout.JSON(s)
	require.NoError(t, err)
	require.JSONEq(t, `{"up":2,"both":[305,`+jsonOf(t, jsonText(t, pairSample().Second()))+`]}`, string(text))
}

// jsonText is what stands for a part in JSON that has none of its own.
func jsonText(t *testing.T, s *Set[string]) any {
	b, err := partJSON(s)
	require.NoError(t, err)
	return jsonRaw(b)
}

type jsonRaw []byte

func (r jsonRaw) MarshalJSON() ([]byte, error) { return r, nil }

// A delta of a lexicographic pair becomes the state where there was none: under a key of a map, or as a part
// that was nil. The second part must know its codecs there too.
func TestLexPairInMapKeepsItsEmptySecond(t *testing.T) {
	t.Parallel()
	type inner = *GMap[string, *Counter]
	type lex = *LexPair[*GCounter, inner]
	least := func() lex { return NewLexPair(NewGCounter(), NewGMap(stringCodec(), NewCounter)) }
	raise := func(p lex) lex { return p.ChangeFirst(func(c *GCounter) *GCounter { return c.Add(1, 1) }) }
	count := func(p lex) lex {
		return p.ChangeSecond(func(m inner) inner {
			return m.Update("x", func(c *Counter) *Counter { return c.Add(2, 1) })
		})
	}
	requireCounts := func(p lex) {
		t.Helper()
		require.NotPanics(t, func() { count(p) })
		x, ok := p.Second().Get("x")
		require.True(t, ok)
		require.EqualValues(t, 1, x.Value())
	}

	a, b := NewGMap(stringCodec(), least), NewGMap(stringCodec(), least)
	b.Join(a.Update("k", raise))
	b.Update("k", count)
	p, _ := b.Get("k")
	require.EqualValues(t, 1, p.Second().Len())

	zero := &GMap[string, lex]{} // takes what it lacks from the delta
	zero.Join(a)
	zero.Update("k", count)

	delta := raise(least())
	requireCounts(delta.Clone())
	parts := NewPair[lex, *Counter](nil, nil)
	parts.Join(NewPair[lex, *Counter](delta, nil))
	requireCounts(parts.First())
	novelty := least().Join(delta)
	requireCounts(novelty)
	requireCounts(delta.Parts()[0])

	// What was in the second part is dropped with its first part, and what follows knows its codecs again.
	both := NewPair[lex, *Counter](nil, nil)
	first := least()
	both.Join(NewPair[lex, *Counter](raise(first), nil))
	both.Join(NewPair[lex, *Counter](count(first), nil))
	both.Join(NewPair[lex, *Counter](raise(first), nil))
	require.Zero(t, both.First().Second().Len())
	requireCounts(both.First())
}
