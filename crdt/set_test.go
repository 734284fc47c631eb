package crdt

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

func uintCodec() Codec[uint64] {
	return Codec[uint64]{
		Append: protowire.AppendVarint,
		Decode: func(b []byte) (uint64, error) {
			v, n := protowire.ConsumeVarint(b)
			if n != len(b) || n != protowire.SizeVarint(v) {
				return 0, &DecodeError{Message: "uint64", Reason: "not a varint"}
			}
			return v, nil
		},
	}
}

// requireSound checks what the two forms of a store promise.
func requireSound[E comparable](t require.TestingT, s *Set[E]) {
	byElement := map[E][]Dot{}
	var n int
	var sum uint64
	var last Dot
	for d, e := range s.AllDots() {
		require.Positive(t, d.Compare(last), "dots in order")
		require.True(t, s.ctx.Contains(d), "live dots are seen")
		got, ok := s.live.get(d)
		require.True(t, ok)
		require.Equal(t, e, got)
		byElement[e] = append(byElement[e], d)
		n, sum, last = n+1, sum+d.hash(), d
	}
	require.Equal(t, s.live.size(), n)
	require.Equal(t, s.live.sum(), sum)
	require.Equal(t, s.Len(), len(byElement))
	for e, dots := range byElement {
		require.Equal(t, dots, s.Dots(e))
		require.True(t, s.Contains(e))
	}
	var all []E
	for e := range s.All() {
		all = append(all, e)
	}
	require.Len(t, all, len(byElement), "All yields each element once")
	if !s.live.indexed() {
		return
	}
	require.Empty(t, s.live.flat())
	big := s.live.big()
	require.Equal(t, len(byElement), big.elements.n)
	requireSoundSpots(t, &big.elements, big)
	for e, dots := range byElement {
		at := big.slotOf(e)
		require.Equal(t, dots[0], big.dot(at.spot()), "its spot is that of the first dot")
		require.Equal(t, len(dots) > 1, at.spot().several())
		if at.spot().several() {
			require.Equal(t, dots, big.multi[e])
		} else {
			require.NotContains(t, big.multi, e)
		}
	}
	require.Len(t, big.blocks, 1+requireSoundRows(t, big)+len(big.free))
	for _, number := range big.free {
		require.Nil(t, big.blocks[number])
	}
}

// requireSoundRows checks the index by dot and returns the number of blocks.
func requireSoundRows[E comparable](t require.TestingT, x *indexed[E]) (blocks int) {
	for _, r := range x.rows {
		require.NotEmpty(t, r.blocks)
		for _, b := range r.blocks {
			require.NotEmpty(t, b.es)
			require.Equal(t, b.live.count(), len(b.es))
			require.Equal(t, r.actor, b.actor)
			require.Same(t, b, x.blocks[b.number])
			blocks++
		}
	}
	return blocks
}

// requireSoundSpots checks the directory and the tables of an index by element.
func requireSoundSpots(t require.TestingT, p *spots, all hashed) {
	n, deepest := 0, 0
	seen := map[*table]bool{}
	for i, tab := range p.dir {
		share := 1 << (64 - p.shift - tab.depth)
		require.Same(t, tab, p.dir[i&^(share-1)], "a table stands in the directory once for each value of the bits it does not look at")
		if seen[tab] {
			continue
		}
		seen[tab] = true
		deepest += boolInt(share == 1)
		used := 0
		for i, s := range tab.slots {
			if s == 0 {
				continue
			}
			used++
			h := all.hashAt(s.spot())
			require.Same(t, tab, p.table(h))
			_, found := p.find(h, s.spot()&^severalDots)
			require.Equal(t, i, found)
		}
		require.Equal(t, tab.n, used)
		n += used
	}
	require.Equal(t, p.n, n)
	require.Equal(t, p.deepest, deepest)
	require.True(t, deepest > 0 || len(p.dir) == 0, "the directory looks at no bit in vain")
}

// What changes have cost is counted on when a set is emptied, and a set tells how long its encoding is.
func TestStepsAndSizeOfClearedSets(t *testing.T) {
	t.Parallel()
	s, m := NewSet[uint64](), &Minter{Actor: 1}
	for e := range uint64(300) {
		s.Add(m, e)
	}
	require.Equal(t, len(s.Append(nil, uintCodec())), s.EncodedSize(uintCodec()))
	before := s.Steps()
	require.Positive(t, before)
	require.Equal(t, 1, s.Clear().Context().NumRuns(), "all of them")
	require.GreaterOrEqual(t, s.Steps(), before)
	require.Zero(t, s.Len())
	requireSound(t, s)
	s.Add(m, 1)
	require.Greater(t, s.Steps(), before)
	requireSound(t, s)
	require.Nil(t, NewSet[uint64]().Clear())
}

// TestLargeSets runs sets of several blocks through everything, against maps.
func TestLargeSets(t *testing.T) {
	t.Parallel()
	for seed := range seeds.Of(t, 6) {
		r := rand.New(rand.NewPCG(seed, 7))
		ms := []*Minter{{Actor: 3}, {Actor: 1, Next: 250}, {Actor: 1 << 60, Next: 1 << 40}}
		sets := []*Set[uint64]{NewSet[uint64](), NewSet[uint64](), NewSet[uint64]()}
		mirrors := []map[Dot]uint64{{}, {}, {}}
		var deltas []*Set[uint64]
		for range 60 {
			i := r.IntN(len(sets))
			join := func(d *Set[uint64]) {
				before := sets[i].Clone()
				novelty := sets[i].JoinTrace(d,
					func(e uint64, d Dot) { mirrors[i][d] = e },
					func(e uint64, d Dot) {
						require.Equal(t, mirrors[i][d], e)
						delete(mirrors[i], d)
					})
				require.True(t, novelty.LessOrEqual(d))
				if novelty != nil {
					requireSound(t, novelty)
				}
				before.Join(novelty)
				require.True(t, before.Equal(sets[i]))
			}
			switch r.IntN(4) {
			case 0, 1:
				es := make([]uint64, r.IntN(300))
				for k := range es {
					es[k] = r.Uint64N(900)
				}
				op := sets[i].Prepare(SetOp[uint64]{Add: es, Remove: es[:len(es)/3]})
				if r.IntN(2) == 0 {
					op.Add = nil
				}
				op = sets[i].Prepare(op)
				d := op.Effect(ms[i])
				deltas = append(deltas, d)
				join(d)
			case 2:
				if len(deltas) > 0 {
					join(deltas[r.IntN(len(deltas))])
				}
			case 3:
				other := sets[r.IntN(len(sets))]
				answer, err := other.Since(sets[i].Digest())
				require.NoError(t, err)
				join(answer)
				require.True(t, other.LessOrEqual(sets[i]))
			}
			requireSound(t, sets[i])
			require.Equal(t, mirrors[i], maps.Collect(sets[i].AllDots()), "seed %d", seed)
			got, err := DecodeSet(sets[i].Append(nil, uintCodec()), uintCodec())
			require.NoError(t, err)
			require.True(t, got.Equal(sets[i]))
			require.Equal(t, sets[i].Hash(), got.Hash())
			requireSound(t, got)
		}
		cleared := sets[0].Clone()
		d := cleared.Clear()
		sets[0].Join(d)
		require.True(t, sets[0].Equal(cleared))
		require.Zero(t, sets[0].Len())
	}
}

func TestAddsOneByOneEqualTheirDeltas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, follower, m := NewSet[uint64](), NewSet[uint64](), &Minter{Actor: 1}
		back := &Minter{Actor: 2}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			e := rapid.Uint64Range(0, 40).Draw(t, "e")
			var d *Set[uint64]
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				d = s.Remove(e)
			case 1: // by another at the same time, so that an element has several dots
				d = NewSet[uint64]().Add(back, e)
				s.Join(d)
			default:
				d = s.Add(m, e)
			}
			follower.Join(d)
			requireSound(t, s)
			require.True(t, s.Equal(follower))
		}
	})
}

func TestSetOp(t *testing.T) {
	t.Parallel()
	s, m := NewSet[string](), &Minter{Actor: 4}
	s.Add(m, "a", "b", "c")

	op := s.Prepare(SetOp[string]{Add: []string{"b", "n", "n"}, Remove: []string{"a", "b", "nobody"}})
	require.Equal(t, []Dot{{4, 1}, {4, 2}}, op.Observed)
	enc := AppendSetOp(nil, op, stringCodec())
	got, err := DecodeSetOp(enc, stringCodec())
	require.NoError(t, err)
	require.Equal(t, op, got)
	require.Equal(t, enc, AppendSetOp(nil, got, stringCodec()))

	group := &Minter{Actor: 9} // of a state machine that holds no set
	d := got.Effect(group)
	require.Equal(t, &Minter{Actor: 9, Next: 2}, group)
	require.True(t, d.Equal(op.Effect(&Minter{Actor: 9})), "the same op and minter, the same delta")
	s.Add(m, "a") // concurrent with the op: it stays
	s.Join(d)
	require.Equal(t, []string{"a", "b", "c", "n"}, slices.Sorted(s.All()))
	require.Equal(t, []Dot{{9, 1}}, s.Dots("b"), "removes come first")

	require.Nil(t, SetOp[string]{Remove: []string{"a"}}.Effect(nil), "nothing was observed")
	require.Nil(t, SetOp[string]{}.Effect(nil))
	require.Nil(t, SetOp[string]{Observed: []Dot{{}}}.Effect(nil))
	require.Empty(t, (*Set[string])(nil).Prepare(op).Observed)
}

func TestNilIsEmpty(t *testing.T) {
	t.Parallel()
	var s *Set[int]
	require.Zero(t, s.Len()+s.Size()+len(slices.Collect(s.All()))+len(s.Dots(1))+len(s.Parts()))
	require.True(t, s.IsEmpty() && s.Equal(NewSet[int]()) && NewSet[int]().Equal(s) && s.LessOrEqual(nil))
	require.Nil(t, NewSet[int]().Join(s))
	require.NotNil(t, s.Clone())
	require.Equal(t, NewSet[int]().Hash(), s.Hash())
	require.Equal(t, NewSet[int]().Digest(), s.Digest())
	none, err := s.Since(NewSet[int]().Digest())
	require.NoError(t, err)
	require.Nil(t, none)

	var c *Counter
	require.True(t, c.IsEmpty() && c.Value() == 0 && c.Equal(NewCounter()) && c.LessOrEqual(nil))
	require.Nil(t, NewCounter().Join(c))
	require.Equal(t, NewCounter().Digest(), c.Digest())

	var r *Register[string]
	_, ok := r.Get()
	require.True(t, !ok && r.IsEmpty() && r.Equal(NewRegister(stringCodec())) && r.LessOrEqual(nil))
	require.Nil(t, NewRegister(stringCodec()).Join(r))
	require.Equal(t, NewRegister(stringCodec()).Digest(), r.Digest())

	var m *RegisterMap[string, string]
	_, ok = m.Get("k")
	require.True(t, !ok && m.IsEmpty() && m.Equal(NewRegisterMap(stringCodec(), stringCodec())) && m.LessOrEqual(nil))
	require.Nil(t, NewRegisterMap(stringCodec(), stringCodec()).Join(m))
	require.Equal(t, NewRegisterMap(stringCodec(), stringCodec()).Digest(), m.Digest())
}

func TestRegisterOpsTravel(t *testing.T) {
	t.Parallel()
	codec := stringCodec()
	r := NewRegister(codec)
	op := r.Prepare(RegisterOp[string]{Value: "v"}, -3)
	got, err := DecodeRegisterOp(AppendRegisterOp(nil, op, codec), codec)
	require.NoError(t, err)
	require.Equal(t, op.Timestamp, got.Timestamp)
	require.Equal(t, op.Value, got.Value)
	require.True(t, op.Effect(2).Equal(got.Effect(2)))

	m := NewRegisterMap(codec, codec)
	m.Set(10, 1, "a", "old")
	mop := m.Prepare(RegisterMapOp[string, string]{
		Set:    []RegisterMapSet[string, string]{{Key: "a", Value: "z"}, {Key: "a", Value: "b"}},
		Remove: []RegisterMapRemove[string]{{Key: "a"}, {Key: "c"}},
	}, 5)
	enc := AppendRegisterMapOp(nil, mop, codec, codec)
	mgot, err := DecodeRegisterMapOp(enc, codec, codec)
	require.NoError(t, err)
	require.Equal(t, enc, AppendRegisterMapOp(nil, mgot, codec, codec))
	m.Join(mgot.Effect(1))
	v, ok := m.Get("a")
	require.True(t, ok)
	require.Equal(t, "b", v, "removes first, then the last set")
	ts, ok := m.Timestamp("a")
	require.True(t, ok)
	require.EqualValues(t, 13, ts)
	require.Equal(t, 1, m.Len())
	require.Nil(t, RegisterMapOp[string, string]{}.Effect(1))
	unprepared := RegisterMapOp[string, string]{Set: []RegisterMapSet[string, string]{{Key: "k", Value: "z"}, {Key: "k", Value: "a"}}}
	v, _ = unprepared.Effect(1).Get("k")
	require.Equal(t, "a", v)
}
