package actor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// partBytes is where a batch is split; a larger envelope goes alone.
	partBytes = 512 << 10
	// envelopeOverhead bounds what an envelope adds to its payload, error
	// text, address and remote's own wrapping included.
	envelopeOverhead = maxText + maxAddr + 512
)

// envelopeName is the one type that is taken in, as envelope.proto names it.
const envelopeName = "martinelli.actor.Envelope"

// guards configure gRPC under remote, at both ends.
func (t *tcp) guards() []remote.ConfigOption {
	largest := max(partBytes, t.node.cfg.Limit+envelopeOverhead) + 64<<10
	return []remote.ConfigOption{
		remote.WithServerOptions(
			grpc.MaxRecvMsgSize(largest),
			grpc.MaxSendMsgSize(largest),
			grpc.MaxConcurrentStreams(4), // a peer uses one
			grpc.Creds(doorman{t}),
			grpc.ConnectionTimeout(5*time.Second),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Second, Timeout: 3 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
			grpc.UnaryInterceptor(rejectUnary),
			grpc.StreamInterceptor(t.serveStream),
		),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest)),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}), // gRPC's least
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: time.Second}),
			grpc.WithContextDialer(t.tickets.take),
			grpc.WithResolvers(asIs{}), grpc.WithNoProxy(),
			grpc.WithStreamInterceptor(t.openStream),
		),
	}
}

// rejectUnary refuses remote's diagnostic calls, which need no authentication
// and end in a panic.
func rejectUnary(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	return nil, status.Errorf(codes.PermissionDenied, "%s is not served", info.FullMethod)
}

// serveStream stands before remote's reader: a panic in it ends the stream and
// not the process, and when the stream ends those who wait for its sender know.
func (t *tcp) serveStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	p, _ := grpcpeer.FromContext(ss.Context())
	shown, ok := p.AuthInfo.(authInfo)
	if !ok {
		return status.Error(codes.Unauthenticated, "a connection without a handshake")
	}
	in := &inStream{ServerStream: ss, tcp: t, node: t.node, from: shown.origin}
	defer func() {
		if r := recover(); r != nil {
			t.node.cfg.Logger.Error("an incoming stream panicked", slog.String("node", t.node.addr),
				slog.String("from", in.sender), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			err = status.Error(codes.Internal, "panic")
		}
		if t.inputs.CompareAndDelete(inputKey{in.sender, in.from.channel}, in) { // else it speaks on a later stream
			t.node.callerLost(in.sender, in.from.channel)
		}
	}()
	return handler(srv, in)
}

// inStream takes out what is for the gateway, and drops all else but remote's
// own greetings: remote ends the stream at the first message that does not
// decode, would deliver to any process of the system, and does not say from
// which connection.
type inStream struct {
	grpc.ServerStream
	tcp    *tcp
	node   *Node
	from   origin
	sender string // who speaks here; known from its hello
}

func (s *inStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message, ok := m.(*remote.RemoteMessage)
	if !ok {
		return status.Error(codes.InvalidArgument, "not a message of remote")
	}
	if batch := message.GetMessageBatch(); batch != nil {
		s.deliver(batch)
		batch.Envelopes = nil
	}
	return nil
}

// deliver takes envelopes in on the connection's own goroutine, without a
// mailbox, because Node.receive never blocks.
func (s *inStream) deliver(batch *remote.MessageBatch) {
	for _, e := range batch.Envelopes {
		ok := e.GetSender() == 0 && e.GetSerializerId() == 0 && e.GetMessageHeader() == nil &&
			e.GetTypeId() >= 0 && int(e.GetTypeId()) < len(batch.TypeNames) && batch.TypeNames[e.GetTypeId()] == envelopeName &&
			e.GetTarget() >= 0 && int(e.GetTarget()) < len(batch.Targets) && batch.Targets[e.GetTarget()] == gateway
		env := new(Envelope)
		if !ok || proto.Unmarshal(e.GetMessageData(), env) != nil {
			s.node.garbage("a message that is not an envelope for the gateway", nil)
			continue
		}
		if s.sender == "" && env.Sender != "" && len(env.Sender) <= maxAddr {
			s.sender = env.Sender
			s.tcp.inputs.Store(inputKey{s.sender, s.from.channel}, s)
		}
		if env.Sender != s.sender {
			s.node.garbage("an envelope in another's name", env)
			continue
		}
		s.node.receive(env, s.from)
	}
}

// doorman is how gRPC lets connections in: by our handshake, which comes before
// anything of gRPC's, and which takes away those that are not for gRPC.
type doorman struct{ tcp *tcp }

// authInfo goes with a connection that was let in.
type authInfo struct{ origin }

func (authInfo) AuthType() string { return "martinelli" }

// ServerHandshake implements credentials.TransportCredentials.
func (d doorman) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	n := d.tcp.node
	conn, ch, who, err := n.guard.accept(raw)
	if err == nil && ch >= byte(channels) {
		_ = conn.Close()
		err = &Foreign{Addr: raw.RemoteAddr().String(), Reason: "it takes this port for another: compare addresses and ports"}
	}
	if err != nil {
		var foreign *Foreign
		var full *LimitReached
		if errors.As(err, &foreign) || errors.As(err, &full) {
			n.refusedAt(err)
		}
		return nil, nil, err
	}
	if Channel(ch) == Bulk {
		go d.tcp.serveBulk(conn, who)
		return nil, nil, credentials.ErrConnDispatched
	}
	return conn, authInfo{origin{who, Channel(ch)}}, nil
}

// ClientHandshake implements credentials.TransportCredentials. It is not used:
// links shake hands before gRPC has the connection.
func (doorman) ClientHandshake(_ context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, authInfo{}, nil
}

// Info implements credentials.TransportCredentials.
func (doorman) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "martinelli"}
}

// Clone implements credentials.TransportCredentials.
func (d doorman) Clone() credentials.TransportCredentials { return d }

// OverrideServerName implements credentials.TransportCredentials.
func (doorman) OverrideServerName(string) error { return nil }

// openStream stands behind remote's writer.
func (t *tcp) openStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	cs, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	known, ok := t.links.Load(cc.Target())
	if !ok {
		return nil, status.Error(codes.Unavailable, "no link has this name")
	}
	l := known.(*tcpLink)
	l.mu.RLock()
	g := l.gen
	l.mu.RUnlock()
	if g == nil {
		return nil, status.Error(codes.Unavailable, "the connection is closed")
	}
	s := &outStream{ClientStream: cs, gen: g, ended: make(chan struct{})}
	g.stream.Store(s)
	return s, nil
}

// outStream splits batches below gRPC's limit, which otherwise loses a whole
// batch, and counts what is written.
type outStream struct {
	grpc.ClientStream
	gen    *generation
	mu     sync.Mutex // one of SendMsg and CloseSend at a time
	closed bool
	once   sync.Once
	ended  chan struct{} // closed when the other end has read all, or the stream broke
}

func (s *outStream) SendMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.EOF
	}
	message, ok := m.(*remote.RemoteMessage)
	if !ok || message.GetMessageBatch() == nil {
		return s.ClientStream.SendMsg(m)
	}
	s.gen.wrote.Store(true)
	whole := message.GetMessageBatch()
	rest := whole.Envelopes
	for len(rest) > 0 {
		n, size := 0, 0
		for n < len(rest) {
			size += len(rest[n].MessageData) + 32
			if n > 0 && size > partBytes {
				break
			}
			n++
		}
		err := s.ClientStream.SendMsg(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: &remote.MessageBatch{
			TypeNames: whole.TypeNames, Targets: whole.Targets, Senders: whole.Senders, Envelopes: rest[:n],
		}}})
		if err != nil {
			return err
		}
		s.gen.queued.Add(-written(rest[:n]))
		rest = rest[n:]
	}
	return nil
}

func written(envelopes []*remote.MessageEnvelope) (size int64) {
	for _, e := range envelopes {
		size += int64(len(e.MessageData) + queueOverhead)
	}
	return size
}

func (s *outStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.once.Do(func() { close(s.ended) })
	}
	return err
}

func (s *outStream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.ClientStream.CloseSend()
}

// asIs stands in for gRPC's default resolver and resolves an address to
// itself: connections are dialled before gRPC hears of them.
type asIs struct{}

func (asIs) Scheme() string { return "dns" }

func (asIs) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return asIs{}, cc.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: target.Endpoint()}}})
}

func (asIs) ResolveNow(resolver.ResolveNowOptions) {}
func (asIs) Close()                                {}
