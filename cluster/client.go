package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	dataflow "github.com/martinelli-go/martinelli/grains/dataflow/host"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
	blocks "github.com/martinelli-go/martinelli/txn/host"
)

// Config says which cluster a client is of.
type Config struct {
	// Silos says where silos are found, of which one that answers is enough: their addresses (their
	// Config.Advertise) separated by commas, or dns:name:port, dns+srv:_service._tcp.name, file:/path or
	// nats://host:port/name, as package discovery has them. It is looked at again while no silo answers.
	Silos string
	// Grains is what the client must know of variables and operators: what the packages' Shared()
	// return. Grains are called without.
	Grains []grains.Kind
	// Listen is the host:port where silos reach the client with answers. Default 127.0.0.1 and any free
	// port: a client on another machine than the silos must name an address that they reach.
	Listen string
	// TLS names the files by which the client shows who it is and checks that it speaks to silos.
	TLS TLS
	// TrustNetwork lets the client do without TLS where Silos or Listen are no loopback addresses: whoever
	// is on that network can then read what passes, and pretend to be either side.
	TrustNetwork bool
	// MaxMessage is as in the silos' Config. Default 1 MiB.
	MaxMessage int
	// HeapFloor is as in the silos' Config. Default 32 MiB.
	HeapFloor int
	// Outgoing happen around every call that is made by the client; the first is the outermost. Default: none,
	// which costs nothing.
	Outgoing []grains.Interceptor
	// Logger gets what operators want to know. Default slog.Default().
	Logger *slog.Logger
	// Network connects to silos of the same process in memory, under the name Listen: the Messages of
	// their silo.Network. For tests.
	Network *actor.Network
}

// TLS names the files of a node's certificates.
type TLS = actor.TLS

func (c Config) withDefaults() Config {
	if c.MaxMessage <= 0 {
		c.MaxMessage = 1 << 20
	}
	if c.Listen == "" && c.Network == nil {
		c.Listen = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// start starts the node by which silos are reached. With a secret it shows that it knows it, as silos do.
func (c Config) start(secret string) (*actor.Node, error) {
	return actor.Start(actor.Config{
		Addr: c.Listen, Network: c.Network, Limit: c.MaxMessage + overhead, SilosOnly: true, TLS: c.TLS, Silo: secret != "", Secret: secret,
		Incarnation: uint64(time.Now().UnixNano()), HeapFloor: c.HeapFloor, Logger: c.Logger,
	})
}

// trusts refuses addresses to which there is no safe way.
func (c Config) trusts(addrs []string) error {
	if !c.TLS.IsZero() || c.TrustNetwork || c.Network != nil {
		return nil
	}
	for _, addr := range addrs {
		if !actor.Loopback(addr) {
			return &ConfigError{"TLS", fmt.Sprintf("is empty, and %q is no loopback address: whoever is on the way could read and change everything. Name the files of a certificate, or, where everybody on the network may do that, set TrustNetwork", addr)}
		}
	}
	return nil
}

// ConfigError says which field of a Config is wrong, and how to mend it.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "cluster: Config." + e.Field + ": " + e.Reason }

type caller = wire.AtCaller

// Client is a grains.Caller in a process that is no silo. Its methods may be called from any goroutine.
type Client struct {
	caller
	node      *actor.Node
	addr      string
	peers     link.Peers
	seeds     seeds
	kinds     map[string]wire.Kind
	views     *view.Holder
	seenMu    sync.Mutex
	seen      *view.Table // the newest that moved was told of
	router    *link.Router
	variables *variables.Client
	blocks    *blocks.Coordinator
	flows     *dataflow.Follower
	door      blocks.Door
	outbox    link.Outbox

	life  context.Context
	end   context.CancelFunc
	loops sync.WaitGroup
	once  sync.Once
	err   error
}

// overhead is what a message measures besides the arguments or the change that it carries.
const overhead = 64 << 10

// Connect returns a client when a silo has answered and the cluster serves. ctx bounds that, not the
// client's life: Close ends it. Give it a deadline: without one Connect waits for as long as no silo answers.
// Errors: *ConfigError; *NoSilo when ctx has ended, which says of each silo why not.
func Connect(ctx context.Context, c Config) (_ *Client, err error) {
	c = c.withDefaults()
	cl := &Client{kinds: map[string]wire.Kind{}, views: &view.Holder{}}
	cl.life, cl.end = context.WithCancel(context.Background())
	if cl.seeds.source, err = discovery.Parse(c.Silos); err != nil {
		return nil, &ConfigError{"Silos", err.Error()}
	}
	for i, one := range c.Outgoing {
		if one == nil {
			return nil, &ConfigError{"Outgoing", fmt.Sprintf("has no function at index %d, and every call would panic: leave it out", i)}
		}
	}
	if err := c.TLS.Check(); err != nil {
		return nil, &ConfigError{"TLS", err.Error()}
	}
	list, _ := cl.seeds.source.(discovery.Static)
	if err := c.trusts(append([]string{c.Listen}, list...)); err != nil {
		return nil, err
	}
	cl.seeds.trusted = c.trusts
	for _, k := range c.Grains {
		if _, twice := cl.kinds[k.Name()]; twice {
			return nil, &ConfigError{"Grains", fmt.Sprintf("kind %q is there twice: list each package's Shared() once", k.Name())}
		}
		if v := k.Variable(); v != nil && v.Problem != nil {
			return nil, &ConfigError{"Grains", fmt.Sprintf("variable %q: %v", k.Name(), v.Problem)}
		}
		cl.kinds[k.Name()] = k
	}
	cl.node, err = c.start("")
	if err != nil {
		return nil, fmt.Errorf("cluster: Config.Listen: %w", err)
	}
	defer func() {
		if err != nil {
			cl.end()
			err = errors.Join(err, cl.node.Stop(context.WithoutCancel(ctx)))
		}
	}()
	cl.addr = cl.node.Addr()
	cl.peers = link.Peers{Node: cl.node, Views: cl.views}
	cl.outbox.Limit, cl.outbox.Logger = c.MaxMessage, c.Logger
	cl.door.Node = "client " + cl.addr
	cl.caller = wire.NewCaller(&cl.door)
	cl.router = &link.Router{Peers: cl.peers.With(link.ServiceCalls), Refresh: cl.awaitView}
	if err = cl.find(ctx); err != nil {
		return nil, err
	}
	limit := c.MaxMessage + overhead/2
	requests := link.Transport{Peers: cl.peers.With(link.ServiceVariables)}
	cl.variables = variables.NewClient(cl.views, cl.kinds, requests, limit)
	cl.blocks = blocks.New(blocks.Config{
		Addr: cl.addr, Logger: c.Logger,
		Leader: &link.Leader{Peers: cl.peers.With(link.ServicePropose)},
		Tell: func(addr string, n link.Notice) {
			if addr != cl.addr {
				// One that is lost is asked for.
				_ = cl.node.Notify(addr, link.ServiceBlocks, n.Append(nil))
			}
		},
		Ask: func(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error) {
			return link.AskStatus(ctx, cl.node, addr, a)
		},
	})
	// Calls have ids, by which their outcome can be asked for, from the first on.
	if err = cl.blocks.Register(ctx); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	flows := link.Transport{Peers: cl.peers.With(link.ServiceSnapshots), Notified: link.ServiceDataflow}
	cl.flows = dataflow.NewFollower(dataflow.FollowerConfig{
		Views: cl.views, Kinds: cl.kinds, Transport: flows, Logger: c.Logger,
	})
	cl.door.Open(&blocks.Engine{Route: cl.route, Variables: cl.variables, Flows: cl.flows, Blocks: cl.blocks, Kinds: cl.kinds, Outgoing: c.Outgoing})
	cl.node.HandleNotify(link.ServiceBlocks, cl.notice)
	cl.node.Handle(link.ServiceStatus, cl.serveStatus)
	cl.node.HandleNotify(link.ServiceDataflow, func(from actor.Peer, b []byte) {
		if from.Silo {
			cl.flows.ServeNotify(from.Addr, b)
		}
	})
	cl.views.Subscribe(cl.moved)
	cl.loops.Add(1)
	go cl.watchViews()
	return cl, nil
}

// route makes a call at the silo that owns the grain.
func (c *Client) route(ctx context.Context, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) error {
	if inv.Traits().OneWay {
		return c.outbox.Send(ctx, to, inv, func(ctx context.Context) error { return c.router.Call(ctx, "", to, inv, link.Calling{}) })
	}
	if ctx.Err() != nil {
		return wire.Ended(ctx, to, inv.Method().Info().Name)
	}
	return c.router.Call(ctx, "", to, inv, link.Calling{Root: root, Retry: retry, In: link.BranchOf(wire.BlockOf(ctx))})
}

// OneWay is what became of the one-way calls that were made on this client.
func (c *Client) OneWay() grains.OneWayCounts { return c.outbox.Counts() }

// find asks the seeds for a view in which some silo is up.
func (c *Client) find(ctx context.Context) error {
	var reasons map[string]string
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		addrs, err := c.seeds.get(ctx)
		if wrong := (*ConfigError)(nil); errors.As(err, &wrong) {
			return wrong
		}
		refused := askAny(ctx, addrs, c.fetchServing)
		if refused == nil {
			return nil
		}
		foreign := foreigners(refused)
		if err != nil {
			refused[c.seeds.source.String()] = err
		}
		if len(refused) > 0 { // else ctx has ended
			reasons = texts(refused)
		}
		if len(addrs) > 0 && len(foreign) == len(addrs) { // they do not change their minds
			return &NoSilo{reasons, errors.Join(foreign...)}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return &NoSilo{reasons, context.Cause(ctx)}
		}
	}
}

// fetchServing fetches the first view, from the silo at addr. One in which nobody is up is not kept: it is that
// of a silo which starts, and has not read all of its log yet.
func (c *Client) fetchServing(ctx context.Context, addr string) error {
	return c.fetch(ctx, addr, func(v *view.Table) error {
		if len(v.Living()) == 0 {
			return errFounding
		}
		return nil
	})
}

var errFounding = errors.New("the cluster is still being founded, or its silos are starting")

// fetchView fetches a newer view from the silo at addr, if that has one.
func (c *Client) fetchView(ctx context.Context, addr string) error {
	return c.fetch(ctx, addr, func(v *view.Table) error {
		if had := c.views.Current(); had != nil && !related(had, v) {
			return errors.New("it is a silo of another cluster")
		}
		return nil
	})
}

// fetch fetches a view that is newer than the one that is known, and keeps it if check has nothing against it.
func (c *Client) fetch(ctx context.Context, addr string, check func(*view.Table) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var known []byte
	if had := c.views.Current(); had != nil {
		known = protowire.AppendVarint(nil, had.Number)
	}
	b, err := c.node.Request(ctx, addr, link.ServiceView, known)
	if err != nil || known != nil && len(b) == 0 {
		return err // or nothing is newer there
	}
	v, err := view.DecodeTable(b)
	if err != nil {
		return err
	}
	if err := check(v); err != nil {
		return err
	}
	c.views.Set(v)
	return nil
}

// related says whether two views may be of one cluster: addresses are given to others, store ids are not.
func related(a, b *view.Table) bool {
	return slices.ContainsFunc(a.Members, func(s view.Member) bool {
		_, ok := b.Member(s.ID)
		return ok
	})
}

// watchViews keeps the copy of the view fresh.
func (c *Client) watchViews() {
	defer c.loops.Done()
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
		}
		if c.askSilos(c.life, c.views.Current().Number+1) {
			continue
		}
		// All whom the view names are gone, or have moved: whoever is found now knows more.
		addrs, _ := c.seeds.get(c.life) // there will be another time
		askAny(c.life, addrs, c.fetchView)
	}
}

// moved lets requests to silos that are dead fail at once, wherever the new view came from.
func (c *Client) moved(t *view.Table) {
	c.seenMu.Lock()
	defer c.seenMu.Unlock()
	if old := c.seen; old == nil || t.Number > old.Number {
		if old == nil {
			old = t
		}
		link.FailRemoved(c.node, old, t, "")
		c.seen = t
	}
}

// viewEvery is how old a client's view may be before it asks.
const viewEvery = 500 * time.Millisecond

func (c *Client) awaitView(ctx context.Context, number uint64) { c.askSilos(ctx, number) }

// askSilos asks the silos once, each until one has a view of at least that number. Those that the client's
// view has as down are asked where none of the others answers: it may be the view that is old. It is false
// when nobody answers.
func (c *Client) askSilos(ctx context.Context, number uint64) (answered bool) {
	for _, up := range []bool{true, false} {
		for _, s := range c.views.Current().Members {
			if s.Alive() != up {
				continue
			}
			err := c.fetchView(ctx, s.Addr)
			answered = answered || err == nil
			if ctx.Err() != nil || c.views.Current().Number >= number {
				return true
			}
		}
		if answered {
			return true
		}
	}
	return false
}

// notice is the handler of link.ServiceBlocks: an attempt of this client's is wounded.
func (c *Client) notice(from actor.Peer, payload []byte) {
	if n, err := link.DecodeNotice(payload); err == nil && n.Kind == link.NoticeWound && from.Silo {
		c.blocks.Wounded(n.Attempt)
	}
}

// serveStatus is the handler of link.ServiceStatus.
func (c *Client) serveStatus(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	n, err := link.DecodeNotice(payload)
	if err != nil {
		return nil, err
	}
	return c.blocks.Status(n.Attempt).Append(nil), nil
}

// Close disconnects. Blocks that are submitted are decided all the same; one-way calls that are on their way are
// waited for, for 5 seconds.
func (c *Client) Close() error {
	c.once.Do(func() {
		c.door.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.outbox.Wait(ctx)
		c.outbox.Close(ctx)
		c.end()
		c.loops.Wait()
		c.flows.Stop()
		c.blocks.Stop()
		ctx, cancel = context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.err = c.node.Stop(ctx)
	})
	return c.err
}

// View returns the client's copy of the newest view: who is up, and where what is.
func (c *Client) View() *view.Table { return c.views.Current() }

// Audit returns the hash of every variable that each silo holds, by the silo's address, kind and key: for
// tests and tools that compare replicas. It costs a message for some thousand variables.
func (c *Client) Audit(ctx context.Context) (map[string]map[string]map[string]uint64, error) {
	all := map[string]map[string]map[string]uint64{}
	for _, s := range c.views.Current().Members {
		kinds := map[string]map[string]uint64{}
		for name, k := range c.kinds {
			if k.Variable() == nil {
				continue
			}
			hashes, err := c.variables.RemoteHashes(ctx, s.ID, name)
			if err != nil {
				return nil, fmt.Errorf("variables %s on silo %s: %w", name, s.Addr, err)
			}
			kinds[name] = hashes
		}
		all[s.Addr] = kinds
	}
	return all, nil
}
