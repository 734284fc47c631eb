package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/martinelli-go/martinelli/samples/wine"
)

// books is what wallets, cellars and orders say when all is over.
type books struct {
	wallets map[wine.UserID]wine.Wallet
	shelves map[wine.WineID]wine.Shelf
	orders  map[wine.UserID][]wine.Order // sorted by id
	recs    map[wine.UserID][]wine.WineID
}

// checkAll waits until everything has come to rest, and compares it with what it should be. The error is
// of what prevents checking; what differs goes into the report.
func (d *demo) checkAll(ctx context.Context) error {
	want := d.settled.after(d.market.bought())
	s := d.progress.begins("check", len(want.recs))
	d.report.check("views equal a recomputation from scratch", settleViews(ctx, d.client, want))
	_, err := settleRecs(ctx, d.client, want, s)
	d.report.check("recommendations equal a recomputation from scratch", err)
	variables, err := settleReplicas(ctx, d.client)
	d.report.check("the replicas of all variables are equal on all silos", err)
	d.report.ReplicasEqual = err == nil
	b, err := d.readBooks(ctx)
	if err != nil {
		return err
	}
	d.report.check("nothing that was bought is recommended", b.neverAgain())
	d.report.check("no money is made or lost", b.money(d.market))
	d.report.check("no bottle is made or lost", b.bottles(d.market))
	d.report.check("each order has one debit and one bottle", b.matched(d.market))
	d.report.check("nobody is charged for what was not acknowledged, nor twice", b.acknowledged(d.market))
	s.ends("%d variables on each silo", variables)
	return nil
}

func (d *demo) readBooks(ctx context.Context) (*books, error) {
	b := &books{map[wine.UserID]wine.Wallet{}, map[wine.WineID]wine.Shelf{}, map[wine.UserID][]wine.Order{}, map[wine.UserID][]wine.WineID{}}
	var mu sync.Mutex
	accounts := each(ctx, d.market.accounts, func(ctx context.Context, a *account) error {
		return repeated(ctx, func(ctx context.Context) error {
			wallet, err := wine.GetUser(d.client, a.user).Balance(ctx)
			if err != nil {
				return fmt.Errorf("balance of %s: %w", a.user, err)
			}
			orders, err := wine.Orders.At(d.client, a.user).All(ctx)
			if err != nil {
				return fmt.Errorf("orders of %s: %w", a.user, err)
			}
			recs, err := wine.Recs.At(d.client, a.user).All(ctx)
			if err != nil {
				return fmt.Errorf("recommendations to %s: %w", a.user, err)
			}
			mu.Lock()
			defer mu.Unlock()
			b.recs[a.user] = slices.Collect(recs)
			b.wallets[a.user] = wallet
			b.orders[a.user] = sorted(slices.Collect(orders))
			return nil
		})
	})
	cellars := each(ctx, slices.Collect(maps.Keys(d.market.stock)), func(ctx context.Context, id wine.WineID) error {
		return repeated(ctx, func(ctx context.Context) error {
			shelf, err := wine.GetCellar(d.client, id).Shelf(ctx)
			if err != nil {
				return fmt.Errorf("shelf of %s: %w", id, err)
			}
			mu.Lock()
			defer mu.Unlock()
			b.shelves[id] = shelf
			return nil
		})
	})
	return b, errors.Join(accounts, cellars)
}

func sorted(orders []wine.Order) []wine.Order {
	slices.SortFunc(orders, func(a, b wine.Order) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Wine, b.Wine)) })
	return orders
}

// wrong makes one error of many lines.
func wrong(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return errors.New(firstOf(lines))
}

func (b *books) money(m *market) error {
	var lines []string
	var deposited, left, paid wine.Money
	for _, a := range m.accounts {
		w := b.wallets[a.user]
		deposited, left = deposited+a.deposited, left+w.Balance
		if w.Balance < 0 || w.Balance+w.Spent != a.deposited {
			lines = append(lines, fmt.Sprintf("%s has %d and spent %d of %d", a.user, w.Balance, w.Spent, a.deposited))
		}
		for _, o := range b.orders[a.user] {
			paid += o.Price
		}
	}
	if deposited != left+paid {
		lines = append(lines, fmt.Sprintf("of %d that was deposited %d is left and %d was paid", deposited, left, paid))
	}
	return wrong(lines)
}

func (b *books) bottles(m *market) error {
	var lines []string
	for id, put := range m.stock {
		if s := b.shelves[id]; s.Bottles < 0 || s.Bottles+s.Sold != put || s.Price != m.prices[id] {
			lines = append(lines, fmt.Sprintf("the cellar of %s has %d bottles and sold %d of %d", id, s.Bottles, s.Sold, put))
		}
	}
	return wrong(lines)
}

// matched pairs orders with debits, which are numbered as the orders are, and with bottles.
func (b *books) matched(m *market) error {
	var lines []string
	sold := map[wine.WineID]int64{}
	for user, orders := range b.orders {
		var spent wine.Money
		numbers := map[wine.OrderID]bool{}
		for n := range orders {
			numbers[wine.OrderID(fmt.Sprintf("%s#%d", user, n+1))] = true
		}
		for _, o := range orders {
			spent += o.Price
			sold[o.Wine]++
			if !numbers[o.ID] {
				lines = append(lines, fmt.Sprintf("order %s is not one of the %d debits of %s", o.ID, len(orders), user))
			}
			delete(numbers, o.ID)
			if o.Price != m.prices[o.Wine] {
				lines = append(lines, fmt.Sprintf("order %s is for %d, %s costs %d", o.ID, o.Price, o.Wine, m.prices[o.Wine]))
			}
		}
		if w := b.wallets[user]; w.Spent != spent || w.Orders != int64(len(orders)) {
			lines = append(lines, fmt.Sprintf("%s was charged %d for %d orders, there are %d for %d", user, w.Spent, w.Orders, len(orders), spent))
		}
	}
	for id, s := range b.shelves {
		if s.Sold != sold[id] {
			lines = append(lines, fmt.Sprintf("the cellar of %s sold %d bottles, there are %d orders", id, s.Sold, sold[id]))
		}
	}
	return wrong(lines)
}

// acknowledged compares the orders with those that buyers were told of.
func (b *books) acknowledged(m *market) error {
	var lines []string
	for _, a := range m.accounts {
		told := sorted(slices.Clone(a.orders))
		if !slices.Equal(b.orders[a.user], told) {
			lines = append(lines, fmt.Sprintf("%s has the orders %v and was told of %v", a.user, b.orders[a.user], told))
		}
	}
	return wrong(lines)
}

func (b *books) neverAgain() error {
	var lines []string
	for user, orders := range b.orders {
		for _, o := range orders {
			if slices.Contains(b.recs[user], o.Wine) {
				lines = append(lines, fmt.Sprintf("%s bought %s", user, o.Wine))
			}
		}
	}
	return wrong(lines)
}
