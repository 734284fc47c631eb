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
// A cluster is founded once, by all the silos of the list together. From then on silos join and leave by being
// started and stopped: one that is started with an empty directory, and a Join that names any silo of the
// cluster, becomes a member and is given its share of the grains; one that is stopped gives its own away first.
// The cluster goes on while most of the silos that vote (up to five) are up. Grains of a silo that dies are
// served elsewhere when its lease has run out (Config.Silence, Config.Lease). One that is cut off, or stood still
// for longer than its lease, serves no grains any more, and joins again by itself; variables it serves all the
// time. The command siloctl (package cluster/siloctl) founds, drains and removes by hand.
package silo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	dataflow "github.com/martinelli-go/martinelli/grains/dataflow/host"
	"github.com/martinelli-go/martinelli/grains/wire"
	blocks "github.com/martinelli-go/martinelli/txn/host"
)

type caller = wire.AtCaller

// Silo is a running silo. It is a grains.Caller. Its methods may be called from any goroutine.
//
// A silo that the others have removed, because it was cut off or stood still for longer than its lease, drops
// what it had in memory, and joins again by itself as a new run; calls of it that were on their way may have
// run (ErrUnknown), calls that are made meanwhile have not.
type Silo struct {
	caller
	config Config
	source discovery.Source // of Join
	log    *slog.Logger
	kinds  map[string]wire.Kind
	door   blocks.Door

	life    context.Context // until Stop
	end     context.CancelFunc
	kept    chan struct{}       // closed when keep has returned
	run     *run                // of keep's goroutine, then of Stop's; nil while there is none
	serving atomic.Pointer[run] // run, for others
	stop    sync.Once
	stopped error
	failure chan error // one: the first that ends the silo
	once    sync.Once
	ordered chan struct{} // closed when an operator wants the silo to leave
}

// Start starts a silo and returns when it serves: when its cluster is founded or joined, and most of the silos
// have agreed that it is a member. ctx bounds that, not the silo's life: [Silo.Stop] ends it.
//
// Errors: *ConfigError; *actor.PortInUse; *NotResolved, where Join did not yield all silos;
// *consensus.NotFounded and *consensus.NotJoined, which name the silos that did not answer;
// *consensus.ForeignStore, *consensus.WrongList and *consensus.StoreRemoved, for a directory or a list that do
// not belong to the cluster, or not any more; *actor.Foreign where another silo has another Secret or TLS;
// *consensus.InUse for a directory that another process uses.
func Start(ctx context.Context, c Config) (*Silo, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	source, err := c.source()
	if err != nil {
		return nil, err
	}
	kinds, err := kindsOf(c.Grains)
	if err != nil {
		return nil, err
	}
	if c.DataDir == "" && c.Network == nil {
		c.Logger.Warn("this silo has no DataDir: nothing that it keeps survives it", "silo", c.Advertise)
	}
	s := &Silo{
		config: c.inMemory(), source: source, kinds: kinds, log: c.Logger.With("silo", c.Advertise),
		kept: make(chan struct{}), failure: make(chan error, 1), ordered: make(chan struct{}),
	}
	s.door.Node = "silo " + c.Advertise
	s.caller = wire.NewCaller(&s.door)
	s.life, s.end = context.WithCancel(context.Background())
	if s.run, err = s.begin(ctx); err != nil {
		s.end()
		return nil, err
	}
	s.serving.Store(s.run)
	s.door.Open(&s.run.engine)
	go s.keep()
	return s, nil
}

// keep begins a new run where one was removed.
func (s *Silo) keep() {
	defer close(s.kept)
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.ordered:
			s.leaveAsOrdered()
			return
		case <-s.run.dismissed:
			s.fail(fmt.Errorf("silo: %w", s.run.dismissal()))
			return
		case <-s.run.membership.removed:
		}
		s.log.Warn("the other silos have removed this one, which they did not hear for longer than its lease: it joins again")
		if err := s.again(); err != nil {
			if s.life.Err() == nil {
				s.fail(fmt.Errorf("silo: joining again: %w", err))
			}
			return
		}
	}
}

// again replaces a run that was removed by a new one.
func (s *Silo) again() error {
	s.run.grains.Drop()
	over, cancel := context.WithCancel(s.life)
	cancel() // its turns have no effect any more: nothing is gained by waiting for them
	if err := s.run.close(over); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("ending a run that was removed", "error", err)
	}
	s.run = nil
	s.serving.Store(nil)
	for {
		r, err := s.begin(s.life)
		if err == nil {
			s.run = r
			s.serving.Store(r)
			s.door.Open(&r.engine)
			return nil
		}
		// What was closed may be held for a moment, and a silo that stands still as it joins is removed again.
		passing := errors.As(err, new(*actor.PortInUse)) || errors.As(err, new(*consensus.InUse)) || errors.Is(err, errRemoved)
		if !passing || s.life.Err() != nil {
			return err
		}
		select {
		case <-time.After(againPause):
		case <-s.life.Done():
		}
	}
}

// againPause is the time between two tries to begin a run.
const againPause = 100 * time.Millisecond

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

// fail notes an error with which the silo cannot go on.
func (s *Silo) fail(err error) {
	s.log.Error("the silo stops", "error", err)
	select {
	case s.failure <- err:
	default:
	}
}

// Stop stops the silo. Calls by it are refused from now on. What it holds moves to the other silos first: each
// grain when its turn has ended, while calls from elsewhere go on. Where ctx ends before that, or nobody could
// take anything, turns that still run are cut off; what was acknowledged is kept all the same. It may be called
// more than once.
func (s *Silo) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		s.door.Close()
		s.end()
		<-s.kept
		if s.run == nil {
			return
		}
		s.run.leave(ctx)
		s.stopped = s.run.close(ctx)
	})
	return s.stopped
}

// Addr is where others reach the silo.
func (s *Silo) Addr() string { return s.config.Advertise }

// Failed yields an error if the silo cannot go on: its disk failed, say. Stop it then. It yields ErrLeft where
// an operator has had the silo leave.
func (s *Silo) Failed() <-chan error { return s.failure }

// Run starts a silo and returns when ctx ends or an operator has had it leave, after it has been stopped, or
// when it cannot go on.
func Run(ctx context.Context, c Config) error {
	s, err := Start(ctx, c)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
		if errors.Is(err, ErrLeft) {
			err = nil
		}
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, s.Stop(bounded))
}

// stopTimeout is how long Run lets the silo move its grains away, and turns end.
const stopTimeout = 15 * time.Second
