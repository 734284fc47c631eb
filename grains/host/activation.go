package host

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// activation is one grain in memory. Its turnstile says who runs; mu guards all fields below it, and is
// held only for a step, from wake to rest. There may be a million that are idle, so what only those need
// that are at work is apart.
type activation struct {
	core   wire.Core
	host   *Host
	kind   *wire.GrainKind
	next   *activation // in its shard, whose lock guards it and place
	place  uint32      // in the shard's row
	slot   uint16      // of the grant under which it began
	at     uint8       // its shard
	token  uint64      // as well
	number uint64      // names this activation, ever

	mu sync.Mutex
	*work
	impl      any // nil before the first turn
	cells     []*cell
	parting   *parting      // nil until somebody asks for it
	used      time.Duration // when a turn ended last, by the host's clock
	keep      time.Duration // until when it is not collected, as well
	ended     bool
	outwaited bool // it has ended, and a block waits until younger ones here are gone
	settled   bool // it has ended, and no turn is left
	stopping  bool // somebody waits for the turns that are left, to deactivate it
	dropped   bool // it is not told of its end
	vanished  bool // it is not in the table any more, and another may take its place
}

// work is what an activation has that is at work; only wake and rest set it.
type work struct {
	turnstile commit.Turnstile
	waiting   map[commit.CallID]*waiter
	inside    []commit.CallID // have the turn; what came back inside of a call comes after it
	turns     []*turn         // all that have begun and are not over, those that were given up for a while too
	changed   chan struct{}   // closed at the next change of inside, or of a turn's waits; nil while nobody waits for one
	yielded   int             // turns that were given up for a while
	streams   *wire.Streams   // nil while there are none
}

// spare is work that nobody has, as good as new.
var spare = sync.Pool{New: func() any { return &work{waiting: map[commit.CallID]*waiter{}} }}

// parting is how others wait for the end of an activation.
type parting struct {
	quiet chan struct{} // closed when it has ended and no turn is left
	gone  chan struct{} // closed when another activation may take its place
}

// wake locks mu.
func (a *activation) wake() {
	a.mu.Lock()
	if a.work == nil {
		a.work = spare.Get().(*work)
	}
}

// rest unlocks mu.
func (a *activation) rest() {
	if w := a.work; len(w.turns) == 0 && w.turnstile.Blank() && len(w.waiting) == 0 && w.changed == nil && w.yielded == 0 && (w.streams == nil || w.streams.Empty()) {
		a.work, w.streams = nil, nil
		_ = w.turnstile.Warm() // another activation may have its first turn behind it
		spare.Put(w)
	}
	a.mu.Unlock()
}

// part is how others wait for the end; mu is held.
func (a *activation) part() *parting {
	if a.parting == nil {
		a.parting = &parting{quiet: make(chan struct{}), gone: make(chan struct{})}
		if a.settled {
			close(a.parting.quiet)
		}
		if a.vanished {
			close(a.parting.gone)
		}
	}
	return a.parting
}

// gone is closed when another activation may take the place of this one.
func (a *activation) gone() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.part().gone
}

// grant is what it began under.
func (a *activation) grant() view.Grant {
	return view.Grant{Kind: a.id().Kind(), Slot: int(a.slot), Token: a.token}
}

// waiter is a call that waits for the turn or the lock.
type waiter struct {
	granted bool
	done    chan struct{}
	back    bool // it is a turn that was given up and comes back, or a part of one: whatever happens, it gets what it waits for
}

// cell is one state field, and what is known of its version.
type cell struct {
	wire.Cell
	key      commit.StateKey
	versions commit.Versions
	owner    commit.Attempt // that touched it last
	dirty    bool           // holds a draft of owner's
}

func newActivation(h *Host, at uint8, id wire.ID, kind *wire.GrainKind, grant view.Grant) *activation {
	a := &activation{
		host: h, kind: kind, slot: uint16(grant.Slot), at: at, token: grant.Token, number: h.epoch + uint64(h.number(at)), used: h.Now(),
	}
	a.core = wire.NewCore(id, a)
	return a
}

// id names the grain.
func (a *activation) id() wire.ID { return a.core.ID() }

// running is a call to be admitted.
type running struct {
	from   *turn
	chain  []link.Link
	in     *link.Branch
	by     view.Grant // of the grain that calls; zero: none does
	root   wire.BlockID
	after  uint32
	method wire.Handler
	name   string
	traits wire.Traits
	what   runner
	own    bool // the host's, for its own ends: of no interest to interceptors, and not bounded
	size   int  // of the arguments, where they came encoded
	// admitted is called when the call has the turn, or waits for it; nil as a rule.
	admitted func()
}

// shares says whether the call may have the turn together with others. In a block it may not: there to have
// the turn is a lock.
func (r *running) shares() bool { return r.traits.ReadOnly && r.in == nil }

// runner calls a method; a wire.Invocation is one.
type runner interface {
	Run(ctx context.Context, impl any) error
}

// verdict is what became of a call at an activation.
type verdict uint8

const (
	notRun   verdict = iota // the method was not called, and will not be
	ran                     // the method's own error, if any
	unproven                // it may have run, and its reply must not be believed
)

// run admits a call, runs it and lets the next one in. Where it was not run the error is errEnded, a
// *view.Refusal, a *view.StaleToken or a *wire.CallError.
func (a *activation) run(ctx context.Context, r running) (verdict, error) {
	t := &turn{
		Context: ctx, activation: a, call: a.host.number(a.at),
		from: r.from, chain: r.chain, in: r.in, root: r.root, after: r.after, method: r.method,
	}
	if r.traits.ReadOnly {
		t.traits |= readOnly
	}
	if r.traits.Reentrant {
		t.traits |= reentrant
	}
	back, err := a.back(t, &r)
	if err != nil {
		return notRun, err
	}
	if err := a.admit(&r); err != nil {
		return notRun, err
	}
	defer a.release(&r)
	inside, err := a.enter(ctx, t, back, &r)
	if err != nil {
		return notRun, err
	}
	defer a.exit(t)
	// Having the turn comes before this question: who seals the slot asks for the turns after its silo has
	// published that, and so sees this one or has it refused here.
	if err := a.begin(r.by, inside); err != nil {
		return notRun, err
	}
	impl, err := a.ready(t, r.name)
	if err == nil {
		if len(a.host.Incoming) == 0 || r.own {
			err = a.guard(r.name, func() error { return r.what.Run(t, impl) })
		} else {
			err = a.guard(r.name, func() error { return a.intercepted(t, impl, r) })
		}
	}
	if r.in != nil {
		a.report(r.in)
	}
	if lost := a.reply(t); lost != nil {
		if r.in != nil { // its block has no effect: another attempt finds the grain where it is now
			err := &wire.CallError{To: a.id(), Method: r.name, Cause: wire.ErrAborted, Detail: lost.Error()}
			r.in.Doom(err)
			return ran, err
		}
		return unproven, &wire.CallError{To: a.id(), Method: r.name, Cause: wire.ErrUnknown, Call: r.root, Detail: lost.Error()}
	}
	return ran, err
}

// enter waits until the call has the turn, and says whether it is a part of another one. A call that would
// wait where no turn may start is refused at once.
func (a *activation) enter(ctx context.Context, t *turn, back back, r *running) (inside bool, err error) {
	var by commit.Holder
	if t.in != nil {
		by = t.in.Holder
		a.host.presence.join(by.Attempt, t.in.Coordinator, a)
	}
	share := r.shares()
	a.wake()
	inside = a.isPart(back)
	if !inside && !a.ended && !a.turnstile.Passes(by, back.within, share) {
		a.rest()
		if err := a.begin(r.by, false); err != nil {
			return false, err
		}
		a.wake()
		inside = a.isPart(back)
		if !inside && !a.ended && !r.own && a.full() && !a.turnstile.Passes(by, back.within, share) {
			a.rest()
			return false, a.tooMany(r)
		}
	}
	if a.ended && !inside {
		var wounds []commit.Attempt
		if !a.host.faults.endInPeace {
			younger, out := a.turnstile.Outwait(by)
			a.outwaited = a.outwaited || younger
			wounds = a.signal(out)
		}
		a.rest()
		a.act(wounds)
		return false, errEnded
	}
	granted, w, wounds := a.arrive(t, by, back.within, share)
	if granted {
		a.turns = append(a.turns, t)
		a.has(t, share, inside && back.within != 0)
	} else {
		w.back = inside
	}
	a.rest()
	a.act(wounds)
	if r.admitted != nil {
		r.admitted()
	}
	if granted {
		return inside, nil
	}
	a.host.load.waiting.Add(1)
	err = a.await(ctx, t.call, w, patience)
	a.host.load.waiting.Add(-1)
	if err == nil {
		a.wake()
		a.turns = append(a.turns, t)
		a.has(t, share, inside && back.within != 0)
		a.rest()
		return inside, nil
	}
	if err != errRefused {
		a.host.load.expired.Add(1)
		return false, &wire.CallError{To: a.id(), Method: r.name, Cause: wire.ErrNotExecuted, Detail: "gave up waiting for its turn: " + err.Error(), Ended: wire.EndOf(ctx)}
	}
	a.wake()
	defer a.rest()
	if a.ended || t.in == nil {
		return false, errEnded
	}
	// The attempt is over, and has been heard of here before its call: no other try of the call may run.
	err = &wire.CallError{To: a.id(), Method: r.name, Cause: wire.ErrAborted, Detail: "the atomic block's attempt is over"}
	t.in.Doom(err)
	return false, err
}

// arrive asks for the turn; where it is not granted, w is what to wait for. a.mu is held.
func (a *activation) arrive(t *turn, by commit.Holder, within commit.CallID, share bool) (granted bool, w *waiter, wounds []commit.Attempt) {
	if a.impl == nil {
		a.turnstile.Cold()
	}
	var out []commit.Signal
	switch {
	case share && a.host.faults.readBeside:
		granted = true
	case share:
		granted, out = a.turnstile.Share(t.call, within)
	default:
		granted, out = a.turnstile.Arrive(t.call, by, within)
	}
	if !granted {
		w = a.wait(t.call)
	}
	return granted, w, a.signal(out)
}

// has notes that a call has the turn now; a.mu is held.
func (a *activation) has(t *turn, share, within bool) {
	a.inside = append(a.inside, t.call)
	if share {
		t.state |= sharing
	}
	if within {
		t.state |= nested
	}
}

// exit ends a turn.
func (a *activation) exit(t *turn) {
	a.wake()
	if a.used = t.looked; a.used == 0 {
		a.used = a.host.Now()
	}
	a.turns = slices.DeleteFunc(a.turns, func(o *turn) bool { return o == t })
	a.inside = slices.DeleteFunc(a.inside, func(c commit.CallID) bool { return c == t.call })
	if t.state&away != 0 {
		a.abandon(t)
	}
	t.state |= left
	a.tellChange()
	wounds := a.signal(a.turnstile.Leave(t.call))
	a.settle()
	a.rest()
	a.act(wounds)
	t.finish()
}

// change is closed at the next change of what turns wait for, and of who has the turn; a.mu is held.
func (a *activation) change() <-chan struct{} {
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return a.changed
}

// tellChange tells those who wait for one; a.mu is held.
func (a *activation) tellChange() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// alone waits until the calls that came back to the grain inside of call have left: one whose answer
// nobody waits for any more may still run, and no other turn may run beside it.
func (a *activation) alone(call commit.CallID) {
	a.wake()
	for a.inside[len(a.inside)-1] != call {
		changed := a.change()
		a.rest()
		<-changed
		a.wake()
	}
	a.rest()
}

// yield gives the turn of call up, to those who wait, and returns when it has come back. It comes back
// whatever happens meanwhile: the method that runs in it is not over. The error says that its block must not
// be tried again.
func (a *activation) yield(call commit.CallID, next commit.Holder) error {
	a.alone(call)
	a.wake()
	inside := a.inside
	a.inside = nil
	granted, out := a.turnstile.Yield(call, next)
	var w *waiter
	if !granted {
		w = a.wait(call)
		w.back = true
		a.yielded++
	}
	wounds := a.signal(out)
	a.rest()
	a.act(wounds)
	if !granted {
		<-w.done
		if !w.granted {
			a.regain(inside)
		}
	}
	a.wake()
	defer a.rest()
	a.inside = inside
	if !granted {
		a.yielded--
	}
	if a.outwaited { // another try would let an older block wait again
		return fmt.Errorf("%s ends: call anew: %w", a.id(), wire.ErrAborted)
	}
	return nil
}

// regain gets a yielded turn back, as a plain one, after another coordinator has taken its block over.
func (a *activation) regain(inside []commit.CallID) {
	a.wake()
	granted, out := a.turnstile.Arrive(inside[0], commit.Holder{}, 0)
	var w *waiter
	if !granted {
		w = a.wait(inside[0])
		w.back = true
	}
	wounds := a.signal(out)
	a.rest()
	a.act(wounds)
	if w != nil {
		<-w.done // nobody refuses a plain call that comes back
	}
	a.wake()
	defer a.rest()
	for _, call := range inside[1:] {
		a.turnstile.Arrive(call, commit.Holder{}, inside[0])
	}
}

// wait notes a waiting call; a.mu is held.
func (a *activation) wait(call commit.CallID) *waiter {
	w := &waiter{done: make(chan struct{})}
	a.waiting[call] = w
	return w
}

// await waits for a call to be granted what it waits for, and for patience, where that is not 0 and ctx has no
// deadline. It returns errRefused, errTooLong or ctx's error, after which the call waits no longer.
func (a *activation) await(ctx context.Context, call commit.CallID, w *waiter, patience time.Duration) error {
	var late <-chan time.Time
	if _, bounded := ctx.Deadline(); !bounded && patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	var err error
	select {
	case <-w.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = errTooLong
	}
	if err != nil {
		a.wake()
		if a.waiting[call] == w {
			delete(a.waiting, call)
			wounds := a.signal(a.turnstile.Cancel(call))
			a.rest()
			a.act(wounds)
			return err
		}
		a.rest() // answered meanwhile
	}
	if !w.granted {
		return errRefused
	}
	return nil
}

// signal tells waiters what the turnstile says and returns the wounds, to be acted on without a.mu.
func (a *activation) signal(signals []commit.Signal) (wounds []commit.Attempt) {
	for _, s := range signals {
		switch s.Kind {
		case commit.Wound:
			wounds = append(wounds, s.Attempt)
		case commit.Grant, commit.Refuse:
			if w := a.waiting[s.Call]; w != nil {
				delete(a.waiting, s.Call)
				w.granted = s.Kind == commit.Grant
				close(w.done)
			}
		}
	}
	return wounds
}

// act tells coordinators that older blocks need what their attempts hold; a.mu is not held.
func (a *activation) act(wounds []commit.Attempt) {
	for _, v := range wounds {
		if coordinator, ok := a.host.presence.wounded(v); ok {
			a.host.Blocks.Wound(coordinator, v)
		}
	}
}

// guard turns a panic of user code into an error, with its stack in the log.
func (a *activation) guard(method string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = a.Panicked(method, p, debug.Stack())
		}
	}()
	return f()
}
