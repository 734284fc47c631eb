package host

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/martinelli-go/martinelli/cluster/replica"
	"github.com/martinelli-go/martinelli/grains/wire"
)

const (
	// batchBytes is the size at which a batch is closed although more waits.
	batchBytes = 4 << 20
	// queueBytes is what may wait before Apply does.
	queueBytes = 32 << 20
	// logMin is how long a variable's log may become whatever the size of its base.
	logMin = 4 << 10
)

// entry is one thing that waits for the disk.
type entry struct {
	variable *variable // nil: nothing to write but settled, only to be told when all before is durable
	delta    []byte
	own      []byte     // nil: unchanged
	ticket   uint64     // the machine's, for what it has joined already; 0: to be joined when durable
	repaired bool       // others have it: it is not sent to them, and passes find where that is wrong
	settled  []byte     // who kept variables when all was heard; nil: unchanged
	at       *placing   // by which a writer found this silo to be a replica; nil: nobody asked
	done     chan error // told once; nil: nobody waits. Capacity 1.

	seq     uint64 // in the variable's log
	novelty []byte
	err     error
}

func (e *entry) size() int { return len(e.delta) + len(e.own) + len(e.settled) + 64 }

// queue is what waits for the disk, in order.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	entries []*entry
	bytes   int
	busy    bool  // a batch was taken and is not done
	closed  error // why nothing more is taken
}

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

// put adds an entry, or says why nothing is taken any more. Where it may wait it does so while the queue
// is full.
func (q *queue) put(e *entry, wait bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && q.bytes > queueBytes && q.closed == nil {
		q.changed.Wait()
	}
	if q.closed != nil {
		return q.closed
	}
	q.entries = append(q.entries, e)
	q.bytes += e.size()
	q.changed.Broadcast()
	return nil
}

// take waits for entries and returns those of the next batch; none when the queue is closed and empty.
// The batch that was taken before is done.
func (q *queue) take() []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	for len(q.entries) == 0 && q.closed == nil {
		q.changed.Wait()
	}
	n, size := 0, 0
	for n < len(q.entries) && size < batchBytes {
		size += q.entries[n].size()
		n++
	}
	batch := q.entries[:n:n]
	q.entries = q.entries[n:]
	q.bytes -= size
	q.busy = n > 0
	q.changed.Broadcast()
	return batch
}

// close refuses what comes from now on.
func (q *queue) close(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = why
	}
	q.changed.Broadcast()
}

// idle says whether nothing waits and nothing is being written.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries) == 0 && !q.busy
}

// commits writes what is queued, batch by batch, until the queue is closed.
func (h *Host) commits() {
	for {
		batch := h.queue.take()
		if len(batch) == 0 {
			return
		}
		err := h.write(batch)
		if err != nil {
			h.fail(err)
			// The batch may be on the disk or not: what becomes of it is seen when the store is opened.
			err = fmt.Errorf("%w: %w", wire.ErrUnknown, err)
		} else {
			h.publish(batch)
			if err := h.compact(batch); err != nil {
				h.fail(err)
			}
		}
		for _, e := range batch {
			if e.done != nil {
				e.done <- firstOf(err, e.err)
			}
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes a batch durable, with one fsync.
func (h *Host) write(batch []*entry) error {
	b := h.store.db.NewBatch()
	own := map[*variable][]byte{}
	for _, e := range batch {
		v := e.variable
		if e.settled != nil {
			_ = b.Set(keepersKey, e.settled, nil)
		}
		if v == nil {
			continue
		}
		e.seq = v.next
		v.next++
		v.log += len(e.delta)
		v.touched = true
		_ = b.Set(logKey(v.prefix, e.seq), e.delta, nil) // a batch in memory cannot fail
		if e.own != nil {
			own[v] = e.own // the last is the newest
		}
	}
	if !h.cfg.hooks.skipOwn {
		for v, record := range own {
			_ = b.Set(part(v.prefix, partOwn), record, nil)
		}
	}
	if b.Empty() {
		return firstOf(h.store.err(), b.Close())
	}
	return h.store.commit(b, pebble.Sync)
}

// publish joins what is durable now, and tells the machine and watchers, in the order of the batch.
func (h *Host) publish(batch []*entry) {
	for _, e := range batch {
		if e.variable == nil || e.ticket != 0 {
			continue
		}
		if e.novelty, e.err = e.variable.Join(e.delta); e.err != nil {
			// It joined into an empty state before it was queued. It is taken back: a record that does
			// not join would keep the store from being opened.
			e.err = fmt.Errorf("variable %v: a delta that was logged does not join: %w", e.variable.id, e.err)
			h.logger.Error("variable: delta refused", "variable", e.variable.id.String(), "error", e.err)
		}
	}
	h.mu.Lock()
	now := h.placing.Load()
	for i, e := range batch {
		if e.at != nil && e.at != now && !now.holds(h.cfg.Kinds[e.variable.id.Kind()].Variable(), e.variable.id) {
			h.handDisplaced() // the view came in between
		}
		switch {
		case e.variable == nil:
		case e.ticket != 0:
			if i+1 == len(batch) || batch[i+1].variable == nil || batch[i+1].ticket == 0 {
				h.step(replica.Logged{Ticket: e.ticket})
			}
		case len(e.novelty) > 0:
			h.machine.Add(e.variable.id, e.variable)
			if len(e.novelty) <= h.cfg.Limit-slack && !e.repaired { // what is larger, Apply brought, here as elsewhere
				h.step(replica.Local{Key: e.variable.id, Novelty: e.novelty})
			}
			h.changed = append(h.changed, change{e.variable.id, e.novelty})
		}
	}
	changed := h.changed
	h.changed = nil
	h.mu.Unlock()
	h.watchers.tell(changed)
}

// compact rewrites the variables of a batch whose log has become longer than their base. What it writes
// is not waited for: it becomes durable with the next batch or not at all, and says the same either way.
func (h *Host) compact(batch []*entry) error {
	b, o := h.store.db.NewBatch(), pebble.NoSync
	for _, e := range batch {
		v := e.variable
		if e.err != nil {
			_ = b.Delete(logKey(v.prefix, e.seq), nil)
			o = pebble.Sync
		}
		if v == nil || !v.touched {
			continue
		}
		v.touched = false
		if v.log <= v.base+logMin {
			continue
		}
		// The state holds everything that the log says, since what is durable is joined. It may hold more
		// that arrived meanwhile and is queued; it holds no dot of this store that is not durable.
		state := v.State()
		_ = b.Set(part(v.prefix, partBase), state, nil)
		_ = b.DeleteRange(logKey(v.prefix, v.first), logKey(v.prefix, v.next), nil)
		v.base, v.log, v.first = len(state), 0, v.next
	}
	if b.Empty() {
		return b.Close()
	}
	return h.store.commit(b, o)
}
