package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

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
	// Ask asks the coordinator at that address how far an attempt is. An error that is
	// wire.ErrNotExecuted says that there is no coordinator any more.
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
	Kinds map[string]wire.Kind
	// Engine serves what is no call: variables, views.
	Engine wire.Engine
	Router *link.Router
	// Prepare adds to an operation on a variable what it observes, at the nearest replica.
	Prepare func(ctx context.Context, variable wire.ID, op []byte) ([]byte, error)
	// Blocks may be set after New, and before the first call.
	Blocks Coordinator
	// Limit is the most that a reply may measure.
	Limit int
	// IdleAfter is how long an activation is kept without calls. Default 10 minutes.
	IdleAfter time.Duration
	// AskAfter is after which time without news an attempt that holds something here is asked about.
	// Default 1 second.
	AskAfter time.Duration
	Logger   *slog.Logger
}

// Host runs grains.
type Host struct {
	Config
	shards   [shards]shard
	calls    atomic.Uint64
	epoch    uint64 // names this host's activations apart from all others
	presence presence
	draining atomic.Bool
	unwatch  func()

	done       chan struct{}  // closed when Stop begins
	collecting sync.WaitGroup // until done
	asking     sync.WaitGroup // until the end of life
	life       context.Context
	end        context.CancelFunc
	leaving    sync.WaitGroup // activations that end, and questions about attempts: life bounds them

	faults faults
}

// faults switch safety checks off, for the tests that prove that somebody notices.
type faults struct {
	serveAnything bool   // ownership is not checked
	keepWaiters   bool   // an activation that ends does not refuse what waits
	waitInCycles  bool   // a call that comes back to a grain that waits for it waits too
	forgetWounds  bool   // a wound is sent once
	forgetReads   bool   // what a block has only read in its opener's turn is not validated
	breakSilent   bool   // an attempt that nothing was heard of counts as lost
	endInPeace    bool   // a younger block that keeps an activation from ending is not wounded for an older one
	expectLate    func() // a block holds its opener's turn before it can be wounded; called in between
}

const shards = 64

type shard struct {
	mu  sync.Mutex
	all map[wire.ID]*activation
}

// New returns a host that runs until Stop.
func New(c Config) *Host {
	if c.IdleAfter <= 0 {
		c.IdleAfter = 10 * time.Minute
	}
	if c.AskAfter <= 0 {
		c.AskAfter = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	h := &Host{Config: c, epoch: rand.Uint64(), done: make(chan struct{})}
	h.faults.serveAnything, h.faults.forgetReads = mutations.Is(mutations.Ownership), mutations.Is(mutations.Reads)
	h.life, h.end = context.WithCancel(context.Background())
	h.presence.attempts = map[commit.Attempt]*attempt{}
	for i := range h.shards {
		h.shards[i].all = map[wire.ID]*activation{}
	}
	moved := make(chan struct{}, 1) // one: a second change before the first is seen to adds nothing
	h.unwatch = c.Views.Subscribe(func(*view.View) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	h.collecting.Go(func() { h.collect(moved) })
	h.asking.Go(h.ask)
	return h
}

// Stop refuses new calls, waits for the turns that run until ctx ends, deactivates all grains, and ends
// the host's goroutines. Turns that run may call other grains here until they have ended.
func (h *Host) Stop(ctx context.Context) error {
	if h.draining.Swap(true) {
		return nil
	}
	h.unwatch()
	close(h.done)
	h.collecting.Wait()
	defer context.AfterFunc(ctx, h.end)()
	// Attempts are asked about until no turn is left: one may wait for what an attempt holds that is over.
	defer h.leaving.Wait()
	defer h.asking.Wait()
	defer h.end()
	for {
		all := h.activations()
		if len(all) == 0 {
			return nil
		}
		errs := make([]error, len(all))
		var stops sync.WaitGroup
		for i, a := range all {
			stops.Go(func() { errs[i] = a.stop(ctx, "the silo stops") })
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
		if err := a.stop(h.life, why); err != nil {
			h.Logger.Warn("deactivation", slog.String("grain", a.id.String()), slog.Any("error", err))
		}
	})
}

func (h *Host) shard(id wire.ID) *shard {
	return &h.shards[xxh3.HashStringSeed(id.Key(), uint64(len(id.Kind())))%shards]
}

func (h *Host) activations() []*activation {
	var all []*activation
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		for _, a := range s.all {
			all = append(all, a)
		}
		s.mu.Unlock()
	}
	return all
}

// Activations is how many grains of the kind are active here.
func (h *Host) Activations(kind string) (n int) {
	for _, a := range h.activations() {
		if a.id.Kind() == kind {
			n++
		}
	}
	return n
}

// Counts is how many grains of each kind are active here. It costs a look at each.
func (h *Host) Counts() map[string]int {
	n := map[string]int{}
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		for id := range s.all {
			n[id.Kind()]++
		}
		s.mu.Unlock()
	}
	return n
}

// activation returns the activation of id, made if there is none.
func (h *Host) activation(id wire.ID, kind *wire.GrainKind) *activation {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.all[id]
	if a == nil {
		a = newActivation(h, id, kind)
		s.all[id] = a
	}
	return a
}

// forget takes a out of the table, so that the next call makes another.
func (h *Host) forget(a *activation) {
	s := h.shard(a.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[a.id] == a {
		delete(s.all, a.id)
	}
}

// owns says whether this silo owns id, in the newest view that it has.
func (h *Host) owns(id wire.ID) bool {
	owner, ok := h.Views.Current().Owner(id)
	return ok && owner.ID == h.Self
}

// errNotOwner: not executed; another silo owns the grain.
var errNotOwner = errors.New("the grain is at another silo")

// errEnded: not executed; the activation ends.
var errEnded = errors.New("the activation ended before the call's turn")

// errRefused: the turnstile did not let a call in.
var errRefused = errors.New("refused")

// Call runs a call that a place in this process makes: here if this silo owns the grain, else through
// the router.
func (h *Host) Call(ctx context.Context, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) error {
	if ctx.Err() != nil {
		return &wire.CallError{To: to, Method: inv.Method().Name, Cause: wire.ErrNotExecuted,
			Detail: "the context had ended before the call was made: " + context.Cause(ctx).Error()}
	}
	from := turnOf(ctx)
	in := link.BranchOf(wire.BlockOf(ctx))
	for {
		if !h.owns(to) {
			c := link.Calling{Root: root, Retry: retry, Chain: from.links(in), In: in}
			err := h.Router.Call(ctx, h.Self, to, inv, c)
			if err != link.ErrMoved {
				return err
			}
		}
		if from == nil && h.draining.Load() {
			return &wire.CallError{To: to, Method: inv.Method().Name, Cause: wire.ErrNotExecuted, Detail: "this silo is stopping"}
		}
		kind, ok := h.Kinds[to.Kind()]
		if !ok || kind.Grain() == nil {
			return &wire.CallError{To: to, Method: inv.Method().Name, Cause: wire.ErrNoSuchKind,
				Detail: "add the Grains() of its package to the Config.Grains of every silo"}
		}
		var after uint32
		if retry {
			reply, tried, done, err := h.Blocks.Resume(ctx, root)
			if err != nil {
				return &wire.CallError{To: to, Method: inv.Method().Name, Cause: cause(err), Call: root, Detail: err.Error()}
			}
			if done {
				return inv.DecodeResult(reply)
			}
			after = tried
		}
		a := h.activation(to, kind.Grain())
		if in != nil {
			in.Join(commit.Participant{Node: h.Addr, Grain: to})
		}
		ran, err := a.run(ctx, running{
			from: from, in: in, root: root, after: after, result: inv.Method().Result,
			method: func(ctx context.Context, impl any) error { return inv.Run(ctx, impl) },
			name:   inv.Method().Name,
		})
		if ran || err != errNotOwner && err != errEnded {
			return err
		}
		if err == errEnded {
			h.awaitSuccessor(ctx, a)
		}
		if ctx.Err() != nil {
			return &wire.CallError{To: to, Method: inv.Method().Name, Cause: wire.ErrNotExecuted, Detail: err.Error()}
		}
	}
}

// awaitSuccessor waits until another activation may take the place of one that ends, here or elsewhere; not
// for long, because a call that is made again tells the turns that are left who waits for them.
func (h *Host) awaitSuccessor(ctx context.Context, a *activation) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	moved := make(chan struct{}, 1) // one: that there was a change is enough
	defer h.Views.Subscribe(func(*view.View) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})()
	for h.owns(a.id) {
		select {
		case <-moved:
		case <-a.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// cause is the error of package wire that err is, ErrUnknown where it is none.
func cause(err error) error {
	for _, known := range []error{wire.ErrReplyLost, wire.ErrNotExecuted, wire.ErrAborted} {
		if errors.Is(err, known) {
			return known
		}
	}
	return wire.ErrUnknown
}

// Serve runs a call that came from another node; it is the handler of link.ServiceCalls.
func (h *Host) Serve(ctx context.Context, payload []byte) ([]byte, error) {
	req, err := link.DecodeCallRequest(payload)
	if err != nil {
		return nil, fmt.Errorf("a call: %w", err)
	}
	reply := h.serve(ctx, req)
	b := reply.Append(nil)
	if len(b) > h.Limit {
		reply.Status, reply.Result, reply.Error = link.StatusResultLost, nil, nil
		reply.Detail = fmt.Sprintf("it ran, and its reply of %d bytes is over the limit of %d", len(b), h.Limit)
		b = reply.Append(nil)
	}
	return b, nil
}

func (h *Host) serve(ctx context.Context, req *link.CallRequest) *link.CallReply {
	refuse := func(s link.Status, detail string) *link.CallReply {
		return &link.CallReply{Status: s, Detail: detail, Number: h.Views.Current().Number}
	}
	if h.draining.Load() {
		return refuse(link.StatusRefused, "the silo is stopping")
	}
	kind, ok := h.Kinds[req.To.Kind()]
	if !ok || kind.Grain() == nil {
		return refuse(link.StatusNoKind, "silo "+h.Addr+" was not given it: add the Grains() of its package to Config.Grains of every silo")
	}
	method := kind.Grain().Method(req.Method)
	if method == nil {
		return refuse(link.StatusNoMethod, fmt.Sprintf("silo %s knows no method number %d", h.Addr, req.Method))
	}
	if !h.owns(req.To) {
		return refuse(link.StatusNotOwner, "")
	}
	var after uint32
	if req.Retry {
		reply, tried, done, err := h.Blocks.Resume(ctx, req.Root)
		switch {
		case errors.Is(err, wire.ErrReplyLost):
			return refuse(link.StatusReplyLost, "")
		case err != nil:
			return refuse(link.StatusUnknown, err.Error())
		case done:
			return &link.CallReply{Status: link.StatusOK, Result: reply}
		}
		after = tried
	}
	var in *link.Branch
	if !req.Block.IsPlain() {
		in = link.NewBranch(req.Block, req.Coordinator)
		ctx = wire.WithBlock(ctx, in)
	}
	var result []byte
	a := h.activation(req.To, kind.Grain())
	ran, err := a.run(ctx, running{
		chain: req.Chain, in: in, root: req.Root, after: after, result: method.Info().Result,
		method: func(ctx context.Context, impl any) (err error) {
			result, err = method.Serve(ctx, impl, req.Args, nil)
			return err
		},
		name: method.Info().Name,
	})
	reply := &link.CallReply{Status: link.StatusOK, Result: result}
	var call *wire.CallError
	switch {
	case err == nil:
	case err == errNotOwner && !ran:
		reply = refuse(link.StatusNotOwner, "")
	case errors.As(err, &call) && !ran && call.Cause == wire.ErrCycle:
		reply = refuse(link.StatusCycle, call.Detail)
	case !ran && !errors.Is(err, wire.ErrAborted):
		reply = refuse(link.StatusRefused, err.Error())
	default:
		reply = &link.CallReply{Status: link.StatusError, Error: wire.AppendMethodError(nil, err, method.ErrorTable())}
	}
	if in != nil {
		reply.Record = in.Records()
		if err := in.Err(); err != nil {
			reply.Doomed = wire.AppendError(nil, err, nil)
		}
	}
	return reply
}

// collect deactivates what has moved away, and what has been idle for long.
func (h *Host) collect(moved <-chan struct{}) {
	idle := time.NewTicker(max(h.IdleAfter/4, 10*time.Millisecond))
	defer idle.Stop()
	for {
		select {
		case <-h.done:
			return
		case <-moved:
			for _, a := range h.activations() {
				if !h.owns(a.id) {
					h.leave(a, "the grain has moved to another silo")
				}
			}
		case <-idle.C:
			before := time.Now().Add(-h.IdleAfter)
			for _, a := range h.activations() {
				if a.endIfIdle(before) {
					h.leave(a, "idle")
				}
			}
		}
	}
}
