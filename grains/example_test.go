package grains_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// A silo in this process, and calls of grains on it. Package bank declares the interface Account and its
// errors; grainc wrote GetAccount and Grains.
func Example() {
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{Grains: bank.Grains(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	alice := bank.GetAccount(s, "alice") // makes no call: the account always exists
	fmt.Println(alice, alice == bank.GetAccount(s, "alice"))

	balance, err := alice.Deposit(ctx, 100)
	fmt.Println(balance, err)

	// Errors of the interface's package are themselves on this side of a call, with their text.
	_, err = alice.Transfer(ctx, "bob", 500, "rent")
	fmt.Println(errors.Is(err, bank.ErrNoMoney), err)

	// An error of the call itself says which grain, what happened, and whether it may have run.
	err = alice.Call(ctx, []bank.AccountID{"bob", "alice"})
	fmt.Println(errors.Is(err, grains.ErrCycle))
	// Output:
	// bank.Account/alice true
	// 100 <nil>
	// true account alice: not enough money
	// true
}

// An interceptor that keeps people out of accounts that are not theirs, and is asked about accounts alone. What it
// returns is to the caller an error of the method, by its identity.
func ExampleInterceptor() {
	ctx := context.Background()
	closed := func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		if c.Grain.Key() == "estate" && c.Method == "Transfer" {
			return fmt.Errorf("%s is frozen: %w", c.Grain, bank.ErrNoMoney)
		}
		return next(ctx)
	}
	s, err := silo.Start(ctx, silo.Config{
		Grains: bank.Grains(), Incoming: []grains.Interceptor{grains.Only[bank.Account](closed)}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)
	_, err = bank.GetAccount(s, "estate").Transfer(ctx, "bob", 5, "rent")
	fmt.Println(errors.Is(err, bank.ErrNoMoney), err)
	// Output:
	// true bank.Account/estate is frozen: not enough money
}
