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

// resolve finds out what became of a transfer whose fate is unknown: by asking, or by making the call
// again under its id, which executes it at most once.
func resolve(ctx context.Context, c grains.Caller, err error, again func(context.Context) error) (committed bool, _ error) {
	for {
		id, ok := txn.IDOf(err)
		if !ok {
			return false, fmt.Errorf("no id to ask by: %w", err)
		}
		if id.Seq%2 == 0 {
			switch out, err := txn.Outcome(ctx, c, id); {
			case err != nil:
				return false, err
			case out == txn.Forgotten:
				return false, errors.New("forgotten already")
			default:
				return out == txn.Committed, nil
			}
		}
		err = again(txn.Retry(ctx, id))
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, bank.ErrNoMoney), errors.Is(err, txn.ErrAborted), errors.Is(err, grains.ErrNotExecuted):
			return false, nil
		case !errors.Is(err, grains.ErrUnknown):
			return false, err
		}
	}
}

// Each silo in turn, the leader of the log among them, dies under load and comes back.
func TestTransfersOutliveASilo(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 150*time.Second)
	const accounts, callers = 12, 8
	id := func(i int) bank.AccountID { return bank.AccountID(fmt.Sprintf("death-%d", i)) }
	for i := range accounts {
		_, err := bank.GetAccount(c, id(i)).Deposit(ctx, 1000)
		require.NoError(t, err)
	}
	var mu sync.Mutex
	committed := map[string]bool{} // by note
	var done, unknown atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	finish := sync.OnceFunc(func() { close(stop); wg.Wait() })
	calling, cancel := context.WithCancel(ctx)
	defer finish()
	defer cancel() // where the test has failed
	for n := range callers {
		r := rand.New(rand.NewPCG(2, uint64(n)))
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				from := r.IntN(accounts)
				to := (from + 1 + r.IntN(accounts-1)) % accounts
				amount, note := 1+r.Int64N(50), fmt.Sprintf("%d/%d", n, k)
				transfer := func(ctx context.Context) error {
					_, err := bank.GetAccount(c, id(from)).Transfer(ctx, id(to), amount, note)
					return err
				}
				err := transfer(calling)
				was := err == nil
				if errors.Is(err, grains.ErrUnknown) {
					unknown.Add(1)
					was, err = resolve(calling, c, err, transfer)
				}
				switch {
				case calling.Err() != nil:
					return
				case was:
					mu.Lock()
					committed[note] = true
					mu.Unlock()
					done.Add(1)
				case err != nil && !errors.Is(err, bank.ErrNoMoney) && !errors.Is(err, txn.ErrAborted):
					t.Errorf("transfer %s: %v", note, err)
				}
			}
		})
	}
	more := func(what string) {
		t.Helper()
		before := done.Load()
		require.Eventually(t, func() bool { return done.Load() > before+50 }, 30*time.Second, time.Millisecond, what)
	}
	more("at first")
	for i := range 3 {
		c.Kill(i)
		began, before := time.Now(), done.Load()
		require.Eventually(t, func() bool { return done.Load() > before+2*callers }, 10*time.Second, time.Millisecond, "transfers go on without silo %d", i)
		t.Logf("silo %d down: %d transfers went on within %v", i, 2*callers, time.Since(began))
		c.Restart(i)
		more("after the restart")
	}
	finish()
	t.Logf("%d transfers, %d of unknown fate at first", done.Load(), unknown.Load())

	var sum int64
	notes := map[string]int{}
	var sent int64
	for i := range accounts {
		b, err := bank.GetAccount(c, id(i)).Balance(ctx)
		require.NoError(t, err)
		sum += b
	}
	require.EqualValues(t, accounts*1000, sum, "money is conserved")
	require.EventuallyWithT(t, func(t *assertT) {
		clear(notes)
		sent = 0
		for i := range accounts {
			all, err := bank.Journal.At(c, id(i)).All(ctx)
			require.NoError(t, err)
			for note := range all {
				notes[note]++
			}
			n, err := bank.Sent.At(c, id(i)).Value(ctx)
			require.NoError(t, err)
			sent += n
		}
		require.Len(t, notes, len(committed))
		require.EqualValues(t, len(committed), sent, "no transfer took effect twice")
	}, 20*time.Second, 50*time.Millisecond)
	for note, n := range notes {
		require.Equal(t, 1, n)
		require.True(t, committed[note], "a transfer took effect that was answered otherwise: %s", note)
	}
	require.EventuallyWithT(t, func(t *assertT) {
		audit, err := c.Audit(ctx)
		require.NoError(t, err)
		var silos []string
		for s := range audit {
			silos = append(silos, s)
		}
		slices.Sort(silos)
		for _, s := range silos[1:] {
			require.Equal(t, audit[silos[0]], audit[s], "replicas on %s and %s", silos[0], s)
		}
	}, 20*time.Second, 50*time.Millisecond)
}
