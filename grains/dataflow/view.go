package dataflow

import (
	"context"
	"fmt"
	"iter"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Frontier says which updates of its source a view contains.
type Frontier = wire.Frontier

// View is an operator's output as a place sees it. Its methods may be called from any goroutine. The
// first that is called at a node waits until the node has a copy of the output, which costs the operator
// one more reader; ctx bounds the wait. After that, reads take local time. An error is that ctx ended, or
// that no silo hosts the operator (grains.ErrNoSuchKind).
type View[E comparable] struct {
	engine wire.Engine
	name   string
}

// On returns the view of n at p; it makes no call.
func On[E comparable](p variable.Place, n flow.Node[E]) *View[E] {
	return &View[E]{wire.Of(p), n.Spec().Name}
}

// All returns the elements that the operator's output holds, in no particular order.
func (v *View[E]) All(ctx context.Context) (iter.Seq[E], error) {
	var all []E
	err := v.use(ctx, func(m *flow.Materialized[E]) {
		all = make([]E, 0, m.Len())
		for e := range m.All() {
			all = append(all, e)
		}
	})
	return func(yield func(E) bool) {
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}, err
}

// Contains says whether the output holds e.
func (v *View[E]) Contains(ctx context.Context, e E) (held bool, err error) {
	err = v.use(ctx, func(m *flow.Materialized[E]) { held = m.Contains(e) })
	return held, err
}

// Len is how many elements the output holds.
func (v *View[E]) Len(ctx context.Context) (n int, err error) {
	err = v.use(ctx, func(m *flow.Materialized[E]) { n = m.Len() })
	return n, err
}

// Frontier is how far the view has come.
func (v *View[E]) Frontier(ctx context.Context) (Frontier, error) {
	f, err := v.engine.Follow(ctx, v.name)
	if err != nil {
		return Frontier{}, err
	}
	return f.Frontier(), nil
}

// Change is a change of a view.
type Change[E any] struct {
	// Born and Died are the elements that it has now and had not before, and the other way round.
	Born, Died []E
	// Reset says that the operator began again, from its variables, since the last change: Died may name
	// what nobody removed and the operator only has not seen yet, and which a later change then bears.
	Reset bool
}

// Watch yields the whole view as the first change, and each change after it, until ctx ends, which ends
// the sequence with ctx's error. To a reader that does not keep up, changes are told as one, in which what
// came and left again does not appear.
func (v *View[E]) Watch(ctx context.Context) iter.Seq2[Change[E], error] {
	return func(yield func(Change[E], error) bool) {
		f, err := v.engine.Follow(ctx, v.name)
		stopped := false
		if err == nil {
			err = f.Watch(ctx, func(born, died any, reset bool) bool {
				c := Change[E]{Reset: reset}
				c.Born, _ = born.([]E)
				c.Died, _ = died.([]E)
				stopped = !yield(c, nil)
				return !stopped
			})
		}
		if err != nil && !stopped {
			yield(Change[E]{}, err)
		}
	}
}

func (v *View[E]) use(ctx context.Context, use func(*flow.Materialized[E])) error {
	f, err := v.engine.Follow(ctx, v.name)
	if err != nil {
		return err
	}
	var wrong error
	f.Use(func(m any) {
		typed, ok := m.(*flow.Materialized[E])
		if !ok {
			wrong = fmt.Errorf("view %s is a %T on this node: %w: two nodes share the name", v.name, m, wire.ErrNoSuchKind)
			return
		}
		use(typed)
	})
	return wrong
}
