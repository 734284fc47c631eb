package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/grains/wire"
)

func filled(n int) *rig {
	r := newRig(Config{})
	r.do(Register{}, Register{})
	for i := 1; i <= n; i++ {
		d := write(attempt(1, uint64(i), 1), key(string(rune('a'+i%26))), Attempt{}, "v")
		d.Reads[0].Version, _, _ = r.Get(d.Reads[0].Key)
		d.Ops = []Operation{{wire.NewID("test.Var", "v"), []byte("add")}}
		r.do(d)
	}
	r.do(Logged{"a", 2}, Logged{"b", 3})
	return r
}

func TestRestoreReplacesAndDrainsAgain(t *testing.T) {
	t.Parallel()
	from, to := filled(40), filled(3)
	to.do(write(attempt(2, 1, 1), key("gone"), Attempt{}, "1"))
	b := snapshotBytes(t, from.Ledger)
	old := to.Snapshot()
	require.NoError(t, to.Restore(bytes.NewReader(b)))
	old.Release() // of the state before: gives nothing back
	require.Equal(t, b, snapshotBytes(t, to.Ledger))
	require.Equal(t, from.Pos(), to.Pos())
	_, _, ok := to.Get(key("gone"))
	require.False(t, ok)
	require.Equal(t, from.Outbox(0), drain(to))
	from.at, to.at = from.Pos(), from.Pos()
	next := Decision{Attempt: attempt(1, 41, 1), Ops: []Operation{{wire.NewID("test.Var", "v"), []byte("add")}}}
	require.Equal(t, from.one(next), to.one(next))
	require.Equal(t, from.Hash(), to.Hash())
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	t.Parallel()
	b := snapshotBytes(t, filled(5).Ledger)
	r := filled(2)
	before := snapshotBytes(t, r.Ledger)
	for i := range b {
		require.ErrorIs(t, r.Restore(bytes.NewReader(b[:i])), ErrSnapshot, "torn at %d", i)
		bad := bytes.Clone(b)
		bad[i] ^= 0x41
		require.ErrorIs(t, r.Restore(bytes.NewReader(bad)), ErrSnapshot, "damaged at %d", i)
	}
	require.Equal(t, before, snapshotBytes(t, r.Ledger))
}

func TestSnapshotPassesOnTheWritersError(t *testing.T) {
	t.Parallel()
	s := filled(2).Snapshot()
	defer s.Release()
	full := errors.New("disk full")
	require.ErrorIs(t, s.Write(failingWriter{full}), full)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Readers and snapshots run beside the one that applies.
func TestReadersBesideApply(t *testing.T) {
	t.Parallel()
	r := filled(1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				default:
				}
				_, _, _ = r.Get(key("b"))
				_ = r.Validate([]Read{{Key: key("c")}})
				_ = snapshotBytes(t, r.Ledger)
			}
		}()
	}
	for i := uint64(2); i < 300; i++ {
		r.do(Decision{Attempt: attempt(1, i, 1), Ops: []Operation{{wire.NewID("test.Var", "v"), []byte("add")}}})
		drain(r)
		if i%100 == 0 {
			require.NoError(t, r.Restore(bytes.NewReader(snapshotBytes(t, r.Ledger))))
		}
	}
	close(done)
	wg.Wait()
}

// sealed makes a snapshot of records that someone forged: its checksum is right.
func sealed(records []byte) []byte {
	b := append([]byte(snapshotMagic), records...)
	sum := xxh3.Hash(b)
	b = append(b, recEnd, 8)
	return binary.LittleEndian.AppendUint64(b, sum)
}

func FuzzRestore(f *testing.F) {
	b := snapshotBytes(f, filled(3).Ledger)
	f.Add(b[len(snapshotMagic) : len(b)-10])
	f.Add([]byte("\x01\x00"))
	require.NoError(f, newRig(Config{}).Restore(bytes.NewReader(sealed(b[len(snapshotMagic):len(b)-10]))))
	f.Fuzz(func(t *testing.T, records []byte) {
		r := newRig(Config{})
		require.ErrorIs(t, r.Restore(bytes.NewReader(records)), ErrSnapshot)
		if err := r.Restore(bytes.NewReader(sealed(records))); err != nil {
			require.ErrorIs(t, err, ErrSnapshot)
			require.Zero(t, r.Pos())
			return
		}
		for _, d := range r.Outbox(0) {
			require.True(t, slices.ContainsFunc(r.Silos(), func(silo string) bool { return r.LoggedUpTo(silo) < d.Pos }))
		}
		if r.at = r.Pos(); r.at < maxSeq {
			r.do(Register{}, write(attempt(1, 4, 1), key("b"), Attempt{}, "1"), Confirm{1, 9}, End{2}, Logged{"a", 1}, Left{"b"})
		}
	})
}
