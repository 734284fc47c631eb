package crdt

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// hashes are the hashes of what stands at spots.
type hashes map[spot]uint64

func (h hashes) hashAt(p spot) uint64 { return h[p&^severalDots] }

// TestSpotsAreFound fills and empties the index by element, also with hashes that agree in more of their
// first bits than tags hold, and with equal ones.
func TestSpotsAreFound(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func(*rand.Rand) uint64{
		"good hashes":       func(r *rand.Rand) uint64 { return r.Uint64() },
		"one table of many": func(r *rand.Rand) uint64 { return r.Uint64() >> 12 },
		"a deep directory":  func(r *rand.Rand) uint64 { return r.Uint64() >> 40 },
		"four hashes":       func(r *rand.Rand) uint64 { return r.Uint64N(4) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Log("seed", seed)
				}
			}()
			r := rand.New(rand.NewPCG(seed, 1))
			var p spots
			all := hashes{}
			in := func(n int) {
				for len(all) < n {
					at := spotOf(1+uint32(r.Uint64N(1<<31-1)), uint8(r.Uint32()))
					if _, ok := all[at]; ok {
						continue
					}
					all[at] = hash(r)
					p.put(all[at], at, all)
				}
				requireSoundSpots(t, &p, all)
				require.Equal(t, n, p.n)
				require.LessOrEqual(t, len(p.dir), 2*max(n, 1), "the directory has no more than an entry for each element")
			}
			out := func(n int) {
				for at, h := range all {
					if len(all) <= n {
						break
					}
					p.remove(h, at, all)
					delete(all, at)
				}
				requireSoundSpots(t, &p, all)
				require.Equal(t, n, p.n)
			}
			in(5000)
			out(100)
			in(3000)
			copied := p.clone()
			kept := hashes{}
			for at, h := range all {
				kept[at] = h
			}
			out(0)
			require.LessOrEqual(t, slotsOf(&p), tableLeast, "what is empty takes nothing")
			require.LessOrEqual(t, len(p.dir), 1)
			requireSoundSpots(t, &copied, kept)
			require.Equal(t, len(kept), copied.n)
		})
	}
}

// slotsOf counts the slots of all tables.
func slotsOf(p *spots) (n int) {
	for i, t := range p.dir {
		if i == 0 || t != p.dir[i-1] {
			n += len(t.slots)
		}
	}
	return n
}

// TestSetThatIsEmptiedLetsGo takes out all but a few of many elements, in the order they came, in any order,
// and by a join, and then puts as many in again.
func TestSetThatIsEmptiedLetsGo(t *testing.T) {
	t.Parallel()
	const many, few = 1 << 16, 20
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	for name, remove := range map[string]func(s *Set[uint64]){
		"in order": func(s *Set[uint64]) {
			for e := range uint64(many - few) {
				s.Remove(e)
			}
		},
		"in any order": func(s *Set[uint64]) {
			for _, e := range r.Perm(many)[few:] {
				s.Remove(uint64(e))
			}
		},
		"by a join": func(s *Set[uint64]) {
			other := s.Clone()
			var es []uint64
			for e := range uint64(many - few) {
				es = append(es, e)
			}
			s.Join(other.Remove(es...))
		},
	} {
		s, m := NewSet[uint64](), &Minter{Actor: 1}
		for range 2 {
			for e := range uint64(many) {
				s.Add(m, e)
			}
			full := slotsOf(&s.live.big().elements)
			remove(s)
			require.Equal(t, few, s.Len(), "%s, seed %d", name, seed)
			left := &s.live.big().elements
			require.LessOrEqual(t, slotsOf(left), full/64, "%s, seed %d: %d elements", name, seed, few)
			require.LessOrEqual(t, len(left.dir), 8, "%s, seed %d", name, seed)
			requireSound(t, s)
		}
	}
}

func TestElementThatIsNotWhereItWasPutIsFoundOut(t *testing.T) {
	t.Parallel()
	var p spots
	p.put(7, spotOf(1, 1), hashes{})
	require.PanicsWithValue(t, "crdt: an element of a set is not where it was put: elements must not change what they are equal to",
		func() { p.remove(7, spotOf(1, 2), hashes{}) })
}

// TestSetOfManyIsIndexed takes a set through tables that are split, blocks that are emptied and numbers that
// are used again, elements of several dots among them.
func TestSetOfManyIsIndexed(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	s, m, other := NewSet[uint64](), &Minter{Actor: 5}, &Minter{Actor: 4}
	want := map[uint64]int{}
	for round := range 3 {
		for range 5000 {
			e := r.Uint64N(6000)
			s.Add(m, e)
			want[e] = 1
		}
		for range 600 {
			e := r.Uint64N(6000)
			s.Join(SetOp[uint64]{Add: []uint64{e}}.Effect(other)) // beside what is there
			want[e]++
		}
		for e := range want {
			if r.IntN(2) == 0 {
				s.Remove(e)
				delete(want, e)
			}
		}
		requireSound(t, s)
		require.Equal(t, len(want), s.Len(), "seed %d, round %d", seed, round)
		for e, dots := range want {
			require.Len(t, s.Dots(e), dots, "seed %d, round %d", seed, round)
		}
		c := s.Clone()
		s.Remove(0, 1, 2)
		s.Add(m, 0, 1, 2)
		requireSound(t, c)
		for e := range uint64(3) {
			want[e] = 1
		}
	}
}

// A NaN is not equal to itself, so nobody finds it by what it is; joins still find it by its dot.
func TestNaNsComeAndGo(t *testing.T) {
	t.Parallel()
	codec := Codec[float64]{
		Append: func(b []byte, f float64) []byte { return protowire.AppendFixed64(b, math.Float64bits(f)) },
		Decode: func(b []byte) (float64, error) {
			v, _ := protowire.ConsumeFixed64(b)
			return math.Float64frombits(v), nil
		},
	}
	s, m := NewSet[float64](), &Minter{Actor: 1}
	for i := range 2000 {
		s.Add(m, float64(i))
		s.Add(m, math.NaN())
	}
	got, err := DecodeSet(s.Append(nil, codec), codec)
	require.NoError(t, err)
	require.Equal(t, 4000, got.Len())
	got.Join(s.Clear())
	require.Zero(t, got.Len())
	require.Zero(t, got.Size())
}

// TestJoinDoesTheSameWorkAtAnySize counts what joining ten new elements, and the removal of ten old ones,
// costs in sets of 10³ to 10⁶ elements.
func TestJoinDoesTheSameWorkAtAnySize(t *testing.T) {
	t.Parallel()
	var adds, removes []int64
	for _, n := range []uint64{1e3, 1e4, 1e5, 1e6} {
		s, m, other := NewSet[uint64](), &Minter{Actor: 1}, &Minter{Actor: 2}
		for e := range n {
			s.Add(m, e)
		}
		es, old := make([]uint64, 10), make([]uint64, 10)
		for i := range es {
			es[i], old[i] = n+uint64(i), uint64(i)*n/10
		}
		joined := func(delta *Set[uint64]) int64 {
			before := s.Steps()
			require.True(t, s.Join(delta).Equal(delta))
			return s.Steps() - before
		}
		adds = append(adds, joined(SetOp[uint64]{Add: es}.Effect(other)))
		removes = append(removes, joined(s.Prepare(SetOp[uint64]{Remove: old}).Effect(nil)))
		require.EqualValues(t, n, s.Len())
	}
	t.Log("steps of ten adds", adds, "of ten removes", removes)
	for i := range adds {
		require.Equal(t, adds[0], adds[i])
		require.LessOrEqual(t, adds[i], int64(100), "ten for each element")
		require.Equal(t, removes[0], removes[i])
		require.LessOrEqual(t, removes[i], int64(200), "twenty for each element")
	}
}
