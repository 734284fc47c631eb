package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// fleet is silos in memory, and an operator.
type fleet struct {
	t       *testing.T
	network *silo.Network
	memory  map[string]*silo.Memory
	silos   map[string]*silo.Silo
	kinds   []grains.Kind
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, network: silo.NewNetwork(), memory: map[string]*silo.Memory{}, silos: map[string]*silo.Silo{}, kinds: bank.Grains()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var stops sync.WaitGroup
		for _, s := range f.silos {
			stops.Go(func() { _ = s.Stop(ctx) })
		}
		stops.Wait()
	})
	return f
}

func (f *fleet) config(addr string) silo.Config {
	if f.memory[addr] == nil {
		f.memory[addr] = silo.NewMemory()
	}
	return silo.Config{Grains: f.kinds, Advertise: addr, Network: f.network, Memory: f.memory[addr], Logger: slog.New(slog.DiscardHandler)}
}

// start starts silos with a Join, all at once.
func (f *fleet) start(ctx context.Context, join string, addrs ...string) {
	f.t.Helper()
	var (
		mu     sync.Mutex
		starts sync.WaitGroup
	)
	for _, addr := range addrs {
		c := f.config(addr)
		c.Join = join
		starts.Go(func() {
			s, err := silo.Start(ctx, c)
			if err != nil {
				f.t.Errorf("silo %s: %v", addr, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			f.silos[addr] = s
		})
	}
	starts.Wait()
	require.False(f.t, f.t.Failed())
}

func (f *fleet) kill(addr string) {
	f.network.Kill(addr)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.silos[addr].Stop(over) // it cannot say anything to anybody
	delete(f.silos, addr)
}

// failed is why a silo cannot go on.
func (f *fleet) failed(ctx context.Context, addr string) error {
	select {
	case err := <-f.silos[addr].Failed():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deposit calls a grain until it answers: what surely was not executed, as before a silo's first lease, is
// called again.
func (f *fleet) deposit(ctx context.Context, at, account string) (balance int64) {
	f.t.Helper()
	var err error
	require.Eventually(f.t, func() bool {
		balance, err = bank.GetAccount(f.silos[at], bank.AccountID(account)).Deposit(ctx, 1)
		return !errors.Is(err, grains.ErrNotExecuted)
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(f.t, err)
	return balance
}

func (f *fleet) operator(ctx context.Context, silos string) *cluster.Operator {
	f.t.Helper()
	o, err := cluster.Operate(ctx, cluster.Config{Silos: silos, Network: f.network.Messages, Logger: slog.New(slog.DiscardHandler)}, "")
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = o.Close() })
	return o
}

// await waits for what is to show in a report.
func await(ctx context.Context, t *testing.T, o *cluster.Operator, what string, shows func(*cluster.Report) bool) *cluster.Report {
	t.Helper()
	var r *cluster.Report
	require.Eventually(t, func() bool {
		var err error
		r, err = o.Inspect(ctx, cluster.Inspection{})
		return err == nil && shows(r)
	}, 30*time.Second, 20*time.Millisecond, "%s: %+v", what, r)
	return r
}

func of(r *cluster.Report, addr string) cluster.SiloReport {
	for _, s := range r.Silos {
		if s.Addr == addr {
			return s
		}
	}
	return cluster.SiloReport{}
}

func voters(r *cluster.Report) (n int) {
	for _, s := range r.Silos {
		if s.Log == cluster.LogVoter {
			n++
		}
	}
	return n
}

// A silo that is drained gives everything away while calls go on, and says so to whoever started it; its store
// comes back, and is gone for good once it is removed.
func TestDrainAndRemove(t *testing.T) {
	t.Parallel()
	ctx := within(t, 90*time.Second)
	f := newFleet(t)
	const all = "a:1,b:1,c:1"
	f.start(ctx, all, "a:1", "b:1", "c:1")
	o := f.operator(ctx, all)
	r := await(ctx, t, o, "three that serve", func(r *cluster.Report) bool { return r.Healthy() && of(r, "b:1").Slots > 0 && len(r.Silos) == 3 })
	b := of(r, "b:1")

	for i := range 20 {
		require.EqualValues(t, 1, f.deposit(ctx, "a:1", fmt.Sprint(i)))
	}
	var unknown *cluster.Refused
	require.ErrorIs(t, o.Drain(ctx, "d:1", nil), cluster.ErrUnknownSilo)
	require.ErrorAs(t, o.Remove(ctx, "d:1", false, nil), &unknown)
	require.Contains(t, unknown.Detail, "b:1 ("+string(b.ID)+")")
	require.ErrorIs(t, o.Remove(ctx, "b:1", false, nil), cluster.ErrAlive)

	var last cluster.Progress
	require.NoError(t, o.Drain(ctx, "b:1", func(p cluster.Progress) { last = p }))
	require.Zero(t, last.Held)
	require.ErrorIs(t, f.failed(ctx, "b:1"), silo.ErrLeft)
	require.NoError(t, f.silos["b:1"].Stop(ctx))
	for i := range 20 {
		require.EqualValues(t, 2, f.deposit(ctx, "a:1", fmt.Sprint(i)), "state came along")
	}

	f.start(ctx, all, "b:1")
	await(ctx, t, o, "it is back", func(r *cluster.Report) bool { return of(r, "b:1").Slots > 0 && of(r, "b:1").ID == b.ID })
	require.NoError(t, o.Drain(ctx, string(b.ID), nil))
	require.NoError(t, f.silos["b:1"].Stop(ctx))
	delete(f.silos, "b:1")
	require.NoError(t, o.Remove(ctx, "b:1", false, nil))
	r = await(ctx, t, o, "two that vote", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 2 })
	require.Len(t, r.Silos, 2)

	_, err := silo.Start(ctx, func() silo.Config { c := f.config("b:1"); c.Join = "a:1,c:1"; return c }())
	require.ErrorIs(t, err, consensus.ErrRemoved)
	f.memory["b:1"] = nil
	f.start(ctx, "a:1,c:1", "b:1")
	r = await(ctx, t, o, "another store", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 3 })
	require.NotEqual(t, b.ID, of(r, "b:1").ID)
}

// Of two silos one can go: the other decides alone, and is not drained.
func TestTheLastSiloStays(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	f := newFleet(t)
	f.start(ctx, "a:1,b:1", "a:1", "b:1")
	o := f.operator(ctx, "a:1")
	r := await(ctx, t, o, "two that serve", func(r *cluster.Report) bool { return r.Healthy() && of(r, "a:1").Slots > 0 && of(r, "b:1").Slots > 0 })
	require.NoError(t, o.Drain(ctx, r.Leader, nil))
	require.ErrorIs(t, f.failed(ctx, r.Leader), silo.ErrLeft)
	require.NoError(t, f.silos[r.Leader].Stop(ctx))
	stays := map[string]string{"a:1": "b:1", "b:1": "a:1"}[r.Leader]
	delete(f.silos, r.Leader)
	require.EqualValues(t, 1, f.deposit(ctx, stays, "x"), "two voters of which one has left")

	last := f.operator(ctx, stays)
	require.ErrorIs(t, last.Drain(ctx, stays, nil), cluster.ErrOnlySilo)
	require.ErrorIs(t, last.Remove(ctx, stays, true, nil), cluster.ErrNoMajority)
	require.NoError(t, last.Remove(ctx, r.Leader, false, nil))
}

// A silo that lives is removed by force alone, and does not come back.
func TestRemoveByForce(t *testing.T) {
	t.Parallel()
	ctx := within(t, 90*time.Second)
	f := newFleet(t)
	const all = "a:1,b:1,c:1"
	f.start(ctx, all, "a:1", "b:1", "c:1")
	o := f.operator(ctx, all)
	r := await(ctx, t, o, "three that serve", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 3 && r.Leader != "" })
	leader := r.Leader
	require.NoError(t, o.Remove(ctx, leader, true, nil))
	require.ErrorIs(t, f.failed(ctx, leader), consensus.ErrRemoved)
	r = await(ctx, t, o, "two that vote", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 2 })
	require.Len(t, r.Silos, 2)

	// Where most of those that vote are gone, nothing is decided, and it is said what to do.
	var dead string
	for _, s := range r.Silos {
		if s.Addr != r.Leader {
			dead = s.Addr
		}
	}
	f.kill(dead)
	await(ctx, t, o, "nobody leads", func(r *cluster.Report) bool { return r.Leader == "" })
	err := o.Remove(within(t, 2*time.Second), dead, false, nil)
	require.ErrorIs(t, err, cluster.ErrNotNow)
	require.ErrorContains(t, err, "most of those that vote must be up")
}

// Who lives is not removed where those that vote besides are too few.
func TestRemoveNeedsAMajority(t *testing.T) {
	t.Parallel()
	ctx := within(t, 90*time.Second)
	f := newFleet(t)
	const all = "a:1,b:1,c:1"
	f.start(ctx, all, "a:1", "b:1", "c:1")
	o := f.operator(ctx, all)
	await(ctx, t, o, "three that serve", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 3 })
	f.kill("b:1")
	require.ErrorIs(t, o.Drain(ctx, "b:1", nil), cluster.ErrUnreachable)
	r := await(ctx, t, o, "one is dead", func(r *cluster.Report) bool { return of(r, "b:1").State == "dead" && r.Leader != "" })
	err := o.Remove(ctx, "c:1", true, nil)
	require.ErrorIs(t, err, cluster.ErrNoMajority)
	require.ErrorContains(t, err, "b:1")
	require.NoError(t, o.Drain(ctx, "b:1", nil), "who is dead has left")
	require.NoError(t, o.Remove(ctx, string(of(r, "b:1").ID), false, nil))
	require.NoError(t, o.Remove(ctx, "c:1", true, nil), "of the two that are left, one is enough")
	require.EqualValues(t, 1, f.deposit(ctx, "a:1", "x"))
}

// Where silos have a secret, who does not show it gives no orders.
func TestOrdersNeedTheSecret(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	f := newFleet(t)
	c := f.config("a:1")
	c.Secret = "s"
	s, err := silo.Start(ctx, c)
	require.NoError(t, err)
	f.silos["a:1"] = s
	o := f.operator(ctx, "a:1")
	require.ErrorIs(t, o.Drain(ctx, "a:1", nil), cluster.ErrNotOperator)
	require.ErrorIs(t, o.Remove(ctx, "a:1", true, nil), cluster.ErrNotOperator)
	_, err = o.Init(ctx, []string{"a:1"})
	require.ErrorIs(t, err, cluster.ErrNotOperator)
	shown, err := cluster.Operate(ctx, cluster.Config{Silos: "a:1", Network: f.network.Messages, Logger: slog.New(slog.DiscardHandler)}, "s")
	require.NoError(t, err)
	require.ErrorIs(t, shown.Drain(ctx, "a:1", nil), cluster.ErrOnlySilo)
	require.NoError(t, shown.Close())
}

// Silos that wait for one another found a cluster when they are told to; one that comes later joins it.
func TestInit(t *testing.T) {
	t.Parallel()
	ctx := within(t, 90*time.Second)
	f := newFleet(t)
	path := filepath.Join(t.TempDir(), "silos")
	addrs := []string{"a:1", "b:1", "c:1"}
	o := f.operator(ctx, strings.Join(addrs, ","))
	_, err := o.Init(within(t, time.Second), addrs)
	require.ErrorIs(t, err, cluster.ErrUnreachable)

	var starts sync.WaitGroup
	starts.Go(func() { f.start(ctx, "file:"+path, addrs...) })
	refusal := func(addrs ...string) (err error) {
		require.Eventually(t, func() bool {
			_, err = o.Init(ctx, addrs)
			return !errors.Is(err, cluster.ErrUnreachable) || !strings.Contains(err.Error(), "a:1")
		}, 30*time.Second, 10*time.Millisecond)
		return err
	}
	// Refused, and nothing is half done.
	require.ErrorIs(t, refusal("a:1", "gone:1"), cluster.ErrUnreachable)
	require.ErrorIs(t, refusal("a:1", "a:1"), cluster.ErrWrongList)
	f.start(ctx, "", "alone:1")
	require.ErrorIs(t, refusal("a:1", "alone:1"), cluster.ErrFounded)
	expects := f.config("x:1")
	expects.Join, expects.Expect = "file:"+path+"-none", 2
	never, end := context.WithCancel(ctx)
	starts.Go(func() { _, _ = silo.Start(never, expects) })
	require.Eventually(t, func() bool {
		_, err = o.Init(ctx, []string{"a:1", "x:1"})
		return errors.Is(err, cluster.ErrWrongList)
	}, 30*time.Second, 10*time.Millisecond, "%v", err)
	require.ErrorContains(t, err, "founds by itself")
	end()

	var id string
	require.Eventually(t, func() bool { id, err = o.Init(ctx, addrs); return err == nil }, 30*time.Second, 50*time.Millisecond)
	starts.Wait()
	r := await(ctx, t, o, "three that serve", func(r *cluster.Report) bool { return r.Healthy() && voters(r) == 3 })
	require.Equal(t, id, r.Cluster)
	announced := func() []string {
		text, _ := os.ReadFile(path) // there is none at first
		return slices.Sorted(slices.Values(strings.Fields(string(text))))
	}
	require.Eventually(t, func() bool { return slices.Equal(addrs, announced()) }, 30*time.Second, 10*time.Millisecond, "they announce themselves")

	_, err = o.Init(ctx, addrs)
	require.ErrorIs(t, err, cluster.ErrFounded)
	f.start(ctx, "file:"+path, "d:1")
	await(ctx, t, o, "one that joined", func(r *cluster.Report) bool { return of(r, "d:1").State == view.Active.String() })
	require.Eventually(t, func() bool { return len(announced()) == 4 }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, f.silos["d:1"].Stop(ctx))
	delete(f.silos, "d:1")
	require.Equal(t, addrs, announced(), "who stops withdraws")
}
