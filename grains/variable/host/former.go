package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Replicas that the view has given up. What one has acknowledged may be nowhere else: it was cut off, or the
// view came before the novelty had left. Replicas do not listen to it any more, and it shares nothing; so it
// hands over what it has more than one of the replicas of now has, once that is durable there, and that one
// spreads it. All of this is driven by the side that has something to lose, whatever views the others have
// seen, and by a new run of it too.

// handOverPause is the time between two tries to hand over what could not be.
const handOverPause = time.Second

// handOver hands over what is kept here of variables that others keep now, after each view that may have
// changed that, until ctx ends.
func (h *Host) handOver(ctx context.Context) {
	handed := map[wire.ID]uint64{} // their hashes
	for again := false; ; {
		var retry <-chan time.Time
		if again {
			retry = time.After(handOverPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.displaced:
		case <-retry:
		}
		at := h.placing.Load()
		if own, ok := memberOf(at.view, h.cfg.Self); !ok || own.State != view.Active && own.State != view.Leaving {
			continue // it is about to be a replica again, or is no silo of the cluster
		}
		handed, again = h.handOverAll(ctx, at, handed, func(k *wire.VariableKind, id wire.ID) bool { return !at.holds(k, id) })
	}
}

// HandOver has other replicas log what they lack of all that is here, for a silo that leaves: its directory may
// never be seen again. Nothing must be written here meanwhile. It costs a comparison of hashes with each of them.
func (h *Host) HandOver(ctx context.Context) error {
	at := h.placing.Load()
	if at.view == nil {
		return nil
	}
	all := func(*wire.VariableKind, wire.ID) bool { return true }
	for handed, left := h.handOverAll(ctx, at, nil, all); left; handed, left = h.handOverAll(ctx, h.placing.Load(), handed, all) {
		select {
		case <-time.After(handOverPause):
		case <-ctx.Done():
			return fmt.Errorf("variables were not handed over: %w", context.Cause(ctx))
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("variables were not handed over: %w", context.Cause(ctx))
	}
	return nil
}

// handDisplaced has that looked at.
func (h *Host) handDisplaced() {
	select {
	case h.displaced <- struct{}{}:
	default:
	}
}

// load is what goes to one silo, of one kind.
type load struct {
	to   view.SiloID
	kind string
}

// handOverAll hands over those of which that was not done as they are now. It returns of which it was, and whether
// something is left.
func (h *Host) handOverAll(ctx context.Context, at *placing, before map[wire.ID]uint64, which func(*wire.VariableKind, wire.ID) bool) (handed map[wire.ID]uint64, left bool) {
	handed = map[wire.ID]uint64{}
	loads := map[load][]*variable{}
	for _, v := range h.table.all() {
		k := h.cfg.Kinds[v.id.Kind()].Variable()
		if !which(k, v.id) {
			continue
		}
		switch hash := v.Hash(); {
		case hash == 0:
		case hash == before[v.id]:
			handed[v.id] = hash
		default:
			to, some := receiver(at, v.id, k.Replicas)
			if to == "" {
				left = left || some
				continue
			}
			l := load{to, v.id.Kind()}
			loads[l] = append(loads[l], v)
		}
	}
	for l, all := range loads {
		theirs, err := h.remote.RemoteHashes(ctx, l.to, l.kind)
		for _, v := range all {
			if ctx.Err() != nil {
				return handed, false
			}
			hash := v.Hash()
			if err == nil && theirs[v.id.Key()] != hash {
				err = h.give(ctx, l.to, v)
			}
			if errors.Is(err, errNeverTaken) {
				h.logger.Error("variable: what a former replica holds was not handed over", "variable", v.id.String(), "to", string(l.to), "error", err)
				err = nil
			}
			if err != nil {
				left = true
				h.logger.Debug("variable: handing over", "kind", l.kind, "to", string(l.to), "error", err)
				break // it may not be there, or have another view
			}
			handed[v.id] = hash
		}
	}
	return handed, left
}

func memberOf(t *view.Table, id view.SiloID) (view.Member, bool) {
	if t == nil {
		return view.Member{}, false
	}
	return t.Member(id)
}

// receiver is the replica that has been up for longest: it lacks the least. It is "" where none is up; some says
// that there are others than this silo.
func receiver(at *placing, id wire.ID, replicas int) (to view.SiloID, some bool) {
	all := slices.DeleteFunc(at.view.Replicas(id, replicas), func(m view.Member) bool { return m.ID == at.self })
	some = len(all) > 0
	all = slices.DeleteFunc(all, func(m view.Member) bool { return !m.Alive() })
	if len(all) == 0 {
		return "", some
	}
	return slices.MinFunc(all, func(a, b view.Member) int { return cmp.Compare(a.Since, b.Since) }).ID, true
}

// errNeverTaken is wrapped by what will not be otherwise the next time.
var errNeverTaken = errors.New("it cannot be")

// give has a replica log what it lacks of a variable.
func (h *Host) give(ctx context.Context, to view.SiloID, v *variable) error {
	asking, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	r := request{op: opDigest, kind: v.id.Kind(), key: v.id.Key()}
	digest, err := h.bulk.ask(asking, to, r.append(nil))
	if err != nil {
		return never(err)
	}
	if r.body, err = v.Since(digest.body); err != nil {
		return fmt.Errorf("%w: its digest: %w", errNeverTaken, err)
	}
	if len(r.body) == 0 {
		return nil
	}
	if limit := h.cfg.RepairLimit - slack; len(r.body) > limit {
		return fmt.Errorf("%w: %d bytes, the limit of a message is %d: %w", errNeverTaken, len(r.body), limit, wire.ErrTooLarge)
	}
	r.op = opTake
	giving, cancel := context.WithTimeout(ctx, transferTime+time.Duration(len(r.body)>>20)*time.Second)
	defer cancel()
	_, err = h.bulk.ask(giving, to, r.append(nil))
	return never(err)
}

// never tells refusals that are for good from those by silos that have another view, or are not there.
func never(err error) error {
	if answered(err) && !errors.Is(err, wire.ErrNotExecuted) && !errors.Is(err, wire.ErrUnknown) {
		return fmt.Errorf("%w: %w", errNeverTaken, err)
	}
	return err
}

// take logs what a former replica hands over, and shares it as if it was written here.
func (h *Host) take(ctx context.Context, k *wire.VariableKind, id wire.ID, delta []byte) error {
	if err := checkID(id); err != nil {
		return err
	}
	changes, err := check(k.Lattice, delta)
	if err != nil || !changes {
		return err
	}
	e := &entry{variable: h.table.make(id, k.Lattice), delta: bytes.Clone(delta), done: make(chan error, 1)}
	if err := h.queue.put(e, false); err != nil {
		return err
	}
	return h.wait(ctx, e)
}
