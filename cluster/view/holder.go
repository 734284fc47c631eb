package view

import (
	"slices"
	"sync"
)

// Holder is a node's newest view, for everything on the node that asks or wants to be told. The zero
// Holder has no view. It is safe for concurrent use.
type Holder struct {
	mu      sync.Mutex
	current *Table
	told    []*subscriber
}

type subscriber struct{ f func(*Table) }

// Current returns the newest view; nil before the first.
func (h *Holder) Current() *Table {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

// Set makes v the current view unless a newer one is, and tells all who subscribed, one after the other,
// on the caller's goroutine.
func (h *Holder) Set(v *Table) {
	h.mu.Lock()
	if h.current != nil && h.current.Number >= v.Number {
		h.mu.Unlock()
		return
	}
	h.current = v
	told := slices.Clone(h.told)
	h.mu.Unlock()
	for _, s := range told {
		s.f(v)
	}
}

// Subscribe calls f with every new view, until cancel is called. f must be quick, must not call Set, and
// may be called with an older view after a newer one: it should look at numbers.
func (h *Holder) Subscribe(f func(*Table)) (cancel func()) {
	s := &subscriber{f}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, s)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = slices.DeleteFunc(slices.Clone(h.told), func(t *subscriber) bool { return t == s })
	}
}
