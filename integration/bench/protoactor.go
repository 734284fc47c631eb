package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/martinelli-go/martinelli/integration/internal/child"
)

// protoactor-go's actors: RequestFuture to one in the same process, and to one in another.

const roleRemote = "remote"

// protoTimeout is what a request may take; its requests know no context.
const protoTimeout = 5 * time.Second

// newSystem returns an actor system that logs errors alone.
func newSystem(log *slog.Logger) *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
}

type (
	protoAdd struct{ n int64 }
	protoSum struct{ value int64 }
)

// protoCounter answers *protoAdd with the sum, and bytes with the same.
type protoCounter struct{ value int64 }

func (c *protoCounter) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *protoAdd:
		c.value += m.n
		ctx.Respond(&protoSum{c.value})
	case *wrapperspb.BytesValue:
		ctx.Respond(&wrapperspb.BytesValue{Value: m.Value})
	}
}

var protoCounterProps = actor.PropsFromProducer(func() actor.Actor { return &protoCounter{} })

func newProtoLocalRival(callers int) *rival {
	system := newSystem(quiet(io.Discard))
	targets := make([]*actor.PID, callers)
	for i := range targets {
		targets[i] = system.Root.Spawn(protoCounterProps)
	}
	return &rival{
		name: "protoactor RequestFuture",
		calls: func(_ context.Context, caller, n int) error {
			for range n {
				out, err := system.Root.RequestFuture(targets[caller], &protoAdd{1}, protoTimeout).Result()
				if err != nil {
					return err
				}
				if _, ok := out.(*protoSum); !ok {
					return fmt.Errorf("answered with a %T", out)
				}
			}
			return nil
		},
		stop: func() error { system.Shutdown(); return nil },
	}
}

// startRemote starts protoactor-go's remote on a port that is free: on one in use it panics.
func startRemote(log *slog.Logger) (*actor.ActorSystem, *remote.Remote) {
	system := newSystem(log)
	r := remote.NewRemote(system, remote.Configure("127.0.0.1", 0))
	r.Start()
	return system, r
}

func serveRemote(ctx context.Context, p parent) error {
	system, r := startRemote(p.log)
	defer r.Shutdown(false)
	for i := range mostCallers {
		if _, err := system.Root.SpawnNamed(protoCounterProps, targetName(i)); err != nil {
			return err
		}
	}
	p.tell(system.Address())
	<-ctx.Done()
	return nil
}

func newProtoRemoteRival(ctx context.Context, payload []byte) (*rival, error) {
	server, err := child.Spawn(ctx, serveCommand, roleRemote)
	if err != nil {
		return nil, err
	}
	system, r := startRemote(quiet(io.Discard))
	targets := make([]*actor.PID, mostCallers)
	for i := range targets {
		targets[i] = actor.NewPID(server.Ready, targetName(i))
	}
	return &rival{
		name: "protoactor remote RequestFuture",
		calls: func(_ context.Context, caller, n int) error {
			for range n {
				out, err := system.Root.RequestFuture(targets[caller], &wrapperspb.BytesValue{Value: payload}, protoTimeout).Result()
				if err := checkProtoEcho(out, err, payload); err != nil {
					return err
				}
			}
			return nil
		},
		stop: func() error {
			r.Shutdown(false)
			system.Shutdown()
			return server.Stop()
		},
	}, nil
}

func checkProtoEcho(out any, err error, payload []byte) error {
	if err != nil {
		return err
	}
	if bytes, ok := out.(*wrapperspb.BytesValue); !ok || len(bytes.Value) != len(payload) {
		return errShortEcho
	}
	return nil
}
