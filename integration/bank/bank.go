// Package bank is what tests and experiments of the whole house run on: accounts whose sum must stay,
// and variables that blocks change along with them.
package bank

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/txn"
)

//go:generate go tool grainc .

// AccountID names an account.
type AccountID string

// Errors of accounts.
var (
	ErrNoMoney = errors.New("not enough money")
	ErrSelf    = errors.New("a transfer to oneself")
)

// Refused is an error with something in it.
type Refused struct{ Amount int64 }

func (e *Refused) Error() string { return fmt.Sprintf("an amount of %d", e.Amount) }

// Journal lists the transfers that an account has sent; Sent counts them.
var (
	Journal = variable.By[AccountID](variable.Set[string]("bank.journal"))
	Sent    = variable.By[AccountID](variable.Counter("bank.sent"))
)

// Card is what is known of an account's owner.
//
//crdt:lattice
type Card struct {
	Name   *crdt.Register[string]
	Phones *crdt.Set[string]
	Visits *crdt.Counter
}

// Visit notes a visit of somebody of that name, and a telephone, and returns the delta.
func (c *Card) Visit(as *crdt.Minter, name, phone string) *Card {
	return &Card{
		Name: c.Name.Set(crdt.DraftTime, as.Actor, name), Phones: c.Phones.Add(as, phone), Visits: c.Visits.Add(as.Actor, 1),
	}
}

// Cards are those of all accounts.
var Cards = variable.By[AccountID](variable.Of[*Card]("bank.cards"))

// Account is an account; its key is its number.
type Account interface {
	grains.Keyed[AccountID]
	// Deposit adds an amount, which may be negative, and returns the balance.
	Deposit(ctx context.Context, amount int64) (int64, error)
	// Transfer moves an amount to another account, with a note in the journal.
	Transfer(ctx context.Context, to AccountID, amount int64, note string) (int64, error)
	// Balance reads the balance in a block of its own.
	//grain:readonly
	Balance(ctx context.Context) (int64, error)
	// Outside uses the state in the ways that must be refused, and returns the texts.
	Outside(ctx context.Context) ([]string, error)
	// Call calls another account's Balance in a plain turn, which may lead back here.
	Call(ctx context.Context, path []AccountID) error
	// Panic panics.
	Panic(ctx context.Context) error
	// Big returns that many bytes.
	Big(ctx context.Context, n int64) ([]byte, error)
	// Wait returns when ctx ends.
	Wait(ctx context.Context) error
}

type account struct {
	grains.Implements[Account]
	balance txn.State[int64]
}

func (a *account) add(ctx context.Context, amount int64) (after int64, err error) {
	err = a.balance.Update(ctx, func(b *int64) error {
		if *b+amount < 0 {
			return fmt.Errorf("account %s: %w", a.Key(), ErrNoMoney)
		}
		*b += amount
		after = *b
		return nil
	})
	return after, err
}

func (a *account) Deposit(ctx context.Context, amount int64) (int64, error) {
	if amount == 0 {
		return 0, &Refused{amount}
	}
	return txn.AtomicValue(ctx, a, func(ctx context.Context) (int64, error) { return a.add(ctx, amount) })
}

func (a *account) Transfer(ctx context.Context, to AccountID, amount int64, note string) (int64, error) {
	if to == a.Key() {
		return 0, ErrSelf
	}
	return txn.AtomicValue(ctx, a, func(ctx context.Context) (int64, error) {
		if err := Journal.At(a, a.Key()).Add(ctx, note); err != nil {
			return 0, err
		}
		if err := Sent.At(a, a.Key()).Add(ctx, 1); err != nil {
			return 0, err
		}
		// The other account first: a refusal here must undo that.
		if _, err := GetAccount(a, to).Deposit(ctx, amount); err != nil {
			return 0, err
		}
		return a.add(ctx, -amount)
	})
}

func (a *account) Balance(ctx context.Context) (int64, error) {
	return txn.AtomicValue(ctx, a, a.balance.Read)
}

func (a *account) Outside(ctx context.Context) ([]string, error) {
	var texts []string
	note := func(err error) {
		if err == nil {
			texts = append(texts, "allowed")
		} else {
			texts = append(texts, err.Error())
		}
	}
	_, err := a.balance.Read(ctx)
	note(err)
	err = txn.Atomic(ctx, a, func(context.Context) error {
		note(a.balance.Update(ctx, func(*int64) error { return nil }))
		note(Journal.At(a, a.Key()).Add(ctx, "outside"))
		return nil
	})
	return texts, err
}

func (a *account) Call(ctx context.Context, path []AccountID) error {
	if len(path) == 0 {
		return nil
	}
	return GetAccount(a, path[0]).Call(ctx, path[1:])
}

func (a *account) Panic(context.Context) error { panic("as asked") }

func (a *account) Big(_ context.Context, n int64) ([]byte, error) { return make([]byte, n), nil }

func (a *account) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
