package consensus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// FSM is the state machine that a group replicates. Its methods are called
// from one goroutine, except for the function that Snapshot returns.
type FSM interface {
	// Apply applies one committed entry and returns the answer for its
	// proposer. It must be deterministic: no clock, no randomness, nothing from
	// outside. Position counts entries from 1 and is the same on every replica;
	// after a restart entries that were applied before are applied again, from
	// the newest snapshot on. The entry must not be modified; it may be kept.
	Apply(position uint64, entry []byte) (result []byte)

	// Snapshot captures the state as it is now and returns at once, because
	// nothing is applied meanwhile. The function that it returns writes the
	// capture, concurrently with later calls of Apply. It may never be called.
	Snapshot() (write func(io.Writer) error, err error)

	// Restore replaces the whole state by one that Snapshot wrote.
	Restore(r io.Reader) error
}

// outcome is what the state machine said to a batch.
type outcome struct {
	first   uint64 // position of the first entry; that of the last applied for an empty batch
	term    uint64 // raft's term of the batch
	results [][]byte
	err     error // *Corrupt; nothing of the batch was applied
}

// mark says how far a replica has applied, in raft's terms and in ours.
type mark struct {
	position uint64
	index    uint64 // of the last batch or configuration
	term     uint64 // of the last batch
}

// machine puts an FSM under raft: it unpacks batches, counts positions and
// wakes those who wait for one.
type machine struct {
	fsm FSM

	// roster and snapshots are what configurations are told to and read from; nil
	// in tests of this type alone.
	roster    *roster
	snapshots *rosterSnapshots

	mu      sync.Mutex
	at      mark
	failed  error // *Corrupt, once the log could not be read
	waiters map[*waiter]struct{}

	// caughtUp is closed when the state covers what this replica's log held
	// when the group was opened.
	caughtUp chan struct{}
	started  bool
	target   mark // index and term of the log's end at opening
	waiting  bool // for this store to be a member, see Waiting
}

// waiter is somebody who waits for a position. done is closed under machine.mu.
type waiter struct {
	position uint64
	done     chan struct{}
}

func newMachine(fsm FSM) *machine {
	return &machine{fsm: fsm, waiters: map[*waiter]struct{}{}, caughtUp: make(chan struct{})}
}

// follow makes the machine tell roster of configurations. Called before raft runs.
func (m *machine) follow(r *roster, snapshots *rosterSnapshots) {
	m.roster, m.snapshots, m.waiting = r, snapshots, !r.admitted()
}

// Apply implements raft.FSM. Raft sends it commands only, and those are batches.
func (m *machine) Apply(log *raft.Log) any {
	m.mu.Lock()
	at, failed := m.at, m.failed
	m.mu.Unlock()
	if failed != nil {
		return outcome{err: failed}
	}
	entries, err := splitBatch(log.Data)
	if err != nil {
		failed = &Corrupt{Cause: fmt.Errorf("log index %d: %w", log.Index, err)}
		m.fail(failed)
		return outcome{err: failed}
	}
	out := outcome{first: at.position, term: log.Term}
	if len(entries) > 0 {
		out.first++
		out.results = make([][]byte, len(entries))
	}
	for i, entry := range entries {
		out.results[i] = m.fsm.Apply(out.first+uint64(i), entry)
	}
	m.advance(mark{position: at.position + uint64(len(entries)), index: log.Index, term: log.Term})
	return out
}

func (m *machine) advance(to mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = to
	for w := range m.waiters {
		if w.position <= to.position {
			close(w.done)
			delete(m.waiters, w)
		}
	}
	m.checkCaughtUp()
}

// startFrom tells where this replica's log ended when it was opened. Where it
// ended with a snapshot, raft has restored that already.
func (m *machine) startFrom(target mark, restored bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
	if !restored {
		m.target = target
	}
	m.checkCaughtUp()
}

// StoreConfiguration implements raft.ConfigurationStore. Raft calls it for
// configurations that are committed, between the batches, in the log's order.
func (m *machine) StoreConfiguration(index uint64, conf raft.Configuration) {
	m.configured(index, conf)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at.index = index
	m.checkCaughtUp()
}

func (m *machine) configured(index uint64, conf raft.Configuration) {
	if m.roster == nil {
		return
	}
	if err := m.roster.commit(index, conf); err != nil {
		m.fail(fmt.Errorf("remembering the membership of version %d: %w", index, err))
	}
	if m.roster.admitted() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.waiting = false
	}
}

// checkCaughtUp closes caughtUp when the end of the log as it was at opening
// has been applied, or replaced: an entry of a later term was appended by a
// leader that held everything committed before. A store that joins has caught
// up once it has applied its own addition as well. Called under mu.
func (m *machine) checkCaughtUp() {
	if !m.started || m.waiting || m.at.index < m.target.index && m.at.term <= m.target.term {
		return
	}
	select {
	case <-m.caughtUp:
	default:
		close(m.caughtUp)
	}
}

func (m *machine) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
	for w := range m.waiters {
		close(w.done)
		delete(m.waiters, w)
	}
}

func (m *machine) applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at.position
}

func (m *machine) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// wait returns when position has been applied, when the log turned out to be
// unreadable, or when ctx or closed ends.
func (m *machine) wait(ctx context.Context, position uint64, closed <-chan struct{}) error {
	w := &waiter{position: position, done: make(chan struct{})}
	m.mu.Lock()
	switch {
	case m.failed != nil:
		defer m.mu.Unlock()
		return m.failed
	case m.at.position >= position:
		m.mu.Unlock()
		return nil
	}
	m.waiters[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.waiters, w)
		m.mu.Unlock()
	}()
	select {
	case <-w.done:
		return m.failure()
	case <-ctx.Done():
		return fmt.Errorf("waiting for position %d, applied %d: %w", position, m.applied(), ctx.Err())
	case <-closed:
		return ErrClosed
	}
}

// A snapshot begins with snapshotMagic and the mark as three uvarints.
const snapshotMagic = "mraft\x01"

// Snapshot implements raft.FSM.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	at, failed := m.at, m.failed
	m.mu.Unlock()
	if failed != nil {
		return nil, failed // the log must stay for a version that can read it
	}
	write, err := m.fsm.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("capturing state at position %d: %w", at.position, err)
	}
	return &capture{at: at, write: write}, nil
}

// Restore implements raft.FSM.
func (m *machine) Restore(rc io.ReadCloser) error {
	defer func() { _ = rc.Close() }()
	r := bufio.NewReaderSize(rc, 1<<16)
	at, err := readMark(r)
	if err != nil {
		return fmt.Errorf("reading a snapshot's head: %w", err)
	}
	if err := m.fsm.Restore(r); err != nil {
		return fmt.Errorf("restoring the state of position %d: %w", at.position, err)
	}
	if m.snapshots != nil {
		index, conf, err := m.snapshots.newest()
		if err != nil {
			return fmt.Errorf("reading the members of position %d: %w", at.position, err)
		}
		m.configured(index, conf)
	}
	m.advance(at)
	return nil
}

func readMark(r *bufio.Reader) (at mark, err error) {
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return at, err
	}
	if string(magic) != snapshotMagic {
		return at, errors.New("not a snapshot of this package, or one of another version")
	}
	for _, field := range []*uint64{&at.position, &at.index, &at.term} {
		if *field, err = binary.ReadUvarint(r); err != nil {
			return at, err
		}
	}
	return at, nil
}

// capture is a snapshot on its way to storage.
type capture struct {
	at    mark
	write func(io.Writer) error
}

// Persist implements raft.FSMSnapshot.
func (c *capture) Persist(sink raft.SnapshotSink) error {
	head := []byte(snapshotMagic)
	head = binary.AppendUvarint(head, c.at.position)
	head = binary.AppendUvarint(head, c.at.index)
	head = binary.AppendUvarint(head, c.at.term)
	w := bufio.NewWriterSize(sink, 1<<16)
	_, err := w.Write(head)
	if err == nil {
		err = c.write(w)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the snapshot of position %d: %w", c.at.position, err), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (c *capture) Release() {}
