package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsAndTheirErrors(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 60*time.Second)

	// From a client, from each silo, and to grains on each silo: nothing tells them apart.
	for _, at := range []grains.Caller{c, c.Silo(0), c.Silo(1), c.Silo(2)} {
		for i := range 8 {
			id := bank.AccountID(fmt.Sprintf("calls-%d", i))
			a := bank.GetAccount(at, id)
			require.Equal(t, a, bank.GetAccount(at, id), "references compare")
			require.Equal(t, "bank.Account/"+string(id), fmt.Sprint(a))

			_, err := a.Deposit(ctx, -1)
			require.ErrorIs(t, err, bank.ErrNoMoney)
			require.ErrorContains(t, err, "account "+string(id)+": not enough money")
			_, err = a.Deposit(ctx, 0)
			var refused *bank.Refused
			require.ErrorAs(t, err, &refused)
			require.Zero(t, refused.Amount)
			_, err = a.Transfer(ctx, id, 1, "")
			require.Equal(t, bank.ErrSelf, err, "an error without more text is the error itself")

			err = a.Panic(ctx)
			require.ErrorIs(t, err, grains.ErrPanic)
			require.ErrorContains(t, err, "as asked")

			b, err := a.Big(ctx, 100_000)
			require.NoError(t, err)
			require.Len(t, b, 100_000)

			short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			err = a.Wait(short)
			cancel()
			require.Error(t, err)
			_, ended := a.Deposit(short, 1)
			require.ErrorIs(t, ended, grains.ErrNotExecuted, "a context that has ended begins nothing")
			require.True(t, errors.Is(err, grains.ErrUnknown) || errors.Is(err, context.DeadlineExceeded), "%v", err)
		}
	}
	_, err := bank.GetAccount(c, "x").Big(ctx, 3<<20)
	require.ErrorIs(t, err, grains.ErrTooLarge)
}

// A turn that waits for a call which comes back to it would wait for ever.
func TestCyclesAreRefusedByName(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 30*time.Second)
	require.NoError(t, bank.GetAccount(c, "a").Call(ctx, []bank.AccountID{"b", "c"}))
	for _, path := range [][]bank.AccountID{{"a"}, {"b", "a"}, {"b", "c", "d", "e", "b"}} {
		err := bank.GetAccount(c, "a").Call(ctx, path)
		require.ErrorIs(t, err, grains.ErrCycle)
		require.ErrorContains(t, err, "bank.Account/a →")
	}
}

func TestStateOutsideItsBlock(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 1, bank.Grains())
	texts, err := bank.GetAccount(c, "a").Outside(within(t, 30*time.Second))
	require.NoError(t, err)
	require.Len(t, texts, 3)
	require.Contains(t, texts[0], txn.ErrNoBlock.Error())
	require.Contains(t, texts[1], txn.ErrOutsideBlock.Error())
	require.Contains(t, texts[2], txn.ErrOutsideBlock.Error())
}

func TestABlockIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 60*time.Second)
	_, err := bank.GetAccount(c, "rich").Deposit(ctx, 100)
	require.NoError(t, err)
	for i := range 10 {
		to := bank.AccountID(fmt.Sprintf("poor-%d", i))
		left, err := bank.GetAccount(c, "rich").Transfer(ctx, to, 10, fmt.Sprint(i))
		require.NoError(t, err)
		require.EqualValues(t, 100-10*(i+1), left)
		_, err = bank.GetAccount(c, "rich").Transfer(ctx, to, 1000, "too much")
		require.ErrorIs(t, err, bank.ErrNoMoney)
		b, err := bank.GetAccount(c, to).Balance(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 10, b, "the deposit of a transfer that was refused is undone")
	}
	// The variables have followed the blocks that committed, on every silo.
	for i := range 3 {
		s := c.Silo(i)
		require.EventuallyWithT(t, func(t *assertT) {
			notes, err := bank.Journal.At(s, "rich").All(ctx)
			require.NoError(t, err)
			require.Len(t, slices.Collect(notes), 10)
			n, err := bank.Sent.At(s, "rich").Value(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 10, n)
		}, 10*time.Second, 10*time.Millisecond)
	}
	// A block may be begun outside any grain, too, and be given up.
	gaveUp := errors.New("changed my mind")
	err = txn.Atomic(ctx, c, func(ctx context.Context) error {
		if _, err := bank.GetAccount(c, "poor-0").Deposit(ctx, 5); err != nil {
			return err
		}
		if _, err := bank.GetAccount(c, "poor-1").Deposit(ctx, -5); err != nil {
			return err
		}
		return gaveUp
	})
	require.ErrorIs(t, err, gaveUp)
	for _, id := range []bank.AccountID{"poor-0", "poor-1"} {
		b, err := bank.GetAccount(c, id).Balance(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 10, b)
	}
}

// Transfers to and fro between few accounts: every order of locks and turns that could deadlock occurs.
func TestContendedTransfersConserveMoney(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 120*time.Second)
	const accounts, callers, each = 5, 16, 15
	id := func(i int) bank.AccountID { return bank.AccountID(fmt.Sprintf("hot-%d", i)) }
	for i := range accounts {
		_, err := bank.GetAccount(c, id(i)).Deposit(ctx, 1000)
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	var moved atomic.Int64
	for n := range callers {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		at := []grains.Caller{c, c.Silo(0), c.Silo(1), c.Silo(2)}[n%4]
		wg.Go(func() {
			for k := range each {
				from := r.IntN(accounts)
				to := (from + 1 + r.IntN(accounts-1)) % accounts
				_, err := bank.GetAccount(at, id(from)).Transfer(ctx, id(to), 1+r.Int64N(50), fmt.Sprint(n, "/", k))
				if err == nil {
					moved.Add(1)
				} else if !errors.Is(err, bank.ErrNoMoney) {
					t.Errorf("transfer: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for i := range accounts {
		b, err := bank.GetAccount(c, id(i)).Balance(ctx)
		require.NoError(t, err)
		require.GreaterOrEqual(t, b, int64(0))
		sum += b
	}
	require.EqualValues(t, accounts*1000, sum)
	require.EventuallyWithT(t, func(t *assertT) {
		var sent int64
		for i := range accounts {
			n, err := bank.Sent.At(c, id(i)).Value(ctx)
			require.NoError(t, err)
			sent += n
		}
		require.Equal(t, moved.Load(), sent, "every committed transfer counts once")
	}, 20*time.Second, 20*time.Millisecond)
}
