package consensus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patienceOfTests = 20 * time.Second

// journal is a state machine that keeps every entry with its position. Its
// answer to an entry is the entry's position in decimal.
type journal struct {
	mu       sync.Mutex
	entries  []string
	at       []uint64
	restored int
}

func (j *journal) Apply(position uint64, entry []byte) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, string(entry))
	j.at = append(j.at, position)
	return fmt.Appendf(nil, "%d", position)
}

type journalState struct {
	Entries []string
	At      []uint64
}

func (j *journal) Snapshot() (func(io.Writer) error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := journalState{append([]string(nil), j.entries...), append([]uint64(nil), j.at...)}
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(s) }, nil
}

func (j *journal) Restore(r io.Reader) error {
	var s journalState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries, j.at, j.restored = s.Entries, s.At, j.restored+1
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.entries...)
}

func (j *journal) requireDense(t testing.TB) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, at := range j.at {
		require.Equal(t, uint64(i+1), at, "positions are not 1, 2, 3, …")
	}
}

// trio is a group of replicas in memory whose members die and come back. Those
// after the founders joined, see join.
type trio struct {
	t        testing.TB
	net      Network
	n        int      // how many of founders are
	founders []Server // and those who joined
	stores   []*MemoryStore
	ids      []*Store
	tweak    func(*Config)

	groups []*Group // nil while dead
	fsms   []*journal
}

func newTrio(t testing.TB, n int, tweak func(*Config)) *trio {
	c := &trio{t: t, tweak: tweak, n: n, groups: make([]*Group, n), fsms: make([]*journal, n)}
	for i := range n {
		c.founders = append(c.founders, Server{ID: fmt.Sprintf("store-%d", i), Addr: fmt.Sprintf("silo-%d", i)})
		c.stores = append(c.stores, NewMemoryStore())
	}
	for _, f := range c.founders {
		id := memoryIdentity(f.ID)
		id.state.Founding = Founding{ClusterID: "test", Founders: c.founders}
		c.ids = append(c.ids, id)
	}
	for i := range n {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.groups {
			c.kill(i)
		}
	})
	return c
}

func memoryIdentity(id string) *Store {
	return &Store{id: id, state: storeState{Format: storeFormat, StoreID: id}, unlock: func() error { return nil }}
}

func (c *trio) start(i int) {
	c.t.Helper()
	require.NoError(c.t, c.open(i))
}

func (c *trio) open(i int) error {
	c.fsms[i] = &journal{}
	cfg := Config{
		Self: c.founders[i], ClusterID: "test", Store: c.stores[i], Identity: c.ids[i],
		Network: &c.net, FSM: c.fsms[i], Logger: slog.New(slog.DiscardHandler),
	}
	if i < c.n {
		cfg.Founders = foundersOf(c.ids[i])
	}
	if c.tweak != nil {
		c.tweak(&cfg)
	}
	g, err := Open(c.t.Context(), cfg)
	if err == nil {
		c.groups[i] = g
	}
	return err
}

func foundersOf(s *Store) []Server {
	f, _ := s.Founded()
	return f.Founders
}

func (c *trio) kill(i int) {
	if c.groups[i] == nil {
		return
	}
	c.net.Kill(c.founders[i].Addr)
	_ = c.groups[i].Close()
	c.groups[i] = nil
}

// leader waits for a replica that leads and is confirmed, not counting except.
func (c *trio) leader(except ...int) int {
	c.t.Helper()
	found := -1
	eventually(c.t, func() bool {
		for i, g := range c.groups {
			if g != nil && g.IsLeader() && !contains(except, i) {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func contains(in []int, x int) bool {
	for _, y := range in {
		if x == y {
			return true
		}
	}
	return false
}

// eventually polls, because what it waits for shows in several goroutines.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patienceOfTests)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			require.FailNow(t, "condition not met in time")
		}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (c *trio) propose(i int, entry string) string {
	c.t.Helper()
	result, err := c.groups[i].Propose(within(c.t, patienceOfTests), []byte(entry))
	require.NoError(c.t, err)
	return string(result)
}

func TestReplicasApplyTheSameInOneOrder(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	const writers, each = 8, 50
	ctx := within(t, 3*patienceOfTests)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for k := range each {
				if err := c.insist(ctx, fmt.Sprintf("%d/%d", w, k)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	require.NoError(t, c.insist(ctx, "last"))
	var submitted Stats
	var whole []string
	for i, g := range c.groups {
		eventually(t, func() bool { return slices.Contains(c.fsms[i].all(), "last") })
		all := c.fsms[i].all()
		all = all[:slices.Index(all, "last")+1]
		if i == 0 {
			whole = all
		}
		require.Equal(t, whole, all)
		c.fsms[i].requireDense(t)
		s := g.Stats()
		submitted.Batches, submitted.Entries = submitted.Batches+s.Batches, submitted.Entries+s.Entries
	}
	for w := range writers {
		for k := range each {
			require.Contains(t, whole, fmt.Sprintf("%d/%d", w, k))
		}
	}
	require.GreaterOrEqual(t, submitted.Entries, uint64(len(whole)))
	require.Less(t, submitted.Batches, submitted.Entries, "entries that wait together must share a log entry")
}

// insist proposes an entry until it is acknowledged, by whoever leads then: a machine that is busy replaces
// leaders. What was in doubt before may be there twice.
func (c *trio) insist(ctx context.Context, entry string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		leader := slices.IndexFunc(c.groups, func(g *Group) bool { return g != nil && g.IsLeader() })
		err := error(&NotLeader{})
		if leader >= 0 {
			_, err = c.groups[leader].Propose(ctx, []byte(entry))
		}
		if err == nil || ctx.Err() != nil || !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrInDoubt) {
			return err
		}
	}
}

func TestFollowerNamesTheLeader(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	f := (l + 1) % 3
	eventually(t, func() bool { s, ok := c.groups[f].Leader(); return ok && s == c.founders[l] })
	_, err := c.groups[f].Propose(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrNotLeader)
	require.NotErrorIs(t, err, ErrInDoubt)
	var notLeader *NotLeader
	require.ErrorAs(t, err, &notLeader)
	require.Equal(t, c.founders[l], notLeader.Leader)
	_, err = c.groups[f].ReadIndex(t.Context())
	require.ErrorIs(t, err, ErrNotLeader)
}

func TestLeaderKilledAndRestarted(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	c.propose(l, "before")
	began := time.Now()
	c.kill(l)
	next := c.leader()
	require.Less(t, time.Since(began), 2*time.Second+raceSlack, "election took too long")
	require.Equal(t, []string{"before"}, c.fsms[next].all(), "a confirmed leader has applied what was committed before it")
	require.Equal(t, "2", c.propose(next, "after"))

	c.start(l)
	require.NoError(t, c.groups[l].WaitApplied(within(t, patienceOfTests), 2))
	require.Equal(t, []string{"before", "after"}, c.fsms[l].all())
	waitClosed(t, c.groups[l].Ready())
	require.False(t, c.groups[l].IsLeader())
}

func waitClosed(t testing.TB, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patienceOfTests):
		require.FailNow(t, "channel was not closed in time")
	}
}

func TestAllRestartFromTheirStores(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	for k := range 20 {
		c.propose(l, fmt.Sprint(k))
	}
	for i := range c.groups {
		c.kill(i)
	}
	for i := range c.groups {
		c.start(i)
	}
	l = c.leader()
	waitClosed(t, c.groups[l].Ready())
	require.Len(t, c.fsms[l].all(), 20, "what was committed is there when the leader says that it leads")
	require.Equal(t, "21", c.propose(l, "more"))
}

func TestMinorityCommitsNothing(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	old := c.leader()
	c.propose(old, "shared")
	c.net.Isolate(c.founders[old].Addr)

	_, err := c.groups[old].Propose(within(t, patienceOfTests), []byte("lost"))
	require.True(t, isInDoubt(err) || isNotLeader(err), "%v", err)

	next := c.leader(old)
	require.Equal(t, "2", c.propose(next, "won"))
	eventually(t, func() bool { return !c.groups[old].IsLeader() })
	_, err = c.groups[old].Propose(within(t, patienceOfTests), []byte("lost too"))
	require.ErrorIs(t, err, ErrNotLeader)

	c.net.Heal(c.founders[old].Addr)
	for i := range c.groups {
		require.NoError(t, c.groups[i].WaitApplied(within(t, patienceOfTests), 2))
		require.Equal(t, []string{"shared", "won"}, c.fsms[i].all())
	}
}

func TestCutOffLeaderCannotRead(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	old := c.leader()
	at, err := c.groups[old].ReadIndex(within(t, patienceOfTests))
	require.NoError(t, err)
	require.Zero(t, at)
	c.propose(old, "a")
	at, err = c.groups[old].ReadIndex(within(t, patienceOfTests))
	require.NoError(t, err)
	require.EqualValues(t, 1, at)

	c.net.Isolate(c.founders[old].Addr)
	_, err = c.groups[old].ReadIndex(within(t, patienceOfTests))
	require.ErrorIs(t, err, ErrNotLeader, "a question leaves nothing in doubt")
}

func TestReadersShareAnEntry(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	c.propose(l, "a")
	before := c.groups[l].Stats().Batches
	const readers = 200
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			at, err := c.groups[l].ReadIndex(within(t, patienceOfTests))
			require.NoError(t, err)
			require.EqualValues(t, 1, at)
		})
	}
	wg.Wait()
	require.Less(t, c.groups[l].Stats().Batches-before, uint64(readers)/2)
	for i := range c.groups {
		require.NoError(t, c.groups[i].WaitApplied(within(t, patienceOfTests), 1)) // a follower may be behind
		require.Equal(t, []string{"a"}, c.fsms[i].all(), "a question leaves no entry behind")
	}
}

func TestLaggingFollowerIsGivenASnapshot(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, func(cfg *Config) { cfg.TrailingLogs = 1 })
	l := c.leader()
	f := (l + 1) % 3
	c.kill(f)
	for k := range 50 {
		c.propose(l, fmt.Sprint(k))
	}
	require.NoError(t, c.groups[l].Snapshot())
	c.propose(l, "tail")
	c.start(f)
	require.NoError(t, c.groups[f].WaitApplied(within(t, patienceOfTests), 51))
	require.Equal(t, c.fsms[l].all(), c.fsms[f].all())
	require.Equal(t, 1, c.fsms[f].restored, "the follower was meant to need a snapshot")
	c.fsms[f].requireDense(t)

	// A replica that starts from its own snapshot counts on from there.
	require.NoError(t, c.groups[l].Snapshot())
	c.kill(l)
	c.start(l)
	require.Equal(t, 1, c.fsms[l].restored)
	next := c.leader()
	require.Equal(t, "52", c.propose(next, "after"))
	require.NoError(t, c.groups[l].WaitApplied(within(t, patienceOfTests), 52))
	waitClosed(t, c.groups[l].Ready())
	require.Equal(t, c.fsms[f].all()[:51], c.fsms[l].all()[:51])
}

func TestEntryOverTheLimit(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 1, func(cfg *Config) { cfg.MaxEntry = 100 })
	l := c.leader()
	_, err := c.groups[l].Propose(t.Context(), make([]byte, 101))
	var tooLarge *TooLarge
	require.ErrorAs(t, err, &tooLarge)
	require.Equal(t, TooLarge{Size: 101, Limit: 100}, *tooLarge)
	_, err = c.groups[l].Propose(within(t, patienceOfTests), make([]byte, 100))
	require.NoError(t, err)
}

// What is submitted one after the other is applied in that order. On a machine that is busy the leader may be
// replaced meanwhile: then a part is refused or in doubt, what is applied is in order all the same, and the
// next round begins.
func TestSubmitKeepsTheOrder(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	big := string(make([]byte, 3000)) // so that more than one batch is in flight
	ctx := within(t, 3*patienceOfTests)
	for round, whole := 0, false; !whole; round++ {
		require.NoError(t, ctx.Err())
		l := c.leader()
		var all []*Pending
		var want []string
		for k := range 1000 {
			e := fmt.Sprintf("%d/%04d%s", round, k, big)
			p, err := c.groups[l].Submit([]byte(e))
			if err != nil {
				requireLeaderLost(t, err)
				break
			}
			all, want = append(all, p), append(want, e)
		}
		whole = len(all) == 1000
		last := uint64(0)
		for k, p := range all {
			result, err := p.Wait(ctx)
			if err != nil {
				require.NoError(t, ctx.Err(), "%v", err)
				requireLeaderLost(t, err)
				whole = false
				continue
			}
			require.Equal(t, fmt.Sprint(p.Position()), string(result))
			require.Greater(t, p.Position(), last)
			require.True(t, !whole || k == 0 || p.Position() == last+1)
			last = p.Position()
		}
		applied := c.fsms[l].all()
		applied = slices.DeleteFunc(applied, func(e string) bool { return !strings.HasPrefix(e, fmt.Sprintf("%d/", round)) })
		require.True(t, slices.IsSorted(applied))
		if whole {
			require.Equal(t, want, applied)
		}
	}
}

// requireLeaderLost fails on any other error than those that a change of the leader explains.
func requireLeaderLost(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrInDoubt) {
		require.NoError(t, err)
	}
}

func TestStepDownHandsLeadershipOver(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	c.propose(l, "a")
	state, err := c.groups[(l+1)%3].AwaitLeader(within(t, patienceOfTests))
	require.NoError(t, err)
	require.Equal(t, c.founders[l], state.Leader)
	_, changed := c.groups[l].Leadership()
	require.NoError(t, c.groups[l].StepDown())
	waitClosed(t, changed)
	next := c.leader(l)
	c.propose(next, "b")
	now, _ := c.groups[next].Leadership()
	require.True(t, now.Self)
	require.Equal(t, c.founders[next], now.Leader)
}

func TestSilentFollowersAreNamed(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 3, nil)
	l := c.leader()
	f := (l + 1) % 3
	c.kill(f)
	eventually(t, func() bool {
		s := c.groups[c.leader()].Silent()
		_, ok := s[c.founders[f]]
		return ok && len(s) == 1
	})
	c.start(f)
	eventually(t, func() bool { return len(c.groups[c.leader()].Silent()) == 0 })
}

func TestCloseRefusesWhatFollows(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 1, nil)
	l := c.leader()
	g := c.groups[l]
	c.propose(l, "a")
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	_, err := g.Propose(t.Context(), []byte("b"))
	require.ErrorIs(t, err, ErrClosed)
	require.NotErrorIs(t, err, ErrInDoubt)
	_, err = g.ReadIndex(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, g.WaitApplied(t.Context(), 99), ErrClosed)
	_, err = g.AwaitLeader(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	state, _ := g.Leadership()
	require.False(t, state.Self)
	require.Equal(t, Server{}, state.Leader)
}

func TestOpenRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	self := Server{ID: "a", Addr: "x:1"}
	good := func() Config {
		return Config{Self: self, Founders: []Server{self}, ClusterID: "c", FSM: &journal{}, Network: &Network{}}
	}
	for name, spoil := range map[string]func(*Config){
		"no state machine": func(c *Config) { c.FSM = nil },
		"no cluster":       func(c *Config) { c.ClusterID = "" },
		"no network":       func(c *Config) { c.Network = nil },
		"not a founder":    func(c *Config) { c.Self.ID = "b" },
		"founder twice":    func(c *Config) { c.Founders = append(c.Founders, Server{ID: "b", Addr: "x:1"}) },
		"limit":            func(c *Config) { c.MaxEntry = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			_, err := Open(t.Context(), cfg)
			require.ErrorContains(t, err, "consensus: ")
		})
	}
	t.Run("both networks", func(t *testing.T) {
		cfg := good()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		cfg.Listener = l
		_, err = Open(t.Context(), cfg)
		require.Error(t, err)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed, "the listener is closed on every path")
	})
}
