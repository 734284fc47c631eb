package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Here is what a turn is allowed: the questions of view.Standing, each asked of the newest standing at the
// newest reading of the clock, and what follows from their answers.

// clock is the present time of leases.
func (h *Host) clock() time.Duration {
	if h.faults.outliveLeases {
		return math.MinInt64
	}
	return h.Now()
}

// newest is the newest view that this silo knows. The standing and the holder of views are given theirs one
// after the other.
func (h *Host) newest() *view.Table {
	t := h.Standing().Table()
	if v := h.Views.Current(); v != nil && v.Number > t.Number {
		return v
	}
	return t
}

// activate says whether an activation of id may begin here, and under which grant; the error is a
// *view.Refusal.
func (h *Host) activate(id wire.ID) (view.Grant, error) {
	g, err := h.Standing().Activate(h.clock(), id)
	if h.faults.activateAnything && lost(err) {
		return g, nil
	}
	return g, err
}

// lost says that an error is the refusal of a grant that is not held any more, or is on its way out.
func lost(err error) bool {
	r, ok := err.(*view.Refusal)
	return ok && r.Reason != view.NoLease && r.Reason != view.Behind
}

// begin says whether a call that has the turn may run in it: this silo serves the grain, and who calls has
// no successor. A call inside of another turn of the grain is a part of that turn, which may finish where no
// turn starts any more. Errors are errEnded, *view.Refusal and *view.StaleToken; nothing was executed.
func (a *activation) begin(by view.Grant, inside bool) (err error) {
	h := a.host
	if inside {
		if a.isDropped() { // and with it what the call is a part of
			return errEnded
		}
		err = h.Standing().Resume(h.clock(), a.grant())
	} else {
		err = h.Standing().Begin(h.clock(), a.grant())
	}
	if err != nil && !(h.faults.serveAnything && lost(err)) {
		return err
	}
	if by.Kind != "" && !h.faults.admitStale {
		return h.fence.admit(by)
	}
	return nil
}

// resume says whether a turn of the activation may go on.
func (a *activation) resume() error {
	err := a.host.Standing().Resume(a.host.clock(), a.grant())
	if a.host.faults.serveAnything && lost(err) {
		return nil
	}
	return err
}

// goOn says whether something may be done, and whether what was waited for counts, for ctx through the
// activation. Once it has refused a turn, it refuses it for good.
func (a *activation) goOn(ctx context.Context) error {
	t := turnOf(ctx)
	if t != nil {
		if err := t.isLost(); err != nil {
			return err
		}
	}
	own := t != nil && t.activation == a
	if !own && a.losing() { // on behalf of a turn that must not go on, or beside it
		return fmt.Errorf("%s: it was lost, or a turn that has not ended yet has lost it: %w", a.id(), wire.ErrFenced)
	}
	err := a.resume()
	switch {
	case err == nil:
		return nil
	case own:
		return t.lose(err)
	}
	return fenced(a.id(), err)
}

// losing says whether a turn that must not go on is not over yet, or the activation is not this silo's any more:
// others may have heard of that before this one does.
func (a *activation) losing() bool {
	a.wake()
	defer a.rest()
	return a.dropped || slices.ContainsFunc(a.turns, func(t *turn) bool { return t.isLost() != nil })
}

func fenced(id wire.ID, why error) error {
	// A *view.Refusal says of itself that nothing was executed, which is not true of a turn: its text stays.
	return fmt.Errorf("%s: %v: %w", id, why, wire.ErrFenced)
}

// reply says whether the reply of a turn may leave.
func (a *activation) reply(t *turn) error {
	if err := t.isLost(); err != nil {
		return err
	}
	now := a.host.clock()
	t.looked = max(now, 0) // a lease that is not looked at has no time
	err := a.host.Standing().Reply(now, a.grant())
	if err == nil || a.host.faults.serveAnything && lost(err) {
		return nil
	}
	return t.lose(err)
}

// isLost says why the turn must not go on, if that was found out.
func (t *turn) isLost() error {
	if why := t.lost.Load(); why != nil {
		return *why
	}
	return nil
}

// lose ends a turn for good as far as its effects go: its context is cancelled, and the blocks that it is in
// cannot commit.
func (t *turn) lose(why error) error {
	err := why
	if !errors.Is(err, wire.ErrFenced) {
		err = fenced(t.activation.id(), why)
	}
	if !t.lost.CompareAndSwap(nil, &err) {
		return t.isLost()
	}
	t.cancellable().cancel(err)
	if b := t.opened.Load(); b != nil {
		b.Doom(err)
	}
	if t.in != nil {
		t.in.Doom(fmt.Errorf("%w: %w", err, wire.ErrAborted))
	}
	if whole, ok := t.Context.(*turn); ok && whole.call == t.call { // t is the activation that it begins with
		_ = whole.lose(why)
	}
	return err
}

// revoke ends all turns of the activation as lose does.
func (a *activation) revoke(why error) {
	a.wake()
	turns := slices.Clone(a.turns)
	a.rest()
	for _, t := range turns {
		_ = t.lose(why)
	}
}

// fence is a view.Fence for many goroutines.
type fence struct {
	mu   sync.RWMutex
	seen view.Fence
}

func (f *fence) apply(t *view.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen.Apply(t)
}

// admit lets a grant pass or returns a *view.StaleToken.
func (f *fence) admit(g view.Grant) error {
	f.mu.RLock()
	newest := f.seen.Newest(g.Kind, g.Slot)
	f.mu.RUnlock()
	if g.Token == newest {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen.Admit(g)
}
