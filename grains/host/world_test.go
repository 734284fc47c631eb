package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
	"github.com/martinelli-go/martinelli/txn/commit"
	blocks "github.com/martinelli-go/martinelli/txn/host"
)

// world is some silos, as far as grains and blocks go, over a network in memory. One ledger stands for the
// log; each silo has a view of its own, which tests set.
type world struct {
	t       *testing.T
	network *actor.Network
	silos   []*node

	mu      sync.Mutex
	scripts []script
	runs    map[string]int // by silo

	log    sync.Mutex
	pos    uint64
	ledger *commit.Ledger
	before func(commit.Command) // is called with each command before it is applied, without log
	lost   func(coordinator string, a commit.Attempt) bool
	loses  func(n *node, request []byte) bool // says that the reply to a call is lost
	asked  func(coordinator string) error     // is called before a coordinator is asked; it is not, where there is an error

	onActivate, onDeactivate func(context.Context, *grain) error
	onHandOver               func(*grain) ([]byte, error)
	onTakeOver               func(*grain, []byte) error
}

// script is what a call runs at a grain.
type script func(ctx context.Context, g *grain) error

type node struct {
	wire.AtCaller
	id     view.SiloID
	addr   string
	node   *actor.Node
	views  *view.Holder
	stands atomic.Pointer[view.Standing]
	clock  func() time.Duration
	host   *host.Host
	blocks *blocks.Coordinator
}

// see gives the silo a view, and the standing of one whose lease never ends.
func (n *node) see(t *view.Table) {
	n.stands.Store(view.Always(view.Run{ID: n.id, Incarnation: 1}, t))
	n.views.Set(t)
}

func (n *node) now() time.Duration {
	if n.clock == nil { // leases are of no matter, idle times may be
		return time.Duration(time.Now().UnixNano())
	}
	return n.clock()
}

type contract interface{ grains.Keyed[string] }

// grain runs scripts.
type grain struct {
	grains.Implements[contract]
	state txn.State[int64]
	world *world
	at    *node
	turns int // is changed without a lock: turns exclude each other
}

func (g *grain) OnActivate(ctx context.Context) error {
	if g.world.onActivate != nil {
		return g.world.onActivate(ctx, g)
	}
	return nil
}

func (g *grain) OnDeactivate(ctx context.Context) error {
	if g.world.onDeactivate != nil {
		return g.world.onDeactivate(ctx, g)
	}
	return nil
}

func (g *grain) HandOver(context.Context) ([]byte, error) {
	if g.world.onHandOver != nil {
		return g.world.onHandOver(g)
	}
	return nil, nil
}

func (g *grain) TakeOver(_ context.Context, memory []byte) error {
	if g.world.onTakeOver != nil {
		return g.world.onTakeOver(g, memory)
	}
	return nil
}

// The methods of a grain differ in their traits alone; the argument is the number of a script.
var (
	run   = scripted(1, "Run", wire.Traits{})
	look  = scripted(2, "Look", wire.Traits{ReadOnly: true})
	weave = scripted(3, "Weave", wire.Traits{Reentrant: true})
	glide = scripted(4, "Glide", wire.Traits{ReadOnly: true, Reentrant: true})
)

func scripted(number uint32, name string, traits wire.Traits) wire.Method[int64, int64] {
	return wire.Method[int64, int64]{
		Number: number, Name: name, Traits: traits, Args: wire.IntCodec[int64](), Result: wire.IntCodec[int64](),
		Do: func(ctx context.Context, impl any, n int64) (int64, error) {
			g := impl.(*grain)
			if !traits.ReadOnly && !traits.Reentrant {
				g.turns++
			}
			w := g.world
			w.mu.Lock()
			s := w.scripts[n]
			w.runs[g.at.addr]++
			w.mu.Unlock()
			return n, s(ctx, g)
		},
	}
}

const kindName = "test.Grain"

// start starts a world of that many silos, whose first view has them all up. The faults are those of
// every silo.
func start(t *testing.T, silos int, faults ...host.Fault) *world {
	w := unseen(t, silos, faults...)
	w.up(1, w.silos...)
	return w
}

// unseen starts a world of that many silos, which have seen no view yet.
func unseen(t *testing.T, silos int, faults ...host.Fault) *world {
	w := &world{t: t, network: &actor.Network{}, runs: map[string]int{}, ledger: commit.NewLedger(commit.Config{})}
	for i := range silos {
		n := &node{id: view.SiloID(fmt.Sprint("store-", i)), addr: fmt.Sprint("silo-", i), views: &view.Holder{}}
		w.silos = append(w.silos, n)
	}
	for _, n := range w.silos {
		w.host(n, faults)
	}
	return w
}

func (w *world) host(n *node, faults []host.Fault) {
	var err error
	logger := slog.New(slog.DiscardHandler)
	n.node, err = actor.Start(actor.Config{Network: w.network, Addr: n.addr, Silo: true, Logger: logger})
	require.NoError(w.t, err)
	n.see(w.view(0))
	kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *grain {
		g := &grain{world: w, at: n}
		wire.Bind(at, 1, "state", &g.state, wire.IntCodec[int64]())
		return g
	}, append([]wire.Handler{&run, &look, &weave, &glide}, moreMethods...)...)
	peers := link.Peers{Node: n.node, Views: n.views}
	n.host = host.New(host.Config{
		Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: n.now, Kinds: map[string]wire.Kind{kindName: kind}, Limit: 1 << 20,
		Router: &link.Router{
			Peers: peers.With(link.ServiceCalls), Refresh: func(ctx context.Context, _ uint64) {}, Patience: 50 * time.Millisecond,
			Leased: func() bool { return n.stands.Load().Leased(n.now()) },
		},
		HandOver: peers.With(link.ServiceHandover).Request, HandoverRoom: 1 << 10,
		AskAfter: 20 * time.Millisecond, Silence: silence, IdleAfter: time.Hour, Logger: logger,
	})
	for _, f := range faults {
		n.host.Break(f)
	}
	told := func(notice link.Notice) {
		if notice.Kind == link.NoticeWound {
			n.blocks.Wounded(notice.Attempt)
			return
		}
		n.host.Tell(notice)
	}
	n.blocks = blocks.New(blocks.Config{
		Addr: n.addr, Logger: logger,
		Tell: func(addr string, notice link.Notice) {
			if addr == n.addr {
				told(notice)
				return
			}
			_ = n.node.Notify(addr, link.ServiceBlocks, notice.Append(nil))
		},
		Ask: func(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error) {
			return link.AskStatus(ctx, n.node, addr, a)
		},
		Leader: &link.Leader{Self: n.id, Local: w.lead, Hint: func() (link.LeaderAt, bool) { return link.LeaderAt{ID: n.id}, true }},
	})
	n.host.Blocks = lossy{n.blocks, w}
	n.AtCaller = wire.NewCaller(&blocks.Engine{Route: n.host.Call, Blocks: n.blocks})
	n.node.Handle(link.ServiceCalls, func(ctx context.Context, _ actor.Peer, b []byte) ([]byte, error) {
		reply, err := n.host.Serve(ctx, b)
		if w.loses != nil && w.loses(n, b) {
			return (&link.CallReply{Status: link.StatusUnknown, Detail: "lost"}).Append(nil), nil
		}
		return reply, err
	})
	n.node.Handle(link.ServiceHandover, func(ctx context.Context, _ actor.Peer, b []byte) ([]byte, error) {
		return n.host.ServeHandover(ctx, b)
	})
	n.node.HandleNotify(link.ServiceBlocks, func(_ actor.Peer, b []byte) {
		if notice, err := link.DecodeNotice(b); err == nil {
			told(notice)
		}
	})
	n.node.Handle(link.ServiceStatus, func(_ context.Context, _ actor.Peer, b []byte) ([]byte, error) {
		notice, err := link.DecodeNotice(b)
		return n.blocks.Status(notice.Attempt).Append(nil), err
	})
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = n.host.Stop(ctx)
		n.blocks.Stop()
		_ = n.node.Stop(ctx)
	})
}

// silence is after which time an unheard client counts as gone: many times AskAfter.
const silence = 500 * time.Millisecond

// lossy is a coordinator whose wounds, and whose questions, may get lost.
type lossy struct {
	*blocks.Coordinator
	w *world
}

func (l lossy) Wound(coordinator string, a commit.Attempt) {
	if l.w.lost == nil || !l.w.lost(coordinator, a) {
		l.Coordinator.Wound(coordinator, a)
	}
}

func (l lossy) Ask(ctx context.Context, coordinator string, a commit.Attempt) (link.Notice, error) {
	if l.w.asked != nil {
		if err := l.w.asked(coordinator); err != nil {
			return link.Notice{}, err
		}
	}
	return l.Coordinator.Ask(ctx, coordinator, a)
}

// client starts a coordinator that is in no view.
func (w *world) client() *node {
	n := &node{id: "client", addr: "client", views: &view.Holder{}}
	w.host(n, nil)
	n.see(w.silos[0].views.Current())
	return n
}

// lead is what the leader of the log does.
func (w *world) lead(_ context.Context, r *link.LeaderRequest) *link.LeaderReply {
	reply := &link.LeaderReply{Status: link.LeaderOK}
	switch r.Op {
	case link.OpPropose:
		cmds, err := commit.DecodeEntry(r.Entry)
		if err == nil && w.before != nil {
			w.before(cmds[0])
		}
		reply.Result = w.apply(r.Entry)
	case link.OpLoad:
		reply.Version, reply.Value, _ = w.ledger.Get(r.Key)
	case link.OpValidate:
		reply.Stale = w.ledger.Validate(r.Reads)
	}
	return reply
}

func (w *world) apply(entry []byte) []byte {
	w.log.Lock()
	defer w.log.Unlock()
	w.pos++
	return w.ledger.Apply(w.pos, entry)
}

// view is the view of that number in which these silos are up.
func (w *world) view(number uint64, up ...*node) *view.Table {
	var all []view.Member
	for _, n := range w.silos {
		s := view.Member{Run: view.Run{ID: n.id, Incarnation: 1}, State: view.Dead, Voter: true, Addr: n.addr}
		if slices.Contains(up, n) {
			s.State = view.Active
		}
		all = append(all, s)
	}
	return view.Frozen(number, []string{kindName}, all...)
}

// up tells all silos that those are up.
func (w *world) up(number uint64, up ...*node) {
	v := w.view(number, up...)
	for _, n := range w.silos {
		n.see(v)
	}
}

// seal seals the slot of a grain, which is not released after that, and returns what is told of its end.
func (w *world) seal(n *node, key string) (drained chan []view.Row) {
	drained = make(chan []view.Row, 1) // one row is drained once
	row, ok := n.stands.Load().Table().Of(wire.NewID(kindName, key))
	require.True(w.t, ok)
	n.host.Seal([]view.Row{row}, func(rows []view.Row) { drained <- rows })
	return drained
}

// key is the key of a grain at the i-th silo while all are up; n tells several apart.
func (w *world) key(i, n int) string {
	v := w.view(1, w.silos...)
	for k := 0; ; k++ {
		key := fmt.Sprint("key-", k)
		if owner, _ := v.Owner(wire.NewID(kindName, key)); owner.ID == w.silos[i].id {
			if n == 0 {
				return key
			}
			n--
		}
	}
}

// call calls a grain from a place and runs s there.
func (w *world) call(ctx context.Context, from grains.Caller, key string, s script) error {
	return w.callAs(ctx, from, key, &run, s)
}

// callAs is call by another of the methods.
func (w *world) callAs(ctx context.Context, from grains.Caller, key string, m *wire.Method[int64, int64], s script) error {
	w.mu.Lock()
	n := len(w.scripts)
	w.scripts = append(w.scripts, s)
	w.mu.Unlock()
	_, err := wire.Call(ctx, wire.NewRef(from, kindName, key), m, int64(n))
	return err
}

func (g *grain) call(ctx context.Context, key string, s script) error {
	return g.world.call(ctx, g, key, s)
}

func (g *grain) callAs(ctx context.Context, key string, m *wire.Method[int64, int64], s script) error {
	return g.world.callAs(ctx, g, key, m, s)
}

func (w *world) ran(n *node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[n.addr]
}

// value is the committed state of a grain.
func (w *world) value(key string) int64 {
	_, b, _ := w.ledger.Get(commit.StateKey{Grain: wire.NewID(kindName, key), State: 1})
	if b == nil {
		return 0
	}
	v, err := wire.IntCodec[int64]().Decode(b)
	require.NoError(w.t, err)
	return v
}

// add adds to the grain's state in ctx's block.
func (g *grain) add(ctx context.Context, n int64) error {
	return g.state.Update(ctx, func(v *int64) error { *v += n; return nil })
}

// adds is a block of its own that adds.
func adds(n int64) script {
	return func(ctx context.Context, g *grain) error {
		return txn.Atomic(ctx, g, func(ctx context.Context) error { return g.add(ctx, n) })
	}
}

func nothing(context.Context, *grain) error { return nil }

// soon fails the test if a condition does not hold in time.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, time.Millisecond, what)
}

// within bounds a test's calls.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
