package host

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// desk is a log of one ledger, whose leader may be made to lose answers and to keep entries waiting.
type desk struct {
	mu     sync.Mutex
	pos    uint64
	ledger *commit.Ledger
	// answer stands between a command and its result; nil applies it.
	answer func(c commit.Command, apply func() *link.LeaderReply) *link.LeaderReply
}

func (d *desk) do(_ context.Context, r *link.LeaderRequest) *link.LeaderReply {
	apply := func() *link.LeaderReply {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.pos++
		return &link.LeaderReply{Status: link.LeaderOK, Result: d.ledger.Apply(d.pos, r.Entry)}
	}
	switch r.Op {
	case link.OpPropose:
		if cmds, err := commit.DecodeEntry(r.Entry); err == nil && d.answer != nil {
			return d.answer(cmds[0], apply)
		}
		return apply()
	case link.OpValidate:
		return &link.LeaderReply{Status: link.LeaderOK, Stale: d.ledger.Validate(r.Reads)}
	}
	return &link.LeaderReply{Status: link.LeaderRefused}
}

func coordinator(t *testing.T, f faults) (*Coordinator, *desk) {
	d := &desk{ledger: commit.NewLedger(commit.Config{})}
	c := New(Config{
		Addr: "here", Logger: slog.New(slog.DiscardHandler), Tell: func(string, link.Notice) {},
		Leader: &link.Leader{Peers: link.Peers{Views: &view.Holder{}}, Self: "silo", Local: d.do, Hint: func() (link.LeaderAt, bool) { return link.LeaderAt{ID: "silo"}, true }},
	})
	c.faults = f
	t.Cleanup(c.Stop)
	return c, d
}

func bounded(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// write is a block that writes one state that was never written before.
func write(ran *int, value string) wire.Closure {
	key := commit.StateKey{Grain: wire.NewID("k", "x"), State: 1}
	return wire.Closure{
		Run: func(ctx context.Context) error {
			*ran++
			link.BranchOf(wire.BlockOf(ctx)).Merge(commit.Record{
				Participant: commit.Participant{Node: "here", Grain: key.Grain, Activation: 1}, Revision: 1,
				Reads: []commit.Read{{Key: key}}, Writes: []commit.Write{{Key: key, Value: []byte(value)}},
			})
			return nil
		},
		Encode:  func(any) ([]byte, bool) { return []byte("reply of " + value), true },
		Restore: func(any, []byte) error { return nil },
	}
}

// turn is an opener that serves a call of that id.
type turn struct {
	id    wire.BlockID
	after uint32
}

func (o *turn) Root() (wire.BlockID, uint32) { return o.id, o.after }
func (o *turn) Result() any                  { return nil }
func (o *turn) Open(*link.Branch)            {}
func (o *turn) Close(*link.Branch)           {}
func (o *turn) Yield(commit.Holder) error    { return nil }

// A leader that dies between taking the entry and answering leaves a doubt, which asking resolves; it is
// no failure.
func TestALostAnswerIsNoFailure(t *testing.T) {
	t.Parallel()
	run := func(f faults) (ran int, err error) {
		c, d := coordinator(t, f)
		d.answer = func(cmd commit.Command, apply func() *link.LeaderReply) *link.LeaderReply {
			reply := apply()
			if decision, ok := cmd.(commit.Decision); ok && decision.Attempt.N == 1 {
				return &link.LeaderReply{Status: link.LeaderInDoubt, Detail: "leadership lost while committing"}
			}
			return reply
		}
		err = c.Atomic(bounded(t, 10*time.Second), write(&ran, "v"), nil)
		return ran, err
	}
	ran, err := run(faults{})
	require.NoError(t, err)
	require.Equal(t, 1, ran)
	_, err = run(faults{loseIsAborted: true})
	require.Error(t, err, "nothing notices that a committed block was taken as aborted")
}

// The caller's context ends while the log is silent: in doubt, with the id. Asking by it has the abort
// recorded first: the entry that comes late is refused.
func TestAskingForWhatIsStillOnItsWay(t *testing.T) {
	t.Parallel()
	run := func(f faults) (said wire.Outcome, committed bool) {
		c, d := coordinator(t, f)
		arrived, let := make(chan struct{}), make(chan struct{})
		d.answer = func(cmd commit.Command, apply func() *link.LeaderReply) *link.LeaderReply {
			if _, ok := cmd.(commit.Decision); ok {
				close(arrived)
				<-let
			}
			return apply()
		}
		ctx, cancel := context.WithCancel(bounded(t, 10*time.Second))
		done := make(chan error, 1)
		var ran int
		go func() { done <- c.Atomic(ctx, write(&ran, "late"), nil) }()
		<-arrived
		cancel()
		var doubt *wire.InDoubt
		require.ErrorAs(t, <-done, &doubt)
		said, err := c.Outcome(bounded(t, 10*time.Second), doubt.ID)
		require.NoError(t, err)
		close(let)
		c.settle.Wait()
		_, _, committed = d.ledger.Get(commit.StateKey{Grain: wire.NewID("k", "x"), State: 1})
		return said, committed
	}
	said, committed := run(faults{})
	require.Equal(t, wire.Aborted, said)
	require.False(t, committed)
	_, committed = run(faults{guessOutcome: true})
	require.True(t, committed, "nothing notices that a block committed after it was called aborted")
}

// What no log has ever taken is aborted, and not in doubt.
func TestWhatWasNeverTakenIsAborted(t *testing.T) {
	t.Parallel()
	run := func(f faults) error {
		c, d := coordinator(t, f)
		require.NoError(t, c.Register(t.Context()))
		c.Settle = 50 * time.Millisecond
		d.answer = func(commit.Command, func() *link.LeaderReply) *link.LeaderReply {
			return &link.LeaderReply{Status: link.LeaderElsewhere, Detail: "no leader"}
		}
		var ran int
		return c.Atomic(bounded(t, 10*time.Second), write(&ran, "v"), nil)
	}
	require.ErrorIs(t, run(faults{}), wire.ErrAborted)
	require.ErrorIs(t, run(faults{doubtAll: true}), wire.ErrUnknown)
}

// A call that is made again under its id is answered with the reply that was kept; what was forgotten is
// called neither committed nor aborted.
func TestRetries(t *testing.T) {
	t.Parallel()
	c, _ := coordinator(t, faults{})
	ctx := bounded(t, 10*time.Second)
	call := c.NextCall(ctx)
	var ran int
	require.NoError(t, c.Atomic(ctx, write(&ran, "v"), &turn{id: call}))
	reply, _, done, err := c.Resume(ctx, call)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "reply of v", string(reply))

	// A call that never began: each that takes it up has attempts of its own.
	other := c.NextCall(ctx)
	_, first, done, err := c.Resume(ctx, other)
	require.NoError(t, err)
	require.False(t, done)
	_, second, _, err := c.Resume(ctx, other)
	require.NoError(t, err)
	require.GreaterOrEqual(t, second, first+attemptsBetween)
	// The first of them is too late now, whatever it does.
	err = c.Atomic(ctx, wire.Closure{
		Run:    func(context.Context) error { return nil },
		Encode: func(any) ([]byte, bool) { return nil, true },
	}, &turn{id: other, after: first})
	require.Error(t, err)
	out, err := c.Outcome(ctx, other)
	require.NoError(t, err)
	require.Equal(t, wire.Aborted, out)
	_, _, _, err = c.Resume(ctx, other)
	require.ErrorIs(t, err, wire.ErrAborted, "aborted for good: the caller calls anew")

	_, err = c.propose(ctx, commit.Confirm{Client: call.Client, UpTo: other.Seq})
	require.NoError(t, err)
	out, err = c.Outcome(ctx, call)
	require.NoError(t, err)
	require.Equal(t, wire.Forgotten, out)
	_, _, _, err = c.Resume(ctx, call)
	require.ErrorIs(t, err, wire.ErrUnknown)
}

// A function that panics, or ends its goroutine, ends its block.
func TestABlockWhoseFunctionPanics(t *testing.T) {
	t.Parallel()
	runs := func(f faults) bool {
		c, _ := coordinator(t, f)
		var name commit.Attempt
		assert.PanicsWithValue(t, "as asked", func() {
			_ = c.Atomic(bounded(t, 10*time.Second), wire.Closure{Run: func(ctx context.Context) error {
				name = link.BranchOf(wire.BlockOf(ctx)).Holder.Attempt
				panic("as asked")
			}}, nil)
		})
		return c.Status(name).Kind == link.NoticeRunning
	}
	require.False(t, runs(faults{}))
	require.True(t, runs(faults{leavePanics: true}))
}

// A context that has ended before the submission ends the block: it is aborted.
func TestCancelledBeforeSubmission(t *testing.T) {
	t.Parallel()
	c, d := coordinator(t, faults{})
	ctx, cancel := context.WithCancel(bounded(t, 10*time.Second))
	var ran int
	block := write(&ran, "v")
	inner := block.Run
	block.Run = func(ctx context.Context) error { cancel(); return inner(ctx) }
	err := c.Atomic(ctx, block, nil)
	require.ErrorIs(t, err, wire.ErrAborted)
	require.True(t, errors.Is(err, context.Canceled))
	_, _, committed := d.ledger.Get(commit.StateKey{Grain: wire.NewID("k", "x"), State: 1})
	require.False(t, committed)
}

// A log that cannot be reached keeps no call waiting: most need no log.
func TestCallsDoNotWaitForTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := true
		c, d := coordinator(t, faults{})
		apply := d.do
		c.Leader.Local = func(ctx context.Context, r *link.LeaderRequest) *link.LeaderReply {
			if lost {
				return &link.LeaderReply{Status: link.LeaderElsewhere}
			}
			return apply(ctx, r)
		}
		ctx := bounded(t, time.Minute)
		start := time.Now()
		require.True(t, c.NextCall(ctx).IsZero())
		require.True(t, c.NextCall(ctx).IsZero())
		require.LessOrEqual(t, time.Since(start), registerTime)
		lost = false
		time.Sleep(registerTime)
		require.False(t, c.NextCall(ctx).IsZero())
	})
}

// A log of which nobody knows whether it has taken anything is not asked as fast as it answers.
func TestQuestionsThatAreRepeatedPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, d := coordinator(t, faults{})
		asked := 0
		d.answer = func(commit.Command, func() *link.LeaderReply) *link.LeaderReply {
			asked++
			return &link.LeaderReply{Status: link.LeaderInDoubt}
		}
		_, err := c.Outcome(bounded(t, 10*time.Second), wire.BlockID{Client: 1, Seq: 1})
		require.ErrorIs(t, err, wire.ErrUnknown)
		require.Less(t, asked, 200)
	})
}
