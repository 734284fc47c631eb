package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// fill is longer than the first log of a store, so that the write of it begins a new one.
var fill = strings.Repeat("x", 300<<10)

// A disk that fails, in whatever it is asked to do, fails the write at hand, or a later one, and the host; the
// process lives, the host can be closed, and a store that is opened on what the disk holds has all
// that was acknowledged.
func TestDiskFailsAnywhere(t *testing.T) {
	t.Parallel()
	log := func(p string) bool { return strings.HasSuffix(p, ".log") }
	table := func(p string) bool { return strings.HasSuffix(p, ".sst") }
	manifest := func(p string) bool { return strings.Contains(p, "MANIFEST") }
	dir := func(p string) bool { return p == "variables" }
	syncs := []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	for _, c := range []struct {
		name  string
		of    func(path string) bool
		kinds []errorfs.OpKind
	}{
		{"the old log cannot be synced", log, syncs},
		{"the old log cannot be written", log, []errorfs.OpKind{errorfs.OpFileWrite}},
		{"no new log", log, []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}},
		{"the directory cannot be synced", dir, syncs},
		{"no new table", table, []errorfs.OpKind{errorfs.OpCreate}},
		{"a table cannot be written", table, []errorfs.OpKind{errorfs.OpFileWrite}},
		{"a table cannot be synced", table, syncs},
		{"the manifest cannot be written", manifest, []errorfs.OpKind{errorfs.OpFileWrite}},
		{"the manifest cannot be synced", manifest, syncs},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 1)
			var armed, hit atomic.Bool
			w.nodes[0].fs = errorfs.Wrap(w.nodes[0].mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if armed.Load() && c.of(op.Path) {
					for _, k := range c.kinds {
						if op.Kind == k {
							hit.Store(true)
							return errors.New("the disk is gone")
						}
					}
				}
				return nil
			}))
			h := w.start(0)
			require.NoError(t, h.Mutate(t.Context(), theBag, add("a")))
			armed.Store(true)
			var err error
			var last int
			for i := 0; err == nil; i++ { // a table is written beside the writes, and tells nobody
				require.Less(t, i, 200, "the disk does not fail")
				last = i
				err = h.Mutate(t.Context(), theBag, add(fmt.Sprintf("%03d%s", i, fill)))
			}
			require.True(t, hit.Load())
			if !errors.Is(err, wire.ErrUnknown) {
				require.ErrorIs(t, err, wire.ErrNotExecuted)
			}
			require.ErrorIs(t, h.Mutate(t.Context(), theBag, add("b")), wire.ErrNotExecuted)
			require.ErrorContains(t, <-w.nodes[0].fatal, "the disk is gone")

			w.crash(0, 0)
			h = w.start(0)
			got := " " + of(t, h, theBag) + " "
			require.Contains(t, got, " a ")
			for i := range last {
				require.Contains(t, got, fmt.Sprintf(" %03d", i), "acknowledged and lost")
			}
		})
	}
}

// A disk that fails at any moment leaves a store that holds a prefix of what was written, and all that was
// acknowledged.
func TestDiskFailsAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(t, 6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			left := &atomic.Int64{} // operations until one fails
			left.Store(int64(50 + rng.IntN(400)))
			forEver, at := rng.IntN(2) == 0, ""
			w := newWorld(t, 1, seed)
			w.nodes[0].fs = errorfs.Wrap(w.nodes[0].mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpFilePreallocate {
					return nil
				}
				n := left.Add(-1)
				if n == 0 {
					at = fmt.Sprintf("operation %d of %s", op.Kind, path.Base(op.Path))
				}
				if n == 0 || n < 0 && forEver {
					return errors.New("the disk is gone")
				}
				return nil
			}))
			h := w.start(0)
			acknowledged := 0
			for i := 0; ; i++ {
				require.Less(t, i, 5000)
				id := wire.NewID("test.Bags", fmt.Sprint(i%3))
				if err := h.Mutate(t.Context(), id, add(fmt.Sprintf("%04d%s", i, fill[:rng.IntN(60<<10)]))); err != nil {
					require.ErrorContains(t, <-w.nodes[0].fatal, "the disk is gone")
					break
				}
				acknowledged = i + 1
			}
			w.crash(0, rng.IntN(3)*50)
			h = w.start(0)
			var found []bool
			for key := range 3 {
				for _, e := range strings.Fields(of(t, h, wire.NewID("test.Bags", fmt.Sprint(key)))) {
					var i int
					_, err := fmt.Sscanf(e[:4], "%d", &i)
					require.NoError(t, err)
					for len(found) <= i {
						found = append(found, false)
					}
					found[i] = true
				}
			}
			t.Logf("seed %d: %s failed after %d writes, %d are there", seed, at, acknowledged, len(found))
			require.GreaterOrEqual(t, len(found), acknowledged, "seed %d: acknowledged and lost", seed)
			require.NotContains(t, found, false, "seed %d: a write is there and an earlier one is not", seed)
		})
	}
}

// A disk that fails while a store is opened or closed is told.
func TestDiskFailsAtTheEnds(t *testing.T) {
	t.Parallel()
	for _, closing := range []bool{false, true} {
		var gone atomic.Bool
		gone.Store(!closing)
		cfg := newWorld(t, 1, 1).config(0)
		cfg.FS = errorfs.Wrap(vfs.NewCrashableMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if gone.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return errors.New("the disk is gone")
			}
			return nil
		}))
		cfg.Dir = "variables"
		s, err := openStore(cfg)
		if closing {
			require.NoError(t, err)
			gone.Store(true)
			err = s.close()
		}
		var stored *StoreError
		require.ErrorAs(t, err, &stored, "closing %v", closing)
		require.True(t, stored.Write)
		require.ErrorContains(t, err, "the disk is gone")
		gone.Store(false)
		s, err = openStore(cfg)
		require.NoError(t, err, "the directory is not locked any more")
		require.NoError(t, s.close())
	}
}
