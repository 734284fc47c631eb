package host

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// back says how a call that turns of its own grain wait for may run. The zero back is that of any other call.
type back struct {
	// within is the turn that it runs inside of, 0 for none.
	within commit.CallID
	// of is a turn that waits for it without having the grain's turn: it is a part of that, and waits like
	// anyone else.
	of commit.CallID
}

// isPart says whether the turn that a call came back to is still under way, so that the call is a part of what
// may finish where no turn starts any more; a.mu is held.
func (a *activation) isPart(b back) bool {
	return b.within != 0 && a.turnstile.Has(b.within) || b.of != 0 && a.turnOf(b.of) != nil
}

// turnOf is the turn of that call here, nil if it is over; a.mu is held.
func (a *activation) turnOf(call commit.CallID) *turn {
	for _, t := range a.turns {
		if t.call == call {
			return t
		}
	}
	return nil
}

// back finds the turns of this grain that wait for the call. In one block it runs inside of the last of them.
// Otherwise each must either have given the turn up for what it waits for, or read only, as the call does:
// else the call would wait for ever.
func (a *activation) back(t *turn, r *running) (b back, err error) {
	if t.from == nil && len(t.chain) == 0 || a.host.faults.waitInCycles {
		return b, nil
	}
	blocked := false
	for l := range t.waiters(r.in) {
		if l.Grain != a.id() {
			continue
		}
		if l.InBlock && b == (back{}) && !blocked {
			return back{within: l.Call}, nil
		}
		switch a.waits(l.Call, r) {
		case gaveUp:
			b.of = l.Call
		case reads:
			if b.within == 0 {
				b.within = l.Call
			}
		case holds:
			blocked = true
		}
	}
	if !blocked {
		return b, nil
	}
	var path []string
	for _, l := range append(t.from.links(t.in), t.chain...) {
		path = append(path, l.Grain.String())
	}
	return b, &wire.CallError{To: a.id(), Method: r.name, Cause: wire.ErrCycle,
		Detail: strings.Join(append(path, a.id().String()), " → ") +
			": return first, make the calls in one atomic block, or declare the method that waits reentrant, or both readonly"}
}

// waiting is how a turn waits for a call that has come back.
type waiting uint8

const (
	over   waiting = iota // it does not: it is not here any more
	gaveUp                // without the turn
	reads                 // with it, and neither changes anything
	holds                 // with it
)

func (a *activation) waits(call commit.CallID, r *running) waiting {
	a.wake()
	defer a.rest()
	switch t := a.turnOf(call); {
	case t == nil:
		return over
	case t.state&away != 0:
		return gaveUp
	case t.traits&readOnly != 0 && t.in == nil && r.shares():
		return reads
	}
	return holds
}

// waiters are the turns that wait for the call of t, which is made in block in; the innermost first.
func (t *turn) waiters(in *link.Branch) func(yield func(link.Link) bool) {
	return func(yield func(link.Link) bool) {
		chain, foreign := t.chain, false
		for f := t.from; f != nil; f = f.from {
			if !yield(f.link(in)) {
				return
			}
			chain, foreign = f.chain, !f.isOf(in)
		}
		for i := len(chain) - 1; i >= 0; i-- {
			l := chain[i]
			l.InBlock = l.InBlock && !foreign
			if !yield(l) {
				return
			}
		}
	}
}

// whileAway makes a call for which t gives the turn up, unless a block is open in it. The turn is back before
// it returns.
func (a *activation) whileAway(ctx context.Context, t *turn, call func() error) error {
	if t.in == nil && wire.BlockOf(ctx) == nil && a.giveUp(t) {
		defer a.comeBack(t)
	}
	return call()
}

// giveUp gives the turn up for one more call of t; it does not where the turn must stay, nor inside of another one
// that keeps it: nobody would be let in, and t would come back behind those who wait for that one.
func (a *activation) giveUp(t *turn) bool {
	a.wake()
	for t.state&(away|left|closed|sharing|nested) == 0 && a.inside[len(a.inside)-1] != t.call {
		// A call that came back into the turn, and whose answer nobody waits for any more, still runs in it.
		changed := a.change()
		a.rest()
		<-changed
		a.wake()
	}
	if t.state&(left|closed|nested) != 0 || t.out == math.MaxUint16 {
		a.rest()
		return false
	}
	t.out++
	if t.state&away != 0 {
		a.rest()
		return true
	}
	t.state |= away
	a.yielded++
	a.inside = slices.DeleteFunc(a.inside, func(c commit.CallID) bool { return c == t.call })
	a.tellChange()
	wounds := a.signal(a.turnstile.Leave(t.call))
	a.rest()
	a.act(wounds)
	return true
}

// comeBack returns when a call for which t gave the turn up is over, and t has the turn again. With several
// calls under way at a time it comes back when the last of them is over: until then some of t's code waits for a
// call that may have to come back to the grain.
func (a *activation) comeBack(t *turn) {
	a.wake()
	defer a.rest()
	t.out--
	for t.state&away != 0 {
		if t.out > 0 || t.state&coming != 0 {
			changed := a.change()
			a.rest()
			<-changed
			a.wake()
			continue
		}
		t.state |= coming
		if !a.fetch(t) {
			return
		}
		t.state &^= coming
		if t.out > 0 { // another call has begun meanwhile, on another goroutine
			wounds := a.signal(a.turnstile.Leave(t.call))
			a.tellChange()
			a.rest()
			a.act(wounds)
			a.wake()
			continue
		}
		t.state &^= away
		a.yielded--
		a.inside = append(a.inside, t.call)
		a.tellChange()
	}
}

// fetch waits for the turn for t, whose method runs, whatever happens meanwhile. It is false where the method
// has returned. a.mu is held before and after, not in between.
func (a *activation) fetch(t *turn) bool {
	if a.host.faults.comeBackBeside {
		return true
	}
	granted, w, wounds := a.arrive(t, commit.Holder{}, 0, t.state&sharing != 0)
	if w != nil {
		w.back = true
	}
	a.rest()
	a.act(wounds)
	if !granted {
		<-w.done
	}
	a.wake()
	return t.state&left == 0
}

// abandon ends a turn that is over and was given up for calls that its method has not waited for; a.mu is held.
func (a *activation) abandon(t *turn) {
	t.state &^= away
	a.yielded--
	if w := a.waiting[t.call]; w != nil {
		delete(a.waiting, t.call)
		close(w.done)
	}
}

// own makes the turn t's own, and keeps it from being given up for calls: a block is about to be opened in it.
// It comes back from the calls that are under way first. The error says that turns which wait for t have the
// grain's turn too, or that t must not go on.
func (a *activation) own(ctx context.Context, t *turn) error {
	a.wake()
	for t.state&away != 0 {
		changed := a.change()
		a.rest()
		<-changed
		a.wake()
	}
	if t.state&sharing != 0 && t.state&nested != 0 {
		a.rest()
		return &wire.CallError{To: a.id(), Method: t.method.Info().Name, Cause: wire.ErrCycle,
			Detail: "an atomic block in a readonly method that has come back to a grain which waits for it: begin the block in the first of them"}
	}
	t.state |= closed
	if t.state&sharing == 0 {
		a.rest()
		return nil
	}
	t.state &^= sharing
	a.yielded++
	a.inside = slices.DeleteFunc(a.inside, func(c commit.CallID) bool { return c == t.call })
	granted, out := a.turnstile.Alone(t.call)
	var w *waiter
	if !granted {
		w = a.wait(t.call)
		w.back = true
	}
	wounds := a.signal(out)
	a.rest()
	a.act(wounds)
	if !granted {
		<-w.done
	}
	a.wake()
	a.yielded--
	a.inside = append(a.inside, t.call)
	a.rest()
	if granted {
		return nil
	}
	return a.goOn(ctx)
}

// disown says that the block is over; the turn stays t's own.
func (a *activation) disown(t *turn) {
	a.wake()
	t.state &^= closed
	a.rest()
}
