package actor

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
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
	in := &inStream{ServerStream: ss, tcp: t, node: t.node}
	defer func() {
		if r := recover(); r != nil {
			t.node.cfg.Logger.Error("an incoming stream panicked", slog.String("node", t.node.addr),
				slog.String("from", in.sender), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			err = status.Error(codes.Internal, "panic")
		}
		if t.inputs.CompareAndDelete(in.sender, in) { // else it speaks on a later stream
			t.node.callerLost(in.sender)
		}
	}()
	return handler(srv, in)
}

// inStream passes on only what is well-formed and for the gateway: remote ends
// the stream at the first message that does not decode, and would deliver to
// any process of the system.
type inStream struct {
	grpc.ServerStream
	tcp    *tcp
	node   *Node
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
		s.filter(batch)
	}
	return nil
}

func (s *inStream) filter(batch *remote.MessageBatch) {
	kept := batch.Envelopes[:0]
	for _, e := range batch.Envelopes {
		sender, ok := scan(e.GetMessageData())
		ok = ok && e.Sender == 0 && e.SerializerId == 0 && e.MessageHeader == nil &&
			e.TypeId >= 0 && int(e.TypeId) < len(batch.TypeNames) && batch.TypeNames[e.TypeId] == envelopeName &&
			e.Target >= 0 && int(e.Target) < len(batch.Targets) && batch.Targets[e.Target] == gateway
		if !ok {
			s.node.garbage("a message that is not an envelope for the gateway", nil)
			continue
		}
		if s.sender == "" && len(sender) <= maxAddr {
			s.sender = string(sender)
			s.tcp.inputs.Store(s.sender, s)
		}
		kept = append(kept, e)
	}
	batch.Envelopes = kept
}

// scan reports whether data decodes as an Envelope, without allocating, and
// finds its sender.
func scan(data []byte) (sender []byte, ok bool) {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, false
		}
		data = data[n:]
		if kind == protowire.BytesType && (field == 5 || field == 11) {
			text, n := protowire.ConsumeBytes(data)
			if n < 0 || !utf8.Valid(text) {
				return nil, false
			}
			if field == 5 {
				sender = text
			}
			data = data[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(field, kind, data); n < 0 {
			return nil, false
		}
		data = data[n:]
	}
	return sender, true
}

// openStream stands behind remote's writer.
func (t *tcp) openStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	cs, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	l := t.link(cc.Target())
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
