package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Standing is what a store is in its group.
type Standing uint8

const (
	// Waiting: not a member yet, or not known to be one. The replica holds
	// nothing, serves nothing and gives no vote that counts, until a leader adds it.
	Waiting Standing = iota
	// Nonvoter: applies the log, has no vote and is not counted for commits.
	Nonvoter
	// Voter: votes, may lead, and is counted for commits.
	Voter
	// Removed: was a member and is none any more, for good. The data stays as it
	// is; to come back, the silo starts with an empty directory, as a new store.
	Removed
)

// String names the standing.
func (s Standing) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Nonvoter:
		return "nonvoter"
	case Voter:
		return "voter"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("Standing(%d)", uint8(s))
}

// ErrRemoved matches *StoreRemoved: this store is no member of its cluster any
// more, and what was asked of it has not been done.
var ErrRemoved = errors.New("store was removed from its cluster")

// StoreRemoved says that this store was removed from its cluster.
type StoreRemoved struct{ StoreID, ClusterID string }

func (e *StoreRemoved) Error() string {
	return fmt.Sprintf("store %s was removed from cluster %s and cannot come back: start this silo with an empty data directory, to join as a new store", e.StoreID, e.ClusterID)
}

// Is makes errors.Is(err, ErrRemoved) hold.
func (e *StoreRemoved) Is(target error) bool { return target == ErrRemoved }

// Members is the group's membership as one replica has applied it.
type Members struct {
	// Version numbers configurations, the same on every replica; a later one has
	// a greater number. It is not a position. Zero while none is known.
	Version uint64
	List    []Member // by id
	Self    Standing // of this replica
}

// Member is one store of the group.
type Member struct {
	Server
	Voter bool
	// LastContact is when this replica last had an answer from the member: on
	// the leader, of every member; elsewhere of the leader alone. Zero when it
	// had none, and of this replica itself.
	LastContact time.Time
	// Behind is, on the leader, by how many entries of the raft log the member's
	// log was shorter when it last answered.
	Behind uint64
	// CaughtUp says, on the leader, that Promote would not refuse the member.
	CaughtUp bool
}

// Find returns the member with an id.
func (m Members) Find(id string) (Member, bool) {
	for _, member := range m.List {
		if member.ID == id {
			return member, true
		}
	}
	return Member{}, false
}

// Voters counts the members that vote.
func (m Members) Voters() int {
	n := 0
	for _, member := range m.List {
		if member.Voter {
			n++
		}
	}
	return n
}

// Members returns the membership of now, as far as this replica has applied the
// log, and a channel that is closed when it has been replaced. LastContact,
// Behind and CaughtUp change without that.
func (g *Group) Members() (Members, <-chan struct{}) {
	m, changed := g.roster.members()
	lead := g.raft.State() == raft.Leader
	_, leader := g.raft.LeaderWithID()
	end := g.raft.LastIndex()
	for i := range m.List {
		member := &m.List[i]
		switch {
		case member.ID == g.cfg.Self.ID:
		case lead:
			c := g.net.contact(raft.ServerID(member.ID))
			member.LastContact = c.at
			if c.end < end {
				member.Behind = end - c.end
			}
			// The entry that added it must be there, by which it remembers that it has a log.
			member.CaughtUp = time.Since(c.at) < 4*g.cfg.Heartbeat && member.Behind <= promotable && c.end >= m.Version
		case member.ID == string(leader):
			member.LastContact = g.raft.LastContact()
		}
	}
	return m, changed
}

// inquire asks the other members whether this store still belongs to them, when
// no leader has been heard of for a while: one that was removed while it was
// away or cut off is contacted by nobody. The answer comes with the greeting.
func (g *Group) inquire() {
	defer g.tasks.Done()
	tick := time.NewTicker(5 * g.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.closed:
			return
		}
		if g.knownLeader() != (Server{}) {
			continue
		}
		members, _ := g.roster.members()
		if members.Self == Removed || !g.roster.admitted() {
			continue
		}
		for _, m := range members.List {
			if m.ID == g.cfg.Self.ID || g.isClosed() {
				continue
			}
			if c, err := g.net.stream.Dial(raft.ServerAddress(m.Addr), g.cfg.Heartbeat); err == nil {
				_ = c.Close()
			}
		}
	}
}

// roster is what a replica knows of the group's members, itself included.
type roster struct {
	self  string
	store *Store // nil: nothing outlives the group
	off   switches

	mu        sync.Mutex
	committed Members // what has been applied
	opened    Members // the end of the log at opening, which may be taken back; shown until as much is applied
	named     uint64  // the newest configuration in the log, committed or not, that names us
	joinedAt  uint64  // the committed configuration that first named us; 0 of a founder
	joined    bool    // there was one
	removed   bool
	changed   chan struct{}
}

func newRoster(cfg Config) *roster {
	r := &roster{self: cfg.Self.ID, store: cfg.Identity, off: cfg.off, changed: make(chan struct{})}
	r.joined = len(cfg.Founders) > 0
	if !r.joined {
		st := r.store.now()
		r.joined, r.joinedAt = st.ClusterID != "", st.JoinedAt
	}
	return r
}

// open takes over the newest configuration of a log that is not empty.
func (r *roster) open(index uint64, conf raft.Configuration, named uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named = named
	r.opened = Members{Version: index, List: membersOf(conf)}
	r.opened.Self = standingIn(r.opened, r.self)
	return r.begun()
}

func standingIn(m Members, id string) Standing {
	own, member := m.Find(id)
	switch {
	case own.Voter:
		return Voter
	case member:
		return Nonvoter
	}
	return Waiting
}

func (r *roster) members() (Members, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.shown()
	m.List = slices.Clone(m.List)
	return m, r.changed
}

// shown is called under mu.
func (r *roster) shown() Members {
	m := r.committed
	if r.opened.Version > m.Version {
		m = r.opened
	}
	if r.removed {
		m.Self = Removed
	}
	return m
}

func (r *roster) standing() Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown().Self
}

// admitted says that this store has been a member.
func (r *roster) admitted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.joined
}

// member is the newest configuration in this replica's log in which it is one.
func (r *roster) member() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.named
}

// logged notes a configuration that was appended, and that is not acknowledged
// to the leader before logged has returned. So a store that the leader knows to
// hold the entry that adds it remembers, whatever happens, that its log began.
func (r *roster) logged(index uint64, conf raft.Configuration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !names(conf, r.self) {
		return nil
	}
	r.named = max(r.named, index)
	return r.begun()
}

func (r *roster) begun() error {
	if r.store == nil || r.store.now().Begun {
		return nil
	}
	return r.store.change(func(st *storeState) { st.Begun = true })
}

// cut notes that the log was cut off before index.
func (r *roster) cut(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named >= index {
		r.named = r.committed.Version // the one before is committed
	}
	if r.opened.Version >= index {
		r.opened = Members{}
		r.notify()
	}
}

// commit takes over a configuration that is committed.
func (r *roster) commit(index uint64, conf raft.Configuration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index <= r.committed.Version {
		return nil
	}
	next := Members{Version: index, List: membersOf(conf)}
	next.Self = standingIn(next, r.self)
	var err error
	switch {
	case next.Self != Waiting && !r.joined:
		r.joined, r.joinedAt = true, index
		err = r.save(func(st *storeState) { st.ClusterID, st.JoinedAt, st.Begun = st.Joining, index, true })
	case next.Self == Waiting && r.joined && index > r.joinedAt:
		err = r.remove()
	}
	r.committed = next
	if r.opened.Version <= index {
		r.opened = Members{}
	}
	r.notify()
	return err
}

// told notes that another member has applied our removal.
func (r *roster) told() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.joined || r.removed {
		return nil
	}
	defer r.notify()
	return r.remove()
}

// remove is called under mu.
func (r *roster) remove() error {
	r.removed = true
	return r.save(func(st *storeState) { st.Removed = true })
}

// notify is called under mu.
func (r *roster) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *roster) save(f func(*storeState)) error {
	if r.store == nil {
		return nil
	}
	return r.store.change(f)
}

// dismissed says that the store that calls, a member by the configuration
// version as far as it knows, has been removed. Its log may be behind ours and
// ours behind its log: only a later configuration without it says so.
func (r *roster) dismissed(id string, version uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, member := r.committed.Find(id)
	return !member && (version < r.committed.Version || r.off.dismissals)
}

// switches turn single rules off, for the tests that show that each is needed.
type switches struct{ dismissals, versions, promotions, votes bool }

func membersOf(conf raft.Configuration) []Member {
	out := make([]Member, 0, len(conf.Servers))
	for _, s := range conf.Servers {
		out = append(out, Member{Server: Server{ID: string(s.ID), Addr: string(s.Address)}, Voter: s.Suffrage == raft.Voter})
	}
	slices.SortFunc(out, func(a, b Member) int { return compareIDs(a.Server, b.Server) })
	return out
}

func names(conf raft.Configuration, id string) bool {
	return slices.ContainsFunc(conf.Servers, func(s raft.Server) bool { return string(s.ID) == id })
}

// rosterLog tells the roster of the configurations that pass through a log.
type rosterLog struct {
	raft.LogStore
	roster *roster
}

// StoreLog implements raft.LogStore.
func (l *rosterLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore.
func (l *rosterLog) StoreLogs(logs []*raft.Log) error {
	if err := l.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	for _, log := range logs {
		if log.Type == raft.LogConfiguration {
			if err := l.roster.logged(log.Index, raft.DecodeConfiguration(log.Data)); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteRange implements raft.LogStore.
func (l *rosterLog) DeleteRange(first, last uint64) error {
	end, err := l.LastIndex()
	if err != nil {
		return err
	}
	if err := l.LogStore.DeleteRange(first, last); err != nil {
		return err
	}
	if last >= end { // from the end; from the front there is only what is committed
		l.roster.cut(first)
	}
	return nil
}

// IsMonotonic implements raft.MonotonicLogStore.
func (l *rosterLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// rosterSnapshots tells the roster of the configurations that come with
// snapshots.
type rosterSnapshots struct {
	raft.SnapshotStore
	roster *roster
}

// Create implements raft.SnapshotStore.
func (s *rosterSnapshots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	return &rosterSink{SnapshotSink: sink, roster: s.roster, conf: conf, index: confIndex}, nil
}

// newest returns the configuration of the newest snapshot.
func (s *rosterSnapshots) newest() (index uint64, conf raft.Configuration, err error) {
	list, err := s.List()
	if err != nil || len(list) == 0 {
		return 0, conf, err
	}
	return list[0].ConfigurationIndex, list[0].Configuration, nil
}

type rosterSink struct {
	raft.SnapshotSink
	roster *roster
	conf   raft.Configuration
	index  uint64
}

// Close implements raft.SnapshotSink.
func (s *rosterSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	return s.roster.logged(s.index, s.conf)
}
