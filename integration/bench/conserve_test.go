package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/bench/shop"
)

// sound returns the books after two purchases of item 0 and one of item 1.
func sound() *books {
	return &books{
		purses: []shop.Purse{
			{Balance: deposit - 2*price, Spent: 2 * price, Orders: 2},
			{Balance: deposit - price, Spent: price, Orders: 1},
		},
		orders: [][]shop.Order{
			{{Number: 2, Item: 1, Price: price}, {Number: 1, Item: 0, Price: price}},
			{{Number: 1, Item: 0, Price: price}},
		},
		stocks:       []shop.Stock{{Left: deposit - 2, Sold: 2, Price: price}, {Left: deposit - 1, Sold: 1, Price: price}},
		acknowledged: 3,
	}
}

func TestTheCheckSeesWhatIsNotConserved(t *testing.T) {
	t.Parallel()
	require.NoError(t, sound().check())
	for name, spoil := range map[string]func(b *books){
		"money appears":            func(b *books) { b.purses[0].Balance++ },
		"a debit without an order": func(b *books) { p := &b.purses[0]; p.Balance -= price; p.Spent += price },
		"charged twice for one order": func(b *books) {
			p := &b.purses[1]
			p.Balance -= price
			p.Spent += price
			p.Orders++
		},
		"an order is lost":                              func(b *books) { b.orders[0] = b.orders[0][:1] },
		"an order is there twice":                       func(b *books) { b.orders[1] = append(b.orders[1], b.orders[1][0]) },
		"an order at another price":                     func(b *books) { b.orders[1][0].Price++ },
		"an order of another item":                      func(b *books) { b.orders[1][0].Item = 1 },
		"a piece vanishes":                              func(b *books) { b.stocks[0].Left-- },
		"a piece sold without an order":                 func(b *books) { b.stocks[1].Left--; b.stocks[1].Sold++ },
		"a purchase that was acknowledged is not there": func(b *books) { b.acknowledged++ },
		"a purchase that was refused is there":          func(b *books) { b.acknowledged-- },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sound()
			spoil(b)
			var broken *notConserved
			require.ErrorAs(t, b.check(), &broken)
		})
	}
}
