package host

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// ErrStopped: the node on which the view is followed has stopped.
var ErrStopped = errors.New("the node has stopped, and follows no views")

// follower is this node's copy of an operator's output. It is a wire.Followed, and the sink of its link.
type follower struct {
	ready   chan struct{} // closed at the first snapshot
	stopped <-chan struct{}
	changed func() // told of each change, without the lock

	mu       sync.RWMutex
	copy     wire.Materialized
	frontier frontiers
	trouble  error // why there is no first snapshot yet
	watchers map[*watcher]struct{}
}

// Use implements wire.Followed.
func (f *follower) Use(use func(materialized any)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	use(f.copy.Typed())
}

// Frontier implements wire.Followed.
func (f *follower) Frontier() wire.Frontier {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.frontier.whole()
}

// replace implements sink.
func (f *follower) replace(batches [][]byte, at frontiers, began bool) error {
	f.mu.Lock()
	born, died, err := f.copy.Replace(batches)
	first := false
	if err == nil {
		f.frontier = at
		f.tell(born, died, began)
		select {
		case <-f.ready:
		default:
			first = true
			close(f.ready)
		}
	}
	f.mu.Unlock()
	if !first && length(born)+length(died) > 0 { // nobody has read what was before the first
		f.changed()
	}
	return err
}

// change implements sink.
func (f *follower) change(c *change) error {
	f.mu.Lock()
	if len(c.batch) == 0 {
		f.frontier = c.frontier
		f.mu.Unlock()
		return nil
	}
	born, died, err := f.copy.Apply(c.batch)
	if err == nil {
		f.frontier = c.frontier
		f.tell(born, died, c.reset)
	}
	f.mu.Unlock()
	if length(born)+length(died) > 0 {
		f.changed()
	}
	return err
}

// wanted implements sink.
func (f *follower) wanted() bool { return false }

// failed implements sink.
func (f *follower) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = err
}

func (f *follower) tell(born, died any, began bool) {
	if length(born)+length(died) == 0 {
		return
	}
	for w := range f.watchers {
		w.put(viewChange{born, died, began && length(died) > 0})
	}
}

// Watch implements wire.Followed.
func (f *follower) Watch(ctx context.Context, changed func(born, died any, reset bool) bool) error {
	w := &watcher{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	all := f.copy.All()
	f.watchers[w] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	if !changed(all, nil, false) {
		return nil
	}
	for {
		for _, c := range w.take() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !changed(c.born, c.died, c.reset) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.stopped:
			return ErrStopped
		case <-w.wake:
		}
	}
}

// viewChange is a change as watchers are told it: slices of the element type.
type viewChange struct {
	born, died any
	reset      bool
}

// watcher is what one reader has not been told yet. When it does not keep up, its changes are put together
// to one, in which what came and left again does not appear: so it holds no more than the difference of two
// states of the view.
type watcher struct {
	wake chan struct{} // one: that there is something is enough

	mu    sync.Mutex
	queue []viewChange
	net   *net // of what is more than maxQueue
}

// maxQueue changes are told one by one.
const maxQueue = 256

func (w *watcher) put(c viewChange) {
	w.mu.Lock()
	switch {
	case w.net != nil:
		w.net.add(c)
	case len(w.queue) >= maxQueue:
		w.net = &net{of: map[any]int{}}
		for _, old := range w.queue {
			w.net.add(old)
		}
		w.net.add(c)
		w.queue = nil
	default:
		w.queue = append(w.queue, c)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) take() []viewChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.queue
	if w.net != nil {
		queue = append(queue, w.net.change())
	}
	w.queue, w.net = nil, nil
	return queue
}

// net is the sum of changes: +1 for each element that came, -1 for each that left.
type net struct {
	of    map[any]int
	slice reflect.Type
	reset bool
}

func (n *net) add(c viewChange) {
	n.sum(c.born, +1)
	n.sum(c.died, -1)
	n.reset = n.reset || c.reset
}

func (n *net) sum(elements any, by int) {
	v := reflect.ValueOf(elements)
	if !v.IsValid() {
		return
	}
	n.slice = v.Type()
	for i := range v.Len() {
		e := v.Index(i).Interface()
		if n.of[e] += by; n.of[e] == 0 {
			delete(n.of, e)
		}
	}
}

func (n *net) change() viewChange {
	born, died := reflect.MakeSlice(n.slice, 0, 0), reflect.MakeSlice(n.slice, 0, 0)
	for e, by := range n.of {
		if by > 0 {
			born = reflect.Append(born, reflect.ValueOf(e))
		} else {
			died = reflect.Append(died, reflect.ValueOf(e))
		}
	}
	return viewChange{born.Interface(), died.Interface(), n.reset && died.Len() > 0}
}

// length of a slice in an any.
func length(elements any) int {
	v := reflect.ValueOf(elements)
	if !v.IsValid() {
		return 0
	}
	return v.Len()
}
