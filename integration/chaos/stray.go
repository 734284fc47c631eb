package main

import (
	"context"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// stray is a caller whose view of the cluster is one silo, which has every grain.
type stray struct {
	wire.AtCaller
	node *actor.Node
}

// newStray returns a caller that makes all calls at the silo at addr.
func newStray(addr string) (*stray, error) {
	node, err := actor.Start(actor.Config{Addr: "127.0.0.1:0", SilosOnly: true, Incarnation: uint64(time.Now().UnixNano())})
	if err != nil {
		return nil, fmt.Errorf("a client that calls %s alone: %w", addr, err)
	}
	return &stray{wire.NewCaller(&strayEngine{node: node, addr: addr}), node}, nil
}

func (s *stray) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stacksWithin)
	defer cancel()
	_ = s.node.Stop(ctx) // nobody waits for it
}

// strayEngine makes calls of grains and nothing else.
type strayEngine struct {
	wire.Engine
	node *actor.Node
	addr string
}

// Call implements wire.Engine.
func (s *strayEngine) Call(ctx context.Context, to wire.ID, inv wire.Invocation) error {
	req := link.CallRequest{To: to, Method: inv.Method().Info().Number, Args: inv.AppendArgs(nil)}
	refuse := func(cause error, detail string) error {
		return &wire.CallError{To: to, Method: inv.Method().Info().Name, Cause: cause, Detail: detail}
	}
	b, err := s.node.RequestPeer(ctx, actor.Peer{Addr: s.addr, Silo: true}, link.ServiceCalls, req.Append(nil))
	if err != nil {
		if cause := link.Fate(err); cause != nil {
			return refuse(cause, err.Error())
		}
		return refuse(wire.ErrUnknown, err.Error())
	}
	reply, err := link.DecodeCallReply(b)
	switch {
	case err != nil:
		return refuse(wire.ErrUnknown, err.Error())
	case reply.Status == link.StatusOK:
		return inv.DecodeResult(reply.Result)
	case reply.Status == link.StatusError:
		return inv.DecodeError(reply.Error)
	case reply.Status == link.StatusUnknown:
		return refuse(wire.ErrUnknown, reply.Detail)
	}
	return refuse(wire.ErrNotExecuted, reply.Detail)
}
