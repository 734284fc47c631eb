package commit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Participant is one grain that a block called, and where.
type Participant struct {
	Node       string // address of the silo
	Grain      wire.ID
	Activation uint64 // names this activation apart from every other of the grain, ever
}

// Record is what one participant did for one attempt so far, all of it; a later revision replaces an
// earlier one, so that records may come late, twice and out of order. A participant that only ran
// calls has a record without contents: it too must hear the outcome.
type Record struct {
	Participant Participant
	Revision    uint64
	Reads       []Read
	Writes      []Write
	Ops         []Operation
}

// Phase is how far an attempt is.
type Phase uint8

const (
	Running   Phase = iota + 1 // calls are made, records come in
	Submitted                  // its decision is on the way; it can be wounded no more
	Asking                     // its outcome was lost; the ledger is to be asked
	Ended                      // its outcome is known
)

// Action is what a coordinator does next.
type Action uint8

const (
	// Answer: the block is committed. Tell the participants, answer with Verdict.Reply if the attempt
	// that committed is not the one that just ran.
	Answer Action = iota + 1
	// Again: this attempt is aborted and another may run: tell the participants, then [Block.Retry].
	Again
	// Fail: the block is aborted for good. Tell the participants, return Verdict.Err.
	Fail
	// Ask: submit Verdict.Inquire and hand its result, or its loss, to [Block.Resolved] or
	// [Block.Lost]; who stops asking returns InDoubt.
	Ask
	// InDoubt: nobody will ever tell. The participants load their states again; return Verdict.Err, an
	// [InDoubtError].
	InDoubt
)

// Verdict is what an outcome means for a block.
type Verdict struct {
	Action    Action
	Committed bool    // whether the attempt that was submitted last committed: what participants are told
	Stale     []Read  // for Again after a conflict: the keys to load again
	Attempt   Attempt // with Answer: the one that committed
	Reply     []byte  // with Answer: what the log keeps
	HasReply  bool
	Inquire   Inquire // with Ask
	Err       error   // with Again, Fail and InDoubt
}

// Block is a coordinator's bookkeeping of one atomic block over its attempts. It is not safe for
// concurrent use. One attempt at a time: the next begins only when the ledger has said that the one
// before it is aborted, or when it was never submitted.
type Block struct {
	id      ID
	ts      Timestamp
	n       uint32
	phase   Phase
	doom    error // why this attempt cannot commit
	records map[wire.ID]*Record
	order   []wire.ID // in the order in which they joined
	own     []Operation
	unsure  bool // the submission's answer was lost: a Forgotten proves nothing
}

// NewBlock begins a block at its first attempt. Its timestamp is kept until it ends.
func NewBlock(id ID, ts Timestamp) *Block {
	b := &Block{id: id, ts: ts}
	b.begin()
	return b
}

// NewBlockAfter begins a block whose attempts up to n were made by another coordinator of the same ID
// and are aborted. N is the answer to an [Inquire] with Past: only so are the names of its attempts its
// own.
func NewBlockAfter(id ID, ts Timestamp, n uint32) *Block {
	b := &Block{id: id, ts: ts, n: n}
	b.begin()
	return b
}

func (b *Block) begin() {
	b.n++
	b.phase, b.doom, b.unsure = Running, nil, false
	b.records, b.order, b.own = map[wire.ID]*Record{}, nil, nil
}

// Attempt names the attempt that runs.
func (b *Block) Attempt() Attempt { return Attempt{ID: b.id, N: b.n} }

// Holder is what the attempt's calls carry.
func (b *Block) Holder() Holder { return Holder{Attempt: b.Attempt(), Timestamp: b.ts} }

// Phase says how far the attempt is.
func (b *Block) Phase() Phase { return b.phase }

// Err is why the attempt cannot commit; nil while it can.
func (b *Block) Err() error { return b.doom }

// Join notes that the attempt is about to call a grain, before the call leaves: even one that never
// answers must hear the outcome. Activation may be 0 where it is not known yet.
func (b *Block) Join(p Participant) {
	if r, ok := b.records[p.Grain]; ok {
		if r.Participant.Activation == 0 {
			r.Participant = p
		}
		return
	}
	b.records[p.Grain] = &Record{Participant: p}
	b.order = append(b.order, p.Grain)
}

// Merge takes in a participant's record of this attempt. Records of an earlier attempt are the
// caller's to drop. A record of another activation than before dooms the attempt, because what the
// first one did is lost.
func (b *Block) Merge(rec Record) error {
	if b.phase != Running {
		return b.doom
	}
	b.Join(rec.Participant)
	had := b.records[rec.Participant.Grain]
	switch {
	case had.Participant.Activation == 0 && had.Revision == 0:
		had.Participant = rec.Participant
	case had.Participant.Activation != rec.Participant.Activation:
		return b.Doom(fmt.Errorf("%w: %v was activated anew in the block's course", ErrContradiction, rec.Participant.Grain))
	}
	if rec.Revision > had.Revision {
		*had = rec
	}
	return b.doom
}

// Operate notes an operation on a variable by the block itself; those of participants come with their
// records.
func (b *Block) Operate(o Operation) { b.own = append(b.own, o) }

// Doom makes the attempt fail: a call inside it failed, so that what it did is not known. The first
// reason stays. It returns that, or nil where the attempt is submitted and it is too late.
func (b *Block) Doom(err error) error {
	if b.phase != Running {
		return nil
	}
	if b.doom == nil {
		b.doom = err
	}
	return b.doom
}

// Wound dooms attempt a for an older block. It returns true where a must now be stopped: its context
// cancelled, its participants told that it is aborted. Where it returns false, a is submitted, or over:
// then the participant that sent the wound is told the outcome again.
func (b *Block) Wound(a Attempt) bool {
	if a != b.Attempt() || b.phase != Running {
		return false
	}
	_ = b.Doom(ErrWounded)
	return true
}

// Participants lists all that must be told when the attempt is submitted and when it has ended, in the
// order in which they joined.
func (b *Block) Participants() []Participant {
	ps := make([]Participant, 0, len(b.order))
	for _, g := range b.order {
		ps = append(ps, b.records[g].Participant)
	}
	return ps
}

// Reads lists what the attempt's records have read so far, in no order; a state that two participants
// read is there twice.
func (b *Block) Reads() []Read {
	var reads []Read
	for _, g := range b.order {
		reads = append(reads, b.records[g].Reads...)
	}
	return reads
}

// Submit closes the attempt and returns its decision, with keys in order. From here on it cannot be
// wounded nor cancelled, only waited for. It fails where the attempt is doomed or its records
// contradict each other; then it is not submitted, and [Block.Abandon] follows.
func (b *Block) Submit(reply []byte, hasReply bool) (Decision, error) {
	if b.phase != Running {
		return Decision{}, fmt.Errorf("commit: block %v is not running", b.Attempt())
	}
	d := Decision{Attempt: b.Attempt(), Reply: reply, HasReply: hasReply}
	reads := map[StateKey]Attempt{}
	writes := map[StateKey]struct{}{}
	for _, g := range b.order {
		r := b.records[g]
		for _, read := range r.Reads {
			if v, ok := reads[read.Key]; ok {
				if v != read.Version {
					_ = b.Doom(fmt.Errorf("%w: %v as %v and as %v", ErrContradiction, read.Key, v, read.Version))
				}
				continue
			}
			reads[read.Key] = read.Version
			d.Reads = append(d.Reads, read)
		}
		for _, w := range r.Writes {
			if _, twice := writes[w.Key]; twice {
				_ = b.Doom(fmt.Errorf("%w: %v was written by two", ErrContradiction, w.Key))
				continue
			}
			writes[w.Key] = struct{}{}
			d.Writes = append(d.Writes, w)
		}
		d.Ops = append(d.Ops, r.Ops...)
	}
	if b.doom != nil {
		return Decision{}, b.doom
	}
	d.Ops = append(d.Ops, b.own...)
	slices.SortFunc(d.Reads, func(x, y Read) int { return x.Key.Compare(y.Key) })
	slices.SortFunc(d.Writes, func(x, y Write) int { return x.Key.Compare(y.Key) })
	b.phase = Submitted
	return d, nil
}

// Abandon ends an attempt that was not submitted: it was doomed, its function failed, or its caller
// went away. Err is why the block must not run again; nil where it may.
func (b *Block) Abandon(err error) Verdict {
	b.phase = Ended
	if err != nil {
		return Verdict{Action: Fail, Err: err}
	}
	return Verdict{Action: Again, Err: b.doom}
}

// NotSubmitted says that the log surely did not take the decision (not the leader, queue full): the
// same decision may be submitted again, elsewhere or later.
func (b *Block) NotSubmitted() {
	if b.phase == Submitted {
		b.phase = Running
	}
}

// Lost says that the outcome of the submission, or of the inquiry, did not arrive: leadership lost,
// shutdown, time-out, any raw error of the log. That is no failure: the ledger is to be asked. The
// question is about this attempt alone, so that the next can run if it was aborted.
func (b *Block) Lost() Verdict {
	b.phase, b.unsure = Asking, true
	return Verdict{Action: Ask, Inquire: Inquire{ID: b.id, N: b.n}}
}

// GiveUp ends a block whose outcome could not be learned in time.
func (b *Block) GiveUp(err error) Verdict {
	b.phase = Ended
	return Verdict{Action: InDoubt, Err: &InDoubtError{ID: b.id, Err: err}}
}

// Resolved takes in the ledger's answer to the decision, or to the inquiry after its loss.
func (b *Block) Resolved(r Result) Verdict {
	b.phase = Ended
	switch r.Code {
	case Committed, AlreadyCommitted:
		return Verdict{
			Action: Answer, Committed: r.Attempt == b.Attempt(),
			Attempt: r.Attempt, Reply: r.Reply, HasReply: r.HasReply,
		}
	case Conflict:
		return Verdict{Action: Again, Stale: r.Stale, Err: ErrConflict}
	case Aborted, Refused:
		if r.Attempt.N == AllAttempts {
			return Verdict{Action: Fail, Err: ErrRefused}
		}
		if r.Attempt.N > b.n { // the next attempts would be refused too, and those of another may commit
			return b.GiveUp(ErrTakenOver)
		}
		return Verdict{Action: Again, Err: cmp.Or(b.doom, ErrConflict)}
	case Invalid:
		if b.unsure && r.Attempt != b.Attempt() { // the inquiry was not understood: still unknown
			return b.GiveUp(errors.New(r.Reason))
		}
		return Verdict{Action: Fail, Err: fmt.Errorf("atomic block %v was refused: %s", b.id, r.Reason)}
	case Forgotten:
		if b.unsure {
			return b.GiveUp(ErrClientGone)
		}
		return Verdict{Action: Fail, Err: ErrClientGone}
	}
	return b.Lost()
}

// Retry begins the next attempt, after the verdict Again: same ID, same timestamp, next number.
func (b *Block) Retry() Attempt {
	if b.phase != Ended {
		panic("commit: Retry of an attempt that has not ended")
	}
	b.begin()
	return b.Attempt()
}
