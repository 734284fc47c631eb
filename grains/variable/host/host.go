package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/cluster/replica"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// tick is how often the machine is told of the passing of time.
const tick = 50 * time.Millisecond

var (
	errClosed = fmt.Errorf("the silo's variables are closed: %w", wire.ErrNotExecuted)
	errFailed = fmt.Errorf("the silo's store of variables has failed: %w", wire.ErrNotExecuted)
)

// Host keeps the variables of one silo. Its methods may be called from any goroutine.
type Host struct {
	cfg    Config
	logger *slog.Logger
	remote *Client // to the other silos
	bulk   *Client // likewise, for what is large
	store  *store
	table  table
	queue  *queue
	start  time.Time

	placing  placingPointer // for reading without mu; changed under mu
	watchers watchers

	mu       sync.Mutex
	machine  *replica.Machine
	effects  []replica.Effect
	changed  []change // announced by the machine in the step at hand
	peers    map[machine.NodeID]*peer
	reported map[report]bool
	settled  *view.Table // who kept variables when this silo had last heard all, see newcomer.go

	announce   chan struct{}  // capacity 1: there is something to tell the others
	displaced  chan struct{}  // capacity 1: there may be something to hand over, see former.go
	arrived    chan struct{}  // capacity 1: there may be something to hear, see newcomer.go
	ended      chan struct{}  // closed, under mu, when no more goroutines may begin
	running    sync.WaitGroup // all goroutines but the one that commits
	commitsEnd chan struct{}
	stop       func()
	closing    sync.Once
	failing    sync.Once
	closeErr   error
}

// Open loads what is stored and begins to serve and to synchronise. The host runs until Close; ctx bounds
// the loading only. It costs reading everything once; what is loaded stays in memory.
//
// A directory of another store gives a *ForeignStore, one that cannot be read a *StoreError.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := openStore(cfg)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, logger: cfg.Logger, store: s, queue: newQueue(), start: time.Now(),
		remote:   NewClient(cfg.Views, cfg.Kinds, cfg.Requests, cfg.Limit),
		bulk:     NewClient(cfg.Views, cfg.Kinds, cfg.Repairs, cfg.RepairLimit),
		peers:    map[machine.NodeID]*peer{},
		reported: map[report]bool{},
		announce: make(chan struct{}, 1), displaced: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		ended: make(chan struct{}), commitsEnd: make(chan struct{}),
	}
	h.placing.Store(&placing{self: cfg.Self})
	if h.settled, err = s.keepers(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := h.load(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	delta := cfg.Limit - slack
	h.machine = replica.New(replica.Config{
		Self: nodeOf(cfg.Self), Incarnation: machine.Incarnation(cfg.Incarnation),
		Open: h.open, Shares: h.shares,
		MaxDelta: cfg.RepairLimit - slack, MaxMessage: min(256<<10, delta), MaxPage: min(128<<10, delta),
	})
	for _, v := range h.table.all() {
		h.machine.Add(v.id, v)
	}

	running, stop := context.WithCancel(context.Background())
	go func() { defer close(h.commitsEnd); h.commits() }()
	unsubscribe := cfg.Views.Subscribe(h.onView)
	h.stop = func() {
		unsubscribe()
		h.mu.Lock()
		close(h.ended)
		h.mu.Unlock()
		stop()
		h.running.Wait()
	}
	if v := cfg.Views.Current(); v != nil {
		h.onView(v)
	}
	h.running.Go(func() { h.ticks(running) })
	h.running.Go(func() { h.announcements(running) })
	h.running.Go(func() { h.handOver(running) })
	h.running.Go(func() { h.catchUp(running) })
	return h, nil
}

// load reads the store into the table.
func (h *Host) load(ctx context.Context) error {
	unknown := map[string]int{}
	var v *variable
	err := h.store.each(func(id wire.ID, what byte, seq uint64, value []byte) error {
		if ctx.Err() != nil {
			return fmt.Errorf("variable host: loading %s: %w", h.cfg.Dir, ctx.Err())
		}
		kind := h.cfg.Kinds[id.Kind()].Variable()
		if kind == nil {
			unknown[id.Kind()]++
			return nil
		}
		if v == nil || v.id != id {
			v = h.table.make(id, kind.Lattice)
		}
		bad := func(what string, err error) error {
			return &StoreError{Dir: h.cfg.Dir, Variable: id, What: what, Err: err}
		}
		switch what {
		case partBase:
			if _, err := v.object.Join(bytes.Clone(value)); err != nil {
				return bad("the stored state does not decode", err)
			}
			v.base = len(value)
		case partLog:
			if _, err := v.object.Join(bytes.Clone(value)); err != nil {
				return bad(fmt.Sprintf("stored delta %d does not decode", seq), err)
			}
			if v.log == 0 {
				v.first = seq
			}
			v.log += len(value)
			v.next = seq + 1
		case partOwn:
			v.own = bytes.Clone(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for kind, records := range unknown {
		h.logger.Warn("variable: stored variables of a kind that this silo is not given are kept and not served",
			"kind", kind, "records", records, "dir", h.cfg.Dir)
	}
	return nil
}

// fail stops the host because the store cannot be written any more.
func (h *Host) fail(err error) {
	h.queue.close(fmt.Errorf("%w: %w", errFailed, err))
	h.failing.Do(func() {
		h.logger.Error("variable: the store has failed; nothing is served any more", "error", err)
		if h.cfg.Fatal != nil {
			go h.cfg.Fatal(err)
		}
	})
}

// Close writes what is queued, and stops. Writes that come later are refused with wire.ErrNotExecuted.
func (h *Host) Close() error {
	h.closing.Do(func() {
		h.queue.close(errClosed)
		<-h.commitsEnd
		h.stop()
		h.closeErr = h.store.close()
	})
	return h.closeErr
}

func (h *Host) ticks(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		h.mu.Lock()
		h.step(replica.Tick{})
		h.mu.Unlock()
	}
}

// Durable returns when everything that was handed over before is durable.
func (h *Host) Durable(ctx context.Context) error {
	e := &entry{done: make(chan error, 1)}
	if err := h.queue.put(e, false); err != nil {
		return err
	}
	return h.wait(ctx, e)
}

// wait waits for an entry that is queued.
func (h *Host) wait(ctx context.Context, e *entry) error {
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for the disk: %w", wire.ErrUnknown, ctx.Err())
	}
}

// Synced says whether this silo counts wherever it is a replica, and whether all variables that it shares with
// silos that are up were found equal, and all that happened since was acknowledged by them and is durable here.
func (h *Host) Synced() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.placing.Load()
	return at.view != nil && len(at.arrivals) == 0 && h.queue.idle() && h.machine.Idle()
}

// kindOf returns how variables of that kind are kept.
func kindOf(kinds map[string]wire.Kind, kind string) (*wire.VariableKind, error) {
	k := kinds[kind].Variable()
	if k == nil || k.Lattice == nil {
		return nil, fmt.Errorf("variables of kind %s: %w: add the Shared() of its package to Config.Grains", kind, wire.ErrNoSuchKind)
	}
	return k, nil
}

func checkID(id wire.ID) error {
	if n := len(id.Kind()) + len(id.Key()); n > keyLimit {
		return fmt.Errorf("variable of kind %.100s: %w: its name has %d bytes, the limit is %d", id.Kind(), wire.ErrTooLarge, n, keyLimit)
	}
	return nil
}

// isReplica says whether silo s is among the silos that the view keeps the variable on.
func isReplica(v *view.Table, k *wire.VariableKind, id wire.ID, s view.SiloID) bool {
	if v == nil {
		return false
	}
	m, ok := v.Member(s)
	if !ok || !m.Keeps() {
		return false
	}
	if k.Replicas < 0 {
		return true
	}
	for _, r := range v.Replicas(id, k.Replicas) {
		if r.ID == s {
			return true
		}
	}
	return false
}
