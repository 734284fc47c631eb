// Package tab is the newer build of the kind that package v1 is the older one of. The interface has another
// methods (Tip, Last), and one by another name (Total, which was Sum); items and bills have another field each. The
// file grain_gen.lock began as a copy of the older one's, as it does where both are one package's history.
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
	Table string // where it is brought; silos of the older build pass over it
}

// Bill is what a guest owes.
type Bill struct {
	Items, Sum int64
	Tip        int64
}

// Note is the last that was ordered.
type Note struct{ Item, Table string }

// Tab is a guest's; its key is the guest's name.
//
//grain:version 2
type Tab interface {
	grains.Keyed[string]
	// Order puts an item on the tab.
	Order(ctx context.Context, item Item) (Bill, error)
	// Treat puts an item on another guest's tab, by a call from silo to silo.
	Treat(ctx context.Context, guest string, item Item) (Bill, error)
	// Total is what the guest owes so far.
	//grain:was Sum
	Total(ctx context.Context) (Bill, error)
	// Tip adds to what the guest gives beyond the sum.
	Tip(ctx context.Context, amount int64) (Bill, error)
	// Last is the last that was ordered.
	Last(ctx context.Context) (Note, error)
}

type tab struct {
	grains.Implements[Tab]
	bill txn.State[Bill]
	note txn.State[Note]
}

func (t *tab) Order(ctx context.Context, item Item) (Bill, error) {
	return txn.AtomicValue(ctx, t, func(ctx context.Context) (Bill, error) {
		err := t.note.Update(ctx, func(n *Note) error { *n = Note{item.Name, item.Table}; return nil })
		if err != nil {
			return Bill{}, err
		}
		return t.change(ctx, func(b *Bill) {
			b.Items++
			b.Sum += item.Price
		})
	})
}

func (t *tab) Treat(ctx context.Context, guest string, item Item) (Bill, error) {
	return GetTab(t, guest).Order(ctx, item)
}

func (t *tab) Total(ctx context.Context) (Bill, error) { return txn.AtomicValue(ctx, t, t.bill.Read) }

func (t *tab) Tip(ctx context.Context, amount int64) (Bill, error) {
	return t.change(ctx, func(b *Bill) { b.Tip += amount })
}

func (t *tab) Last(ctx context.Context) (Note, error) { return txn.AtomicValue(ctx, t, t.note.Read) }

func (t *tab) change(ctx context.Context, how func(*Bill)) (Bill, error) {
	return txn.AtomicValue(ctx, t, func(ctx context.Context) (after Bill, err error) {
		err = t.bill.Update(ctx, func(b *Bill) error {
			how(b)
			after = *b
			return nil
		})
		return after, err
	})
}
