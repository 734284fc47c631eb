package actor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

type testKey struct{}

// The context of a handler is one like those of package context, whatever is
// derived of it and whenever it is asked.
func TestServedIsAContext(t *testing.T) { // not in parallel: it counts goroutines
	derive := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"itself":      func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"with cancel": context.WithCancel,
		"with value, then cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(context.WithValue(ctx, testKey{}, 1))
		},
		"with a later deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
	}
	for name, derive := range derive {
		for _, asked := range []bool{false, true} {
			ends := map[string]struct {
				end func(*served)
				err error
			}{
				"deadline":  {func(*served) { time.Sleep(time.Minute + 1) }, context.DeadlineExceeded},
				"cancelled": {func(s *served) { s.end() }, context.Canceled},
				"cancelled, and the deadline": {func(s *served) {
					s.end()
					time.Sleep(time.Hour)
				}, context.Canceled},
				"deadline, and cancelled": {func(s *served) {
					time.Sleep(time.Minute + 1)
					_ = s.Err()
					s.end()
				}, context.DeadlineExceeded},
			}
			for what, how := range ends {
				synctest.Test(t, func(t *testing.T) {
					s := &served{deadline: time.Now().Add(time.Minute)}
					before := runtime.NumGoroutine()
					ctx, cancel := derive(s)
					defer cancel()
					d, ok := ctx.Deadline()
					require.True(t, ok)
					require.Equal(t, s.deadline, d)
					require.NoError(t, ctx.Err())
					require.Nil(t, s.Value(testKey{}))
					if asked {
						select {
						case <-ctx.Done():
							require.Fail(t, "it has ended")
						default:
						}
					}
					if name != "itself" {
						synctest.Wait()
						require.LessOrEqual(t, runtime.NumGoroutine(), before, "a goroutine waits for its end")
					}
					how.end(s)
					<-ctx.Done()
					require.Equal(t, how.err, ctx.Err(), "%s, %s, asked %v", name, what, asked)
					require.Equal(t, how.err, context.Cause(ctx))
				})
			}
		}
	}
}

// A handler that takes long holds up no other.
func TestEveryRequestHasItsGoroutine(t *testing.T) {
	t.Parallel()
	a, b := overTCP(t, Config{}), overTCP(t, Config{})
	gate := make(chan struct{})
	var serving atomic.Int32
	b.Handle(1, func(context.Context, Peer, []byte) ([]byte, error) {
		serving.Add(1)
		<-gate
		return nil, nil
	})
	b.Handle(2, func(context.Context, Peer, []byte) ([]byte, error) { return nil, nil })
	const many = 2000 // more than are kept
	for range 2 {
		serving.Store(0)
		var all sync.WaitGroup
		for range many {
			all.Go(func() {
				_, err := a.Request(t.Context(), b.Addr(), 1, nil)
				require.NoError(t, err)
			})
		}
		require.Eventually(t, func() bool { return serving.Load() == many }, 10*time.Second, time.Millisecond)
		_, err := a.Request(t.Context(), b.Addr(), 2, nil)
		require.NoError(t, err)
		close(gate)
		all.Wait()
		gate = make(chan struct{})
	}
	b.crew.mu.Lock()
	idle := len(b.crew.idle)
	b.crew.mu.Unlock()
	require.LessOrEqual(t, idle, keptWorkers)
	require.Positive(t, idle)
	require.NoError(t, b.Stop(t.Context()))
	require.Eventually(t, func() bool {
		b.crew.mu.Lock()
		defer b.crew.mu.Unlock()
		return b.crew.idle == nil && b.crew.stopped
	}, time.Second, time.Millisecond)
}

// Connections take turns, whatever waits on each.
func TestConnectionsTakeTurns(t *testing.T) {
	t.Parallel()
	c := &crew{most: 1, standby: true} // somebody is about to take the first
	flood, other := new(row), new(row)
	add := func(r *row, number int) { c.run(nil, &served{from: origin{row: r}, size: number}) }
	for i := range 3 {
		add(flood, i)
	}
	add(other, 10)
	add(nil, 20)
	add(other, 11)
	var order []int
	for {
		c.standby = true
		s := c.take(nil, false)
		if s == nil {
			break
		}
		require.Nil(t, s.next)
		order = append(order, s.size)
	}
	require.Equal(t, []int{0, 10, 20, 1, 11, 2}, order)
	require.Nil(t, c.first)
	add(flood, 5)
	require.Equal(t, 5, c.take(nil, false).size)
}

// A handler that waits for another's request, which comes after its own, does
// not keep it from being served.
func TestRequestsThatWaitForLaterOnes(t *testing.T) {
	t.Parallel()
	a, b := overTCP(t, Config{}), overTCP(t, Config{})
	const chain = 200
	var gates [chain + 1]chan struct{}
	for i := range gates {
		gates[i] = make(chan struct{})
	}
	b.Handle(1, func(ctx context.Context, _ Peer, p []byte) ([]byte, error) {
		select {
		case <-gates[p[0]+1]:
			close(gates[p[0]])
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range chain {
		all.Go(func() {
			_, err := a.Request(ctx, b.Addr(), 1, []byte{byte(i)})
			require.NoError(t, err)
		})
	}
	close(gates[chain])
	<-gates[0]
	all.Wait()
}
