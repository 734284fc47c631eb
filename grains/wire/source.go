package wire

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// StreamHost is what an activation does for the streams of its grain.
type StreamHost interface {
	// Streams returns the grain's open streams. It is called in a turn.
	Streams() *Streams
	// Panicked logs the panic of a method and returns what it is to its caller.
	Panicked(method string, value any, stack []byte) error
	// Yielded is asked in the turn of ctx when a method has yielded: an error says that it must not stand
	// still there, because it has opened an atomic block in the turn.
	Yielded(ctx context.Context) error
	// Aside waits as wait does, without the turn of ctx as far as that may be given up. The error is wait's, or
	// says that the turn must not go on.
	Aside(ctx context.Context, wait func() error) error
}

const (
	// mostStreams is how many streams of one activation may be open.
	mostStreams = 64
	// mostEnded is how many are kept that have ended, for a reader that has not got the last batch.
	mostEnded = 8
	// batchTime is for how long elements are waited for once there is one.
	batchTime = 20 * time.Millisecond
)

// DefaultPause is how long a stream is kept whose reader does not ask for more.
const DefaultPause = time.Minute

// Streams are the streams of an activation that somebody reads, and some that have ended. Its methods may be
// called from any goroutine; no lock is held while a method runs.
type Streams struct {
	// Room is what all streams of a silo share; nil: there is no bound.
	Room *StreamRoom

	pause  time.Duration
	expire func()

	mu    sync.Mutex
	all   map[uint64]*stream
	ended []uint64 // of all, those that have ended, the oldest first
	timer *time.Timer

	forget bool // a fault for tests: a batch is not kept
}

// ender is a source, whatever its elements.
type ender interface {
	end(ctx context.Context, why error)
}

// stream is what does not depend on the type of the elements.
type stream struct {
	source ender         // a *source of the method's types
	turn   chan struct{} // 1: holds a token while a call is at the source
	used   time.Time     // when the last call ended; guarded by Streams.mu
	over   bool          // the method has returned; guarded by Streams.mu
	takes  int64         // of the room; guarded by Streams.mu
}

// enter waits until no other call is at the source. That one may have given the grain's turn up, and have to come
// back into it.
func (n *stream) enter(ctx context.Context, host StreamHost) error {
	select {
	case n.turn <- struct{}{}:
		return nil
	default:
	}
	entered := false
	err := host.Aside(ctx, func() error {
		select {
		case n.turn <- struct{}{}:
			entered = true
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil && entered {
		<-n.turn
	}
	return err
}

// NewStreams returns no streams. One whose reader pauses for longer than pause, 0 standing for DefaultPause,
// is lost; then expire is called, on a goroutine of its own, and is to call Expire in a turn of the grain.
func NewStreams(pause time.Duration, expire func()) *Streams {
	if pause <= 0 {
		pause = DefaultPause
	}
	return &Streams{pause: pause, expire: expire, all: map[uint64]*stream{}}
}

// Empty says that nothing is kept.
func (s *Streams) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0
}

// Open is how many streams have not ended.
func (s *Streams) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) - len(s.ended)
}

func (s *Streams) get(id uint64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id]
}

// add keeps a stream, unless there is one of that id, which it returns, or there are too many.
func (s *Streams) add(id uint64, n *stream) (*stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.all[id]; had != nil {
		return had, true
	}
	if len(s.all)-len(s.ended) >= mostStreams {
		return nil, false
	}
	if !s.Room.take(n.takes) {
		return nil, false
	}
	n.used = time.Now()
	s.all[id] = n
	s.watch()
	return n, true
}

// leave ends a call at a stream, which is kept or not. One that is over, of which only the last batch is left, of
// that size, is kept where there is plenty of room.
func (s *Streams) leave(id uint64, n *stream, over, keep bool, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[id] != n {
		return
	}
	n.used = time.Now()
	if over && !n.over {
		n.over = true
		s.ended = append(s.ended, id)
		s.Room.give(n.takes - int64(size))
		n.takes = int64(size)
		keep = keep && s.Room.plenty()
	}
	if !keep {
		s.remove(id)
	}
	for len(s.ended) > mostEnded {
		s.remove(s.ended[0])
	}
}

// remove forgets a stream; s.mu is held.
func (s *Streams) remove(id uint64) {
	s.Room.give(s.all[id].takes)
	delete(s.all, id)
	for i, e := range s.ended {
		if e == id {
			s.ended = append(s.ended[:i], s.ended[i+1:]...)
			return
		}
	}
}

// watch sees to it that streams are lost in time; s.mu is held.
func (s *Streams) watch() {
	if s.timer == nil && len(s.all) > 0 {
		s.timer = time.AfterFunc(s.pause, s.look)
	}
}

// look forgets the streams that have ended some time ago, and has those ended that are not read.
func (s *Streams) look() {
	s.mu.Lock()
	s.timer = nil
	waits := s.pause
	var lost bool
	for id, n := range s.all {
		left := s.pause - time.Since(n.used)
		switch {
		case left > 0:
			waits = min(waits, left)
		case n.over:
			s.remove(id)
		case len(n.turn) == 0:
			lost = true
		}
	}
	if len(s.all) > 0 {
		s.timer = time.AfterFunc(waits, s.look)
	}
	s.mu.Unlock()
	if lost {
		s.expire()
	}
}

var (
	errPaused = errors.New("its reader has paused for too long")
	errGone   = errors.New("its grain has left its silo, or was idle")
)

// Expire ends the streams whose readers pause, in the turn of ctx.
func (s *Streams) Expire(ctx context.Context) {
	s.mu.Lock()
	var lost []*stream
	for id, n := range s.all {
		if n.over || time.Since(n.used) < s.pause {
			continue
		}
		select {
		case n.turn <- struct{}{}:
			lost = append(lost, n)
			s.remove(id)
		default: // it is being read
		}
	}
	s.mu.Unlock()
	for _, n := range lost {
		n.source.end(ctx, errPaused)
	}
}

// Close ends all streams. No turn of the grain runs.
func (s *Streams) Close() {
	s.mu.Lock()
	all := s.all
	s.all, s.ended = map[uint64]*stream{}, nil
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	for _, n := range all {
		s.Room.give(n.takes)
		n.turn <- struct{}{}
		n.source.end(context.Background(), errGone)
	}
}

// source is the grain's side of a stream. Whoever holds stream.turn uses it.
type source[A, R any] struct {
	m       *StreamMethod[A, R]
	host    StreamHost
	encoded bool // for a reader elsewhere
	next    func() (struct{}, bool)
	stop    func()
	own     context.Context // what the method was given
	cancel  context.CancelCauseFunc
	present present

	seq   uint64 // of last
	last  *batch[R]
	held  *batch[R] // an element that did not fit into last
	now   *batch[R] // is being filled
	size  int
	ended bool // the method has returned
	lost  bool // the method was ended
}

// present is the context of the turn that lets a method go on, as far as it is not the end of that turn: what
// the method was given lasts as long as its stream.
type present struct {
	turn atomic.Pointer[context.Context]
}

func (p *present) Deadline() (deadline time.Time, ok bool) {
	if ctx := p.turn.Load(); ctx != nil {
		return (*ctx).Deadline()
	}
	return time.Time{}, false
}

func (p *present) Done() <-chan struct{} { return nil }
func (p *present) Err() error            { return nil }

func (p *present) Value(key any) any {
	if ctx := p.turn.Load(); ctx != nil {
		return (*ctx).Value(key)
	}
	return nil
}

// pull answers one call of a stream, in the turn of ctx.
func (m *StreamMethod[A, R]) pull(ctx context.Context, impl any, p pull, encoded bool, args func() (A, error)) (*batch[R], error) {
	engine := engineOf(impl)
	host, ok := engine.(StreamHost)
	if !ok {
		return nil, ErrUnsupported
	}
	streams := host.Streams()
	n := streams.get(p.id)
	if n == nil && p.first() {
		a, err := args()
		if err != nil {
			return nil, err
		}
		if m.BindArgs != nil {
			a = m.BindArgs(engine, a)
		}
		s := m.open(host, impl, a, encoded)
		fresh := &stream{source: s, turn: make(chan struct{}, 1), takes: int64(batchBytes + len(p.args))}
		if n, ok = streams.add(p.id, fresh); n != fresh {
			s.stop() // it has not begun
		}
		if !ok {
			return &batch[R]{status: batchOverloaded, detail: "too many streams are open, of the grain or at its silo"}, nil
		}
	}
	if n == nil {
		return &batch[R]{status: batchLost, detail: "the grain does not know it: it has moved, was idle, or the reader has paused for too long"}, nil
	}
	s, ok := n.source.(*source[A, R])
	if !ok || s.encoded != encoded || s.m != m {
		return &batch[R]{status: batchLost, detail: "it is another's"}, nil
	}
	if err := n.enter(ctx, host); err != nil {
		if ctx.Err() != nil && err == ctx.Err() {
			return &batch[R]{status: batchCut, detail: "the context has ended of the call that asked for more: " + context.Cause(ctx).Error()}, nil
		}
		return nil, err
	}
	defer func() { <-n.turn }()
	if p.over {
		s.end(ctx, context.Canceled)
		streams.leave(p.id, n, true, false, 0)
		return &batch[R]{end: true}, nil
	}
	if streams.forget {
		s.seq, s.last = p.seq-1, &batch[R]{}
	}
	b := s.answer(ctx, p)
	// What has ended with its first batch is not asked for again, or may be run again.
	streams.leave(p.id, n, s.ended, !s.lost && !(s.ended && (s.seq == 0 || !encoded)), len(b.encoded))
	return b, nil
}

// open makes the source of a new stream; the method runs when its first element is asked for.
func (m *StreamMethod[A, R]) open(host StreamHost, impl any, a A, encoded bool) *source[A, R] {
	s := &source[A, R]{m: m, host: host, encoded: encoded}
	s.own, s.cancel = context.WithCancelCause(&s.present)
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if p := recover(); p != nil {
				var none R
				s.put(none, host.Panicked(m.Name, p, debug.Stack()), true)
			}
		}()
		for v, err := range m.Do(s.own, impl, a) {
			s.put(v, err, false)
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return s
}

// put adds an element to the batch that is being filled, as it is now: the method may go on changing it; or an
// error, of the method or of the host's own.
func (s *source[A, R]) put(v R, err error, own bool) {
	if s.now == nil { // it is being ended
		return
	}
	one := s.now
	if s.encoded {
		at := len(one.encoded)
		one.encoded = appendItem(one.encoded, v, err, own, s.m.Element, s.m.Errors)
		size := len(one.encoded) - at
		if at > 0 && len(one.encoded) > batchBytes {
			s.held = &batch[R]{encoded: append([]byte(nil), one.encoded[at:]...)}
			one.encoded = one.encoded[:at]
		}
		s.size += size
		return
	}
	i := item[R]{err: err}
	if err == nil {
		i.value = s.m.Element.Copy(v)
		s.size += s.measure(v)
	} else if !own {
		i.err = MethodError(err, s.m.Errors)
	}
	one.items = append(one.items, i)
}

// scratch is memory to measure elements in.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// measure is the size of an element's encoding.
func (s *source[A, R]) measure(v R) int {
	b := scratch.Get().(*[]byte)
	defer scratch.Put(b)
	*b = s.m.Element.Append((*b)[:0], v)
	size := len(*b)
	if size > batchBytes {
		*b = nil
	}
	return size
}

// answer is the batch that is asked for: the next one, or the last one again.
func (s *source[A, R]) answer(ctx context.Context, p pull) *batch[R] {
	switch {
	case s.lost:
		return &batch[R]{status: batchLost, detail: "it was ended"}
	case s.last != nil && p.seq == s.seq:
		return s.last
	case s.last != nil && p.seq != s.seq+1, s.last == nil && p.seq != 0:
		return &batch[R]{status: batchLost, detail: "what is asked for does not follow what was asked for"}
	}
	s.seq = p.seq
	s.last = s.fill(ctx, p.want)
	return s.last
}

// fill lets the method go on for a batch.
func (s *source[A, R]) fill(ctx context.Context, want int) *batch[R] {
	s.now, s.size = &batch[R]{}, 0
	some := s.held != nil
	if some {
		s.now, s.held = s.held, nil
		s.size, want = len(s.now.encoded), want-1
	}
	defer func() { s.now = nil }()
	s.present.turn.Store(&ctx)
	cancelled := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	began := time.Now()
	var misplaced error
	for n := 0; n < want && s.size < batchBytes && s.held == nil; n++ {
		if some && time.Since(began) > batchTime {
			break
		}
		at := mark(s.now)
		if _, more := s.next(); !more {
			s.ended = true
			break
		}
		if misplaced = s.host.Yielded(ctx); misplaced != nil {
			s.now.cut(at)
			s.held = nil
			break
		}
		some = true
	}
	filled := s.now
	if misplaced != nil {
		var none R
		s.put(none, misplaced, true)
		s.now = nil
		s.cancel(misplaced) // for the block, which this makes fail for good
		cancelled()
		s.stop() // in this turn, which the block is of
		s.present.turn.Store(nil)
		filled.end = s.held == nil
		s.ended = filled.end
		return filled
	}
	if !cancelled() {
		// It may have ended for that reason, which must not look like its end.
		s.end(ctx, context.Cause(ctx))
		return &batch[R]{status: batchCut, detail: "the context has ended of the call that asked for more: " + context.Cause(ctx).Error()}
	}
	s.ended = s.ended && s.held == nil
	filled.end = s.ended
	if s.ended {
		s.cancel(nil)
	}
	s.present.turn.Store(nil)
	return filled
}

// mark is how much is in a batch, and cut takes away what has come since.
func mark[R any](b *batch[R]) [2]int { return [2]int{len(b.encoded), len(b.items)} }

func (b *batch[R]) cut(at [2]int) { b.encoded, b.items = b.encoded[:at[0]], b.items[:at[1]] }

// end ends the method, in the turn of ctx: its yield returns false.
func (s *source[A, R]) end(ctx context.Context, why error) {
	if s.lost {
		return
	}
	s.lost, s.now = true, nil
	s.cancel(why)
	s.present.turn.Store(&ctx)
	s.stop()
	s.present.turn.Store(nil)
	s.last, s.held = nil, nil
}
