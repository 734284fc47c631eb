// Package wine has a bit of everything that grainc generates.
package wine

import (
	"context"
	"errors"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

type (
	UserID string
	WineID string
	Money  int64
	// Bottle is a key of several fields.
	Bottle struct {
		Wine WineID
		Year int64
	}
	Match   struct{ Wine WineID }
	Order   struct{ Wine WineID }
	Wallet  struct{ Balance Money }
	Mailer  interface{ Send(to, text string) error }
	Auditor interface{ Note(text string) }
)

var ErrNoMoney = errors.New("not enough money")

const price = 10

// User is one person's account; its key is the user id.
type User interface {
	grains.Keyed[UserID]
	Upload(ctx context.Context, photo []byte) (Match, error)
	//grain:readonly
	Balance(ctx context.Context) (Money, error)
	Purchase(ctx context.Context, wine WineID) (Order, error)
	Rate(ctx context.Context, wines []WineID, stars map[WineID]int) error
}

type user struct {
	grains.Implements[User]
	photos int
	wallet txn.State[Wallet]
	mail   Mailer
	audit  Auditor
}

func newUser(mail Mailer, cellar Auditor) *user { return &user{mail: mail, audit: cellar} }

func (u *user) Upload(ctx context.Context, photo []byte) (Match, error) {
	m := Match{Wine: "100062"}
	u.photos++
	return m, Favorites.At(u, u.Key()).Add(ctx, m.Wine)
}

func (u *user) Balance(ctx context.Context) (Money, error) {
	w, err := u.wallet.Read(ctx)
	return w.Balance, err
}

func (u *user) Purchase(ctx context.Context, wine WineID) (Order, error) {
	return txn.AtomicValue(ctx, u, func(ctx context.Context) (Order, error) {
		if err := Recs.At(u, u.Key()).Remove(ctx, wine); err != nil {
			return Order{}, err
		}
		if err := GetCellar(u, Bottle{wine, 2020}).Take(ctx, 1); err != nil {
			return Order{}, err
		}
		return Order{Wine: wine}, u.wallet.Update(ctx, func(w *Wallet) error {
			if w.Balance < price {
				return ErrNoMoney
			}
			w.Balance -= price
			return nil
		})
	})
}

func (u *user) Rate(ctx context.Context, wines []WineID, stars map[WineID]int) error {
	return Favorites.At(u, u.Key()).Add(ctx, wines...)
}

// Cellar holds the bottles of one wine.
type Cellar interface {
	grains.Keyed[Bottle]
	Take(ctx context.Context, bottles int) error
}

type cellar struct {
	grains.Implements[Cellar]
	stock txn.State[int]
	mail  Mailer
}

func newCellar(mail Mailer) *cellar { return &cellar{mail: mail} }

func (c *cellar) Take(ctx context.Context, n int) error {
	_ = c.Key().Wine
	return c.stock.Update(ctx, func(s *int) error { *s -= n; return nil })
}
