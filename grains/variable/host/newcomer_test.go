package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// silent loses all that replicas tell each other by themselves.
func (w *world) silent(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop = 0
	if on {
		w.drop = 1
	}
}

// die makes a view in which nodes are dead and not expected back.
func (w *world) die(nodes ...int) {
	v := w.views.Current()
	silos := slices.Clone(v.Members)
	for _, i := range nodes {
		silos[i].Voter, silos[i].State = false, view.Dead
	}
	w.views.Set(view.Frozen(v.Number+1, nil, silos...))
}

// at asks a host for what it serves itself.
func at(t testing.TB, h *Host, op uint64, id wire.ID, body []byte) (string, error) {
	t.Helper()
	b, err := h.ServeRequest(t.Context(), "", request{op: op, kind: id.Kind(), key: id.Key(), body: body}.append(nil))
	require.NoError(t, err)
	r, err := decodeReply(b)
	if err != nil || len(r.body) == 0 || op != opRead {
		return "", err
	}
	s, err := crdt.DecodeSet(r.body, text)
	require.NoError(t, err)
	return strings.Join(slices.Sorted(s.All()), " "), nil
}

func refused(t testing.TB, h *Host, id wire.ID) {
	t.Helper()
	for op, body := range map[uint64][]byte{opRead: nil, opMutate: add("x"), opPrepare: remove("a")} {
		_, err := at(t, h, op, id, body)
		var why *NotCounted
		require.ErrorAs(t, err, &why, "request %d", op)
		require.Equal(t, NotCounted{id, h.cfg.Self}, *why)
		require.ErrorIs(t, err, wire.ErrNotExecuted)
	}
}

// serves waits until a host serves, and requires that it serves this.
func (w *world) serves(h *Host, id wire.ID, want string) {
	w.t.Helper()
	var got string
	w.eventually("the new replica serves", func() (ok bool) {
		var err error
		if got, err = at(w.t, h, opRead, id, nil); err != nil {
			require.ErrorIs(w.t, err, wire.ErrNotExecuted)
		}
		return err == nil
	})
	require.Equal(w.t, want, got)
}

// A silo that becomes a replica serves nothing, and takes nothing, before it has heard from those that were
// replicas; it is served by them meanwhile. Without that it knows of no element, and removes none.
func TestANewReplicaDoesNotCountAtOnce(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, h hooks) (*world, []*Host, wire.ID, int) {
		w := newWorld(t, 5, 1)
		w.hooks = h
		hosts := w.startAll()
		id, old, stays := w.displaced()
		w.synced()
		require.NoError(t, hosts[stays].Mutate(t.Context(), id, add("a")))
		require.NoError(t, hosts[stays].Mutate(t.Context(), theBag, add("a")))
		w.synced()
		w.silent(true)
		w.partition(4)
		w.keep(0, 1, 2, 3, 4)
		return w, hosts, id, old
	}
	t.Run("with", func(t *testing.T) {
		t.Parallel()
		w, hosts, id, old := run(t, hooks{})
		refused(t, hosts[4], id)
		refused(t, hosts[4], theBag)
		c := NewClient(w.views, kinds(), wires{w, -1, 0}, 0)
		require.Equal(t, "a", of(t, c, id), "another replica serves")
		_, err := at(t, hosts[old], opRead, id, nil)
		require.ErrorIs(t, err, wire.ErrNotExecuted, "it is none any more")

		w.partition()
		require.NoError(t, hosts[4].Mutate(t.Context(), id, remove("a")), "it is taken by another, or once it counts")
		w.serves(hosts[4], theBag, "a")
		require.NoError(t, hosts[4].Mutate(t.Context(), theBag, remove("a")))
		w.silent(false)
		w.synced()
		for _, h := range hosts {
			require.Equal(t, "", of(t, h, id))
			require.Equal(t, "", of(t, h, theBag))
		}
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		w, hosts, id, _ := run(t, hooks{countAtOnce: true})
		require.Equal(t, "", of(t, hosts[4], id))
		require.NoError(t, hosts[4].Mutate(t.Context(), theBag, remove("a")))
		w.partition()
		w.silent(false)
		w.synced()
		require.Equal(t, "a", of(t, hosts[0], theBag), "without the check the removal must be lost")
	})
}

// Where a variable has one replica, which changes, an operation waits for the new one to count.
func TestAnOperationWaitsForTheOnlyReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 1)
	hosts := w.startAll()
	w.keep(0)
	w.silent(true)
	var moved []wire.ID
	for i := range 40 {
		id := wire.NewID("test.Lone", fmt.Sprint(i))
		require.NoError(t, hosts[0].Mutate(t.Context(), id, add("a")))
		moved = append(moved, id)
	}
	w.partition(1)
	w.keep(0, 1)
	moved = slices.DeleteFunc(moved, func(id wire.ID) bool { return w.views.Current().Replicas(id, 1)[0].ID != w.nodes[1].id })
	require.NotEmpty(t, moved)
	refused(t, hosts[1], moved[0])
	again := time.AfterFunc(50*time.Millisecond, func() { w.partition() })
	defer again.Stop()
	for _, h := range slices.Backward(hosts) {
		for _, id := range moved {
			require.Equal(t, "a", of(t, h, id))
		}
	}
	require.Empty(t, hosts[1].placing.Load().arrivals)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	w.partition(0)
	require.Error(t, hosts[0].Mutate(ctx, moved[0], add("b")))
}

// On either side of a cut those that were replicas go on; the new one counts with a quorum of them, or when
// those that it has not heard are gone.
func TestANewReplicaWaitsForAQuorumOfThoseThatAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	hosts := w.startAll()
	w.keep(0, 1, 2)
	w.synced()
	require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("a")))
	w.synced()
	w.silent(true)
	w.partition(3, 0)
	w.keep(0, 1, 2, 3)
	for i, h := range hosts[:3] {
		require.NoError(t, h.Mutate(t.Context(), theBag, add(fmt.Sprint(i))))
	}
	w.eventually("one of three is heard", func() bool { a := hosts[3].placing.Load().arrivals; return len(a) == 1 && len(a[0].heard) == 1 })
	refused(t, hosts[3], theBag)
	require.Equal(t, "0 a", of(t, hosts[3], theBag), "it is served by the one that it reaches")

	w.die(1)
	refused(t, hosts[3], theBag)
	w.die(1, 2)
	w.serves(hosts[3], theBag, "0 a")
}

// A silo that is new itself is not heard by one that came after it, but for what it was no part of before.
func TestOneThatIsNewItselfIsNotHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	w.keep(0)
	require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("a")))
	w.silent(true)
	w.partition(0)
	w.keep(0, 1)
	w.keep(0, 1, 2)
	first, second := hosts[1].placing.Load().arrivals, hosts[2].placing.Load().arrivals
	require.Len(t, first, 1)
	require.Len(t, second, 1)
	ask := func(a *arrival) error {
		_, err := hosts[1].all(t.Context(), request{kind: "test.Bag", before: a.from.Number, after: a.to.Number})
		return err
	}
	require.ErrorIs(t, ask(second[0]), wire.ErrNotExecuted)
	require.NoError(t, ask(first[0]))
	require.ErrorIs(t, ask(&arrival{from: first[0].from, to: view.Frozen(w.views.Current().Number+1, nil)}), wire.ErrNotExecuted, "a view that it has not seen")
	refused(t, hosts[1], theBag)
	refused(t, hosts[2], theBag)
	w.partition()
	w.serves(hosts[2], theBag, "a")
	w.serves(hosts[1], theBag, "a")
}

// Who was started again is new where it was, and nowhere else.
func TestNewnessOutlivesARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	w.keep(0, 1)
	require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("a")))
	w.synced()
	w.eventually("it is known who kept variables", func() bool { k, err := hosts[2].store.keepers(); return err == nil && len(k.Keepers()) == 2 })
	w.silent(true)
	w.partition(2)
	w.keep(0, 1, 2)
	refused(t, hosts[2], theBag)
	w.crash(2, 0)
	again := w.start(2)
	refused(t, again, theBag)
	w.partition()
	w.serves(again, theBag, "a")
	w.eventually("all is heard", func() bool { k, err := again.store.keepers(); return err == nil && len(k.Keepers()) == 3 })

	for i := range hosts {
		w.crash(i, 0)
	}
	w.partition(2)
	for i := range hosts {
		h := w.start(i)
		require.Empty(t, h.placing.Load().arrivals)
		got, err := at(t, h, opRead, theBag, nil)
		require.NoError(t, err, "it is not new")
		require.Equal(t, "a", got)
	}
}

// What is larger than a message of operations is fetched by a new replica, and handed over by a former one that
// nobody could ask, like all else.
func TestLargeVariablesMove(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} { // the former one, when the other became one
		t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5, 1)
			w.limit = 4 * slack
			hosts := w.startAll()
			id, old, stays := w.displaced()
			w.synced()
			w.silent(true)
			var all []string
			for i := range 8 {
				e := strings.Repeat(fmt.Sprint(i), slack)
				require.NoError(t, hosts[old].Mutate(t.Context(), id, add(e)))
				all = append(all, e)
			}
			want := strings.Join(all, " ")
			require.Greater(t, len(want), w.limit)
			if cut {
				w.partition(old)
				w.keep(0, 1, 2, 3, 4)
				w.die(old)
				w.eventually("it counts without", func() bool { return len(hosts[4].placing.Load().arrivals) == 0 })
				w.partition()
			}
			w.keep(0, 1, 2, 3, 4)
			w.eventually("a replica has it", func() bool {
				return slices.ContainsFunc([]*Host{hosts[4], hosts[stays]}, func(h *Host) (has bool) {
					h.table.make(id, h.cfg.Kinds[id.Kind()].Variable().Lattice).use(func(o wire.Object) {
						set, err := crdt.DecodeSet(o.State(), text)
						require.NoError(t, err)
						has = strings.Join(slices.Sorted(set.All()), " ") == want
					})
					return has
				})
			})
		})
	}
}

// While silos come and go, an element that was acknowledged is not read as absent by one that has just come, and
// what is removed where it was seen is gone.
func TestSilosComeAndGo(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("VARIABLE_HOST_SEED=%d repeats this", seed)
			w := newWorld(t, 6, seed)
			hosts := w.startAll()
			rng := rand.New(rand.NewPCG(seed, 1))
			w.keep(0, 1, 2)
			var ids []wire.ID
			for i := range 10 {
				ids = append(ids, wire.NewID("test.Bags", fmt.Sprint(i)), wire.NewID("test.Lone", fmt.Sprint(i)))
			}
			ids = append(ids, theBag)
			for _, id := range ids {
				require.NoError(t, hosts[0].Mutate(t.Context(), id, add("always", "until")))
			}
			w.synced()
			for range 15 {
				w.silent(rng.IntN(2) == 0)
				w.keep(rng.Perm(6)[:1+rng.IntN(6)]...)
				for range 20 {
					id, h := ids[rng.IntN(len(ids))], hosts[rng.IntN(6)]
					require.Contains(t, of(t, h, id), "always", "seed %d: %v at %s", seed, id, h.cfg.Self)
				}
			}
			for _, id := range ids {
				require.NoError(t, hosts[rng.IntN(6)].Mutate(t.Context(), id, remove("until")))
			}
			w.silent(false)
			w.synced()
			w.eventually("all removals are everywhere", func() bool {
				return !slices.ContainsFunc(ids, func(id wire.ID) bool { return of(t, hosts[rng.IntN(6)], id) != "always" })
			})
		})
	}
}

func TestNotCountedTravels(t *testing.T) {
	t.Parallel()
	e := &NotCounted{wire.NewID("k", "v"), "store"}
	_, err := decodeReply(Refused(fmt.Errorf("wrapped: %w", e)))
	var got *NotCounted
	require.ErrorAs(t, err, &got)
	require.Equal(t, e, got)
	require.True(t, errors.Is(err, wire.ErrNotExecuted) && notExecuted(err))
}
