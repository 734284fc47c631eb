package host

import (
	"sync"

	"github.com/martinelli-go/martinelli/cluster/replica"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// variable is one variable on this silo. It is its object for the machine, under its own lock.
type variable struct {
	id      wire.ID
	prefix  []byte // of its records
	lattice wire.Lattice

	mu     sync.Mutex
	object wire.Object
	own    []byte // what this store keeps for itself, as of the last write that is queued

	// Of the goroutine that commits:
	base        int    // bytes of the stored base
	log         int    // bytes of the stored log
	first, next uint64 // the log's sequence numbers: [first, next)
	touched     bool   // by the batch at hand
}

var _ replica.Object = (*variable)(nil)

func newVariable(id wire.ID, l wire.Lattice) *variable {
	return &variable{id: id, prefix: prefix(id), lattice: l, object: l.New()}
}

func (v *variable) use(f func(wire.Object)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(v.object)
}

func (v *variable) Join(delta []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object.Join(delta)
}

func (v *variable) Hash() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object.Hash()
}

func (v *variable) Digest() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object.Digest()
}

func (v *variable) Since(digest []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(digest) == 0 { // an empty state's, for the machine
		if v.object.Hash() == 0 {
			return nil, nil
		}
		return v.object.State(), nil
	}
	return v.object.Since(digest)
}

func (v *variable) State() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object.State()
}

// empty says whether a reader would see nothing.
func (v *variable) empty() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object.Empty()
}

// table holds the variables by kind and key.
type table struct {
	mu    sync.RWMutex
	kinds map[string]map[string]*variable
}

// get returns the variable, nil if there is none here.
func (t *table) get(id wire.ID) *variable {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.kinds[id.Kind()][id.Key()]
}

// make returns the variable, an empty new one if there is none yet.
func (t *table) make(id wire.ID, l wire.Lattice) *variable {
	if v := t.get(id); v != nil {
		return v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.kinds[id.Kind()][id.Key()]; v != nil {
		return v
	}
	if t.kinds == nil {
		t.kinds = map[string]map[string]*variable{}
	}
	if t.kinds[id.Kind()] == nil {
		t.kinds[id.Kind()] = map[string]*variable{}
	}
	v := newVariable(id, l)
	t.kinds[id.Kind()][id.Key()] = v
	return v
}

// of returns the variables of a kind, in no order.
func (t *table) of(kind string) []*variable {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*variable, 0, len(t.kinds[kind]))
	for _, v := range t.kinds[kind] {
		all = append(all, v)
	}
	return all
}

// all returns every variable, in no order.
func (t *table) all() (all []*variable) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, kind := range t.kinds {
		for _, v := range kind {
			all = append(all, v)
		}
	}
	return all
}
