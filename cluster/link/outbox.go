package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Outbox makes the one-way calls of a node in the background: those that are made on it, and those that it has
// taken in for its grains and answered before they ran. Its methods may be called from any goroutine. A
// goroutine waits for each call; the bounds are what keeps them few.
type Outbox struct {
	// Calls and Bytes bound what is on its way, in number and in encoded arguments. Default 10,000 and 64 MiB.
	Calls, Bytes int
	// Limit is the most that the arguments of one call may measure.
	Limit  int
	Logger *slog.Logger

	mu      sync.Mutex
	calls   int
	bytes   int
	idle    chan struct{} // closed when nothing is on its way; nil while nobody waits for that
	life    context.Context
	end     context.CancelFunc
	over    bool
	counted [outcomes]atomic.Uint64
}

// outcome of a call.
type outcome int

const (
	delivered outcome = iota
	failed
	undelivered
	unknown
	turnedAway
	outcomes
)

func (o *Outbox) limits() (calls, bytes int) {
	calls, bytes = o.Calls, o.Bytes
	if calls <= 0 {
		calls = 10_000
	}
	if bytes <= 0 {
		bytes = 64 << 20
	}
	return calls, bytes
}

// Counts says what became of the calls so far.
func (o *Outbox) Counts() wire.OneWayCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := func(which outcome) uint64 { return o.counted[which].Load() }
	return wire.OneWayCounts{
		Pending: o.calls, Delivered: n(delivered), Failed: n(failed), Undelivered: n(undelivered), Unknown: n(unknown), Refused: n(turnedAway),
	}
}

var errTooLarge = fmt.Errorf("%w: %w", wire.ErrTooLarge, wire.ErrNotExecuted)

// Send has make called in the background, for a one-way call that is made under ctx: with a context of its own
// that has ctx's values and deadline, DefaultTimeout where there is none, and not its end. The error says that
// the call is not on its way, and never will be; it is wire.ErrNotExecuted.
func (o *Outbox) Send(ctx context.Context, to wire.ID, inv wire.Invocation, make func(context.Context) error) error {
	name := inv.Method().Info().Name
	if wire.BlockOf(ctx) != nil {
		return &wire.CallError{To: to, Method: name, Cause: wire.ErrOneWayInBlock}
	}
	if ctx.Err() != nil {
		return wire.Ended(ctx, to, name)
	}
	args := scratch.Get().(*[]byte)
	*args = inv.AppendArgs((*args)[:0])
	size := len(*args)
	if cap(*args) <= maxScratch {
		scratch.Put(args)
	}
	if o.Limit > 0 && size > o.Limit {
		return &wire.CallError{To: to, Method: name, Cause: errTooLarge, Detail: fmt.Sprintf("arguments of %d bytes, of %d at most", size, o.Limit)}
	}
	if err := o.Go(ctx, to, name, size, make); err != nil {
		return &wire.CallError{To: to, Method: name, Cause: wire.ErrOverloaded, Detail: err.Error()}
	}
	return nil
}

// Go is Send for a call of which that much is known; the error says that there is no room.
func (o *Outbox) Go(ctx context.Context, to wire.ID, method string, size int, make func(context.Context) error) error {
	life, err := o.begin(size)
	if err != nil {
		o.counted[turnedAway].Add(1)
		return err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(DefaultTimeout)
	}
	own, cancel := context.WithDeadline(wire.WithValues(life, wire.ValuesOf(ctx)), deadline)
	go func() {
		defer o.finish(size)
		defer cancel()
		o.note(to, method, make(own))
	}()
	return nil
}

func (o *Outbox) begin(size int) (context.Context, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls, bytes := o.limits()
	switch {
	case o.over:
		return nil, errors.New("this node has stopped")
	case o.calls >= calls:
		return nil, fmt.Errorf("%d one-way calls are on their way from this node, of %d at most", o.calls, calls)
	case o.calls > 0 && o.bytes+size > bytes:
		return nil, fmt.Errorf("the one-way calls that are on their way from this node measure %d bytes, of %d at most", o.bytes, bytes)
	}
	if o.life == nil {
		o.life, o.end = context.WithCancel(context.Background())
	}
	o.calls, o.bytes = o.calls+1, o.bytes+size
	return o.life, nil
}

func (o *Outbox) finish(size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls, o.bytes = o.calls-1, o.bytes-size
	if o.calls == 0 && o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// ErrTold is returned by what Go has called where its caller is told what became of it: it is not counted.
var ErrTold = errors.New("the caller is told")

// note counts a call that is over.
func (o *Outbox) note(to wire.ID, method string, err error) {
	if err == ErrTold {
		return
	}
	what := delivered
	var told *wire.CallError
	if stale := (*Stale)(nil); errors.As(err, &stale) {
		told = &stale.CallError
	} else if c, ok := err.(*wire.CallError); ok && c.To == to { // else it is one of the method's own calls
		told = c
	}
	switch {
	case err == nil:
	case told == nil, told.Cause == wire.ErrPanic:
		what = failed
	case told.Cause == wire.ErrUnknown:
		what = unknown
	default:
		what = undelivered
	}
	o.counted[what].Add(1)
	if err != nil && o.Logger != nil {
		o.Logger.Debug("a one-way call", slog.String("grain", to.String()), slog.String("method", method),
			slog.Bool("ran", what == failed), slog.Any("error", err))
	}
}

// Wait waits until nothing is on its way, or ctx ends.
func (o *Outbox) Wait(ctx context.Context) {
	for {
		o.mu.Lock()
		if o.calls == 0 {
			o.mu.Unlock()
			return
		}
		if o.idle == nil {
			o.idle = make(chan struct{})
		}
		idle := o.idle
		o.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return
		}
	}
}

// Close takes nothing more, gives up what is on its way, and waits for that until ctx ends: a method that runs
// here may not heed its context.
func (o *Outbox) Close(ctx context.Context) {
	o.mu.Lock()
	o.over = true
	if o.end != nil {
		o.end()
	}
	o.mu.Unlock()
	o.Wait(ctx)
}
