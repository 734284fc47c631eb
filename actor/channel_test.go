package actor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// eachChannel runs a test body on every channel of a pair of nodes.
func eachChannel(t *testing.T, body func(t *testing.T, n *Node, peer string, ch Channel)) {
	for ch := range channels {
		t.Run(ch.String(), func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func(t *testing.T, n *Node, peer string) { body(t, n, peer, ch) })
		})
	}
}

func TestEveryChannelAnswers(t *testing.T) {
	t.Parallel()
	eachChannel(t, func(t *testing.T, n *Node, peer string, ch Channel) {
		re, err := n.Request(t.Context(), peer, on(ch, echo), []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", string(re))
		re, err = n.Request(t.Context(), peer, on(ch, echo), nil)
		require.NoError(t, err)
		require.Empty(t, re)
		var failure *RemoteFailure
		_, err = n.Request(t.Context(), peer, on(ch, fail), []byte("no money"))
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "no money", failure.Text)
		_, err = n.Request(t.Context(), peer, on(ch, refuse), []byte("not mine"))
		require.ErrorIs(t, err, ErrNotExecuted)
		_, err = n.RequestPeer(t.Context(), Peer{Addr: peer, Incarnation: 12345}, on(ch, echo), nil)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.ErrorContains(t, err, "incarnation 12345")

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := n.Request(ctx, peer, on(ch, hang), nil); done <- err }()
		for n.peer(peer).on[ch].calls.Load() == 0 {
			runtime.Gosched()
		}
		_, err = n.Request(t.Context(), peer, on(ch, echo), nil)
		require.NoError(t, err)
		cancel()
		if err := <-done; errors.Is(err, ErrUnknown) {
			_, err = n.Request(t.Context(), peer, on(ch, hung), number(1)) // the cancellation travels
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrNotExecuted)
		}
	})
}

func TestKilledPeerIsUnknownOnEveryChannel(t *testing.T) {
	t.Parallel()
	n, peer := local(t), spawn(t, "127.0.0.1:0")
	ended := make(chan error, int(channels))
	for ch := range channels {
		go func() { _, err := n.Request(t.Context(), peer.addr, on(ch, hang), nil); ended <- err }()
		for n.peer(peer.addr).on[ch].calls.Load() == 0 {
			runtime.Gosched()
		}
		_, err := n.Request(t.Context(), peer.addr, on(ch, echo), nil)
		require.NoError(t, err)
	}
	require.NoError(t, peer.Process.Kill())
	began := time.Now()
	for range channels {
		require.ErrorIs(t, <-ended, ErrUnknown)
	}
	require.Less(t, time.Since(began), time.Second)
	_ = peer.Wait()
	spawn(t, peer.addr)
	for ch := range channels {
		require.Eventually(t, func() bool {
			_, err := n.Request(t.Context(), peer.addr, on(ch, echo), nil)
			return err == nil
		}, 2*time.Second, time.Millisecond, "%v", ch)
	}
}

// What is lost with one channel's connection is that channel's.
func TestChannelsAreLostOneByOne(t *testing.T) {
	t.Parallel()
	n, peer := local(t), spawn(t, "127.0.0.1:0").addr
	ctx, cancel := context.WithCancel(t.Context())
	ended := [channels]chan error{}
	for ch := range channels {
		ended[ch] = make(chan error, 1)
		go func() { _, err := n.Request(ctx, peer, on(ch, hang), nil); ended[ch] <- err }()
		for n.peer(peer).on[ch].calls.Load() == 0 {
			runtime.Gosched()
		}
		_, err := n.Request(t.Context(), peer, on(ch, echo), nil)
		require.NoError(t, err)
	}
	for _, ch := range []Channel{Bulk, Control} {
		n.transport.reset(peer, ch)
		require.ErrorIs(t, <-ended[ch], ErrUnknown)
	}
	for _, ch := range []Channel{Calls, Dissemination} {
		_, err := n.Request(t.Context(), peer, on(ch, echo), nil)
		require.NoError(t, err)
		require.Empty(t, ended[ch], "%v", ch)
	}
	cancel()
	require.ErrorIs(t, <-ended[Calls], context.Canceled)
}

func TestBulkCarriesWhatIsLarge(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, n *Node, peer string) {
		for _, size := range []int{1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 9 << 20} {
			sent := make([]byte, size)
			_, _ = rand.Read(sent)
			re, err := n.Request(t.Context(), peer, on(Bulk, echo), sent)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, re), "%d bytes", size)
		}
	})
}

func TestBulkTransfersTakeTurns(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawnWith(t, "127.0.0.1:0", childConfig{BulkRate: 8 << 20}).addr
	large := make(chan error, 1)
	go func() {
		_, err := n.Request(t.Context(), peer, on(Bulk, big), number(32<<20)) // four seconds
		large <- err
	}()
	for {
		n.arrives.mu.Lock()
		begun := n.arrives.peers[peer] > 0
		n.arrives.mu.Unlock()
		if begun {
			break
		}
		runtime.Gosched()
	}
	re, err := n.Request(t.Context(), peer, on(Bulk, big), number(1<<20))
	require.NoError(t, err)
	require.Len(t, re, 1<<20)
	require.Empty(t, large, "the small one waited for the large one")
	require.NoError(t, <-large)
}

// While bulk has two seconds of work, calls do not wait for it.
func TestBulkDelaysNoCall(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawnWith(t, "127.0.0.1:0", childConfig{BulkRate: 16 << 20}).addr // of its answer
	_, err := n.Request(t.Context(), peer, echo, nil)
	require.NoError(t, err)
	var over atomic.Bool
	done := make(chan error, 1)
	go func() {
		_, err := n.Request(t.Context(), peer, on(Bulk, big), number(32<<20))
		over.Store(true)
		done <- err
	}()
	var longest time.Duration
	calls := 0
	for ; !over.Load(); calls++ {
		began := time.Now()
		_, err := n.Request(t.Context(), peer, echo, nil)
		require.NoError(t, err)
		longest = max(longest, time.Since(began))
	}
	require.NoError(t, <-done)
	require.Greater(t, calls, 200)
	require.Less(t, longest, 500*time.Millisecond)
}

// A caller that gives up ends its transfer, and the room for it is free again.
func TestBulkTransferIsGivenUp(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawnWith(t, "127.0.0.1:0", childConfig{BulkLimit: 192 << 20, BulkBytes: 200 << 20}).addr
	_, err := n.Request(t.Context(), peer, on(Bulk, echo), nil)
	require.NoError(t, err)
	for range 3 { // two do not fit
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := n.Request(ctx, peer, on(Bulk, hang), make([]byte, 128<<20)) // two seconds
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.Eventually(t, func() bool {
		l := n.transport.(*tcp).link(peer, Bulk)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.bytes == 0
	}, time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := n.Request(t.Context(), peer, on(Bulk, refuse), make([]byte, 120<<20))
		return err != nil && !errors.As(err, new(*LimitReached))
	}, 20*time.Second, time.Millisecond)
}

func TestBulkLimits(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawnWith(t, "127.0.0.1:0", childConfig{BulkLimit: 1 << 20, BulkBytes: 2 << 20, BulkRate: 1 << 20}).addr
	var large *TooLarge
	_, err := n.Request(t.Context(), peer, on(Bulk, echo), make([]byte, 1<<20+1))
	require.ErrorAs(t, err, &large)
	require.ErrorIs(t, err, ErrNotExecuted)
	require.Equal(t, TooLarge{Size: 1<<20 + 1, Limit: 1 << 20}, *large)
	_, err = n.Request(t.Context(), peer, on(Bulk, big), number(1<<20+1))
	require.ErrorAs(t, err, &large)
	require.Equal(t, TooLarge{Size: 1<<20 + 1, Limit: 1 << 20, Reply: true}, *large)

	// Three arrive at a time, of which two fit.
	ended := make(chan error, 4)
	ctx, cancel := context.WithCancel(t.Context())
	for range cap(ended) {
		go func() { _, err := n.Request(ctx, peer, on(Bulk, hang), make([]byte, 1<<20)); ended <- err }()
	}
	var reached *LimitReached
	err = <-ended
	require.ErrorAs(t, err, &reached)
	require.ErrorIs(t, err, ErrNotExecuted)
	require.ErrorContains(t, err, "on bulk")
	cancel()
	for range cap(ended) - 1 {
		<-ended
	}
}

// An answer for which there is no room is lost, and its caller learns why.
func TestBulkAnswerWithoutRoom(t *testing.T) {
	t.Parallel()
	n := new(Node)
	n.cfg = Config{BulkLimit: 100, BulkBytes: 150}.withDefaults()
	n.calls.init()
	from := origin{channel: Bulk, identity: identity{silo: true}}
	ask := func(id uint64) *call {
		c := &call{service: on(Bulk, big), answer: make(chan answer, 1)}
		c.begun.Store(true)
		n.calls.add(id, c)
		return c
	}
	first, second, third := ask(1), ask(2), ask(3)
	require.True(t, n.reserve(&Envelope{Kind: Kind_KIND_REPLY, Id: 1, Sender: "b"}, from, 100))
	require.Empty(t, first.answer)
	require.False(t, n.reserve(&Envelope{Kind: Kind_KIND_REPLY, Id: 2, Sender: "c"}, from, 51))
	err := (<-second.answer).err
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorContains(t, err, "no room")
	require.False(t, n.reserve(&Envelope{Kind: Kind_KIND_REPLY, Id: 3, Sender: "c"}, from, 101))
	require.ErrorAs(t, (<-third.answer).err, new(*TooLarge))
	n.unreserve("b", from, 100)
	require.True(t, n.reserve(&Envelope{Kind: Kind_KIND_REPLY, Id: 1, Sender: "c"}, from, 100))
	n.unreserve("c", from, 100)
	require.Zero(t, n.arrives.bytes)
	require.Empty(t, n.arrives.peers)
}

// A peer takes no more than half of the room, however much is free.
func TestBulkRoomIsShared(t *testing.T) {
	t.Parallel()
	n := new(Node)
	n.cfg = Config{BulkLimit: 100, BulkBytes: 200, Logger: discard}.withDefaults()
	from := origin{channel: Bulk, identity: identity{silo: true}}
	notify := func(sender string, size uint64) bool {
		return n.reserve(&Envelope{Kind: Kind_KIND_NOTIFY, Sender: sender}, from, size)
	}
	require.True(t, notify("b", 60))
	require.False(t, notify("b", 60))
	require.True(t, notify("c", 100))
	require.False(t, notify("d", 60))
	require.EqualValues(t, 160, n.arrives.bytes)
	n.unreserve("c", from, 100)

	// Clients together have as much as one peer.
	from.silo = false
	require.True(t, notify("client", 90))
	require.False(t, notify("another", 20))
	require.True(t, notify("another", 10))
	n.unreserve("client", from, 90)
	require.True(t, notify("another", 20))
	n.unreserve("another", from, 30)
	n.unreserve("b", origin{identity: identity{silo: true}}, 60)
	require.Zero(t, n.arrives.bytes)
	require.Zero(t, n.arrives.clients)
}

func TestHostileBulkFrames(t *testing.T) {
	t.Parallel()
	n := local(t)
	peer := spawnWith(t, "127.0.0.1:0", childConfig{BulkLimit: 1 << 20}).addr
	guard, err := newGuard(Config{}.withDefaults())
	require.NoError(t, err)
	frame := func(kind byte, id, size uint32, data ...byte) []byte {
		b := binary.BigEndian.AppendUint32([]byte{kind}, id)
		return append(binary.BigEndian.AppendUint32(b, size), data...)
	}
	begin := func(id uint32, payload uint64, first ...byte) []byte {
		head, err := proto.Marshal(&Envelope{Codec: codec, Kind: Kind_KIND_NOTIFY, Service: uint32(on(Bulk, ordered)), Sender: "stranger"})
		require.NoError(t, err)
		b := binary.AppendUvarint(nil, payload)
		b = binary.AppendUvarint(b, uint64(len(head)))
		b = append(append(b, head...), first...)
		return frame(frameBegin, id, uint32(len(b)), b...)
	}
	many := []byte{}
	for id := range uint32(bulkAtOnce + 1) {
		many = append(many, begin(id, 10)...)
	}
	for name, bytes := range map[string][]byte{
		"kind":               frame(77, 1, 0),
		"size":               frame(frameBegin, 1, 1<<31),
		"no payload size":    frame(frameBegin, 1, 1, 0x80),
		"no envelope":        frame(frameBegin, 1, 2, 1, 100),
		"envelope":           frame(frameBegin, 1, 4, 1, 2, 0xff, 0xff),
		"more than it says":  begin(1, 1, 1, 2),
		"data of nothing":    frame(frameData, 1, 1, 1),
		"data beyond":        append(begin(1, 2, 1), frame(frameData, 1, 2, 1, 2)...),
		"too many":           many,
		"twice":              append(begin(1, 2), begin(1, 2)...),
		"beyond, of refused": append(begin(1, 1<<40), frame(frameData, 2, 1, 1)...),
	} {
		conn, err := net.Dial("tcp", peer)
		require.NoError(t, err)
		secure, _, err := guard.dial(conn, byte(Bulk), time.Now().Add(time.Second))
		require.NoError(t, err)
		_, err = secure.Write(bytes)
		require.NoError(t, err)
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, err = secure.Read(make([]byte, 1))
		var timeout net.Error
		require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "%s: it is still open", name)
		_ = conn.Close()
	}
	_, err = n.Request(t.Context(), peer, on(Bulk, echo), make([]byte, 1<<20))
	require.NoError(t, err)
}

func TestPace(t *testing.T) {
	t.Parallel()
	p := pace{rate: 1000}
	now := time.Now()
	var waited time.Duration
	for range 100 { // a tenth of a second each
		wait := p.take(100, now)
		if wait > 0 {
			now = now.Add(wait)
			waited += wait
		}
	}
	require.InDelta(t, 9.9, waited.Seconds(), 0.02)
	now = now.Add(time.Hour) // what was not used is not saved up
	require.LessOrEqual(t, p.take(100, now), time.Duration(0))
	require.Greater(t, p.take(100, now), 90*time.Millisecond)
	free := pace{}
	require.Zero(t, free.take(1<<30, now))
}

// One peer's requests leave room for another's, and one channel's for another's.
func TestWorkIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t, Config{}, Config{InFlight: 4, PeerServing: 2})
		testServices(b)
		c := start(t, Config{Network: w, Addr: "c"})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 5)
		ask := func(n *Node) { _, err := n.Request(ctx, "b", hang, nil); ended <- err }
		go ask(a)
		go ask(a)
		synctest.Wait()
		var reached *LimitReached
		_, err := a.Request(ctx, "b", echo, nil)
		require.ErrorAs(t, err, &reached)
		require.ErrorIs(t, err, ErrNotExecuted)
		require.Equal(t, LimitReached{What: "requests of one peer being served on calls", Limit: 2}, *reached)
		go ask(c)
		go ask(c)
		synctest.Wait()
		require.Empty(t, ended)
		_, err = start(t, Config{Network: w, Addr: "d"}).Request(ctx, "b", echo, nil)
		require.ErrorAs(t, err, &reached)
		require.Equal(t, 4, reached.Limit)
		_, err = a.Request(ctx, "b", on(Control, echo), nil)
		require.NoError(t, err)
		cancel()
		for range 4 {
			require.ErrorIs(t, <-ended, ErrUnknown)
		}
		synctest.Wait()
		_, err = a.Request(t.Context(), "b", echo, nil)
		require.NoError(t, err)
	})
}
