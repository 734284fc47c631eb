package grains_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
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

// A stream is read with range; it comes in batches, as fast as it is read. Package guild declares
//
//	Count(ctx context.Context, from, to int) iter.Seq2[Tally, error]
func Example_stream() {
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{Grains: guild.Grains(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	sum := 0
	for tally, err := range guild.GetMaster(s, "masons").Count(ctx, 1, 1_000_000) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if sum += tally.N; tally.N == 100 {
			break // which ends the method, long before its million
		}
	}
	fmt.Println(sum)
	// Output: 5050
}

// A value goes along with a call, and with what is called because of it.
func ExampleValue() {
	tenant := grains.NewValue[string]("tenant") // at package level, in a program
	who := func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		fmt.Println(c.Grain, c.Method, "for", tenant.Of(ctx))
		return next(ctx)
	}
	ctx := context.Background()
	s, err := silo.Start(ctx, silo.Config{
		Grains: bank.Grains(), Incoming: []grains.Interceptor{who}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)

	if _, err := bank.GetAccount(s, "alice").Deposit(tenant.With(ctx, "acme"), 100); err != nil {
		fmt.Println(err)
	}
	// Output: bank.Account/alice Deposit for acme
}
