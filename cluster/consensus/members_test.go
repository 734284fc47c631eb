package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// spare adds a store that is no member of anything yet, and returns its number.
func (c *trio) spare() int {
	i := len(c.founders)
	c.founders = append(c.founders, Server{ID: fmt.Sprintf("store-%d", i), Addr: fmt.Sprintf("silo-%d", i)})
	c.stores = append(c.stores, NewMemoryStore())
	c.ids = append(c.ids, memoryIdentity(c.founders[i].ID))
	c.groups, c.fsms = append(c.groups, nil), append(c.fsms, nil)
	return i
}

// apply takes an application to whoever leads, by way of its encoding.
func (c *trio) apply(ctx context.Context, _ string, a Application) (Admission, error) {
	return applyTo(ctx, a, c.groups)
}

func applyTo(ctx context.Context, a Application, groups []*Group) (Admission, error) {
	data, err := EncodeApplication(a)
	if err != nil {
		return Admission{}, err
	}
	if a, err = DecodeApplication(data); err != nil {
		return Admission{}, err
	}
	for _, g := range groups {
		if g == nil || !g.IsLeader() {
			continue
		}
		answer, err := g.Admit(ctx, a)
		if err != nil {
			return Admission{}, err
		}
		if data, err = EncodeAdmission(answer); err != nil {
			return Admission{}, err
		}
		return DecodeAdmission(data)
	}
	return Admission{}, &NotLeader{}
}

// join makes a spare store a member and starts it.
func (c *trio) join(i int) {
	c.t.Helper()
	cluster, err := Join(within(c.t, patienceOfTests), c.ids[i], c.founders[i].Addr, []string{"any"}, c.apply)
	require.NoError(c.t, err)
	require.Equal(c.t, "test", cluster)
	c.start(i)
}

// change makes a change by whoever leads, again until it is done.
func (c *trio) change(f func(ctx context.Context, g *Group, version uint64) error) {
	c.t.Helper()
	eventually(c.t, func() bool {
		g := c.groups[c.leader()]
		members, _ := g.Members()
		return f(within(c.t, patienceOfTests), g, members.Version) == nil
	})
}

func (c *trio) promote(i int) {
	c.t.Helper()
	c.change(func(ctx context.Context, g *Group, at uint64) error { return g.Promote(ctx, c.founders[i].ID, at) })
}

func (c *trio) remove(i int) {
	c.t.Helper()
	c.change(func(ctx context.Context, g *Group, at uint64) error { return g.Remove(ctx, c.founders[i].ID, at) })
}

func (c *trio) standing(i int) Standing {
	m, _ := c.groups[i].Members()
	return m.Self
}

func membersOn(g *Group) Members {
	m, _ := g.Members()
	return m
}

// calm keeps a group from electing anew because the machine is busy.
func calm(cfg *Config) { cfg.Heartbeat = 2 * time.Second }

// A fourth and a fifth store join at once, catch up and are given votes, while
// everything that is proposed is accepted.
func TestTwoStoresJoinAtOnceUnderLoad(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, calm)
	l := c.leader()
	d, e := c.spare(), c.spare()
	g := c.groups[l]
	var (
		stop  atomic.Bool
		wg    sync.WaitGroup
		total atomic.Uint64
	)
	for w := range 4 {
		wg.Go(func() {
			for k := 0; !stop.Load(); k++ {
				_, err := g.Propose(t.Context(), fmt.Appendf(nil, "%d/%d", w, k))
				if err != nil {
					t.Errorf("a proposal failed while stores joined: %v", err)
					return
				}
				total.Add(1)
			}
		})
	}
	leader := []*Group{c.groups[l]}
	var joins sync.WaitGroup
	for _, i := range []int{d, e} {
		joins.Go(func() {
			_, err := Join(within(t, patienceOfTests), c.ids[i], c.founders[i].Addr, []string{"nobody", "any"}, func(ctx context.Context, seed string, a Application) (Admission, error) {
				if seed == "nobody" {
					return Admission{}, errors.New("connection refused")
				}
				return applyTo(ctx, a, leader)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	joins.Wait()
	require.False(t, t.Failed())
	for _, i := range []int{d, e} {
		c.start(i)
		waitClosed(t, c.groups[i].Ready())
		require.Equal(t, Nonvoter, c.standing(i))
		c.promote(i)
	}
	from := total.Load()
	eventually(t, func() bool { return total.Load() > from+100 })
	stop.Store(true)
	wg.Wait()
	require.EqualValues(t, 5, membersOn(c.groups[l]).Voters())
	require.Equal(t, l, c.leader())
	for i, g := range c.groups {
		require.NoError(t, g.WaitApplied(within(t, patienceOfTests), total.Load()))
		require.Equal(t, c.fsms[l].all(), c.fsms[i].all())
		c.fsms[i].requireDense(t)
		eventually(t, func() bool { return membersOn(g).Voters() == 5 })
	}

	// They count: two of the founders may die, and entries still get through.
	c.kill((l + 1) % 3)
	c.kill((l + 2) % 3)
	c.propose(c.leader(), "with those who joined")
}

func TestJoiningStoreIsGivenASnapshot(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, func(cfg *Config) { cfg.TrailingLogs = 1 })
	l := c.leader()
	for k := range 50 {
		c.propose(l, fmt.Sprint(k))
	}
	require.NoError(t, c.groups[l].Snapshot())
	c.propose(l, "tail")
	d := c.spare()
	c.join(d)
	waitClosed(t, c.groups[d].Ready())
	require.NoError(t, c.groups[d].WaitApplied(within(t, patienceOfTests), 51))
	require.Equal(t, 1, c.fsms[d].restored)
	require.Equal(t, c.fsms[l].all(), c.fsms[d].all())
	require.Equal(t, Nonvoter, c.standing(d))
	f, founded := c.ids[d].Founded()
	require.True(t, founded)
	require.Equal(t, Founding{ClusterID: "test"}, f)

	// By a snapshot that holds its own addition, after its disk was replaced: a
	// store that has forgotten all is a new one.
	c.promote(d)
	c.propose(c.leader(), "more")
	l = c.leader()
	require.NoError(t, c.groups[l].Snapshot())
	c.propose(l, "and more")
	e := c.spare()
	c.join(e)
	waitClosed(t, c.groups[e].Ready())
	require.Len(t, membersOn(c.groups[e]).List, 5)
	_, ok := membersOn(c.groups[e]).Find(c.founders[d].ID)
	require.True(t, ok)

	// A restart tells the members before a leader is there.
	c.kill(e)
	for i := range 3 {
		c.kill(i)
	}
	c.start(e)
	require.Len(t, membersOn(c.groups[e]).List, 5)
	require.Equal(t, Nonvoter, c.standing(e))
}

func TestDeadVoterIsReplacedAndTheGroupGoesOn(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	dead, other := (l+1)%3, (l+2)%3
	c.kill(dead)
	c.propose(l, "a")
	d := c.spare()
	c.join(d)
	c.promote(d)
	c.remove(dead)
	require.EqualValues(t, 3, membersOn(c.groups[c.leader()]).Voters())
	c.kill(other) // two of the three of now are left, of the founders one
	c.propose(c.leader(), "b")
	next := c.leader()
	require.Equal(t, []string{"a", "b"}, c.fsms[next].all())
	require.Contains(t, []int{l, d}, next)
}

func TestLeaderThatRemovesItselfStepsDown(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	old := c.leader()
	c.propose(old, "a")
	g := c.groups[old]
	_, changed := g.Members()
	require.NoError(t, g.Remove(within(t, patienceOfTests), c.founders[old].ID, membersOn(g).Version))
	waitClosed(t, changed)
	require.Equal(t, Removed, c.standing(old))
	eventually(t, func() bool { return !g.IsLeader() })

	next := c.leader(old)
	c.propose(next, "b")
	require.Len(t, membersOn(c.groups[next]).List, 2)
	_, err := g.Propose(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrRemoved)
	require.NotErrorIs(t, err, ErrInDoubt)
	_, err = g.AwaitLeader(within(t, patienceOfTests))
	require.ErrorIs(t, err, ErrRemoved)

	c.kill(old)
	err = c.open(old)
	var removed *StoreRemoved
	require.ErrorAs(t, err, &removed)
	require.Equal(t, StoreRemoved{StoreID: c.founders[old].ID, ClusterID: "test"}, *removed)
	_, err = Join(t.Context(), c.ids[old], "x", []string{"any"}, c.apply)
	require.ErrorIs(t, err, ErrRemoved)
}

// A store that is removed while it is dead or cut off is contacted by nobody
// afterwards. It learns what it is when it asks, and disturbs no election.
func TestStoreRemovedWhileItWasAwayIsToldSo(t *testing.T) {
	t.Parallel()
	for name, was := range map[string]struct{ cut, vote bool }{
		"dead voter": {vote: true}, "voter that is cut off": {cut: true, vote: true}, "dead non-voter": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 3, nil)
			c.leader()
			d := c.spare()
			c.join(d)
			waitClosed(t, c.groups[d].Ready())
			if was.vote {
				c.promote(d)
				eventually(t, func() bool { return c.standing(d) == Voter })
			}
			if was.cut {
				c.net.Isolate(c.founders[d].Addr)
			} else {
				c.kill(d)
			}
			c.remove(d)
			reign, _ := c.groups[c.leader()].Leadership()
			if was.cut {
				c.net.Heal(c.founders[d].Addr)
			} else {
				c.start(d)
			}
			eventually(t, func() bool { return c.standing(d) == Removed })
			require.True(t, c.ids[d].Removed())
			now, _ := c.groups[c.leader()].Leadership()
			if raceSlack == 0 {
				require.Equal(t, reign.Term, now.Term, "it disturbed the others")
			}
			_, err := c.groups[d].net.stream.Dial(raft.ServerAddress(c.founders[0].Addr), time.Second)
			require.ErrorIs(t, err, ErrRemoved, "it is silent now")
			c.kill(d)
			require.ErrorIs(t, c.open(d), ErrRemoved)
		})
	}
}

// A member that lags does not know those who were added since. It must not take
// them for removed.
func TestMemberThatLagsDismissesNobody(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]switches{"guarded": {}, "unguarded": {dismissals: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 3, nil)
			l := c.leader()
			lags := (l + 1) % 3
			lag := c.groups[lags].roster
			lag.mu.Lock()
			lag.off = off
			lag.mu.Unlock()
			for i := range 3 {
				if i != lags {
					c.net.Cut(c.founders[i].Addr, c.founders[lags].Addr)
				}
			}
			d := c.spare()
			c.join(d)
			waitClosed(t, c.groups[d].Ready())
			_, knows := membersOn(c.groups[lags]).Find(c.founders[d].ID)
			require.False(t, knows)
			conn, err := c.groups[d].net.stream.Dial(raft.ServerAddress(c.founders[lags].Addr), patienceOfTests)
			if off.dismissals {
				require.ErrorIs(t, err, ErrRemoved, "the switch is there to go wrong")
				require.Equal(t, Removed, c.standing(d))
				return
			}
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			require.Equal(t, Nonvoter, c.standing(d))
		})
	}
}

func TestMemberMoves(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	f := (l + 1) % 3
	c.kill(f)
	c.propose(l, "a")
	c.founders[f].Addr = "elsewhere"
	c.start(f)
	admission, err := c.apply(within(t, patienceOfTests), "", c.ids[f].Application("elsewhere"))
	require.NoError(t, err)
	require.Equal(t, Admission{ClusterID: "test", Standing: Voter}, admission)
	m, _ := membersOn(c.groups[l]).Find(c.founders[f].ID)
	require.Equal(t, c.founders[f], m.Server)
	require.True(t, m.Voter)
	require.NoError(t, c.groups[f].WaitApplied(within(t, patienceOfTests), 1))
	for _, g := range c.groups {
		eventually(t, func() bool {
			m, _ := membersOn(g).Find(c.founders[f].ID)
			return m.Addr == "elsewhere"
		})
	}
	// It is reached there by whoever leads next, and may lead itself.
	c.kill(l)
	c.propose(c.leader(), "b")
	require.NoError(t, c.groups[f].WaitApplied(within(t, patienceOfTests), 2))
	eventually(t, func() bool {
		s, ok := c.groups[3-l-f].Leader()
		return ok && (s == c.founders[f] || s == c.founders[3-l-f])
	})
}

func TestMembersAreKnownEverywhere(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	d := c.spare()
	_, changed := c.groups[(l+1)%3].Members()
	c.join(d)
	waitClosed(t, changed)
	waitClosed(t, c.groups[d].Ready())
	for _, g := range c.groups {
		eventually(t, func() bool { return len(membersOn(g).List) == 4 })
	}
	eventually(t, func() bool {
		for _, m := range membersOn(c.groups[c.leader()]).List {
			if m.ID != c.founders[c.leader()].ID && (time.Since(m.LastContact) > time.Second || !m.CaughtUp) {
				return false
			}
		}
		return true
	})
	eventually(t, func() bool {
		m, _ := membersOn(c.groups[d]).Find(c.founders[c.leader()].ID)
		return time.Since(m.LastContact) < time.Second
	})
	require.Equal(t, 3, membersOn(c.groups[d]).Voters())
	require.Equal(t, "nonvoter", c.standing(d).String())
}

// The log of a store that has a vote is lost, and with it what it acknowledged.
// If it began anew, it would elect a leader that has not got it either.
func TestStoreWhoseLogIsLostDoesNotVote(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]switches{"guarded": {}, "unguarded": {votes: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 3, func(cfg *Config) { cfg.off = off })
			l := c.leader()
			away, loses := (l+1)%3, (l+2)%3
			c.kill(away)
			c.propose(l, "acknowledged")
			c.kill(l)
			c.kill(loses)
			c.stores[loses] = NewMemoryStore()
			c.start(away)
			err := c.open(loses)
			if off.votes {
				require.NoError(t, err)
				require.Empty(t, c.fsms[c.leader()].all(), "an acknowledged entry is gone: the switch is there to go wrong")
				return
			}
			var damaged *Damaged
			require.ErrorAs(t, err, &damaged)
			require.ErrorContains(t, err, "lost")
		})
	}
}

// A vote is given to a store, not to an address that another one takes over.
func TestVoteIsForAStore(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"store": false, "address": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var network Network
			founders := []Server{{ID: "g", Addr: "g"}, {ID: "p", Addr: "p"}, {ID: "q", Addr: "q"}}
			g, err := Open(t.Context(), Config{
				Self: founders[0], Founders: founders, ClusterID: "test", Network: &network,
				FSM: &journal{}, Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			t.Cleanup(func() { _ = g.Close() })
			cfg := Config{Self: Server{ID: "p", Addr: "shared"}, Founders: founders, ClusterID: "test", Network: &network}.withDefaults()
			trans, err := newTransport(cfg, newRoster(cfg), slog.New(slog.DiscardHandler), bridgeLogger(slog.New(slog.DiscardHandler)))
			require.NoError(t, err)
			t.Cleanup(func() { _ = trans.Close() })
			ask := func(id string) bool {
				addr := trans.EncodePeer(raft.ServerID(id), "shared")
				if plain {
					addr = []byte("shared")
				}
				var answer raft.RequestVoteResponse
				err := trans.RequestVote("g", "g", &raft.RequestVoteRequest{
					RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: addr},
					Term:      1000, LastLogIndex: 1, LastLogTerm: 1,
				}, &answer)
				require.NoError(t, err)
				return answer.Granted
			}
			require.True(t, ask("p"))
			require.True(t, ask("p"), "the same question gets the same answer")
			require.Equal(t, plain, ask("q"), "a second vote in one term")
		})
	}
}
