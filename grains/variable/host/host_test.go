package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

var theBag = wire.NewID("test.Bag", "")

func str(t testing.TB, o interface {
	Read(context.Context, wire.ID, func(wire.Object)) error
}, id wire.ID) (s string) {
	t.Helper()
	require.NoError(t, o.Read(t.Context(), id, func(o wire.Object) { s = o.String() }))
	return s
}

// of returns the elements of a set, sorted, in one string.
func of(t testing.TB, o interface {
	Read(context.Context, wire.ID, func(wire.Object)) error
}, id wire.ID) string {
	t.Helper()
	var all []string
	require.NoError(t, o.Read(t.Context(), id, func(o wire.Object) {
		s, err := crdt.DecodeSet(o.State(), text)
		require.NoError(t, err)
		all = slices.Sorted(s.All())
	}))
	return strings.Join(all, " ")
}

func value(t testing.TB, h *Host, id wire.ID) (n int64) {
	t.Helper()
	require.NoError(t, h.Read(t.Context(), id, func(o wire.Object) {
		c, err := crdt.DecodeCounter(o.State())
		require.NoError(t, err)
		n = c.Value()
	}))
	return n
}

func TestWritesSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("a")))
	require.NoError(t, hosts[1].Mutate(t.Context(), theBag, add("b")))
	w.synced()
	for i, h := range hosts {
		require.Equal(t, "a b", of(t, h, theBag), "host %d", i)
	}
	require.NoError(t, hosts[2].Mutate(t.Context(), theBag, remove("a")))
	w.synced()
	for i, h := range hosts {
		require.Equal(t, "b", of(t, h, theBag), "host %d", i)
	}
	w.equal("test.Bag")
}

// A host that was down finds what it missed by comparing, what was removed included.
func TestRestartCatchesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	for i := range 20 {
		require.NoError(t, hosts[i%3].Mutate(t.Context(), theBag, add(fmt.Sprintf("e%02d", i))))
	}
	w.synced()
	w.crash(2, 0)
	w.tell(2, false)
	require.NoError(t, hosts[0].Mutate(t.Context(), theBag, remove("e02", "e05", "e19")))
	require.NoError(t, hosts[1].Mutate(t.Context(), theBag, add("new")))
	require.NoError(t, hosts[1].Mutate(t.Context(), wire.NewID("test.Count", "x"), plus(7)))
	w.synced()
	again := w.start(2)
	w.synced()
	require.Equal(t, of(t, hosts[0], theBag), of(t, again, theBag))
	require.NotContains(t, of(t, again, theBag), "e05")
	require.Contains(t, of(t, again, theBag), "new")
	require.EqualValues(t, 7, value(t, again, wire.NewID("test.Count", "x")))
	w.equal("test.Bag", "test.Count")
}

// What a store keeps for itself survives with the writes that used it: without it a dot is minted twice,
// and the second element that has it is lost.
func TestDotsAreNotReused(t *testing.T) {
	t.Parallel()
	run := func(h hooks) (elements string, counted int64) {
		w := newWorld(t, 1, 1)
		w.hooks = h
		first := w.start(0)
		n := wire.NewID("test.Count", "n")
		require.NoError(t, first.Mutate(t.Context(), theBag, add("a")))
		require.NoError(t, first.Mutate(t.Context(), theBag, remove("a")))
		require.NoError(t, first.Mutate(t.Context(), n, plus(2)))
		w.crash(0, 0)
		second := w.start(0)
		require.NoError(t, second.Mutate(t.Context(), theBag, add("b")))
		require.NoError(t, second.Mutate(t.Context(), n, plus(1)))
		return of(t, second, theBag), value(t, second, n)
	}
	elements, counted := run(hooks{})
	require.Equal(t, "b", elements)
	require.EqualValues(t, 3, counted)

	elements, counted = run(hooks{skipOwn: true})
	require.Equal(t, "", elements, "without the check the element must be lost")
	require.EqualValues(t, 2, counted)
}

func TestNextReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	hosts := w.startAll()
	// A variable of two replicas, and a host that is neither.
	id := wire.NewID("test.Bags", "k")
	replicas := w.views.Current().Replicas(id, 2)
	first, second := slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == replicas[0].ID }), slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == replicas[1].ID })
	other := 0
	for other == first || other == second {
		other++
	}
	served := func(i int) int { w.mu.Lock(); defer w.mu.Unlock(); return w.requests[i] }
	h := hosts[other]
	require.NoError(t, h.Mutate(t.Context(), id, add("a")))
	require.Equal(t, 1, served(first))
	require.Zero(t, served(second), "the nearest serves")
	require.Equal(t, "nothing", contents(h, id), "no copy on what is no replica")

	w.partition(other, second)
	require.NoError(t, h.Mutate(t.Context(), id, add("b")), "one that cannot be reached is passed over")
	require.Equal(t, 1, served(second))
	w.partition()
	w.synced()
	require.Equal(t, "a b", of(t, h, id))

	w.close(first)
	w.tell(first, false)
	require.NoError(t, h.Mutate(t.Context(), id, add("c")), "one that is down is passed over")
	require.Equal(t, "a b c", of(t, h, id))
	w.tell(second, false)
	err := h.Mutate(t.Context(), id, add("d"))
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.NotErrorIs(t, err, wire.ErrUnknown)
}

// A write that may have been made is not made again elsewhere.
func TestUnknownIsNotRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	c := NewClient(w.views, kinds(), wires{w, -1, 0}, 0)
	n := wire.NewID("test.Count", "n")
	w.mu.Lock()
	w.lose = true
	w.mu.Unlock()
	require.ErrorIs(t, c.Mutate(t.Context(), n, plus(5)), wire.ErrUnknown)
	w.mu.Lock()
	w.lose = false
	w.mu.Unlock()
	w.synced()
	for _, h := range hosts {
		require.EqualValues(t, 5, value(t, h, n))
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	w.limit = 4 * slack // a page takes little
	hosts := w.startAll()
	c := NewClient(w.views, kinds(), wires{w, -1, 0}, w.limit)
	var keys []string
	for i := range 700 {
		key := fmt.Sprintf("%05d-%s", i, strings.Repeat("k", 60))
		id := wire.NewID("test.Reg", key)
		op := crdt.AppendRegisterOp(nil, crdt.RegisterOp[string]{Value: key}, text)
		prepared, err := c.Prepare(t.Context(), id, op)
		require.NoError(t, err)
		require.NoError(t, c.Mutate(t.Context(), id, prepared))
		keys = append(keys, key)
	}
	emptied := wire.NewID("test.Bags", "emptied")
	require.NoError(t, c.Mutate(t.Context(), emptied, add("x")))
	require.NoError(t, c.Mutate(t.Context(), wire.NewID("test.Bags", "full"), add("x")))
	w.synced()
	require.NoError(t, c.Mutate(t.Context(), emptied, remove("x")))
	w.synced()

	for _, of := range []interface {
		Keys(context.Context, string) ([]string, error)
	}{c, hosts[0]} {
		got, err := of.Keys(t.Context(), "test.Reg")
		require.NoError(t, err)
		require.Equal(t, keys, got)
		got, err = of.Keys(t.Context(), "test.Bags")
		require.NoError(t, err)
		require.Equal(t, []string{"full"}, got)
		_, err = of.Keys(t.Context(), "test.None")
		require.ErrorIs(t, err, wire.ErrNoSuchKind)
	}
	want := hosts[1].Hashes("test.Reg")
	require.Len(t, want, len(keys))
	for _, s := range w.views.Current().Members {
		got, err := c.RemoteHashes(t.Context(), s.ID, "test.Reg")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Contains(t, str(t, c, wire.NewID("test.Reg", keys[3])), keys[3])
	require.Equal(t, "", of(t, c, wire.NewID("test.Bags", "never")))

	require.ErrorIs(t, c.Mutate(t.Context(), wire.NewID("test.None", ""), nil), wire.ErrNoSuchKind)
	require.ErrorContains(t, c.Mutate(t.Context(), theBag, []byte("no operation")), "silo-")
	require.ErrorIs(t, c.Mutate(t.Context(), theBag, add(strings.Repeat("x", w.limit))), wire.ErrTooLarge)
	require.ErrorIs(t, c.Mutate(t.Context(), wire.NewID("test.Bags", strings.Repeat("x", keyLimit)), add("x")), wire.ErrTooLarge)
	require.ErrorIs(t, hosts[0].Mutate(t.Context(), theBag, add(strings.Repeat("x", w.limit))), wire.ErrTooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, hosts[0].Mutate(ctx, theBag, add("x")), context.Canceled)
}

// With one replica of each variable, a silo that is up and silent may hide keys.
func TestKeysOfSilentSilos(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	for i := range 30 {
		require.NoError(t, hosts[0].Mutate(t.Context(), wire.NewID("test.Lone", fmt.Sprint(i)), add("x")))
		require.NoError(t, hosts[0].Mutate(t.Context(), wire.NewID("test.Bags", fmt.Sprint(i)), add("x")))
	}
	w.synced()
	keys, err := hosts[0].Keys(t.Context(), "test.Lone")
	require.NoError(t, err)
	require.Len(t, keys, 30)
	w.partition(2)
	_, err = hosts[0].Keys(t.Context(), "test.Lone")
	require.ErrorIs(t, err, wire.ErrNotExecuted)
	require.ErrorContains(t, err, "store-2")
	keys, err = hosts[0].Keys(t.Context(), "test.Bags")
	require.NoError(t, err, "the others have all")
	require.Len(t, keys, 30)
}

func TestApplyIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	hosts := w.startAll()
	n := wire.NewID("test.Count", "n")
	var row crdt.CounterRow
	one := crdt.CounterOp{N: 1}.Effect(900, &row).Append(nil)
	two := crdt.CounterOp{N: 1}.Effect(900, &row).Append(nil)
	for _, h := range hosts {
		for range 3 {
			require.NoError(t, h.Apply([]Delta{{n, one}, {n, two}, {n, one}, {wire.NewID("test.None", ""), one}}))
		}
		require.NoError(t, h.Durable(t.Context()))
		require.EqualValues(t, 2, value(t, h, n), "joined when it is durable")
	}
	err := hosts[0].Apply([]Delta{{n, []byte("garbage")}, {wire.NewID("test.Count", "m"), one}})
	require.ErrorContains(t, err, "test.Count/n")
	require.NoError(t, hosts[0].Durable(t.Context()))
	require.EqualValues(t, 1, value(t, hosts[0], wire.NewID("test.Count", "m")), "the rest is taken")
	w.crash(0, 0)
	require.EqualValues(t, 2, value(t, w.start(0), n))
	w.synced()
	w.equal("test.Count")
}

// What a block has committed is taken whatever its size.
func TestApplyLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.start(0)
	op := crdt.SetOp[string]{Add: []string{strings.Repeat("x", 5<<20)}}
	require.ErrorIs(t, h.Mutate(t.Context(), theBag, crdt.AppendSetOp(nil, op, text)), wire.ErrTooLarge)
	require.NoError(t, h.Apply([]Delta{{theBag, op.Effect(&crdt.Minter{Actor: 900}).Append(nil, text)}}))
	require.NoError(t, h.Durable(t.Context()))
	w.crash(0, 0)
	require.Len(t, of(t, w.start(0), theBag), 5<<20)
}

// A silo that follows a kind gets all of it, although it is no replica, and again after a restart of
// either side.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	hosts := w.startAll()
	const n = 40
	for i := range n {
		require.NoError(t, hosts[i%4].Mutate(t.Context(), wire.NewID("test.Lone", fmt.Sprint(i)), add("x")))
	}
	w.synced()
	require.Less(t, len(hosts[3].Hashes("test.Lone")), n)
	require.ErrorIs(t, hosts[3].Follow("test.None"), wire.ErrNoSuchKind)
	require.NoError(t, hosts[3].Follow("test.Lone"))
	all := func(h *Host) func() bool { return func() bool { return len(h.Hashes("test.Lone")) == n } }
	w.eventually("the follower has all", all(hosts[3]))
	var later wire.ID // one that is not at 3
	for i := range 100 {
		later = wire.NewID("test.Lone", fmt.Sprint(i))
		if w.views.Current().Replicas(later, 1)[0].ID != w.nodes[3].id {
			break
		}
	}
	require.NoError(t, hosts[0].Mutate(t.Context(), later, add("y")))
	w.eventually("later writes come, too", func() bool { return strings.Contains(contents(hosts[3], later), "79") })
	require.NoError(t, hosts[3].Mutate(t.Context(), later, add("z")))
	require.Contains(t, of(t, hosts[3], later), "z", "a follower reads its own writes")
	w.synced()
	w.equal("test.Lone")

	for i := range 3 {
		w.crash(i, 0)
		w.tell(i, false)
		hosts[i] = w.start(i)
	}
	require.NoError(t, hosts[1].Mutate(t.Context(), later, add("afterwards")))
	w.eventually("the others are told again", func() bool {
		return strings.Contains(contents(hosts[3], later), fmt.Sprintf("%x", "afterwards"))
	})
	w.crash(3, 0)
	w.tell(3, false)
	again := w.start(3)
	require.Less(t, len(again.Hashes("test.Lone")), n, "what is kept up to date by nobody does not count")
	require.NoError(t, again.Follow("test.Lone"))
	w.eventually("followed again", all(again))
}

// Whatever becomes visible is in a snapshot or told to a watcher that was there before it.
func TestWatchAndSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 1)
	hosts := w.startAll()
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := range 50 {
				id := wire.NewID("test.Bags", fmt.Sprint(j%5))
				if err := hosts[i%2].Mutate(context.Background(), id, add(fmt.Sprintf("%d-%d", i, j))); err != nil {
					t.Error(err)
				}
				if j%7 == 0 {
					if err := hosts[i%2].Mutate(context.Background(), id, remove(fmt.Sprintf("%d-%d", i, j))); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	type copied struct {
		mu  sync.Mutex
		all map[wire.ID]wire.Object
	}
	var copies []*copied
	lattice := kinds()["test.Bags"].Variable().Lattice
	for range 20 {
		c := &copied{all: map[wire.ID]wire.Object{}}
		join := func(id wire.ID, delta []byte) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.all[id] == nil {
				c.all[id] = lattice.New()
			}
			_, err := c.all[id].Join(delta)
			require.NoError(t, err)
		}
		cancel := hosts[0].Watch(func(id wire.ID) bool { return id.Kind() == "test.Bags" }, join)
		defer cancel()
		hosts[0].Snapshot("test.Bags", join)
		copies = append(copies, c)
		require.NoError(t, hosts[0].Durable(t.Context()))
	}
	writers.Wait()
	w.synced()
	require.NoError(t, hosts[0].Durable(t.Context()))
	for i, c := range copies {
		c.mu.Lock()
		for id, o := range c.all {
			require.Equal(t, contents(hosts[0], id), fmt.Sprintf("%x", o.State()), "copy %d of %v", i, id)
		}
		require.Len(t, c.all, 5)
		c.mu.Unlock()
	}
}

func TestWatchStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.start(0)
	var heard []wire.ID
	cancel := h.Watch(func(id wire.ID) bool { return id.Key() == "" }, func(id wire.ID, _ []byte) { heard = append(heard, id) })
	require.NoError(t, h.Mutate(t.Context(), theBag, add("a")))
	require.NoError(t, h.Mutate(t.Context(), theBag, remove("none")))
	require.NoError(t, h.Mutate(t.Context(), wire.NewID("test.Bags", "k"), add("a")))
	cancel()
	require.NoError(t, h.Mutate(t.Context(), theBag, add("b")))
	require.Equal(t, []wire.ID{theBag}, heard)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.start(0)
	require.NoError(t, h.Mutate(t.Context(), theBag, add("a")))
	require.NoError(t, h.Close())
	require.NoError(t, h.Close())
	require.ErrorIs(t, h.Mutate(t.Context(), theBag, add("b")), wire.ErrNotExecuted)
	require.ErrorIs(t, h.Durable(t.Context()), wire.ErrNotExecuted)
	require.ErrorIs(t, h.Apply([]Delta{{theBag, []byte{}}, {wire.NewID("test.Count", ""), crdt.CounterOp{N: 1}.Effect(9, &crdt.CounterRow{}).Append(nil)}}), wire.ErrNotExecuted)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{})
	require.ErrorContains(t, err, "Self")
	_, err = Open(t.Context(), Config{Self: "a", Incarnation: 1, Actor: 1})
	require.ErrorContains(t, err, "Views")
}

func FuzzServeRequest(f *testing.F) {
	w := newWorld(f, 1, 1)
	h := w.start(0)
	f.Add(request{op: opMutate, kind: "test.Bag", body: add("a")}.append(nil))
	f.Add(request{op: opKeys, kind: "test.Bags", key: "k", resumed: true}.append(nil))
	f.Add(request{op: opFollowing, kinds: []string{"a"}, incarnation: 3}.append(nil))
	f.Add(reply{items: []item{{"k", 7}}, body: []byte("x"), more: true}.append(nil))
	f.Add(reply{err: errors.New("x")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		answer, err := h.ServeRequest(ctx, "", b)
		require.NoError(t, err)
		_, _ = decodeReply(answer)
		_, _ = decodeReply(b)
		h.ServeNotify("store-9", 1, b)
	})
}
