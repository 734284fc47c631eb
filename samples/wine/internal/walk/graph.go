package walk

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
)

// A Pair says that Count users like both A and B. The order of A and B carries
// no meaning.
type Pair struct {
	A, B  string
	Count int64
}

// A Graph holds the wines and which of them are liked together, as compressed
// sparse rows over wines numbered by sorted id. It is immutable after [NewGraph]
// and safe for concurrent use.
type Graph struct {
	wines []string         // by number; sorted
	index map[string]int32 // the number of a wine
	likes []int64          // by number
	// byLikes has all the wines, most liked first: the fallback for users about
	// whom nothing is known.
	byLikes []int32

	// The neighbours of wine w are near[row[w]:row[w+1]], ascending.
	row  []int32
	near []neighbour
	norm float64 // the largest row sum of weights; 0 without edges

	scratch sync.Pool // of *vectors
}

// neighbour is small because a step of the walk reads them all.
type neighbour struct {
	wine   int32
	weight float32 // cosine
}

type edge struct {
	from, to int32
	count    int64
}

// NewGraph builds the graph. likes says how many users like each wine; together
// yields the pairs that are liked together, each in either order or in both.
//
// The two views may be of slightly different age, so nothing is refused: a pair
// that names a wine missing from likes adds the wine, a wine has at least as
// many likes as the largest count of its pairs (so that no weight exceeds 1), of
// two different counts for one pair the larger is taken, and counts below 1 and
// pairs of a wine with itself are ignored. It is enough to deliver the hundred
// largest pairs of each wine (see [Top]); the rest does not change the hit rate.
//
// Cost: a sort of the pairs, some tens of milliseconds for 100,000 of them.
func NewGraph(likes map[string]int64, together iter.Seq[Pair]) *Graph {
	pairs := collect(together)
	g := &Graph{index: make(map[string]int32, len(likes))}
	g.number(likes, pairs)
	g.connect(pairs)
	return g
}

// collect leaves out what cannot be an edge.
func collect(together iter.Seq[Pair]) []Pair {
	var pairs []Pair
	for p := range together {
		if p.Count > 0 && p.A != p.B {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// number gives every wine its place in the order of ids.
func (g *Graph) number(likes map[string]int64, pairs []Pair) {
	for w := range likes {
		g.index[w] = 0
	}
	for _, p := range pairs {
		g.index[p.A], g.index[p.B] = 0, 0
	}
	g.wines = slices.Sorted(maps.Keys(g.index))
	g.likes = make([]int64, len(g.wines))
	for i, w := range g.wines {
		g.index[w] = int32(i)
		g.likes[i] = max(0, likes[w])
	}
	for _, p := range pairs {
		for _, w := range [2]string{p.A, p.B} {
			i := g.index[w]
			g.likes[i] = max(g.likes[i], p.Count)
		}
	}
	g.byLikes = make([]int32, len(g.wines))
	for i := range g.byLikes {
		g.byLikes[i] = int32(i)
	}
	slices.SortFunc(g.byLikes, g.morePopular)
}

// connect fills the rows.
func (g *Graph) connect(pairs []Pair) {
	edges := make([]edge, 0, 2*len(pairs))
	for _, p := range pairs {
		a, b := g.index[p.A], g.index[p.B]
		edges = append(edges, edge{a, b, p.Count}, edge{b, a, p.Count})
	}
	slices.SortFunc(edges, func(x, y edge) int {
		return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to), cmp.Compare(y.count, x.count))
	})
	// Sorted with the larger count first, so that of equals the first stays.
	edges = slices.CompactFunc(edges, func(x, y edge) bool { return x.from == y.from && x.to == y.to })

	g.row = make([]int32, len(g.wines)+1)
	g.near = make([]neighbour, len(edges))
	for i, e := range edges {
		g.row[e.from+1]++
		cosine := float64(e.count) / math.Sqrt(float64(g.likes[e.from])*float64(g.likes[e.to]))
		g.near[i] = neighbour{e.to, float32(cosine)}
	}
	for w := range g.wines {
		g.row[w+1] += g.row[w]
		var sum float64
		for _, n := range g.near[g.row[w]:g.row[w+1]] {
			sum += float64(n.weight)
		}
		g.norm = max(g.norm, sum)
	}
}

// morePopular orders wines by falling likes, then by id.
func (g *Graph) morePopular(a, b int32) int {
	return cmp.Or(cmp.Compare(g.likes[b], g.likes[a]), cmp.Compare(a, b))
}

// Wines returns the number of wines in the graph.
func (g *Graph) Wines() int { return len(g.wines) }

// Edges returns the number of pairs of wines that are joined.
func (g *Graph) Edges() int { return len(g.near) / 2 }
