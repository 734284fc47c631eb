package silo

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/txn/commit"
)

func (s *run) files() vfs.FS {
	if s.config.DataDir != "" {
		return nil
	}
	return s.config.Memory.files
}

// serveView is the handler of link.ServiceView: the newest view, or nothing where who asks says that it has
// that one.
func (s *run) serveView(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	t := s.views.Current()
	if known, n := protowire.ConsumeVarint(payload); n > 0 && known >= t.Number {
		return nil, nil
	}
	return t.Append(nil), nil
}

// tell sends a notice about an attempt to the silo, or the coordinator, at addr.
func (s *run) tell(addr string, n link.Notice) {
	if addr == s.addr {
		s.told(n)
		return
	}
	// One that is lost is asked for.
	_ = s.node.Notify(addr, link.ServiceBlocks, n.Append(nil))
}

// notice is the handler of link.ServiceBlocks.
func (s *run) notice(from actor.Peer, payload []byte) {
	n, err := link.DecodeNotice(payload)
	if err != nil {
		s.log.Warn("a notice about an atomic block", "error", err)
		return
	}
	// Ids of attempts are no secrets: a client tells of those that it coordinates, and wounds none.
	if !from.Silo && (n.Kind == link.NoticeWound || !s.grains.Coordinates(from.Addr, n.Attempt)) {
		s.log.Debug("refused: a notice about somebody else's atomic block", "from", from.Addr)
		return
	}
	s.told(n)
}

func (s *run) told(n link.Notice) {
	if n.Kind == link.NoticeWound {
		s.blocks.Wounded(n.Attempt)
		return
	}
	s.grains.Tell(n)
}

// serveStatus is the handler of link.ServiceStatus.
func (s *run) serveStatus(_ context.Context, _ actor.Peer, payload []byte) ([]byte, error) {
	n, err := link.DecodeNotice(payload)
	if err != nil {
		return nil, err
	}
	return s.blocks.Status(n.Attempt).Append(nil), nil
}

// ask asks the coordinator at addr how far an attempt is.
func (s *run) ask(ctx context.Context, addr string, a commit.Attempt) (link.Notice, error) {
	return link.AskStatus(ctx, s.node, addr, a)
}
