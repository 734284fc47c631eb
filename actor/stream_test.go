package actor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// overTCP starts a node in this process.
func overTCP(t testing.TB, cfg Config) *Node {
	t.Helper()
	if cfg.Logger = discard; cfg.Listener == nil {
		cfg.Addr = "127.0.0.1:0"
	}
	n, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = n.Stop(ctx)
	})
	return n
}

// stranger opens a connection to a node by hand.
func stranger(t testing.TB, addr string, ch Channel) net.Conn {
	t.Helper()
	guard, err := newGuard(Config{}.withDefaults())
	require.NoError(t, err)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	secure, _, err := guard.dial(conn, byte(ch), time.Now().Add(time.Second))
	require.NoError(t, err)
	return secure
}

// asFrame is env as it travels on channels other than Bulk.
func asFrame(env *Envelope) []byte {
	b := appendEnvelope(appendHead(nil, frameWhole, 0, 0), env)
	binary.BigEndian.PutUint32(b[5:], uint32(len(b)-frameHead))
	return b
}

func TestHostileFrames(t *testing.T) {
	t.Parallel()
	n, b := overTCP(t, Config{}), overTCP(t, Config{Limit: 100_000})
	testServices(b)
	good := asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_NOTIFY, Service: uint32(ordered), Sender: "stranger", Payload: number(0)})
	for name, bytes := range map[string][]byte{
		"kind":        appendHead(nil, 77, 0, 0),
		"kind zero":   make([]byte, frameHead),
		"size":        appendHead(nil, frameWhole, 0, 1<<32-1),
		"just beyond": appendHead(nil, frameWhole, 0, 100_000+envelopeOverhead+1),
		"bulk's":      appendHead(nil, frameBegin, 0, 0),
		"data":        appendHead(nil, frameData, 0, 0),
		"pong":        appendHead(nil, framePong, 0, 0),
		"long ping":   append(appendHead(nil, framePing, 0, 1), 0),
		"no envelope": append(appendHead(nil, frameWhole, 0, 2), 0xff, 0xff),
		"long text":   asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_NOTIFY, Service: 1, Sender: "stranger", Text: string(make([]byte, envelopeOverhead))}),
		"much that is unknown": func() []byte {
			b := asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_NOTIFY, Service: 1, Sender: "stranger"})
			b = protowire.AppendBytes(protowire.AppendTag(b, 1000, protowire.BytesType), make([]byte, 50_000))
			binary.BigEndian.PutUint32(b[5:], uint32(len(b)-frameHead))
			return b
		}(),
		"after good": append(append([]byte{}, good...), append(appendHead(nil, frameWhole, 0, 2), 0xff, 0xff)...),
	} {
		for _, ch := range []Channel{Calls, Control, Dissemination} {
			conn := stranger(t, b.Addr(), ch)
			_, err := conn.Write(bytes)
			require.NoError(t, err)
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			var timeout net.Error
			require.Error(t, err)
			require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "%s: it is still open", name)
		}
	}
	conn := stranger(t, b.Addr(), Calls)
	_, err := conn.Write(append(appendHead(nil, framePing, 5, 0), good...))
	require.NoError(t, err)
	pong := make([]byte, frameHead)
	_, err = io.ReadFull(conn, pong)
	require.NoError(t, err)
	require.Equal(t, appendHead(nil, framePong, 5, 0), pong)
	_, err = n.Request(t.Context(), b.Addr(), ordered, number(1))
	require.NoError(t, err)
}

// A connection is for one sender.
func TestNobodySpeaksInAnothersName(t *testing.T) {
	t.Parallel()
	b := overTCP(t, Config{})
	testServices(b)
	conn := stranger(t, b.Addr(), Calls)
	frame := func(sender string, i int) []byte {
		return asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_NOTIFY, Service: uint32(ordered), Sender: sender, Payload: number(i)})
	}
	for i, sender := range []string{"one", "other", ""} {
		_, err := conn.Write(frame(sender, i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return b.Dropped() == 2 }, 2*time.Second, time.Millisecond)
}

// What a peer does not read is bounded, and refused by type.
func TestWhoReadsNothingIsBounded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	guard, err := newGuard(Config{}.withDefaults())
	require.NoError(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)     // else the kernel takes megabytes
			if _, _, _, err := guard.accept(conn); err != nil { // and then nothing
				_ = conn.Close()
			}
		}
	}()
	const room = 1 << 20
	n := overTCP(t, Config{PeerQueueBytes: room})
	addr := l.Addr().String()
	var reached *LimitReached
	require.Eventually(t, func() bool {
		return errors.As(n.Notify(addr, 1, make([]byte, 10_000)), &reached)
	}, 3*time.Second, 10*time.Microsecond)
	require.Equal(t, room, reached.Limit)
	link := n.transport.(*tcp).link(addr, Calls)
	link.mu.Lock()
	defer link.mu.Unlock()
	require.LessOrEqual(t, link.bytes, room)
}

// Answers that a peer does not read end its connection, which tells it that
// they are missing.
func TestAnswersThatAreNotReadEndTheConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	guard, err := newGuard(Config{}.withDefaults())
	require.NoError(t, err)
	answers := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10) // else the kernel takes megabytes
		if in, _, _, err := guard.accept(conn); err == nil {
			answers <- in
		}
	}()
	b := overTCP(t, Config{PeerQueueBytes: 1 << 20})
	testServices(b)
	conn := stranger(t, b.Addr(), Calls)
	ask := asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_REQUEST, Service: uint32(big), Sender: l.Addr().String(), SenderIncarnation: 1, Payload: number(100_000)})
	for id := range uint64(500) {
		env := new(Envelope)
		require.NoError(t, decodeEnvelope(env, ask[frameHead:], ""))
		env.Id = id + 1
		if _, err := conn.Write(asFrame(env)); err != nil {
			break
		}
	}
	in := <-answers
	_ = in.SetReadDeadline(time.Now().Add(10 * time.Second))
	link := b.transport.(*tcp).link(l.Addr().String(), Calls)
	require.Eventually(t, func() bool {
		link.mu.Lock()
		defer link.mu.Unlock()
		require.LessOrEqual(t, link.bytes, 2<<20)
		return link.conn == nil
	}, silence/2, time.Millisecond)
	_, err = io.Copy(io.Discard, in)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it is still open")
}

// One peer's flood, refused as it is, does not keep another from being answered.
func TestAFloodStarvesNobody(t *testing.T) {
	t.Parallel()
	b := overTCP(t, Config{InFlight: 64, PeerServing: 32})
	testServices(b)
	flooder, other := overTCP(t, Config{PeerInFlight: 1 << 20}), overTCP(t, Config{})
	callerServices(flooder)
	var over atomic.Bool
	var sent, refused atomic.Int64
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 256 {
		all.Go(func() {
			for !over.Load() {
				_, err := flooder.Request(ctx, b.Addr(), echo, make([]byte, 100))
				sent.Add(1)
				if errors.As(err, new(*LimitReached)) {
					refused.Add(1)
				}
			}
		})
	}
	for range 32 { // all that it may have served at a time
		all.Go(func() { _, _ = flooder.Request(ctx, b.Addr(), hang, nil) })
	}
	require.Eventually(t, func() bool { return refused.Load() > 1000 }, 10*time.Second, time.Millisecond)
	var longest time.Duration
	for range 200 {
		began := time.Now()
		_, err := other.Request(t.Context(), b.Addr(), echo, []byte("x"))
		require.NoError(t, err)
		longest = max(longest, time.Since(began))
	}
	over.Store(true)
	cancel()
	all.Wait()
	require.Less(t, longest, time.Second)
	require.Less(t, runtime.NumGoroutine(), 10_000)
}

// proxy passes bytes on, until it is silenced: then it keeps all connections
// open and passes nothing on, as a cable that is cut does.
type proxy struct {
	net.Listener
	silent atomic.Bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			t.Cleanup(func() { _, _ = in.Close(), out.Close() })
			pass := func(to, from net.Conn) {
				b := make([]byte, 4096)
				for {
					n, err := from.Read(b)
					if p.silent.Load() {
						return
					}
					if err != nil {
						_ = to.Close()
						return
					}
					if _, err := to.Write(b[:n]); err != nil {
						return
					}
				}
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return p
}

// Who vanishes without a word is noticed at both ends: those who wait for it
// know, and what it asked for is cancelled.
func TestDeadConnectionsAreNoticed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := newProxy(t, l.Addr().String())
	a, b := overTCP(t, Config{}), overTCP(t, Config{Listener: l, Advertise: p.Addr().String()})
	cancelled := make(chan struct{}, 3)
	for _, s := range []Service{OnCalls | 1, OnControl | 1, OnDissemination | 1} {
		b.Handle(s, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
			<-ctx.Done()
			cancelled <- struct{}{}
			return nil, ctx.Err()
		})
		b.Handle(s+1, func(context.Context, Peer, []byte) ([]byte, error) { return nil, nil })
	}
	ended := make(chan error, 3)
	for _, s := range []Service{OnCalls | 1, OnControl | 1, OnDissemination | 1} {
		go func() { _, err := a.Request(t.Context(), p.Addr().String(), s, nil); ended <- err }()
		_, err := a.Request(t.Context(), p.Addr().String(), s+1, nil)
		require.NoError(t, err)
	}
	p.silent.Store(true)
	began := time.Now()
	for range 3 {
		require.ErrorIs(t, <-ended, ErrUnknown)
		<-cancelled
	}
	require.Less(t, time.Since(began), silence+beatEvery+time.Second)
}

// The memory of a request is used again once its answer has come and the
// transport is through with it, and not before: an answer may be a guess.
func TestRequestsAreUsedAgainWhenNobodyKnowsThem(t *testing.T) {
	t.Parallel()
	n := new(Node)
	used := func(sent bool, a answer) bool {
		c := n.newCall(Peer{Addr: "b"}, echo, 0)
		c.begun.Store(true)
		if sent {
			outgoing{call: c}.sent()
		}
		_, _ = n.answered(c, a)
		return !c.begun.Load()
	}
	require.True(t, used(true, answer{replied: true}))
	require.False(t, used(false, answer{replied: true}))
	require.False(t, used(true, answer{err: errGone}))
}

// What a connection has not begun to write when it is lost goes over the next.
func TestWhatWasNotBegunWaitsForTheNextConnection(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	_ = far.Close()
	l := newLink(&tcp{node: new(Node)}, "b", Calls)
	var calls []*call
	for range 5 {
		c := l.tcp.node.newCall(Peer{Addr: "b"}, echo, batchBytes/2)
		c.env.Payload = make([]byte, batchBytes/2)
		o := outgoing{to: "b", env: &c.env, call: c}
		calls, l.waiting, l.bytes = append(calls, c), append(l.waiting, o), l.bytes+o.queued()
	}
	var wrote atomic.Bool
	w := newStreamWriter(l, &watched{Conn: near, over: make(chan struct{})}, identity{}, &wrote, outgoing{env: l.tcp.node.hello(0)})
	_, err := w.write()
	require.Error(t, err)
	require.True(t, wrote.Load())
	l.bytes -= w.pending()
	begun := 0
	for _, c := range calls {
		if c.begun.Load() {
			begun++
		}
	}
	require.Equal(t, 2, begun)
	require.Len(t, l.waiting, 3)
	require.Same(t, calls[2], l.waiting[0].call)
	require.Same(t, calls[4], l.waiting[2].call)
	require.Equal(t, 3*l.waiting[0].queued(), l.bytes)
	l.takeWaiting()
	require.Zero(t, l.bytes)
}

// A request that arrives twice is served once.
func TestRequestsAreServedOnce(t *testing.T) {
	t.Parallel()
	b := overTCP(t, Config{})
	gate := make(chan struct{})
	var begun atomic.Int32
	b.Handle(1, func(context.Context, Peer, []byte) ([]byte, error) {
		begun.Add(1)
		<-gate
		return nil, nil
	})
	b.Handle(2, func(context.Context, Peer, []byte) ([]byte, error) { return nil, nil })
	conn := stranger(t, b.Addr(), Calls)
	ask := asFrame(&Envelope{Codec: codec, Kind: Kind_KIND_REQUEST, Id: 7, Service: 1, Sender: "stranger", SenderIncarnation: 1})
	_, err := conn.Write(append(ask, ask...))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Dropped() == 1 && begun.Load() == 1 }, 2*time.Second, time.Millisecond)
	close(gate)
	require.NoError(t, b.Stop(t.Context()))
	require.EqualValues(t, 1, begun.Load())
}
