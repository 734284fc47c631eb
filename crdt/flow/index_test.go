package flow

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// balancedSize checks the heights and returns how many nodes there are.
func (w *twig[E]) balancedSize(t require.TestingT) int {
	if w == nil {
		return 0
	}
	require.LessOrEqual(t, max(w.lean(), -w.lean()), 1)
	require.Equal(t, 1+max(w.left.h(), w.right.h()), w.height)
	return w.left.balancedSize(t) + 1 + w.right.balancedSize(t)
}

func (t *tree[E]) list() (all []E) {
	t.each(func(e E) bool { all = append(all, e); return true })
	return all
}

func TestTreeIsASortedList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tr tree[int]
		var list []int
		var steps int64
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			e := rapid.IntRange(0, 30).Draw(t, "element")
			at, found := slices.BinarySearch(list, e)
			switch {
			case found:
				list = slices.Delete(list, at, at+1)
				require.True(t, tr.remove(e, cmp.Compare[int], &steps))
			case rapid.Bool().Draw(t, "insert"):
				list = slices.Insert(list, at, e)
				tr.insert(e, cmp.Compare[int], &steps)
			default:
				require.False(t, tr.remove(e, cmp.Compare[int], &steps))
			}
			require.Equal(t, len(list), tr.root.balancedSize(t))
			require.Equal(t, len(list), tr.n)
			require.True(t, slices.Equal(list, tr.list()))
			if len(list) > 0 {
				require.Equal(t, list[0], tr.min(&steps))
				require.Equal(t, list[len(list)-1], tr.max(&steps))
			}
		}
	})
}

func TestTreeStaysLowWhateverTheOrder(t *testing.T) {
	t.Parallel()
	const n = 10_000
	low := int(1.4405*math.Log2(n+2)) + 1 // Adelson-Velsky and Landis
	for name, at := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return n - i },
		"outside in": func(i int) int { return i * (1 - 2*(i%2)) },
	} {
		var tr tree[int]
		var steps int64
		for i := range n {
			before := steps
			tr.insert(at(i), cmp.Compare[int], &steps)
			require.LessOrEqual(t, steps-before, int64(low), name)
		}
		for i := range n {
			before := steps
			require.True(t, tr.remove(at(i), cmp.Compare[int], &steps), name)
			require.LessOrEqual(t, steps-before, int64(low), name)
		}
		require.Nil(t, tr.root)
	}
}

// Items that come and go must not use up numbers while others stay.
func TestTogetherGivesNumbersAgain(t *testing.T) {
	t.Parallel()
	type fact = Entry[string, string]
	op := &together[string, string, fact]{
		group:   func(f fact) string { return f.Key },
		item:    func(f fact) string { return f.Value },
		cmp:     strings.Compare,
		numbers: map[string]uint32{}, groups: map[string][]member{}, counts: map[uint64]int64{},
	}
	var steps int64
	put := func(weight int64, items ...string) []Weighted[Entry[Pair[string, string], int64]] {
		var in []Weighted[fact]
		for _, i := range items {
			in = append(in, Weighted[fact]{fact{"g", i}, weight})
		}
		out, err := op.apply(in, &steps)
		require.NoError(t, err)
		return out
	}
	put(+1, "stays")
	for i := range 1000 {
		item := fmt.Sprint(i)
		born := put(+1, item)
		require.Equal(t, []Weighted[Entry[Pair[string, string], int64]]{{Entry[Pair[string, string], int64]{Pair[string, string]{item, "stays"}, 1}, 1}}, born)
		died := put(-1, item)
		require.Equal(t, born[0].Elem, died[0].Elem)
		require.LessOrEqual(t, len(op.items), 2)
	}
	put(-1, "stays")
	require.Zero(t, op.entries())
	require.Empty(t, op.items)
	require.Empty(t, op.free)
}
