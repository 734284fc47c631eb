package commit

import "maps"

// table is a map that can be captured in little time while it goes on changing: a capture freezes the
// base, and changes go to a second map over it until the last capture is released.
type table[K comparable, V any] struct {
	base   map[K]V
	over   map[K]change[V] // nil when nothing is captured
	frozen int             // captures that still read base
}

type change[V any] struct {
	v    V
	dead bool
}

func newTable[K comparable, V any]() *table[K, V] { return &table[K, V]{base: map[K]V{}} }

func (t *table[K, V]) get(k K) (V, bool) {
	if t.over != nil {
		if c, ok := t.over[k]; ok {
			return c.v, !c.dead
		}
	}
	v, ok := t.base[k]
	return v, ok
}

func (t *table[K, V]) put(k K, v V) {
	if t.over != nil {
		t.over[k] = change[V]{v: v}
		return
	}
	t.base[k] = v
}

func (t *table[K, V]) remove(k K) {
	if t.over != nil {
		var zero V
		t.over[k] = change[V]{v: zero, dead: true}
		return
	}
	delete(t.base, k)
}

// capture returns a view of what the table holds now. It costs what was changed since the oldest
// capture that is not released, which is nothing where there is none.
func (t *table[K, V]) capture() view[K, V] {
	t.frozen++
	v := view[K, V]{base: t.base, over: maps.Clone(t.over)}
	if t.over == nil {
		t.over = map[K]change[V]{}
	}
	return v
}

// release gives a capture back; the last one merges what changed meanwhile.
func (t *table[K, V]) release() {
	t.frozen--
	if t.frozen > 0 {
		return
	}
	for k, c := range t.over {
		if c.dead {
			delete(t.base, k)
		} else {
			t.base[k] = c.v
		}
	}
	t.over = nil
}

// view is a captured table, safe to read beside the table's changes.
type view[K comparable, V any] struct {
	base map[K]V
	over map[K]change[V]
}

func (v view[K, V]) all(yield func(K, V) bool) {
	for k, b := range v.base {
		if _, changed := v.over[k]; changed {
			continue
		}
		if !yield(k, b) {
			return
		}
	}
	for k, c := range v.over {
		if !c.dead && !yield(k, c.v) {
			return
		}
	}
}
