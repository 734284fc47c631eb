package consensus

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gated is a journal whose Apply waits for its gate.
type gated struct {
	journal
	once sync.Once
	gate chan struct{}
}

func (g *gated) open() { g.once.Do(func() { close(g.gate) }) }

func (g *gated) Apply(position uint64, entry []byte) []byte {
	<-g.gate
	return g.journal.Apply(position, entry)
}

// Entries are applied after Open has returned: until they are, a replica must
// neither say that it leads nor answer a question, however long it has won.
func TestNobodyServesBeforeTheLogIsApplied(t *testing.T) {
	t.Parallel()
	fsm := &gated{gate: make(chan struct{})}
	fsm.open()
	c := newTrio(t, 1, func(cfg *Config) { cfg.FSM = fsm })
	c.leader()
	for range 3 {
		c.propose(0, "x")
	}
	c.kill(0)

	fsm = &gated{gate: make(chan struct{})}
	t.Cleanup(fsm.open)
	c.start(0)
	g := c.groups[0]
	eventually(t, func() bool { s, ok := g.Leader(); return ok && s == c.founders[0] })
	require.False(t, g.IsLeader())
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := g.ReadIndex(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = g.Propose(short, []byte("y"))
	require.ErrorIs(t, err, ErrNotSubmitted, "an entry must wait outside the log")
	select {
	case <-g.Ready():
		require.Fail(t, "ready with nothing applied")
	default:
	}

	fsm.open()
	c.leader()
	waitClosed(t, g.Ready())
	at, err := g.ReadIndex(within(t, patienceOfTests))
	require.NoError(t, err)
	require.EqualValues(t, 3, at)
	require.Len(t, fsm.all(), 3)
}

// Raft's own pause between attempts would leave a replica that comes back
// behind for seconds.
func TestReplicaThatWasAwayCatchesUpAtOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	c := newTrio(t, 3, nil)
	l := c.leader()
	f := (l + 1) % 3
	c.kill(f)
	c.propose(l, "while it was away")
	eventually(t, func() bool {
		since, ok := c.groups[l].Silent()[c.founders[f]]
		return ok && time.Since(since) > 4*time.Second
	})
	c.start(f)
	began := time.Now()
	require.NoError(t, c.groups[f].WaitApplied(within(t, patienceOfTests), 1))
	require.Less(t, time.Since(began), time.Second+raceSlack)
}

// A snapshot is written while entries are applied, and holds the state of the
// moment at which it was captured.
func TestSnapshotIsWrittenBesideApplies(t *testing.T) {
	t.Parallel()
	m := newMachine(&journal{})
	m.fsm.Apply(1, []byte("a"))
	m.advance(mark{position: 1, index: 7, term: 2})
	snapshot, err := m.Snapshot()
	require.NoError(t, err)
	m.fsm.Apply(2, []byte("b"))
	sink := &memorySink{store: &memorySnapshots{}}
	require.NoError(t, snapshot.Persist(sink))

	j := &journal{}
	j.Apply(1, []byte("to be replaced"))
	again := newMachine(j)
	_, data, err := sink.store.Open("")
	require.NoError(t, err)
	require.NoError(t, again.Restore(data))
	require.Equal(t, []string{"a"}, j.all())
	require.Equal(t, mark{position: 1, index: 7, term: 2}, again.at)

	for _, junk := range []string{"", "mraft", "mraft\x01", "mraft\x01\xff", "something else"} {
		require.Error(t, again.Restore(io.NopCloser(&shortReader{junk})), "%q", junk)
	}
}

// shortReader gives one byte at a time.
type shortReader struct{ s string }

func (r *shortReader) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	p[0], r.s = r.s[0], r.s[1:]
	return 1, nil
}
