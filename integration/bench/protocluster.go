package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/martinelli-go/martinelli/integration/internal/child"
)

// protoactor-go's virtual actors: cluster.Request to one on the same node, and to one on the other of two.
// Placement is disthash, as its own tests have it. Messages go to the actor as they are, without the
// envelope that its generated grains put around them.

const (
	roleCluster = "cluster"
	protoKind   = "counter"
)

// fixedMembers is a provider of a cluster whose members never change.
type fixedMembers struct {
	// meet tells the others of this member and returns them.
	meet func(self *cluster.Member) ([]*cluster.Member, error)
}

func (f fixedMembers) StartMember(c *cluster.Cluster) error {
	host, port, err := c.ActorSystem.GetHostPort()
	if err != nil {
		return err
	}
	self := &cluster.Member{Host: host, Port: int32(port), Id: c.ActorSystem.ID, Kinds: c.GetClusterKinds()}
	others, err := f.meet(self)
	if err != nil {
		return err
	}
	c.MemberList.UpdateClusterTopology(append(others, self))
	return nil
}

func (fixedMembers) StartClient(*cluster.Cluster) error {
	return errors.New("this provider knows members alone")
}

func (fixedMembers) Shutdown(bool) error { return nil }

// startMember starts a member of a cluster; its StartMember panics when it fails.
func startMember(log *slog.Logger, f fixedMembers, kinds ...*cluster.Kind) (c *cluster.Cluster, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start a cluster member: %v", r)
		}
	}()
	c = cluster.New(newSystem(log), cluster.Configure("bench", f, disthash.New(), remote.Configure("127.0.0.1", 0), cluster.WithKinds(kinds...)))
	c.StartMember()
	return c, nil
}

func newProtoKind() *cluster.Kind { return cluster.NewKind(protoKind, protoCounterProps) }

func newProtoClusterLocalRival() (*rival, error) {
	alone := fixedMembers{func(*cluster.Member) ([]*cluster.Member, error) { return nil, nil }}
	c, err := startMember(quiet(io.Discard), alone, newProtoKind())
	if err != nil {
		return nil, err
	}
	return &rival{
		name: "protoactor cluster.Request",
		calls: func(_ context.Context, caller, n int) error {
			key := targetName(caller)
			for range n {
				out, err := c.Request(key, protoKind, &protoAdd{1})
				if err != nil {
					return err
				}
				if _, ok := out.(*protoSum); !ok {
					return fmt.Errorf("answered with a %T", out)
				}
			}
			return nil
		},
		stop: func() error { c.Shutdown(false); return nil },
	}, nil
}

func serveCluster(ctx context.Context, p parent) error {
	c, err := startMember(p.log, fixedMembers{func(self *cluster.Member) ([]*cluster.Member, error) {
		line, err := json.Marshal(self)
		if err != nil {
			return nil, err
		}
		p.tell(string(line))
		answer, err := p.hear(ctx)
		if err != nil {
			return nil, err
		}
		other := new(cluster.Member)
		return []*cluster.Member{other}, json.Unmarshal([]byte(answer), other)
	}}, newProtoKind())
	if err != nil {
		return err
	}
	<-ctx.Done()
	c.Shutdown(false)
	return nil
}

// newProtoClusterRemoteRival starts two members, of which the other process's alone hosts the kind: every
// call crosses. (It knows clients that are no members too, whose shutdown panics.)
func newProtoClusterRemoteRival(ctx context.Context, payload []byte) (*rival, error) {
	server, err := child.Spawn(ctx, serveCommand, roleCluster)
	if err != nil {
		return nil, err
	}
	c, err := startMember(quiet(io.Discard), fixedMembers{func(self *cluster.Member) ([]*cluster.Member, error) {
		line, err := json.Marshal(self)
		if err != nil {
			return nil, err
		}
		other := new(cluster.Member)
		if err := json.Unmarshal([]byte(server.Ready), other); err != nil {
			return nil, err
		}
		return []*cluster.Member{other}, server.Tell(string(line))
	}})
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &rival{
		name: "protoactor cluster.Request",
		calls: func(_ context.Context, caller, n int) error {
			key := targetName(caller)
			for range n {
				out, err := c.Request(key, protoKind, &wrapperspb.BytesValue{Value: payload})
				if err := checkProtoEcho(out, err, payload); err != nil {
					return err
				}
			}
			return nil
		},
		stop: func() error {
			c.Shutdown(false)
			return server.Stop()
		},
	}, nil
}
