package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Server names one replica.
type Server struct {
	// ID is the store id: it names a data directory, not a process or an address.
	ID string `json:"id"`
	// Addr is host:port of the replica's consensus listener.
	Addr string `json:"addr"`
}

// Config says how to host one replica. Self, ClusterID, FSM, one of Founders and
// Identity, and one of Listener and Network are required.
type Config struct {
	// Self is this store and the address at which the others reach it, now: the
	// log may know another one, until a leader is asked to Add the new one.
	Self Server
	// Founders is the whole list of those who founded the cluster, the same on
	// each of them for ever, whoever else has become a member and wherever they
	// moved since. Empty on a store that joined: it begins with nothing and waits
	// to be added, see Join.
	Founders  []Server
	ClusterID string // connections of any other cluster are refused
	// Identity remembers whether this store is a member. Required of one that
	// joined; a founder that has none cannot tell that its log was lost, nor,
	// after a restart, that it was removed.
	Identity *Store

	// Dir holds the log (raft/) and the snapshots (snapshots/). Empty: in memory.
	Dir string
	// Store is an in-memory replica's storage, where it must outlive the group
	// (tests that restart one). Ignored with Dir.
	Store *MemoryStore

	// Listener takes the other replicas' connections; the group closes it.
	Listener net.Listener
	// Network replaces Listener by a network in memory.
	Network *Network
	// Group names the group on a listener that it shares with others, see Port; each of those that connect to
	// it says that first. 0: nothing is said, the listener is the group's own.
	Group byte
	// Guard, if set, begins every connection, before anything of this package:
	// with TLS, say. Without it whoever knows the cluster's id is believed.
	Guard Guard

	FSM FSM

	// Heartbeat is how long a follower waits for its leader before it stands
	// for election, and how long a leader that reaches no majority goes on
	// leading. Shorter finds a dead leader sooner and a busy one dead. Default
	// 400 ms; 300 to 500 ms is what leases are computed for.
	Heartbeat time.Duration
	// Election is how long an election may take before the next begins, at
	// least Heartbeat. Default Heartbeat.
	Election time.Duration

	// MaxEntry is the largest entry in bytes. Default 4 MiB, at most 32 MiB.
	MaxEntry int
	// SnapshotThreshold is how many log entries (batches) since the last
	// snapshot make the next one due. Default 4096.
	SnapshotThreshold uint64
	// SnapshotInterval is how often that is looked at, ± its double. Default 5 s.
	SnapshotInterval time.Duration
	// TrailingLogs is how many log entries stay behind a snapshot, so that a
	// replica that was away for a moment needs no snapshot. Default 1024.
	TrailingLogs uint64

	Logger *slog.Logger // default slog.Default()

	// wrapLog lets tests make the log's storage fail or wait.
	wrapLog func(raft.LogStore) raft.LogStore
	off     switches
}

func (c Config) withDefaults() Config {
	if c.Heartbeat == 0 {
		c.Heartbeat = 400 * time.Millisecond
	}
	if c.Election == 0 {
		c.Election = c.Heartbeat
	}
	if c.MaxEntry == 0 {
		c.MaxEntry = 4 << 20
	}
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = 4096
	}
	if c.SnapshotInterval == 0 {
		c.SnapshotInterval = 5 * time.Second
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.FSM == nil:
		return errors.New("consensus: Config.FSM is missing")
	case c.ClusterID == "" || len(c.ClusterID) > maxClusterID:
		return fmt.Errorf("consensus: Config.ClusterID must have 1 to %d bytes", maxClusterID)
	case (c.Listener == nil) == (c.Network == nil):
		return errors.New("consensus: exactly one of Config.Listener and Config.Network must be given")
	case c.MaxEntry < 0 || c.MaxEntry > 32<<20:
		return fmt.Errorf("consensus: Config.MaxEntry of %d is not within 32 MiB", c.MaxEntry)
	}
	if c.Identity != nil {
		if own := c.Identity.now(); own.StoreID != c.Self.ID || own.cluster() != c.ClusterID {
			return fmt.Errorf("consensus: Config.Identity is store %s of cluster %q, this replica is %s of cluster %q", own.StoreID, own.cluster(), c.Self.ID, c.ClusterID)
		} else if own.Removed {
			return &StoreRemoved{StoreID: own.StoreID, ClusterID: own.ClusterID}
		}
	}
	if len(c.Founders) == 0 {
		return c.checkJoined()
	}
	if len(c.Self.ID) > maxStoreID {
		return fmt.Errorf("consensus: the id of Config.Self has %d bytes, %d are the limit", len(c.Self.ID), maxStoreID)
	}
	found := false
	seen := map[string]bool{}
	for _, s := range c.Founders {
		if s.ID == "" || s.Addr == "" || seen[s.ID] || seen[s.Addr] {
			return fmt.Errorf("consensus: founder %q at %q is incomplete or named twice", s.ID, s.Addr)
		}
		seen[s.ID], seen[s.Addr] = true, true
		found = found || s.ID == c.Self.ID
	}
	if !found || c.Self.Addr == "" {
		return fmt.Errorf("consensus: %s at %q is not among the founders %v, or has no address", c.Self.ID, c.Self.Addr, c.Founders)
	}
	return nil
}

func (c Config) checkJoined() error {
	switch {
	case c.Identity == nil:
		return errors.New("consensus: Config needs Founders, or the Identity of a store that joined")
	case c.Self.Addr == "":
		return errors.New("consensus: Config.Self has no address")
	case c.Identity.now().Joining == "":
		return errors.New("consensus: Config.Identity is a founder's, and Config.Founders is empty")
	}
	return nil
}

// Guard begins connections: each end checks the other and returns what to use
// in place of conn, or an error, after which conn is closed. It may block for
// a few seconds.
type Guard interface {
	Dial(conn net.Conn) (net.Conn, error)
	Accept(conn net.Conn) (net.Conn, error)
}

// Group is one replica of the log. Its methods may be called by any number of
// goroutines.
type Group struct {
	cfg     Config
	log     *slog.Logger
	raft    *raft.Raft
	machine *machine
	roster  *roster
	queue   *queue
	storage *storage
	net     *transport

	confirmed atomic.Uint64 // term whose first batch this replica proposed and applied

	changing chan struct{} // one token: changes of the membership go one by one

	mu      sync.Mutex
	state   Leadership
	changed chan struct{} // closed when state is replaced
	silent  map[string]time.Time

	closed chan struct{} // closed when Close begins
	done   chan struct{} // closed when Close has ended
	once   sync.Once
	err    error
	tasks  sync.WaitGroup // watch, confirm, inquire
}

// Leadership is who leads, as this replica sees it.
type Leadership struct {
	// Leader is the zero Server while none is known.
	Leader Server
	// Self says that this replica leads and has applied everything that was
	// committed before it did.
	Self bool
	// Term numbers the reigns: a later leader has a greater one.
	Term uint64
}

// Open starts a replica: it restores the newest snapshot before it returns and
// applies the log after it (see Ready). A founder's empty store is set up with
// the founders as its members; one that joined waits until a leader adds it. A
// store that was removed is refused (*StoreRemoved), and so is one whose log was
// lost (*Damaged): it must not vote again. ctx bounds the start, not the group's life: Close
// ends that. The listener is closed on every path.
func Open(ctx context.Context, cfg Config) (_ *Group, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		closeListener(cfg)
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		closeListener(cfg)
		return nil, err
	}
	log := cfg.Logger.With("store", cfg.Self.ID)
	bridge := bridgeLogger(log)

	roster := newRoster(cfg)
	trans, err := newTransport(cfg, roster, log, bridge)
	if err != nil {
		closeListener(cfg)
		return nil, err
	}
	store, err := openStorage(cfg, bridge)
	if err != nil {
		return nil, errors.Join(err, trans.Close())
	}
	g := &Group{
		cfg: cfg, log: log, storage: store, net: trans,
		machine: newMachine(cfg.FSM), roster: roster,
		changing: make(chan struct{}, 1),
		changed:  make(chan struct{}),
		silent:   map[string]time.Time{},
		closed:   make(chan struct{}),
		done:     make(chan struct{}),
	}
	snapshots, err := store.watch(roster)
	if err != nil {
		return nil, errors.Join(err, trans.Close(), store.Close())
	}
	end, restored, err := store.end()
	if err != nil {
		return nil, errors.Join(err, trans.Close(), store.Close())
	}
	g.machine.follow(roster, snapshots)

	// Raft blocks on this channel when it is full; watch never blocks.
	leading := make(chan bool, 16)
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(cfg.Self.ID)
	conf.HeartbeatTimeout = cfg.Heartbeat
	conf.LeaderLeaseTimeout = cfg.Heartbeat
	conf.ElectionTimeout = cfg.Election
	conf.CommitTimeout = 20 * time.Millisecond // how late a follower may learn of a commit when nothing follows it
	conf.MaxAppendEntries = 512
	conf.BatchApplyCh = true
	conf.TrailingLogs = cfg.TrailingLogs
	conf.SnapshotThreshold = cfg.SnapshotThreshold
	conf.SnapshotInterval = cfg.SnapshotInterval
	conf.NotifyCh = leading
	conf.Logger = bridge
	conf.NoLegacyTelemetry = true
	conf.ShutdownOnRemove = false // it says that it was removed, for as long as the group is open

	g.raft, err = raft.NewRaft(conf, g.machine, store.log, store.stable, store.snapshots, trans)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consensus: starting replica %s: %w", cfg.Self.ID, err), trans.Close(), store.Close())
	}
	g.machine.startFrom(end, restored)
	g.queue = &queue{
		apply:    g.raft.Apply,
		ready:    g.proposable,
		leader:   g.knownLeader,
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		inFlight: map[*batch]struct{}{},
	}
	g.queue.idle.Add(1)
	go g.queue.run()

	// What is dropped when the channel is full is followed by something else:
	// watch reads the state anew for each.
	seen := make(chan raft.Observation, 64)
	g.raft.RegisterObserver(raft.NewObserver(seen, false, observed))
	g.tasks.Add(2)
	go g.watch(leading, seen)
	go g.inquire()
	return g, nil
}

// Propose submits an entry and waits for the state machine's answer. The entry
// may be reused after Propose returns. For errors see the package comment.
func (g *Group) Propose(ctx context.Context, entry []byte) (result []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, &NotSubmitted{Cause: err}
	}
	p, err := g.submit(append([]byte(nil), entry...), false)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// Submit queues an entry and returns at once. Entries of calls that follow one
// another reach the log in that order, or not at all: a later one may be
// applied although an earlier one was not. The entry belongs to the group.
func (g *Group) Submit(entry []byte) (*Pending, error) { return g.submit(entry, false) }

func (g *Group) submit(entry []byte, read bool) (*Pending, error) {
	if len(entry) > g.cfg.MaxEntry {
		return nil, &TooLarge{Size: len(entry), Limit: g.cfg.MaxEntry}
	}
	if g.isClosed() {
		return nil, ErrClosed
	}
	if err := g.proposable(); err != nil && !errors.Is(err, errHold) {
		return nil, err
	}
	p := &Pending{entry: entry, read: read, queue: g.queue, done: make(chan struct{})}
	if err := g.queue.add(p); err != nil {
		return nil, err
	}
	return p, nil
}

// ReadIndex returns a position that no entry committed before the call lies
// beyond, and that this replica has applied. It succeeds only on the leader,
// whose leadership an entry confirms that was submitted after the call: it
// travels with the next batch, or alone, and callers at the same time share it.
// It costs what a proposal costs. After an error nothing has happened.
func (g *Group) ReadIndex(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p, err := g.submit(nil, true)
	if err != nil {
		return 0, err
	}
	if _, err := p.Wait(ctx); err != nil {
		var doubt *InDoubt
		if errors.As(err, &doubt) { // ctx ended; a question leaves nothing behind
			err = &NotSubmitted{Cause: doubt.Cause}
		}
		return 0, err
	}
	return p.position, nil
}

// Barrier returns when this replica, the leader, has applied everything that
// was committed before the call.
func (g *Group) Barrier(ctx context.Context) error {
	_, err := g.ReadIndex(ctx)
	return err
}

// ClusterID is that of Config.
func (g *Group) ClusterID() string { return g.cfg.ClusterID }

// AppliedIndex is the position of the last entry that this replica applied.
func (g *Group) AppliedIndex() uint64 { return g.machine.applied() }

// WaitApplied returns when this replica has applied position.
func (g *Group) WaitApplied(ctx context.Context, position uint64) error {
	return g.machine.wait(ctx, position, g.closed)
}

// Ready is closed when the state covers everything that this replica's log held
// when it was opened: from then on it is not older than before the restart. It
// may still be older than the leader's; for that there is ReadIndex. A store
// that joins is ready once it has applied its own addition.
func (g *Group) Ready() <-chan struct{} { return g.machine.caughtUp }

// Snapshot takes a snapshot now and drops the log behind it, TrailingLogs kept.
func (g *Group) Snapshot() error {
	err := g.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// StepDown hands leadership to another replica, for a stop that is planned. It
// returns an error where there is nobody to take it, and does nothing on a
// replica that does not lead. It takes up to Config.Election.
func (g *Group) StepDown() error {
	if g.raft.State() != raft.Leader {
		return nil
	}
	return g.raft.LeadershipTransfer().Error()
}

// Stats are figures for people and metrics.
type Stats struct {
	Leadership Leadership
	Applied    uint64 // position
	LogIndex   uint64 // end of the raft log; not a position
	Batches    uint64 // submitted here
	Entries    uint64 // in those batches
	Waiting    int    // entries not submitted yet
}

// Stats returns the figures of now.
func (g *Group) Stats() Stats {
	s := Stats{Applied: g.machine.applied(), LogIndex: g.raft.LastIndex()}
	s.Leadership, _ = g.Leadership()
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	s.Batches, s.Entries, s.Waiting = g.queue.batches, g.queue.packed, len(g.queue.waiting)
	return s
}

func (g *Group) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// Close stops the replica. What waits is refused (ErrClosed), what was
// submitted is in doubt. It leaves leadership to be found vacant: call StepDown
// before for a short gap. It returns when nothing of the group runs and the
// storage is closed; later calls wait for the same and return the same.
func (g *Group) Close() error {
	g.once.Do(func() {
		close(g.closed)
		g.queue.stop()
		g.net.release() // raft waits for its calls to other replicas
		err := g.raft.Shutdown().Error()
		g.queue.abandon()
		g.tasks.Wait()
		g.refresh()
		g.err = errors.Join(err, g.net.Close(), g.storage.Close())
		close(g.done)
	})
	<-g.done
	return g.err
}

func closeListener(cfg Config) {
	if cfg.Listener != nil {
		_ = cfg.Listener.Close()
	}
}
