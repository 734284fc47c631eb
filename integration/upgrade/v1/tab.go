// Package tab is the older build of what a rolling upgrade replaces: guests' tabs in a wine bar. Package v2 is
// the newer one of the same kind, with the same numbers.
package tab

import (
	"context"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

// Item is something that is ordered.
type Item struct {
	Name  string
	Price int64
}

// Bill is what a guest owes. What a newer build has written into it besides is kept.
type Bill struct {
	grains.Unknown
	Items, Sum int64
}

// Note is the last that was ordered. What a newer build has written into it besides is lost when this one writes it.
type Note struct{ Item string }

// Tab is a guest's; its key is the guest's name.
//
//grain:version 1
type Tab interface {
	grains.Keyed[string]
	// Order puts an item on the tab.
	Order(ctx context.Context, item Item) (Bill, error)
	// Treat puts an item on another guest's tab, by a call from silo to silo.
	Treat(ctx context.Context, guest string, item Item) (Bill, error)
	// Sum is what the guest owes so far.
	Sum(ctx context.Context) (Bill, error)
}

type tab struct {
	grains.Implements[Tab]
	bill txn.State[Bill]
	note txn.State[Note]
}

func (t *tab) Order(ctx context.Context, item Item) (Bill, error) {
	return txn.AtomicValue(ctx, t, func(ctx context.Context) (after Bill, err error) {
		err = t.bill.Update(ctx, func(b *Bill) error {
			b.Items++
			b.Sum += item.Price
			after = *b
			return nil
		})
		if err != nil {
			return after, err
		}
		return after, t.note.Update(ctx, func(n *Note) error { n.Item = item.Name; return nil })
	})
}

func (t *tab) Treat(ctx context.Context, guest string, item Item) (Bill, error) {
	return GetTab(t, guest).Order(ctx, item)
}

func (t *tab) Sum(ctx context.Context) (Bill, error) { return txn.AtomicValue(ctx, t, t.bill.Read) }
