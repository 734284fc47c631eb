package consensus

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// disks are replicas on real directories and real sockets.
type disks struct {
	t        testing.TB
	dirs     []string
	founders []Server
	cluster  string
	groups   []*Group
	fsms     []*journal
	logs     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newDisks(t testing.TB, n int) *disks {
	d := &disks{t: t, groups: make([]*Group, n), fsms: make([]*journal, n), logs: &lockedBuffer{}}
	var listeners []net.Listener
	for range n {
		dir := t.TempDir()
		store, err := OpenStore(dir)
		require.NoError(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, l)
		d.dirs = append(d.dirs, dir)
		d.founders = append(d.founders, Server{ID: store.ID(), Addr: l.Addr().String()})
		t.Cleanup(func() { _ = store.Close() })
	}
	d.cluster = clusterOf(d.founders)
	for i, l := range listeners {
		st, err := readState(d.dirs[i])
		require.NoError(t, err)
		st.Founding = Founding{ClusterID: d.cluster, Founders: d.founders}
		require.NoError(t, (&Store{dir: d.dirs[i]}).save(st))
		d.open(i, l)
	}
	t.Cleanup(func() {
		for i := range n {
			d.close(i)
		}
	})
	return d
}

func (d *disks) open(i int, l net.Listener) {
	d.t.Helper()
	if l == nil {
		eventually(d.t, func() (ok bool) { // a port may be taken by a connection for a moment
			var err error
			l, err = net.Listen("tcp", d.founders[i].Addr)
			return err == nil
		})
	}
	d.fsms[i] = &journal{}
	g, err := Open(d.t.Context(), Config{
		Self: d.founders[i], Founders: d.founders, ClusterID: d.cluster, Dir: d.dirs[i], Listener: l,
		FSM: d.fsms[i], Logger: slog.New(slog.NewTextHandler(d.logs, nil)),
	})
	require.NoError(d.t, err)
	d.groups[i] = g
}

func (d *disks) close(i int) {
	if d.groups[i] != nil {
		require.NoError(d.t, d.groups[i].Close())
		d.groups[i] = nil
	}
}

func (d *disks) leader() int {
	d.t.Helper()
	found := -1
	eventually(d.t, func() bool {
		for i, g := range d.groups {
			if g != nil && g.IsLeader() {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (d *disks) propose(entry string) {
	d.t.Helper()
	_, err := d.groups[d.leader()].Propose(within(d.t, patienceOfTests), []byte(entry))
	require.NoError(d.t, err)
}

func TestDiskKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	d := newDisks(t, 3)
	for k := range 50 {
		d.propose(fmt.Sprint(k))
	}
	require.NoError(t, d.groups[0].WaitApplied(within(t, patienceOfTests), 50))
	require.NoError(t, d.groups[0].Snapshot()) // one starts from a snapshot, two from the log
	for k := range 10 {
		d.propose(fmt.Sprint(50 + k))
	}
	for i := range d.groups {
		d.close(i)
	}
	for i := range d.groups {
		d.open(i, nil)
	}
	l := d.leader()
	require.Len(t, d.fsms[l].all(), 60)
	d.propose("60")
	for i, g := range d.groups {
		require.NoError(t, g.WaitApplied(within(t, patienceOfTests), 61))
		require.Equal(t, d.fsms[l].all(), d.fsms[i].all())
		d.fsms[i].requireDense(t)
		waitClosed(t, g.Ready())
	}
	require.Equal(t, 1, d.fsms[0].restored)
	require.DirExists(t, filepath.Join(d.dirs[0], "raft"))
	require.DirExists(t, filepath.Join(d.dirs[0], "snapshots"))
}

// A write that the machine's death cut short: the bytes after the last whole
// append are rubbish. What was acknowledged before them must be there.
func TestTornTailOfTheLog(t *testing.T) {
	t.Parallel()
	d := newDisks(t, 1)
	for k := range 20 {
		d.propose(fmt.Sprint(k))
	}
	d.close(0)
	segments, err := filepath.Glob(filepath.Join(d.dirs[0], "raft", "*.wal"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	data, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	end := len(data)
	for end > 0 && data[end-1] == 0 {
		end--
	}
	// The last append is a frame with the entry and a commit frame with its
	// checksum; rubbish goes after both, on the next 8 byte boundary.
	end = (end + 7) &^ 7
	require.Less(t, end+64, len(data))
	torn := []byte{1, 0, 0, 0, 40, 0, 0, 0, 'h', 'a', 'l', 'f', ' ', 'a', 'n', ' ', 'e', 'n', 't', 'r', 'y'}
	copy(data[end:], torn)
	require.NoError(t, os.WriteFile(segments[0], data, 0o644))

	d.open(0, nil)
	d.leader()
	require.Len(t, d.fsms[0].all(), 20)
	d.propose("after")
	require.Len(t, d.fsms[0].all(), 21)
}

func TestDirectoryOfAnotherReplicaIsRefused(t *testing.T) {
	t.Parallel()
	d := newDisks(t, 1)
	d.close(0)
	for name, spoil := range map[string]func(*Config){
		"store":   func(c *Config) { c.Self.ID = "other"; c.Founders = []Server{c.Self} },
		"cluster": func(c *Config) { c.ClusterID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{
				Self: d.founders[0], Founders: d.founders, ClusterID: d.cluster, Dir: d.dirs[0], Network: &Network{},
				FSM: &journal{}, Logger: slog.New(slog.DiscardHandler),
			}
			spoil(&cfg)
			_, err := Open(t.Context(), cfg)
			var damaged *Damaged
			require.ErrorAs(t, err, &damaged)
		})
	}
}

// From empty directories to a cluster, and again after all were stopped.
func TestFoundedOnDisk(t *testing.T) {
	t.Parallel()
	var (
		s         silos
		addrs     []string
		dirs      []string
		listeners []net.Listener
	)
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners, addrs, dirs = append(listeners, l), append(addrs, l.Addr().String()), append(dirs, t.TempDir())
	}
	for round := range 2 {
		groups := make([]*Group, 3)
		for i := range 3 {
			s.up(t, addrs[i], dirs[i])
		}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				s.mu.Lock()
				store := s.stores[addrs[i]]
				s.mu.Unlock()
				founders, cluster, err := Found(within(t, patienceOfTests), store, addrs[i], addrs, s.ask)
				if err == nil {
					groups[i], err = Open(t.Context(), Config{
						Self: Server{ID: store.ID(), Addr: addrs[i]}, Founders: founders, ClusterID: cluster, Dir: dirs[i],
						Listener: listeners[i], FSM: &journal{}, Logger: slog.New(slog.DiscardHandler),
					})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		l := 0
		eventually(t, func() bool {
			for i, g := range groups {
				if g.IsLeader() {
					l = i
					return true
				}
			}
			return false
		})
		result, err := groups[l].Propose(within(t, patienceOfTests), []byte("x"))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(round+1), string(result))
		for i, g := range groups {
			require.NoError(t, g.Close())
			s.down(addrs[i])
			eventually(t, func() bool {
				listeners[i], err = net.Listen("tcp", addrs[i])
				return err == nil
			})
		}
	}
	for _, l := range listeners {
		_ = l.Close()
	}
}

// Whoever does not begin with this cluster's greeting never reaches raft.
func TestForeignConnectionsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDisks(t, 1)
	d.leader()
	for name, hello := range map[string]string{
		"other cluster": greeting + "\x05other\x01x12345678",
		"other speech":  "GET / HTTP/1.1\r\nHost: silo\r\n\r\n",
		"nothing":       "",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", d.founders[0].Addr)
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			_, err = c.Write([]byte(hello))
			require.NoError(t, err)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patienceOfTests)))
			answer, err := io.ReadAll(c)
			if err == nil { // a reset is as good
				require.NotContains(t, string(answer), string(welcome))
			}
			eventually(t, func() bool { return strings.Contains(d.logs.String(), "raft connection refused") })
		})
	}
	require.Contains(t, d.logs.String(), "other")
	d.propose("still alive")
}

func TestGroupsOfTwoClustersDoNotMix(t *testing.T) {
	t.Parallel()
	var network Network
	founders := []Server{{ID: "a", Addr: "a"}, {ID: "b", Addr: "b"}}
	var groups []*Group
	for i, cluster := range []string{"one", "two"} {
		g, err := Open(t.Context(), Config{
			Self: founders[i], Founders: founders, ClusterID: cluster, Network: &network,
			FSM: &journal{}, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = g.Close() })
		groups = append(groups, g)
	}
	_, err := groups[0].net.stream.Dial("b", time.Second)
	require.ErrorIs(t, err, errForeign)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	select {
	case <-groups[0].Ready():
		require.Fail(t, "a vote crossed the border")
	case <-ctx.Done():
	}
}

// The figures depend on the disk; they are printed, not judged.
func BenchmarkPropose(b *testing.B) {
	for _, clients := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("fsync/clients=%d", clients), func(b *testing.B) {
			d := newDisks(b, 3)
			g := d.groups[d.leader()]
			entry := make([]byte, 128)
			work := make(chan struct{})
			var wg sync.WaitGroup
			b.ResetTimer()
			for range clients {
				wg.Go(func() {
					for range work {
						if _, err := g.Propose(b.Context(), entry); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			s := g.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(s.Entries)/float64(max(s.Batches, 1)), "entries/batch")
		})
	}
}
