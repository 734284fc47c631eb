// Package shop is the grains that the benchmarks call: a counter, whose methods do next to nothing, and a
// shop, whose purchase is an atomic block over two grains and a variable.
package shop

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

// Counter is what calls are measured on.
type Counter interface {
	grains.Keyed[string]
	// Add adds to the counter, which is in memory alone, and returns its value.
	Add(ctx context.Context, n int64) (int64, error)
	// Echo returns what it is given.
	Echo(ctx context.Context, payload []byte) ([]byte, error)
}

type counter struct {
	grains.Implements[Counter]
	value int64
}

func (c *counter) Add(_ context.Context, n int64) (int64, error) {
	c.value += n
	return c.value, nil
}

func (c *counter) Echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

// Sleeper is what overload is measured on: its turns take their time and no processor's.
type Sleeper interface {
	grains.Keyed[string]
	// Sleep returns after 1 ms.
	Sleep(ctx context.Context) error
}

type sleeper struct{ grains.Implements[Sleeper] }

func (s *sleeper) Sleep(ctx context.Context) error {
	t := time.NewTimer(time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Idler is what many idle grains are: it holds a number, and counts how many of its kind have been
// deactivated in this process.
type Idler interface {
	grains.Keyed[int64]
	// Touch activates the grain.
	Touch(ctx context.Context) error
}

// Ended counts deactivations of Idlers in this process.
var Ended atomic.Int64

type idler struct {
	grains.Implements[Idler]
	touched int64
}

func (i *idler) Touch(context.Context) error {
	i.touched++
	return nil
}

func (i *idler) OnDeactivate(context.Context) error {
	Ended.Add(1)
	return nil
}

// Driver calls counters from inside of a turn.
type Driver interface {
	grains.Keyed[string]
	// Run adds 1 to a counter so many times, one after the other.
	Run(ctx context.Context, target string, calls int64) error
}

type driver struct{ grains.Implements[Driver] }

func (d *driver) Run(ctx context.Context, target string, calls int64) error {
	c := GetCounter(d, target)
	for range calls {
		if _, err := c.Add(ctx, 1); err != nil {
			return err
		}
	}
	return nil
}

type (
	// WalletID names a wallet.
	WalletID int64
	// ItemID names an item.
	ItemID int64
)

// Order is a purchase. It is an element of [Orders], and therefore comparable.
type Order struct {
	Number int64 // of the wallet's orders
	Item   ItemID
	Price  int64
}

// Orders are each wallet's orders; purchases alone write them.
var Orders = variable.By[WalletID](variable.Set[Order]("orders"))

// Purse is a wallet's state. What was deposited is Balance + Spent.
type Purse struct {
	Balance int64
	Spent   int64
	Orders  int64 // that Spent paid for
}

// Stock is an item's state. What was put there is Left + Sold.
type Stock struct {
	Left  int64
	Sold  int64
	Price int64
}

// Missing is the error of a purchase for which there is too little of something.
type Missing struct{ What string }

func (e *Missing) Error() string { return "shop: not enough " + e.What }

// Wallet pays.
type Wallet interface {
	grains.Keyed[WalletID]
	// Deposit adds to the balance.
	Deposit(ctx context.Context, amount int64) error
	// Purse returns the state.
	//grain:readonly
	Purse(ctx context.Context) (Purse, error)
	// Buy takes one of the item, pays for it and writes the order, in one atomic block. It returns how
	// many tries that took. Error: *[Missing].
	Buy(ctx context.Context, item ItemID) (tries int64, err error)
}

// Item is on sale.
type Item interface {
	grains.Keyed[ItemID]
	// Put adds to the stock and sets the price.
	Put(ctx context.Context, pieces, price int64) error
	// Stock returns the state.
	//grain:readonly
	Stock(ctx context.Context) (Stock, error)
	// Take removes one piece from the stock and returns its price. Error: *[Missing].
	Take(ctx context.Context) (price int64, err error)
}

type wallet struct {
	grains.Implements[Wallet]
	purse txn.State[Purse]
}

func (w *wallet) Deposit(ctx context.Context, amount int64) error {
	return txn.Atomic(ctx, w, func(ctx context.Context) error {
		return w.purse.Update(ctx, func(p *Purse) error { p.Balance += amount; return nil })
	})
}

func (w *wallet) Purse(ctx context.Context) (Purse, error) {
	return txn.AtomicValue(ctx, w, w.purse.Read)
}

func (w *wallet) Buy(ctx context.Context, item ItemID) (int64, error) {
	var tries int64
	return txn.AtomicValue(ctx, w, func(ctx context.Context) (int64, error) {
		tries++
		price, err := GetItem(w, item).Take(ctx)
		if err != nil {
			return 0, err
		}
		order := Order{Item: item, Price: price}
		err = w.purse.Update(ctx, func(p *Purse) error {
			if p.Balance < price {
				return &Missing{"money"}
			}
			p.Balance -= price
			p.Spent += price
			p.Orders++
			order.Number = p.Orders
			return nil
		})
		if err != nil {
			return 0, err
		}
		return tries, Orders.At(w, w.Key()).Add(ctx, order)
	})
}

type item struct {
	grains.Implements[Item]
	stock txn.State[Stock]
}

func (i *item) Put(ctx context.Context, pieces, price int64) error {
	return txn.Atomic(ctx, i, func(ctx context.Context) error {
		return i.stock.Update(ctx, func(s *Stock) error { s.Left += pieces; s.Price = price; return nil })
	})
}

func (i *item) Stock(ctx context.Context) (Stock, error) {
	return txn.AtomicValue(ctx, i, i.stock.Read)
}

func (i *item) Take(ctx context.Context) (price int64, err error) {
	err = i.stock.Update(ctx, func(s *Stock) error {
		if s.Left == 0 {
			return &Missing{"stock"}
		}
		s.Left--
		s.Sold++
		price = s.Price
		return nil
	})
	return price, err
}
