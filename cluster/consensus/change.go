package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// MembersChanged says that a decision was made from a configuration that is not
// the newest. Nothing was done: look at Members, and decide again.
type MembersChanged struct {
	Decided uint64 // Members.Version that the decision was made from
	Now     uint64 // the newest that is applied here; the same where the change between is not
}

func (e *MembersChanged) Error() string {
	return fmt.Sprintf("the members have changed since version %d, it is %d or later now: decide again", e.Decided, e.Now)
}

// BadChange says that a change makes no sense. Nothing was done.
type BadChange struct{ ID, Reason string }

func (e *BadChange) Error() string { return fmt.Sprintf("membership of store %q: %s", e.ID, e.Reason) }

// AddressTaken says that another member has the address of one that is to be
// added or moved. Nothing was done. If the other is the predecessor of this one,
// whose data directory was lost, it is to be removed first.
type AddressTaken struct{ Addr, By string }

func (e *AddressTaken) Error() string {
	return fmt.Sprintf("address %s belongs to store %s: remove that store first, or give this silo another address", e.Addr, e.By)
}

// NotCaughtUp says that a store cannot become a voter yet: it would be counted
// for commits and could not confirm any. Nothing was done; try again later.
type NotCaughtUp struct {
	ID          string
	Behind      uint64    // entries of the raft log
	LastContact time.Time // zero: never
}

func (e *NotCaughtUp) Error() string {
	if e.LastContact.IsZero() {
		return fmt.Sprintf("store %s cannot vote yet: it has not answered this leader", e.ID)
	}
	return fmt.Sprintf("store %s cannot vote yet: it is %d log entries behind and answered last at %s", e.ID, e.Behind, e.LastContact.Format(time.TimeOnly))
}

// promotable is how many log entries a store may lack that is made a voter: what
// one message carries, about as much as is on its way under load.
const promotable = 512

// Add makes a store a member without a vote, or gives a member its new address
// and leaves it its vote. It may not be reachable yet; as soon as it is, it is
// given the log or a snapshot. A store must have promised to join this cluster
// before it is added, see [Group.Admit], which asks for that.
//
// Add, Promote, Demote and Remove are for the leader. decided is the
// Members.Version that the caller decided from; when there is a newer
// configuration, the change is refused (*MembersChanged), so that of two who
// decide from the same one only the first gets through. What is so already
// costs nothing and succeeds. Once a change is done, Members here shows it.
//
// An error that matches [ErrInDoubt] says that the change may happen, now or
// later: look at Members under the next leader. After any other nothing has
// happened and nothing will: ErrNotLeader, ErrNotSubmitted, ErrClosed,
// ErrRemoved, *MembersChanged, *BadChange, *AddressTaken, *NotCaughtUp. A change
// costs one entry of the log, and changes wait for one another.
func (g *Group) Add(ctx context.Context, s Server, decided uint64) error {
	return g.alter(ctx, decided, func(now Members) (request, error) {
		if s.ID == "" || s.Addr == "" || len(s.ID) > maxStoreID {
			return nil, &BadChange{s.ID, fmt.Sprintf("an id of 1 to %d bytes and an address are needed, not %q at %q", maxStoreID, s.ID, s.Addr)}
		}
		for _, m := range now.List {
			switch {
			case m.Server == s:
				return nil, nil
			case m.Addr == s.Addr:
				return nil, &AddressTaken{Addr: s.Addr, By: m.ID}
			}
		}
		// Of a voter this changes the address alone.
		return func(prev uint64, patience time.Duration) raft.IndexFuture {
			return g.raft.AddNonvoter(raft.ServerID(s.ID), raft.ServerAddress(s.Addr), prev, patience)
		}, nil
	})
}

// Promote gives a member a vote. It is refused (*NotCaughtUp) while the store
// does not answer or lags: a voter that cannot confirm weakens the group. See
// Add for decided and errors.
func (g *Group) Promote(ctx context.Context, id string, decided uint64) error {
	return g.alter(ctx, decided, func(now Members) (request, error) {
		m, ok := now.Find(id)
		switch {
		case !ok:
			return nil, &BadChange{id, "it is not a member: add it first"}
		case m.Voter:
			return nil, nil
		case !m.CaughtUp && !g.cfg.off.promotions:
			return nil, &NotCaughtUp{ID: id, Behind: m.Behind, LastContact: m.LastContact}
		}
		return func(prev uint64, patience time.Duration) raft.IndexFuture {
			return g.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(m.Addr), prev, patience)
		}, nil
	})
}

// Demote takes a member's vote; it stays a member. The leader that demotes
// itself steps down when that is committed. The last voter cannot be demoted
// (*BadChange). See Add for decided and errors.
func (g *Group) Demote(ctx context.Context, id string, decided uint64) error {
	return g.alter(ctx, decided, func(now Members) (request, error) {
		m, ok := now.Find(id)
		switch {
		case !ok:
			return nil, &BadChange{id, "it is not a member"}
		case !m.Voter:
			return nil, nil
		case now.Voters() == 1:
			return nil, &BadChange{id, "it is the only voter: promote another first"}
		}
		return func(prev uint64, patience time.Duration) raft.IndexFuture {
			return g.raft.DemoteVoter(raft.ServerID(id), prev, patience)
		}, nil
	})
}

// Remove makes a store a member no more, for good: it is told so when it comes
// back. The leader that removes itself steps down when that is committed, and
// the others elect one of them. The last voter cannot be removed (*BadChange).
// See Add for decided and errors.
func (g *Group) Remove(ctx context.Context, id string, decided uint64) error {
	return g.alter(ctx, decided, func(now Members) (request, error) {
		m, ok := now.Find(id)
		switch {
		case !ok:
			return nil, nil
		case m.Voter && now.Voters() == 1:
			return nil, &BadChange{id, "it is the only voter: promote another first"}
		}
		return func(prev uint64, patience time.Duration) raft.IndexFuture {
			return g.raft.RemoveServer(raft.ServerID(id), prev, patience)
		}, nil
	})
}

// request hands a change to raft, for the configuration prev alone.
type request func(prev uint64, patience time.Duration) raft.IndexFuture

// alter makes one change. plan is given the members of the version that was
// decided from; what it accepts raft accepts too, unless there is a newer
// configuration in the log.
func (g *Group) alter(ctx context.Context, decided uint64, plan func(Members) (request, error)) error {
	if err := ctx.Err(); err != nil {
		return &NotSubmitted{Cause: err}
	}
	if g.isClosed() {
		return ErrClosed
	}
	select {
	case g.changing <- struct{}{}:
		defer func() { <-g.changing }()
	case <-ctx.Done():
		return &NotSubmitted{Cause: ctx.Err()}
	case <-g.closed:
		return ErrClosed
	}
	if err := g.awaitConfirmed(ctx); err != nil {
		return err
	}
	now, _ := g.Members()
	if decided != now.Version && !g.cfg.off.versions {
		return &MembersChanged{Decided: decided, Now: now.Version}
	}
	submit, err := plan(now)
	if err != nil || submit == nil {
		return err
	}
	if g.cfg.off.versions {
		decided = 0
	}
	return g.request(ctx, decided, submit)
}

func (g *Group) request(ctx context.Context, decided uint64, submit request) error {
	patience := enqueueTimeout
	if end, ok := ctx.Deadline(); ok {
		patience = max(min(patience, time.Until(end)), time.Millisecond)
	}
	answer := make(chan error, 1)
	go func() { // may stay until the process ends, see queue.step
		future := submit(decided, patience)
		err := future.Error()
		answer <- g.classifyChange(err, future.Index(), decided)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	case <-g.done:
		return &InDoubt{Cause: raft.ErrRaftShutdown}
	}
	select {
	case err := <-answer: // both ended at once: the outcome is worth more
		return err
	default:
		return &InDoubt{Cause: ctx.Err()}
	}
}

// classifyChange turns what raft said about a change into this package's terms.
// index is zero of one that was never appended.
func (g *Group) classifyChange(err error, index, decided uint64) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return classify(err, g.leaderOtherThanSelf())
	case index == 0 && errors.Is(err, raft.ErrRaftShutdown):
		return ErrClosed
	case index == 0:
		now, _ := g.roster.members()
		return &MembersChanged{Decided: decided, Now: now.Version}
	}
	return &InDoubt{Cause: err}
}

// awaitConfirmed returns nil on a leader that has applied what was committed
// before its reign, its predecessors' configurations included.
func (g *Group) awaitConfirmed(ctx context.Context) error {
	for {
		_, changed := g.Leadership()
		if err := g.proposable(); !errors.Is(err, errHold) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &NotSubmitted{Cause: ctx.Err()}
		case <-g.closed:
			return ErrClosed
		}
	}
}
