package txn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn"
)

// A block over two accounts and a variable: all of it happens, or nothing.
func ExampleAtomic() {
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{Grains: bank.Grains(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	alice, bob := bank.GetAccount(s, "alice"), bank.GetAccount(s, "bob")
	transfer := func(amount int64) error {
		return txn.Atomic(ctx, s, func(ctx context.Context) error { // this ctx from here on
			if err := bank.Sent.At(s, "alice").Add(ctx, 1); err != nil {
				return err
			}
			if _, err := bob.Deposit(ctx, amount); err != nil {
				return err
			}
			_, err := alice.Deposit(ctx, -amount)
			return err // undoes bob's, too
		})
	}
	_, err = alice.Deposit(ctx, 100)
	fmt.Println(err, transfer(70), errors.Is(transfer(70), bank.ErrNoMoney))

	a, _ := alice.Balance(ctx)
	b, _ := bob.Balance(ctx)
	fmt.Println(a, b)
	// Output:
	// <nil> <nil> true
	// 30 70
}

// What to do with a call of which nobody can say whether it ran: ask for the outcome, or make it again in
// a way that is executed at most once.
func ExampleIDOf() {
	ask := func(ctx context.Context, s *silo.Silo, err error) (txn.Result, error) {
		id, ok := txn.IDOf(err)
		if !ok {
			return 0, err // an error of the method, or a call that surely did not run
		}
		return txn.Outcome(ctx, s, id)
	}
	again := func(ctx context.Context, s *silo.Silo, err error) error {
		if id, ok := txn.IDOf(err); ok {
			_, err = bank.GetAccount(s, "alice").Transfer(txn.Retry(ctx, id), "bob", 70, "rent")
		}
		return err
	}
	_, _ = ask, again
	id, ok := txn.IDOf(fmt.Errorf("paying the rent: %w", &txn.InDoubt{ID: txn.ID{Client: 4, Seq: 2}}))
	fmt.Println(id, ok)
	// Output: 4.2 true
}
