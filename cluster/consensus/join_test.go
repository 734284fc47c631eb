package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// joining is a simulation of stores that join two clusters: they crash, are
// restored from copies of before they had a log, and ask on.
type joining struct {
	rules    joinRules
	clusters map[string]map[string]bool // members by id, true of voters
	version  uint64
	stores   []*simJoiner
}

type joinRules struct {
	rashJoins
	promotions bool // votes for those without a log
}

type simJoiner struct {
	state  storeState
	copies []storeState
	heard  []Admission // on their way to it
	open   string      // the cluster whose log it takes

	restored bool // from a copy, once
}

func newJoining(rules joinRules) *joining {
	s := &joining{rules: rules, clusters: map[string]map[string]bool{"x": {}, "y": {}}}
	for i := range 3 {
		s.stores = append(s.stores, &simJoiner{state: storeState{Format: storeFormat, StoreID: fmt.Sprint("store-", i)}})
	}
	return s
}

func (s *joining) members(cluster string) Members {
	m := Members{Version: s.version}
	for id, voter := range s.clusters[cluster] {
		m.List = append(m.List, Member{Server: Server{ID: id, Addr: "a"}, Voter: voter})
	}
	return m
}

func (s *joining) step(pick func(int) int) error {
	j := s.stores[pick(len(s.stores))]
	id := j.state.StoreID
	cluster := []string{"x", "y"}[pick(2)]
	switch k := pick(16); {
	case k < 5: // asks
		app := (&Store{id: id, state: j.state}).Application("a")
		standing, add := judge(app, cluster, s.members(cluster))
		if add {
			s.clusters[cluster][id] = standing == Voter
		}
		j.heard = append(j.heard, Admission{ClusterID: cluster, Standing: standing})
	case k < 10: // hears
		if len(j.heard) == 0 || j.state.ClusterID != "" {
			return nil
		}
		n := pick(len(j.heard))
		a := j.heard[n]
		j.heard = slices.Delete(j.heard, n, n+1)
		next, err := s.rules.accept(j.state, "seed", a)
		switch {
		case err != nil:
		case next == joinPromise:
			j.state.Joining = a.ClusterID
		case next == joinOpen:
			j.open = a.ClusterID
			if s.clusters[a.ClusterID][id] && !j.state.Begun {
				return fmt.Errorf("%s has a vote in %s and has forgotten its log", id, a.ClusterID)
			}
		}
	case k < 12: // is given log
		if _, member := s.clusters[j.open][id]; member {
			j.state.Begun, j.state.ClusterID = true, j.state.Joining
		}
	case k == 12: // is given a vote
		if _, member := s.clusters[cluster][id]; member && j.open == cluster && (j.state.Begun || s.rules.promotions) {
			s.clusters[cluster][id] = true
		}
	case k == 13:
		j.heard, j.open = nil, ""
	case k == 14:
		if !j.state.Begun {
			j.copies = append(j.copies, j.state)
		}
	default:
		if len(j.copies) > 0 {
			j.state = j.copies[pick(len(j.copies))]
			j.heard, j.open, j.restored = nil, "", true
		}
	}
	_, x := s.clusters["x"][id]
	_, y := s.clusters["y"][id]
	if x && y && !j.restored { // a copy of before the promise is another store with the same name
		return fmt.Errorf("%s is a member of two clusters", id)
	}
	return j.state.check()
}

func TestNeverInTwoClusters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newJoining(joinRules{})
		for _, seed := range rapid.SliceOfN(rapid.Uint64(), 50, 400).Draw(t, "seeds") {
			r := rand.New(rand.NewPCG(seed, 0))
			require.NoError(t, s.step(r.IntN))
		}
	})
}

func TestJoiningWithoutARuleGoesWrong(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]joinRules{
		"promises":   {rashJoins: rashJoins{promises: true}},
		"copies":     {rashJoins: rashJoins{copies: true}},
		"promotions": {promotions: true, rashJoins: rashJoins{copies: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5000) {
				r := rand.New(rand.NewPCG(seed, 1))
				s := newJoining(rules)
				for range 300 {
					if s.step(r.IntN) != nil {
						return
					}
				}
			}
			require.Fail(t, "no run of the simulation saw it")
		})
	}
}

func TestForeignStoresAreRefused(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 1, nil)
	g := c.groups[c.leader()]
	var foreign *ForeignStore
	join := func(s *Store) error {
		_, err := Join(within(t, patienceOfTests), s, "new", []string{"seed"}, c.apply)
		return err
	}

	other := memoryIdentity("promised elsewhere")
	other.state.Joining = "other"
	require.ErrorAs(t, join(other), &foreign)
	require.Equal(t, ForeignStore{StoreID: "promised elsewhere", Addr: "seed", ClusterID: "test", Reason: foreign.Reason}, *foreign)
	require.ErrorContains(t, foreign, "other")

	founding := memoryIdentity("founding")
	founding.state.Promise = []Server{{ID: "founding", Addr: "f"}, {ID: "b", Addr: "b"}}
	require.ErrorAs(t, join(founding), &foreign)

	copied := memoryIdentity("member")
	require.NoError(t, g.Add(within(t, patienceOfTests), Server{ID: "member", Addr: "new"}, membersOn(g).Version))
	require.ErrorAs(t, join(copied), &foreign)
	require.ErrorContains(t, foreign, "older copy")

	forgetful := memoryIdentity(c.founders[0].ID) // a voter
	forgetful.state.Joining = "test"
	require.ErrorAs(t, join(forgetful), &foreign)
	require.ErrorContains(t, foreign, "older copy")
	require.Equal(t, c.founders[0], membersOn(g).List[1].Server, "it was not moved either")
	require.Len(t, membersOn(g).List, 2, "nobody was added")

	// A store that joins founds nothing, and those who found are told so.
	_, _, err := Found(t.Context(), other, "a:1", []string{"a:1"}, nil)
	require.ErrorAs(t, err, &foreign)
	list := []string{"a:1", "b:1"}
	next, reasons, err := decide("a:1", list, map[string]Answer{
		"a:1": {StoreID: "x", Addrs: list}, "b:1": {StoreID: "y", Addrs: list, Joining: "other"},
	})
	require.NoError(t, err)
	require.Equal(t, stepWait, next.kind)
	require.Contains(t, reasons["b:1"], "joins")
	_, _, err = decide("a:1", list, map[string]Answer{
		"a:1": {StoreID: "x", Addrs: list}, "b:1": {StoreID: "y", Joining: "other", Founding: Founding{ClusterID: "other"}},
	})
	require.ErrorAs(t, err, &foreign)

	var taken *AddressTaken
	_, err = Join(within(t, patienceOfTests), memoryIdentity("late"), "new", []string{"seed"}, c.apply)
	require.ErrorAs(t, err, &taken)
	require.Equal(t, "member", taken.By)

	var notJoined *NotJoined
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Join(short, memoryIdentity("lonely"), "l", []string{"seed"}, func(context.Context, string, Application) (Admission, error) {
		return Admission{}, errors.New("connection refused")
	})
	require.ErrorAs(t, err, &notJoined)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, notJoined.Reasons["seed"], "connection refused")
	_, err = Join(t.Context(), memoryIdentity("alone"), "l", nil, c.apply)
	require.Error(t, err)
}

// A store that joined must be opened as what it is.
func TestOpenRefusesWhatDidNotJoin(t *testing.T) {
	t.Parallel()
	good := func() Config {
		id := memoryIdentity("a")
		id.state.Joining = "c"
		return Config{Self: Server{ID: "a", Addr: "x:1"}, Identity: id, ClusterID: "c", FSM: &journal{}, Network: &Network{}, Logger: slog.New(slog.DiscardHandler)}
	}
	g, err := Open(t.Context(), good())
	require.NoError(t, err)
	m, _ := g.Members()
	require.Equal(t, Members{List: m.List}, m)
	require.Equal(t, Waiting, m.Self)
	_, err = g.Propose(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrNotLeader)
	require.NoError(t, g.Close())
	for name, spoil := range map[string]func(*Config){
		"no identity":     func(c *Config) { c.Identity = nil },
		"another store":   func(c *Config) { c.Self.ID = "b" },
		"another cluster": func(c *Config) { c.ClusterID = "d" },
		"no promise":      func(c *Config) { c.Identity = memoryIdentity("a") },
		"no address":      func(c *Config) { c.Self.Addr = "" },
		"long id":         func(c *Config) { c.Self.ID = string(make([]byte, 300)); c.Identity = nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			_, err := Open(t.Context(), cfg)
			require.ErrorContains(t, err, "consensus: ")
		})
	}
}

// The store that joins dies at each of its steps, with a disk, and goes on from
// there when it comes back.
func TestJoinSurvivesACrashAtEveryStep(t *testing.T) {
	t.Parallel()
	const steps = 7
	for crash := range steps {
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			t.Parallel()
			c := newTrio(t, 1, nil)
			c.leader()
			c.propose(0, "a")
			dir := t.TempDir()
			death := errors.New("died")

			life := func(crash int) (err error) {
				store, err := OpenStore(dir)
				require.NoError(t, err)
				defer func() { _ = store.Close() }()
				calls := 0
				ctx, cancel := context.WithTimeout(t.Context(), patienceOfTests)
				defer cancel()
				cluster, err := Join(ctx, store, "new", []string{"seed"}, func(ctx context.Context, seed string, a Application) (Admission, error) {
					calls++
					if crash == 0 || crash == 2 && calls == 2 { // before the leader hears
						cancel()
						return Admission{}, death
					}
					answer, err := c.apply(ctx, seed, a)
					if crash == 1 || crash == 3 && calls == 2 { // after it has answered
						cancel()
						return Admission{}, death
					}
					return answer, err
				})
				if crash < 4 {
					require.ErrorIs(t, err, context.Canceled)
					require.Equal(t, map[bool]string{false: "", true: "test"}[crash > 1], store.now().Joining)
					return death
				}
				require.NoError(t, err)
				if crash == 4 { // before it listens
					return death
				}
				died := make(chan struct{})
				fsm := &journal{}
				g, err := Open(t.Context(), Config{
					Self: Server{ID: store.ID(), Addr: "new"}, Identity: store, ClusterID: cluster, Dir: dir,
					Network: &c.net, FSM: fsm, Logger: slog.New(slog.DiscardHandler),
					wrapLog: func(log raft.LogStore) raft.LogStore {
						return &wrappedLog{log, func([]*raft.Log) error {
							if crash == 5 { // with the first entries on disk, before it says so
								select {
								case <-died:
								default:
									close(died)
								}
								return death
							}
							return nil
						}}
					},
				})
				require.NoError(t, err)
				defer func() { _ = g.Close() }()
				if crash == 5 {
					waitClosed(t, died)
					require.Empty(t, store.now().ClusterID)
					return death
				}
				waitClosed(t, g.Ready())
				require.NoError(t, g.WaitApplied(within(t, patienceOfTests), 1))
				require.Equal(t, []string{"a"}, fsm.all())
				if crash == 6 {
					return death
				}
				eventually(t, func() bool { return membersOn(g).Self == Nonvoter })
				require.Equal(t, storeState{
					Format: storeFormat, StoreID: store.ID(), Joining: "test", Founding: Founding{ClusterID: "test"},
					JoinedAt: store.now().JoinedAt, Begun: true,
				}, store.now())
				require.NotZero(t, store.now().JoinedAt)
				eventually(t, func() bool {
					l := c.groups[0]
					err := l.Promote(within(t, patienceOfTests), store.ID(), membersOn(l).Version)
					return err == nil
				})
				c.propose(0, "b") // needs it
				return nil
			}
			require.ErrorIs(t, life(crash), death)
			c.net.Kill("new")
			require.NoError(t, life(steps))
			require.Len(t, membersOn(c.groups[0]).List, 2)
		})
	}
}

// On real disks and sockets: a founder's cluster of three, a fourth that joins by
// a snapshot, moves to another port and gets a vote; then all are stopped.
func TestJoinOnDisk(t *testing.T) {
	t.Parallel()
	d := newDisks(t, 3)
	for k := range 20 {
		d.propose(fmt.Sprint(k))
	}
	require.NoError(t, d.groups[d.leader()].Snapshot())
	dir := t.TempDir()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	apply := func(ctx context.Context, _ string, a Application) (Admission, error) {
		return applyTo(ctx, a, d.groups)
	}
	var (
		fsm   *journal
		group *Group
		store *Store
	)
	up := func(l net.Listener) {
		var err error
		store, err = OpenStore(dir)
		require.NoError(t, err)
		cluster, err := Join(within(t, patienceOfTests), store, l.Addr().String(), []string{"seed"}, apply)
		require.NoError(t, err)
		require.Equal(t, d.cluster, cluster)
		fsm = &journal{}
		group, err = Open(t.Context(), Config{
			Self: Server{ID: store.ID(), Addr: l.Addr().String()}, ClusterID: cluster, Dir: dir, Identity: store, Listener: l,
			FSM: fsm, Logger: slog.New(slog.DiscardHandler), TrailingLogs: 1,
		})
		require.NoError(t, err)
	}
	down := func() {
		require.NoError(t, group.Close())
		require.NoError(t, store.Close())
	}
	up(listen())
	waitClosed(t, group.Ready())
	require.NoError(t, group.WaitApplied(within(t, patienceOfTests), 20))
	down()

	l := listen()
	moved := l.Addr().String()
	up(l)
	require.NotEqual(t, moved, membersOn(group).List[slices.IndexFunc(membersOn(group).List, func(m Member) bool { return m.ID == store.ID() })].Addr)
	eventually(t, func() bool {
		_, err := apply(within(t, patienceOfTests), "", store.Application(moved))
		return err == nil
	})
	eventually(t, func() bool {
		g := d.groups[d.leader()]
		return g.Promote(within(t, patienceOfTests), store.ID(), membersOn(g).Version) == nil
	})
	d.propose("with a vote")
	require.NoError(t, group.WaitApplied(within(t, patienceOfTests), 21))
	require.Len(t, fsm.all(), 21)
	require.NoError(t, group.Snapshot())
	down()
	for i := range d.groups {
		d.close(i)
	}

	// Two of the founders and the one who joined are three of four.
	l, err := net.Listen("tcp", moved)
	if err != nil {
		l = listen() // somebody took the port; the others need to be told
	}
	up(l)
	defer down()
	require.Equal(t, Voter, membersOn(group).Self)
	d.open(0, nil)
	d.open(1, nil)
	eventually(t, func() bool {
		for _, g := range []*Group{d.groups[0], d.groups[1], group} {
			if _, err := g.Propose(within(t, patienceOfTests), []byte("again")); err == nil {
				return true
			}
		}
		return false
	})

	// Its log is lost, its identity is not.
	require.NoError(t, group.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "raft")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "snapshots")))
	_, err = Open(t.Context(), Config{
		Self: Server{ID: store.ID(), Addr: moved}, ClusterID: d.cluster, Dir: dir, Identity: store, Network: &Network{}, FSM: &journal{},
	})
	var damaged *Damaged
	require.ErrorAs(t, err, &damaged)
}

func TestHostileApplications(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		_, _ = DecodeApplication(data)
		_, _ = DecodeAdmission(data)
	})
	for _, junk := range []string{"", "null", "{}", `{"id":"a"}`, `{"id":"a","addr":"b"}{}`, `{"cluster":"c","standing":9}`, `[]`} {
		_, err := DecodeApplication([]byte(junk))
		require.Error(t, err, junk)
		_, err = DecodeAdmission([]byte(junk))
		require.Error(t, err, junk)
	}
	_, err := DecodeApplication(make([]byte, storeLimit+1))
	require.Error(t, err)
}
