package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/crdt/flow"
)

// station is a node of the graph at work on this silo.
type station struct {
	host   *Host
	node   flow.NodeInfo
	end    context.CancelFunc
	ready  chan struct{} // closed at the first output
	failed chan struct{} // closed when the station is given up; failure says why

	mu      sync.Mutex
	out     publisher
	source  flow.Feed      // of an ingress
	op      *flow.Operator // of any other
	ports   []port
	touched time.Time // when somebody last subscribed or was there
	ended   bool
	failure error
}

// port is an input of an operator.
type port struct {
	link     *link
	frontier frontiers
	pending  *snapshotIn
}

// snapshotIn is a snapshot of one input, and the changes since, while those of the other inputs are
// awaited.
type snapshotIn struct {
	batches  [][]byte
	bytes    int // of the changes
	frontier frontiers
	began    bool
}

// maxPendingBytes of changes are kept on top of a snapshot that waits for those of other inputs.
const maxPendingBytes = 64 << 20

// errAgain: what was gathered was too much; the snapshot is fetched again.
var errAgain = errors.New("too many changes came while the other inputs' snapshots were awaited")

// in is a port of a station as a link's sink.
type in struct {
	s *station
	n int
}

func (i in) replace(batches [][]byte, f frontiers, began bool) error {
	return i.s.replace(i.n, batches, f, began)
}
func (i in) change(c *change) error { return i.s.change(i.n, c) }

func (i in) failed(error) {}

// wanted: an operator begins again with all of its inputs, or with none.
func (i in) wanted() bool {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	return i.s.ports[i.n].pending == nil && i.s.anyPending()
}

func (s *station) anyPending() bool {
	return slices.ContainsFunc(s.ports, func(p port) bool { return p.pending != nil })
}

func (s *station) frontier() frontiers {
	all := make([]frontiers, len(s.ports))
	for i, p := range s.ports {
		all[i] = p.frontier
	}
	return merge(all)
}

// replace takes the snapshot of one input; with those of all, the operator begins again with them.
func (s *station) replace(n int, batches [][]byte, f frontiers, began bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ports[n].pending = &snapshotIn{batches: batches, frontier: f, began: began}
	inputs := make([][][]byte, len(s.ports))
	for i, p := range s.ports {
		if p.pending == nil {
			p.link.wake()
		} else {
			inputs[i] = p.pending.batches
			began = began || p.pending.began
		}
	}
	if slices.ContainsFunc(s.ports, func(p port) bool { return p.pending == nil }) {
		return nil
	}
	diff, err := s.guarded(func() ([]byte, error) { return s.op.Replace(inputs) })
	for i := range s.ports {
		p := &s.ports[i]
		if err == nil {
			p.frontier = p.pending.frontier
		}
		p.pending = nil
	}
	if err != nil {
		return err
	}
	s.emit(diff, s.frontier(), began)
	return nil
}

// change applies a change of one input.
func (s *station) change(n int, c *change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	p := &s.ports[n]
	if in := p.pending; in != nil {
		if in.bytes += len(c.batch); in.bytes > maxPendingBytes {
			p.pending = nil
			return errAgain
		}
		if len(c.batch) > 0 {
			in.batches = append(in.batches, c.batch)
		}
		in.began = in.began || c.reset
		in.frontier = c.frontier
		return nil
	}
	var out []byte
	if len(c.batch) > 0 {
		var err error
		if out, err = s.guarded(func() ([]byte, error) { return s.op.Apply(n, c.batch) }); err != nil {
			return err
		}
	}
	p.frontier = c.frontier
	s.emit(out, s.frontier(), c.reset)
	return nil
}

// guarded runs an operator, whose functions are the user's. One that panics ends the station: it is
// begun again, later each time, by whoever still needs it.
func (s *station) guarded(do func() ([]byte, error)) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a function of operator %s (%s) panicked: %v", s.node.Name, s.node.Place, p)
			s.host.log.Error("an operator is ended", "error", err, "stack", string(debug.Stack()))
			s.fail(err)
		}
	}()
	return do()
}

// emit is called with the lock held.
func (s *station) emit(batch []byte, f frontiers, reset bool) {
	s.out.emit(batch, f, reset, time.Now())
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// fail is called with the lock held.
func (s *station) fail(err error) {
	if s.ended {
		return
	}
	s.ended, s.failure = true, err
	close(s.failed)
	go s.host.endStation(s, err)
}

// subscribe answers a subscriber, when there is an output.
func (s *station) subscribe(ctx context.Context, from subscriber, m *message) *message {
	select {
	case <-s.ready:
	case <-s.failed:
	case <-ctx.Done():
		return refusal("the operator has not got its inputs yet")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		if s.failure != nil {
			return refusal(s.failure.Error())
		}
		return refusal("the operator moves")
	}
	now := time.Now()
	s.touched = now
	return s.out.subscribe(from, m.Incarnation, m.To, s.snapshot, now)
}

func (s *station) snapshot(limit int) iter.Seq[[]byte] {
	if s.source != nil {
		return s.source.Snapshot(limit)
	}
	return s.op.Snapshot(limit)
}

func (s *station) page(m *message) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.page(m.Incarnation, m.To, m.Part, time.Now())
}

// alive notes that a subscriber is there; false if it is not known here.
func (s *station) alive(from subscriber, m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.out.subscribers[from]; !known || m.Incarnation != s.out.incarnation {
		return false
	}
	s.out.subscribers[from] = time.Now()
	return true
}

func (s *station) gone(from subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.out.subscribers, from)
}

// tick does what is due, and says whether nobody has needed the station for long.
func (s *station) tick(now time.Time) (idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.out.tick(now)
	if len(s.out.subscribers) > 0 {
		s.touched = now
	}
	return now.Sub(s.touched) > s.out.timing.expire
}

func (s *station) close() {
	s.mu.Lock()
	if !s.ended {
		s.ended = true
		close(s.failed)
	}
	s.mu.Unlock()
	s.end()
}

func refusal(text string) *message { return &message{Type: answerRefused, Text: text} }
