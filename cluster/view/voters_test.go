package view

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// council is a cluster's members and the configuration of its log, for tests of who votes.
type council struct {
	*log
	servers []Server
	leader  int
	lagging map[SiloID]bool
	gone    map[SiloID]bool
}

func newCouncil(t testing.TB, founders int) *council {
	c := &council{log: newLog(t), lagging: map[SiloID]bool{}, gone: map[SiloID]bool{}}
	for n := range founders {
		m := member(n, 1)
		c.servers = append(c.servers, Server{m.ID, m.Addr, true})
	}
	return c
}

func (c *council) electorate() Electorate {
	return Electorate{Table: c.Table(), Servers: c.servers, Leader: member(c.leader, 1).ID,
		Addr:     func(m Member) string { return m.Addr },
		CaughtUp: func(id SiloID) bool { return !c.lagging[id] },
		Gone:     func(id SiloID) bool { return c.gone[id] }}
}

// settle makes all changes that there are to be made, and returns them.
func (c *council) settle() (made []string) {
	for range 50 {
		change, ok := c.electorate().Next()
		if !ok {
			return made
		}
		made = append(made, fmt.Sprint(change.Op, " ", change.ID[len(change.ID)-1:]))
		i := slices.IndexFunc(c.servers, func(s Server) bool { return s.ID == change.ID })
		switch change.Op {
		case AddServer:
			require.NotEmpty(c.t, change.Addr)
			if i < 0 {
				c.servers = append(c.servers, Server{change.ID, change.Addr, false})
			} else {
				c.servers[i].Addr = change.Addr
			}
		case PromoteVoter, DemoteVoter:
			require.NotEqual(c.t, change.Op == PromoteVoter, c.servers[i].Voting)
			c.servers[i].Voting = change.Op == PromoteVoter
		case RemoveServer:
			require.False(c.t, c.servers[i].Voting, "%s is removed, and votes", change.ID)
			require.True(c.t, c.gone[change.ID], "%s is removed, and may come back", change.ID)
			c.servers = slices.Delete(c.servers, i, i+1)
		}
		live := 0
		for _, s := range c.servers {
			if m, known := c.Table().Member(s.ID); s.Voting && (!known || m.Alive()) {
				live++
			}
		}
		require.Greater(c.t, live, c.voters()/2, "no majority of the voters lives after %v", made)
	}
	c.t.Fatalf("it goes on changing: %v", made)
	return nil
}

func (c *council) voters() (n int) {
	for _, s := range c.servers {
		if s.Voting {
			n++
		}
	}
	return n
}

func TestVotersOfAGrowingCluster(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	for n, want := range []int{1, 2, 3, 3, 5, 5, 5, 5, 5} {
		c.join(n, 1)
		c.settle()
		require.Equal(t, want, c.voters(), "%d silos", n+1)
		require.Len(t, c.servers, n+1)
	}
}

// While founders have not come yet, nobody loses the vote that they were founded with.
func TestFoundersWhoHaveNotComeKeepTheirVotes(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	for n := range 3 {
		require.Empty(t, c.settle())
		c.join(n, 1)
	}
	require.Empty(t, c.settle())
	require.Equal(t, 3, c.voters())
}

// A voter that dies is replaced if somebody can take its place; if nobody can, it keeps its vote where
// taking it away would let no further failure pass.
func TestDeadVoters(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	for n := range 6 {
		c.join(n, 1)
		c.settle()
	}
	require.Equal(t, 5, c.voters())
	die := func(n int) []string {
		c.put(Remove{Run: member(n, 1).Run})
		return c.settle()
	}
	require.Equal(t, []string{"promote 5", "demote 1"}, die(1))
	require.Empty(t, die(2), "four of five live: one may fail, as among four")
	require.Equal(t, []string{"demote 2", "demote 3"}, die(3), "three of three, for three of five")
	require.Empty(t, die(4))
	require.Equal(t, 3, c.voters())
	c.join(4, 2)
	require.Empty(t, c.settle(), "it is back, and votes still")

	require.Len(t, c.servers, 6, "who lost its vote is a replica still")
	c.join(1, 2)
	require.Empty(t, c.settle(), "a fourth voter lets no further failure pass")
	c.lagging[member(2, 1).ID] = true
	c.join(2, 2)
	require.Equal(t, []string{"promote 1"}, c.settle(), "of five that serve")
	c.lagging[member(2, 1).ID] = false
	require.Equal(t, []string{"promote 2"}, c.settle(), "it has caught up")
	require.Equal(t, 5, c.voters())
}

// A leader may be dead to the view, because it renewed too late, and lead the log still: it hands over
// before it gives its vote away.
func TestLeaderIsNotBuried(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	for n := range 3 {
		c.join(n, 1)
	}
	c.put(Remove{Run: member(0, 1).Run})
	c.put(Remove{Run: member(1, 1).Run})
	change, ok := c.electorate().Next()
	require.True(t, ok)
	require.Equal(t, VoterChange{Op: DemoteVoter, ID: member(1, 1).ID}, change, "and not the first, which leads")
}

// A store is removed when it is gone for good, and at no other time: it could not come back.
func TestOnlyWhoIsGoneIsRemoved(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	for n := range 4 {
		c.join(n, 1)
	}
	require.Equal(t, []string{"add 3"}, c.settle())
	last := member(3, 1)
	c.put(Remove{Run: last.Run})
	require.Empty(t, c.settle(), "it is dead, and may come back")
	c.join(3, 2)
	c.gone[last.ID] = true
	require.Empty(t, c.settle(), "it lives, whoever says that it is gone")
	c.put(Remove{Run: Run{last.ID, 2}})
	require.Equal(t, []string{"remove 3"}, c.settle())

	c.gone[member(2, 1).ID] = true
	c.put(Remove{Run: member(2, 1).Run})
	require.Equal(t, []string{"demote 2", "remove 2"}, c.settle(), "two of two are as good as two of three")
	c.join(4, 1)
	require.Equal(t, []string{"add 4", "promote 4"}, c.settle())
}

// A store that was let in is a replica before the view knows it: that its Join is still to come is no reason
// to remove it, not even where nobody can say who is gone.
func TestStoresThatTheViewDoesNotKnowYetStay(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 2)
	c.join(0, 1)
	c.join(1, 1)
	m := member(2, 1)
	c.servers = append(c.servers, Server{ID: m.ID, Addr: m.Addr})
	require.Empty(t, c.settle())
	nobodyIsGone := c.electorate()
	nobodyIsGone.Gone = nil
	_, ok := nobodyIsGone.Next()
	require.False(t, ok)
	c.join(2, 1)
	require.Equal(t, []string{"promote 2"}, c.settle())

	never := member(3, 1)
	c.servers = append(c.servers, Server{ID: never.ID, Addr: never.Addr})
	c.gone[never.ID] = true
	require.Equal(t, []string{"remove 3"}, c.settle(), "it never came")
}

func TestNewVotersHaveCaughtUp(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 1)
	c.join(0, 1)
	c.lagging[member(1, 1).ID] = true
	c.join(1, 1)
	require.Equal(t, []string{"add 1"}, c.settle())
	c.lagging[member(1, 1).ID] = false
	require.Equal(t, []string{"promote 1"}, c.settle())
}

// Who leaves gives its vote to another if there is one; else it keeps it, until it is known to be gone.
func TestLeavingVoters(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	for n := range 4 {
		c.join(n, 1)
	}
	require.Equal(t, []string{"add 3"}, c.settle())
	c.put(Leave{member(1, 1).Run})
	require.Equal(t, []string{"promote 3", "demote 1"}, c.settle())
	c.log.settle()
	require.Equal(t, []Outcome{Done}, c.put(Left{member(1, 1).Run}).Outcomes)
	require.Empty(t, c.settle(), "it may come back")
	c.gone[member(1, 1).ID] = true
	require.Equal(t, []string{"remove 1"}, c.settle())
	c.put(Leave{member(0, 1).Run})
	c.leader = 2
	require.Empty(t, c.settle(), "nobody takes its place")
	c.log.settle()
	require.Equal(t, []Outcome{Done}, c.put(Left{member(0, 1).Run}).Outcomes)
	require.Empty(t, c.settle(), "it may come back")
	require.Equal(t, 3, c.voters())
	c.gone[member(0, 1).ID] = true
	require.Equal(t, []string{"demote 0", "remove 0"}, c.settle())
	require.Equal(t, 2, c.voters())
}

func TestNewAddresses(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 2)
	c.join(0, 1)
	c.join(1, 1)
	c.servers[1].Addr = "10.9.9.9:1"
	require.Equal(t, []string{"add 1"}, c.settle())
	require.Equal(t, member(1, 1).Addr, c.servers[1].Addr)
	require.Equal(t, 2, c.voters())
}

// A voter that the view has forgotten, and that is gone, does not count as serving for ever.
func TestAForgottenVoterLosesItsVote(t *testing.T) {
	t.Parallel()
	c := newCouncil(t, 3)
	for n := range 3 {
		c.join(n, 1, "k")
	}
	require.Empty(t, c.settle())
	c.servers = append(c.servers, Server{"forgotten-x", "x:1", true})
	require.NotContains(t, c.settle(), "demote x", "it may be a founder that is still to come")
	c.gone["forgotten-x"] = true
	require.Equal(t, []string{"demote x", "remove x"}, c.settle())
}
