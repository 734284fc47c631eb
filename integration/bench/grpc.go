package main

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/martinelli-go/martinelli/integration/internal/child"
)

// Unary gRPC: one connection for all callers, as the others have.

const (
	roleGRPC   = "grpc"
	echoMethod = "/bench.Echo/Echo"
)

// echoServer is the service that protoc-gen-go-grpc would generate for
//
//	service Echo { rpc Echo(google.protobuf.BytesValue) returns (google.protobuf.BytesValue); }
type echoServer interface {
	echo(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
}

type echo struct{}

func (echo) echo(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	return &wrapperspb.BytesValue{Value: in.Value}, nil
}

var echoService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*echoServer)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(echoServer).echo(ctx, in)
		},
	}},
}

// serveGRPC serves; args is the directory of certificates, or nothing.
func serveGRPC(ctx context.Context, p parent, args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var options []grpc.ServerOption
	if len(args) > 0 {
		c, err := certificates(args[0]).config(siloCert)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(c)))
	}
	s := grpc.NewServer(options...)
	s.RegisterService(&echoService, echo{})
	go func() {
		<-ctx.Done()
		s.Stop()
	}()
	p.tell(l.Addr().String())
	if err := s.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// newGRPCRival calls a server in another process, over TLS where certs is not "".
func newGRPCRival(ctx context.Context, payload []byte, certs certificates) (*rival, error) {
	name, creds, args := "unary gRPC", insecure.NewCredentials(), []string(nil)
	if certs != "" {
		c, err := certs.config(clientCert)
		if err != nil {
			return nil, err
		}
		name, creds, args = "unary gRPC, TLS", credentials.NewTLS(c), []string{string(certs)}
	}
	server, err := child.Spawn(ctx, append([]string{serveCommand, roleGRPC}, args...)...)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+server.Ready, grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &rival{
		name: name,
		calls: func(ctx context.Context, _, n int) error {
			for range n {
				out := new(wrapperspb.BytesValue)
				if err := conn.Invoke(ctx, echoMethod, &wrapperspb.BytesValue{Value: payload}, out); err != nil {
					return err
				}
				if len(out.Value) != len(payload) {
					return errShortEcho
				}
			}
			return nil
		},
		stop: func() error { return errors.Join(conn.Close(), server.Stop()) },
	}, nil
}
