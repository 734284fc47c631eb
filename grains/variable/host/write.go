package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Mutate applies an operation at the nearest replica: this silo if it is one, or else the first in the
// view's order that is up and takes it. It returns when the operation is durable there.
//
// An error that is a wire.ErrNotExecuted says that nothing was done: no replica that is up could be
// reached. One that is a wire.ErrUnknown says that the operation may have been done; it was not tried
// anywhere else. Any other comes from a replica that refused the operation.
func (h *Host) Mutate(ctx context.Context, id wire.ID, op []byte) error {
	k, err := kindOf(h.cfg.Kinds, id.Kind())
	if err != nil {
		return err
	}
	return h.nearest(ctx, k, id,
		func(at *placing) error { return h.mutateHere(ctx, at, k, id, op) },
		func() error { return h.remote.mutate(ctx, id, op, h.cfg.Self) })
}

// mutateHere applies an operation at this replica, which it is as far as at says.
func (h *Host) mutateHere(ctx context.Context, at *placing, k *wire.VariableKind, id wire.ID, op []byte) error {
	if err := checkID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("variable %v: %w: %w", id, wire.ErrNotExecuted, err)
	}
	e, err := h.enqueue(h.table.make(id, k.Lattice), op, at)
	if err != nil {
		return fmt.Errorf("variable %v: %w", id, err)
	}
	if e == nil || h.cfg.hooks.ackNow {
		return nil
	}
	if err := h.wait(ctx, e); err != nil {
		return fmt.Errorf("variable %v: %w", id, err)
	}
	return nil
}

// enqueue turns an operation into a delta and queues it; nil if it changes nothing. The variable's lock
// makes the order of what it keeps for itself that of the queue.
func (h *Host) enqueue(v *variable, op []byte, at *placing) (*entry, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	prepared, err := v.object.Prepare(h.cfg.Now().UnixNano(), op)
	if err != nil {
		return nil, err
	}
	delta, own, err := v.lattice.Effect(h.cfg.Actor, v.own, prepared)
	if err != nil {
		return nil, err
	}
	if limit := h.cfg.Limit - slack; len(delta) > limit {
		return nil, fmt.Errorf("%w: one change of it has %d bytes, the limit is %d: make it in several", wire.ErrTooLarge, len(delta), limit)
	}
	if changes, err := check(v.lattice, delta); err != nil || !changes {
		return nil, err
	}
	e := &entry{variable: v, delta: delta, own: own, at: at, done: make(chan error, 1)}
	if bytes.Equal(own, v.own) {
		e.own = nil
	}
	if err := h.queue.put(e, false); err != nil {
		return nil, err
	}
	v.own = own
	return e, nil
}

// check makes sure, before a delta is stored, that it can be read again, and says whether there is
// anything in it.
func check(l wire.Lattice, delta []byte) (changes bool, err error) {
	if len(delta) == 0 {
		return false, nil
	}
	novelty, err := l.New().Join(delta)
	return len(novelty) > 0, err
}

// Prepare adds to an operation what it observes at the nearest replica. It changes nothing.
func (h *Host) Prepare(ctx context.Context, id wire.ID, op []byte) (prepared []byte, err error) {
	k, err := kindOf(h.cfg.Kinds, id.Kind())
	if err != nil {
		return nil, err
	}
	err = h.nearest(ctx, k, id,
		func(*placing) (err error) { prepared, err = h.prepareHere(k, id, op); return err },
		func() (err error) { prepared, err = h.remote.prepare(ctx, id, op, h.cfg.Self); return err })
	return prepared, err
}

func (h *Host) prepareHere(k *wire.VariableKind, id wire.ID, op []byte) (prepared []byte, err error) {
	now := h.cfg.Now().UnixNano()
	if v := h.table.get(id); v != nil {
		v.use(func(o wire.Object) { prepared, err = o.Prepare(now, op) })
	} else {
		prepared, err = k.Lattice.New().Prepare(now, op)
	}
	if err != nil {
		return nil, fmt.Errorf("variable %v: %w", id, err)
	}
	return prepared, nil
}

// Read calls use with the variable's object if this silo is a replica, and with a copy of the nearest
// replica's otherwise. use must not keep or change the object, nor call the host; the variable is locked
// meanwhile. When no replica can be reached, a copy that this silo keeps because it follows the kind
// serves, however old it is.
func (h *Host) Read(ctx context.Context, id wire.ID, use func(wire.Object)) error {
	k, err := kindOf(h.cfg.Kinds, id.Kind())
	if err != nil {
		return err
	}
	return h.nearest(ctx, k, id, func(*placing) error {
		h.readHere(k, id, use)
		return nil
	}, func() error {
		err := h.remote.read(ctx, id, use, h.cfg.Self)
		if err != nil && h.placing.Load().follow(h.cfg.Self, id.Kind()) && h.table.get(id) != nil {
			h.readHere(k, id, use)
			return nil
		}
		return err
	})
}

func (h *Host) readHere(k *wire.VariableKind, id wire.ID, use func(wire.Object)) {
	if v := h.table.get(id); v != nil {
		v.use(use)
		return
	}
	use(k.Lattice.New())
}

// Apply hands over deltas that were made elsewhere and are durable there: they are joined, in their
// order, where this silo holds the variable, and then shared as if written here. It returns when they are
// queued; Durable waits for them. Applying a delta again is harmless.
//
// Size does not matter here, since others get the delta from where it was made; if it is too large for a
// message it cannot be repaired, which is logged. A delta that does not decode is left out and reported in
// the error; the others are taken.
func (h *Host) Apply(deltas []Delta) error {
	var bad []error
	for _, d := range deltas {
		k := h.cfg.Kinds[d.Variable.Kind()].Variable()
		if k == nil || k.Lattice == nil || !h.placing.Load().holds(k, d.Variable) {
			continue
		}
		err := checkID(d.Variable)
		changes := false
		if err == nil {
			changes, err = check(k.Lattice, d.Bytes)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("variable %v: delta left out: %w", d.Variable, err))
			continue
		}
		if !changes {
			continue
		}
		e := &entry{variable: h.table.make(d.Variable, k.Lattice), delta: d.Bytes}
		if err := h.queue.put(e, true); err != nil {
			return errors.Join(append(bad, err)...)
		}
	}
	return errors.Join(bad...)
}
