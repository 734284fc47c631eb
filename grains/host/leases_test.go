package host_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// kept is a world whose silos have keepers: leases, tokens and seals are real. The test is their log and
// their clocks; releases are logged as they are asked for.
type kept struct {
	*world
	clock    atomic.Int64
	looks    atomic.Int64 // at the clock
	mu       sync.Mutex
	registry *view.Registry
	keepers  []*view.Keeper
}

// keep starts a world of that many silos of which the first few have joined.
func keep(t *testing.T, silos, joined int, faults ...host.Fault) *kept {
	k := &kept{world: unseen(t, silos, faults...), registry: view.NewRegistry()}
	k.clock.Store(int64(time.Second))
	for _, n := range k.silos {
		n.clock = func() time.Duration { k.looks.Add(1); return time.Duration(k.clock.Load()) }
		keeper, err := view.NewKeeper(view.KeeperConfig{Member: k.member(n), MaxSealed: view.Slots})
		require.NoError(t, err)
		k.keepers = append(k.keepers, keeper)
		n.stands.Store(keeper.Standing())
	}
	for i := range joined {
		k.join(i)
		k.settle()
	}
	return k
}

func (k *kept) member(n *node) view.Member {
	return view.Member{Run: k.run(n), Addr: n.addr, Kinds: []string{kindName}}
}

func (k *kept) run(n *node) view.Run { return view.Run{ID: n.id, Incarnation: 1} }

func (k *kept) join(i int) {
	n := k.silos[i]
	k.put(view.Join{Member: k.member(n)})
	k.put(view.Ready{Run: k.run(n)})
	k.renew()
}

// settle waits until every slot is where it is to be.
func (k *kept) settle() {
	soon(k.t, "slots move", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.registry.Table().Settled()
	})
}

// renew renews everybody's lease.
func (k *kept) renew(except ...*node) {
	var r view.Renew
	for _, n := range k.silos {
		if !slices.Contains(except, n) {
			r.Renewals = append(r.Renewals, view.Renewal{Run: k.run(n), Mark: uint64(k.clock.Load())})
		}
	}
	k.put(r)
}

// lapse lets time pass for longer than any lease.
func (k *kept) lapse() { k.clock.Add(int64(3 * time.Second)) }

// put appends an entry to the log, and shows it to all silos.
func (k *kept) put(commands ...view.Command) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logged(commands...)
}

func (k *kept) logged(commands ...view.Command) {
	a, err := k.registry.Apply(view.EncodeCommands(commands...))
	require.NoError(k.t, err)
	for i := range k.silos {
		k.step(i, a)
	}
}

// step steps a keeper and does what it asks for.
func (k *kept) step(i int, in view.Input) {
	n := k.silos[i]
	effects := k.keepers[i].Step(time.Duration(k.clock.Load()), in, nil)
	n.stands.Store(k.keepers[i].Standing())
	n.views.Set(k.keepers[i].Standing().Table())
	for _, e := range effects {
		switch e := e.(type) {
		case view.Seal:
			n.host.Seal(e.Rows, func(rows []view.Row) { k.drained(i, rows) })
		case view.Ended:
			n.host.Drop()
		case view.Ask:
			if _, ok := e.Command.(view.Release); ok {
				k.logged(e.Command)
			}
		}
	}
}

func (k *kept) drained(i int, rows []view.Row) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.step(i, view.Drained{Rows: rows})
	k.step(i, view.Tick{})
}

// key is the key of a grain that the i-th silo holds; n tells several apart.
func (k *kept) key(i, n int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for j := range view.Slots * 10 {
		key := fmt.Sprint("key-", j)
		if owner, _ := k.registry.Table().Owner(wire.NewID(kindName, key)); owner.ID == k.silos[i].id {
			if n == 0 {
				return key
			}
			n--
		}
	}
	k.t.Fatal("the silo holds no such grain")
	return ""
}

// A process that stood still for longer than its lease, in the middle of a turn, goes on to no effect: what
// it waited for is an error, its context is cancelled, its calls and blocks do nothing, and its caller is not
// told that it went well. The activation serves again when the lease is back.
func TestLeaseThatRunsOutInATurn(t *testing.T) {
	t.Parallel()
	turns := func(faults ...host.Fault) (after *node, ranAfter int, committed int64, err error) {
		k := keep(t, 2, 2, faults...)
		ctx := within(t, 20*time.Second)
		a, b, c := k.key(0, 0), k.key(1, 0), k.key(1, 1)
		var activated atomic.Int32
		k.onActivate = func(_ context.Context, g *grain) error {
			if g.GrainID().Key() == a {
				activated.Add(1)
			}
			return nil
		}
		checks := len(faults) == 0
		err = k.call(ctx, k.silos[0], a, func(ctx context.Context, g *grain) error {
			got := g.call(ctx, b, func(context.Context, *grain) error {
				k.lapse()
				k.renew(k.silos[0])
				return nil
			})
			if checks {
				assert.ErrorIs(t, got, grains.ErrFenced)
				assert.ErrorIs(t, context.Cause(ctx), grains.ErrFenced)
				assert.ErrorIs(t, g.call(context.Background(), c, nothing), grains.ErrFenced, "with another context too")
			}
			// It is lost for good, even when the lease is back.
			k.renew()
			if checks {
				assert.ErrorIs(t, g.call(ctx, c, nothing), grains.ErrFenced)
				assert.ErrorIs(t, adds(1)(ctx, g), grains.ErrFenced)
				assert.ErrorIs(t, adds(1)(context.Background(), g), grains.ErrFenced)
				return got
			}
			return adds(1)(ctx, g)
		})
		require.NoError(t, k.call(ctx, k.silos[0], a, func(_ context.Context, g *grain) error {
			if g.turns != 2 {
				t.Error("it lost its memory")
			}
			return nil
		}))
		require.EqualValues(t, 1, activated.Load(), "a lease that comes back ends no activation")
		return k.silos[1], k.ran(k.silos[1]), k.value(a), err
	}
	_, ran, committed, err := turns()
	require.ErrorIs(t, err, grains.ErrUnknown)
	require.NotErrorIs(t, err, grains.ErrNotExecuted)
	require.Equal(t, 1, ran, "a call was made after the lease had run out")
	require.Zero(t, committed)
	_, _, committed, err = turns(host.OutliveLeases)
	require.NoError(t, err, "nothing notices that a turn outlives its lease")
	require.EqualValues(t, 1, committed)
}

// What a turn reads, and the block that it has begun, end with the lease too: the entry that would decide the
// block is not submitted.
func TestLeaseThatRunsOutInABlock(t *testing.T) {
	t.Parallel()
	commits := func(faults ...host.Fault) (int64, error) {
		k := keep(t, 1, 1, faults...)
		ctx, a := within(t, 20*time.Second), k.key(0, 0)
		err := k.call(ctx, k.silos[0], a, func(ctx context.Context, g *grain) error {
			return txn.Atomic(ctx, g, func(ctx context.Context) error {
				if err := g.add(ctx, 1); err != nil {
					return err
				}
				k.lapse()
				return nil
			})
		})
		return k.value(a), err
	}
	value, err := commits()
	require.ErrorIs(t, err, grains.ErrUnknown)
	require.Zero(t, value)
	value, err = commits(host.OutliveLeases)
	require.NoError(t, err)
	require.EqualValues(t, 1, value, "nothing notices that a block was submitted without a lease")
}

// A reply leaves under a lease.
func TestLeaseThatRunsOutBeforeTheReply(t *testing.T) {
	t.Parallel()
	for _, from := range []int{0, 1} {
		calls := func(faults ...host.Fault) error {
			k := keep(t, 2, 2, faults...)
			return k.call(within(t, 20*time.Second), k.silos[from], k.key(0, 0), func(context.Context, *grain) error { k.lapse(); return nil })
		}
		require.ErrorIs(t, calls(), grains.ErrUnknown)
		require.NoError(t, calls(host.OutliveLeases))
	}
}

// Without a lease a silo says so at once, and who calls from elsewhere learns it after some patience; nobody
// waits for a context that has no end.
func TestCallsWithoutALease(t *testing.T) {
	t.Parallel()
	for _, from := range []int{0, 1} {
		calls := func(faults ...host.Fault) (int, error) {
			k := keep(t, 2, 2, faults...)
			k.lapse()
			k.renew(k.silos[0])
			err := k.call(within(t, 20*time.Second), k.silos[from], k.key(0, 0), nothing)
			return k.ran(k.silos[0]), err
		}
		ran, err := calls()
		require.ErrorIs(t, err, grains.ErrNoLease)
		require.ErrorIs(t, err, grains.ErrNotExecuted)
		require.ErrorContains(t, err, "another silo")
		require.Zero(t, ran)
		ran, err = calls(host.OutliveLeases)
		require.NoError(t, err)
		require.Equal(t, 1, ran)
	}
	// A silo that is cut off reaches nobody else either.
	k := keep(t, 2, 2)
	k.lapse()
	k.network.Kill(k.silos[1].addr)
	require.ErrorIs(t, k.call(within(t, 20*time.Second), k.silos[0], k.key(1, 0), nothing), grains.ErrNoLease)
}

// What waits behind a turn is refused when its time comes without a lease; what would have to wait is refused
// at once.
func TestLeaseThatRunsOutInTheQueue(t *testing.T) {
	t.Parallel()
	k := keep(t, 1, 1)
	ctx, a := within(t, 20*time.Second), k.key(0, 0)
	first, begun, let := blocking()
	done := make(chan error, 2) // two: what is sent never waits
	go func() { done <- k.call(ctx, k.silos[0], a, first) }()
	<-begun
	go func() { done <- k.call(ctx, k.silos[0], a, nothing) }()
	soon(t, "the second call waits", func() bool { return k.silos[0].host.Waiting() == 1 })
	k.lapse()
	require.ErrorIs(t, k.call(ctx, k.silos[0], a, nothing), grains.ErrNoLease)
	close(let)
	errs := []error{<-done, <-done}
	slices.SortFunc(errs, func(a, b error) int {
		if assert.ObjectsAreEqual(a, b) {
			return 0
		}
		return len(a.Error()) - len(b.Error())
	})
	for _, err := range errs {
		require.Error(t, err)
	}
	require.Equal(t, 1, k.ran(k.silos[0]))
}

// A silo that is without a lease for a moment refuses no call of its own for that: it waits for as long as calls
// from elsewhere do.
func TestCallsOfTheSiloWaitForItsLease(t *testing.T) {
	t.Parallel()
	k := keep(t, 1, 1)
	ctx, a := within(t, 20*time.Second), k.key(0, 0)
	require.NoError(t, k.call(ctx, k.silos[0], a, nothing))
	k.lapse()
	require.ErrorIs(t, k.call(ctx, k.silos[0], a, nothing), grains.ErrNoLease, "in the end")
	k.silos[0].host.Router.Patience = time.Minute
	called, looks := make(chan error, 1), k.looks.Load()
	go func() { called <- k.call(ctx, k.silos[0], a, nothing) }()
	soon(t, "it is looked whether there is a lease", func() bool { return k.looks.Load() > looks })
	k.renew()
	require.NoError(t, <-called)
}
