package variable_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// Package bank declares a set and a counter for each account:
//
//	var (
//		Journal = variable.By[AccountID](variable.Set[string]("bank.journal"))
//		Sent    = variable.By[AccountID](variable.Counter("bank.sent"))
//	)
func Example() {
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{Grains: bank.Shared(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	journal, sent := bank.Journal.At(s, "alice"), bank.Sent.At(s, "alice")
	fmt.Println(journal.Add(ctx, "rent", "wine"), journal.Remove(ctx, "rent"), sent.Add(ctx, 2))

	notes, err := journal.All(ctx)
	fmt.Println(slices.Collect(notes), err)
	n, err := sent.Value(ctx)
	fmt.Println(n, err)
	for account, err := range bank.Journal.Keys(ctx, s) {
		fmt.Println(account, err)
	}
	// Output:
	// <nil> <nil> <nil>
	// [wine] <nil>
	// 2 <nil>
	// alice <nil>
}

// A struct of lattices of one's own, which grainc makes a lattice of:
//
//	//crdt:lattice
//	type Card struct {
//		Name   *crdt.Register[string]
//		Phones *crdt.Set[string]
//		Visits *crdt.Counter
//	}
//
//	var Cards = variable.By[AccountID](variable.Of[*Card]("bank.cards"))
func ExampleOf() {
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{Grains: bank.Shared(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	card := bank.Cards.At(s, "alice")
	visit := func(phone string) func(*bank.Card, *crdt.Minter) (*bank.Card, error) {
		return func(c *bank.Card, as *crdt.Minter) (*bank.Card, error) { return c.Visit(as, "Alice", phone), nil }
	}
	fmt.Println(card.Mutate(ctx, visit("555-0100")))
	fmt.Println(card.Mutate(ctx, visit("555-0199"))) // in an atomic block, too

	fmt.Println(card.Read(ctx, func(c *bank.Card) {
		name, _ := c.Name.Get()
		fmt.Println(name, slices.Sorted(c.Phones.All()), c.Visits.Value())
	}))
	// Output:
	// <nil>
	// <nil>
	// Alice [555-0100 555-0199] 2
	// <nil>
}
