package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// The graph of the tests: favorites of users, how many like each, those that many like and those that
// few do, and both together again.
type (
	entry = flow.Entry[string, string]
	liked = flow.Entry[string, int64]
)

var (
	favorites = variable.By[string](variable.Set[string]("favorites", variable.Everywhere))
	results   = variable.By[string](variable.Set[string]("results", variable.Everywhere))
	extra     = variable.Set[string]("extra", variable.Everywhere)

	each   = flow.Each(favorites)
	likes  = flow.CountBy("likes", each, func(e entry) string { return e.Value })
	even   = flow.Filter("even", each, func(e entry) bool { return len(e.Value)%2 == 0 })
	odd    = flow.Filter("odd", each, func(e entry) bool { return len(e.Value)%2 == 1 })
	again  = flow.Union("again", even, odd)
	names  = flow.Map("names", again, func(e entry) string { return e.Value })
	both   = flow.Union("both", names, flow.From(extra))
	broken = flow.Map("broken", each, func(e entry) string {
		if e.Value == "panic" {
			panic("as asked")
		}
		return e.Value
	})
)

var text = wire.Codec[string]{
	Append: func(b []byte, s string) []byte { return append(b, s...) },
	Decode: func(b []byte) (string, error) { return string(b), nil },
}

var number = wire.Codec[int64]{
	Append: func(b []byte, n int64) []byte { return crdt.CounterOp{N: n}.Append(b) },
	Decode: func(b []byte) (int64, error) {
		op, err := crdt.DecodeCounterOp(b)
		return op.N, err
	},
}

func kinds(more ...wire.Kind) map[string]wire.Kind {
	all := map[string]wire.Kind{}
	for _, k := range append([]wire.Kind{
		OutputsKind(),
		variable.SetKindBy(favorites, text), variable.SetKindBy(results, text), variable.SetKind(extra, text),
		wire.NewNode(likes, flow.EntryCodec(text, number), 1),
		wire.NewNode(even, flow.EntryCodec(text, text), 2), wire.NewNode(odd, flow.EntryCodec(text, text), 3),
		wire.NewNode(again, flow.EntryCodec(text, text), 4), wire.NewNode(names, text, 5),
		wire.NewNode(both, text, 6), wire.NewNode(broken, text, 7),
	}, more...) {
		all[k.Name()] = k
	}
	return all
}

var quick = timing{
	coalesce: time.Millisecond, tick: 5 * time.Millisecond, beat: 20 * time.Millisecond, silence: 150 * time.Millisecond,
	expire: 400 * time.Millisecond, request: 2 * time.Second, backoff: 50 * time.Millisecond, run: 10 * time.Second,
}

// world is several hosts in one process: a network that loses, duplicates and delays notifications, and
// variables that are everywhere.
type world struct {
	kept  atomic.Pointer[view.Standing] // of the only silo, in place of one that follows from the newest view
	t     *testing.T
	kinds map[string]wire.Kind
	views *view.Holder
	limit int
	times timing

	mu    sync.Mutex
	rng   *rand.Rand
	loss  float64 // of notifications
	dup   float64
	swap  float64          // a notification is overtaken by the next
	nodes map[string]*node // by address
	view  []view.Member
	count uint64
	sent  int
}

type node struct {
	w       *world
	addr    string
	id      view.SiloID
	host    *Host
	vars    *replica
	inbox   chan envelope
	held    *envelope
	dead    bool
	stopped chan struct{}
	client  *Follower
}

type envelope struct {
	from    string
	payload []byte
}

func newWorld(t *testing.T, silos int, seed uint64, more ...wire.Kind) *world {
	w := &world{
		t: t, kinds: kinds(more...), views: &view.Holder{}, limit: 1 << 16, times: quick,
		rng: rand.New(rand.NewPCG(seed, 1)), nodes: map[string]*node{},
	}
	for i := range silos {
		w.view = append(w.view, view.Member{Run: view.Run{ID: view.SiloID(fmt.Sprintf("silo-%d", i)), Incarnation: 1}, State: view.Active, Voter: true, Addr: fmt.Sprintf("addr-%d", i)})
	}
	w.setView()
	for _, s := range w.view {
		w.add(s)
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) setView() {
	w.count++
	w.views.Set(view.Frozen(w.count, append(slices.Collect(maps.Keys(w.kinds)), NodeKind), w.view...))
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (w *world) add(s view.Member) *node {
	n := &node{w: w, addr: s.Addr, id: s.ID, vars: newReplica(w), inbox: make(chan envelope, 1<<14), stopped: make(chan struct{})}
	h, err := New(Config{
		Self: s.ID, Incarnation: s.Incarnation, Views: w.views, Standing: w.standing(s.Run), Now: func() time.Duration { return 0 }, Kinds: w.kinds, Variables: n.vars, Engine: &testEngine{n},
		Transport: &network{w, s.Addr}, Limit: w.limit, Logger: quiet(), timing: w.times,
	})
	require.NoError(w.t, err)
	n.host = h
	w.mu.Lock()
	for _, other := range w.nodes {
		if other.vars != nil && !other.dead {
			n.vars.copyFrom(other.vars)
			break
		}
	}
	w.nodes[s.Addr] = n
	w.mu.Unlock()
	require.NoError(w.t, h.Start(w.t.Context()))
	go n.serve()
	return n
}

func (w *world) addClient(addr string) *node {
	n := &node{w: w, addr: addr, inbox: make(chan envelope, 1<<14), stopped: make(chan struct{})}
	graph, err := compile(w.kinds)
	require.NoError(w.t, err)
	n.client = newFollower(&peers{views: w.views, transport: &network{w, addr}}, w.kinds, graph, w.times, w.limit, quiet())
	w.mu.Lock()
	w.nodes[addr] = n
	w.mu.Unlock()
	go n.serve()
	return n
}

func (n *node) serve() {
	for {
		select {
		case <-n.stopped:
			return
		case e := <-n.inbox:
			if n.client != nil {
				n.client.ServeNotify(e.from, e.payload)
			} else {
				n.host.ServeNotify(e.from, e.payload)
			}
		}
	}
}

func (n *node) stop() {
	if n.client != nil {
		n.client.Stop()
	} else {
		require.NoError(n.w.t, n.host.Stop(context.Background()))
	}
	close(n.stopped)
}

func (w *world) close() {
	w.mu.Lock()
	all := slices.Collect(maps.Values(w.nodes))
	w.mu.Unlock()
	for _, n := range all {
		if !n.dead {
			n.stop()
		}
	}
}

// standing is what a silo may serve by the newest view.
func (w *world) standing(run view.Run) func() *view.Standing {
	return func() *view.Standing {
		if s := w.kept.Load(); s != nil {
			return s
		}
		return view.Always(run, w.views.Current())
	}
}

// kill cuts a silo off, and moves the view on.
func (w *world) kill(i int) {
	w.mu.Lock()
	n := w.nodes[w.view[i].Addr]
	n.dead = true
	w.mu.Unlock()
	n.stop()
	w.view[i].State = view.Dead
	w.setView()
}

// restart brings a killed silo back, with what the others have.
func (w *world) restart(i int) *node {
	w.view[i].State = view.Active
	w.view[i].Incarnation++
	n := w.add(w.view[i])
	w.setView()
	return n
}

func (w *world) at(i int) *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[w.view[i].Addr]
}

type network struct {
	w    *world
	from string
}

func (n *network) find(addr string) (*node, bool) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	self, to := n.w.nodes[n.from], n.w.nodes[addr]
	return to, to != nil && !to.dead && (self == nil || !self.dead)
}

func (n *network) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	s, _ := n.w.views.Current().Member(to)
	return n.RequestAt(ctx, s.Addr, payload)
}

var errDead = errors.New("nobody is there")

func (n *network) RequestAt(ctx context.Context, addr string, payload []byte) ([]byte, error) {
	to, ok := n.find(addr)
	if !ok || to.host == nil {
		return nil, errDead
	}
	b, err := to.host.ServeRequest(ctx, n.from, slices.Clone(payload))
	if _, ok := n.find(addr); !ok {
		return nil, errDead
	}
	if len(b) > n.w.limit {
		return nil, wire.ErrTooLarge
	}
	return b, err
}

func (n *network) Notify(to view.SiloID, payload []byte) error {
	s, _ := n.w.views.Current().Member(to)
	return n.NotifyAt(s.Addr, payload)
}

func (n *network) NotifyAt(addr string, payload []byte) error {
	to, ok := n.find(addr)
	if !ok {
		return errDead
	}
	if len(payload) > n.w.limit {
		return wire.ErrTooLarge
	}
	e := envelope{n.from, slices.Clone(payload)}
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.w.sent++
	if n.w.rng.Float64() < n.w.loss {
		return nil
	}
	put := func(e envelope) {
		select {
		case to.inbox <- e:
		default:
		}
	}
	if to.held == nil && n.w.rng.Float64() < n.w.swap {
		to.held = &e
		return nil
	}
	put(e)
	if n.w.rng.Float64() < n.w.dup {
		put(e)
	}
	if to.held != nil {
		put(*to.held)
		to.held = nil
	}
	return nil
}

// replica is one silo's variables: what is written anywhere is joined everywhere at once.
type replica struct {
	w *world

	mu       sync.Mutex
	objects  map[wire.ID]wire.Object
	watchers map[int]func(wire.ID, []byte)
	next     int
}

func newReplica(w *world) *replica {
	return &replica{w: w, objects: map[wire.ID]wire.Object{}, watchers: map[int]func(wire.ID, []byte){}}
}

func (r *replica) copyFrom(other *replica) {
	other.mu.Lock()
	defer other.mu.Unlock()
	for id, o := range other.objects {
		r.join(id, o.State())
	}
}

func (r *replica) object(id wire.ID) wire.Object {
	o := r.objects[id]
	if o == nil {
		o = r.w.kinds[id.Kind()].Variable().Lattice.New()
		r.objects[id] = o
	}
	return o
}

func (r *replica) join(id wire.ID, delta []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	novelty, err := r.object(id).Join(delta)
	if err != nil {
		panic(err)
	}
	if novelty == nil {
		return
	}
	for _, f := range r.watchers {
		f(id, novelty)
	}
}

func (r *replica) Watch(match func(wire.ID) bool, f func(wire.ID, []byte)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	n := r.next
	r.watchers[n] = func(id wire.ID, b []byte) {
		if match(id) {
			f(id, b)
		}
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, n)
	}
}

func (r *replica) Follow(kind string) error {
	if r.w.kinds[kind].Variable() == nil {
		return wire.ErrNoSuchKind
	}
	return nil
}

func (r *replica) Snapshot(kind string, each func(wire.ID, []byte)) {
	r.mu.Lock()
	states := map[wire.ID][]byte{}
	for id, o := range r.objects {
		if id.Kind() == kind {
			states[id] = o.State()
		}
	}
	r.mu.Unlock()
	for id, s := range states {
		each(id, s)
	}
}

func (r *replica) Keys(_ context.Context, family string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for id, o := range r.objects {
		if id.Kind() == family && !o.Empty() {
			keys = append(keys, id.Key())
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// owns keeps what actors own of variables: one actor writes for all silos.
var owns sync.Map // *world → map[wire.ID][]byte

func (w *world) mutate(at *node, id wire.ID, op []byte) error {
	at.vars.mu.Lock()
	prepared, err := at.vars.object(id).Prepare(time.Now().UnixNano(), op)
	at.vars.mu.Unlock()
	if err != nil {
		return err
	}
	w.mu.Lock()
	v, _ := owns.LoadOrStore(w, map[wire.ID][]byte{})
	own := v.(map[wire.ID][]byte)
	delta, next, err := w.kinds[id.Kind()].Variable().Lattice.Effect(7, own[id], prepared)
	if err == nil {
		own[id] = next
	}
	all := slices.Collect(maps.Values(w.nodes))
	w.mu.Unlock()
	if err != nil || len(delta) == 0 {
		return err
	}
	for _, n := range all {
		if n.vars != nil {
			n.vars.join(id, delta)
		}
	}
	return nil
}

// testEngine is a silo's engine as processes need it.
type testEngine struct{ n *node }

func (e *testEngine) Call(context.Context, wire.ID, wire.Invocation) error {
	return wire.ErrUnsupported
}
func (e *testEngine) Mutate(_ context.Context, id wire.ID, op []byte) error {
	return e.n.w.mutate(e.n, id, op)
}
func (e *testEngine) Read(_ context.Context, id wire.ID, use func(wire.Object)) error {
	e.n.vars.mu.Lock()
	defer e.n.vars.mu.Unlock()
	use(e.n.vars.object(id))
	return nil
}
func (e *testEngine) Keys(ctx context.Context, family string) ([]string, error) {
	return e.n.vars.Keys(ctx, family)
}
func (e *testEngine) Follow(ctx context.Context, node string) (wire.Followed, error) {
	if e.n.client != nil {
		return e.n.client.Follow(ctx, node)
	}
	return e.n.host.Follow(ctx, node)
}
func (e *testEngine) Atomic(context.Context, wire.Closure) error { return wire.ErrUnsupported }
func (e *testEngine) Outcome(context.Context, wire.BlockID) (wire.Outcome, error) {
	return 0, wire.ErrUnsupported
}
func (e *testEngine) Hosted(name string) (wire.Kind, bool) {
	k, ok := e.n.w.kinds[name]
	return k, ok
}

func (n *node) place() wire.AtPlace { return wire.NewPlace(&testEngine{n}) }

// eventually waits for the condition, and says what was last wrong.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	tick, late := time.NewTicker(2*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer late.Stop()
	for err := ok(); err != nil; err = ok() {
		select {
		case <-tick.C:
		case <-late.C:
			require.NoError(t, err)
		}
	}
}
