package host

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// turn is one call at one activation, from its admission to its return. It is the context that the method
// runs under.
type turn struct {
	context.Context
	activation *activation
	call       commit.CallID
	from       *turn // the turn in this process that waits for this one
	chain      []link.Link
	in         *link.Branch // the block that the call is made in
	root       wire.BlockID
	after      uint32      // attempts of root that were made before
	rooted     atomic.Bool // a block has taken root
	method     wire.Handler
	opened     atomic.Pointer[link.Branch] // the block that is open in this turn

	own  atomic.Pointer[cancellable] // made when somebody asks for Done
	lost atomic.Pointer[error]       // why nothing that the turn does counts any more
	over atomic.Bool

	looked time.Duration // when the reply was let go, by the host's clock; 0: it was not
	traits trait
	state  state  // guarded by activation.mu
	out    uint16 // calls for which it was given up and that are under way; guarded as well
}

// trait is what a turn's method is.
type trait uint8

const (
	readOnly trait = 1 << iota
	reentrant
)

// state is how a turn has the turn of its grain.
type state uint8

const (
	sharing state = 1 << iota // together with others
	nested                    // inside of one that waits for it
	closed                    // it is not given up: a block is open in it, or about to be
	away                      // it was given up for a call
	coming                    // somebody waits until it is back
	left                      // it is over
)

// cancellable is a turn's own context, below its caller's.
type cancellable struct {
	context.Context
	cancel context.CancelCauseFunc
}

var errTurnOver = errors.New("the turn is over")

// cancellable returns the turn's own context. Most turns never ask for it, and do not pay for one.
func (t *turn) cancellable() *cancellable {
	if own := t.own.Load(); own != nil {
		return own
	}
	own := &cancellable{}
	own.Context, own.cancel = context.WithCancelCause(t.Context)
	if !t.own.CompareAndSwap(nil, own) {
		own.cancel(nil)
		return t.own.Load()
	}
	if t.over.Load() {
		own.cancel(errTurnOver)
	}
	return own
}

// Done is closed when the caller's context is done, when the turn has lost its grain, and when it is over.
func (t *turn) Done() <-chan struct{} { return t.cancellable().Done() }

// Err says whether Done is closed.
func (t *turn) Err() error {
	if own := t.own.Load(); own != nil {
		return own.Err()
	}
	if t.over.Load() {
		return context.Canceled
	}
	return t.Context.Err()
}

// finish ends the turn's own context.
func (t *turn) finish() {
	t.over.Store(true)
	if own := t.own.Load(); own != nil {
		own.cancel(errTurnOver)
	}
}

type turnKey struct{}

// Value finds the turn itself, and the grain whose turn it is.
func (t *turn) Value(key any) any {
	switch key {
	case turnKey{}:
		return t
	case wire.TurnKey{}:
		return t.activation.id()
	}
	if own := t.own.Load(); own != nil {
		return own.Value(key) // context.Cause and contexts below look for the one that is cancelled
	}
	return t.Context.Value(key)
}

func turnOf(ctx context.Context) *turn {
	t, _ := ctx.Value(turnKey{}).(*turn)
	return t
}

// block is the block whose calls may come back into this turn.
func (t *turn) block() (id commit.ID, ok bool) {
	b := t.opened.Load()
	if b == nil {
		b = t.in
	}
	if b == nil {
		return commit.ID{}, false
	}
	return b.Holder.Attempt.ID, true
}

// links is the chain that a call made from t in block in takes along, t last.
func (t *turn) links(in *link.Branch) []link.Link {
	if t == nil {
		return nil
	}
	var links []link.Link
	if t.from != nil {
		links = t.from.links(in)
	} else {
		links = append(links, t.chain...)
		if !t.isOf(in) {
			for i := range links { // the block of those turns is not the one of this call
				links[i].InBlock = false
			}
		}
	}
	return append(links, t.link(in))
}

// isOf says whether the call that t serves was made in that block.
func (t *turn) isOf(in *link.Branch) bool {
	return in != nil && t.in != nil && t.in.Holder.Attempt.ID == in.Holder.Attempt.ID
}

// link is t for a call that it waits for, made in block in.
func (t *turn) link(in *link.Branch) link.Link {
	id, ok := t.block()
	return link.Link{Grain: t.activation.id(), Call: t.call, InBlock: ok && in != nil && id == in.Holder.Attempt.ID}
}

// Root implements Opener.
func (t *turn) Root() (id wire.BlockID, after uint32) {
	if t.root.IsZero() || t.in != nil || t.rooted.Swap(true) {
		return wire.BlockID{}, 0
	}
	return t.root, t.after
}

// Result implements Opener.
func (t *turn) Result() any { return t.method.ResultCodec() }

// Open implements Opener.
func (t *turn) Open(b *link.Branch) {
	t.opened.Store(b)
	a := t.activation
	if t.isLost() != nil { // it was lost while the block began
		b.Doom(t.isLost())
	}
	late := a.host.faults.expectLate
	if late == nil { // before it holds the turn: from then on it may be wounded, by a call on another goroutine
		a.host.presence.expect(b.Holder.Attempt, b.Coordinator)
	}
	a.wake()
	signals := a.signal(a.turnstile.OpenBlock(t.call, b.Holder))
	a.rest()
	if late != nil {
		late()
		a.host.presence.expect(b.Holder.Attempt, b.Coordinator)
	}
	a.act(signals)
}

// without is the same turn for what is not the call that it serves.
func (t *turn) without() *turn {
	return &turn{Context: t, activation: t.activation, call: t.call, from: t.from, chain: t.chain, in: t.in}
}

// Close implements Opener.
func (t *turn) Close(b *link.Branch) {
	t.opened.CompareAndSwap(b, nil)
	a := t.activation
	a.wake()
	a.turnstile.CloseBlock(t.call)
	a.rest()
}

// Yield implements Opener.
func (t *turn) Yield(next commit.Holder) error {
	t.opened.Store(nil)
	if err := t.activation.yield(t.call, next); err != nil {
		return err
	}
	return t.activation.goOn(t)
}
