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

	"github.com/martinelli-go/martinelli/cluster/link"
	mutations "github.com/martinelli-go/martinelli/cluster/machine/faults"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// Config is what a coordinator needs.
type Config struct {
	// Addr is where participants reach this coordinator.
	Addr string
	// Leader takes the decisions.
	Leader *link.Leader
	// Tell sends a notice to the silo at an address, which may be this one.
	Tell func(addr string, n link.Notice)
	// Ask asks the coordinator at an address how far an attempt is.
	Ask func(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error)
	// Settle is how long a submitted block's outcome is looked for after its caller has gone. Default
	// 30 seconds.
	Settle time.Duration
	Logger *slog.Logger
}

// Coordinator runs atomic blocks. It is safe for concurrent use.
type Coordinator struct {
	Config
	sequence atomic.Uint64

	mu       sync.Mutex
	client   uint64    // number from the log, 0 before the first
	without  time.Time // until when calls go without an id, because the log did not answer
	attempts map[commit.Attempt]*running
	ended    map[commit.Attempt]link.Notice // the last of them, for those who ask
	ring     []commit.Attempt
	oldest   int

	life   context.Context
	cancel context.CancelFunc
	settle sync.WaitGroup

	faults faults
}

// faults switch safety checks off, for the tests that prove that somebody notices.
type faults struct {
	leavePanics   bool // a block whose function panics is not abandoned
	doubtAll      bool // what was surely not submitted is in doubt too
	loseIsAborted bool // a submission whose answer is lost counts as aborted
	guessOutcome  bool // a block that is not committed is called aborted, without logging that
}

// running is an attempt whose outcome is not known.
type running struct {
	branch *link.Branch
	stop   context.CancelCauseFunc
}

// keptNotices is how many outcomes of attempts are remembered for participants that ask.
const keptNotices = 4096

// New returns a coordinator that runs until Stop.
func New(c Config) *Coordinator {
	if c.Settle <= 0 {
		c.Settle = link.DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	co := &Coordinator{
		Config: c, attempts: map[commit.Attempt]*running{},
		ended: map[commit.Attempt]link.Notice{},
	}
	co.faults.guessOutcome = mutations.Is(mutations.Outcome)
	co.life, co.cancel = context.WithCancel(context.Background())
	return co
}

// Stop gives up what is still looked for, and waits for it.
func (c *Coordinator) Stop() {
	c.cancel()
	c.settle.Wait()
}

// Register gets this coordinator's number from the log, if it has none.
func (c *Coordinator) Register(ctx context.Context) error {
	_, err := c.number(ctx)
	return err
}

func (c *Coordinator) number(ctx context.Context) (uint64, error) {
	c.mu.Lock()
	n := c.client
	c.mu.Unlock()
	if n != 0 {
		return n, nil
	}
	r, err := c.propose(ctx, commit.Register{})
	if err != nil {
		return 0, fmt.Errorf("getting a number from the log: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == 0 {
		c.client = r.Client
	}
	return c.client, nil
}

// forgotten makes the next block register anew: the log has ended the number n.
func (c *Coordinator) forgotten(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == n {
		c.client = 0
	}
}

// NextCall returns the id of a new call from outside, zero where the log cannot be reached in registerTime: most
// grains need no log, and their calls must not wait for it. A call without an id cannot be asked about.
func (c *Coordinator) NextCall(ctx context.Context) wire.BlockID {
	c.mu.Lock()
	n, without := c.client, time.Now().Before(c.without)
	c.mu.Unlock()
	if n == 0 && without {
		return wire.BlockID{}
	}
	if n == 0 {
		ctx, cancel := context.WithTimeout(ctx, registerTime)
		defer cancel()
		var err error
		if n, err = c.number(ctx); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.without = time.Now().Add(registerTime)
			return wire.BlockID{}
		}
	}
	return wire.BlockID{Client: n, Seq: c.sequence.Add(1)}
}

// registerTime is how long the first call of a node waits for a number from the log, longer than an election
// takes, and how long those after it go without where there was none.
const registerTime = 2 * time.Second

// propose appends one command to the log and returns its result.
func (c *Coordinator) propose(ctx context.Context, cmd commit.Command) (commit.Result, error) {
	reply, err := c.Leader.Do(ctx, &link.LeaderRequest{Op: link.OpPropose, Entry: commit.EncodeEntry(cmd)})
	if err != nil {
		return commit.Result{}, err
	}
	rs, err := commit.DecodeResults(reply.Result)
	if err == nil && len(rs) != 1 {
		err = fmt.Errorf("%d results of one command", len(rs))
	}
	if err != nil {
		return commit.Result{}, fmt.Errorf("%w: %w", wire.ErrUnknown, err)
	}
	return rs[0], nil
}

// Atomic runs a block. Opener is the turn that it is begun in; nil outside any.
func (c *Coordinator) Atomic(ctx context.Context, cl wire.Closure, opener host.Opener) error {
	if wire.BlockOf(ctx) != nil {
		return cl.Run(ctx)
	}
	ctx, cancel := link.Bounded(ctx)
	defer cancel()
	x, err := c.begin(ctx, cl, opener)
	if err != nil {
		return err
	}
	for {
		v := x.attempt(ctx)
		switch v.Action {
		case commit.Answer:
			if v.Committed {
				return nil
			}
			return x.answered(v)
		case commit.InDoubt:
			return &wire.InDoubt{ID: wire.BlockID(x.id)}
		case commit.Fail:
			if errors.Is(v.Err, commit.ErrClientGone) {
				c.forgotten(x.id.Client)
			}
			if x.failed != nil { // the function's own error
				return x.failed
			}
			return fmt.Errorf("atomic block %v: %w: %w", x.id, wire.ErrAborted, v.Err)
		}
		if err := x.again(ctx, v); err != nil {
			return err
		}
	}
}

// execution is one block from its first attempt to its end.
type execution struct {
	*Coordinator
	cl     wire.Closure
	opener host.Opener
	id     commit.ID
	rooted bool       // the id is that of a call from outside, whose reply is kept
	using  sync.Mutex // of block: what an earlier attempt has left behind may come late
	block  *commit.Block
	failed error // what the function returned, when that is the block's end
	tries  int
}

func (c *Coordinator) begin(ctx context.Context, cl wire.Closure, opener host.Opener) (*execution, error) {
	x := &execution{Coordinator: c, cl: cl, opener: opener}
	var before uint32
	if opener != nil {
		var root wire.BlockID
		if root, before = opener.Root(); !root.IsZero() {
			x.id, x.rooted = commit.ID(root), true
		}
	}
	if !x.rooted {
		n, err := c.number(ctx)
		if err != nil {
			return nil, fmt.Errorf("beginning an atomic block: %w: %w", wire.ErrAborted, err)
		}
		x.id = commit.ID{Client: n, Seq: c.sequence.Add(1)}
	}
	ts := commit.Timestamp{Time: time.Now().UnixNano(), Client: x.id.Client, Seq: x.id.Seq}
	x.block = commit.NewBlockAfter(x.id, ts, before)
	return x, nil
}

// attempt runs the function once and, if it goes well, has the attempt decided.
func (x *execution) attempt(ctx context.Context) commit.Verdict {
	x.failed = nil
	x.using.Lock()
	branch := link.RootBranch(x.block, x.Addr, &x.using)
	x.using.Unlock()
	name := branch.Holder.Attempt
	inside, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	x.mu.Lock()
	x.attempts[name] = &running{branch, stop}
	x.mu.Unlock()
	if x.opener != nil {
		x.opener.Open(branch)
	}
	err := x.run(wire.WithBlock(inside, branch), branch)
	doom := branch.Err()
	if err == nil && doom == nil && ctx.Err() == nil {
		return x.submit(ctx, branch)
	}
	if ctx.Err() != nil {
		return x.abandon(branch, fmt.Errorf("the caller's context ended: %w", context.Cause(ctx)))
	}
	if doom == nil {
		// The function refused. What it has read may be what another block has not committed yet, or
		// never will: an answer is given only if it was true.
		if doom = x.validate(ctx, branch); doom == nil {
			x.failed = err
			return x.abandon(branch, err)
		}
	}
	if err != nil && !passing(doom) {
		x.failed = err
		return x.abandon(branch, err)
	}
	return x.abandon(branch, nil)
}

// run calls the function. One that panics, or ends its goroutine, leaves nothing behind.
func (x *execution) run(ctx context.Context, branch *link.Branch) error {
	returned := false
	defer func() {
		if !returned && !x.faults.leavePanics {
			x.abandon(branch, errPanicked)
		}
	}()
	err := x.cl.Run(ctx)
	returned = true
	return err
}

var errPanicked = errors.New("the block's function panicked")

// passing says whether an attempt that failed for this reason may go better the next time.
func passing(doom error) bool {
	for _, e := range []error{commit.ErrWounded, commit.ErrConflict, commit.ErrContradiction, wire.ErrUnknown, wire.ErrAborted} {
		if errors.Is(doom, e) {
			return true
		}
	}
	return false
}

// abandon ends an attempt that was not submitted.
func (x *execution) abandon(branch *link.Branch, err error) (v commit.Verdict) {
	branch.With(func(b *commit.Block) {
		v = b.Abandon(err)
		if v.Err == nil {
			v.Err = commit.ErrWounded
		}
	})
	if x.opener != nil {
		x.opener.Close(branch)
	}
	x.end(branch, link.Notice{Kind: link.NoticeAborted, Attempt: branch.Holder.Attempt})
	return v
}

// validate says whether all that the attempt has read is committed and current; conflict if not.
func (x *execution) validate(ctx context.Context, branch *link.Branch) error {
	var reads []commit.Read
	branch.With(func(b *commit.Block) { reads = b.Reads() })
	if len(reads) == 0 {
		return nil
	}
	reply, err := x.Leader.Do(ctx, &link.LeaderRequest{Op: link.OpValidate, Reads: reads})
	if err != nil {
		return fmt.Errorf("validating what was read: %w: %w", commit.ErrConflict, err)
	}
	if len(reply.Stale) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %v", commit.ErrConflict, reply.Stale[0].Key)
}

// submit has the attempt decided. It returns when that is known, or when ctx ends: then the block is in
// doubt for the caller, and goes on being looked after.
func (x *execution) submit(ctx context.Context, branch *link.Branch) commit.Verdict {
	var reply []byte
	var has bool
	if x.rooted {
		reply, has = x.cl.Encode(x.opener.Result())
	}
	var d commit.Decision
	var err error
	branch.With(func(b *commit.Block) { d, err = b.Submit(reply, has) })
	if err != nil {
		return x.abandon(branch, nil)
	}
	if x.opener != nil {
		x.opener.Close(branch)
	}
	if len(d.Reads)+len(d.Writes)+len(d.Ops) == 0 && !x.rooted {
		branch.With(func(b *commit.Block) { b.Resolved(commit.Result{Code: commit.Committed, Attempt: d.Attempt}) })
		x.end(branch, link.Notice{Kind: link.NoticeCommitted, Attempt: d.Attempt})
		return commit.Verdict{Action: commit.Answer, Committed: true}
	}
	x.tell(branch, link.Notice{Kind: link.NoticeSubmitted, Attempt: d.Attempt})
	verdict := make(chan commit.Verdict, 1) // one: the only send never waits
	x.settle.Add(1)
	go func() {
		defer x.settle.Done()
		deadline, cancel := context.WithTimeout(x.life, x.Settle)
		defer cancel()
		verdict <- x.decide(deadline, branch, d)
	}()
	select {
	case v := <-verdict:
		return v
	case <-ctx.Done():
		select {
		case v := <-verdict:
			return v
		default:
			return commit.Verdict{Action: commit.InDoubt}
		}
	}
}

// decide submits the decision until its outcome is known, and tells the participants.
func (x *execution) decide(ctx context.Context, branch *link.Branch, d commit.Decision) (v commit.Verdict) {
	var cmd commit.Command = d
	for tries := 0; ; tries++ {
		pause(ctx, tries)
		r, err := x.propose(ctx, cmd)
		branch.With(func(b *commit.Block) {
			switch {
			case err == nil:
				v = b.Resolved(r)
			case errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrDenied):
				// The log never takes it. That is final for the block, and not lost.
				v = b.Resolved(commit.Result{Code: commit.Invalid, Attempt: d.Attempt})
				v.Err = err
			case errors.Is(err, wire.ErrNotExecuted) && b.Phase() == commit.Submitted && !x.faults.doubtAll:
				// No log has taken it, at no time: that is an abort, and no doubt.
				b.NotSubmitted()
				v = b.Abandon(err)
			case ctx.Err() != nil:
				v = b.GiveUp(err)
			case x.faults.loseIsAborted:
				v = b.Resolved(commit.Result{Code: commit.Refused, Attempt: d.Attempt})
			default:
				v = b.Lost()
			}
		})
		if v.Action != commit.Ask {
			break
		}
		cmd = v.Inquire
	}
	n := link.Notice{Attempt: d.Attempt}
	switch {
	case v.Action == commit.InDoubt:
		n.Kind = link.NoticeLost
	case v.Action == commit.Answer && v.Committed:
		n.Kind = link.NoticeCommitted
	default:
		n.Kind, n.Stale = link.NoticeAborted, v.Stale
	}
	x.end(branch, n)
	return v
}

// pause waits a little before a question to the log is repeated: the second time at once, then longer each time.
func pause(ctx context.Context, tries int) {
	if tries < 2 {
		return
	}
	t := time.NewTimer(min(time.Duration(tries)*5*time.Millisecond, 100*time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// answered gives the reply of an earlier attempt that has turned out to be committed.
func (x *execution) answered(v commit.Verdict) error {
	if !v.HasReply || x.opener == nil {
		return fmt.Errorf("atomic block %v: %w", x.id, wire.ErrReplyLost)
	}
	return x.cl.Restore(x.opener.Result(), v.Reply)
}

// again waits a little, gives the opener's turn up and gets it back, and begins the next attempt.
func (x *execution) again(ctx context.Context, v commit.Verdict) error {
	x.tries++
	over := func(err error) error {
		return fmt.Errorf("atomic block %v, after %d tries, the last ended by %w: %w: %w", x.id, x.tries, v.Err, wire.ErrAborted, err)
	}
	if x.tries > 1 {
		// A block that loses keeps its age and will win; the pause only lets the others finish.
		t := time.NewTimer(time.Duration(rand.Int64N(int64(min(x.tries, 16)) * int64(250*time.Microsecond))))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return over(context.Cause(ctx))
		}
	}
	x.using.Lock()
	x.block.Retry()
	next := x.block.Holder()
	x.using.Unlock()
	if x.opener != nil {
		if err := x.opener.Yield(next); err != nil {
			return over(err)
		}
	}
	if ctx.Err() != nil {
		return over(context.Cause(ctx))
	}
	return nil
}

// tell sends a notice to every silo where the attempt was.
func (c *Coordinator) tell(branch *link.Branch, n link.Notice) {
	var participants []commit.Participant
	branch.With(func(b *commit.Block) { participants = b.Participants() })
	told := map[string]bool{}
	for _, p := range participants {
		if !told[p.Node] {
			told[p.Node] = true
			c.Tell(p.Node, n)
		}
	}
	if !told[c.Addr] { // the opener's silo may have been wounded without being a participant
		c.Tell(c.Addr, n)
	}
}

// end records an attempt's outcome and tells it.
func (c *Coordinator) end(branch *link.Branch, n link.Notice) {
	c.mu.Lock()
	delete(c.attempts, n.Attempt)
	if len(c.ring) < keptNotices {
		c.ring = append(c.ring, n.Attempt)
	} else {
		delete(c.ended, c.ring[c.oldest])
		c.ring[c.oldest] = n.Attempt
		c.oldest = (c.oldest + 1) % keptNotices
	}
	c.ended[n.Attempt] = n
	c.mu.Unlock()
	c.tell(branch, n)
}
