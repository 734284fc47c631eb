package walk

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
)

// MinFavorites is how many favourites a user must have to be measured.
const MinFavorites = 5

// HoldOut splits the favourites of every user for a measurement: from users with
// at least [MinFavorites] of them, max(1, n/10) chosen by seed go to held, the
// rest to kept; of other users everything is kept. Both are sorted and without
// duplicates. A user's split depends on the seed, the user's id and the user's
// favourites alone.
func HoldOut(favorites map[string][]string, seed uint64) (kept, held map[string][]string) {
	kept = make(map[string][]string, len(favorites))
	held = make(map[string][]string)
	for user, wines := range favorites {
		wines = slices.Clone(wines)
		slices.Sort(wines)
		wines = slices.Compact(wines)
		if len(wines) < MinFavorites {
			kept[user] = wines
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(user))
		rng := rand.New(rand.NewPCG(seed, h.Sum64()))
		rng.Shuffle(len(wines), func(i, j int) { wines[i], wines[j] = wines[j], wines[i] })
		n := max(1, len(wines)/10)
		slices.Sort(wines[:n])
		slices.Sort(wines[n:])
		held[user], kept[user] = wines[:n:n], wines[n:]
	}
	return kept, held
}

// Rate is the outcome of a measurement.
type Rate struct {
	Hits int // held-out wines that were among the recommended
	Held int // held-out wines
}

// Value returns Hits/Held, and 0 when nothing was held out.
func (r Rate) Value() float64 {
	if r.Held == 0 {
		return 0
	}
	return float64(r.Hits) / float64(r.Held)
}

// HitRate asks recommend for every user in held and counts the held-out wines
// among what it names. recommend gets the user and the favourites that were kept;
// it is called from one goroutine, users in the order of their ids.
func HitRate(kept, held map[string][]string, recommend func(user string, favorites []string) []string) Rate {
	var r Rate
	for _, user := range slices.Sorted(maps.Keys(held)) {
		named := recommend(user, kept[user])
		r.Held += len(held[user])
		for _, wine := range held[user] {
			if slices.Contains(named, wine) {
				r.Hits++
			}
		}
	}
	return r
}

// Count computes from scratch what the dataflow views keep incrementally: how
// many users like each wine, and how many like both of each pair (A < B, sorted).
// Favourites listed twice count once. Cost: quadratic in each user's favourites.
func Count(favorites map[string][]string) (likes map[string]int64, together []Pair) {
	likes = make(map[string]int64)
	type ab struct{ a, b string }
	counts := make(map[ab]int64)
	for _, wines := range favorites {
		wines = slices.Clone(wines)
		slices.Sort(wines)
		wines = slices.Compact(wines)
		for i, a := range wines {
			likes[a]++
			for _, b := range wines[i+1:] {
				counts[ab{a, b}]++
			}
		}
	}
	together = make([]Pair, 0, len(counts))
	for p, n := range counts {
		together = append(together, Pair{A: p.a, B: p.b, Count: n})
	}
	slices.SortFunc(together, comparePairs)
	return likes, together
}
