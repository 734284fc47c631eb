package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	declare "github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

var (
	text  = wire.Codec[string]{Append: func(b []byte, s string) []byte { return append(b, s...) }, Decode: func(b []byte) (string, error) { return string(b), nil }}
	bag   = declare.Set[string]("test.Bag", declare.Everywhere)
	bags  = declare.By[string](declare.Set[string]("test.Bags", declare.Replicas(2)))
	lone  = declare.By[string](declare.Set[string]("test.Lone", declare.Replicas(1)))
	count = declare.By[string](declare.Counter("test.Count"))
	reg   = declare.By[string](declare.Register[string]("test.Reg"))
)

func kinds() map[string]wire.Kind {
	all := map[string]wire.Kind{}
	for _, k := range []wire.Kind{
		declare.SetKind(bag, text), declare.SetKindBy(bags, text), declare.SetKindBy(lone, text),
		declare.CounterKindBy(count), declare.RegisterKindBy(reg, text),
	} {
		all[k.Name()] = k
	}
	return all
}

// world is some silos' hosts and the network between them.
type world struct {
	t     testing.TB
	views *view.Holder
	limit int
	hooks hooks
	over  atomic.Bool

	mu    sync.Mutex
	rng   *rand.Rand
	nodes []*node
	cut   map[[2]int]bool // no message from the first to the second
	// chances of a notification to be lost, doubled, or delivered after the next one
	drop, double, swap float64
	requests           map[int]int // served, by node
	lose               bool        // requests are executed and their answers lost
}

type node struct {
	w           *world
	i           int
	id          view.SiloID
	incarnation uint64
	mem         *vfs.MemFS
	off         *atomic.Bool // no power: no fsync succeeds
	fs          vfs.FS       // on mem
	host        *Host        // nil: down
	fatal       chan error
	held        map[int]notification // delivered after the next one
}

func newWorld(t testing.TB, n int, seed uint64) *world {
	w := &world{t: t, views: &view.Holder{}, rng: rand.New(rand.NewPCG(seed, 0)), cut: map[[2]int]bool{}, requests: map[int]int{}}
	var silos []view.Member
	for i := range n {
		w.nodes = append(w.nodes, &node{w: w, i: i, id: view.SiloID(fmt.Sprintf("store-%d", i)), held: map[int]notification{}})
		w.nodes[i].plug(vfs.NewCrashableMem())
		silos = append(silos, view.Member{Run: view.Run{ID: w.nodes[i].id}, State: view.Dead, Voter: true, Addr: fmt.Sprintf("silo-%d", i)})
	}
	w.views.Set(view.Frozen(1, nil, silos...))
	t.Cleanup(func() {
		for i := range w.nodes {
			w.close(i)
		}
		w.over.Store(true)
	})
	return w
}

func (w *world) config(i int) Config {
	n := w.nodes[i]
	fatal := make(chan error, 1)
	n.fatal = fatal
	return Config{
		Self: n.id, Incarnation: n.incarnation, Actor: crdt.Actor(100 + i), Views: w.views, Kinds: kinds(),
		Requests: wires{w, i, n.incarnation}, Replicas: wires{w, i, n.incarnation}, Repairs: repairs{wires{w, i, n.incarnation}},
		FS: n.fs, Limit: w.limit, RepairLimit: w.limit * repairRoom,
		Logger: slog.New(slog.NewTextHandler(testWriter{w}, nil)), Fatal: func(err error) { fatal <- err }, hooks: w.hooks,
	}
}

// start opens the host of a node, and then says that it is up.
func (w *world) start(i int) *Host {
	w.nodes[i].incarnation++
	h, err := Open(context.Background(), w.config(i))
	require.NoError(w.t, err)
	w.mu.Lock()
	w.nodes[i].host = h
	w.mu.Unlock()
	w.tell(i, true)
	return h
}

func (w *world) startAll() (hosts []*Host) {
	for i := range w.nodes {
		hosts = append(hosts, w.start(i))
	}
	return hosts
}

// tell makes a view in which a node is up or down.
func (w *world) tell(i int, up bool) {
	v := w.views.Current()
	silos := slices.Clone(v.Members)
	silos[i].State, silos[i].Incarnation = view.Dead, w.nodes[i].incarnation
	if up {
		silos[i].State = view.Active
	}
	w.views.Set(view.Frozen(v.Number+1, nil, silos...))
}

// close closes the host of a node in an orderly way; the view does not know.
func (w *world) close(i int) {
	w.mu.Lock()
	h := w.nodes[i].host
	w.nodes[i].host = nil
	w.mu.Unlock()
	if h != nil {
		require.NoError(w.t, h.Close())
	}
}

// crash ends a node as a power cut does: what was not synced is lost, but for a part of it. From the cut
// on nothing becomes durable, so nothing is acknowledged that the clone does not have.
func (w *world) crash(i, unsynced int) {
	w.mu.Lock()
	n := w.nodes[i]
	h := n.host
	n.host = nil
	w.mu.Unlock()
	n.off.Store(true)
	_ = h.Close()
	w.mu.Lock()
	clone := n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: w.rng})
	w.mu.Unlock()
	n.plug(clone)
}

// plug gives the node a file system, and power.
func (n *node) plug(mem *vfs.MemFS) {
	off := &atomic.Bool{}
	n.mem, n.off = mem, off
	n.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if off.Load() {
				return errors.New("no power")
			}
		}
		return nil
	}))
}

func (w *world) host(i int) *Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i].host
}

func (w *world) partition(side ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range w.nodes {
		for b := range w.nodes {
			w.cut[[2]int{a, b}] = slices.Contains(side, a) != slices.Contains(side, b)
		}
	}
}

// wires is the network as node from sees it.
type wires struct {
	w           *world
	from        int
	incarnation uint64
}

type notification struct {
	incarnation uint64
	payload     []byte
}

func (x wires) index(to view.SiloID) int {
	return slices.IndexFunc(x.w.nodes, func(n *node) bool { return n.id == to })
}

func (x wires) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	return x.request(ctx, to, payload, x.w.limit)
}

func (x wires) request(ctx context.Context, to view.SiloID, payload []byte, limit int) ([]byte, error) {
	w, i := x.w, x.index(to)
	w.mu.Lock()
	h, cut, lose, from := w.nodes[i].host, w.cut[[2]int{x.from, i}], w.lose, view.SiloID("")
	if x.from >= 0 {
		from = w.nodes[x.from].id
	}
	w.mu.Unlock()
	if h == nil || cut {
		return nil, fmt.Errorf("no connection to %s: %w", to, wire.ErrNotExecuted)
	}
	if limit > 0 && len(payload) > limit {
		return nil, wire.ErrTooLarge
	}
	w.mu.Lock()
	w.requests[i]++
	w.mu.Unlock()
	b, err := h.ServeRequest(ctx, from, slices.Clone(payload))
	if lose {
		return nil, fmt.Errorf("connection to %s lost", to)
	}
	if limit > 0 && len(b) > limit {
		return nil, wire.ErrTooLarge
	}
	return b, err
}

func (x wires) Notify(to view.SiloID, payload []byte) error { return x.notify(to, payload, x.w.limit) }

// repairs carries what compares and transfers states, which may be repairRoom times as large.
type repairs struct{ wires }

const repairRoom = 64

func (x repairs) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	return x.request(ctx, to, payload, x.w.limit*repairRoom)
}

func (x repairs) Notify(to view.SiloID, payload []byte) error {
	return x.notify(to, payload, x.w.limit*repairRoom)
}

func (x wires) notify(to view.SiloID, payload []byte, limit int) error {
	w, i := x.w, x.index(to)
	w.mu.Lock()
	h, me := w.nodes[i].host, w.nodes[x.from]
	if h == nil || w.cut[[2]int{x.from, i}] || w.rng.Float64() < w.drop {
		w.mu.Unlock()
		return nil
	}
	if limit > 0 && len(payload) > limit {
		w.mu.Unlock()
		w.t.Errorf("a notification of %d bytes, the limit is %d", len(payload), limit)
		return nil
	}
	one := notification{x.incarnation, payload}
	messages := []notification{one}
	if w.rng.Float64() < w.double {
		messages = append(messages, one)
	}
	if late, ok := me.held[i]; ok {
		messages = append(messages, late)
		delete(me.held, i)
	} else if w.rng.Float64() < w.swap {
		me.held[i] = one
		messages = nil
	}
	w.mu.Unlock()
	for _, m := range messages {
		h.ServeNotify(me.id, m.incarnation, slices.Clone(m.payload))
	}
	return nil
}

func add(e ...string) []byte    { return crdt.AppendSetOp(nil, crdt.SetOp[string]{Add: e}, text) }
func remove(e ...string) []byte { return crdt.AppendSetOp(nil, crdt.SetOp[string]{Remove: e}, text) }
func plus(n int64) []byte       { return crdt.CounterOp{N: n}.Append(nil) }

// contents is what a host holds of a variable itself.
func contents(h *Host, id wire.ID) string {
	s := "nothing"
	if v := h.table.get(id); v != nil {
		v.use(func(o wire.Object) { s = fmt.Sprintf("%x", o.State()) })
	}
	return s
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	start := time.Now()
	defer func() {
		if d := time.Since(start); d > time.Second {
			w.t.Logf("%s: %v", what, d)
		}
	}()
	require.Eventually(w.t, ok, 30*time.Second, 2*time.Millisecond, what)
}

// synced waits until all hosts that run say that they are.
func (w *world) synced() {
	w.t.Helper()
	w.eventually("all hosts synced", func() bool {
		for i := range w.nodes {
			if h := w.host(i); h != nil && !h.Synced() {
				return false
			}
		}
		return true
	})
}

// equal requires that all hosts that run and keep a variable keep the same of it.
func (w *world) equal(kinds ...string) {
	w.t.Helper()
	hash := map[wire.ID]uint64{}
	for _, kind := range kinds {
		for i := range w.nodes {
			h := w.host(i)
			if h == nil {
				continue
			}
			for key, got := range h.Hashes(kind) {
				id := wire.NewID(kind, key)
				if want, ok := hash[id]; ok {
					require.Equal(w.t, want, got, "%v on node %d", id, i)
				}
				hash[id] = got
			}
		}
		for i := range w.nodes {
			h := w.host(i)
			if h == nil {
				continue
			}
			hashes, k := h.Hashes(kind), h.cfg.Kinds[kind].Variable()
			for id := range hash {
				if id.Kind() == kind && h.placing.Load().holds(k, id) {
					require.Contains(w.t, hashes, id.Key(), "%v on node %d", id, i)
				}
			}
		}
	}
}

// testWriter makes the log part of a failing test's output.
type testWriter struct{ w *world }

func (w testWriter) Write(b []byte) (int, error) {
	if !w.w.over.Load() { // a store that failed is never closed and may still speak
		w.w.t.Logf("%s", b)
	}
	return len(b), nil
}
