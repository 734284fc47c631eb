package catalogue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	builtinUsers = 600
	// ratingsMin and ratingsSpread bound how many wines an invented user rates.
	ratingsMin, ratingsSpread = 6, 14
	// ownTaste is how often a wine is picked from the user's own cluster.
	ownTaste = 0.75
)

// Builtin returns a catalogue that needs no files: [builtinWines], which are real
// wines (name, winery, country and type are facts), with ratings by some hundreds
// of invented users and labels that are drawn here. Users belong to taste
// clusters, so that there is something for a recommender to find. The same seed
// gives the same catalogue, byte for byte. Takes about 0.3 s, for the labels.
func Builtin(seed uint64) *Catalogue {
	c := &Catalogue{photos: make(map[string]photo)}
	for i, w := range builtinWines {
		c.Wines = append(c.Wines, Wine{
			ID:      fmt.Sprintf("b%03d", i+1),
			Name:    w.name,
			Winery:  w.winery,
			Country: w.country,
			Type:    w.kind,
		})
	}
	c.finish()
	for i, w := range c.Wines {
		c.photos[w.ID] = photo{jpeg: drawLabel(w, rand.New(rand.NewPCG(seed, uint64(i))))}
	}
	c.inventRatings(rand.New(rand.NewPCG(seed, 0x7261746573)))
	return c
}

// taste numbers the cluster of those who prefer such a wine.
func taste(w builtinWine) int {
	switch {
	case w.kind == "Sparkling":
		return 0
	case w.kind == "Dessert":
		return 1
	case w.kind == "White" || w.kind == "Rosé":
		return 2
	case w.country == "Italy" || w.country == "Spain" || w.country == "Portugal":
		return 3
	case w.country == "France":
		return 4
	}
	return 5
}

func (c *Catalogue) inventRatings(rng *rand.Rand) {
	clusters := make(map[int][]int)
	for i, w := range builtinWines {
		clusters[taste(w)] = append(clusters[taste(w)], i)
	}
	start := time.Date(2019, time.January, 1, 0, 0, 0, 0, time.UTC)
	for u := range builtinUsers {
		own := rng.IntN(len(clusters))
		rated := make(map[int]bool)
		for range ratingsMin + rng.IntN(ratingsSpread) {
			from := own
			if rng.Float64() >= ownTaste {
				from = rng.IntN(len(clusters))
			}
			// The square makes the first wines of a cluster the popular ones.
			wines := clusters[from]
			x := rng.Float64()
			i := wines[int(x*x*float64(len(wines)))]
			if rated[i] {
				continue
			}
			rated[i] = true
			c.Ratings = append(c.Ratings, Rating{
				User:  fmt.Sprintf("u%04d", u+1),
				Wine:  c.Wines[i].ID,
				Stars: invent(rng, from == own),
				Date:  start.Add(time.Duration(rng.IntN(3*365*24)) * time.Hour),
			})
		}
	}
	slices.SortStableFunc(c.Ratings, func(a, b Rating) int { return a.Date.Compare(b.Date) })
}

// invent draws a rating: around 4.2 stars for one's own taste, 3.2 otherwise.
func invent(rng *rand.Rand, own bool) float64 {
	mean := 3.2
	if own {
		mean = 4.2
	}
	halves := int(2*(mean+0.6*rng.NormFloat64()) + 0.5)
	return float64(min(10, max(2, halves))) / 2
}
