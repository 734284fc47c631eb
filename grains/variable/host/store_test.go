package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// slowDisk is a file system whose fsync can be held up, and then fails or not.
type slowDisk struct {
	held atomic.Pointer[chan error] // each fsync takes an answer from it
}

func (d *slowDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		if c := d.held.Load(); c != nil && strings.HasSuffix(op.Path, ".log") {
			return <-*c
		}
	}
	return nil
}

func (d *slowDisk) String() string { return "held fsync" }

func (d *slowDisk) hold() chan<- error {
	c := make(chan error)
	d.held.Store(&c)
	return c
}

// Until the disk has a write, nobody sees it; when the disk fails, it is not acknowledged, and the host
// stops.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	run := func(h hooks) error {
		w := newWorld(t, 3, 1)
		w.hooks = h
		d := &slowDisk{}
		w.nodes[0].fs = errorfs.Wrap(w.nodes[0].fs, d)
		hosts := w.startAll()
		require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("a")))
		w.synced()
		answers := d.hold()
		result := make(chan error, 1)
		go func() { result <- hosts[0].Mutate(t.Context(), theBag, add("b")) }()
		w.eventually("the write is with the disk", func() bool { return !hosts[0].queue.idle() })
		require.NoError(t, hosts[1].Mutate(t.Context(), theBag, add("c")))
		for i, h := range hosts {
			require.NotContains(t, of(t, h, theBag), "b", "host %d", i)
		}
		answers <- errors.New("the disk is gone")
		close(answers)
		err := <-result
		if h.ackNow {
			return err
		}
		require.ErrorContains(t, <-w.nodes[0].fatal, "the disk is gone")
		for i, h := range hosts {
			require.NotContains(t, of(t, h, theBag), "b", "host %d", i)
		}
		require.NoError(t, hosts[0].Mutate(t.Context(), theBag, add("d")), "others are asked")
		require.ErrorIs(t, hosts[0].Durable(t.Context()), wire.ErrNotExecuted)
		require.Equal(t, "a c d", of(t, hosts[1], theBag))
		w.tell(1, false)
		w.tell(2, false)
		require.ErrorIs(t, hosts[0].Mutate(t.Context(), theBag, add("e")), wire.ErrNotExecuted)
		return err
	}
	err := run(hooks{})
	require.ErrorIs(t, err, wire.ErrUnknown)
	require.ErrorContains(t, err, "the disk is gone")
	var stored *StoreError
	require.ErrorAs(t, err, &stored)

	require.NoError(t, run(hooks{ackNow: true}), "without the check a lost write is acknowledged")
}

// A log is folded into its base when it is longer, and says the same.
func TestCompaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.start(0)
	count := func() (logs, bases int) {
		require.NoError(t, h.store.each(func(_ wire.ID, what byte, _ uint64, _ []byte) error {
			switch what {
			case partLog:
				logs++
			case partBase:
				bases++
			}
			return nil
		}))
		return logs, bases
	}
	id := wire.NewID("test.Bags", "k")
	for i := range 1000 {
		require.NoError(t, h.Mutate(t.Context(), id, add(fmt.Sprintf("%d-%s", i, strings.Repeat("x", 20)))))
		if i%3 == 0 {
			require.NoError(t, h.Mutate(t.Context(), id, remove(fmt.Sprintf("%d-%s", i, strings.Repeat("x", 20)))))
		}
	}
	logs, bases := count()
	require.Equal(t, 1, bases)
	require.Less(t, logs, 1000)
	want := contents(h, id)
	for _, unsynced := range []int{0, 50, 100} {
		w.crash(0, unsynced)
		h = w.start(0)
		require.Equal(t, want, contents(h, id))
	}
	require.NoError(t, h.Mutate(t.Context(), id, add("after")))
	require.Contains(t, of(t, h, id), "after")
}

// A delta that is stored and does not join is refused by name, and so is another's store.
func TestStoreIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	h := w.start(0)
	require.NoError(t, h.Mutate(t.Context(), theBag, add("a")))
	w.close(0)

	foreign := w.config(0)
	foreign.Actor++
	_, err := Open(t.Context(), foreign)
	var other *ForeignStore
	require.ErrorAs(t, err, &other)
	require.Equal(t, foreign.Actor, other.Want)

	unknown := w.config(0)
	unknown.Kinds = nil
	kept, err := Open(t.Context(), unknown)
	require.NoError(t, err, "kinds that are not served are kept")
	require.NoError(t, kept.Close())
	require.Equal(t, "a", of(t, w.start(0), theBag))
	w.close(0)

	for name, record := range map[string][]byte{
		"log": logKey(prefix(theBag), 77), "base": part(prefix(theBag), partBase), "name": {1, 200},
	} {
		cfg := w.config(0)
		db, err := pebble.Open("variables", &pebble.Options{FS: cfg.FS, Logger: events{&store{logger: cfg.Logger}}})
		require.NoError(t, err)
		require.NoError(t, db.Set(record, []byte("garbage"), pebble.Sync))
		require.NoError(t, db.Close())
		_, err = Open(t.Context(), cfg)
		var stored *StoreError
		require.ErrorAs(t, err, &stored, name)
		if name != "name" {
			require.Equal(t, theBag, stored.Variable)
		}
		db, err = pebble.Open("variables", &pebble.Options{FS: cfg.FS, Logger: events{&store{logger: cfg.Logger}}})
		require.NoError(t, err)
		require.NoError(t, db.Delete(record, pebble.Sync))
		require.NoError(t, db.Close())
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	ids := []wire.ID{wire.NewID("a", ""), wire.NewID("a", "b"), wire.NewID("ab", ""), wire.NewID("", "ab"), wire.NewID("a", "bl"), wire.NewID("a", strings.Repeat("b", 200))}
	for _, a := range ids {
		for _, b := range ids {
			require.Equal(t, a == b, strings.HasPrefix(string(prefix(b)), string(prefix(a))), "%v, %v", a, b)
		}
		got, what, seq, err := parseKey(logKey(prefix(a), 1<<40))
		require.NoError(t, err)
		require.Equal(t, a, got)
		require.EqualValues(t, partLog, what)
		require.EqualValues(t, 1<<40, seq)
	}
	_, _, _, err := parseKey(binary.AppendUvarint([]byte{1}, 1<<60))
	require.Error(t, err)
}
