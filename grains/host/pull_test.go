package host_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// wanders is a stream whose method gives its turns up for the calls that it makes.
var wanders = listed(27, "Wander", wire.Traits{Reentrant: true})

// A pull that is made again while the first one still runs, as it is where a connection is lost, waits for that
// without the grain's turn: the first one has to come back into it.
func TestAPullThatIsMadeTwice(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	n, a, b := w.silos[0], w.key(0, 0), w.key(0, 1)
	ctx := within(t, 10*time.Second)
	begun, let := make(chan struct{}), make(chan struct{})
	listings.Lock()
	number := int64(len(listings.all))
	listings.all = append(listings.all, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
		if err := g.call(ctx, b, func(context.Context, *grain) error {
			close(begun)
			<-let
			return nil
		}); err == nil {
			yield(7, nil)
		}
	})
	listings.Unlock()
	pull := wire.AppendUint(nil, 1, rand.Uint64()>>1+1)
	pull = wire.AppendUint(pull, 3, uint(8))
	pull = wire.AppendElement(pull, 5, number, wire.IntCodec[int64]().Append)
	req := (&link.CallRequest{To: wire.NewID(kindName, a), Method: wanders.Number, Args: pull}).Append(nil)
	replies := make([]link.CallReply, 2)
	var pulls sync.WaitGroup
	serve := func(i int) {
		pulls.Go(func() {
			got, err := n.host.Serve(ctx, req)
			assert.NoError(t, err)
			replies[i], err = link.DecodeCallReply(got)
			assert.NoError(t, err)
		})
	}
	serve(0)
	<-begun
	serve(1)
	soon(t, "both are there", func() bool { return n.host.Stats().Calls == 3 })
	require.NoError(t, w.call(within(t, 5*time.Second), n, a, nothing), "who waits for a batch keeps nobody from the grain")
	close(let)
	pulls.Wait()
	require.Equal(t, link.StatusOK, replies[0].Status)
	require.Equal(t, replies[0], replies[1])
}

// A stream that is read in a block, and not to its end, ends at once.
func TestAReaderThatBreaksOffInABlock(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx, ended := within(t, 20*time.Second), make(chan struct{})
		require.NoError(t, txn.Atomic(ctx, w.silos[0], func(ctx context.Context) error {
			for v, err := range w.list(ctx, w.silos[0], key, func(ctx context.Context, g *grain, yield func(int64, error) bool) {
				defer close(ended)
				for i := int64(0); yield(i, g.add(ctx, 1)); i++ {
				}
			}) {
				if err != nil || v == 20 {
					return err
				}
			}
			return errors.New("it ended")
		}))
		select {
		case <-ended:
		case <-ctx.Done():
			require.Fail(t, "the method goes on")
		}
		require.EqualValues(t, 24, w.value(key))
	})
}

// All streams of a silo share its room, and give it back however they end.
func TestTheStreamsOfASiloAreBounded(t *testing.T) {
	t.Parallel()
	n := hermit(t, host.Config{CallBytes: 200 << 10}) // room for three batches
	w := &world{t: t}
	ctx := within(t, 20*time.Second)
	open := func(i int) (stop func(), err error) {
		next, stop := iter.Pull2(w.list(ctx, n, fmt.Sprint("grain-", i), upTo(1000)))
		_, err, _ = next()
		return stop, err
	}
	for range 3 {
		var stops []func()
		for i := range 3 {
			stop, err := open(i)
			require.NoError(t, err)
			stops = append(stops, stop)
		}
		stop, err := open(3)
		require.ErrorIs(t, err, wire.ErrOverloaded)
		stop()
		for _, stop := range stops {
			stop()
		}
		soon(t, "there is room again", func() bool { return n.host.StreamBytes() == 0 })
	}
	for i := range 20 {
		all, errs := collect(w.list(ctx, n, fmt.Sprint("grain-", i), upTo(100)))
		require.Empty(t, errs)
		require.Len(t, all, 100)
	}
	require.Zero(t, n.host.StreamBytes())
	_, err := open(0)
	require.NoError(t, err)
	n.host.CollectIdle() // it is read, and stays
	require.NotZero(t, n.host.StreamBytes())
	require.NoError(t, n.host.Stop(ctx))
	require.Zero(t, n.host.StreamBytes())
}
