package graintest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// What a test gives for the silos is theirs.
func TestSilosHaveWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	refuse := errors.New("not today")
	allowed := make(chan struct{})
	c := graintest.StartWith(t, graintest.Config{
		Silos: 2, Grains: bank.Grains(), Queue: 7, Calls: 70, CallBytes: 1 << 20, IdleAfter: time.Minute, ReaderPause: time.Second, MaxMessage: 64 << 10,
		Authorize: func(context.Context, grains.Call) error {
			select {
			case <-allowed:
				return nil
			default:
				return refuse
			}
		},
	})
	_, err := bank.GetAccount(c, "alice").Deposit(t.Context(), 1)
	require.ErrorIs(t, err, grains.ErrDenied)
	require.ErrorContains(t, err, refuse.Error())
	close(allowed)
	_, err = bank.GetAccount(c, "alice").Deposit(t.Context(), 1)
	require.NoError(t, err)
	_, err = bank.GetAccount(c, "alice").Transfer(t.Context(), "bob", 1, strings.Repeat("x", 200<<10))
	require.ErrorIs(t, err, grains.ErrTooLarge)
	require.ErrorIs(t, err, grains.ErrNotExecuted, "of arguments")
	require.NotErrorIs(t, err, grains.ErrUnknown)
}
