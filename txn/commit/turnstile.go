package commit

import "slices"

// CallID names one call at one activation; the host gives them out, from 1.
type CallID uint64

// Holder says for which attempt of which block a call runs. The zero Holder is a plain call.
type Holder struct {
	Attempt   Attempt
	Timestamp Timestamp
}

// IsPlain says whether h is of no block.
func (h Holder) IsPlain() bool { return h.Attempt.IsZero() }

// before orders blocks by who may wound whom. A later attempt of one block goes before an earlier one,
// which is over and only has not said so here.
func (h Holder) before(o Holder) bool {
	if h.Attempt.ID == o.Attempt.ID {
		return h.Attempt.N > o.Attempt.N
	}
	return h.Timestamp.Older(o.Timestamp)
}

// SignalKind says what the host must do.
type SignalKind uint8

const (
	// Grant: what Call waited for is its own now.
	Grant SignalKind = iota + 1
	// Wound: tell the coordinator of Attempt that an older block needs what the attempt holds here. It
	// comes once for each attempt; see [Turnstile.Wounded] for telling again. A coordinator whose
	// attempt is over answers with its outcome, and the host then calls Release.
	Wound
	// Refuse: Call waits no longer and has nothing.
	Refuse
)

// Signal is what a [Turnstile] asks of its host.
type Signal struct {
	Kind    SignalKind
	Call    CallID  // of Grant and Refuse
	Attempt Attempt // of Wound
}

// Turnstile admits calls to one activation of a grain: who runs a turn, and which attempt holds the
// lock of its transactional state. The zero Turnstile is open and idle. It is not safe for concurrent
// use: the host guards it, and acts on signals after that. The signals that a method returns are valid
// until the next call of any method.
//
// # Who waits for what
//
// A plain call waits for the turn. A call of a block waits, at admission, for the turn and for the
// lock to be free or its own, so that one that must wait for the lock does not keep the turn from the
// one that holds it. Only a call that opened its block in its own turn waits for the lock inside it.
// What waits holds nothing here but that.
//
// # Who shares the turn
//
// Calls that only read may have the turn together ([Turnstile.Share]), and no other call with them. They
// are plain: a call of a block never shares, because to have the turn is a lock there, and one that is
// about to open a block makes the turn its own first ([Turnstile.Alone]), for which it gives up its share:
// two that waited for each other's with their own in hand would wait for ever.
//
// # Why there is no deadlock
//
// A block that waits for what a younger one holds, lock or turn, wounds it; a wounded attempt is
// aborted by its coordinator and gives up both, its opener's turn too ([Turnstile.Yield]). So among
// blocks only younger ones go on waiting for older ones, and that order has no cycle. A submitted
// attempt waits for the log alone. Turns of plain calls take no part: calls that wait for each other
// in a ring without a block end by their deadlines, and so does a block that was opened below another
// grain's plain turn and needs that grain again.
//
// # Why nobody starves
//
// A plain call overtakes nobody, and is overtaken only by calls that a slot before it belongs to: the
// queue is a row of slots in order of arrival, those of blocks are filled by the oldest block that can
// run. So each grant brings a plain call nearer, and the oldest block, which keeps its timestamp over
// its retries, waits for no other block for long: they are wounded, or submitted, or done. A call that
// only reads does not join those that share the turn while anybody waits who could have it when they left.
type Turnstile struct {
	turn    turn
	readers []CallID // that share the turn, which is free for nobody else meanwhile
	cold    bool     // calls of Share have the turn alone
	lock    Holder   // zero: free
	lockHit bool     // lock's attempt was wounded
	inside  []lockWaiter
	queue   []waiter
	room    []waiter  // what queue is a part of, from its beginning
	ended   []Attempt // a ring of attempts that were released; their late calls are refused
	endedAt int
	closed  bool
	out     []Signal

	blindToTurns   bool // a fault for tests: turns do not count as held
	blindToReaders bool // another: who shares the turn keeps nobody from it
}

// turn is who runs: a call, and the calls of its own chain that came back to the grain.
type turn struct {
	call   CallID   // the first; 0 once it left
	nested []CallID // those inside it
	opener CallID   // which of them opened holder's block here; 0: it came with the call
	holder Holder   // whose block the turn counts for; zero: plain, or submitted
	hit    bool     // holder was wounded
	shared bool     // call would share it, were the turnstile not cold
}

func (t *turn) free() bool { return t.call == 0 && len(t.nested) == 0 }

func (t *turn) has(c CallID) bool {
	if t.call == c {
		return true
	}
	for _, n := range t.nested {
		if n == c {
			return true
		}
	}
	return false
}

func (t *turn) remove(c CallID) {
	if t.call == c {
		t.call, t.shared = 0, false
	}
	for i, n := range t.nested {
		if n == c {
			t.nested = append(t.nested[:i], t.nested[i+1:]...)
			break
		}
	}
	if t.opener == c || t.free() {
		t.opener, t.holder, t.hit = 0, Holder{}, false
	}
}

// waiter waits for the turn: a new call, one that gave up its share, or a whole turn that was yielded.
type waiter struct {
	call   CallID
	shared bool // it would share the turn
	by     Holder
	back   *turn // of a yielded one
}

type lockWaiter struct {
	call CallID
	by   Holder
}

// endedRing is how many released attempts an activation remembers to refuse their stragglers. Older
// stragglers are found by asking the coordinator of a lock that is held for long: see [Turnstile.Held].
const endedRing = 64

// Arrive asks for a turn for call. Within is the call of the same chain that has this turn already, 0
// if there is none: then call runs inside it. It returns true where call may run now; otherwise a
// Grant or Refuse follows, or had followed already among the signals.
func (t *Turnstile) Arrive(call CallID, by Holder, within CallID) (granted bool, out []Signal) {
	t.out = t.out[:0]
	if t.closed || !by.IsPlain() && t.isEnded(by.Attempt) {
		return false, t.emit(Signal{Kind: Refuse, Call: call})
	}
	if by.Attempt.N > 1 {
		t.supersede(by)
	}
	if within != 0 && t.turn.has(within) {
		t.turn.nested = append(t.turn.nested, call)
		return true, nil
	}
	if t.vacant() && t.fits(by) {
		t.enter(call, by)
		return true, t.woundForWaiters()
	}
	t.push(waiter{call: call, by: by})
	return false, t.woundForWaiters()
}

// Share is Arrive for a plain call that only reads: it may have the turn together with others of its kind.
// Where within is one of those, call joins them though others wait, since they wait for what waits for it.
func (t *Turnstile) Share(call, within CallID) (granted bool, out []Signal) {
	t.out = t.out[:0]
	switch {
	case t.closed:
		return false, t.emit(Signal{Kind: Refuse, Call: call})
	case within != 0 && t.turn.has(within):
		t.turn.nested = append(t.turn.nested, call)
	case within != 0 && t.shares(within):
		t.readers = append(t.readers, call)
	case !t.turn.free() || t.contended():
		t.push(waiter{call: call, shared: true})
		return false, nil
	case t.cold: // nobody shares the turn then
		t.enter(call, Holder{})
		t.turn.shared = true
	default:
		t.readers = append(t.readers, call)
	}
	return true, nil
}

// Alone makes the turn that call shares its own, behind all who wait. Where it returns false call has no
// turn until Grant follows.
func (t *Turnstile) Alone(call CallID) (granted bool, out []Signal) {
	t.out = t.out[:0]
	if t.turn.has(call) {
		return true, nil
	}
	if !t.unshare(call) {
		return false, t.emit(Signal{Kind: Refuse, Call: call})
	}
	return t.requeue(waiter{call: call})
}

// Cold says that the grain is not activated yet: until Warm, calls of Share have the turn alone, so that
// the first of them can do it.
func (t *Turnstile) Cold() { t.cold = true }

// Warm ends that.
func (t *Turnstile) Warm() []Signal {
	t.out = t.out[:0]
	t.cold = false
	if t.turn.shared && t.turn.holder.IsPlain() && len(t.turn.nested) == 0 {
		t.readers = append(t.readers, t.turn.call)
		t.turn = turn{nested: t.turn.nested}
		t.admit()
	}
	return t.out
}

// Passes says whether a call that arrives now, or is to share the turn, would have it at once.
func (t *Turnstile) Passes(by Holder, within CallID, share bool) bool {
	switch {
	case within != 0 && t.Has(within):
		return true
	case share:
		return t.turn.free() && !t.contended()
	}
	return t.vacant() && t.fits(by)
}

// Has says whether call has the turn, alone or with others.
func (t *Turnstile) Has(call CallID) bool { return t.turn.has(call) || t.shares(call) }

func (t *Turnstile) shares(call CallID) bool { return slices.Contains(t.readers, call) }

// unshare says whether call shared the turn; it does no longer.
func (t *Turnstile) unshare(call CallID) bool {
	i := slices.Index(t.readers, call)
	if i < 0 {
		return false
	}
	last := len(t.readers) - 1
	t.readers[i] = t.readers[last]
	t.readers = t.readers[:last]
	return true
}

// vacant says whether one call may have the turn alone.
func (t *Turnstile) vacant() bool {
	return t.turn.free() && (len(t.readers) == 0 || t.blindToReaders)
}

// contended says whether anybody waits who could have the turn, were it free.
func (t *Turnstile) contended() bool {
	for i := range t.queue {
		if t.fits(t.queue[i].by) {
			return true
		}
	}
	return false
}

func (t *Turnstile) enter(call CallID, by Holder) {
	t.turn.call, t.turn.holder = call, by // a free turn has nothing else in it
}

// fits says whether a call of by could run if the turn were free.
func (t *Turnstile) fits(by Holder) bool {
	return by.IsPlain() || t.lock.IsPlain() || t.lock.Attempt == by.Attempt
}

// OpenBlock says that call, which has the turn, opened a block: from now on its turn counts as held by
// that block. It may be wounded at once, by an older block that waits here.
func (t *Turnstile) OpenBlock(call CallID, by Holder) []Signal {
	t.out = t.out[:0]
	if t.turn.has(call) && t.turn.holder.IsPlain() {
		t.turn.opener, t.turn.holder, t.turn.hit = call, by, false
	}
	return t.woundForWaiters()
}

// CloseBlock says that the block that call had opened is submitted or over: its turn is plain again.
func (t *Turnstile) CloseBlock(call CallID) {
	if t.turn.opener == call {
		t.turn.opener, t.turn.holder, t.turn.hit = 0, Holder{}, false
	}
}

// Yield gives up the turn that call opened a block in, after its attempt was aborted and released,
// and queues for it again, behind all who wait and are older or plain. Grant follows where it returns
// false; the turn comes back with all that had been inside, and without a block: OpenBlock follows
// for the next attempt.
func (t *Turnstile) Yield(call CallID, next Holder) (granted bool, out []Signal) {
	t.out = t.out[:0]
	if !t.turn.has(call) {
		return false, t.emit(Signal{Kind: Refuse, Call: call})
	}
	if t.closed {
		return true, nil
	}
	t.supersede(next)
	back := t.turn
	back.opener, back.holder, back.hit = 0, Holder{}, false
	t.turn = turn{}
	return t.requeue(waiter{call: call, by: next, back: &back})
}

// requeue lets who has just given up the turn wait for it again, behind the others.
func (t *Turnstile) requeue(w waiter) (granted bool, out []Signal) {
	t.push(w)
	t.admit()
	for i, s := range t.out {
		if s.Kind == Grant && s.Call == w.call {
			t.out = append(t.out[:i], t.out[i+1:]...)
			granted = true
			break
		}
	}
	return granted, t.woundForWaiters()
}

// Lock asks for the lock of the transactional state for a call that has the turn. It is true at once
// where the same attempt holds it already. A call that is refused still has its turn, and has to Leave.
func (t *Turnstile) Lock(call CallID, by Holder) (granted bool, out []Signal) {
	t.out = t.out[:0]
	switch {
	case by.IsPlain() || t.closed || !t.turn.has(call) || t.isEnded(by.Attempt):
		return false, t.emit(Signal{Kind: Refuse, Call: call})
	case t.lock.Attempt == by.Attempt:
		return true, nil
	case t.lock.IsPlain():
		t.lock, t.lockHit = by, t.turn.hit && t.turn.holder.Attempt == by.Attempt
		return true, t.woundForWaiters()
	}
	t.inside = append(t.inside, lockWaiter{call: call, by: by})
	return false, t.woundForWaiters()
}

// Leave says that call's turn ended. A lock that its attempt took stays.
func (t *Turnstile) Leave(call CallID) []Signal {
	t.out = t.out[:0]
	had := t.turn.has(call) || len(t.readers) > 0 && t.unshare(call)
	t.turn.remove(call)
	if t.Waiting() == 0 {
		return nil
	}
	if !had {
		t.dropQueued(call)
	}
	t.dropInside(call)
	return t.settle()
}

// Release frees what an attempt holds here, when it was submitted or aborted: its lock at once; a turn
// of its own counts as plain until it ends. Its calls that still wait are refused, and late ones will
// be; so are those of earlier attempts, which are over by then.
func (t *Turnstile) Release(a Attempt) []Signal {
	t.out = t.out[:0]
	t.release(a)
	return t.settle()
}

func (t *Turnstile) release(a Attempt) {
	t.end(a)
	if t.lock.Attempt == a {
		t.lock, t.lockHit = Holder{}, false
	}
	if t.turn.holder.Attempt == a {
		t.turn.opener, t.turn.holder, t.turn.hit = 0, Holder{}, false
	}
	t.refuse(func(by Holder) bool { return by.Attempt.ID == a.ID && by.Attempt.N <= a.N })
}

// Cancel says that call waits no longer. Nothing is said of it any more; if it had been granted
// meanwhile, it still has to Leave.
func (t *Turnstile) Cancel(call CallID) []Signal {
	t.out = t.out[:0]
	t.dropQueued(call)
	t.dropInside(call)
	return t.settle()
}

// Drop releases everything of a client whose ids have ended, see [End], and refuses its late calls.
func (t *Turnstile) Drop(client uint64) []Signal {
	t.out = t.out[:0]
	of := func(by Holder) bool { return !by.IsPlain() && by.Attempt.ID.Client == client }
	t.end(Attempt{ID: ID{Client: client}})
	if of(t.lock) {
		t.release(t.lock.Attempt)
	}
	if of(t.turn.holder) {
		t.release(t.turn.holder.Attempt)
	}
	t.refuse(of)
	return t.settle()
}

// Outwait says that a block's call, which is not let in any more, waits until what is here has ended. It
// wounds what is younger, as a call in the queue does, and says whether anything is.
func (t *Turnstile) Outwait(by Holder) (younger bool, out []Signal) {
	t.out = t.out[:0]
	t.woundFor(by, true)
	return t.lockHit || t.turn.hit, t.out
}

// Close refuses all that wait and all that come. What runs goes on until it leaves.
func (t *Turnstile) Close() []Signal {
	t.out = t.out[:0]
	t.closed = true
	t.refuse(func(Holder) bool { return true })
	return t.out
}

// Held returns the attempt that holds the lock. A host asks the coordinator of one that is held for
// long whether it still runs: a message may have been lost.
func (t *Turnstile) Held() (by Holder, ok bool) { return t.lock, !t.lock.IsPlain() }

// Wounded returns the attempts that were wounded and still hold something here, so that the host can
// tell their coordinators again.
func (t *Turnstile) Wounded() []Attempt {
	var as []Attempt
	if t.lockHit {
		as = append(as, t.lock.Attempt)
	}
	if t.turn.hit && !(t.lockHit && t.turn.holder.Attempt == t.lock.Attempt) {
		as = append(as, t.turn.holder.Attempt)
	}
	return as
}

// Idle says whether nothing runs, waits or is held, so that the activation may go.
func (t *Turnstile) Idle() bool {
	return t.vacant() && t.lock.IsPlain() && len(t.queue) == 0
}

// Blank says whether t is as good as a new one: nothing runs, waits or is held, nor is any attempt remembered.
func (t *Turnstile) Blank() bool {
	return t.Idle() && len(t.inside) == 0 && len(t.ended) == 0 && !t.closed
}

// Running says whether any call has the turn.
func (t *Turnstile) Running() bool { return !t.turn.free() || len(t.readers) > 0 }

// Waiting is how many calls wait.
func (t *Turnstile) Waiting() int { return len(t.queue) + len(t.inside) }

// Queued is how many of them wait for the turn.
func (t *Turnstile) Queued() int { return len(t.queue) }
