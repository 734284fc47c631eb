package host

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// change is a novelty that became durable here.
type change struct {
	id      wire.ID
	novelty []byte
}

type watcher struct {
	match func(wire.ID) bool
	f     func(id wire.ID, novelty []byte)
}

type watchers struct {
	mu  sync.Mutex
	all []*watcher // replaced, never changed
}

func (w *watchers) tell(changed []change) {
	if len(changed) == 0 {
		return
	}
	w.mu.Lock()
	all := w.all
	w.mu.Unlock()
	for _, c := range changed {
		for _, one := range all {
			if one.match(c.id) {
				one.f(c.id, c.novelty)
			}
		}
	}
}

// Watch calls f with every novelty that becomes durable on this silo in a variable that matches, own
// writes and received ones alike, exactly what was joined. The calls come one at a time, each variable's
// in the order in which they became durable; all writers wait for them, so both functions must be quick
// and must not wait for the host. A writer is answered after the watchers. A call that has begun may go
// on while cancel returns.
func (h *Host) Watch(match func(wire.ID) bool, f func(id wire.ID, novelty []byte)) (cancel func()) {
	one := &watcher{match, f}
	w := &h.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(slices.Clone(w.all), one)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = slices.DeleteFunc(slices.Clone(w.all), func(x *watcher) bool { return x == one })
	}
}

// Snapshot calls each with the state of every variable of the kind that is here. What a snapshot lacks, a
// watcher that was registered before it hears; a watcher may hear what the snapshot had.
func (h *Host) Snapshot(kind string, each func(id wire.ID, state []byte)) {
	for _, v := range h.table.of(kind) {
		if v.Hash() != 0 {
			each(v.id, v.State())
		}
	}
}

// held returns the variables of a kind that this silo keeps now. What it kept while it followed the kind,
// in another run perhaps, is not among them: nobody keeps that up to date.
func (h *Host) held(kind string) []*variable {
	k := h.cfg.Kinds[kind].Variable()
	if k == nil {
		return nil
	}
	at := h.placing.Load()
	return slices.DeleteFunc(h.table.of(kind), func(v *variable) bool { return !at.holds(k, v.id) })
}

// Hashes returns the hashes of the variables of a kind that this silo keeps, by key; variables that
// nobody has written are left out.
func (h *Host) Hashes(kind string) map[string]uint64 {
	hashes := map[string]uint64{}
	for _, v := range h.held(kind) {
		if hash := v.Hash(); hash != 0 {
			hashes[v.id.Key()] = hash
		}
	}
	return hashes
}

// keysHere returns the keys of the variables kept here that hold something.
func (h *Host) keysHere(kind string) []string {
	var keys []string
	for _, v := range h.held(kind) {
		if !v.empty() {
			keys = append(keys, v.id.Key())
		}
	}
	slices.Sort(keys)
	return keys
}

// Keys returns the keys of a family that hold something at any silo that is up, sorted. It asks each of
// them. The error is that of a silo that is up and did not answer, if others do not hold all that it may.
func (h *Host) Keys(ctx context.Context, family string) ([]string, error) {
	if _, err := kindOf(h.cfg.Kinds, family); err != nil {
		return nil, err
	}
	return h.remote.keys(ctx, family, h.cfg.Self, h.keysHere)
}

// RemoteHashes returns what Hashes of another silo does.
func (h *Host) RemoteHashes(ctx context.Context, silo view.SiloID, kind string) (map[string]uint64, error) {
	if silo == h.cfg.Self {
		if _, err := kindOf(h.cfg.Kinds, kind); err != nil {
			return nil, fmt.Errorf("silo %s: %w", silo, err)
		}
		return h.Hashes(kind), nil
	}
	return h.remote.RemoteHashes(ctx, silo, kind)
}
