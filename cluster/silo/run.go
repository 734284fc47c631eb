package silo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
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

// run is one run of a silo, under one incarnation: from when it asks to be a member until it has left, was
// removed, or stops.
type run struct {
	config      Config
	source      discovery.Source // of Join
	log         *slog.Logger
	id          view.SiloID
	addr        string
	incarnation uint64
	kinds       map[string]wire.Kind

	store      *consensus.Store
	node       *actor.Node
	peers      link.Peers
	views      *view.Holder
	membership *membership
	clock      func() time.Duration                      // of leases
	admits     map[byte]*atomic.Pointer[consensus.Group] // the groups, by number, once they are open
	council    *consensus.Group                          // of the views
	group      *consensus.Group                          // of the ledger
	ledger     *commit.Ledger
	fsm        *fsm
	variables  *variables.Host
	grains     *grains.Host
	blocks     *blocks.Coordinator
	flows      *dataflow.Host
	engine     blocks.Engine
	seen       *view.Table // the view before; of moved
	compared   sync.Map    // incarnations of others whose settings have been compared

	life    context.Context
	end     context.CancelFunc
	done    chan struct{}
	loops   sync.WaitGroup
	closers []func(context.Context) error // in the order of opening
	failed  func(error)

	order     func()        // has the silo leave
	waits     atomic.Bool   // for a cluster to join or to found
	invited   chan []string // one: the newest list that an operator gave to found with
	announced bool
	dismissed chan struct{} // closed when the store is no member of the log any more, for good
}

// begin starts a run, and returns when it serves.
func (s *Silo) begin(ctx context.Context) (_ *run, err error) {
	r := &run{
		config: s.config, source: s.source, kinds: s.kinds, addr: s.config.Advertise, log: s.log,
		views: &view.Holder{}, done: make(chan struct{}), failed: s.fail, clock: leaseClock(s.config.Network != nil),
		admits: map[byte]*atomic.Pointer[consensus.Group]{viewGroup: {}, dataGroup: {}},
		order:  s.order, invited: make(chan []string, 1), dismissed: make(chan struct{}),
	}
	r.life, r.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			// The directory is let go whatever happened; ctx may be over.
			err = errors.Join(err, r.close(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context) error{r.open, r.found, r.host, r.serve} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// opened notes what has to be closed.
func (s *run) opened(close func(context.Context) error) { s.closers = append(s.closers, close) }

// open takes the directory and the ports.
func (s *run) open(context.Context) (err error) {
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
		Silo: true, TLS: c.TLS, Secret: c.Secret, Connections: c.Connections, PeerServing: c.PeerCalls, BulkRate: c.BulkRate, HeapFloor: c.heapFloor()}
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

// found founds or joins the cluster, and opens what is replicated in it.
func (s *run) found(ctx context.Context) error {
	s.node.Handle(link.ServiceAdmit, s.serveAdmit)
	s.node.Handle(link.ServiceAdmin, s.serveAdmin)
	if s.config.Expect > 0 {
		s.announce() // the others wait for it
	}
	said := s.sayWaiting("for the cluster to be founded or joined: by " + s.source.String())
	founders, id, err := s.belong(ctx)
	said()
	if err != nil {
		return fmt.Errorf("silo: Config.Join: %w", err)
	}
	at, err := logAddr(s.addr)
	if err != nil {
		return &ConfigError{"Advertise", err.Error()}
	}
	self := consensus.Server{ID: s.store.ID(), Addr: at}
	var servers []consensus.Server
	for _, f := range founders {
		at, err := logAddr(f.Addr)
		if err != nil {
			return &ConfigError{"Join", err.Error()}
		}
		servers = append(servers, consensus.Server{ID: f.ID, Addr: at})
	}
	times, detector := s.config.times()
	if s.membership, err = newMembership(s.asMember(), times, detector, s.clock, s.views, s.node, s.log); err != nil {
		return &ConfigError{"Grains", err.Error()}
	}
	s.ledger = commit.NewLedger(s.ledgerConfig(founders))
	s.membership.forget, s.membership.waited = s.config.Forget, s.ledger.Silos
	s.membership.farewell = func(store string) []byte {
		return commit.EncodeEntry(commit.Left{Silo: store})
	}

	if s.variables, err = variables.Open(ctx, variables.Config{
		Self: s.id, Incarnation: s.incarnation, Actor: actorOf(s.id), Views: s.views, Kinds: s.kinds,
		Requests: link.Transport{Peers: s.peers.With(link.ServiceVariables)}, Replicas: link.Transport{Peers: s.peers.With(link.ServiceReplicas)},
		Repairs: link.Transport{Peers: s.peers.With(link.ServiceRepairs)}, RepairLimit: repairLimit,
		Dir: s.dir("variables"), FS: s.files(), Limit: s.config.MaxMessage + overhead/2, Now: time.Now, Logger: s.log, Fatal: s.fail,
	}); err != nil {
		return fmt.Errorf("silo: %w", err)
	}
	s.opened(func(context.Context) error { return s.variables.Close() })

	s.fsm = &fsm{ledger: s.ledger, apply: s.variables.Apply, failed: s.fail}
	config := consensus.Config{Self: self, Founders: servers, Logger: s.log}
	if len(servers) == 1 {
		config.Heartbeat = aloneHeartbeat
	}
	return s.openGroups(ctx, config, id, founders)
}

// The groups, by the number that names them on the connections of the log: that of the views and leases, and that
// of the ledger. What one has to do does not keep the other waiting.
const (
	viewGroup byte = 1
	dataGroup byte = 2
)

// ledgerPart names the ledger's group in what the store remembers, and its directory.
const ledgerPart = "log"

// openGroups opens both groups, over one port. Config is what is the same for them, cluster the id of the first.
func (s *run) openGroups(ctx context.Context, config consensus.Config, cluster string, founders []consensus.Server) error {
	part, id, err := s.belongToLedger(ctx, cluster, founders)
	if err != nil {
		return fmt.Errorf("silo: the ledger: %w", err)
	}
	var port *consensus.Port
	if s.config.Network != nil {
		config.Network = s.config.Network.log
	} else {
		config.Guard = s.node.Guard()
		listen, err := logAddr(s.config.Listen)
		if err != nil {
			return &ConfigError{"Listen", err.Error()}
		}
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return fmt.Errorf("silo: the log listens at the port after Config.Listen: %w", &actor.PortInUse{Addr: listen, Cause: err})
		}
		port = consensus.NewPort(l)
		s.opened(func(context.Context) error { return port.Close() })
	}
	open := func(group **consensus.Group, number byte, config consensus.Config) (err error) {
		config.Group = number
		if port != nil {
			config.Listener = port.Group(number)
		}
		if *group, err = consensus.Open(ctx, config); err != nil {
			return fmt.Errorf("silo: %w", err)
		}
		s.opened(func(context.Context) error { return (*group).Close() })
		s.admits[number].Store(*group)
		return nil
	}
	views := config
	views.ClusterID, views.Identity, views.Dir, views.Store, views.FSM = cluster, s.store, s.dir("views"), s.config.Memory.views, viewFSM{s.membership}
	if err := open(&s.council, viewGroup, views); err != nil {
		return err
	}
	data := config
	data.ClusterID, data.Identity, data.Dir, data.Store, data.FSM = id, part, s.dir(ledgerPart), s.config.Memory.log, s.fsm
	if err := open(&s.group, dataGroup, data); err != nil {
		return err
	}
	s.membership.group, s.membership.data = s.council, s.group
	return nil
}

// aloneHeartbeat lets a silo without others lead at once: nobody else can be leading.
const aloneHeartbeat = 20 * time.Millisecond

func (s *run) dir(name string) string {
	if s.config.DataDir == "" {
		return ""
	}
	return filepath.Join(s.config.DataDir, name)
}

// ledgerActor mints the dots of what atomic blocks do to variables.
const ledgerActor crdt.Actor = 1

// actorOf is the actor of a store, apart from the ledger's.
func actorOf(id view.SiloID) crdt.Actor { return crdt.Actor(xxh3.HashString(string(id)) | 1<<63) }

// ledgerConfig is the same on every silo that is given the same kinds, but for the founders, which those that
// joined need not know: who is waited for is in the snapshot that they begin with.
func (s *run) ledgerConfig(founders []consensus.Server) commit.Config {
	config := commit.Config{
		Effect: func(variable wire.ID, own, op []byte) (delta, newOwn []byte, err error) {
			k := s.kinds[variable.Kind()].Variable()
			if k == nil {
				return nil, nil, fmt.Errorf("no variable %s", variable)
			}
			return k.Lattice.Effect(ledgerActor, own, op)
		},
	}
	for _, f := range founders {
		config.Silos = append(config.Silos, f.ID)
	}
	return config
}

// host starts what serves calls, variables, views and blocks.
func (s *run) host(context.Context) (err error) {
	router := &link.Router{
		Peers: s.peers.With(link.ServiceCalls), Refresh: s.awaitView,
		Leased: func() bool { return s.membership.Standing().Leased(s.membership.now()) },
	}
	s.grains = grains.New(grains.Config{
		Self: s.id, Addr: s.addr, Views: s.views, Standing: s.membership.Standing, Now: s.membership.now, Kinds: s.kinds, Engine: &s.engine, Router: router,
		Prepare: s.variables.Prepare, Limit: s.config.MaxMessage + overhead/2, IdleAfter: s.config.IdleAfter, ReaderPause: s.config.ReaderPause, Logger: s.log,
		MemoryLimit: s.config.MemoryLimit, Queue: s.config.Queue, Calls: s.config.Calls, CallBytes: s.config.CallBytes,
		Incoming: s.config.Incoming, Outgoing: s.config.Outgoing,
		HandOver: s.peers.With(link.ServiceHandover).Request,
	})
	s.blocks = blocks.New(blocks.Config{
		Addr: s.addr, Tell: s.tell, Ask: s.ask, Logger: s.log,
		Leader: &link.Leader{
			Peers: s.peers.With(link.ServicePropose), Self: s.id, Local: s.lead, Hint: s.ledgerLeader,
		},
	})
	s.grains.Blocks = s.blocks
	s.membership.seal = func(rows []view.Row, drained func([]view.Row)) {
		both := drainedByBoth(drained)
		s.grains.Seal(rows, both)
		s.flows.Seal(rows, both)
	}
	s.opened(func(context.Context) error { s.blocks.Stop(); return nil })
	if s.flows, err = dataflow.New(dataflow.Config{
		Self: s.id, Incarnation: s.incarnation, Views: s.views, Standing: s.membership.Standing, Now: s.membership.now,
		Kinds: s.kinds, Variables: s.variables, Engine: &s.engine,
		Transport: link.Transport{Peers: s.peers.With(link.ServiceSnapshots), Notified: link.ServiceDataflow}, Limit: s.config.MaxMessage, Logger: s.log,
	}); err != nil {
		return fmt.Errorf("silo: %w", err)
	}
	s.opened(func(ctx context.Context) error { return s.flows.Stop(ctx) })
	s.opened(s.grains.Stop)
	s.engine = blocks.Engine{Route: s.grains.Call, Variables: s.variables, Flows: s.flows, Blocks: s.blocks, Kinds: s.kinds, Outgoing: s.config.Outgoing}

	s.node.Handle(link.ServicePropose, s.serveLeader)
	s.node.Handle(link.ServiceView, s.serveView)
	s.node.Handle(link.ServiceReport, s.serveReport)
	s.node.HandleNotify(link.ServiceProbe, s.membership.probed)
	s.node.HandleNotify(link.ServiceAsk, s.membership.asked)
	s.node.HandleNotify(link.ServiceVote, s.membership.voted)
	s.node.Handle(link.ServiceCalls, s.serveCall)
	s.node.Handle(link.ServiceHandover, func(ctx context.Context, from actor.Peer, b []byte) ([]byte, error) {
		if !from.Silo {
			return nil, errSilosOnly
		}
		return s.grains.ServeHandover(ctx, b)
	})
	s.node.HandleNotify(link.ServiceBlocks, s.notice)
	s.node.Handle(link.ServiceStatus, s.serveStatus)
	s.node.Handle(link.ServiceVariables, s.serveVariables)
	s.node.Handle(link.ServiceRepairs, func(ctx context.Context, from actor.Peer, b []byte) ([]byte, error) {
		if !from.Silo {
			return nil, errSilosOnly
		}
		return s.variables.ServeRequest(ctx, s.siloAt(from), b)
	})
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
	s.node.HandleNotify(link.ServiceDataflow, func(from actor.Peer, b []byte) {
		if from.Silo {
			s.flows.ServeNotify(from.Addr, b)
		} else {
			s.flows.ServeClientNotify(from.Addr, b)
		}
	})
	return nil
}

// siloAt is the silo that a message came from, "" for a client.
func (s *run) siloAt(from actor.Peer) view.SiloID {
	silo, ok := s.views.Current().At(from.Addr)
	if !ok || !from.Silo {
		return ""
	}
	return silo.ID
}

// serve waits until the silo is active.
func (s *run) serve(ctx context.Context) error {
	s.seen = s.views.Current()
	s.views.Subscribe(s.moved)
	s.loops.Go(func() { s.membership.run(s.life) })
	s.loops.Go(func() { s.readmit(s.life) })
	s.loops.Go(s.watchDismissal)
	said := s.sayWaiting("until most of the silos of " + s.source.String() + " are there")
	defer said()
	for _, group := range []*consensus.Group{s.council, s.group} {
		select {
		case <-group.Ready():
		case <-s.dismissed:
			return fmt.Errorf("silo: %w", s.dismissal())
		case <-ctx.Done():
			return fmt.Errorf("silo: replaying the log: %w", context.Cause(ctx))
		}
	}
	if err := s.confirmFirst(ctx); err != nil {
		return err
	}
	s.loops.Go(s.confirmLogged)
	s.membership.step(view.Started{})
	select {
	case <-s.membership.serving:
	case <-s.dismissed:
		return fmt.Errorf("silo: %w", s.dismissal())
	case <-s.membership.removed:
		return errRemoved
	case <-ctx.Done():
		return fmt.Errorf("silo: waiting for most of the silos to let this one in (%s): %w", s.views.Current(), context.Cause(ctx))
	}
	// The holder of views is given each a moment after what this silo may serve is known from it.
	s.awaitView(ctx, s.membership.Standing().Table().Number)
	if err := s.flows.Start(ctx); err != nil {
		return err
	}
	s.announce()
	return nil
}

// errRemoved ends a run before it has served. Another one may fare better.
var errRemoved = errors.New("silo: the others have removed this run while it joined: it was not heard of for longer than a lease")

// linger refuses, or passes on, what clients still send here, until they have heard where things are now: what
// arrives while a connection ends may be lost, and nobody knows then whether it ran.
func (s *run) linger(ctx context.Context) {
	t := time.NewTimer(lingerTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// lingerTime is longer than a client goes without asking for the view.
const lingerTime = 800 * time.Millisecond

// partingTime is how long a silo that leaves tries to bring to others what it has more of variables.
const partingTime = 5 * time.Second

// sayWaiting logs what a start waits for, if it takes long, until it is stopped.
func (s *run) sayWaiting(what string) (stop func()) {
	t := time.AfterFunc(sayWaitingAfter, func() { s.log.Info("waiting " + what) })
	return func() { t.Stop() }
}

// sayWaitingAfter is how long a start waits before it says for what.
const sayWaitingAfter = 2 * time.Second

// moved takes a new view, on one goroutine.
func (s *run) moved(t *view.Table) {
	link.FailRemoved(s.node, s.seen, t, s.id)
	s.tellOfMembers(s.seen, t)
	s.seen = t
	s.compareSettings(t)
}

// leave gives what the silo holds to the others, and leadership too.
func (s *run) leave(ctx context.Context) {
	s.membership.leave(ctx)
	for _, group := range []*consensus.Group{s.council, s.group} {
		if group.IsLeader() {
			_ = group.StepDown() // who cannot is replaced a moment later
		}
	}
	if !s.membership.hasLeft() {
		return
	}
	if s.config.Network == nil {
		s.linger(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	if err := s.variables.HandOver(ctx); err != nil {
		s.log.Warn("this silo leaves, and some of what was written to variables here may be on its disk alone: start it once more before its directory goes", "error", err)
	}
}

// awaitView waits for a view with at least that number, or for ctx.
func (s *run) awaitView(ctx context.Context, number uint64) {
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

// close ends everything that the run has opened. Turns may end until ctx does.
func (s *run) close(ctx context.Context) error {
	s.end()
	close(s.done)
	s.loops.Wait()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	return errors.Join(errs...)
}

// fail ends the silo because it cannot go on without lying.
func (s *run) fail(err error) { s.failed(err) }
