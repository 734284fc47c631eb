package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// The services of a silo, each on its channel; numbers are part of the protocol. What many wait for, and
// what decides who is there, is small and on Control; what is large and waited for by machines alone is
// on Bulk.
const (
	ServiceFounding  = actor.OnControl | 1        // what a store says of itself
	ServiceView      = actor.OnControl | 2        // the newest view
	ServiceProbe     = actor.OnControl | 3        // of failure detectors
	ServicePropose   = actor.OnCalls | 4          // entries for the log, at its leader
	ServiceCalls     = actor.OnCalls | 5          // calls of grains
	ServiceBlocks    = actor.OnControl | 6        // notices about attempts of atomic blocks
	ServiceStatus    = actor.OnControl | 7        // what became of an attempt
	ServiceVariables = actor.OnCalls | 8          // operations and reads of variables
	ServiceReplicas  = actor.OnDissemination | 9  // novelties between replicas, and their acknowledgements
	ServiceRepairs   = actor.OnBulk | 10          // comparisons of replicas, and states
	ServiceDataflow  = actor.OnDissemination | 11 // changes, from operators to operators and readers
	ServiceSnapshots = actor.OnBulk | 12          // subscriptions to operators, and the pages of their states
	ServiceReport    = actor.OnControl | 13       // how a silo is, for people
	ServiceHandover  = actor.OnBulk | 14          // the memory of grains that move
	ServiceAsk       = actor.OnControl | 15       // what a silo asks of the leader of the log
	ServiceVote      = actor.OnControl | 16       // who is dead, for that leader
	ServiceAdmit     = actor.OnControl | 17       // a store that wants to become a member of the log
	ServiceAdmin     = actor.OnControl | 18       // what operators want
)

// Peers sends messages to silos by their identity, through whatever address the view gives. Requests go
// to those alone that have shown there to be silos.
type Peers struct {
	Node    *actor.Node
	Views   *view.Holder
	Service actor.Service
}

// With returns the same for another service.
func (p Peers) With(s actor.Service) Peers {
	p.Service = s
	return p
}

// Request sends a request to a silo; errors are those of package actor.
func (p Peers) Request(ctx context.Context, to view.SiloID, payload []byte) ([]byte, error) {
	s, err := p.silo(to)
	if err != nil {
		return nil, err
	}
	return p.Node.RequestPeer(ctx, actor.Peer{Addr: s.Addr, Silo: true}, p.Service, payload)
}

// Notify sends a notification to a silo, at most once.
func (p Peers) Notify(to view.SiloID, payload []byte) error {
	s, err := p.silo(to)
	if err != nil {
		return err
	}
	return p.Node.Notify(s.Addr, p.Service, payload)
}

func (p Peers) silo(to view.SiloID) (view.Member, error) {
	v := p.Views.Current()
	if v == nil {
		return view.Member{}, fmt.Errorf("silo %s: no view yet: %w", to, actor.ErrNotExecuted)
	}
	s, ok := v.Member(to)
	if !ok {
		return view.Member{}, fmt.Errorf("silo %s is in no view: %w", to, actor.ErrNotExecuted)
	}
	return s, nil
}

// Fate turns an error of a request into the cause that callers of grains look for: wire.ErrNotExecuted,
// wire.ErrTooLarge or, for all that may have run, wire.ErrUnknown. It is nil for an error that the
// other side answered with.
func Fate(err error) error {
	var large *actor.TooLarge
	var remote *actor.RemoteFailure
	switch {
	case errors.As(err, &large):
		return wire.ErrTooLarge
	case errors.Is(err, actor.ErrNotExecuted):
		return wire.ErrNotExecuted
	case errors.As(err, &remote):
		return nil
	}
	return wire.ErrUnknown
}

// Told turns an error of a request into one of package wire's, for those who know no package actor.
func Told(b []byte, err error) ([]byte, error) {
	if err == nil {
		return b, nil
	}
	if fate := Fate(err); fate != nil {
		return nil, fmt.Errorf("%w: %w", fate, err)
	}
	return nil, err
}

// AskStatus asks the coordinator at addr how far an attempt is. An error does not say that nobody is there: the
// connection may be lost.
func AskStatus(ctx context.Context, node *actor.Node, addr string, a commit.Attempt) (Notice, error) {
	b, err := Told(node.Request(ctx, addr, ServiceStatus, Notice{Kind: NoticeRunning, Attempt: a}.Append(nil)))
	if err != nil {
		return Notice{}, err
	}
	return DecodeNotice(b)
}
