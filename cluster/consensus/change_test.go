package consensus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// Two who decide from the same members: one takes a voter's vote, because there
// are enough, and the other does the same with another. Only one gets through.
func TestDecisionsFromTheSameVersion(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]switches{"guarded": {}, "unguarded": {versions: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 3, func(cfg *Config) { calm(cfg); cfg.off = off })
			l := c.leader()
			g := c.groups[l]
			at := membersOn(g).Version
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for k := range errs {
				wg.Go(func() {
					errs[k] = g.Demote(within(t, patienceOfTests), c.founders[(l+1+k)%3].ID, at)
				})
			}
			wg.Wait()
			if off.versions {
				require.NoError(t, errors.Join(errs...))
				require.EqualValues(t, 1, membersOn(g).Voters(), "both got through: the switch is there to go wrong")
				return
			}
			require.EqualValues(t, 2, membersOn(g).Voters())
			if errs[0] == nil {
				errs[0], errs[1] = errs[1], errs[0]
			}
			require.NoError(t, errs[1])
			var changed *MembersChanged
			require.ErrorAs(t, errs[0], &changed)
			require.Equal(t, at, changed.Decided)
			require.Greater(t, changed.Now, at)

			// The guard in raft itself, where the change between is not applied yet.
			future := g.raft.DemoteVoter(raft.ServerID(c.founders[l].ID), at, time.Second)
			err := g.classifyChange(future.Error(), future.Index(), at)
			require.ErrorAs(t, err, &changed)
			require.NotErrorIs(t, err, ErrInDoubt)
		})
	}
}

// A voter that cannot confirm would stop a small group.
func TestOnlyWhoHasCaughtUpIsGivenAVote(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]switches{"guarded": {}, "unguarded": {promotions: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 1, func(cfg *Config) { cfg.off = off })
			g := c.groups[c.leader()]
			dead := Server{ID: "dead", Addr: "nowhere"}
			require.NoError(t, g.Add(within(t, patienceOfTests), dead, membersOn(g).Version))
			c.propose(0, "goes on")
			short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := g.Promote(short, "dead", membersOn(g).Version)
			if off.promotions {
				_, err = g.Propose(within(t, time.Second), []byte("stuck"))
				require.Error(t, err, "the switch is there to go wrong")
				return
			}
			var lags *NotCaughtUp
			require.ErrorAs(t, err, &lags)
			require.Equal(t, "dead", lags.ID)
			require.True(t, lags.LastContact.IsZero())
			require.False(t, membersOn(g).List[0].CaughtUp)
			c.propose(0, "still goes on")
		})
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, calm)
	l := c.leader()
	g, follower := c.groups[l], c.groups[(l+1)%3]
	at := membersOn(g).Version
	ctx := within(t, patienceOfTests)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var (
		bad   *BadChange
		taken *AddressTaken
	)
	require.ErrorAs(t, g.Promote(ctx, "nobody", at), &bad)
	require.ErrorAs(t, g.Demote(ctx, "nobody", at), &bad)
	require.ErrorAs(t, g.Add(ctx, Server{ID: "x"}, at), &bad)
	require.ErrorAs(t, g.Add(ctx, Server{ID: "x", Addr: c.founders[0].Addr}, at), &taken)
	require.Equal(t, c.founders[0].ID, taken.By)
	require.ErrorAs(t, g.Remove(ctx, c.founders[0].ID, 0), new(*MembersChanged), "zero is no version")
	require.ErrorIs(t, g.Remove(ended, c.founders[0].ID, at), ErrNotSubmitted)
	err := follower.Remove(ctx, c.founders[0].ID, at)
	require.ErrorIs(t, err, ErrNotLeader)
	require.NotErrorIs(t, err, ErrInDoubt)
	_, err = follower.Admit(ctx, Application{Server: Server{ID: "x", Addr: "x"}})
	require.ErrorIs(t, err, ErrNotLeader)

	// What is so already costs nothing.
	before := g.Stats().LogIndex
	require.NoError(t, g.Add(ctx, c.founders[0], at))
	require.NoError(t, g.Promote(ctx, c.founders[0].ID, at))
	require.NoError(t, g.Remove(ctx, "nobody", at))
	require.Equal(t, before, g.Stats().LogIndex)
	require.Equal(t, at, membersOn(g).Version)

	for i := range 3 {
		if i != l {
			require.NoError(t, g.Demote(ctx, c.founders[i].ID, membersOn(g).Version))
		}
	}
	require.ErrorAs(t, g.Demote(ctx, c.founders[l].ID, membersOn(g).Version), &bad)
	require.ErrorAs(t, g.Remove(ctx, c.founders[l].ID, membersOn(g).Version), &bad)
	require.NoError(t, g.Close())
	require.ErrorIs(t, g.Remove(ctx, c.founders[0].ID, at), ErrClosed)
}

// A leader that is cut off does not learn what becomes of a change.
func TestChangeOfACutOffLeaderIsInDoubt(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	old := c.leader()
	g := c.groups[old]
	at := membersOn(g).Version
	c.net.Isolate(c.founders[old].Addr)
	err := g.Remove(within(t, patienceOfTests), c.founders[(old+1)%3].ID, at)
	if !isNotLeader(err) { // a busy machine may be late
		require.ErrorIs(t, err, ErrInDoubt)
	}
	next := c.leader(old)
	require.Equal(t, 3, membersOn(c.groups[next]).Voters(), "it did not happen")
	c.net.Heal(c.founders[old].Addr)
	c.propose(next, "a")
	require.NoError(t, g.WaitApplied(within(t, patienceOfTests), 1))
	eventually(t, func() bool { return membersOn(g).Voters() == 3 && c.standing(old) == Voter })
}
