package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Replicas that are new. When a view changes who keeps variables so that this silo may keep some that it did not
// keep before, it counts as their replica only after it has compared what it has with what a quorum of their
// replicas of before have, or with all of those that the view has as up: it asks each silo that kept variables
// for the hashes of all that it has, former replicas too, and for what is missing here. Until then operations
// and reads of these variables are refused here, and served by others.
//
// A silo answers once it has the view of the one that asks, so that it takes no more writes that this one will
// not hear of, and once it has caught up itself with what was before the change. Each waits for earlier changes
// only, so none waits for another that waits for it.
//
// What was settled last is stored: a silo that is started again knows what it has yet to hear of, and is not new
// where it was not.

const (
	// arrivalPause is the time between two rounds of asking those that have not answered.
	arrivalPause = 50 * time.Millisecond
	// compareTime bounds one comparison with one silo, and transferTime what one variable's transfer takes
	// besides a second for each MiB.
	compareTime, transferTime = time.Minute, 10 * time.Second
	// transfers is how many variables are asked of one silo at once.
	transfers = 16
	// patience is how long an operation waits while all replicas that are up are new, and patienceStep the first
	// pause between its tries; they double up to patienceMost.
	patience, patienceStep, patienceMost = 5 * time.Second, 10 * time.Millisecond, 200 * time.Millisecond
)

// NotCounted says that a silo became a replica of a variable a moment ago and has not heard yet what the replicas
// before it have. It did nothing: it is a wire.ErrNotExecuted. Another replica may serve, or this one soon.
type NotCounted struct {
	Variable wire.ID
	Silo     view.SiloID
}

func (e *NotCounted) Error() string {
	return fmt.Sprintf("variable %v: silo %s became a replica of it and has not heard yet from those before: try another replica, or again: %v",
		e.Variable, e.Silo, wire.ErrNotExecuted)
}

func (e *NotCounted) Unwrap() error { return wire.ErrNotExecuted }

// arrival is a change of those that keep variables, by which this silo may have become a replica of some. It is
// immutable.
type arrival struct {
	from  *view.Table // the last view before
	to    *view.Table // the first view after
	heard map[view.SiloID]bool
}

// missing lists those that kept variables before, are up and were not heard.
func (a *arrival) missing(now *view.Table, self view.SiloID) (all []view.SiloID) {
	for _, m := range a.from.Keepers() {
		if m.ID != self && !a.heard[m.ID] && up(now, m.ID) {
			all = append(all, m.ID)
		}
	}
	return all
}

func up(t *view.Table, id view.SiloID) bool {
	m, ok := memberOf(t, id)
	return ok && m.Alive()
}

// counts says whether this silo, which is a replica, has heard from a quorum of the replicas that there were before
// it became one, or from all of them that were or are up.
func (p *placing) counts(k *wire.VariableKind, id wire.ID) bool {
	for _, a := range p.arrivals {
		if isReplica(a.from, k, id, p.self) {
			continue
		}
		heard, there := 0, 0
		before := a.from.Replicas(id, k.Replicas)
		for _, m := range before {
			switch {
			case a.heard[m.ID]:
				heard++
				there++
			case up(p.view, m.ID):
				there++
			}
		}
		if heard < min(len(before)/2+1, there) {
			return false
		}
	}
	return true
}

// refusal says why this silo, which is a replica, does not serve a variable yet; nil if it does.
func (h *Host) refusal(at *placing, k *wire.VariableKind, id wire.ID) error {
	if h.cfg.hooks.countAtOnce || at.counts(k, id) {
		return nil
	}
	return &NotCounted{id, h.cfg.Self}
}

// nearest runs here if this silo is a replica that counts, and elsewhere if it is not or did not execute it. While
// replicas refuse because they are new, it tries again.
func (h *Host) nearest(ctx context.Context, k *wire.VariableKind, id wire.ID, here func(*placing) error, elsewhere func() error) error {
	return patiently(ctx, func() error {
		at := h.placing.Load()
		var refused error
		if isReplica(at.view, k, id, h.cfg.Self) {
			if refused = h.refusal(at, k, id); refused == nil {
				if err := here(at); !errors.Is(err, wire.ErrNotExecuted) {
					return err
				}
			}
		}
		err := elsewhere()
		if refused != nil && notExecuted(err) {
			err = fmt.Errorf("%w: %w", err, refused)
		}
		return err
	})
}

func notExecuted(err error) bool {
	return errors.Is(err, wire.ErrNotExecuted) && !errors.Is(err, wire.ErrUnknown)
}

// patiently calls try again, for a while, as long as all that keeps it from being served is that replicas are new.
func patiently(ctx context.Context, try func() error) error {
	var late <-chan time.Time
	for pause := patienceStep; ; pause = min(2*pause, patienceMost) {
		err := try()
		if fresh := (*NotCounted)(nil); !errors.As(err, &fresh) || !notExecuted(err) {
			return err
		}
		if late == nil {
			late = time.After(patience)
		}
		select {
		case <-time.After(pause):
		case <-late:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// arrive returns the arrivals as of a newer view.
func (h *Host) arrive(old *placing, v *view.Table) []*arrival {
	before := old.view
	if before == nil || before.Number < h.settled.Number {
		before = h.settled
	}
	arrivals := slices.Clone(old.arrivals)
	if v.Number > before.Number && brings(before, v, h.cfg.Self) {
		arrivals = append(arrivals, &arrival{from: before, to: v})
	}
	return slices.DeleteFunc(arrivals, func(a *arrival) bool { return len(a.missing(v, h.cfg.Self)) == 0 })
}

// brings says whether self may be a replica by a view of what it was none before: it kept nothing, or others that
// did are gone. What it became a replica of it hears of even if it ceases to be one, for those that come after it.
func brings(before, v *view.Table, self view.SiloID) bool {
	keeps := func(t *view.Table, id view.SiloID) bool { m, ok := t.Member(id); return ok && m.Keeps() }
	return keeps(v, self) && (!keeps(before, self) || slices.ContainsFunc(before.Keepers(), func(m view.Member) bool { return !keeps(v, m.ID) }))
}

// settle takes what this silo has yet to hear, and stores who keeps variables when that is nothing. The caller holds
// mu.
func (h *Host) settle(next *placing) {
	before := h.placing.Load()
	h.placing.Store(next)
	if len(next.arrivals) > 0 {
		select {
		case h.arrived <- struct{}{}:
		default:
		}
		return
	}
	same := len(before.arrivals) == 0 && slices.EqualFunc(next.view.Keepers(), h.settled.Keepers(), func(a, b view.Member) bool { return a.ID == b.ID })
	if same || next.view.Number <= h.settled.Number {
		return
	}
	h.settled = next.view
	_ = h.queue.put(&entry{settled: appendKeepers(nil, next.view)}, false) // or it is found again after a restart
}

// hear notes that a silo was heard.
func (h *Host) hear(a *arrival, from view.SiloID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := *h.placing.Load()
	next.arrivals = nil
	for _, b := range h.placing.Load().arrivals {
		if b.from == a.from && b.to == a.to {
			c := &arrival{from: b.from, to: b.to, heard: map[view.SiloID]bool{from: true}}
			for id := range b.heard {
				c.heard[id] = true
			}
			b = c
		}
		if len(b.missing(next.view, h.cfg.Self)) > 0 {
			next.arrivals = append(next.arrivals, b)
		}
	}
	h.settle(&next)
}

// catchUp asks those that have not been heard, until ctx ends.
func (h *Host) catchUp(ctx context.Context) {
	type question struct {
		from view.SiloID
		to   *view.Table
	}
	var (
		mu      sync.Mutex
		asked   = map[question]bool{}
		answers sync.WaitGroup
	)
	defer answers.Wait()
	for {
		var retry <-chan time.Time
		if len(h.placing.Load().arrivals) > 0 {
			retry = time.After(arrivalPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.arrived:
		case <-retry:
		}
		at := h.placing.Load()
		for _, a := range at.arrivals {
			for _, silo := range a.missing(at.view, h.cfg.Self) {
				q := question{silo, a.to}
				mu.Lock()
				again := asked[q]
				asked[q] = true
				mu.Unlock()
				if again {
					continue
				}
				answers.Go(func() {
					if err := h.compare(ctx, a, silo); err != nil {
						h.logger.Debug("variable: asking a replica of before", "silo", string(silo), "error", err)
					} else {
						h.hear(a, silo)
					}
					mu.Lock()
					delete(asked, q)
					mu.Unlock()
				})
			}
		}
	}
}

// compare fetches what a silo has more of the variables that this one became a replica of, and returns when it is durable.
func (h *Host) compare(ctx context.Context, a *arrival, silo view.SiloID) error {
	ctx, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	for kind := range h.cfg.Kinds {
		k := h.cfg.Kinds[kind].Variable()
		if k == nil || k.Lattice == nil {
			continue
		}
		var differ []wire.ID
		err := h.bulk.pages(ctx, silo, request{op: opAll, kind: kind, before: a.from.Number, after: a.to.Number}, func(i item) {
			id := wire.NewID(kind, i.key)
			if v := h.table.get(id); v != nil && v.Hash() == i.hash {
				return
			}
			if isReplica(a.to, k, id, h.cfg.Self) && !isReplica(a.from, k, id, h.cfg.Self) {
				differ = append(differ, id)
			}
		})
		switch {
		case answered(err) && errors.Is(err, wire.ErrNoSuchKind):
			continue // it has none of them
		case err != nil:
			return err
		}
		if err := h.fetchAll(ctx, silo, k, differ); err != nil {
			return err
		}
	}
	return h.Durable(ctx)
}

// fetchAll queues what a silo has more of variables of a kind. It ends with the first error.
func (h *Host) fetchAll(ctx context.Context, silo view.SiloID, k *wire.VariableKind, ids []wire.ID) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	slots := make(chan struct{}, transfers)
	for _, id := range ids {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			err := h.fetch(ctx, silo, k, id)
			if answered(err) && errors.Is(err, wire.ErrTooLarge) { // for good: nobody is helped by waiting
				h.logger.Error("variable: a new replica lacks what those before have", "variable", id.String(), "of", string(silo), "error", err)
			} else if err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// fetch queues what a silo has more of a variable.
func (h *Host) fetch(ctx context.Context, silo view.SiloID, k *wire.VariableKind, id wire.ID) error {
	r := request{op: opSince, kind: id.Kind(), key: id.Key()}
	if v := h.table.get(id); v != nil {
		r.body = v.Digest()
	}
	answer, err := h.bulk.ask(ctx, silo, r.append(nil))
	if err != nil {
		return err
	}
	changes, err := check(k.Lattice, answer.body)
	if err != nil || !changes {
		return err
	}
	stays := isReplica(h.placing.Load().view, k, id, silo) // then it tells the others itself
	return h.queue.put(&entry{variable: h.table.make(id, k.Lattice), delta: answer.body, repaired: stays}, true)
}

// all answers who became a replica with what is here of a kind, whether it is kept here now or not.
func (h *Host) all(ctx context.Context, r request) (reply, error) {
	at := h.placing.Load()
	if at.view == nil || at.view.Number < r.after || slices.ContainsFunc(at.arrivals, func(a *arrival) bool { return a.from.Number < r.before }) {
		return reply{}, fmt.Errorf("silo %s is not as far itself as view %d: %w", h.cfg.Self, r.after, wire.ErrNotExecuted)
	}
	if !r.resumed {
		if err := h.Durable(ctx); err != nil { // what was taken before that view
			return reply{}, err
		}
	}
	hashes := map[string]uint64{}
	for _, v := range h.table.of(r.kind) {
		if hash := v.Hash(); hash != 0 {
			hashes[v.id.Key()] = hash
		}
	}
	return h.page(itemsOf(hashes), r), nil
}

// since answers with what this silo has more of a variable than a digest says.
func (h *Host) since(id wire.ID, digest []byte) (reply, error) {
	v := h.table.get(id)
	if v == nil {
		return reply{}, nil
	}
	delta, err := v.Since(digest)
	if err != nil {
		return reply{}, fmt.Errorf("variable %v: %w", id, err)
	}
	return bounded(id, delta, h.cfg.RepairLimit)
}
