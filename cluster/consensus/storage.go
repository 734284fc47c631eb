package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// snapshotsKept is how many snapshots stay on disk: the newest, and the one
// before it in case the newest cannot be read.
const snapshotsKept = 2

// Damaged says that a data directory cannot be used as it is.
type Damaged struct {
	Dir   string
	Cause error
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("data directory %s is damaged: %v; restore it whole, or move it away and let this silo join as a new store", e.Dir, e.Cause)
}

func (e *Damaged) Unwrap() error { return e.Cause }

// MemoryStore is the storage of a replica in memory. It survives the group that
// uses it, as a disk would; one group at a time may use it.
type MemoryStore struct {
	log       *raft.InmemStore
	snapshots *memorySnapshots
}

// NewMemoryStore returns an empty one.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{log: raft.NewInmemStore(), snapshots: &memorySnapshots{}}
}

// storage is what raft writes to.
type storage struct {
	log       raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	closers   []io.Closer // none in memory
}

func (s *storage) Close() error {
	var err error
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// openStorage opens a replica's storage and, where a founder's is empty, founds it.
func openStorage(cfg Config, logger hclog.Logger) (*storage, error) {
	s := &storage{}
	if cfg.Dir == "" {
		mem := cfg.Store
		if mem == nil {
			mem = NewMemoryStore()
		}
		s.log, s.stable, s.snapshots = mem.log, mem.log, mem.snapshots
	} else {
		if err := checkFounded(cfg); err != nil {
			return nil, err
		}
		dir := filepath.Join(cfg.Dir, "raft")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("consensus: %w", err)
		}
		// The log does not close its metadata, and an open one stays locked: the
		// next opening in this process would wait for ever.
		meta := &metadb.BoltMetaDB{}
		log, err := wal.Open(dir, wal.WithLogger(logger.Named("wal")), wal.WithMetaStore(meta))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("consensus: opening the log: %w", &Damaged{Dir: dir, Cause: err}), meta.Close())
		}
		s.closers = []io.Closer{log, meta}
		snapshots, err := raft.NewFileSnapshotStoreWithLogger(cfg.Dir, snapshotsKept, logger)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("consensus: opening the snapshots in %s: %w", cfg.Dir, err), s.Close())
		}
		s.log, s.stable, s.snapshots = log, log, snapshots
	}
	if cfg.wrapLog != nil {
		s.log = cfg.wrapLog(s.log)
	}
	if err := s.begin(cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin founds an empty log, if this replica is a founder's, unless the log
// should not be empty.
func (s *storage) begin(cfg Config) error {
	end, _, err := s.end()
	if err != nil || end.index > 0 {
		return err
	}
	if cfg.Identity != nil && cfg.Identity.now().Begun && !cfg.off.votes {
		return &Damaged{Dir: cfg.Dir, Cause: errors.New("the log of this store is lost: what it acknowledged and whom it voted for is not known")}
	}
	if len(cfg.Founders) == 0 {
		return nil
	}
	return s.found(cfg.Founders)
}

// watch tells roster of what is there, and of what passes through from now on.
func (s *storage) watch(r *roster) (*rosterSnapshots, error) {
	snapshots := &rosterSnapshots{s.snapshots, r}
	index, conf, named, err := s.configuration(snapshots, r.self)
	if err != nil {
		return nil, err
	}
	s.log, s.snapshots = &rosterLog{s.log, r}, snapshots
	if index == 0 {
		return snapshots, nil
	}
	return snapshots, r.open(index, conf, named)
}

// configuration returns the newest configuration of the log, committed or not,
// and the index of the newest that names a store; of a log in which none does,
// that of the newest.
func (s *storage) configuration(snapshots *rosterSnapshots, id string) (index uint64, conf raft.Configuration, named uint64, err error) {
	base, conf, err := snapshots.newest()
	if err != nil {
		return 0, conf, 0, fmt.Errorf("consensus: listing snapshots: %w", err)
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return 0, conf, 0, fmt.Errorf("consensus: reading the start of the log: %w", err)
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return 0, conf, 0, fmt.Errorf("consensus: reading the end of the log: %w", err)
	}
	index = base
	if names(conf, id) {
		named = base
	}
	for i := last; i >= max(first, base+1); i-- {
		var entry raft.Log
		if err := s.log.GetLog(i, &entry); err != nil {
			return 0, conf, 0, fmt.Errorf("consensus: reading log entry %d: %w", i, err)
		}
		if entry.Type != raft.LogConfiguration {
			continue
		}
		c := raft.DecodeConfiguration(entry.Data)
		if index == base {
			index, conf = i, c
		}
		if names(c, id) {
			named = i
			break
		}
	}
	if named == 0 {
		named = index
	}
	return index, conf, named, nil
}

// found writes the founders as the log's first entry, the same bytes on every
// founder. Raft's own bootstrap refuses a store on which it was interrupted
// between the term and the entry; here the entry alone decides, so a second
// start completes the first.
func (s *storage) found(founders []Server) error {
	// The first entry is of term 1, and no vote may be asked for in a term that
	// has entries already.
	if err := s.stable.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		return fmt.Errorf("consensus: founding the log: %w", err)
	}
	members := raft.Configuration{}
	for _, f := range sorted(founders) {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(f.ID), Address: raft.ServerAddress(f.Addr)})
	}
	first := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)}
	if err := s.log.StoreLog(first); err != nil {
		return fmt.Errorf("consensus: founding the log: %w", err)
	}
	return nil
}

// end says where the log ends, snapshots counted, and whether it ends with a
// snapshot.
func (s *storage) end() (end mark, snapshot bool, err error) {
	last, err := s.log.LastIndex()
	if err != nil {
		return end, false, fmt.Errorf("consensus: reading the end of the log: %w", err)
	}
	snapshots, err := s.snapshots.List()
	if err != nil {
		return end, false, fmt.Errorf("consensus: listing snapshots: %w", err)
	}
	if len(snapshots) > 0 {
		end.index, end.term = snapshots[0].Index, snapshots[0].Term
	}
	if last <= end.index {
		return end, end.index > 0, nil
	}
	var entry raft.Log
	if err := s.log.GetLog(last, &entry); err != nil {
		return end, false, fmt.Errorf("consensus: reading log entry %d: %w", last, err)
	}
	return mark{index: entry.Index, term: entry.Term}, false, nil
}

// memorySnapshots keeps the newest complete snapshot. Raft's own store in
// memory shows a snapshot before it is complete.
type memorySnapshots struct {
	mu     sync.Mutex
	newest *memorySnapshot
}

type memorySnapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

// Create implements raft.SnapshotStore.
func (m *memorySnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	return &memorySink{store: m, snapshot: memorySnapshot{meta: raft.SnapshotMeta{
		Version: version, ID: strconv.FormatUint(term, 10) + "-" + strconv.FormatUint(index, 10), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}}, nil
}

// List implements raft.SnapshotStore.
func (m *memorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest == nil {
		return nil, nil
	}
	meta := m.newest.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

// Open implements raft.SnapshotStore.
func (m *memorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest == nil || m.newest.meta.ID != id {
		return nil, nil, fmt.Errorf("snapshot %s is gone", id)
	}
	meta := m.newest.meta
	return &meta, io.NopCloser(bytes.NewReader(m.newest.data)), nil
}

type memorySink struct {
	store    *memorySnapshots
	snapshot memorySnapshot
	ended    bool
}

func (s *memorySink) ID() string { return s.snapshot.meta.ID }

func (s *memorySink) Write(p []byte) (int, error) {
	s.snapshot.data = append(s.snapshot.data, p...)
	return len(p), nil
}

func (s *memorySink) Close() error {
	if s.ended {
		return nil
	}
	s.ended = true
	s.snapshot.meta.Size = int64(len(s.snapshot.data))
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if n := s.store.newest; n == nil || n.meta.Index <= s.snapshot.meta.Index {
		s.store.newest = &s.snapshot
	}
	return nil
}

func (s *memorySink) Cancel() error {
	s.ended = true
	return nil
}
