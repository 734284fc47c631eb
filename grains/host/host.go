package host

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	mutations "github.com/martinelli-go/martinelli/cluster/machine/faults"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Coordinator is what a host asks of package txn/host, for its grains' blocks and about others'.
type Coordinator interface {
	// Atomic runs a block that is begun in the turn of opener.
	Atomic(ctx context.Context, c wire.Closure, opener Opener) error
	// Resume tells the reply of a call that is retried, if that is done; else the call shall run, its
	// block's attempts numbered after those.
	Resume(ctx context.Context, id wire.BlockID) (reply []byte, after uint32, done bool, err error)
	// Load reads transactional state from the ledger, as of now or later.
	Load(ctx context.Context, key commit.StateKey) (version commit.Attempt, value []byte, err error)
	// Wound asks the coordinator at that address to stop an attempt.
	Wound(coordinator string, a commit.Attempt)
	// Ask asks the coordinator at that address how far an attempt is. An error says nothing about that, nor
	// whether there is a coordinator.
	Ask(ctx context.Context, coordinator string, a commit.Attempt) (link.Notice, error)
}

// Opener is the turn that a block is begun in.
type Opener interface {
	// Root names the call from outside that the turn serves, if it serves one, and which attempts of
	// its block were made before it was retried. Only the first block of a turn gets it.
	Root() (id wire.BlockID, after uint32)
	// Result is the codec of the turn's method.
	Result() any
	// Open and Close say that the block holds the turn, and does no longer; Open may wound the attempt
	// at once. Yield gives the turn up and returns when it has come back; an error ends the block.
	Open(b *link.Branch)
	Close(b *link.Branch)
	Yield(next commit.Holder) error
}

// Config is what a host needs.
type Config struct {
	Self  view.SiloID
	Addr  string // where this silo is reached
	Views *view.Holder
	// Standing is what this silo may serve, never nil; Now is the clock of its lease. Both are asked often,
	// from many goroutines.
	Standing func() *view.Standing
	Now      func() time.Duration
	Kinds    map[string]wire.Kind
	// Engine serves what is no call: variables, views.
	Engine wire.Engine
	Router *link.Router
	// Prepare adds to an operation on a variable what it observes, at the nearest replica.
	Prepare func(ctx context.Context, variable wire.ID, op []byte) ([]byte, error)
	// Blocks may be set after New, and before the first call.
	Blocks Coordinator
	// Limit is the most that a reply may measure.
	Limit int
	// IdleAfter is how long an activation is kept without calls, where its kind says nothing. Default 10
	// minutes.
	IdleAfter time.Duration
	// MemoryLimit is how many bytes the process may use; when more than three quarters of it are alive on the
	// heap, the grains that were idle the longest go. Default: the limit of Go's runtime, if there is one;
	// negative: none go for this.
	MemoryLimit int64
	// Queue is how many calls may wait for their turn at one grain; one more is refused as overload.
	// Default 1,024.
	Queue int
	// Calls is how many calls may wait or run here, and CallBytes how much the arguments of those that came
	// from elsewhere may measure; calls that grains make may be as many, and as much, once more. Beyond that
	// they are refused as overload, some of the number up to a quarter earlier, because processors count apart.
	// Open streams have room for CallBytes more, of which each takes a full batch and its arguments. Defaults
	// 16,384 and 128 MiB.
	Calls, CallBytes int
	// HandOver sends the memory of a grain that moves to its next silo: a request to link.ServiceHandover
	// there. Nil: grains move without.
	HandOver func(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error)
	// HandoverRoom is how many bytes of memory are kept here at most for grains that are to be activated
	// soon. Default 64 MiB.
	HandoverRoom int
	// FinishWithin is how long turns that run may go on in a slot that moves. Then their contexts are
	// cancelled, and what they do has no effect. Default 30 seconds, the deadline of calls that have none.
	FinishWithin time.Duration
	// AskAfter is after which time without news an attempt that holds something here is asked about.
	// Default 1 second.
	AskAfter time.Duration
	// Silence is after which time without an answer a client counts as gone, and its attempts, which hold
	// what others wait for, as lost. Shorter than what a block takes, it breaks those of clients whose
	// connection is lost for a while. Default link.DefaultTimeout.
	Silence time.Duration
	// ReaderPause is for how long the reader of a stream may take before it asks for more. Default
	// wire.DefaultPause.
	ReaderPause time.Duration
	// Incoming are around the methods that run here, Outgoing around the calls that grains make here.
	Incoming, Outgoing []wire.Interceptor
	Logger             *slog.Logger
}

// Host runs grains.
type Host struct {
	Config
	shards   [shards]shard
	first    commit.CallID // before those of all turns here
	seed     maphash.Seed  // of the table
	epoch    uint64        // names this host's activations apart from all others
	presence presence
	fence    fence
	memories memories
	outbox   link.Outbox
	streams  wire.StreamRoom
	load     load
	relieved uint64 // the last collection of garbage after which grains went for memory; collect's
	draining atomic.Bool
	settled  atomic.Bool // one-way calls are refused too
	// deactivating has room for those that tell idle grains of their end at one time.
	deactivating chan struct{}
	unwatch      func()

	done       chan struct{}  // closed when Stop begins
	collecting sync.WaitGroup // until done
	asking     sync.WaitGroup // until the end of life
	life       context.Context
	end        context.CancelFunc
	leaving    sync.WaitGroup // activations that end, and questions about attempts: life bounds them
	sealing    sealing

	faults faults
}

// faults switch safety checks off, for the tests that prove that somebody notices.
type faults struct {
	serveAnything    bool // turns start, go on and reply though the grain has moved
	activateAnything bool // activations begin where the grain is not held
	outliveLeases    bool // leases are not checked
	admitStale       bool // calls of grains that have successors are let in
	compareHolders   bool // an activation ends only if the newest view gives its slot to another silo
	forwardAgain     bool // calls are sent on that were sent on before
	drainAtOnce      bool // rows that are sealed are released while turns run
	applyOldMemory   bool // memory is taken over whoever has served the grain since
	mixLineages      bool // calls of interfaces are served whose numbers mean other things here

	readBeside     bool // calls that only read run beside others
	unbounded      bool // no call is refused because too many wait
	comeBackBeside bool // a turn that was given up for a call goes on while another has the turn

	keepWaiters  bool   // an activation that ends does not refuse what waits
	waitInCycles bool   // a call that comes back to a grain that waits for it waits too
	forgetWounds bool   // a wound is sent once
	forgetReads  bool   // what a block has only read in its opener's turn is not validated
	breakSilent  bool   // an attempt that nothing was heard of counts as lost
	breakUnheard bool   // an attempt whose coordinator could not be asked counts as lost
	endInPeace   bool   // a younger block that keeps an activation from ending is not wounded for an older one
	expectLate   func() // a block holds its opener's turn before it can be wounded; called in between
}

const shards = 64

// shard is a part of the table of activations. It finds them by a hash of their names: a number takes less room
// than a name, and the table grows without a look at the grains.
type shard struct {
	mu  sync.Mutex
	all map[uint64]*activation // the first of those with that hash
	row []*activation          // all, each at its place, so that a few can be looked at, and a few more later

	// A call writes to nothing that calls of other shards write to: processors wait for each other there.
	turns atomic.Uint64 // so many had numbers
	room  atomic.Int64  // for calls: counted as Stats.Calls and not in use
	_     [128]byte
}

// number returns a number that no other turn or activation here has.
func (h *Host) number(at uint8) commit.CallID {
	return h.first + commit.CallID(h.shards[at].turns.Add(1)*shards) + commit.CallID(at)
}

// find returns the activation of a grain, nil for none; mu is held.
func (s *shard) find(hash uint64, id wire.ID) *activation {
	a := s.all[hash]
	for a != nil && a.id() != id {
		a = a.next
	}
	return a
}

// put adds an activation; mu is held.
func (s *shard) put(hash uint64, a *activation) {
	a.place = uint32(len(s.row))
	s.row = append(s.row, a)
	a.next = s.all[hash]
	s.all[hash] = a
}

// remove takes one out that is there; mu is held.
func (s *shard) remove(hash uint64, a *activation) {
	switch first := s.all[hash]; {
	case first == a && a.next == nil:
		delete(s.all, hash)
	case first == a:
		s.all[hash] = a.next
	default:
		for first.next != a {
			first = first.next
		}
		first.next = a.next
	}
	a.next = nil
	last := len(s.row) - 1
	s.row[a.place] = s.row[last]
	s.row[a.place].place = a.place
	s.row[last] = nil
	s.row = s.row[:last]
	if cap(s.row) > 1024 && len(s.row) < cap(s.row)/4 { // as the map, it need not stay as large as it was
		s.row = append(make([]*activation, 0, cap(s.row)/2), s.row...)
	}
}

// New returns a host that runs until Stop.
func New(c Config) *Host {
	if c.IdleAfter <= 0 {
		c.IdleAfter = 10 * time.Minute
	}
	if c.FinishWithin <= 0 {
		c.FinishWithin = 30 * time.Second
	}
	if c.AskAfter <= 0 {
		c.AskAfter = time.Second
	}
	if c.Silence <= 0 {
		c.Silence = link.DefaultTimeout
	}
	if c.HandoverRoom <= 0 {
		c.HandoverRoom = 64 << 20
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = memoryLimit()
	}
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.Calls <= 0 {
		c.Calls = 16 << 10
	}
	if c.CallBytes <= 0 {
		c.CallBytes = 128 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	h := &Host{Config: c, seed: maphash.MakeSeed(), epoch: rand.Uint64(), done: make(chan struct{}), deactivating: make(chan struct{}, deactivators)}
	h.outbox.Limit, h.outbox.Logger = c.Limit, c.Logger
	h.streams.Bytes = int64(c.CallBytes)
	h.first = commit.CallID(rand.Uint64N(1<<48) &^ (shards - 1)) // what names a turn here names none elsewhere
	h.faults.serveAnything, h.faults.forgetReads = mutations.Is(mutations.Ownership), mutations.Is(mutations.Reads)
	h.life, h.end = context.WithCancel(context.Background())
	h.presence.attempts = map[commit.Attempt]*attempt{}
	for i := range h.shards {
		h.shards[i].all = map[uint64]*activation{}
	}
	moved := make(chan struct{}, 1) // one: a second change before the first is seen to adds nothing
	h.memories.all = map[wire.ID]*memory{}
	if t := c.Views.Current(); t != nil {
		h.fence.apply(t)
		h.memories.observe(h, t)
	}
	h.unwatch = c.Views.Subscribe(func(t *view.Table) {
		h.fence.apply(t)
		h.memories.observe(h, t)
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	h.collecting.Go(func() { h.watch(moved) })
	every := h.collectEvery()
	h.collecting.Go(func() { h.collect(every) })
	h.asking.Go(h.ask)
	return h
}

// Stop refuses new calls, waits for the one-way calls that are on their way and the turns that run until ctx ends, deactivates all grains, and ends
// the host's goroutines. Turns that run may call other grains here until they have ended.
func (h *Host) Stop(ctx context.Context) error {
	if h.draining.Swap(true) {
		return nil
	}
	h.settle(ctx)
	defer h.outbox.Close(ctx)
	h.unwatch()
	h.sealing.stop()
	defer h.memories.forget()
	close(h.done)
	h.collecting.Wait()
	defer context.AfterFunc(ctx, h.end)()
	// Attempts are asked about until no turn is left: one may wait for what an attempt holds that is over.
	defer h.leaving.Wait()
	defer h.asking.Wait()
	defer h.sealing.running.Wait()
	defer h.end()
	for {
		all := h.activations()
		if len(all) == 0 {
			return nil
		}
		errs := make([]error, len(all))
		var stops sync.WaitGroup
		for i, a := range all {
			stop := func() { errs[i] = a.stop(ctx, ending{why: "the silo stops"}) }
			if !a.isLeaver() && a.idleFor(h.now()) >= 0 { // there is nothing to wait for
				stop()
				continue
			}
			if a.idleFor(h.now()) < 0 { // it takes as long as its turns do
				stops.Go(stop)
				continue
			}
			select {
			case h.deactivating <- struct{}{}:
				stops.Go(func() {
					defer func() { <-h.deactivating }()
					stop()
				})
			case <-ctx.Done():
				stops.Go(stop)
			}
		}
		stops.Wait()
		if err := errors.Join(errs...); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// leave stops an activation, on a goroutine that the host's Stop waits for.
func (h *Host) leave(a *activation, why string) {
	if a.isStopping() {
		return
	}
	h.leaving.Go(func() {
		if err := a.stop(h.life, ending{why: why}); err != nil {
			h.Logger.Warn("deactivation", slog.String("grain", a.id().String()), slog.Any("error", err))
		}
	})
}

// shard is where the activation of a grain is found, and by which hash: one that nobody can foresee.
func (h *Host) shard(id wire.ID) (*shard, uint64) {
	hash := maphash.Comparable(h.seed, id)
	return &h.shards[shardOf(hash)], hash
}

func shardOf(hash uint64) uint8 { return uint8(hash % shards) }

func (h *Host) activations() []*activation {
	var all []*activation
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		all = append(all, s.row...)
		s.mu.Unlock()
	}
	return all
}

// Activations is how many grains of the kind are active here. It costs a look at each.
func (h *Host) Activations(kind string) (n int) {
	return h.Counts()[kind]
}

// Counts is how many grains of each kind are active here. It costs a look at each; those that come and go
// meanwhile may be missed, or counted twice.
func (h *Host) Counts() map[string]int {
	n := map[string]int{}
	h.each(func(a *activation) bool {
		n[a.id().Kind()]++
		return true
	})
	return n
}

// reach returns the activation of a grain, made if there is none and this silo may. The error is a
// *view.Refusal. Whether a turn may start in it is another question.
func (h *Host) reach(id wire.ID, kind *wire.GrainKind) (*activation, error) {
	s, hash := h.shard(id)
	s.mu.Lock()
	a := s.find(hash, id)
	s.mu.Unlock()
	if a != nil {
		return a, nil
	}
	grant, err := h.activate(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a = s.find(hash, id); a == nil {
		a = newActivation(h, shardOf(hash), id, kind, grant)
		s.put(hash, a)
	}
	return a, nil
}

// forget takes a out of the table, so that the next call makes another.
func (h *Host) forget(a *activation) {
	s, hash := h.shard(a.id())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(hash, a.id()) == a {
		s.remove(hash, a)
	}
}

// watch deactivates what has moved away.
func (h *Host) watch(moved <-chan struct{}) {
	for {
		select {
		case <-h.done:
			return
		case <-moved:
			h.leaveWhatIsLost()
		}
	}
}

// leaveWhatIsLost ends the activations whose grant is not held any more. It compares tokens, not holders:
// of views that come together only the last is seen, and a slot that was away for a while is back in it.
func (h *Host) leaveWhatIsLost() {
	h.each(func(a *activation) bool {
		// A view that is older than the activation knows nothing of it.
		if table := h.newest(); !h.held(table, a) {
			a.lost(table)
		}
		return true
	})
}

// held says whether a view gives this silo the slot of an activation under its token, sealed or not.
func (h *Host) held(t *view.Table, a *activation) bool {
	row, ok := t.Of(a.id())
	return ok && row.Holder.ID == h.Self && (row.Token == a.token || h.faults.compareHolders)
}
