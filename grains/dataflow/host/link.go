package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// sink is what a link feeds, called under the link's lock.
type sink interface {
	// replace puts the output in the place of all that was before. began: the station has begun again, so
	// what seems to have died may never have been removed.
	replace(batches [][]byte, f frontiers, began bool) error
	// change joins a change. After an error the link fetches a snapshot.
	change(c *change) error
	// wanted says that a snapshot is needed though nothing is missing.
	wanted() bool
	// failed tells why there is no snapshot yet; the link tries on.
	failed(err error)
}

// link follows the output of one node, wherever its station is, for one sink, until its run ends.
type link struct {
	node        string
	id, sender  uint64
	fingerprint uint64
	peers       *peers
	sink        sink
	timing      timing
	log         *slog.Logger
	kick        chan struct{} // one: that there is a reason to look is enough

	mu    sync.Mutex
	rx    receiver
	heard time.Time

	gap atomic.Bool // a snapshot is needed

	amu   sync.Mutex  // nothing else is done under it
	at    view.Member // the upstream
	abort context.CancelFunc
}

func (l *link) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// moved looks whether the station has moved; it is called with each view.
func (l *link) moved() {
	owner, err := l.peers.owner(l.node)
	l.amu.Lock()
	defer l.amu.Unlock()
	if err != nil || owner.ID == l.at.ID && owner.Incarnation == l.at.Incarnation {
		return
	}
	if l.abort != nil {
		l.abort()
	}
	l.gap.Store(true)
	l.wake()
}

// take takes what the upstream sent.
func (l *link) take(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Type == tellUnknown {
		if m.Incarnation == 0 || m.Incarnation == l.rx.incarnation {
			l.gap.Store(true)
			l.wake()
		}
		return
	}
	if m.Incarnation == l.rx.incarnation {
		l.heard = time.Now()
	}
	l.applied(l.rx.take(m))
}

// applied hands a change on.
func (l *link) applied(c *change, gap bool) {
	if c != nil {
		if err := l.sink.change(c); err != nil {
			l.log.Warn("a change of a view cannot be applied; its snapshot is fetched", "node", l.node, "error", err)
			l.rx.unsync()
			l.rx.forget()
			gap = true
		}
	}
	if gap {
		l.gap.Store(true)
		l.wake()
	}
}

// run subscribes, and does so again when something is missing, until ctx ends.
func (l *link) run(ctx context.Context) {
	defer l.leave()
	pause := 5 * time.Millisecond
	failing := false
	for ctx.Err() == nil {
		if err := l.sync(ctx); err != nil {
			l.sink.failed(err)
			if !failing && ctx.Err() == nil && pause > l.timing.backoff/4 {
				failing = true
				l.log.Warn("the output of an operator cannot be followed yet", "node", l.node, "error", err)
			}
			l.sleep(ctx, pause)
			pause = min(2*pause, l.timing.backoff)
			continue
		}
		pause, failing = 5*time.Millisecond, false
		l.await(ctx)
	}
}

func (l *link) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-l.kick:
	case <-t.C:
	}
}

// sync subscribes at the owner, and fetches a snapshot unless the owner has nothing that is not here.
func (l *link) sync(ctx context.Context) error {
	l.gap.Store(false) // before the owner is looked up: one that changes then sets it again
	owner, err := l.peers.owner(l.node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	force := l.sink.wanted()
	l.amu.Lock()
	l.at, l.abort = owner, cancel
	l.amu.Unlock()
	l.mu.Lock()
	l.rx.unsync()
	ask := message{Type: askSubscribe, Node: l.node, Subscription: l.id, Sender: l.sender, Fingerprint: l.fingerprint}
	if !force && !l.rx.spoiled {
		ask.Incarnation, ask.To = l.rx.incarnation, l.rx.seq
	}
	l.mu.Unlock()
	first, err := l.request(ctx, owner, &ask)
	if err != nil {
		return err
	}
	var batches [][]byte
	switch first.Type {
	case answerCurrent:
	case answerChange:
		if first.Incarnation != ask.Incarnation || first.From != ask.To {
			return fmt.Errorf("silo %s answers with a change from %d, not %d", owner.Addr, first.From, ask.To)
		}
	case answerPage:
		if batches, err = l.pages(ctx, owner, first); err != nil {
			return err
		}
	default:
		return fmt.Errorf("silo %s refuses: %s", owner.Addr, first.Text)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	switch first.Type {
	case answerChange:
		if err := l.sink.change(&change{first.Incarnation, first.From, first.To, first.Batch, first.Frontier, first.Reset}); err != nil {
			l.rx.forget()
			return err
		}
	case answerPage:
		began := l.rx.incarnation != 0 && l.rx.incarnation != first.Incarnation
		if err := l.sink.replace(batches, first.Frontier, began); err != nil {
			return err
		}
	}
	l.rx.snapshot(first.Incarnation, first.To, first.Frontier)
	l.heard = time.Now()
	for {
		c, gap := l.rx.kept()
		l.applied(c, gap)
		if c == nil || !l.rx.synced {
			return nil
		}
	}
}

// pages fetches the pages after the first.
func (l *link) pages(ctx context.Context, owner view.Member, first *message) ([][]byte, error) {
	var batches [][]byte
	for m := first; ; {
		if len(m.Batch) > 0 {
			batches = append(batches, m.Batch)
		}
		if m.Last {
			return batches, nil
		}
		ask := message{
			Type: askPage, Node: l.node, Subscription: l.id, Sender: l.sender,
			Incarnation: first.Incarnation, From: first.To, To: first.To, Part: m.Part + 1,
		}
		next, err := l.request(ctx, owner, &ask)
		if err != nil {
			return nil, err
		}
		if next.Type != answerPage || next.Incarnation != first.Incarnation || next.To != first.To || next.Part != m.Part+1 {
			return nil, fmt.Errorf("page %d of a snapshot at silo %s: %s", ask.Part, owner.Addr, next.Text)
		}
		m = next
	}
}

func (l *link) request(ctx context.Context, owner view.Member, m *message) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timing.request)
	defer cancel()
	return l.peers.request(ctx, owner, m)
}

// await returns when a snapshot is needed, and tells the upstream meanwhile that somebody listens.
func (l *link) await(ctx context.Context) {
	beat := time.NewTicker(l.timing.beat)
	defer beat.Stop()
	for {
		wanted := l.sink.wanted()
		l.mu.Lock()
		due := wanted || l.gap.Load() || time.Since(l.heard) > l.timing.silence
		l.mu.Unlock()
		if due {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		case <-beat.C:
			l.tell(tellAlive)
		}
	}
}

func (l *link) tell(what uint64) {
	l.mu.Lock()
	m := message{Type: what, Node: l.node, Subscription: l.id, Sender: l.sender, Incarnation: l.rx.incarnation}
	l.mu.Unlock()
	l.amu.Lock()
	at := l.at
	l.amu.Unlock()
	if at.ID != "" {
		l.peers.notify(at.Addr, m.append(nil))
	}
}

func (l *link) leave() { l.tell(tellGone) }
