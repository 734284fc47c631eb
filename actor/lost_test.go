package actor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// says has a stranger send an envelope, and returns when the other end has
// taken it in.
func says(t *testing.T, conn net.Conn, env *Envelope) {
	t.Helper()
	env.Codec = codec
	writeAndPing(t, conn, asFrame(env))
}

func writeAndPing(t *testing.T, conn net.Conn, frames []byte) {
	t.Helper()
	_, err := conn.Write(appendHead(frames, framePing, 9, 0))
	require.NoError(t, err)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = io.ReadFull(conn, make([]byte, frameHead))
	require.NoError(t, err)
}

// ended waits for the end of a stranger's connection.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(silence / 2))
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it is still open")
}

// left is how many connections others have open to n.
func left(n *Node) (count int) {
	n.transport.(*tcp).ins.Range(func(any, any) bool {
		count++
		return true
	})
	return count
}

// acceptor is an address at which a test takes connections in by hand.
func acceptor(t *testing.T, cfg Config) (addr string, accept func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	guard, err := newGuard(cfg.withDefaults())
	require.NoError(t, err)
	return l.Addr().String(), func() net.Conn {
		conn, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		in, _, _, err := guard.accept(conn)
		require.NoError(t, err)
		return in
	}
}

// A client that says that it is at a silo's address ends nothing by leaving.
func TestClientsEndNothingOfSilos(t *testing.T) {
	t.Parallel()
	for _, reached := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			a, b := overTCP(t, Config{Silo: true}), overTCP(t, Config{Silo: true})
			contexts := make(chan context.Context, 2)
			for _, n := range []*Node{a, b} {
				testServices(n)
				n.Handle(100, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
					contexts <- ctx
					<-ctx.Done()
					return nil, nil
				})
			}
			hello := func() net.Conn {
				c := stranger(t, b.Addr(), Calls)
				says(t, c, &Envelope{Kind: Kind_KIND_HELLO, Sender: a.Addr(), SenderIncarnation: 5})
				return c
			}
			var client net.Conn
			if first {
				client = hello()
			}
			results := make(chan error, 2)
			ask := func(n *Node, to string) context.Context {
				go func() { _, err := n.Request(t.Context(), to, 100, nil); results <- err }()
				return <-contexts
			}
			contextsOf := []context.Context{ask(a, b.Addr())}
			if reached {
				contextsOf = append(contextsOf, ask(b, a.Addr()))
			}
			if !first {
				client = hello()
			}
			_ = client.Close()
			require.Eventually(t, func() bool { return left(b) == 1 }, 5*time.Second, time.Millisecond)
			for _, ctx := range contextsOf {
				require.NoError(t, ctx.Err(), "reached %v, first %v", reached, first)
			}
			require.Empty(t, results)
		}
	}
}

// On the Bulk channel too only a silo answers what a silo was asked.
func TestClientsAnswerNothingForSilos(t *testing.T) {
	t.Parallel()
	addr, accept := acceptor(t, Config{Silo: true})
	b := overTCP(t, Config{Silo: true, Incarnation: 3})
	result := make(chan error, 2)
	for _, s := range []Service{OnCalls | 1, OnBulk | 1} {
		go func() { _, err := b.Request(t.Context(), addr, s, nil); result <- err }()
		_, err := io.ReadFull(accept(), make([]byte, 40)) // it has begun
		require.NoError(t, err)
	}
	for id := range uint64(3) {
		for _, incarnation := range []uint64{0, 3} {
			for _, sender := range []string{"client", addr} {
				env := appendEnvelope(nil, &Envelope{Codec: codec, Kind: Kind_KIND_REPLY, Id: id, Service: uint32(OnBulk | 1), Sender: sender, TargetIncarnation: incarnation})
				body := binary.AppendUvarint(binary.AppendUvarint(nil, 1<<40), uint64(len(env)))
				body = append(body, env...)
				writeAndPing(t, stranger(t, b.Addr(), Bulk), append(appendHead(nil, frameBegin, 1, uint32(len(body))), body...))
			}
		}
	}
	require.Empty(t, result)
}

// Nobody answers a request that has not left: it is not known yet who is at the
// other end.
func TestAnswersToWhatWasNotSentAreGuesses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	require.NoError(t, err)
	defer l.Close()
	b := overTCP(t, Config{Silo: true, DialTimeout: time.Minute})
	result := make(chan error, 1)
	go func() { _, err := b.Request(t.Context(), l.Addr().String(), 1, nil); result <- err }()
	require.Eventually(t, func() bool { return b.ids.Load() == 1 }, 5*time.Second, time.Millisecond)
	client := stranger(t, b.Addr(), Calls)
	for range 20 {
		says(t, client, &Envelope{Kind: Kind_KIND_REPLY, Id: 1, Service: 1, Sender: "client"})
		require.Empty(t, result)
	}
}

// Who has lost a connection may speak on another before its end is noticed here.
// What came over the first is cancelled, and what may have been answered over it
// ends, all the same.
func TestALaterConnectionDoesNotHideALoss(t *testing.T) {
	t.Parallel()
	addr, accept := acceptor(t, Config{})
	b := overTCP(t, Config{})
	contexts := make(chan context.Context, 2)
	b.Handle(2, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
		contexts <- ctx
		<-ctx.Done()
		return nil, nil
	})
	speak := func(id uint64) (net.Conn, context.Context) {
		conn := stranger(t, b.Addr(), Calls)
		says(t, conn, &Envelope{Kind: Kind_KIND_HELLO, Sender: addr, SenderIncarnation: 1})
		says(t, conn, &Envelope{Kind: Kind_KIND_REQUEST, Id: id, Service: 2, Sender: addr, SenderIncarnation: 1})
		return conn, <-contexts
	}
	begun := func() (*call, chan error) {
		result := make(chan error, 1)
		id := b.ids.Load() + 1
		go func() { _, err := b.Request(t.Context(), addr, 1, nil); result <- err }()
		var c *call
		require.Eventually(t, func() bool {
			s := &b.calls.shard[id%shards]
			s.Lock()
			defer s.Unlock()
			c = s.calls[id]
			return c != nil && c.begun.Load()
		}, 5*time.Second, time.Millisecond)
		return c, result
	}
	first, early := speak(1)
	go func() { _, _ = io.Copy(io.Discard, accept()) }()
	_, before := begun()
	_, late := speak(2)
	_, after := begun()
	_ = first.Close()
	select {
	case err := <-before:
		require.ErrorIs(t, err, ErrUnknown)
	case <-time.After(silence / 2):
		require.Fail(t, "its answer may be lost, and nobody says so")
	}
	select {
	case <-early.Done():
	case <-time.After(silence / 2):
		require.Fail(t, "nobody waits for it, and it is not cancelled")
	}
	require.NoError(t, late.Err())
	require.Empty(t, after)
}

// Answers that cannot be sent, since there is no way to who asked, end the
// connection over which it did: it must not wait for them.
func TestAnswersThatFindNobody(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close()) // nobody is there
	b := overTCP(t, Config{})
	testServices(b)
	conn := stranger(t, b.Addr(), Calls)
	ask := &Envelope{Codec: codec, Kind: Kind_KIND_REQUEST, Id: 1, Service: uint32(echo), Sender: l.Addr().String(), SenderIncarnation: 1}
	_, err = conn.Write(asFrame(ask))
	require.NoError(t, err)
	ended(t, conn)
}

// The same of those for which there is no room while a connection is made.
func TestAnswersThatFindNoRoom(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	require.NoError(t, err)
	defer l.Close()
	b := overTCP(t, Config{PeerQueueBytes: 1 << 20, DialTimeout: time.Minute})
	testServices(b)
	conn := stranger(t, b.Addr(), Calls)
	for id := range uint64(30) {
		ask := &Envelope{Codec: codec, Kind: Kind_KIND_REQUEST, Id: id + 1, Service: uint32(big), Sender: l.Addr().String(), SenderIncarnation: 1, Payload: number(100_000)}
		if _, err := conn.Write(asFrame(ask)); err != nil {
			break
		}
	}
	ended(t, conn)
}

// What travels of an error's text is bounded, whatever it is made of.
func TestTextsAreClipped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", strings.Repeat("\xff", maxText+1), strings.Repeat("\xffa", maxText), strings.Repeat("ä", maxText), "a" + strings.Repeat("ä", maxText)} {
		c := clip(text)
		require.LessOrEqual(t, len(c), maxText)
		require.True(t, utf8.ValidString(c))
		require.NotContains(t, strings.TrimRight(c, "\uFFFD"), "\uFFFDä")
	}
	require.Equal(t, "short", clip("short"))
	require.Len(t, clip("a"+strings.Repeat("ä", maxText)), maxText-1)
}

// While a transfer waits for its pace the other end is told that this one is
// there.
func TestPacedTransfersPing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		node := new(Node)
		l := newLink(&tcp{node: node, pace: pace{rate: 4 << 10}}, "b", Bulk)
		conn := &watched{Conn: near, over: make(chan struct{})}
		var wrote atomic.Bool
		w := newBulkWriter(l, conn, identity{}, &wrote, outgoing{env: node.hello(OnBulk)})
		o := outgoing{env: &Envelope{Kind: Kind_KIND_NOTIFY, Service: uint32(OnBulk), Payload: make([]byte, 3*chunkBytes)}}
		l.waiting, l.bytes = append(l.waiting, o), o.queued()
		go l.write(conn, w)
		got := 0
		for got < 3*chunkBytes {
			_ = far.SetReadDeadline(time.Now().Add(silence))
			var head [frameHead]byte
			_, err := io.ReadFull(far, head[:])
			require.NoError(t, err, "not a word")
			n, err := io.CopyN(io.Discard, far, int64(binary.BigEndian.Uint32(head[5:])))
			require.NoError(t, err)
			got += int(n)
		}
		conn.end()
		_ = far.Close()
		synctest.Wait()
	})
}
