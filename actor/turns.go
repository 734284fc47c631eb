package actor

import (
	"context"
	"sync"
	"sync/atomic"
)

// defaultWaiters bounds the callers that wait for one turn.
const defaultWaiters = 4096

// Turns grants one turn at a time, in the order of asking. The zero value is
// ready. An uncontended Lock and Unlock are two atomic operations; waiting
// blocks the caller's goroutine and nothing else.
type Turns struct {
	// Limit bounds the waiters; more are refused. Default 4,096. Set before use.
	Limit int32

	state   atomic.Uint32
	mu      sync.Mutex // guards waiting, and every change of state but the two fast ones
	waiting []*turn    // FIFO; nil while nobody waits
}

const (
	turnHeld    = 1 << iota // somebody has the turn
	turnWaiters             // waiting is not empty: Unlock must hand over
	turnClosed              // no turn is granted any more
)

// turn is a waiter. Its channel has room for the one answer that it gets.
type turn struct{ answer chan error }

// Lock waits for the turn. It returns an error that is [ErrNotExecuted] when
// ctx ends first (the context's error is wrapped too), when too many wait, or
// when the lock is closed. A ctx that has already ended does not refuse a turn
// that is free.
func (t *Turns) Lock(ctx context.Context) error {
	if t.state.CompareAndSwap(0, turnHeld) {
		return nil
	}
	w, err := t.enqueue()
	if w == nil {
		return err
	}
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	for i, other := range t.waiting {
		if other == w {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			t.settle()
			t.mu.Unlock()
			return &turnError{"gave up waiting for the turn", ctx.Err()}
		}
	}
	t.mu.Unlock()
	// It was answered meanwhile: a turn that nobody will use goes to the next.
	if err := <-w.answer; err != nil {
		return err
	}
	t.Unlock()
	return &turnError{"gave up waiting for the turn", ctx.Err()}
}

// enqueue takes the turn (nil, nil), refuses (nil, error), or waits.
func (t *Turns) enqueue() (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := t.Limit
	if limit <= 0 {
		limit = defaultWaiters
	}
	for {
		s := t.state.Load()
		switch {
		case s&turnClosed != 0:
			return nil, &turnError{reason: "closed"}
		case s == 0:
			if t.state.CompareAndSwap(0, turnHeld) {
				return nil, nil
			}
		case len(t.waiting) >= int(limit):
			return nil, &turnError{reason: "overloaded: too many wait for the turn"}
		case t.state.CompareAndSwap(s, s|turnWaiters):
			w := &turn{make(chan error, 1)}
			t.waiting = append(t.waiting, w)
			return w, nil
		}
	}
}

// TryLock takes the turn if it is free.
func (t *Turns) TryLock() bool { return t.state.CompareAndSwap(0, turnHeld) }

// Unlock ends the turn; the longest waiting caller has it next. Only the
// holder may call it.
func (t *Turns) Unlock() {
	if t.state.CompareAndSwap(turnHeld, 0) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Load()&turnHeld == 0 {
		panic("actor: Unlock of a turn that nobody holds")
	}
	if len(t.waiting) == 0 {
		t.state.And(^uint32(turnHeld | turnWaiters))
		return
	}
	next := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	t.settle()
	next.answer <- nil // the held bit stays: the turn is next's
}

// settle clears the waiters' bit, and frees the queue, when nobody waits. t.mu
// is held.
func (t *Turns) settle() {
	if len(t.waiting) == 0 {
		t.waiting = nil
		t.state.And(^uint32(turnWaiters))
	}
}

// Close refuses all waiters at once and all later callers, with an error that
// is [ErrNotExecuted]. The turn in progress goes on to its Unlock.
func (t *Turns) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Or(turnClosed)
	for _, w := range t.waiting {
		w.answer <- &turnError{reason: "closed while waiting for the turn"}
	}
	t.waiting = nil
	t.settle()
}

type turnError struct {
	reason string
	cause  error
}

func (e *turnError) Error() string {
	if e.cause != nil {
		return ErrNotExecuted.Error() + ": " + e.reason + ": " + e.cause.Error()
	}
	return ErrNotExecuted.Error() + ": " + e.reason
}

func (e *turnError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrNotExecuted}
	}
	return []error{ErrNotExecuted, e.cause}
}
