package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// simulated founding: stores that answer one another late, crash and are lost.
type simStore struct {
	state storeState
	seen  map[string]Answer // what it heard since it started
}

type simulation struct {
	list   []string
	stores map[string]*simStore
	minted int
}

func newSimulation(n int) *simulation {
	s := &simulation{stores: map[string]*simStore{}}
	for i := range n {
		s.list = append(s.list, fmt.Sprintf("silo-%d", i))
	}
	for _, addr := range s.list {
		s.lose(addr)
	}
	return s
}

func (s *simulation) lose(addr string) {
	s.minted++
	s.stores[addr] = &simStore{state: storeState{StoreID: fmt.Sprintf("store-%03d", s.minted)}, seen: map[string]Answer{}}
}

func (s *simulation) crash(addr string) { s.stores[addr].seen = map[string]Answer{} }

func (s *simulation) answer(addr string) Answer {
	st := s.stores[addr].state
	return Answer{StoreID: st.StoreID, Addrs: s.list, Promise: st.Promise, Founding: st.Founding}
}

func (s *simulation) ask(from, to string) { s.stores[from].seen[to] = s.answer(to) }

// act lets a store do what its knowledge allows, and checks that this makes no
// second cluster.
func (s *simulation) act(addr string, rules unguarded) error {
	st := s.stores[addr]
	if st.state.ClusterID != "" {
		return nil
	}
	st.seen[addr] = s.answer(addr)
	next, _, err := rules.decide(addr, s.list, st.seen)
	if err != nil {
		return nil // refused: nothing happens
	}
	switch next.kind {
	case stepPromise:
		if st.state.Promise != nil {
			return fmt.Errorf("%s promises twice", addr)
		}
		st.state.Promise = next.founders
	case stepFound:
		st.state.Founding = Founding{ClusterID: clusterOf(next.founders), Founders: next.founders}
		for other, o := range s.stores {
			if c := o.state.ClusterID; c != "" && c != st.state.ClusterID {
				return fmt.Errorf("%s founds %s while %s has founded %s", addr, st.state.ClusterID, other, c)
			}
			if p := o.state.Promise; p != nil && clusterOf(p) != st.state.ClusterID {
				return fmt.Errorf("%s founds %s while %s is bound to another", addr, st.state.ClusterID, other)
			}
		}
	}
	return nil
}

// stepOnce is one random event. Losses are rare, or nothing would ever be founded.
func (s *simulation) stepOnce(pick func(n int) int, rules unguarded) error {
	addr := s.list[pick(len(s.list))]
	switch k := pick(20); {
	case k == 0:
		s.lose(addr)
	case k == 1:
		s.crash(addr)
	case k < 12:
		s.ask(addr, s.list[pick(len(s.list))])
	default:
		return s.act(addr, rules)
	}
	return nil
}

func TestNeverTwoClusters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation(rapid.IntRange(1, 5).Draw(t, "stores"))
		steps := rapid.SliceOfN(rapid.Uint64(), 50, 400).Draw(t, "seeds")
		for _, seed := range steps {
			r := rand.New(rand.NewPCG(seed, 0))
			require.NoError(t, s.stepOnce(r.IntN, unguarded{}))
		}
	})
}

// What happens without a rule must be seen by the check above, or the check
// proves nothing.
func TestFoundingWithoutARuleSplits(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]unguarded{
		"promises": {promises: true},
		"silence":  {silence: true, promises: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5000) {
				r := rand.New(rand.NewPCG(seed, 1))
				s := newSimulation(3)
				for range 300 {
					if s.stepOnce(r.IntN, rules) != nil {
						return
					}
				}
			}
			require.Fail(t, "no run of the simulation split the cluster")
		})
	}
}

// Without losses, any order of crashes ends in one cluster of all.
func TestFoundingCompletesAfterCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation(rapid.IntRange(1, 5).Draw(t, "stores"))
		crashes := rapid.SliceOfN(rapid.IntRange(0, len(s.list)-1), 0, 30).Draw(t, "crashes")
		for range 10 {
			for i, from := range s.list {
				for _, to := range s.list {
					s.ask(from, to)
				}
				if len(crashes) > 0 && crashes[0] == i {
					s.crash(from)
				}
				if len(crashes) > 0 {
					crashes = crashes[1:]
				}
				require.NoError(t, s.act(from, unguarded{}))
			}
		}
		for round := 0; round < 5; round++ {
			for _, from := range s.list {
				for _, to := range s.list {
					s.ask(from, to)
				}
				require.NoError(t, s.act(from, unguarded{}))
			}
		}
		for _, st := range s.stores {
			require.NotEmpty(t, st.state.ClusterID)
			require.Len(t, st.state.Founders, len(s.list))
		}
	})
}

// silos answer one another by direct calls.
type silos struct {
	mu     sync.Mutex
	stores map[string]*Store // absent: down
}

func (s *silos) ask(_ context.Context, addr string) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stores[addr]
	if st == nil {
		return Answer{}, errors.New("connection refused")
	}
	data, err := EncodeAnswer(st.Answer())
	if err != nil {
		return Answer{}, err
	}
	return DecodeAnswer(data)
}

func (s *silos) up(t *testing.T, addr, dir string) *Store {
	t.Helper()
	st, err := OpenStore(dir)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stores == nil {
		s.stores = map[string]*Store{}
	}
	s.stores[addr] = st
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func (s *silos) down(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stores[addr].Close()
	delete(s.stores, addr)
}

func TestFoundAlone(t *testing.T) {
	t.Parallel()
	var s silos
	dir := t.TempDir()
	st := s.up(t, "a:1", dir)
	founders, cluster, err := Found(t.Context(), st, "a:1", []string{"a:1"}, s.ask)
	require.NoError(t, err)
	require.Equal(t, []Server{{ID: st.ID(), Addr: "a:1"}}, founders)
	require.Len(t, cluster, 32)

	_, err = OpenStore(dir)
	var inUse *InUse
	require.ErrorAs(t, err, &inUse)

	s.down("a:1")
	again := s.up(t, "a:1", dir)
	require.Equal(t, st.ID(), again.ID())
	founders2, cluster2, err := Found(t.Context(), again, "a:1", []string{"a:1"}, nil)
	require.NoError(t, err)
	require.Equal(t, founders, founders2)
	require.Equal(t, cluster, cluster2)

	var wrong *WrongList
	_, _, err = Found(t.Context(), again, "a:1", []string{"a:1", "b:1"}, s.ask)
	require.ErrorAs(t, err, &wrong)
	_, _, err = Found(t.Context(), again, "c:1", []string{"a:1"}, s.ask)
	require.ErrorAs(t, err, &wrong)
}

func TestThreeFoundOneCluster(t *testing.T) {
	t.Parallel()
	var s silos
	addrs := []string{"a:1", "b:1", "c:1"}
	dirs := map[string]string{}
	for _, a := range addrs {
		dirs[a] = t.TempDir()
	}
	a, b := s.up(t, "a:1", dirs["a:1"]), s.up(t, "b:1", dirs["b:1"])

	// Two of three are not enough, however long they wait.
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go func() { _, _, _ = Found(short, b, "b:1", addrs, s.ask) }()
	_, _, err := Found(short, a, "a:1", addrs, s.ask)
	var notFounded *NotFounded
	require.ErrorAs(t, err, &notFounded)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, notFounded.Reasons["c:1"], "did not answer")
	_, founded := a.Founded()
	require.False(t, founded)

	// One of them is restarted, then the third comes, with the list in another order.
	s.down("b:1")
	s.up(t, "b:1", dirs["b:1"])
	s.up(t, "c:1", dirs["c:1"])
	type result struct {
		founders []Server
		cluster  string
		err      error
	}
	results := make(chan result, 3)
	for i, addr := range addrs {
		list := append(slices.Clone(addrs[i:]), addrs[:i]...)
		s.mu.Lock()
		st := s.stores[addr]
		s.mu.Unlock()
		go func() {
			f, c, err := Found(within(t, patienceOfTests), st, addr, list, s.ask)
			results <- result{f, c, err}
		}()
	}
	first := <-results
	require.NoError(t, first.err)
	require.Len(t, first.founders, 3)
	for range 2 {
		r := <-results
		require.NoError(t, r.err)
		require.Equal(t, first, r)
	}

	// A founder whose directory was lost is told so, and so is a stranger.
	s.down("c:1")
	fresh := s.up(t, "c:1", t.TempDir())
	_, _, err = Found(within(t, patienceOfTests), fresh, "c:1", addrs, s.ask)
	var foreign *ForeignStore
	require.ErrorAs(t, err, &foreign)
	require.Equal(t, first.cluster, foreign.ClusterID)
	require.ErrorContains(t, err, "lost")
}

func TestDisagreeingListIsNamed(t *testing.T) {
	t.Parallel()
	var s silos
	a, b := s.up(t, "a:1", ""), s.up(t, "b:1", "")
	b.announce([]string{"b:1", "c:1"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err := Found(ctx, a, "a:1", []string{"a:1", "b:1"}, s.ask)
	var notFounded *NotFounded
	require.ErrorAs(t, err, &notFounded)
	require.Contains(t, notFounded.Reasons["b:1"], "another list")
}

func TestCopiedDirectoryIsNoticed(t *testing.T) {
	t.Parallel()
	var s silos
	a := s.up(t, "a:1", "")
	s.stores["b:1"] = a
	_, _, err := Found(within(t, patienceOfTests), a, "a:1", []string{"a:1", "b:1"}, s.ask)
	require.ErrorContains(t, err, "copied")
}

func TestStoreFromAnOlderCopyIsRefused(t *testing.T) {
	t.Parallel()
	list := []string{"a:1", "b:1"}
	founders := []Server{{ID: "x", Addr: "a:1"}, {ID: "y", Addr: "b:1"}}
	_, _, err := decide("a:1", list, map[string]Answer{
		"a:1": {StoreID: "x", Addrs: list},
		"b:1": {StoreID: "y", Addrs: list, Promise: founders, Founding: Founding{clusterOf(founders), founders}},
	})
	require.ErrorContains(t, err, "older copy")
}

func TestDamagedDirectories(t *testing.T) {
	t.Parallel()
	var damaged *Damaged
	t.Run("identity lost", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "raft"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "raft", "wal-meta.db"), []byte("x"), 0o644))
		_, err := OpenStore(dir)
		require.ErrorAs(t, err, &damaged)
	})
	for _, junk := range []string{"", "{", `{"format":2,"store":"a"}`, `{"format":1}`, `{"format":1,"store":"a","cluster":"c"}`} {
		t.Run("identity "+junk, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, storeFile), []byte(junk), 0o644))
			_, err := OpenStore(dir)
			require.ErrorAs(t, err, &damaged)
			st, err := OpenStore(t.TempDir())
			require.NoError(t, err)
			require.NoError(t, st.Close())
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, _ = DecodeAnswer(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	})
	for _, junk := range []string{"", "null", "{}", `{"store":"a"}{"store":"b"}`, `[]`} {
		_, err := DecodeAnswer([]byte(junk))
		require.Error(t, err, junk)
	}
	_, err := DecodeAnswer(make([]byte, storeLimit+1))
	require.Error(t, err)
}
