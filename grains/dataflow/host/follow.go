package host

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// FollowerConfig is what a node that is no silo follows views with.
type FollowerConfig struct {
	Views     *view.Holder
	Kinds     map[string]wire.Kind
	Transport Transport
	// Addr is where stations tell the node what changes, and names it in the log.
	Addr string
	// Limit is the most bytes of one message, as everywhere in the cluster. Default 1 MiB.
	Limit int
	// Logger gets what cannot be followed. Default slog.Default().
	Logger *slog.Logger
}

// Follower keeps the node's copies of outputs. Its methods may be called from any goroutine.
type Follower struct {
	kinds  map[string]wire.Kind
	graph  *flow.Graph // nil where the node does not know the whole graph
	peers  *peers
	timing timing
	limit  int // most bytes of one message
	log    *slog.Logger
	sender uint64

	life   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	cancel func() // of the subscription to views

	mu        sync.Mutex
	stopped   bool
	links     map[uint64]*link
	lastLink  uint64
	followers map[string]*follower
	changed   func(node string) // told of each change of a copy
}

// NewFollower returns what a client follows views with, until Stop.
func NewFollower(c FollowerConfig) *Follower {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Limit <= 0 {
		c.Limit = 1 << 20
	}
	// A client may be given a part of the graph; silos check what it asks for if it has the whole.
	graph, _ := compile(c.Kinds)
	return newFollower(&peers{views: c.Views, transport: c.Transport}, c.Kinds, graph, usual, c.Limit, c.Logger.With("node", c.Addr))
}

func newFollower(p *peers, kinds map[string]wire.Kind, graph *flow.Graph, t timing, limit int, log *slog.Logger) *Follower {
	f := &Follower{
		kinds: kinds, graph: graph, peers: p, timing: t, limit: limit, log: log, sender: rand.Uint64(),
		links: map[uint64]*link{}, followers: map[string]*follower{}, changed: func(string) {},
	}
	f.life, f.end = context.WithCancel(context.Background())
	f.cancel = p.views.Subscribe(func(*view.Table) {
		for _, l := range f.linked() {
			l.moved()
		}
	})
	return f
}

// compile makes the graph of all kinds that are nodes of one. A source that generated code has bound again
// is left to the variable.
func compile(kinds map[string]wire.Kind) (*flow.Graph, error) {
	var nodes []flow.Bound
	for _, k := range kinds {
		n := k.Node()
		if n == nil {
			continue
		}
		if spec := n.Bound.Spec(); k.Variable() == nil && spec != nil && spec.Source != "" && kinds[spec.Source].Variable() != nil {
			continue
		}
		nodes = append(nodes, n.Bound)
	}
	return flow.Compile(nodes)
}

func (f *Follower) linked() []*link {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*link, 0, len(f.links))
	for _, l := range f.links {
		all = append(all, l)
	}
	return all
}

// open starts a link to the node for s, until ctx ends; nil when the node stops.
func (f *Follower) open(ctx context.Context, node string, s sink) *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil
	}
	f.lastLink++
	l := &link{
		node: node, id: f.lastLink, sender: f.sender, peers: f.peers, sink: s, timing: f.timing, log: f.log,
		kick: make(chan struct{}, 1),
	}
	if f.graph != nil {
		info, _ := f.graph.Node(node)
		l.fingerprint = info.Fingerprint
	}
	f.links[l.id] = l
	f.work.Go(func() {
		l.run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.links, l.id)
	})
	return l
}

// Follow returns the copy of the node's output, which is made at the first call and kept up to date from
// then on. ctx bounds the wait for its first snapshot.
func (f *Follower) Follow(ctx context.Context, node string) (wire.Followed, error) {
	kind, ok := f.kinds[node]
	if !ok || kind.Node() == nil {
		return nil, fmt.Errorf("view %s: %w: add what its package's Grains() or Shared() returns to this node's Config.Grains", node, wire.ErrNoSuchKind)
	}
	if len(node)+overhead > f.limit {
		return nil, fmt.Errorf("view %.40s: %w: its name does not fit in a message of %d bytes", node, wire.ErrTooLarge, f.limit)
	}
	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		return nil, ErrStopped
	}
	c := f.followers[node]
	made := c == nil
	if made {
		c = &follower{
			ready: make(chan struct{}), stopped: f.life.Done(), changed: func() { f.changed(node) },
			copy: kind.Node().Materialize(), watchers: map[*watcher]struct{}{},
		}
		f.followers[node] = c
	}
	f.mu.Unlock()
	if made {
		f.open(f.life, node, c)
	}
	select {
	case <-c.ready:
		return c, nil
	case <-f.life.Done():
		return nil, ErrStopped
	case <-ctx.Done():
		c.mu.RLock()
		defer c.mu.RUnlock()
		if c.trouble != nil {
			return nil, fmt.Errorf("view %s: waiting for its first snapshot: %w; at last: %w", node, context.Cause(ctx), c.trouble)
		}
		return nil, fmt.Errorf("view %s: waiting for its first snapshot: %w", node, context.Cause(ctx))
	}
}

// ServeNotify takes a notification of the silo at from. What others send is not for it.
func (f *Follower) ServeNotify(from string, payload []byte) {
	m, err := decodeMessage(payload)
	if err != nil {
		f.log.Warn("a message about a view", "from", from, "error", err)
		return
	}
	f.told(m)
}

func (f *Follower) told(m *message) {
	f.mu.Lock()
	l := f.links[m.Subscription]
	f.mu.Unlock()
	if l != nil && l.node == m.Node && (m.Type == tellChange || m.Type == tellUnknown) {
		l.take(m)
	}
}

// Stop ends all following.
func (f *Follower) Stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.cancel()
	f.end()
	f.work.Wait()
}
