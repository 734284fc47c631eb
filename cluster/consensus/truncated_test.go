package consensus

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// A leader that was cut off has entries that nobody else has; they are cut off
// its log when it is back. That log must be readable when it is opened again:
// raft-wal v0.4.0 left it without an index (its issue 31), and raft panics.
func TestTruncatedLogIsOpenedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := OpenStore(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	self := Server{ID: store.ID(), Addr: "127.0.0.1:1"}
	open := func() *storage {
		s, err := openStorage(Config{Self: self, Founders: []Server{self}, Dir: dir}, hclog.NewNullLogger())
		require.NoError(t, err)
		return s
	}
	s := open()
	for i := uint64(2); i <= 10; i++ {
		require.NoError(t, s.log.StoreLog(&raft.Log{Index: i, Term: 1}))
	}
	require.NoError(t, s.log.DeleteRange(8, 10))
	require.NoError(t, s.log.StoreLog(&raft.Log{Index: 8, Term: 2}))
	require.NoError(t, s.Close())

	s = open()
	defer s.Close()
	for i := uint64(1); i <= 8; i++ {
		var entry raft.Log
		require.NoError(t, s.log.GetLog(i, &entry), "entry %d", i)
		require.Equal(t, i == 8, entry.Term == 2)
	}
}
