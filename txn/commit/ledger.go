package commit

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Config is what all replicas of one ledger must share: a difference in it makes them diverge.
type Config struct {
	// Effect applies a block's operation to a variable under the ledger's own actor. Own is that
	// actor's part of the variable, nil at first; what it returns as newOwn is kept for the next one.
	// It must be pure and deterministic, its error too; an error refuses the whole decision. It must
	// not change its arguments, nor what it returned. An empty delta is not sent to anyone. Nil: every
	// decision with operations is refused.
	Effect func(variable wire.ID, own, op []byte) (delta, newOwn []byte, err error)
	// Silos are the founders, those that deltas are kept for from the beginning, 4,096 at most; others come
	// in by [Logged], and any goes by [Left]. A delta is kept until each silo that is in then has logged
	// it; while nobody is, nothing is kept. Silos may not change later: who is in is part of a snapshot.
	Silos []string
	// Window is how many sequences of a client are remembered, counted back from the highest; older
	// ones are Forgotten. Default 65,536. More costs memory, fewer forgets blocks that run for long
	// beside many short ones.
	Window int
	// Clients is how many clients are remembered; those that were quiet for longest give way.
	// Default 65,536.
	Clients int
	// KeptBytes bounds the kept replies of one client; the lowest sequences give way. Default 16 MiB.
	KeptBytes int
}

func (c Config) withDefaults() Config {
	if c.Window <= 0 {
		c.Window = 1 << 16
	}
	if c.Clients <= 0 {
		c.Clients = 1 << 16
	}
	if c.KeptBytes <= 0 {
		c.KeptBytes = 16 << 20
	}
	return c
}

// Ledger is the replicated state machine: transactional state by key, the outcomes of blocks, and the
// deltas that blocks owe to variables. Feed it the entries of one log in order. One goroutine applies,
// drains and restores; [Ledger.Get], [Ledger.Validate], [Ledger.Snapshot] and the other readers may run
// beside it.
type Ledger struct {
	config Config

	mu         sync.RWMutex
	pos        uint64 // of the last entry applied
	hash       uint64 // chain over entries, results and deltas
	nextClient uint64
	clients    map[uint64]client
	kept       *table[ID, kept]
	states     *table[StateKey, state]
	own        *table[wire.ID, []byte]
	outbox     outbox
	fresh      []Delta // made and not yet drained
	generation uint64  // counts restores: a capture of an older one has nothing to give back

	faults faults
}

// faults switch safety checks off, for the tests that prove that the checkers notice.
type faults struct {
	skipVersions   bool
	sameVersion    func(key StateKey, current, read Attempt) bool // in place of comparing names
	answerUnlogged bool                                           // Inquire answers without recording
	firstToLog     bool                                           // the outbox waits for one silo, not for all
}

// maxSeq keeps sums of sequences from overflowing.
const maxSeq = 1 << 62

type client struct {
	horizon uint64 // sequences up to here are forgotten
	highest uint64 // the highest with a record; at most horizon + Window
	bytes   int    // of kept replies
	touched uint64 // position of the last entry that it took part in
}

type kept struct {
	committed bool
	n         uint32 // the attempt that committed, or the last that is aborted
	hasReply  bool
	reply     []byte
}

type state struct {
	version Attempt
	value   []byte
}

// NewLedger returns an empty ledger.
func NewLedger(c Config) *Ledger {
	l := &Ledger{config: c.withDefaults()}
	l.reset()
	return l
}

func (l *Ledger) reset() {
	l.pos, l.hash, l.nextClient = 0, 0, 1
	l.clients = map[uint64]client{}
	l.kept = newTable[ID, kept]()
	l.states = newTable[StateKey, state]()
	l.own = newTable[wire.ID, []byte]()
	l.outbox = newOutbox(l.config.Silos)
	l.fresh = nil
}

// Apply applies the entry at pos of the log, from [EncodeEntry], and returns what [DecodeResults]
// reads. Positions grow; an entry at or below [Ledger.Pos] was applied before and returns nil without
// effect. Bytes that are no entry change nothing and have one Invalid result. The ledger keeps nothing
// of entry's memory.
func (l *Ledger) Apply(pos uint64, entry []byte) (result []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pos <= l.pos {
		return nil
	}
	l.pos = pos
	made := len(l.fresh)
	cmds, err := DecodeEntry(entry)
	var rs []Result
	if err != nil {
		rs = []Result{invalid(err.Error())}
	}
	for _, c := range cmds {
		rs = append(rs, l.applyCommand(c))
	}
	result = encodeResults(rs)
	l.chain(entry, result, l.fresh[made:])
	return result
}

func (l *Ledger) applyCommand(c Command) Result {
	switch c := c.(type) {
	case Register:
		return l.register()
	case Decision:
		return l.decide(c)
	case Inquire:
		return l.inquire(c)
	case Confirm:
		return l.confirm(c)
	case End:
		l.forget(c.Client)
		return Result{Code: Done}
	case Logged:
		return l.logged(c)
	case Left:
		return l.left(c)
	}
	return invalid("unknown command")
}

func invalid(reason string) Result { return Result{Code: Invalid, Reason: reason} }

// chain extends the hash by all that this entry said and did, so that two replicas that differ in
// either differ in every later hash.
func (l *Ledger) chain(entry, result []byte, deltas []Delta) {
	var h xxh3.Hasher
	var n [8]byte
	num := func(v uint64) {
		binary.LittleEndian.PutUint64(n[:], v)
		_, _ = h.Write(n[:])
	}
	part := func(b []byte) {
		num(uint64(len(b)))
		_, _ = h.Write(b)
	}
	num(l.hash)
	num(l.pos)
	part(entry)
	part(result)
	for _, d := range deltas {
		part([]byte(d.Variable.Kind()))
		part([]byte(d.Variable.Key()))
		part(d.Bytes)
	}
	l.hash = h.Sum64()
}

// Pos is the position of the last entry applied.
func (l *Ledger) Pos() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.pos
}

// Hash chains over all entries applied, their results and deltas. Two replicas at one position with
// different hashes have diverged.
func (l *Ledger) Hash() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hash
}

// Get returns a state's committed version and value; ok is false, and the version zero, where it was
// never written. Nobody changes the value's bytes. It tells what this replica has applied: a load that
// must be current first waits for a position that the leader confirmed.
func (l *Ledger) Get(k StateKey) (version Attempt, value []byte, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s, ok := l.states.get(k)
	return s.version, s.value, ok
}

// Validate returns those of reads that do not name the committed, current version, with the current
// one, in key order: the check of a read-only block. As with [Ledger.Get], the caller first makes sure
// that this replica is as far as the log was after the block's last read.
func (l *Ledger) Validate(reads []Read) (stale []Read) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.stale(reads)
}

func (l *Ledger) stale(reads []Read) []Read {
	if l.faults.skipVersions {
		return nil
	}
	var stale []Read
	for _, r := range reads {
		current, _ := l.states.get(r.Key)
		same := current.version == r.Version
		if l.faults.sameVersion != nil {
			same = l.faults.sameVersion(r.Key, current.version, r.Version)
		}
		if !same {
			stale = append(stale, Read{Key: r.Key, Version: current.version})
		}
	}
	slices.SortFunc(stale, func(a, b Read) int { return a.Key.Compare(b.Key) })
	return stale
}

// decide commits d where every version that it read is current. It refuses what it does not
// understand as a whole, and records each refusal, so that the same entry a second time cannot commit.
func (l *Ledger) decide(d Decision) Result {
	id := d.Attempt.ID
	if id.Seq == 0 || id.Seq > maxSeq || d.Attempt.N == 0 || d.Attempt.N == AllAttempts {
		return invalid("no such attempt")
	}
	c, known := l.clients[id.Client]
	if !known || id.Seq <= c.horizon {
		return Result{Code: Forgotten, Attempt: d.Attempt}
	}
	if k, ok := l.kept.get(id); ok {
		if k.committed {
			return Result{Code: AlreadyCommitted, Attempt: Attempt{ID: id, N: k.n}, Reply: k.reply, HasReply: k.hasReply}
		}
		if d.Attempt.N <= k.n {
			return Result{Code: Refused, Attempt: Attempt{ID: id, N: k.n}}
		}
	}
	if reason := d.check(); reason != "" {
		return l.refuse(d.Attempt, invalid(reason))
	}
	if stale := l.stale(d.Reads); len(stale) > 0 {
		return l.refuse(d.Attempt, Result{Code: Conflict, Stale: stale})
	}
	effects, reason := l.effects(d.Ops)
	if reason != "" {
		return l.refuse(d.Attempt, invalid(reason))
	}
	for _, w := range d.Writes {
		l.states.put(w.Key, state{version: d.Attempt, value: bytes.Clone(w.Value)})
	}
	l.emit(effects)
	l.keep(id, kept{committed: true, n: d.Attempt.N, hasReply: d.HasReply, reply: bytes.Clone(d.Reply)})
	return Result{Code: Committed, Attempt: d.Attempt}
}

func (l *Ledger) refuse(a Attempt, r Result) Result {
	l.keep(a.ID, kept{n: a.N})
	r.Attempt = a
	return r
}

// check says what is wrong with d by itself; "" if nothing is.
func (d Decision) check() string {
	read := make(map[StateKey]struct{}, len(d.Reads))
	for _, r := range d.Reads {
		if _, twice := read[r.Key]; twice {
			return "two reads of " + r.Key.String()
		}
		read[r.Key] = struct{}{}
	}
	written := make(map[StateKey]struct{}, len(d.Writes))
	for _, w := range d.Writes {
		if _, ok := read[w.Key]; !ok {
			return "a write of " + w.Key.String() + ", whose version was not read"
		}
		if _, twice := written[w.Key]; twice {
			return "two writes of " + w.Key.String()
		}
		written[w.Key] = struct{}{}
	}
	return ""
}

func (l *Ledger) register() Result {
	if len(l.clients) >= l.config.Clients {
		l.makeRoom()
	}
	n := l.nextClient
	l.nextClient++
	l.clients[n] = client{touched: l.pos}
	return Result{Code: Done, Client: n}
}

// makeRoom forgets the clients that were quiet for longest: one in 64, because finding them looks at all.
func (l *Ledger) makeRoom() {
	quiet := slices.SortedFunc(maps.Keys(l.clients), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(l.clients[a].touched, l.clients[b].touched), cmp.Compare(a, b))
	})
	for _, n := range quiet[:max(len(quiet)-l.config.Clients+1, l.config.Clients/64)] {
		l.forget(n)
	}
}

// inquire never says aborted of what may still commit, nor of what it does not remember.
func (l *Ledger) inquire(q Inquire) Result {
	if q.ID.Seq == 0 || q.ID.Seq > maxSeq {
		return invalid("no such sequence")
	}
	c, known := l.clients[q.ID.Client]
	if !known || q.ID.Seq <= c.horizon {
		return Result{Code: Forgotten, Attempt: Attempt{ID: q.ID}}
	}
	k, ok := l.kept.get(q.ID)
	if ok && k.committed {
		return Result{Code: Committed, Attempt: Attempt{ID: q.ID, N: k.n}, Reply: k.reply, HasReply: k.hasReply}
	}
	if !ok && q.ID.Seq > c.highest && q.ID.Seq-c.highest > uint64(l.config.Window) {
		return invalid("the sequence is too far ahead of its client's") // its record would push out live ones
	}
	n := q.through(k.n)
	if !l.faults.answerUnlogged {
		l.keep(q.ID, kept{n: n})
	}
	return Result{Code: Aborted, Attempt: Attempt{ID: q.ID, N: n}}
}

// through is up to which attempt q aborts where those up to n are aborted already.
func (q Inquire) through(n uint32) uint32 {
	switch {
	case q.Past > AllAttempts-n:
		return AllAttempts
	case q.Past > 0:
		return n + q.Past
	case q.N == 0:
		return AllAttempts
	}
	return max(n, q.N)
}

func (l *Ledger) confirm(q Confirm) Result {
	c, ok := l.clients[q.Client]
	if !ok {
		return Result{Code: Forgotten}
	}
	c.touched = l.pos
	l.raise(q.Client, &c, min(q.UpTo, maxSeq))
	l.clients[q.Client] = c
	return Result{Code: Done}
}

// keep records an outcome of a known client and lets what no longer fits be forgotten.
func (l *Ledger) keep(id ID, k kept) {
	c := l.clients[id.Client]
	if old, ok := l.kept.get(id); ok {
		c.bytes -= len(old.reply)
	}
	l.kept.put(id, k)
	c.bytes += len(k.reply)
	c.touched = l.pos
	if window := uint64(l.config.Window); id.Seq > c.horizon+window {
		l.raise(id.Client, &c, id.Seq-window)
	}
	c.highest = max(c.highest, id.Seq)
	for c.bytes > l.config.KeptBytes && c.horizon+1 < c.highest {
		l.raise(id.Client, &c, c.horizon+1)
	}
	l.clients[id.Client] = c
}

// raise lifts a client's horizon; what is at or below it is forgotten. At most Window records lie
// between, however far it is lifted.
func (l *Ledger) raise(n uint64, c *client, to uint64) {
	if to <= c.horizon {
		return
	}
	for seq := c.horizon + 1; seq <= min(to, c.highest); seq++ {
		id := ID{Client: n, Seq: seq}
		if k, ok := l.kept.get(id); ok {
			c.bytes -= len(k.reply)
			l.kept.remove(id)
		}
	}
	c.horizon = to
	c.highest = max(c.highest, to)
}

func (l *Ledger) forget(n uint64) {
	c, ok := l.clients[n]
	if !ok {
		return
	}
	l.raise(n, &c, c.highest)
	delete(l.clients, n)
}
