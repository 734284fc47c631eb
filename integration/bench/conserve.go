package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/bench/shop"
)

// books is everything that purchases leave behind.
type books struct {
	purses       []shop.Purse
	orders       [][]shop.Order // by wallet
	stocks       []shop.Stock
	acknowledged int64 // purchases that clients know to have committed
}

// notConserved is the error of a run whose figures are worth nothing.
type notConserved struct{ what string }

func (e *notConserved) Error() string { return "not conserved: " + e.what }

// check compares money, stock, orders and what the clients were told. Error: *notConserved.
func (b *books) check() error {
	broken := func(format string, args ...any) error { return &notConserved{fmt.Sprintf(format, args...)} }
	var paid, sold int64
	for i, p := range b.purses {
		if p.Balance+p.Spent != deposit || p.Spent != p.Orders*price {
			return broken("wallet %d, into which %d was put, has %d left and %d spent on %d orders at %d each", i, deposit, p.Balance, p.Spent, p.Orders, price)
		}
		paid += p.Orders
		orders := slices.Clone(b.orders[i])
		slices.SortFunc(orders, func(a, b shop.Order) int { return int(a.Number - b.Number) })
		for n, o := range orders {
			if o.Number != int64(n)+1 || o.Price != price || o.Item < 0 || int(o.Item) >= len(b.stocks) {
				return broken("wallet %d has order %+v in place of its order %d at %d", i, o, n+1, price)
			}
		}
		if int64(len(orders)) != p.Orders {
			return broken("wallet %d paid for %d orders and has %d", i, p.Orders, len(orders))
		}
	}
	ordered := make([]int64, len(b.stocks))
	for _, orders := range b.orders {
		for _, o := range orders {
			ordered[o.Item]++
		}
	}
	for i, s := range b.stocks {
		if s.Left+s.Sold != deposit || s.Sold != ordered[i] {
			return broken("item %d, of which there were %d, has %d left, %d sold and %d ordered", i, deposit, s.Left, s.Sold, ordered[i])
		}
		sold += s.Sold
	}
	if paid != sold || sold != b.acknowledged {
		return broken("%d pieces sold, %d paid for, and %d purchases acknowledged", sold, paid, b.acknowledged)
	}
	return nil
}

const (
	readWithin = time.Minute
	// ordersWithin is how long orders may take to reach the replica that is read.
	ordersWithin = 20 * time.Second
)

// books reads what is there now.
func (s *store) books(ctx context.Context) (*books, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	b := &books{
		purses: make([]shop.Purse, wallets), orders: make([][]shop.Order, wallets), stocks: make([]shop.Stock, items),
		acknowledged: s.bought,
	}
	err := split(wallets, func(i int) (err error) {
		id := shop.WalletID(i)
		if b.purses[i], err = shop.GetWallet(s.client, id).Purse(ctx); err != nil {
			return err
		}
		b.orders[i], err = s.ordersOf(ctx, id, b.purses[i].Orders)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, split(items, func(i int) (err error) {
		b.stocks[i], err = shop.GetItem(s.client, shop.ItemID(i)).Stock(ctx)
		return err
	})
}

// ordersOf waits until a wallet has n orders, since they reach the replicas of the variable after the
// block has committed. When that takes too long it returns those that are there.
func (s *store) ordersOf(ctx context.Context, id shop.WalletID, n int64) ([]shop.Order, error) {
	limit := time.NewTimer(ordersWithin)
	defer limit.Stop()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		all, err := shop.Orders.At(s.client, id).All(ctx)
		if err != nil {
			return nil, err
		}
		orders := slices.Collect(all)
		if int64(len(orders)) >= n {
			return orders, nil
		}
		select {
		case <-pause.C:
		case <-limit.C:
			return orders, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
