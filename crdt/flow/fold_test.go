package flow

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/internal/seeds"
)

var intCodec = crdt.Codec[int]{
	Append: func(b []byte, n int) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) },
	Decode: func(b []byte) (int, error) { return int(binary.BigEndian.Uint64(b)), nil },
}

// list joins to the elements from left to right, so that it shows the shape's order.
func newFolded(hash func([]byte) uint64) *folded[int, []int] {
	return &folded[int, []int]{
		of:    func(n int) []int { return []int{n} },
		join:  func(a, b []int) []int { return append(slices.Clone(a), b...) },
		codec: intCodec, hash: hash,
	}
}

// shape is the tree without the order of what happened to it.
func (k *knot[E, V]) shape() []any {
	if k == nil {
		return nil
	}
	return []any{k.bit, k.elem, k.value, k.next.shape(), k.left.shape(), k.right.shape()}
}

func (k *knot[E, V]) depth() int {
	if k == nil {
		return 0
	}
	return 1 + max(k.left.depth(), k.right.depth())
}

func TestFoldsTreeDependsOnItsElementsAlone(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func([]byte) uint64{
		"xxh3":        nil,
		"few hashes":  func(b []byte) uint64 { return uint64(b[7]%4) << 62 },
		"one hash":    func([]byte) uint64 { return 7 },
		"close by":    func(b []byte) uint64 { return binary.BigEndian.Uint64(b) % 8 },
		"one by one":  binary.BigEndian.Uint64,
		"single bits": func(b []byte) uint64 { return 1 << (binary.BigEndian.Uint64(b) % 64) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				f := newFolded(hash)
				has := map[int]bool{}
				var steps int64
				for range rapid.IntRange(1, 60).Draw(t, "operations") {
					e := rapid.IntRange(0, 40).Draw(t, "element")
					if has[e] {
						require.True(t, f.leave(e, &steps))
						delete(has, e)
					} else {
						require.False(t, f.leave(e, &steps))
						f.enter(e, &steps)
						has[e] = true
					}
				}
				other := newFolded(hash)
				elems := make([]int, 0, len(has))
				for e := range has {
					elems = append(elems, e)
				}
				slices.SortFunc(elems, func(a, b int) int { return cmp.Compare(b, a) })
				for _, e := range elems {
					other.enter(e, &steps)
				}
				if clear := f.root == nil; clear {
					require.Empty(t, has)
					require.True(t, f.empty())
					return
				}
				require.Equal(t, other.value(), f.value())
				require.Equal(t, len(has), len(f.value()))
				require.Equal(t, other.root.shape(), f.root.shape())
			})
		})
	}
}

func TestFoldsTreeStaysLow(t *testing.T) {
	t.Parallel()
	f := &folded[int, int]{of: func(n int) int { return n }, join: func(a, b int) int { return max(a, b) }, codec: intCodec}
	var steps int64
	for n := range 100_000 {
		f.enter(n, &steps)
	}
	require.LessOrEqual(t, f.root.depth(), 3*bits.Len(100_000))
	require.Equal(t, 99_999, f.value())
}

// A sum of floats in the order of arrival depends on that order; a fold's does not.
func TestFoldOfFloatsDependsOnTheElementsAlone(t *testing.T) {
	t.Parallel()
	floats := make([]int, 1000)
	for i := range floats {
		floats[i] = i
	}
	value := func(n int) float64 { return math.Pow(-1.7, float64(n%90)) / 3 }
	arrived, folds := map[float64]bool{}, map[float64]bool{}
	for seed := range seeds.UpTo(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		rng.Shuffle(len(floats), func(i, j int) { floats[i], floats[j] = floats[j], floats[i] })
		f := &folded[int, float64]{of: value, join: func(a, b float64) float64 { return a + b }, codec: intCodec}
		var steps int64
		sum := 0.0
		for _, n := range floats {
			f.enter(n, &steps)
			sum += value(n)
		}
		arrived[sum], folds[f.value()] = true, true
	}
	require.Greater(t, len(arrived), 1, "the mistake shows")
	require.Len(t, folds, 1)
}

func (w wide) big() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(int64(w.hi)), 64)
	return n.Add(n, new(big.Int).SetUint64(w.lo))
}

func checkNarrow[N Integer](t *rapid.T, least, greatest *big.Int, draw *rapid.Generator[N]) {
	var s sum[N, N]
	s.of = func(n N) N { return n }
	want := new(big.Int)
	for range rapid.IntRange(1, 20).Draw(t, "numbers") {
		n := draw.Draw(t, "number")
		if rapid.Bool().Draw(t, "leave") {
			s.leave(n, nil)
			want.Sub(want, widen(n).big())
		} else {
			s.enter(n, nil)
			want.Add(want, widen(n).big())
		}
		require.Zero(t, want.Cmp(s.total.big()), "%v, %v", want, s.total.big())
		near := want
		if near.Cmp(least) < 0 {
			near = least
		}
		if near.Cmp(greatest) > 0 {
			near = greatest
		}
		require.Zero(t, near.Cmp(widen(s.value()).big()), "%v shows as %v", want, s.value())
	}
}

func TestSumIsExactAndShowsTheNearestThatFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkNarrow(t, big.NewInt(math.MinInt64), big.NewInt(math.MaxInt64), rapid.Int64())
		checkNarrow(t, big.NewInt(math.MinInt8), big.NewInt(math.MaxInt8), rapid.Int8())
		checkNarrow(t, new(big.Int), new(big.Int).SetUint64(math.MaxUint64), rapid.Uint64())
		checkNarrow(t, new(big.Int), big.NewInt(math.MaxUint16), rapid.Uint16())
	})
}

func TestAverageIsTheNearestFloat(t *testing.T) {
	t.Parallel()
	require.Zero(t, Average{}.Float64())
	rapid.Check(t, func(t *rapid.T) {
		a := Average{rapid.Int64().Draw(t, "sum"), rapid.Int64Range(1, math.MaxInt64).Draw(t, "count")}
		want, _ := new(big.Rat).SetFrac64(a.Sum, a.Count).Float64()
		require.Equal(t, want, a.Float64())
	})
}
