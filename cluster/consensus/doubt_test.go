package consensus

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// wrappedLog calls after between storing entries and saying so.
type wrappedLog struct {
	raft.LogStore
	after func(logs []*raft.Log) error
}

func (w *wrappedLog) StoreLogs(logs []*raft.Log) error {
	if err := w.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	return w.after(logs)
}

func (w *wrappedLog) StoreLog(log *raft.Log) error { return w.StoreLogs([]*raft.Log{log}) }

func holds(logs []*raft.Log, entry string) bool {
	for _, l := range logs {
		if bytes.Contains(l.Data, []byte(entry)) {
			return true
		}
	}
	return false
}

// The followers have the entry, the leader never hears so: it says that it does
// not know, and the next leader commits the entry.
func TestInDoubtMayBeApplied(t *testing.T) {
	t.Parallel()
	var (
		c      *trio
		leader atomic.Int32
		cut    sync.Once
	)
	leader.Store(-1)
	c = newTrio(t, 3, func(cfg *Config) {
		net, self := cfg.Network, cfg.Self
		founders := cfg.Founders
		cfg.wrapLog = func(log raft.LogStore) raft.LogStore {
			return &wrappedLog{log, func(logs []*raft.Log) error {
				l := leader.Load()
				if l >= 0 && founders[l] != self && holds(logs, "ghost") {
					cut.Do(func() { net.Isolate(founders[l].Addr) })
				}
				return nil
			}}
		}
	})
	old := c.leader()
	c.propose(old, "a")
	leader.Store(int32(old))
	_, err := c.groups[old].Propose(within(t, patienceOfTests), []byte("ghost"))
	require.ErrorIs(t, err, ErrInDoubt)
	require.ErrorIs(t, err, raft.ErrLeadershipLost)

	next := c.leader(old)
	require.Equal(t, []string{"a", "ghost"}, c.fsms[next].all(), "it was committed after all")
	leader.Store(-1)
	c.net.Heal(c.founders[old].Addr)
	require.NoError(t, c.groups[old].WaitApplied(within(t, patienceOfTests), 2))
}

// The storage reports an error after the bytes have reached the disk.
func TestErrorOfTheLogsStorageIsInDoubt(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	c := newTrio(t, 1, func(cfg *Config) {
		cfg.wrapLog = func(log raft.LogStore) raft.LogStore {
			return &wrappedLog{log, func(logs []*raft.Log) error {
				if broken.Load() {
					return errDisk
				}
				return nil
			}}
		}
	})
	l := c.leader()
	c.propose(l, "a")
	broken.Store(true)
	_, err := c.groups[l].Propose(within(t, patienceOfTests), []byte("ghost"))
	require.ErrorIs(t, err, ErrInDoubt)
	require.ErrorIs(t, err, errDisk)

	c.kill(l)
	broken.Store(false)
	c.start(l)
	l = c.leader()
	require.Equal(t, []string{"a", "ghost"}, c.fsms[l].all(), "it was on disk, and counts after the restart")
}
