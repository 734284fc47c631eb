package host_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// hollow is an error without text where it is nil.
type hollow struct{ inner error }

func (h *hollow) Error() string { return h.inner.Error() }

// A method that returns a nil pointer as its error has panicked, wherever it is.
func TestAnErrorThatIsANilPointer(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		err := w.call(ctx, w.silos[0], key, func(context.Context, *grain) error {
			var h *hollow
			return h
		})
		isOwn(t, err, key, grains.ErrPanic)
		_, errs := collect(w.list(ctx, w.silos[0], key, func(_ context.Context, _ *grain, yield func(int64, error) bool) {
			var h *hollow
			yield(0, h)
		}))
		require.Len(t, errs, 1)
		isOwn(t, errs[0], key, grains.ErrPanic)
		w.onActivate = func(context.Context, *grain) error {
			var h *hollow
			return h
		}
		require.NoError(t, w.call(ctx, w.silos[0], key, func(_ context.Context, g *grain) error {
			grains.Deactivate(g)
			return nil
		}))
		err = w.call(ctx, w.silos[0], key, nothing)
		isOwn(t, err, key, grains.ErrNotExecuted)
		require.ErrorIs(t, err, grains.ErrPanic)
	})
}

// isOwn says that err is of the call of the grain of that key itself.
func isOwn(t *testing.T, err error, key string, cause error) {
	t.Helper()
	require.ErrorIs(t, err, cause)
	call, ok := err.(*grains.CallError)
	require.True(t, ok, "%T: %v", err, err)
	require.False(t, call.PassedOn)
	require.Equal(t, wire.NewID(kindName, key), call.To)
	require.NotEmpty(t, call.Method)
}

// What a method did not return is a *CallError that names the call; what it passes on of calls of its own is
// one that names those, and says nothing of the method's.
func TestErrorsAreAlikeHereAndElsewhere(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		isOwn(t, w.call(ctx, w.silos[0], key, func(context.Context, *grain) error { panic("oh") }), key, grains.ErrPanic)
		err := w.call(ctx, w.silos[0], key, func(ctx context.Context, g *grain) error {
			return fmt.Errorf("with its own help: %w", w.call(ctx, g, key, nothing))
		})
		_, own := err.(*grains.CallError)
		require.False(t, own)
		require.ErrorIs(t, err, grains.ErrCycle)
		require.ErrorContains(t, err, "with its own help")
		call, ok := errors.AsType[*grains.CallError](err)
		require.True(t, ok)
		require.Equal(t, wire.NewID(kindName, key), call.To)
		require.ErrorIs(t, call.Cause, grains.ErrCycle)
		require.True(t, call.PassedOn)
		_, errs := collect(w.list(ctx, w.silos[0], key, func(context.Context, *grain, func(int64, error) bool) { panic("oh") }))
		require.Len(t, errs, 1)
		isOwn(t, errs[0], key, grains.ErrPanic)
	})
}

// A call whose grain was not activated did not run, whatever OnActivate's error says.
func TestACallOfAGrainThatIsNotActivated(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		ctx := within(t, 20*time.Second)
		w.onActivate = func(context.Context, *grain) error {
			return fmt.Errorf("%w: %w", context.Canceled, &grains.CallError{To: wire.NewID("k", "b"), Cause: grains.ErrUnknown})
		}
		err := w.call(ctx, w.silos[0], key, nothing)
		isOwn(t, err, key, grains.ErrNotExecuted)
		require.NotErrorIs(t, err, grains.ErrUnknown, "it is of a call that OnActivate has made")
		require.ErrorIs(t, err, context.Canceled, "the cause is kept")
		require.NoError(t, w.poke(ctx, w.silos[0], key, nothing))
		require.Eventually(t, func() bool {
			n := w.silos[0].host.OneWay().Undelivered + w.silos[1].host.OneWay().Undelivered
			return n == 1
		}, 10*time.Second, time.Millisecond)
	})
}

// Who gives up is told that its context ended, besides what became of the call.
func TestTheErrorOfTheContext(t *testing.T) {
	t.Parallel()
	eachPlace(t, func(t *testing.T, w *world, key string) {
		within := within(t, 20*time.Second)
		ended, cancel := context.WithCancel(within)
		cancel()
		err := w.call(ended, w.silos[0], key, nothing)
		isOwn(t, err, key, grains.ErrNotExecuted)
		require.ErrorIs(t, err, context.Canceled)

		held, free := make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- w.call(within, w.silos[0], key, func(context.Context, *grain) error {
				close(held)
				<-free
				return nil
			})
		}()
		<-held
		short, cancel := context.WithTimeout(within, 30*time.Millisecond)
		defer cancel()
		err = w.call(short, w.silos[0], key, nothing)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, own := err.(*grains.CallError)
		require.True(t, own)
		close(free)
		require.NoError(t, <-done)

		short, cancel = context.WithTimeout(within, 30*time.Millisecond)
		defer cancel()
		_, errs := collect(w.list(short, w.silos[0], key, func(ctx context.Context, _ *grain, yield func(int64, error) bool) {
			for i := range int64(8) {
				yield(i, nil)
			}
			<-ctx.Done()
		}))
		require.Len(t, errs, 1)
		isOwn(t, errs[0], key, grains.ErrStreamLost)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
	})
}

// A silo does not have a call made again that has waited there until its time was over.
func TestWhatHasWaitedTooLongIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	key, ctx := w.key(1, 0), within(t, 20*time.Second)
	first, begun, let := blocking()
	done := make(chan error, 1) // one: the only send never waits
	go func() { done <- w.call(ctx, w.silos[0], key, first) }()
	<-begun
	short, end := context.WithTimeout(ctx, 10*time.Millisecond)
	defer end()
	req := link.CallRequest{To: wire.NewID(kindName, key), Method: run.Number, Args: run.Args.Append(nil, 0)}
	b, err := w.silos[1].host.Serve(short, req.Append(nil))
	require.NoError(t, err)
	close(let)
	require.NoError(t, <-done)
	reply, err := link.DecodeCallReply(b)
	require.NoError(t, err)
	require.Equal(t, link.StatusError, reply.Status, "a refusal would be made again")
	err = wire.DecodeError(reply.Error, nil)
	isOwn(t, err, key, grains.ErrNotExecuted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, w.silos[1].host.Stats().Refused.Expired)
}
