package consensus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// batchFull is how many waiting bytes justify a second batch in flight.
	batchFull = 256 << 10
	// batchLimit ends a batch; one entry alone may be larger.
	batchLimit = 1 << 20
	// inFlightLimit is how many batches may be on their way at once: one that
	// is being written, one that is being packed behind it.
	inFlightLimit = 2
	// enqueueTimeout bounds how long raft may take to accept a batch. Raft's
	// queue is far longer than inFlightLimit, so it expires only on a raft that
	// does not run.
	enqueueTimeout = 2 * time.Second
)

// Pending is an entry on its way. Its outcome arrives once; any number of
// goroutines may wait for it.
type Pending struct {
	entry    []byte
	read     bool // a question for a position: no entry, no doubt
	queue    *queue
	sent     bool // guarded by queue.mu
	done     chan struct{}
	result   []byte // read after done
	position uint64
	err      error
}

// Done is closed when the outcome is known.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait returns the state machine's answer to the entry. When ctx ends first,
// an entry that has not reached the log is withdrawn (ErrNotSubmitted) and one
// that has is left to its fate (ErrInDoubt); Wait may then be called again.
func (p *Pending) Wait(ctx context.Context) ([]byte, error) {
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
	}
	if p.queue.withdraw(p, ctx.Err()) {
		return nil, p.err
	}
	select {
	case <-p.done: // both ended at once: the outcome is worth more
		return p.result, p.err
	default:
		return nil, &InDoubt{Cause: ctx.Err()}
	}
}

// Position is where the entry was applied, once Done is closed without error.
func (p *Pending) Position() uint64 {
	<-p.done
	return p.position
}

func (p *Pending) resolve(result []byte, position uint64, err error) {
	p.result, p.position, p.err = result, position, err
	close(p.done)
}

// batch is a packed batch in flight.
type batch struct {
	data    []byte
	members []*Pending
	settled bool // guarded by queue.mu
}

// queue packs entries that wait into batches and hands them to raft.
//
// One goroutine (run) submits, so batches enter raft's log in the order of the
// queue. There is no timer: whatever waits when the previous batch returns goes
// together, which is nothing more than itself when the group is idle.
type queue struct {
	apply  func(data []byte, timeout time.Duration) raft.ApplyFuture
	ready  func() error // nil: submit; errHold: wait for a wake; else fail what waits
	leader func() Server

	wake    chan struct{} // capacity 1: a pending wake covers all that came before it
	stopped chan struct{}

	mu       sync.Mutex
	waiting  []*Pending
	bytes    int
	inFlight map[*batch]struct{}
	closed   bool
	idle     sync.WaitGroup // run

	batches, packed uint64 // for Stats
}

// errHold says that leadership is held but not confirmed yet.
var errHold = errors.New("leader's first entry is not applied yet")

func (q *queue) add(p *Pending) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.waiting = append(q.waiting, p)
	q.bytes += batchSize(p.entry)
	q.poke()
	return nil
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// withdraw takes p out of the queue, unless it has been sent.
func (q *queue) withdraw(p *Pending, cause error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.sent {
		return false
	}
	for i, other := range q.waiting {
		if other == p {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			q.bytes -= batchSize(p.entry)
			p.resolve(nil, 0, &NotSubmitted{Cause: cause})
			return true
		}
	}
	return false // resolved meanwhile
}

// run submits until the queue is closed.
func (q *queue) run() {
	defer q.idle.Done()
	for {
		select {
		case <-q.wake:
			for q.step() {
			}
		case <-q.stopped:
			return
		}
	}
}

// step submits one batch, and reports whether another may follow at once.
func (q *queue) step() bool {
	err := q.ready()
	q.mu.Lock()
	switch {
	case len(q.waiting) == 0 || q.closed:
		q.mu.Unlock()
		return false
	case err != nil && !errors.Is(err, errHold):
		q.failWaiting(err)
		q.mu.Unlock()
		return false
	case err != nil,
		len(q.inFlight) >= inFlightLimit,
		len(q.inFlight) > 0 && q.bytes < batchFull:
		q.mu.Unlock()
		return false
	}
	b := q.pack()
	q.mu.Unlock()
	future := q.apply(b.data, enqueueTimeout)
	// Raft forgets to answer entries that it had queued when it was shut down:
	// this goroutine may then stay until the process ends. The batch does not
	// depend on it, see close.
	go func() { q.finish(b, future) }()
	return true
}

// pack takes as many entries off the queue as one batch holds. Called under mu.
func (q *queue) pack() *batch {
	n, size := 0, 1
	for n < len(q.waiting) && (n == 0 || size+batchSize(q.waiting[n].entry) <= batchLimit) {
		size += batchSize(q.waiting[n].entry)
		n++
	}
	b := &batch{data: make([]byte, 1, size), members: q.waiting[:n:n]}
	b.data[0] = batchVersion
	for _, p := range b.members {
		p.sent = true
		q.bytes -= batchSize(p.entry)
		if !p.read {
			b.data = appendEntry(b.data, p.entry)
		}
		p.entry = nil
	}
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
	q.inFlight[b] = struct{}{}
	q.batches++
	q.packed += uint64(n)
	return b
}

// finish settles a batch by raft's answer.
func (q *queue) finish(b *batch, future raft.ApplyFuture) {
	err := classify(future.Error(), q.leader())
	var out outcome
	if err == nil {
		out, _ = future.Response().(outcome)
		if out.err != nil {
			err = &InDoubt{Cause: out.err}
		} else if out.term == 0 {
			err = &InDoubt{Cause: errors.New("raft returned no answer")}
		}
	}
	q.settle(b, out, err)
	q.poke()
}

func (q *queue) settle(b *batch, out outcome, err error) {
	q.mu.Lock()
	if b.settled {
		q.mu.Unlock()
		return
	}
	b.settled = true
	delete(q.inFlight, b)
	q.mu.Unlock()
	next := 0
	for _, p := range b.members {
		switch {
		case err != nil && p.read:
			p.resolve(nil, 0, q.readError(err))
		case err != nil:
			p.resolve(nil, 0, err)
		case p.read:
			last := out.first
			if n := len(out.results); n > 0 {
				last += uint64(n - 1)
			}
			p.resolve(nil, last, nil)
		default:
			p.resolve(out.results[next], out.first+uint64(next), nil)
			next++
		}
	}
}

// readError: a question that got no answer has done nothing, so its fate is
// never in doubt.
func (q *queue) readError(err error) error {
	var doubt *InDoubt
	if !errors.As(err, &doubt) {
		return err
	}
	switch {
	case errors.Is(doubt.Cause, raft.ErrLeadershipLost):
		return &NotLeader{Leader: q.leader()}
	case errors.Is(doubt.Cause, raft.ErrRaftShutdown):
		return ErrClosed
	}
	return &NotSubmitted{Cause: doubt.Cause}
}

// failWaiting resolves everything that has not been sent. Called under mu.
func (q *queue) failWaiting(err error) {
	for _, p := range q.waiting {
		p.resolve(nil, 0, err)
	}
	q.waiting, q.bytes = nil, 0
}

// stop refuses what waits and what comes; batches in flight go on.
func (q *queue) stop() {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.closed = true
	q.failWaiting(ErrClosed)
	q.mu.Unlock()
	close(q.stopped)
	q.idle.Wait()
}

// abandon settles what is still in flight, after raft has ended.
func (q *queue) abandon() {
	q.mu.Lock()
	var left []*batch
	for b := range q.inFlight {
		left = append(left, b)
	}
	q.mu.Unlock()
	for _, b := range left {
		q.settle(b, outcome{}, &InDoubt{Cause: raft.ErrRaftShutdown})
	}
}
