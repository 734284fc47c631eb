package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/actor"
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
	// Silos lists addresses of silos (their Config.Advertise), separated by commas: one that answers is
	// enough.
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
	// Logger gets what operators want to know. Default slog.Default().
	Logger *slog.Logger
	// Network connects to silos of the same process in memory, under the name Listen: the Messages of
	// their silo.Network. For tests.
	Network *actor.Network
}

// TLS names the files of a node's certificates.
type TLS = actor.TLS

// ConfigError says which field of a Config is wrong, and how to mend it.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "cluster: Config." + e.Field + ": " + e.Reason }

// NoSilo is the error of Connect when no silo answered. It wraps an *actor.Foreign for each that does not
// take the client for one of the cluster's, or is none itself.
type NoSilo struct {
	Reasons map[string]string // by address
	Cause   error
}

func (e *NoSilo) Error() string {
	var parts []string
	for addr, reason := range e.Reasons {
		parts = append(parts, addr+": "+reason)
	}
	return fmt.Sprintf("cluster: no silo answered (%s): start one, or mend Config.Silos: %v", strings.Join(parts, "; "), e.Cause)
}

func (e *NoSilo) Unwrap() error { return e.Cause }

type caller = wire.AtCaller

// Client is a grains.Caller in a process that is no silo. Its methods may be called from any goroutine.
type Client struct {
	caller
	node      *actor.Node
	addr      string
	peers     link.Peers
	seeds     []string
	kinds     map[string]wire.Kind
	views     *view.Holder
	router    *link.Router
	variables *variables.Client
	blocks    *blocks.Coordinator
	flows     *dataflow.Follower
	engine    blocks.Engine
	door      blocks.Door

	life  context.Context
	end   context.CancelFunc
	loops sync.WaitGroup
	once  sync.Once
	err   error
}

// overhead is what a message measures besides the arguments or the change that it carries.
const overhead = 64 << 10

// Connect returns a client when a silo has answered and the cluster serves. ctx bounds that, not the
// client's life: Close ends it. Errors: *ConfigError, *NoSilo.
func Connect(ctx context.Context, c Config) (_ *Client, err error) {
	if c.MaxMessage <= 0 {
		c.MaxMessage = 1 << 20
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
		if c.Network != nil {
			c.Listen = ""
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	cl := &Client{kinds: map[string]wire.Kind{}, views: &view.Holder{}}
	cl.life, cl.end = context.WithCancel(context.Background())
	for a := range strings.SplitSeq(c.Silos, ",") {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(a); err != nil || strings.Trim(port, "0123456789") != "" {
			return nil, &ConfigError{"Silos", fmt.Sprintf("%q: each address is a host:port, and addresses are separated by commas", a)}
		}
		cl.seeds = append(cl.seeds, a)
	}
	if len(cl.seeds) == 0 {
		return nil, &ConfigError{"Silos", "is empty: name the address of at least one silo"}
	}
	if err := c.TLS.Check(); err != nil {
		return nil, &ConfigError{"TLS", err.Error()}
	}
	if c.TLS.IsZero() && !c.TrustNetwork && c.Network == nil {
		for _, addr := range append([]string{c.Listen}, cl.seeds...) {
			if !actor.Loopback(addr) {
				return nil, &ConfigError{"TLS", fmt.Sprintf("is empty, and %q is no loopback address: whoever is on the way could read and change everything. Name the files of a certificate, or, where everybody on the network may do that, set TrustNetwork", addr)}
			}
		}
	}
	for _, k := range c.Grains {
		if _, twice := cl.kinds[k.Name()]; twice {
			return nil, &ConfigError{"Grains", fmt.Sprintf("kind %q is there twice: list each package's Shared() once", k.Name())}
		}
		if v := k.Variable(); v != nil && v.Problem != nil {
			return nil, &ConfigError{"Grains", fmt.Sprintf("variable %q: %v", k.Name(), v.Problem)}
		}
		cl.kinds[k.Name()] = k
	}
	cl.node, err = actor.Start(actor.Config{
		Addr: c.Listen, Network: c.Network, Limit: c.MaxMessage + overhead, SilosOnly: true, TLS: c.TLS, Incarnation: uint64(time.Now().UnixNano()), Logger: c.Logger,
	})
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
	cl.door = blocks.Door{Engine: &cl.engine, Node: "client " + cl.addr}
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
	cl.engine = blocks.Engine{Route: cl.route, Variables: cl.variables, Flows: cl.flows, Blocks: cl.blocks, Kinds: cl.kinds}
	cl.node.HandleNotify(link.ServiceBlocks, cl.notice)
	cl.node.Handle(link.ServiceStatus, cl.serveStatus)
	cl.node.HandleNotify(link.ServiceDataflow, func(from actor.Peer, b []byte) { cl.flows.ServeNotify(from.Addr, b) })
	cl.views.Subscribe(cl.moved)
	cl.loops.Add(1)
	go cl.watchViews()
	return cl, nil
}

// route makes a call at the silo that owns the grain.
func (c *Client) route(ctx context.Context, to wire.ID, inv wire.Invocation, root wire.BlockID, retry bool) error {
	return c.router.Call(ctx, "", to, inv, link.Calling{Root: root, Retry: retry, In: link.BranchOf(wire.BlockOf(ctx))})
}

// find asks the seeds for a view in which some silo is up.
func (c *Client) find(ctx context.Context) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		reasons := map[string]string{}
		var refused []error // for good
		for _, addr := range c.seeds {
			if err := c.fetchView(ctx, addr); err != nil {
				reasons[addr] = err.Error()
				if foreign := (*actor.Foreign)(nil); errors.As(err, &foreign) {
					refused = append(refused, foreign)
				}
			} else if v := c.views.Current(); v.UpCount() > 0 {
				return nil
			} else {
				reasons[addr] = "the cluster is still being founded"
			}
		}
		if len(refused) == len(c.seeds) {
			return &NoSilo{reasons, errors.Join(refused...)}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return &NoSilo{reasons, errors.Join(append(refused, context.Cause(ctx))...)}
		}
	}
}

func (c *Client) fetchView(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	b, err := c.node.Request(ctx, addr, link.ServiceView, nil)
	if err != nil {
		return err
	}
	v, err := view.Decode(b)
	if err == nil {
		c.views.Set(v)
	}
	return err
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
		c.awaitView(c.life, c.views.Current().Number+1)
	}
}

// moved lets requests to silos that are down fail at once, wherever the new view came from.
func (c *Client) moved(v *view.View) {
	for _, s := range v.Silos {
		if !s.Up && s.Incarnation != 0 {
			c.node.Fail(s.Addr)
		}
	}
}

// viewEvery is how old a client's view may be before it asks.
const viewEvery = 500 * time.Millisecond

// awaitView asks the silos once, each until one has a view of at least that number. Those that the
// client's view has as down are asked where none of the others answers: it may be the view that is old.
func (c *Client) awaitView(ctx context.Context, number uint64) {
	answered := false
	for _, up := range []bool{true, false} {
		for _, s := range c.views.Current().Silos {
			if s.Up != up {
				continue
			}
			err := c.fetchView(ctx, s.Addr)
			answered = answered || err == nil
			if ctx.Err() != nil || c.views.Current().Number >= number {
				return
			}
		}
		if answered {
			return
		}
	}
}

// notice is the handler of link.ServiceBlocks: an attempt of this client's is wounded.
func (c *Client) notice(_ actor.Peer, payload []byte) {
	if n, err := link.DecodeNotice(payload); err == nil && n.Kind == link.NoticeWound {
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

// Close disconnects. Blocks that are submitted are decided all the same.
func (c *Client) Close() error {
	c.once.Do(func() {
		c.door.Close()
		c.end()
		c.loops.Wait()
		c.flows.Stop()
		c.blocks.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.err = c.node.Stop(ctx)
	})
	return c.err
}

// View returns the client's copy of the newest view: who is up, and where what is.
func (c *Client) View() *view.View { return c.views.Current() }

// Audit returns the hash of every variable that each silo holds, by the silo's address, kind and key: for
// tests and tools that compare replicas. It costs a message for some thousand variables.
func (c *Client) Audit(ctx context.Context) (map[string]map[string]map[string]uint64, error) {
	all := map[string]map[string]map[string]uint64{}
	for _, s := range c.views.Current().Silos {
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
