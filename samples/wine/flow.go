package wine

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// What is shared, one set for each customer.
var (
	Favorites = variable.By[UserID](variable.Set[WineID]("favorites"))
	// Recs are written by the process recommend; a purchase takes off what was bought.
	Recs = variable.By[UserID](variable.Set[WineID]("recs"))
	// Orders are written by purchases alone.
	Orders = variable.By[UserID](variable.Set[Order]("orders"))
)

// What follows from it.
var (
	// Likes says of each wine how many like it.
	Likes = flow.CountBy("likes", flow.Each(Favorites), wineOf)
	// Together says of each pair of wines how many like both.
	Together = flow.CountTogether("together", flow.Each(Favorites), userOf, wineOf, byID)
)

func userOf(e flow.Entry[UserID, WineID]) UserID { return e.Key }
func wineOf(e flow.Entry[UserID, WineID]) WineID { return e.Value }
func byID(a, b WineID) int                       { return strings.Compare(string(a), string(b)) }

const (
	// Recommended is how many wines are recommended to each customer.
	Recommended = 10
	// Round is the least time between two recommendations to a customer because of what others like.
	Round = 2 * time.Second
)

// recommend runs for a customer when the customer's favourites or orders change, and in rounds when what
// all others like does.
var recommend = dataflow.ForEach("recommend", Favorites, func(ctx context.Context, t *dataflow.Turn, u UserID) error {
	graph, err := dataflow.Shared(ctx, t, "graph", likedTogether)
	if err != nil {
		return err
	}
	liked, err := Favorites.At(t, u).All(ctx)
	if err != nil {
		return err
	}
	orders, err := Orders.At(t, u).All(ctx)
	if err != nil {
		return err
	}
	var favorites, bought []string
	for wine := range liked {
		favorites = append(favorites, string(wine))
	}
	for order := range orders {
		bought = append(bought, string(order.Wine))
	}
	return Recs.At(t, u).Assign(ctx, wines(graph.Recommend(favorites, bought, Recommended)))
}, dataflow.Round(Round))

// likedTogether is the graph that the recommendations of a round walk over.
func likedTogether(ctx context.Context, t *dataflow.Turn) (*walk.Graph, error) {
	likes, err := dataflow.On(t, Likes).All(ctx)
	if err != nil {
		return nil, err
	}
	together, err := dataflow.On(t, Together).All(ctx)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	for e := range likes {
		counts[string(e.Key)] = e.Value
	}
	return walk.NewGraph(counts, func(yield func(walk.Pair) bool) {
		for e := range together {
			if !yield(walk.Pair{A: string(e.Key.A), B: string(e.Key.B), Count: e.Value}) {
				return
			}
		}
	}), nil
}

func wines(ids []string) iter.Seq[WineID] {
	return func(yield func(WineID) bool) {
		for _, id := range ids {
			if !yield(WineID(id)) {
				return
			}
		}
	}
}
