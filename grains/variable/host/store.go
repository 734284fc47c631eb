package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// The layout: under metaKey the store's actor, and under keepersKey who kept variables when this silo last had heard
// all of what it became a replica of; for each variable, under its prefix, its base (a state),
// the log of deltas since, by sequence number, and its own record.
var (
	metaKey       = []byte{0, 'a'}
	keepersKey    = []byte{0, 'k'}
	variablesFrom = []byte{1}
	variablesTo   = []byte{2}
)

const (
	partBase = 'b'
	partLog  = 'l'
	partOwn  = 'o'
)

// prefix is what the records of a variable begin with. Lengths come first, so that no variable's prefix
// begins another's.
func prefix(id wire.ID) []byte {
	b := append(make([]byte, 0, len(id.Kind())+len(id.Key())+16), variablesFrom...)
	b = binary.AppendUvarint(b, uint64(len(id.Kind())))
	b = append(b, id.Kind()...)
	b = binary.AppendUvarint(b, uint64(len(id.Key())))
	return append(b, id.Key()...)
}

func part(prefix []byte, what byte) []byte { return append(prefix[:len(prefix):len(prefix)], what) }

func logKey(prefix []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(part(prefix, partLog), seq)
}

func parseKey(b []byte) (id wire.ID, what byte, seq uint64, err error) {
	bad := fmt.Errorf("record with a malformed name %x", b)
	text := func() (string, bool) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return "", false
		}
		s := string(b[used:][:n])
		b = b[used+int(n):]
		return s, true
	}
	b = b[1:]
	kind, ok := text()
	if !ok {
		return id, 0, 0, bad
	}
	key, ok := text()
	if !ok || len(b) == 0 {
		return id, 0, 0, bad
	}
	id, what, b = wire.NewID(kind, key), b[0], b[1:]
	switch {
	case what == partLog && len(b) == 8:
		return id, what, binary.BigEndian.Uint64(b), nil
	case (what == partBase || what == partOwn) && len(b) == 0:
		return id, what, 0, nil
	}
	return id, 0, 0, bad
}

// store is the database. Its methods but fail and err belong to one goroutine.
type store struct {
	dir     string
	db      *pebble.DB
	logger  *slog.Logger
	failure atomic.Pointer[error] // set once: nothing more becomes durable
	broken  atomic.Bool           // pebble has met what it cannot go on after: it may hold its locks for ever
}

// fail notes why nothing more becomes durable. The first reason counts.
func (s *store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		s.logger.Error("variable store: the disk has failed", "dir", s.dir, "error", err)
	}
}

// events is what pebble writes its log to.
type events struct{ store *store }

func (e events) Infof(string, ...any) {}

func (e events) Errorf(format string, args ...any) {
	e.store.logger.Error("variable store: "+fmt.Sprintf(format, args...), "dir", e.store.dir)
}

// Fatalf returns, although pebble does not expect it to: a host that fails must not take down the process
// before it has told those who wait. What pebble does next is discarded, because failure is looked at
// after every commit.
func (e events) Fatalf(format string, args ...any) {
	e.store.broken.Store(true)
	e.store.fail(fmt.Errorf(format, args...))
	e.Errorf(format, args...)
}

func openStore(cfg Config) (*store, error) {
	s := &store{dir: cfg.Dir, logger: cfg.Logger}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, &StoreError{Dir: cfg.Dir, What: "cannot make the directory", Err: err}
	}
	disk, err := newDisk(cfg.FS, s)
	if err != nil {
		return nil, &StoreError{Dir: cfg.Dir, What: "cannot make the directory", Err: err}
	}
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	db, err := pebble.Open(cfg.Dir, &pebble.Options{
		FS: disk, Cache: cache, Logger: events{s},
		MemTableSize:       16 << 20,
		FormatMajorVersion: pebble.FormatNewest,
	})
	if err != nil {
		return nil, &StoreError{Dir: cfg.Dir, What: "cannot open", Err: err}
	}
	s.db = db
	err = s.claim(cfg.Actor)
	if failure := s.err(); err == nil && failure != nil {
		err = s.cannotWrite(failure)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// claim makes sure that the store is the actor's.
func (s *store) claim(actor crdt.Actor) error {
	b, closer, err := s.db.Get(metaKey)
	if errors.Is(err, pebble.ErrNotFound) {
		b := s.db.NewBatch()
		_ = b.Set(metaKey, binary.BigEndian.AppendUint64(nil, uint64(actor)), nil)
		return s.commit(b, pebble.Sync)
	}
	if err != nil {
		return &StoreError{Dir: s.dir, What: "cannot read whose it is", Err: err}
	}
	defer closer.Close()
	if len(b) != 8 {
		return &StoreError{Dir: s.dir, What: "cannot read whose it is", Err: fmt.Errorf("%d bytes instead of 8", len(b))}
	}
	if found := crdt.Actor(binary.BigEndian.Uint64(b)); found != actor {
		return &ForeignStore{Dir: s.dir, Found: found, Want: actor}
	}
	return nil
}

// appendKeepers encodes the number of a view and who keeps variables by it:
//
//	1 number  2 id, repeated
func appendKeepers(b []byte, t *view.Table) []byte {
	b = appendUint(b, 1, t.Number)
	for _, m := range t.Keepers() {
		b = appendText(b, 2, string(m.ID))
	}
	return b
}

// keepers returns what appendKeepers encoded, a view without members if nothing is stored.
func (s *store) keepers() (*view.Table, error) {
	b, closer, err := s.db.Get(keepersKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return &view.Table{}, nil
	}
	var number uint64
	var members []view.Member
	if err == nil {
		defer closer.Close()
		err = wire.EachField(b, func(f wire.Field) (err error) {
			switch f.Number {
			case 1:
				number, err = f.Uint()
			case 2:
				var id string
				id, err = f.String()
				members = append(members, view.Member{Run: view.Run{ID: view.SiloID(id)}})
			}
			return err
		})
	}
	if err != nil {
		return nil, &StoreError{Dir: s.dir, What: "cannot read who kept variables", Err: err}
	}
	return view.Frozen(number, nil, members...), nil
}

// each calls f with every stored record, variable by variable, of each first the base, then the log in
// its order, then the own record. value is valid during the call.
func (s *store) each(f func(id wire.ID, what byte, seq uint64, value []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: variablesFrom, UpperBound: variablesTo})
	if err != nil {
		return &StoreError{Dir: s.dir, What: "cannot read", Err: err}
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return &StoreError{Dir: s.dir, What: "cannot read", Err: err}
		}
		id, what, seq, err := parseKey(it.Key())
		if err != nil {
			return &StoreError{Dir: s.dir, What: "cannot read", Err: err}
		}
		if err := f(id, what, seq, value); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return &StoreError{Dir: s.dir, What: "cannot read", Err: err}
	}
	return nil
}

// commit writes a batch, and with pebble.Sync everything before it, durably.
func (s *store) commit(b *pebble.Batch, o *pebble.WriteOptions) error {
	err := s.err()
	if err == nil {
		err = b.Commit(o)
	}
	if err == nil {
		err = s.err()
	}
	if err != nil {
		return s.cannotWrite(err)
	}
	return b.Close()
}

func (s *store) cannotWrite(err error) error {
	return &StoreError{Dir: s.dir, What: "cannot write", Write: true, Err: err}
}

func (s *store) err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// close closes the database, unless pebble has given up: then its locks may be held for ever. A failure
// that was there before is not told again.
func (s *store) close() error {
	before := s.err()
	if s.broken.Load() {
		return nil
	}
	err := s.db.Close()
	switch now := s.err(); {
	case before != nil:
		return nil
	case now != nil:
		return s.cannotWrite(now)
	}
	return err
}
