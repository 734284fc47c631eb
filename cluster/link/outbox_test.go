package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// sized is a call with arguments of that many bytes, and traits.
type sized struct {
	invocation
	size   int
	traits wire.Traits
}

func (s sized) AppendArgs(b []byte) []byte { return append(b, make([]byte, s.size)...) }
func (s sized) Traits() wire.Traits        { return s.traits }

func TestAnOutboxIsBounded(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	wait := func(context.Context) error {
		<-hold
		return nil
	}
	o := &Outbox{Calls: 3, Bytes: 100, Limit: 1000}
	ctx := t.Context()
	require.NoError(t, o.Send(ctx, target, sized{size: 90}, wait))
	require.ErrorIs(t, o.Send(ctx, target, sized{size: 11}, wait), wire.ErrOverloaded)
	require.NoError(t, o.Send(ctx, target, sized{size: 1}, wait))
	require.NoError(t, o.Send(ctx, target, sized{size: 1}, wait))
	require.ErrorIs(t, o.Send(ctx, target, sized{}, wait), wire.ErrOverloaded)
	err := o.Send(ctx, target, sized{size: 1001}, wait)
	require.ErrorIs(t, err, wire.ErrTooLarge)
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.Equal(t, wire.OneWayCounts{Pending: 3, Refused: 2}, o.Counts())
	close(hold)
	o.Wait(ctx)
	require.Equal(t, wire.OneWayCounts{Delivered: 3, Refused: 2}, o.Counts())
	require.NoError(t, o.Send(ctx, target, sized{size: 1000}, wait), "one alone may be larger than what several may measure together")
	o.Wait(ctx)
}

func TestAnOutboxCountsWhatBecameOfCalls(t *testing.T) {
	t.Parallel()
	o := &Outbox{}
	say := func(err error) {
		require.NoError(t, o.Send(t.Context(), target, sized{}, func(context.Context) error { return err }))
		o.Wait(t.Context())
	}
	say(nil)
	say(errors.New("the method's"))
	say(&wire.CallError{To: target, Cause: wire.ErrPanic})
	say(&wire.CallError{To: wire.NewID("another", ""), Cause: wire.ErrNotExecuted}) // of a call that the method made
	say(&wire.CallError{To: target, Cause: wire.ErrNotExecuted})
	say(&Stale{wire.CallError{To: target, Cause: wire.ErrFenced}})
	say(&wire.CallError{To: target, Cause: wire.ErrUnknown})
	require.Equal(t, wire.OneWayCounts{Delivered: 1, Failed: 3, Undelivered: 2, Unknown: 1}, o.Counts())
}

// The context of a call on its way has the deadline and the values of its caller's, and not its end; closing
// gives it up.
func TestTheContextOfAOneWayCall(t *testing.T) {
	t.Parallel()
	o := &Outbox{}
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(wire.WithValue(t.Context(), "a", "b"), deadline)
	began, ended := make(chan struct{}), make(chan error, 1) // one: there is one call
	require.NoError(t, o.Send(ctx, target, sized{}, func(own context.Context) error {
		cancel()
		close(began)
		at, _ := own.Deadline()
		v, _ := wire.ValueOf(own, "a")
		if !at.Equal(deadline) || v != "b" || own.Err() != nil {
			ended <- errors.New("it is another")
		}
		<-own.Done()
		ended <- own.Err()
		return own.Err()
	}))
	<-began
	o.Close(t.Context())
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, o.Send(t.Context(), target, sized{}, func(context.Context) error { return nil }), wire.ErrNotExecuted)
}

// A call that may have run and is made again, without success, may still have run.
func TestWhatIsMadeAgainMayHaveRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		traits wire.Traits
		root   wire.BlockID // of the tries after the first
		retry  bool
	}{
		"idempotent": {wire.Traits{Idempotent: true}, wire.BlockID{Client: 3, Seq: 4}, true},
		"read-only":  {wire.Traits{ReadOnly: true}, wire.BlockID{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := make(chan CallRequest, 100) // more than there can be
			r := pair(t, func(_ *actor.Node, req *CallRequest) *CallReply {
				tries <- *req
				if len(tries) == 1 {
					return &CallReply{Status: StatusUnknown}
				}
				return &CallReply{Status: StatusRefused}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := r.Call(ctx, "", target, sized{traits: c.traits}, Calling{Root: wire.BlockID{Client: 3, Seq: 4}})
			require.ErrorIs(t, err, wire.ErrUnknown)
			require.NotErrorIs(t, err, wire.ErrNotExecuted)
			require.False(t, (<-tries).Retry)
			second := <-tries
			require.Equal(t, c.root, second.Root)
			require.Equal(t, c.retry, second.Retry)
		})
	}
}

// What a silo says of a call that had waited there for as long as it may is the end of it, though the caller's own
// clock has not come so far; where an earlier try may have run, so may the call.
func TestWhatWaitedForTooLongIsNotSentAgain(t *testing.T) {
	t.Parallel()
	late := &wire.CallError{To: target, Method: "F", Cause: wire.ErrNotExecuted, Detail: "gave up", Ended: context.DeadlineExceeded}
	for name, unsure := range map[string]bool{"at first": false, "after a try that was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			r := pair(t, func(*actor.Node, *CallRequest) *CallReply {
				tries.Add(1)
				return &CallReply{Status: StatusError, Error: wire.AppendError(nil, late, nil)}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := r.Call(ctx, "", target, sized{traits: wire.Traits{Idempotent: true}}, Calling{Unsure: unsure})
			if unsure {
				require.ErrorIs(t, err, wire.ErrUnknown)
				require.NotErrorIs(t, err, wire.ErrNotExecuted)
			} else {
				require.Equal(t, error(late), err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.EqualValues(t, 1, tries.Load())
		})
	}
}
