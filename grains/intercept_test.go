package grains_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// journal is what interceptors have noted.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// noting notes when a call begins and ends.
func (j *journal) noting(name string) grains.Interceptor {
	return func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		side := "out"
		if c.Incoming {
			side = "in"
		}
		by := ""
		if !c.Caller.IsZero() {
			by = " by " + c.Caller.Key()
		}
		if c.InBlock {
			by += " in a block"
		}
		j.note("%s %s %s.%s%s", name, side, c.Grain.Key(), c.Method, by)
		err := next(ctx)
		j.note("%s %s %s.%s: %v", name, side, c.Grain.Key(), c.Method, err)
		return err
	}
}

func TestInterceptorsAreAroundEveryCall(t *testing.T) {
	t.Parallel()
	j := &journal{}
	both := []grains.Interceptor{j.noting("1"), j.noting("2")}
	c := graintest.StartWith(t, graintest.Config{Grains: bank.Grains(), Incoming: both, Outgoing: both[:1]})
	_, err := bank.GetAccount(c, "alice").Deposit(t.Context(), 10)
	require.NoError(t, err)
	deposit := []string{
		"1 out alice.Deposit",
		"1 in alice.Deposit",
		"2 in alice.Deposit",
		"2 in alice.Deposit: <nil>",
		"1 in alice.Deposit: <nil>",
		"1 out alice.Deposit: <nil>",
	}
	require.Equal(t, deposit, j.take(), "from a client")
	_, err = bank.GetAccount(c.Silo(0), "alice").Deposit(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, deposit, j.take(), "on the silo")

	_, err = bank.GetAccount(c, "alice").Transfer(t.Context(), "bob", 5, "tea")
	require.NoError(t, err)
	all := j.take()
	require.Contains(t, all, "1 out bob.Deposit by alice in a block")
	require.Contains(t, all, "1 in bob.Deposit by alice in a block")
	require.Equal(t, "1 out alice.Transfer", all[0], "a call from outside is made by no grain")
	require.Equal(t, "1 in alice.Transfer", all[1])
}

// A call is one to outgoing interceptors wherever it runs, and one to incoming ones of the silo that runs it.
func TestInterceptorsBetweenSilos(t *testing.T) {
	t.Parallel()
	j := &journal{}
	c := graintest.StartWith(t, graintest.Config{
		Silos: 2, Grains: bank.Grains(), Incoming: []grains.Interceptor{j.noting("i")}, Outgoing: []grains.Interceptor{j.noting("o")},
	})
	for i := range 2 { // on either silo the account is at one time here and at the other elsewhere
		_, err := bank.GetAccount(c.Silo(i), "carol").Deposit(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, []string{"o out carol.Deposit", "i in carol.Deposit", "i in carol.Deposit: <nil>", "o out carol.Deposit: <nil>"}, j.take())
	}
}

// What an incoming interceptor returns is the method's error, with its identity.
func TestInterceptorsRefuseAndReplace(t *testing.T) {
	t.Parallel()
	type tenant struct{}
	errCheck := errors.New("the audit is closed")
	incoming := func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		switch c.Grain.Key() {
		case "refused":
			return &bank.Refused{Amount: 7}
		case "closed":
			return errCheck
		case "panics":
			panic("not a method's")
		case "unexecuted": // of a call that the interceptor made
			return fmt.Errorf("asking the register: %w", grains.ErrNotExecuted)
		case "replaced":
			if err := next(ctx); err != nil {
				return fmt.Errorf("entry 12: %w", err)
			}
			return nil
		}
		return next(context.WithValue(ctx, tenant{}, "acme"))
	}
	c := graintest.StartWith(t, graintest.Config{Silos: 2, Grains: bank.Grains(), Incoming: []grains.Interceptor{incoming}})
	for _, from := range []grains.Caller{c, c.Silo(0), c.Silo(1)} {
		call := func(key bank.AccountID) error {
			_, err := bank.GetAccount(from, key).Transfer(t.Context(), "x", 5, "tea")
			return err
		}
		var refused *bank.Refused
		require.ErrorAs(t, call("refused"), &refused)
		require.EqualValues(t, 7, refused.Amount)
		require.EqualError(t, call("closed"), errCheck.Error())
		require.ErrorIs(t, call("panics"), grains.ErrPanic)
		require.ErrorIs(t, call("replaced"), bank.ErrNoMoney)
		require.ErrorContains(t, call("replaced"), "entry 12: ")
		require.NotErrorIs(t, call("unexecuted"), grains.ErrNotExecuted, "that of another call says nothing of this one")
		balance, err := bank.GetAccount(from, "plain").Balance(t.Context())
		require.NoError(t, err, "the turn goes on in a context of the interceptor's")
		require.Zero(t, balance)
	}
}

// An outgoing interceptor may keep a call from being made, or make it again.
func TestOutgoingInterceptorsDecide(t *testing.T) {
	t.Parallel()
	errMine := errors.New("not today")
	outgoing := func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		if c.Grain.Key() == "refused" {
			return errMine
		}
		if err := next(ctx); err != nil || c.Grain.Key() != "twice" {
			return err
		}
		return next(ctx)
	}
	c := graintest.StartWith(t, graintest.Config{Grains: bank.Grains(), Outgoing: []grains.Interceptor{outgoing}})
	_, err := bank.GetAccount(c, "refused").Balance(t.Context())
	require.Same(t, errMine, err)
	balance, err := bank.GetAccount(c, "twice").Deposit(t.Context(), 4)
	require.NoError(t, err)
	require.EqualValues(t, 8, balance)
}

func TestOnlyOneKind(t *testing.T) {
	t.Parallel()
	var seen []string
	i := grains.Only[bank.Account](func(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
		seen = append(seen, c.Method)
		return next(ctx)
	})
	next := func(context.Context) error { return nil }
	require.NoError(t, i(t.Context(), grains.CallInfo{Grain: wire.NewID("bank.Account", "a"), Method: "Balance"}, next))
	require.NoError(t, i(t.Context(), grains.CallInfo{Method: "other"}, next))
	require.Equal(t, []string{"Balance"}, slices.Clone(seen))
	require.PanicsWithValue(t, "grains: Only[grains_test.nowhere]: name a grain interface, such as Only[wine.User]", func() {
		grains.Only[nowhere](nil)
	})
}

type nowhere struct{}

func (nowhere) GrainID() (id grains.ID) { return id }
