package silo

import (
	"context"
	"errors"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
)

// serveLeader is the handler of link.ServicePropose.
func (s *run) serveLeader(ctx context.Context, from actor.Peer, payload []byte) ([]byte, error) {
	r, err := link.DecodeLeaderRequest(payload)
	if err != nil {
		return nil, err
	}
	if !from.Silo {
		if r.Op == link.OpLoad {
			return nil, errSilosOnly
		}
		if r.Op == link.OpPropose {
			if err := s.entryDenied(ctx, from, r.Entry); err != nil {
				return (&link.LeaderReply{Status: link.LeaderDenied, Detail: err.Error()}).Append(nil), nil
			}
		}
	}
	return s.peers.With(link.ServicePropose).PassOn(ctx, r, s.lead(ctx, r)).Append(nil), nil
}

// lead does what is asked of the leader of the log, if that is this silo.
func (s *run) lead(ctx context.Context, r *link.LeaderRequest) *link.LeaderReply {
	elsewhere := func() *link.LeaderReply {
		leader, _ := s.ledgerLeader()
		return &link.LeaderReply{Status: link.LeaderElsewhere, Leader: leader.ID, Addr: leader.Addr, Detail: "silo " + s.addr + " does not lead the log"}
	}
	switch r.Op {
	case link.OpPropose:
		result, err := s.group.Propose(ctx, r.Entry)
		switch {
		case err == nil:
			return &link.LeaderReply{Status: link.LeaderOK, Result: result}
		case errors.Is(err, consensus.ErrNotLeader):
			return elsewhere()
		case errors.Is(err, consensus.ErrInDoubt):
			return &link.LeaderReply{Status: link.LeaderInDoubt, Detail: err.Error()}
		case errors.As(err, new(*consensus.TooLarge)):
			return &link.LeaderReply{Status: link.LeaderTooLarge, Detail: err.Error()}
		}
		return &link.LeaderReply{Status: link.LeaderRefused, Detail: err.Error()}
	case link.OpLoad:
		// No leadership is confirmed: a stale answer makes a block fail that is tried again, no more.
		if !s.group.IsLeader() {
			return elsewhere()
		}
		version, value, _ := s.ledger.Get(r.Key)
		return &link.LeaderReply{Status: link.LeaderOK, Version: version, Value: value}
	case link.OpValidate:
		at, err := s.group.ReadIndex(ctx)
		if errors.Is(err, consensus.ErrNotLeader) {
			return elsewhere()
		}
		if err == nil {
			err = s.group.WaitApplied(ctx, at)
		}
		if err != nil {
			return &link.LeaderReply{Status: link.LeaderRefused, Detail: err.Error()}
		}
		return &link.LeaderReply{Status: link.LeaderOK, Stale: s.ledger.Validate(r.Reads)}
	}
	return &link.LeaderReply{Status: link.LeaderRefused, Detail: "an unknown operation: this silo is older than who asks"}
}

// ledgerLeader is who leads the log of the ledger, as far as this silo knows.
func (s *run) ledgerLeader() (link.LeaderAt, bool) {
	leader, ok := s.group.Leader()
	if !ok {
		return link.LeaderAt{}, false
	}
	addr, err := siloAddr(leader.Addr)
	if err != nil {
		s.log.Error("the address of the ledger's leader", "error", err)
	}
	return link.LeaderAt{ID: view.SiloID(leader.ID), Addr: addr}, true
}
