package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// intake is what the variables of a source have learned and its ingress has not taken yet.
type intake struct {
	mu    sync.Mutex
	items []novelty
	bytes int
	// missed: more came than is kept; the ingress takes all states again, which brings what is missing.
	missed bool
	wake   chan struct{} // one: that there is something is enough
}

type novelty struct {
	key   string
	delta []byte
}

// maxIntakeBytes of novelties wait for the ingress.
const maxIntakeBytes = 16 << 20

func (q *intake) put(key string, delta []byte) {
	q.mu.Lock()
	if q.bytes += len(key) + len(delta); q.bytes > maxIntakeBytes {
		q.items, q.missed = nil, true
	} else {
		q.items = append(q.items, novelty{key, slices.Clone(delta)})
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *intake) take() (items []novelty, missed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, missed = q.items, q.missed
	q.items, q.bytes, q.missed = nil, 0, false
	return items, missed
}

// ingress feeds a source's station with what the variables of kind learn on this silo, until ctx ends.
func (s *station) ingress(ctx context.Context, kind string) {
	q := &intake{wake: make(chan struct{}, 1)}
	if err := s.host.variables.Follow(kind); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail(fmt.Errorf("following %s: %w", kind, err))
		return
	}
	cancel := s.host.variables.Watch(func(id wire.ID) bool { return id.Kind() == kind }, func(id wire.ID, delta []byte) {
		q.put(id.Key(), delta)
	})
	defer cancel()
	late := s.awaited(ctx, kind)
	patience := time.NewTimer(s.host.timing.silence)
	defer patience.Stop()
	var number uint64
	learn := func(each func(func(key string, delta []byte))) {
		var batches [][]byte
		s.mu.Lock()
		defer s.mu.Unlock()
		each(func(key string, delta []byte) {
			batches = append(batches, s.join(key, delta))
			delete(late, key)
			number++
		})
		if len(late) == 0 {
			s.learned(batches, number)
		}
	}
	all := func() {
		learn(func(join func(string, []byte)) {
			s.host.variables.Snapshot(kind, func(id wire.ID, state []byte) { join(id.Key(), state) })
		})
	}
	all()
	for {
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			if len(late) > 0 {
				clear(late)
				learn(func(func(string, []byte)) {}) // the output begins with what there is
			}
			continue
		case <-q.wake:
		}
		// What comes within a moment travels together.
		t := time.NewTimer(s.host.timing.coalesce)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		items, missed := q.take()
		if missed {
			all()
			continue
		}
		learn(func(join func(string, []byte)) {
			for _, n := range items {
				join(n.key, n.delta)
			}
		})
	}
}

// awaited returns the keys that the silos hold now. An ingress has no output before it has something of
// each, or has waited for a while: where it is new its copies are still to come, and a view would shrink
// and grow again.
func (s *station) awaited(ctx context.Context, kind string) map[string]struct{} {
	ctx, cancel := context.WithTimeout(ctx, s.host.timing.silence)
	defer cancel()
	keys, err := s.host.variables.Keys(ctx, kind)
	if err != nil {
		s.host.log.Info("an ingress begins without knowing what there is", "source", kind, "error", err)
	}
	late := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		late[k] = struct{}{}
	}
	return late
}

// join is called with the lock held.
func (s *station) join(key string, delta []byte) []byte {
	batch, err := s.source.Join(key, delta)
	if err != nil {
		// The replica has joined it: only a key or an element that the source does not take is refused, and
		// it will be for ever.
		s.host.log.Error("a source leaves out what it cannot read", "source", s.node.Name, "key", key, "error", err)
	}
	return batch
}

// learned emits what the feed brought; it is called with the lock held.
func (s *station) learned(batches [][]byte, number uint64) {
	if s.ended {
		return
	}
	batch, err := sum(batches)
	if err != nil {
		s.fail(fmt.Errorf("the feed of %s: %w", s.node.Name, err))
		return
	}
	s.emit(batch, frontiers{s.node.Name: {Ingress: s.out.incarnation, Number: number}}, false)
}

// opaque takes elements as their encodings, which are equal when they are.
var opaque = crdt.Codec[string]{
	Append: func(b []byte, e string) []byte { return append(b, e...) },
	Decode: func(b []byte) (string, error) { return string(b), nil },
}

// sum returns one batch that does what the batches do one after the other.
func sum(batches [][]byte) ([]byte, error) {
	batches = slices.DeleteFunc(batches, func(b []byte) bool { return len(b) == 0 })
	if len(batches) <= 1 {
		return slices.Concat(batches...), nil
	}
	var items []flow.Weighted[string]
	for _, b := range batches {
		more, err := flow.DecodeBatch(b, opaque)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	return flow.AppendBatch(nil, items, opaque), nil
}
