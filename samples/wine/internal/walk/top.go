package walk

import (
	"cmp"
	"slices"
)

// Top keeps of together the pairs that are among the n largest of either of
// their wines (ties by id), sorted by A, then B. It is what a view that stores n
// neighbours a wine delivers; with n = 100 recommendations are as good as with
// all pairs. Pairs must be distinct, each in one order.
func Top(together []Pair, n int) []Pair {
	around := make(map[string][]int) // by wine: the places of its pairs
	for i, p := range together {
		around[p.A] = append(around[p.A], i)
		around[p.B] = append(around[p.B], i)
	}
	keep := make([]bool, len(together))
	for wine, places := range around {
		other := func(i int) string {
			if together[i].A == wine {
				return together[i].B
			}
			return together[i].A
		}
		slices.SortFunc(places, func(i, j int) int {
			return cmp.Or(cmp.Compare(together[j].Count, together[i].Count), cmp.Compare(other(i), other(j)))
		})
		for _, i := range places[:min(n, len(places))] {
			keep[i] = true
		}
	}
	var out []Pair
	for i, p := range together {
		if keep[i] {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, comparePairs)
	return out
}

func comparePairs(x, y Pair) int {
	return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
}
