package consensus

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Founding is what the stores of a cluster agreed on, once.
type Founding struct {
	ClusterID string   `json:"cluster,omitempty"`
	Founders  []Server `json:"founders,omitempty"` // by id
}

// Store is the identity of a data directory: the id that was minted with it,
// and the cluster that it belongs to, by founding it or by joining it; never to
// two, and never to another after it was removed. It holds no other data. A lost or emptied
// directory is a new store with a new id: whatever bears the old one (its votes,
// its dots) has died with it.
type Store struct {
	dir    string // empty: in memory
	unlock func() error
	id     string

	mu    sync.Mutex
	state storeState
	addrs []string // the list that Found was given; nil before
	parts map[string]*Store
}

// storeState is what store.json holds.
type storeState struct {
	Format  int      `json:"format"`
	StoreID string   `json:"store"`
	Promise []Server `json:"promise,omitempty"` // will found with these stores only
	Joining string   `json:"joining,omitempty"` // will be a member of this cluster only
	Founding
	// JoinedAt is the configuration (Members.Version) that first named a store
	// that joined. Such a store has Joining, ClusterID and no founders.
	JoinedAt uint64 `json:"joined,omitempty"`
	// Begun says that the store's log holds something. A log that is empty
	// afterwards was lost, and the votes and acknowledgements of the store with it.
	Begun   bool `json:"begun,omitempty"`
	Removed bool `json:"removed,omitempty"` // from its cluster, for good
}

// cluster is the one that the store belongs to or has promised to join.
func (s storeState) cluster() string {
	if s.ClusterID != "" {
		return s.ClusterID
	}
	return s.Joining
}

// check says what no store ever writes.
func (s storeState) check() error {
	founder, joins := len(s.Founders) > 0, s.Joining != ""
	switch {
	case s.Format != storeFormat || s.StoreID == "":
		return fmt.Errorf("%s is not of format %d, or incomplete", storeFile, storeFormat)
	case joins && (founder || s.Promise != nil):
		return fmt.Errorf("%s founds a cluster and joins one", storeFile)
	case founder && s.ClusterID == "",
		!founder && s.ClusterID != "" && s.ClusterID != s.Joining,
		s.Removed && s.ClusterID == "":
		return fmt.Errorf("%s names a cluster and not how the store came to it, or the reverse", storeFile)
	}
	return nil
}

const (
	storeFile   = "store.json"
	storeFormat = 1
	// storeLimit bounds what is read of a store file or an answer.
	storeLimit = 1 << 20
)

// InUse says that another process has the data directory open.
type InUse struct{ Dir string }

func (e *InUse) Error() string {
	return fmt.Sprintf("data directory %s is in use by another process: stop it, or give this silo a directory of its own", e.Dir)
}

// OpenStore opens the store of a data directory and locks it against other
// processes; it creates both where there is none. An empty dir is a store in
// memory. It fails with *InUse, with *Damaged where the directory has data but
// no readable identity, or with what the file system says.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: dir, unlock: func() error { return nil }}
	if dir == "" {
		s.id = mintID()
		s.state = storeState{Format: storeFormat, StoreID: s.id}
		return s, nil
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s.unlock = unlock
	if err := s.load(storeState{Format: storeFormat, StoreID: mintID()}); err != nil {
		return nil, errors.Join(err, unlock())
	}
	s.id = s.state.StoreID
	return s, nil
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("consensus: data directory: %w", err)
	}
	return nil
}

// empty refuses a directory that has data and does not say whose.
func (s *Store) empty() error {
	for _, name := range []string{"raft", "snapshots"} {
		left, err := os.ReadDir(filepath.Join(s.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("consensus: data directory: %w", err)
		}
		if len(left) > 0 {
			return &Damaged{Dir: s.dir, Cause: fmt.Errorf("%s holds data, and %s, which says whose, is missing", name, storeFile)}
		}
	}
	return nil
}

func readState(dir string) (storeState, error) {
	var state storeState
	f, err := os.Open(filepath.Join(dir, storeFile))
	if err != nil {
		return state, fmt.Errorf("consensus: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return state, fmt.Errorf("consensus: %w", err)
	}
	if info.Size() > storeLimit {
		return state, &Damaged{Dir: dir, Cause: fmt.Errorf("%s has %d bytes", storeFile, info.Size())}
	}
	if err := json.NewDecoder(f).Decode(&state); err != nil {
		return state, &Damaged{Dir: dir, Cause: fmt.Errorf("%s: %w", storeFile, err)}
	}
	if err := state.check(); err != nil {
		return state, &Damaged{Dir: dir, Cause: err}
	}
	return state, nil
}

// save makes state durable before anybody can see it. Called under mu, or
// before the store is shared.
func (s *Store) save(state storeState) error {
	if s.dir != "" {
		data, err := json.MarshalIndent(state, "", "\t")
		if err != nil {
			return fmt.Errorf("consensus: %w", err)
		}
		if err := writeDurably(filepath.Join(s.dir, storeFile), append(data, '\n')); err != nil {
			return fmt.Errorf("consensus: saving the store's identity: %w", err)
		}
	}
	s.state = state
	return nil
}

// writeDurably replaces a file: after a crash it holds the old bytes or the new.
func writeDurably(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func mintID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends instead
	return hex.EncodeToString(b[:])
}

// ID is the store's id: 32 hexadecimal digits.
func (s *Store) ID() string { return s.id }

// Founded returns the cluster that the store belongs to, if there is one yet.
// A store that joined has no founders.
func (s *Store) Founded() (Founding, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Founding{ClusterID: s.state.ClusterID, Founders: slices.Clone(s.state.Founders)}, s.state.ClusterID != ""
}

// Removed says that the store was a member and is none any more: its id is
// spent, and Open and Join refuse it with *Removed.
func (s *Store) Removed() bool { return s.now().Removed }

func (s *Store) now() storeState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// change makes a change of the state durable.
func (s *Store) change(f func(*storeState)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.state
	f(&next)
	return s.save(next)
}

// Close unlocks the directory.
func (s *Store) Close() error { return s.unlock() }

// checkFounded refuses to host, in a directory that has an identity, a replica
// of another.
func checkFounded(cfg Config) error {
	state, err := readState(cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // whoever opens a group without a Store keeps the identity elsewhere
	case err != nil:
		return err
	case state.StoreID != cfg.Self.ID:
		return &Damaged{Dir: cfg.Dir, Cause: fmt.Errorf("it belongs to store %s, this replica is %s", state.StoreID, cfg.Self.ID)}
	case state.cluster() != cfg.ClusterID:
		return &Damaged{Dir: cfg.Dir, Cause: fmt.Errorf("it belongs to cluster %q, this replica to %q", state.cluster(), cfg.ClusterID)}
	}
	return nil
}

func sorted(servers []Server) []Server {
	out := slices.Clone(servers)
	slices.SortFunc(out, compareIDs)
	return out
}

func compareIDs(a, b Server) int { return strings.Compare(a.ID, b.ID) }
