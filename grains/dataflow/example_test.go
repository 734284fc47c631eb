package dataflow_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// What each user likes, how many like each wine, and how many likes each user has given.
var (
	Favorites = variable.By[string](variable.Set[string]("favorites"))
	Likes     = flow.CountBy("likes", flow.Each(Favorites), func(e flow.Entry[string, string]) string { return e.Value })
	Given     = variable.By[string](variable.Register[int64]("given"))

	count = dataflow.ForEach("count", Favorites, func(ctx context.Context, t *dataflow.Turn, user string) error {
		n, err := Favorites.At(t, user).Len(ctx) // run again when that changes
		if err != nil {
			return err
		}
		return Given.At(t, user).Set(ctx, int64(n))
	})
)

// kinds is what grainc writes as the function Grains.
func kinds() []grains.Kind {
	text, number := wire.StringCodec[string](), wire.IntCodec[int64]()
	return []grains.Kind{
		variable.SetKindBy(Favorites, text), variable.RegisterKindBy(Given, number),
		wire.NewNode(Likes, flow.EntryCodec(text, number), 1), count.Kind(),
	}
}

func start(ctx context.Context) (*silo.Silo, error) {
	return silo.Start(ctx, silo.Config{Grains: kinds(), Logger: slog.New(slog.DiscardHandler)})
}

// A view follows the variables that it is computed from.
func ExampleView_Watch() {
	ctx := context.Background()
	s, err := start(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	_ = Favorites.At(s, "alice").Add(ctx, "barolo")
	_ = Favorites.At(s, "bob").Add(ctx, "barolo")
	for change, err := range dataflow.On(s, Likes).Watch(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range change.Born {
			if e.Value == 2 {
				fmt.Println(e.Key, "is liked by", e.Value)
				return
			}
		}
	}
	// Output: barolo is liked by 2
}

// A process writes variables, again whenever what it read has changed.
func ExampleForEach() {
	ctx := context.Background()
	s, err := start(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	_ = Favorites.At(s, "alice").Add(ctx, "barolo", "syrah")
	for range dataflow.On(s, flow.Each(Given)).Watch(ctx) {
		if n, _, err := Given.At(s, "alice").Value(ctx); err != nil || n == 2 {
			fmt.Println("alice has given", n, "likes", err)
			return
		}
	}
	// Output: alice has given 2 likes <nil>
}
