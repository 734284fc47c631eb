package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Status says how far an attempt of this coordinator's is, for a participant that asks.
func (c *Coordinator) Status(a commit.Attempt) link.Notice {
	c.mu.Lock()
	r, runs := c.attempts[a]
	n, over := c.ended[a]
	c.mu.Unlock()
	switch {
	case over:
		return n
	case !runs:
		return link.Notice{Kind: link.NoticeLost, Attempt: a}
	}
	n = link.Notice{Kind: link.NoticeRunning, Attempt: a}
	r.branch.With(func(b *commit.Block) {
		// One that has ended says so itself, in a moment; until then its function may still be at its state.
		if b.Attempt() == a && (b.Phase() == commit.Submitted || b.Phase() == commit.Asking) {
			n.Kind = link.NoticeSubmitted
		}
	})
	return n
}

// Wound asks the coordinator at an address to stop an attempt.
func (c *Coordinator) Wound(addr string, a commit.Attempt) {
	if addr != c.Addr {
		c.Tell(addr, link.Notice{Kind: link.NoticeWound, Attempt: a})
		return
	}
	c.Wounded(a)
}

// Wounded stops an attempt of this coordinator's, for an older block. One that is submitted or over is
// left alone: its participants have been told, and ask if they have not heard.
func (c *Coordinator) Wounded(a commit.Attempt) {
	c.mu.Lock()
	r := c.attempts[a]
	c.mu.Unlock()
	if r == nil {
		return
	}
	stopped := false
	r.branch.With(func(b *commit.Block) { stopped = b.Wound(a) })
	if stopped {
		r.stop(commit.ErrWounded)
	}
}

// Ask asks the coordinator at an address how far an attempt is.
func (c *Coordinator) Ask(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error) {
	if addr == c.Addr {
		return c.Status(a), nil
	}
	return c.Config.Ask(ctx, addr, a)
}

// Load reads transactional state at the leader of the log.
func (c *Coordinator) Load(ctx context.Context, key commit.StateKey) (commit.Attempt, []byte, error) {
	reply, err := c.Leader.Do(ctx, &link.LeaderRequest{Op: link.OpLoad, Key: key})
	if err != nil {
		return commit.Attempt{}, nil, err
	}
	return reply.Version, reply.Value, nil
}

// Outcome asks what became of a block, logging its abort first where nothing is known.
func (c *Coordinator) Outcome(ctx context.Context, id wire.BlockID) (wire.Outcome, error) {
	if id.IsZero() {
		return 0, errors.New("txn: the zero ID names no atomic block")
	}
	if c.faults.guessOutcome {
		return wire.Aborted, nil
	}
	r, err := c.inquire(ctx, commit.Inquire{ID: commit.ID(id)})
	if err != nil {
		return 0, fmt.Errorf("asking for the outcome of atomic block %v: %w", id, err)
	}
	switch r.Code {
	case commit.Committed:
		return wire.Committed, nil
	case commit.Aborted:
		return wire.Aborted, nil
	case commit.Forgotten:
		return wire.Forgotten, nil
	}
	return 0, fmt.Errorf("asking for the outcome of atomic block %v: %s", id, r.Reason)
}

// inquire asks the ledger. A question may be repeated: it never changes an outcome.
func (c *Coordinator) inquire(ctx context.Context, q commit.Inquire) (commit.Result, error) {
	ahead := false
	for tries := 0; ; tries++ {
		pause(ctx, tries)
		r, err := c.propose(ctx, q)
		switch {
		case errors.Is(err, wire.ErrUnknown) && ctx.Err() == nil:
		case err != nil:
			return r, err
		case r.Code == commit.Invalid && !ahead && q.ID.Seq > window:
			// Many calls that began no block lie between: what is that old is surely over.
			ahead = true
			if _, err := c.propose(ctx, commit.Confirm{Client: q.ID.Client, UpTo: q.ID.Seq - window}); err != nil && !errors.Is(err, wire.ErrUnknown) {
				return r, err
			}
		default:
			return r, nil
		}
	}
}

// window is how far back, in its own sequence, a client may ask for outcomes.
const window = 1 << 15

// attemptsBetween is how many attempts one execution of a call may make before the attempts of a retry of
// the call would have the same names.
const attemptsBetween = 1 << 16

// Resume asks what became of a call that is made again under its id. Where it has committed it returns
// the kept reply and done; else it makes sure that what was tried before cannot commit any more, and
// returns up to which attempt that is: the caller's own, which no other that resumes the call is told.
func (c *Coordinator) Resume(ctx context.Context, root wire.BlockID) (reply []byte, after uint32, done bool, err error) {
	r, err := c.inquire(ctx, commit.Inquire{ID: commit.ID(root), Past: attemptsBetween})
	switch {
	case err != nil:
	case r.Code == commit.Committed && r.HasReply:
		return r.Reply, 0, true, nil
	case r.Code == commit.Committed:
		err = wire.ErrReplyLost
	case r.Code == commit.Aborted && r.Attempt.N == commit.AllAttempts:
		err = fmt.Errorf("its outcome was asked for, and it is aborted: call anew: %w", wire.ErrAborted)
	case r.Code != commit.Aborted:
		err = fmt.Errorf("its outcome is %v %s: %w", r.Code, r.Reason, wire.ErrUnknown)
	}
	return nil, r.Attempt.N, false, err
}
