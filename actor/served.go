package actor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// served is a request that is being served, and the context of its handler. It
// costs no timer and no channel unless somebody waits for its end.
type served struct {
	env      *Envelope
	from     origin
	handler  Handler
	size     int // bytes of the payload, as they were counted
	deadline time.Time
	next     *served // that waits in the same row

	mu      sync.Mutex
	err     error                    // once it has ended
	waiting atomic.Pointer[standard] // made for the first who asks for Done
}

// standard is a context of package context, which knows how to pass its end on.
type standard struct {
	context.Context
	cancel context.CancelFunc
}

// key names it among all that a node serves.
func (s *served) key() callKey {
	return callKey{s.from.peer, s.env.SenderIncarnation, s.env.Id, s.from.channel}
}

// Deadline implements context.Context.
func (s *served) Deadline() (time.Time, bool) { return s.deadline, true }

// Done implements context.Context.
func (s *served) Done() <-chan struct{} {
	if w := s.waiting.Load(); w != nil {
		return w.Done()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting.Load()
	if w == nil {
		w = new(standard)
		if s.err == context.Canceled { // before its deadline, which may have passed meanwhile
			w.Context, w.cancel = context.WithCancel(context.Background())
			w.cancel()
		} else {
			w.Context, w.cancel = context.WithDeadline(context.Background(), s.deadline)
		}
		s.waiting.Store(w)
	}
	return w.Done()
}

// Err implements context.Context.
func (s *served) Err() error {
	if w := s.waiting.Load(); w != nil {
		return w.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !time.Now().Before(s.deadline) {
		s.err = context.DeadlineExceeded
	}
	return s.err
}

// Value implements context.Context. It has none of its own: package context
// finds by it what it has to tell of the end, after it has asked for Done.
func (s *served) Value(key any) any {
	if w := s.waiting.Load(); w != nil {
		return w.Value(key)
	}
	return nil
}

// end cancels it, unless its deadline has ended it.
func (s *served) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = context.Canceled
	}
	if w := s.waiting.Load(); w != nil {
		w.cancel()
	}
}

// callKey names a request among all that a node serves.
type callKey struct {
	peer        *peer
	incarnation uint64
	id          uint64
	channel     Channel
}

// servedTable holds the requests that are being served and that somebody waits
// for.
type servedTable struct {
	shard [shards]struct {
		sync.Mutex
		requests map[callKey]*served
		_        [48]byte // a cache line each
	}
}

func (t *servedTable) init() {
	for i := range t.shard {
		t.shard[i].requests = map[callKey]*served{}
	}
}

// add reports false when the request is being served already.
func (t *servedTable) add(r *served) bool {
	k := r.key()
	s := &t.shard[k.id%shards]
	s.Lock()
	defer s.Unlock()
	if _, twice := s.requests[k]; twice {
		return false
	}
	s.requests[k] = r
	return true
}

// remove reports whether the request had not been cancelled.
func (t *servedTable) remove(k callKey) bool { return t.take(k) != nil }

func (t *servedTable) take(k callKey) *served {
	s := &t.shard[k.id%shards]
	s.Lock()
	defer s.Unlock()
	r := s.requests[k]
	if r != nil {
		delete(s.requests, k)
	}
	return r
}

func (t *servedTable) cancel(k callKey) {
	if r := t.take(k); r != nil {
		r.end()
	}
}

func (t *servedTable) cancelFrom(p *peer, ch Channel) {
	t.cancelIf(func(k callKey, _ *served) bool { return k.peer == p && k.channel == ch })
}

// cancelOver cancels what came over one connection.
func (t *servedTable) cancelOver(r *row) {
	t.cancelIf(func(_ callKey, s *served) bool { return s.from.row == r })
}

func (t *servedTable) cancelAll() {
	t.cancelIf(func(callKey, *served) bool { return true })
}

func (t *servedTable) cancelIf(which func(callKey, *served) bool) {
	var ended []*served
	for i := range t.shard {
		s := &t.shard[i]
		s.Lock()
		for k, r := range s.requests {
			if which(k, r) {
				ended = append(ended, r)
				delete(s.requests, k)
			}
		}
		s.Unlock()
	}
	for _, r := range ended { // outside the locks: it runs others' code
		r.end()
	}
}
