package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Variables is what a silo keeps of variables. Its methods may be called from any goroutine.
type Variables interface {
	// Watch calls f with every novelty that has become durable here, in order for each variable, until
	// cancel is called. f is quick and keeps nothing.
	Watch(match func(wire.ID) bool, f func(id wire.ID, novelty []byte)) (cancel func())
	// Follow keeps all variables of the kind on this silo from now on.
	Follow(kind string) error
	// Snapshot calls each with the state of every variable of the kind here. What changes after a Watch
	// has begun is in the one or the other, or in both.
	Snapshot(kind string, each func(id wire.ID, state []byte))
	// Keys returns the keys of a family that hold anything, sorted.
	Keys(ctx context.Context, family string) ([]string, error)
}

// Config is what a Host works with.
type Config struct {
	Self view.SiloID
	// Incarnation names the run of this process, and is higher than that of the runs before.
	Incarnation uint64
	Views       *view.Holder
	// Standing is what this silo may serve, and Now the reading of the clock that leases are measured on:
	// processes run under it. Never nil.
	Standing  func() *view.Standing
	Now       func() time.Duration
	Kinds     map[string]wire.Kind
	Variables Variables
	// Engine is the silo's: processes read and write through it.
	Engine    wire.Engine
	Transport Transport
	// Limit is the most bytes of one message. An element that is longer travels alone in a longer one.
	// Default 1 MiB.
	Limit int
	// Logger gets failures of operators and processes. Default slog.Default().
	Logger *slog.Logger

	timing timing // usual, but in tests
}

// Host runs the stations and processes of a silo, and keeps its copies of outputs. Its methods may be
// called from any goroutine.
type Host struct {
	*Follower
	config    Config
	variables Variables
	scheduler *scheduler
	runs      atomic.Uint64 // of stations

	smu      sync.Mutex
	stations map[string]*station
	broken   map[string]time.Time // when a node whose station failed may begin again
}

// New returns a host that does nothing until Start. Its error is a *flow.GraphError when the kinds are no
// graph.
func New(c Config) (*Host, error) {
	if c.Limit <= 0 {
		c.Limit = 1 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.timing == (timing{}) {
		c.timing = usual
	}
	graph, err := compile(c.Kinds)
	if err != nil {
		return nil, err
	}
	h := &Host{config: c, variables: c.Variables, stations: map[string]*station{}, broken: map[string]time.Time{}}
	p := &peers{views: c.Views, transport: c.Transport, self: c.Self, serve: h.ServeRequest, local: make(chan []byte, localQueue)}
	h.Follower = newFollower(p, c.Kinds, graph, c.timing, c.Limit, c.Logger)
	// Runs wait for their writes most of the time: a few for each processor keep it busy.
	h.scheduler = newScheduler(h, 4*runtime.GOMAXPROCS(0))
	h.changed = h.scheduler.viewChanged
	return h, nil
}

// Start begins to serve, and to run the processes of the keys that the view gives to this silo.
func (h *Host) Start(context.Context) error {
	cancel := h.config.Views.Subscribe(func(*view.Table) { h.moveStations() })
	h.work.Go(func() {
		<-h.life.Done()
		cancel()
	})
	h.moveStations()
	h.work.Go(h.deliverLocal)
	h.work.Go(h.tick)
	return h.scheduler.start()
}

// Stop ends all stations, copies and processes. Runs of processes are cancelled; ctx bounds the wait for
// them.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.cancel()
	h.end()
	h.scheduler.stop()
	h.smu.Lock()
	for name, s := range h.stations {
		s.close()
		delete(h.stations, name)
	}
	h.smu.Unlock()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dataflow: runs of processes have not ended: %w", context.Cause(ctx))
	}
}

func (h *Host) deliverLocal() {
	for {
		select {
		case <-h.life.Done():
			return
		case b := <-h.peers.local:
			h.ServeNotify(h.peers.selfAddr(), b)
		}
	}
}

func (h *Host) tick() {
	t := time.NewTicker(h.timing.tick)
	defer t.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case <-t.C:
		}
		h.smu.Lock()
		all := make([]*station, 0, len(h.stations))
		for _, s := range h.stations {
			all = append(all, s)
		}
		h.smu.Unlock()
		for _, s := range all {
			if s.tick(time.Now()) {
				h.endStation(s, nil)
			}
		}
	}
}

// endStation forgets s. After a failure its node waits before it may begin again.
func (h *Host) endStation(s *station, failure error) {
	h.smu.Lock()
	if h.stations[s.node.Name] == s {
		delete(h.stations, s.node.Name)
		if failure != nil {
			h.broken[s.node.Name] = time.Now().Add(h.timing.backoff)
		}
	}
	h.smu.Unlock()
	s.close()
}

// moveStations ends the stations that the view has given to others.
func (h *Host) moveStations() {
	h.smu.Lock()
	defer h.smu.Unlock()
	for name, s := range h.stations {
		if owner, err := h.peers.owner(name); err == nil && owner.ID != h.config.Self {
			delete(h.stations, name)
			go s.close() // whoever sets a view does not wait for an operator at work
		}
	}
}

// station returns the station of a node that this silo owns, and begins it if need be.
func (h *Host) station(node string) (*station, error) {
	info, ok := h.graph.Node(node)
	if !ok {
		return nil, fmt.Errorf("this silo's graph has no node %q", node)
	}
	owner, err := h.peers.owner(node)
	if err != nil {
		return nil, err
	}
	if owner.ID != h.config.Self {
		return nil, fmt.Errorf("the operator is at silo %s in view %d", owner.Addr, h.config.Views.Current().Number)
	}
	h.smu.Lock()
	defer h.smu.Unlock()
	if h.life.Err() != nil {
		return nil, ErrStopped
	}
	if s := h.stations[node]; s != nil {
		return s, nil
	}
	if until, failed := h.broken[node]; failed && time.Now().Before(until) {
		return nil, errors.New("the operator failed a moment ago; its silo's log says why")
	}
	delete(h.broken, node)
	s, err := h.begin(info)
	if err == nil {
		h.stations[node] = s
	}
	return s, err
}

// begin starts a station. It is called with smu held, under which f.mu may be taken.
func (h *Host) begin(info flow.NodeInfo) (*station, error) {
	s := &station{host: h, node: info, ready: make(chan struct{}), failed: make(chan struct{}), touched: time.Now()}
	s.out = publisher{
		node: info.Name, limit: h.limit, timing: h.timing, send: h.peers.notify,
		incarnation: xxh3.HashStringSeed(string(h.config.Self), h.config.Incarnation+h.runs.Add(1)) | 1, // never 0
		subscribers: map[subscriber]time.Time{}, snapshots: map[uint64]*snapshot{},
	}
	var ctx context.Context
	ctx, s.end = context.WithCancel(h.life)
	if info.Source != "" {
		v := h.kinds[info.Source].Variable()
		if v == nil {
			s.end()
			return nil, fmt.Errorf("source %q (%s) is no variable that this silo was given: add the Shared() of its package to Config.Grains", info.Source, info.Place)
		}
		if v.NewFeed == nil {
			s.end()
			return nil, fmt.Errorf("source %q (%s) is a variable whose type is no collection that graphs read: sets, counters, registers and maps are", info.Source, info.Place)
		}
		s.source = v.NewFeed()
		h.work.Go(func() { s.ingress(ctx, info.Source) })
		return s, nil
	}
	if len(info.Inputs) == 0 {
		s.end()
		return nil, fmt.Errorf("node %q (%s) is an input that no variable feeds", info.Name, info.Place)
	}
	op, err := h.graph.New(info.Name)
	if err != nil {
		s.end()
		return nil, err
	}
	s.op = op
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = make([]port, len(info.Inputs))
	for i, input := range info.Inputs {
		if s.ports[i].link = h.open(ctx, input, in{s, i}); s.ports[i].link == nil {
			s.end()
			return nil, ErrStopped
		}
	}
	return s, nil
}

// ServeRequest answers a request of the node at from.
func (h *Host) ServeRequest(ctx context.Context, from string, payload []byte) ([]byte, error) {
	m, err := decodeMessage(payload)
	if err != nil {
		return nil, fmt.Errorf("a request about a view: %w", err)
	}
	return h.answer(ctx, subscriber{from, m.Sender, m.Subscription}, m).append(nil), nil
}

func (h *Host) answer(ctx context.Context, from subscriber, m *message) *message {
	switch m.Type {
	case askSubscribe:
		s, err := h.station(m.Node)
		if err != nil {
			return refusal(err.Error())
		}
		if m.Fingerprint != 0 && m.Fingerprint != s.node.Fingerprint {
			return refusal(fmt.Sprintf("node %s is made by other code there than here: the same version must run everywhere", m.Node))
		}
		// Shorter than the subscriber waits, so that it is told what it waits for.
		ctx, cancel := context.WithTimeout(ctx, h.timing.request*4/5)
		defer cancel()
		return s.subscribe(ctx, from, m)
	case askPage:
		h.smu.Lock()
		s := h.stations[m.Node]
		h.smu.Unlock()
		if s == nil {
			return refusal("the operator has moved or ended")
		}
		return s.page(m)
	}
	return refusal(fmt.Sprintf("a request of unknown type %d", m.Type))
}

// ServeNotify takes a notification of the silo at from.
func (h *Host) ServeNotify(from string, payload []byte) { h.notified(from, payload, true) }

// ServeClientNotify takes a notification of the client at from. A client follows views and feeds none: what it
// says that one has changed by is not believed.
func (h *Host) ServeClientNotify(from string, payload []byte) { h.notified(from, payload, false) }

func (h *Host) notified(from string, payload []byte, silo bool) {
	m, err := decodeMessage(payload)
	if err != nil {
		h.log.Warn("a message about a view", "from", from, "error", err)
		return
	}
	switch m.Type {
	case tellAlive, tellGone:
		h.smu.Lock()
		s := h.stations[m.Node]
		h.smu.Unlock()
		who := subscriber{from, m.Sender, m.Subscription}
		switch {
		case m.Type == tellGone && s != nil:
			s.gone(who)
		case m.Type == tellAlive && (s == nil || !s.alive(who, m)):
			unknown := message{Type: tellUnknown, Node: m.Node, Subscription: m.Subscription, Incarnation: m.Incarnation}
			h.peers.notify(from, unknown.append(nil))
		}
	default:
		if silo {
			h.told(m)
		}
	}
}
