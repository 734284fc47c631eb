// Package silo is the process that people start: it hosts grains, variables, operators and processes, and
// keeps the log with the other silos of its cluster.
//
//	s, err := silo.Start(ctx, silo.Config{Grains: wine.Grains(mail)})
//	order, err := wine.GetUser(s, "alice").Purchase(ctx, "100062")
//
// The zero Config is one silo in memory. Three silos on one machine, each with a directory of its own:
//
//	silo.Run(ctx, silo.Config{
//		Grains: wine.Grains(mail), Listen: "127.0.0.1:7000", DataDir: "/var/lib/wine-1",
//		Join: "127.0.0.1:7000,127.0.0.1:7010,127.0.0.1:7020",
//	})
//
// Where addresses are not known beforehand, Join may name where to find them (package discovery), with Expect
// for how many there are.
//
// A cluster is founded once, by all the silos of the list together, and is a fixed set from then on. It
// goes on while most of them are up: grains of a silo that is not heard of for Config.Silence are
// activated elsewhere, and it takes its share again when it is back.
package silo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	dataflow "github.com/martinelli-go/martinelli/grains/dataflow/host"
	grains "github.com/martinelli-go/martinelli/grains/host"
	variables "github.com/martinelli-go/martinelli/grains/variable/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
	blocks "github.com/martinelli-go/martinelli/txn/host"
)

type caller = wire.AtCaller

// Silo is a running silo. It is a grains.Caller. Its methods may be called from any goroutine.
type Silo struct {
	caller
	config      Config
	source      discovery.Source // of Join
	log         *slog.Logger
	id          view.SiloID
	addr        string
	incarnation uint64
	kinds       map[string]wire.Kind

	store     *consensus.Store
	node      *actor.Node
	peers     link.Peers
	views     *view.Holder
	group     *consensus.Group
	ledger    *commit.Ledger
	fsm       *fsm
	variables *variables.Host
	grains    *grains.Host
	blocks    *blocks.Coordinator
	flows     *dataflow.Host
	engine    blocks.Engine
	door      blocks.Door
	signs     signs
	compared  sync.Map // incarnations of others whose settings have been compared

	life    context.Context
	end     context.CancelFunc
	done    chan struct{}
	loops   sync.WaitGroup
	closers []func(context.Context) error // in the order of opening
	stop    sync.Once
	stopped error
	failure chan error // one: the first that ends the silo
}

// Start starts a silo and returns when it serves: when its cluster is founded, and most of the silos have
// agreed that it is up. ctx bounds that, not the silo's life: [Silo.Stop] ends it.
//
// Errors: *ConfigError; *actor.PortInUse; *NotResolved, where Join did not yield all silos;
// *consensus.NotFounded, which names the silos that did not answer; *consensus.ForeignStore and
// *consensus.WrongList, for a directory or a list that do not belong to the cluster; *actor.Foreign where
// another silo has another Secret or TLS; *consensus.InUse for a directory that another process uses.
func Start(ctx context.Context, c Config) (_ *Silo, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	source, err := c.source()
	if err != nil {
		return nil, err
	}
	if list, ok := source.(discovery.Static); ok {
		if err := consensus.CheckList(c.Advertise, list); err != nil {
			return nil, fmt.Errorf("silo: Config.Join: %w", err)
		}
	}
	kinds, err := kindsOf(c.Grains)
	if err != nil {
		return nil, err
	}
	if c.DataDir == "" && c.Network == nil {
		c.Logger.Warn("this silo has no DataDir: nothing that it keeps survives it", "silo", c.Advertise)
	}
	c = c.inMemory()
	s := &Silo{
		config: c, source: source, kinds: kinds, addr: c.Advertise, log: c.Logger.With("silo", c.Advertise),
		views: &view.Holder{},
		done:  make(chan struct{}), failure: make(chan error, 1),
		signs: signs{last: map[view.SiloID]sign{}},
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.door = blocks.Door{Engine: &s.engine, Node: "silo " + c.Advertise}
	s.caller = wire.NewCaller(&s.door)
	defer func() {
		if err != nil {
			// The directory is let go whatever happened; ctx may be over.
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context) error{s.open, s.found, s.host, s.serve} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// kindsOf checks what the silo was given to host.
func kindsOf(list []wire.Kind) (map[string]wire.Kind, error) {
	kinds := make(map[string]wire.Kind, len(list)+1)
	for _, k := range append([]wire.Kind{dataflow.OutputsKind()}, list...) {
		if k.Name() == "" {
			return nil, &ConfigError{"Grains", "a kind without a name: it was not made by generated code"}
		}
		if _, twice := kinds[k.Name()]; twice {
			return nil, &ConfigError{"Grains", fmt.Sprintf("kind %q is there twice: names are unique in a cluster, and each package's Grains() is listed once (it contains Shared())", k.Name())}
		}
		if v := k.Variable(); v != nil && v.Problem != nil {
			return nil, &ConfigError{"Grains", fmt.Sprintf("variable %q: %v", k.Name(), v.Problem)}
		}
		kinds[k.Name()] = k
	}
	for _, k := range kinds {
		if p := k.Process(); p != nil && p.Of != "" {
			if of, ok := kinds[p.Of]; !ok || of.Variable() == nil {
				return nil, &ConfigError{"Grains", fmt.Sprintf("process %q runs for each key of %q, which is no variable here", k.Name(), p.Of)}
			}
		}
	}
	return kinds, nil
}

// opened notes what has to be closed.
func (s *Silo) opened(close func(context.Context) error) { s.closers = append(s.closers, close) }

// open takes the directory and the ports.
func (s *Silo) open(context.Context) (err error) {
	c := s.config
	if c.DataDir == "" {
		if c.Memory.store == nil {
			if c.Memory.store, err = consensus.OpenStore(""); err != nil {
				return err
			}
		}
		s.store = c.Memory.store
	} else {
		if s.store, err = consensus.OpenStore(c.DataDir); err != nil {
			return fmt.Errorf("silo: Config.DataDir: %w", err)
		}
		s.opened(func(context.Context) error { return s.store.Close() })
	}
	s.id = view.SiloID(s.store.ID())
	if s.incarnation, err = c.mintIncarnation(time.Now()); err != nil {
		return err
	}
	config := actor.Config{Advertise: s.addr, Incarnation: s.incarnation, Limit: c.MaxMessage + overhead, Logger: s.log,
		Silo: true, TLS: c.TLS, Secret: c.Secret, Connections: c.Connections, PeerServing: c.PeerCalls, BulkRate: c.BulkRate}
	if c.Network != nil {
		config.Network, config.Addr = c.Network.Messages, s.addr
	} else {
		config.Addr = c.Listen
	}
	if s.node, err = actor.Start(config); err != nil {
		return fmt.Errorf("silo: Config.Listen: %w", err)
	}
	s.opened(s.node.Stop)
	s.peers = link.Peers{Node: s.node, Views: s.views}
	s.node.Handle(link.ServiceFounding, func(_ context.Context, from actor.Peer, _ []byte) ([]byte, error) {
		if !from.Silo {
			return nil, errSilosOnly
		}
		return consensus.EncodeAnswer(s.store.Answer())
	})
	return nil
}

var errSilosOnly = actor.Refuse("only silos may ask this, and who asks has not shown to be one")

// overhead is what a message measures besides the arguments or the change that it carries.
const overhead = 64 << 10

// repairLimit is the largest state of a variable that reaches a new replica.
const repairLimit = 128 << 20

// found founds the cluster with the others, or finds that it is founded.
func (s *Silo) found(ctx context.Context) error {
	said := s.sayWaiting("for the cluster to be founded: all of " + s.source.String() + " must have been started once")
	defer said()
	// A foreign silo does not become one of ours by being asked again.
	asking, give := context.WithCancelCause(ctx)
	defer give(nil)
	founders, id, err := s.agree(asking, give)
	if foreign := (*actor.Foreign)(nil); err != nil && errors.As(context.Cause(asking), &foreign) {
		return fmt.Errorf("silo: Config.Join: %w", foreign)
	}
	if err != nil {
		return fmt.Errorf("silo: Config.Join: %w", err)
	}
	silos := make([]view.Member, len(founders))
	servers := make([]consensus.Server, len(founders))
	var self consensus.Server
	for i, f := range founders {
		silos[i] = view.Member{ID: view.SiloID(f.ID), Addr: f.Addr}
		at, err := logAddr(f.Addr)
		if err != nil {
			return &ConfigError{"Join", err.Error()}
		}
		servers[i] = consensus.Server{ID: f.ID, Addr: at}
		if f.ID == s.store.ID() {
			self = servers[i]
		}
	}
	machine := view.NewMachine(silos)
	s.views.Set(machine.View())
	s.ledger = commit.NewLedger(s.ledgerConfig(machine.View()))

	if s.variables, err = variables.Open(ctx, variables.Config{
		Self: s.id, Incarnation: s.incarnation, Actor: actorOf(s.id), Views: s.views, Kinds: s.kinds,
		Requests: link.Transport{Peers: s.peers.With(link.ServiceVariables)}, Replicas: link.Transport{Peers: s.peers.With(link.ServiceReplicas)},
		Repairs: link.Transport{Peers: s.peers.With(link.ServiceRepairs)}, RepairLimit: repairLimit,
		Dir: s.dir("variables"), FS: s.files(), Limit: s.config.MaxMessage + overhead/2, Now: time.Now, Logger: s.log, Fatal: s.fail,
	}); err != nil {
		return fmt.Errorf("silo: %w", err)
	}
	s.opened(func(context.Context) error { return s.variables.Close() })

	s.fsm = &fsm{ledger: s.ledger, views: s.views, machine: machine, apply: s.variables.Apply, failed: s.fail}
	config := consensus.Config{
		Self: self, Founders: servers, ClusterID: id, Dir: s.dir("log"), Store: s.config.Memory.log, Logger: s.log,
		FSM: s.fsm,
	}
	if len(servers) == 1 {
		config.Heartbeat = aloneHeartbeat
	}
	if s.config.Network != nil {
		config.Network = s.config.Network.log
	} else {
		config.Guard = s.node.Guard()
		listen, err := logAddr(s.config.Listen)
		if err != nil {
			return &ConfigError{"Listen", err.Error()}
		}
		if config.Listener, err = net.Listen("tcp", listen); err != nil {
			return fmt.Errorf("silo: the log listens at the port after Config.Listen: %w", &actor.PortInUse{Addr: listen, Cause: err})
		}
	}
	if s.group, err = consensus.Open(ctx, config); err != nil {
		return fmt.Errorf("silo: %w", err)
	}
	s.opened(func(context.Context) error { return s.group.Close() })
	return nil
}

// aloneHeartbeat lets a silo without others lead at once: nobody else can be leading.
const aloneHeartbeat = 20 * time.Millisecond

func (s *Silo) dir(name string) string {
	if s.config.DataDir == "" {
		return ""
	}
	return filepath.Join(s.config.DataDir, name)
}

// ledgerActor mints the dots of what atomic blocks do to variables.
const ledgerActor crdt.Actor = 1

// actorOf is the actor of a store, apart from the ledger's.
func actorOf(id view.SiloID) crdt.Actor { return crdt.Actor(xxh3.HashString(string(id)) | 1<<63) }

// ledgerConfig is the same on every silo that is given the same kinds.
func (s *Silo) ledgerConfig(founders *view.Table) commit.Config {
	return commit.Config{
		Effect: func(variable wire.ID, own, op []byte) (delta, newOwn []byte, err error) {
			k := s.kinds[variable.Kind()].Variable()
			if k == nil {
				return nil, nil, fmt.Errorf("no variable %s", variable)
			}
			return k.Lattice.Effect(ledgerActor, own, op)
		},
		Replicas: func(variable wire.ID) []string {
			k := s.kinds[variable.Kind()].Variable()
			if k == nil {
				return nil
			}
			var ids []string
			for _, silo := range founders.Replicas(variable, k.Replicas) {
				ids = append(ids, string(silo.ID))
			}
			return ids
		},
	}
}

// host starts what serves calls, variables, views and blocks.
func (s *Silo) host(context.Context) (err error) {
	router := &link.Router{Peers: s.peers.With(link.ServiceCalls), Refresh: s.awaitView}
	s.grains = grains.New(grains.Config{
		Self: s.id, Addr: s.addr, Views: s.views, Kinds: s.kinds, Engine: &s.engine, Router: router,
		Prepare: s.variables.Prepare, Limit: s.config.MaxMessage + overhead/2, IdleAfter: s.config.IdleAfter, Logger: s.log,
	})
	s.blocks = blocks.New(blocks.Config{
		Addr: s.addr, Tell: s.tell, Ask: s.ask, Logger: s.log,
		Leader: &link.Leader{
			Peers: s.peers.With(link.ServicePropose), Self: s.id, Local: s.lead,
			Hint: func() (view.SiloID, bool) {
				leader, ok := s.group.Leader()
				return view.SiloID(leader.ID), ok
			},
		},
	})
	s.grains.Blocks = s.blocks
	s.opened(func(context.Context) error { s.blocks.Stop(); return nil })
	if s.flows, err = dataflow.New(dataflow.Config{
		Self: s.id, Incarnation: s.incarnation, Views: s.views, Kinds: s.kinds, Variables: s.variables, Engine: &s.engine,
		Transport: link.Transport{Peers: s.peers.With(link.ServiceSnapshots), Notified: link.ServiceDataflow}, Limit: s.config.MaxMessage, Logger: s.log,
	}); err != nil {
		return fmt.Errorf("silo: %w", err)
	}
	s.opened(func(ctx context.Context) error { return s.flows.Stop(ctx) })
	s.opened(s.grains.Stop)
	s.engine = blocks.Engine{Route: s.grains.Call, Variables: s.variables, Flows: s.flows, Blocks: s.blocks, Kinds: s.kinds}

	s.node.Handle(link.ServicePropose, s.serveLeader)
	s.node.Handle(link.ServiceView, s.serveView)
	s.node.Handle(link.ServiceReport, s.serveReport)
	s.node.HandleNotify(link.ServiceAlive, s.alive)
	s.node.Handle(link.ServiceCalls, s.serveCall)
	s.node.HandleNotify(link.ServiceBlocks, s.notice)
	s.node.Handle(link.ServiceStatus, s.serveStatus)
	s.node.Handle(link.ServiceVariables, s.serveVariables)
	for _, service := range []actor.Service{link.ServiceReplicas, link.ServiceRepairs} {
		s.node.HandleNotify(service, func(from actor.Peer, b []byte) {
			if id := s.siloAt(from); id != "" {
				s.variables.ServeNotify(id, from.Incarnation, b)
			}
		})
	}
	s.node.Handle(link.ServiceSnapshots, func(ctx context.Context, from actor.Peer, b []byte) ([]byte, error) {
		return s.flows.ServeRequest(ctx, from.Addr, b)
	})
	s.node.HandleNotify(link.ServiceDataflow, func(from actor.Peer, b []byte) { s.flows.ServeNotify(from.Addr, b) })
	return nil
}

// siloAt is the silo that a message came from, "" for a client.
func (s *Silo) siloAt(from actor.Peer) view.SiloID {
	silo, ok := s.views.Current().At(from.Addr)
	if !ok || !from.Silo {
		return ""
	}
	return silo.ID
}

// serve waits until the log has said that this silo is up.
func (s *Silo) serve(ctx context.Context) error {
	s.loops.Add(2)
	go s.live()
	go s.confirmLogged()
	select {
	case <-s.group.Ready():
	case <-ctx.Done():
		return fmt.Errorf("silo: replaying the log: %w", context.Cause(ctx))
	}
	said := s.sayWaiting("until most of the silos of " + s.source.String() + " are up")
	defer said()
	cancel := s.views.Subscribe(s.moved)
	s.opened(func(context.Context) error { cancel(); return nil })
	up := func(v *view.Table) bool {
		self, _ := v.Member(s.id)
		return self.Up && self.Incarnation == s.incarnation
	}
	for !up(s.views.Current()) {
		if ctx.Err() != nil {
			return fmt.Errorf("silo: waiting for most of the silos %s to agree that this one is up: %w", s.views.Current(), context.Cause(ctx))
		}
		bounded, cancel := context.WithTimeout(ctx, beat)
		s.awaitView(bounded, s.views.Current().Number+1)
		cancel()
	}
	return s.flows.Start(ctx)
}

// sayWaiting logs what a start waits for, if it takes long, until it is stopped.
func (s *Silo) sayWaiting(what string) (stop func()) {
	t := time.AfterFunc(sayWaitingAfter, func() { s.log.Info("waiting " + what) })
	return func() { t.Stop() }
}

// sayWaitingAfter is how long a start waits before it says for what.
const sayWaitingAfter = 2 * time.Second

// moved lets requests to a silo that is down fail at once.
func (s *Silo) moved(v *view.Table) {
	for _, silo := range v.Members {
		if !silo.Up && silo.Incarnation != 0 && silo.ID != s.id {
			s.node.Fail(silo.Addr)
		}
	}
}

// awaitView waits for a view with at least that number, or for ctx.
func (s *Silo) awaitView(ctx context.Context, number uint64) {
	arrived := make(chan struct{}, 1) // one: that there was any is enough
	cancel := s.views.Subscribe(func(*view.Table) {
		select {
		case arrived <- struct{}{}:
		default:
		}
	})
	defer cancel()
	for s.views.Current().Number < number {
		select {
		case <-arrived:
		case <-ctx.Done():
			return
		}
	}
}

// fail ends the silo because it cannot go on without lying.
func (s *Silo) fail(err error) {
	s.log.Error("the silo stops", "error", err)
	select {
	case s.failure <- err:
	default:
	}
}

// Stop stops the silo: new calls are refused, turns that run end, until ctx does; what was acknowledged
// is kept. It may be called more than once.
func (s *Silo) Stop(ctx context.Context) error {
	s.stop.Do(func() { s.stopped = s.close(ctx) })
	return s.stopped
}

func (s *Silo) close(ctx context.Context) error {
	s.door.Close()
	s.end()
	close(s.done)
	s.loops.Wait()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	return errors.Join(errs...)
}

// Addr is where others reach the silo.
func (s *Silo) Addr() string { return s.addr }

// Failed yields an error if the silo cannot go on: its disk failed, say. Stop it then.
func (s *Silo) Failed() <-chan error { return s.failure }

// Run starts a silo and returns when ctx ends, after it has been stopped, or when it cannot go on.
func Run(ctx context.Context, c Config) error {
	s, err := Start(ctx, c)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, s.Stop(bounded))
}

// stopTimeout is how long Run lets turns end.
const stopTimeout = 15 * time.Second
