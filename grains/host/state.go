package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// branchIn returns the block that ctx is inside of, for something that t does; missing where there is
// none.
func (a *activation) branchIn(ctx context.Context, missing error) (*turn, *link.Branch, error) {
	t := turnOf(ctx)
	in := link.BranchOf(wire.BlockOf(ctx))
	switch {
	case in != nil && t != nil && t.activation == a:
		return t, in, nil
	case t != nil && t.activation == a && t.opened.Load() != nil, in != nil:
		return t, nil, wire.ErrOutsideBlock
	}
	return t, nil, missing
}

// Touch implements wire.Activation: the block of ctx gets the lock, and what c holds is current.
func (a *activation) Touch(ctx context.Context, field wire.Cell) error {
	t, in, err := a.branchIn(ctx, wire.ErrNoBlock)
	if err != nil {
		return fmt.Errorf("state %s of %s: %w", field.Name(), a.id(), err)
	}
	if err := a.goOn(ctx); err != nil {
		return err
	}
	if err := a.lock(ctx, t, in); err != nil {
		return fmt.Errorf("state %s of %s: %w", field.Name(), a.id(), err)
	}
	a.wake()
	c := a.cell(field)
	if c.owner != in.Holder.Attempt { // a draft of an attempt that was given up
		c.Discard()
		c.owner, c.dirty = in.Holder.Attempt, false
	}
	version, known := c.versions.Current()
	drafted := c.dirty
	a.rest()
	if !known && drafted {
		// What the draft was made from has turned out stale: loading it again would lose the draft.
		err := fmt.Errorf("state %s of %s has changed under the block: %w", field.Name(), a.id(), wire.ErrAborted)
		in.Doom(err)
		return err
	}
	if !known {
		if version, err = a.load(ctx, c); err != nil {
			return fmt.Errorf("loading state %s of %s: %w", field.Name(), a.id(), err)
		}
	}
	if err := a.goOn(ctx); err != nil { // it may have waited for the lock, or the ledger
		return err
	}
	a.host.presence.read(in.Holder.Attempt, a, commit.Read{Key: c.key, Version: version})
	if !a.host.faults.forgetReads {
		a.reportOwn(t, in)
	}
	return nil
}

// lock waits for the lock of the grain's state.
func (a *activation) lock(ctx context.Context, t *turn, in *link.Branch) error {
	a.host.presence.join(in.Holder.Attempt, in.Coordinator, a)
	a.wake()
	if a.ended && a.outwaited { // an older block waits until the turns that are left have gone
		a.rest()
		return fmt.Errorf("the activation ends: %w", wire.ErrAborted)
	}
	granted, out := a.turnstile.Lock(t.call, in.Holder)
	var w *waiter
	if !granted {
		w = a.wait(t.call)
	}
	wounds := a.signal(out)
	a.rest()
	a.act(wounds)
	if !granted {
		switch err := a.await(ctx, t.call, w, 0); err {
		case nil:
		case errRefused:
			return fmt.Errorf("the attempt is over: %w", wire.ErrAborted)
		default:
			return err
		}
	}
	return in.Err()
}

func (a *activation) cell(field wire.Cell) *cell {
	i := slices.IndexFunc(a.cells, func(c *cell) bool { return c.key.State == field.Number() })
	return a.cells[i]
}

// load reads the state from the ledger; the lock is held, so nobody else loads it.
func (a *activation) load(ctx context.Context, c *cell) (commit.Attempt, error) {
	version, value, err := a.host.Blocks.Load(ctx, c.key)
	if err != nil {
		return version, err
	}
	if err := c.Load(value); err != nil {
		return version, fmt.Errorf("the stored state is not what this silo's version of the type can decode: %w", &wire.DecodeFailure{Err: err})
	}
	a.wake()
	defer a.rest()
	c.versions.Loaded(version)
	return version, nil
}

// Changed implements wire.Activation: field has a draft.
func (a *activation) Changed(ctx context.Context, field wire.Cell) error {
	t, in, err := a.branchIn(ctx, wire.ErrNoBlock)
	if err != nil {
		return err
	}
	if err := a.goOn(ctx); err != nil {
		return err
	}
	a.wake()
	c := a.cell(field)
	c.dirty = true
	a.rest()
	a.host.presence.wrote(in.Holder.Attempt, a, commit.Write{Key: c.key, Value: c.AppendDraft(make([]byte, 0, 64))})
	a.reportOwn(t, in)
	return nil
}

// reportOwn reports what was done in the very turn in which the block began: nobody does when it ends.
func (a *activation) reportOwn(t *turn, in *link.Branch) {
	if t.opened.Load() == in {
		a.report(in)
	}
}

// report hands what the activation has done for the attempt to the branch.
func (a *activation) report(in *link.Branch) {
	if r, ok := a.host.presence.record(in.Holder.Attempt, a); ok {
		in.Merge(r)
	}
}

// Mutate records the operation in ctx's block, if it has one; that a block is open in the turn and ctx
// is not its own is an error.
func (a *activation) Mutate(ctx context.Context, variable wire.ID, op []byte) error {
	t, in, err := a.branchIn(ctx, nil)
	if err != nil {
		return fmt.Errorf("variable %s: %w", variable, err)
	}
	if err := a.goOn(ctx); err != nil {
		return err
	}
	if in == nil {
		err := a.host.Engine.Mutate(ctx, variable, op)
		return a.after(ctx, err)
	}
	prepared, err := a.host.Prepare(ctx, variable, op)
	if err := a.after(ctx, err); err != nil {
		return err
	}
	a.host.presence.join(in.Holder.Attempt, in.Coordinator, a)
	a.host.presence.operated(in.Holder.Attempt, a, commit.Operation{Variable: variable, Op: prepared})
	a.reportOwn(t, in)
	return nil
}

// after is what a wait inside of ctx's turn has come to: its own error, unless the turn must not go on.
func (a *activation) after(ctx context.Context, err error) error {
	if lost := a.goOn(ctx); lost != nil {
		return lost
	}
	return err
}

// Read implements wire.Engine.
func (a *activation) Read(ctx context.Context, variable wire.ID, use func(wire.Object)) error {
	return a.after(ctx, a.host.Engine.Read(ctx, variable, use))
}

// Keys implements wire.Engine.
func (a *activation) Keys(ctx context.Context, family string) ([]string, error) {
	keys, err := a.host.Engine.Keys(ctx, family)
	return keys, a.after(ctx, err)
}

// Follow implements wire.Engine.
func (a *activation) Follow(ctx context.Context, node string) (wire.Followed, error) {
	f, err := a.host.Engine.Follow(ctx, node)
	return f, a.after(ctx, err)
}

// Outcome implements wire.Engine.
func (a *activation) Outcome(ctx context.Context, id wire.BlockID) (wire.Outcome, error) {
	o, err := a.host.Engine.Outcome(ctx, id)
	return o, a.after(ctx, err)
}

// Hosted implements wire.Engine.
func (a *activation) Hosted(name string) (wire.Kind, bool) { return a.host.Engine.Hosted(name) }

// Call makes a call from the grain: it is no call from outside, and has no id of its own.
func (a *activation) Call(ctx context.Context, to wire.ID, c wire.Invocation) error {
	if len(a.host.Outgoing) > 0 {
		return wire.MakeCall(ctx, a.host.Outgoing, a.id(), to, c, func(ctx context.Context) error {
			return a.call(ctx, to, c, wire.BlockID{}, false)
		})
	}
	return a.call(ctx, to, c, wire.BlockID{}, false)
}

func (a *activation) call(ctx context.Context, to wire.ID, c wire.Invocation, root wire.BlockID, retry bool) error {
	if err := a.goOn(ctx); err != nil {
		return err
	}
	if t := turnOf(ctx); t != nil && t.activation == a && t.traits&reentrant != 0 && !c.Traits().OneWay {
		return a.after(ctx, a.whileAway(ctx, t, func() error { return a.host.call(ctx, a, to, c, root, retry) }))
	}
	return a.after(ctx, a.host.call(ctx, a, to, c, root, retry))
}

// Atomic begins a block in the grain's turn, or joins the one that ctx is inside of.
func (a *activation) Atomic(ctx context.Context, c wire.Closure) error {
	t := turnOf(ctx)
	if wire.BlockOf(ctx) != nil {
		return c.Run(ctx)
	}
	if err := a.goOn(ctx); err != nil {
		return err
	}
	run := c.Run
	c.Run = func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return err
		}
		return a.goOn(ctx) // else what the function has waited for last would be submitted
	}
	if t == nil || t.activation != a {
		// A goroutine that outlives the turn, or another grain's Caller: there is no turn to give up.
		return a.after(ctx, a.host.Blocks.Atomic(ctx, c, nil))
	}
	if t.opened.Load() != nil {
		return fmt.Errorf("%s: a second block in one turn at the same time: %w", a.id(), wire.ErrOutsideBlock)
	}
	if err := a.own(ctx, t); err != nil {
		return err
	}
	defer a.disown(t)
	return a.after(ctx, a.host.Blocks.Atomic(ctx, c, t))
}

// tell takes a coordinator's notice about an attempt that was here. It touches what a cell holds only to
// install what was submitted, when the block's function has returned: at any other time a turn of the
// attempt, or of the next that holds the lock, may be at it.
func (a *activation) tell(n link.Notice) {
	a.wake()
	by, held := a.turnstile.Held()
	for _, c := range a.cells {
		drafted := held && by.Attempt == n.Attempt && c.owner == n.Attempt && c.dirty
		switch n.Kind {
		case link.NoticeSubmitted:
			if drafted {
				c.dirty = false
				if c.versions.Submitted(n.Attempt) {
					c.Install()
				}
			}
		case link.NoticeCommitted:
			if drafted { // the notice of submission was lost
				c.versions.Unknown()
			}
			c.versions.Finished(n.Attempt, true, false)
		case link.NoticeAborted:
			stale := slices.ContainsFunc(n.Stale, func(r commit.Read) bool { return r.Key == c.key })
			c.versions.Finished(n.Attempt, false, stale)
		case link.NoticeLost:
			c.versions.Finished(n.Attempt, false, true)
		}
	}
	signals := a.signal(a.turnstile.Release(n.Attempt))
	a.rest()
	a.act(signals)
}
