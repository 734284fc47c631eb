package wine

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/samples/wine/internal/catalogue"
	"github.com/martinelli-go/martinelli/samples/wine/internal/label"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

type (
	// UserID names a customer.
	UserID string
	// WineID names a wine.
	WineID string
	// OrderID names an order; no two are the same.
	OrderID string
	// Money is an amount in cents.
	Money int64
)

// Rating is a customer's opinion of a wine.
type Rating struct {
	Wine  WineID
	Stars float64 // 1 to 5
}

// Match is the answer to an upload.
type Match struct {
	Wine  WineID  // the wine that is most alike
	Score float64 // how much, 0 to 1
	Known bool    // whether that is enough to say that it is this wine
}

// Order is a bottle that was paid for. It is an element of [Orders], and therefore comparable.
type Order struct {
	ID    OrderID
	Wine  WineID
	Price Money
}

// Wallet is a customer's money. What was deposited is Balance + Spent.
type Wallet struct {
	Balance Money
	Spent   Money
	Orders  int64 // that Spent paid for; the orders are numbered by it
}

// Shelf is a cellar's stock of one wine. What was put there is Bottles + Sold.
type Shelf struct {
	Bottles int64
	Sold    int64
	Price   Money // of a bottle
}

// Errors of a purchase, which then has no effect.
var (
	ErrNoMoney  = errors.New("not enough money")
	ErrNoBottle = errors.New("no bottle left")
)

// Errors of an upload. What is no JPEG at all gives a *[NotJPEG].
var (
	ErrPhotoSize = errors.New("photograph of unacceptable size")
	ErrNoLabels  = errors.New("this silo was started without label photographs")
)

// NotJPEG is the error of an upload that is something else.
type NotJPEG struct {
	Format string // as its first bytes say, such as "image/png"
}

func (e *NotJPEG) Error() string {
	return "the upload is not a JPEG but " + e.Format + ": convert it and upload it again"
}

// User is one customer's account.
type User interface {
	grains.Keyed[UserID]
	// Rate takes any number of ratings; a wine with 4 stars or more becomes a favourite.
	Rate(ctx context.Context, ratings []Rating) error
	// Upload says which wine a photograph of a bottle shows.
	Upload(ctx context.Context, jpeg []byte) (Match, error)
	// Deposit puts money into the wallet.
	Deposit(ctx context.Context, amount Money) error
	// Balance returns the wallet.
	//grain:readonly
	Balance(ctx context.Context) (Wallet, error)
	// Purchase buys a bottle of the wine: the order is written, the bottle taken, the price paid, and
	// the wine no longer recommended; or, with an error, nothing of it. Errors: ErrNoMoney, ErrNoBottle.
	Purchase(ctx context.Context, wine WineID) (Order, error)
}

// Cellar keeps the bottles of one wine.
type Cellar interface {
	grains.Keyed[WineID]
	// Put adds bottles, and sets the price of each.
	Put(ctx context.Context, bottles int64, price Money) error
	// Take removes bottles that are sold and returns what they cost. Error: ErrNoBottle.
	Take(ctx context.Context, bottles int64) (Money, error)
	// Shelf returns what is there.
	//grain:readonly
	Shelf(ctx context.Context) (Shelf, error)
}

type user struct {
	grains.Implements[User]
	wallet txn.State[Wallet]
	labels *label.Index
}

func newUser(labels *label.Index) *user { return &user{labels: labels} }

func (u *user) Rate(ctx context.Context, ratings []Rating) error {
	var liked []WineID
	for _, r := range ratings {
		if r.Stars >= catalogue.FavoriteStars {
			liked = append(liked, r.Wine)
		}
	}
	if len(liked) == 0 {
		return nil
	}
	return Favorites.At(u, u.Key()).Add(ctx, liked...)
}

func (u *user) Upload(_ context.Context, jpeg []byte) (Match, error) {
	if u.labels == nil {
		return Match{}, ErrNoLabels
	}
	m, err := u.labels.Match(jpeg)
	if wrong := (*label.NotJPEGError)(nil); errors.As(err, &wrong) {
		return Match{}, &NotJPEG{wrong.Format}
	}
	if errors.Is(err, label.ErrSize) {
		return Match{}, fmt.Errorf("%w: %v", ErrPhotoSize, err)
	}
	return Match{WineID(m.Wine), m.Score, m.Known}, err
}

func (u *user) Deposit(ctx context.Context, amount Money) error {
	return txn.Atomic(ctx, u, func(ctx context.Context) error {
		return u.wallet.Update(ctx, func(w *Wallet) error {
			w.Balance += amount
			return nil
		})
	})
}

func (u *user) Balance(ctx context.Context) (Wallet, error) {
	return txn.AtomicValue(ctx, u, u.wallet.Read)
}

func (u *user) Purchase(ctx context.Context, wine WineID) (Order, error) {
	return txn.AtomicValue(ctx, u, func(ctx context.Context) (Order, error) {
		if err := Recs.At(u, u.Key()).Remove(ctx, wine); err != nil {
			return Order{}, err
		}
		price, err := GetCellar(u, wine).Take(ctx, 1)
		if err != nil {
			return Order{}, err
		}
		order := Order{Wine: wine, Price: price}
		err = u.wallet.Update(ctx, func(w *Wallet) error {
			if w.Balance < price {
				return fmt.Errorf("%w: a bottle costs %d, %s has %d", ErrNoMoney, price, u.Key(), w.Balance)
			}
			w.Balance -= price
			w.Spent += price
			w.Orders++
			order.ID = OrderID(fmt.Sprintf("%s#%d", u.Key(), w.Orders))
			return nil
		})
		if err != nil {
			return Order{}, err
		}
		return order, Orders.At(u, u.Key()).Add(ctx, order)
	})
}

type cellar struct {
	grains.Implements[Cellar]
	shelf txn.State[Shelf]
}

func (c *cellar) Put(ctx context.Context, bottles int64, price Money) error {
	return txn.Atomic(ctx, c, func(ctx context.Context) error {
		return c.shelf.Update(ctx, func(s *Shelf) error {
			s.Bottles += bottles
			s.Price = price
			return nil
		})
	})
}

func (c *cellar) Take(ctx context.Context, bottles int64) (Money, error) {
	return txn.AtomicValue(ctx, c, func(ctx context.Context) (Money, error) {
		var cost Money
		err := c.shelf.Update(ctx, func(s *Shelf) error {
			if s.Bottles < bottles {
				return fmt.Errorf("%w of %s", ErrNoBottle, c.Key())
			}
			s.Bottles -= bottles
			s.Sold += bottles
			cost = Money(bottles) * s.Price
			return nil
		})
		return cost, err
	})
}

func (c *cellar) Shelf(ctx context.Context) (Shelf, error) {
	return txn.AtomicValue(ctx, c, c.shelf.Read)
}
