package silo

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/txn/commit"
)

func (s *Silo) files() vfs.FS {
	if s.config.DataDir != "" {
		return nil
	}
	return s.config.Memory.files
}

// serveView is the handler of link.ServiceView.
func (s *Silo) serveView(context.Context, actor.Peer, []byte) ([]byte, error) {
	return s.views.Current().Append(nil), nil
}

// tell sends a notice about an attempt to the silo, or the coordinator, at addr.
func (s *Silo) tell(addr string, n link.Notice) {
	if addr == s.addr {
		s.told(n)
		return
	}
	// One that is lost is asked for.
	_ = s.node.Notify(addr, link.ServiceBlocks, n.Append(nil))
}

// notice is the handler of link.ServiceBlocks.
func (s *Silo) notice(_ actor.Peer, payload []byte) {
	n, err := link.DecodeNotice(payload)
	if err != nil {
		s.log.Warn("a notice about an atomic block", "error", err)
		return
	}
	s.told(n)
}

func (s *Silo) told(n link.Notice) {
	if n.Kind == link.NoticeWound {
		s.blocks.Wounded(n.Attempt)
		return
	}
	s.grains.Tell(n)
}

// serveStatus is the handler of link.ServiceStatus.
func (s *Silo) serveStatus(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	n, err := link.DecodeNotice(payload)
	if err != nil {
		return nil, err
	}
	return s.blocks.Status(n.Attempt).Append(nil), nil
}

// ask asks the coordinator at addr how far an attempt is.
func (s *Silo) ask(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error) {
	return link.AskStatus(ctx, s.node, addr, a)
}
