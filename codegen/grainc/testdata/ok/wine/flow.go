package wine

import (
	"context"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/variable"
)

var (
	Favorites = variable.By[UserID](variable.Set[WineID]("favorites", variable.Everywhere))
	Recs      = variable.By[UserID](variable.Set[WineID]("recs"))
	Shown     = variable.By[Bottle](variable.Counter("shown"))
	Total     = variable.Counter("total")
	Front     = variable.Register[Bottle]("front")
	Orders    = variable.Set[Order]("orders")
)

var (
	Likes    = flow.CountBy("likes", flow.Each(Favorites), func(e flow.Entry[UserID, WineID]) WineID { return e.Value })
	Together = flow.CountTogether("together", flow.Each(Favorites), userOf, wineOf, strings.Compare)
	Popular  = flow.Filter("popular", Likes, func(e flow.Entry[WineID, int64]) bool { return e.Value >= least })
)

const least = 3

func wineOf(e flow.Entry[UserID, WineID]) string { return lower(string(e.Value)) }

func userOf(e flow.Entry[UserID, WineID]) UserID { return e.Key }

func lower(s string) string { return strings.ToLower(s) }

// recommend runs again whenever what it read has changed.
var recommend = dataflow.ForEach("recommend", Favorites, func(ctx context.Context, t *dataflow.Turn, u UserID) error {
	return Recs.At(t, u).Assign(ctx, slices.Values([]WineID{WineID(u)}))
})
