package actor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"time"
)

const (
	// readBytes is what is read at a time: some hundred small requests.
	readBytes = 32 << 10
	// bulkReadBytes is the same on the Bulk channel, whose chunks are read to
	// where they belong.
	bulkReadBytes = 4 << 10
)

// incoming reads one connection that another node has opened, on a goroutine of
// its own that ends with it. It never stops reading: what a frame brings is
// taken in, or refused, without waiting.
type incoming struct {
	tcp    *tcp
	node   *Node
	conn   net.Conn
	in     *bufio.Reader
	from   origin
	sender string   // who speaks here; known from the first envelope
	spare  *arrival // to decode the next into
	most   int      // bytes of a frame

	open map[uint32]*arriving // on the Bulk channel: transfers by number
	buf  []byte               // on the Bulk channel: a frame of which nothing is kept

	deadline time.Time // for the next word
	ponged   time.Time // when the last pong was written
	ping     uint32    // the last

	order uint64 // of all connections, as they were accepted
	last  uint64 // of this node's requests that may be answered here: none after its sender spoke on a later one
}

// arriving is a transfer of which the end has not come yet.
type arriving struct {
	*arrival        // nil: it was refused, and what comes of it is dropped
	data     []byte // all of the payload
	have     int
	left     uint64 // bytes to come
}

// serve reads a connection until it ends.
func (t *tcp) serve(conn net.Conn, ch Channel, who identity, order uint64) {
	in := &incoming{tcp: t, node: t.node, conn: conn, from: origin{identity: who, channel: ch, row: new(row)}, spare: new(arrival), order: order, last: math.MaxUint64}
	if ch == Bulk {
		in.in, in.most = bufio.NewReaderSize(in, bulkReadBytes), chunkBytes+maxHead
		in.open, in.buf = map[uint32]*arriving{}, make([]byte, in.most)
	} else {
		in.in, in.most = bufio.NewReaderSize(in, readBytes), t.node.cfg.Limit+envelopeOverhead
	}
	t.ins.Store(in, nil)
	if t.closed.Load() {
		_ = conn.Close()
	}
	defer func() {
		if r := recover(); r != nil {
			t.node.cfg.Logger.Error("an incoming connection panicked", slog.String("node", t.node.addr),
				slog.String("from", in.sender), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
		_ = conn.Close()
		for _, x := range in.open {
			in.release(x)
		}
		if in.from.peer != nil {
			t.leave(in)
			t.node.letGo(in.sender, in.from.peer)
		}
		t.ins.Delete(in)
	}()
	if err := in.read(); !t.closed.Load() {
		t.node.cfg.Logger.Debug("a connection ended", slog.String("node", t.node.addr), slog.String("from", in.sender),
			slog.String("channel", ch.String()), slog.Any("error", err))
	}
}

// read returns when the connection ends or breaks the rules, with the reason.
func (in *incoming) read() error {
	for {
		head, err := in.in.Peek(frameHead)
		if err != nil {
			return err
		}
		kind, number, size := head[0], binary.BigEndian.Uint32(head[1:]), int64(binary.BigEndian.Uint32(head[5:]))
		_, _ = in.in.Discard(frameHead)
		if size > int64(in.most) {
			return fmt.Errorf("a frame of %d bytes, more than %d", size, in.most)
		}
		switch {
		case kind == framePing && size == 0:
			in.ping = number
			err = in.pong()
		case kind == frameWhole && in.from.channel != Bulk:
			err = in.whole(int(size))
		case kind == frameBegin && in.from.channel == Bulk:
			err = in.begin(number, uint32(size))
		case kind == frameData && in.from.channel == Bulk:
			err = in.data(number, uint32(size))
		case kind == frameAbort && in.from.channel == Bulk && size == 0:
			if x := in.open[number]; x != nil {
				in.release(x)
				delete(in.open, number)
			}
		default:
			err = fmt.Errorf("a frame of kind %d and %d bytes", kind, size)
		}
		if err != nil {
			return err
		}
	}
}

// Read reads from the connection. The other end has some seconds for its next
// word. Who has much to say is told meanwhile that this end is there, since its
// pings come behind that.
func (in *incoming) Read(b []byte) (int, error) {
	now := time.Now()
	if in.deadline.Sub(now) < silence-silence/8 {
		in.deadline = now.Add(silence)
		if err := in.conn.SetReadDeadline(in.deadline); err != nil {
			return 0, err
		}
	}
	if now.Sub(in.ponged) > beatEvery && !in.ponged.IsZero() {
		if err := in.pong(); err != nil {
			return 0, err
		}
	}
	return in.conn.Read(b)
}

// pong answers the last ping.
func (in *incoming) pong() error {
	in.ponged = time.Now()
	_ = in.conn.SetWriteDeadline(in.ponged.Add(silence))
	_, err := in.conn.Write(appendHead(nil, framePong, in.ping, 0))
	return err
}

// whole takes in an envelope that is one frame.
func (in *incoming) whole(size int) error {
	env := &in.spare.env
	small := size <= in.in.Size() // of its memory only the payload is kept, if anything
	var b []byte
	var err error
	if small {
		b, err = in.in.Peek(size)
	} else {
		b = make([]byte, size)
		_, err = io.ReadFull(in.in, b)
	}
	if err != nil {
		return err
	}
	if err := decodeEnvelope(env, b, in.sender); err != nil {
		return fmt.Errorf("an envelope: %w", err)
	}
	if beside := size - len(env.Payload); beside > envelopeOverhead { // payloads are what is counted
		return fmt.Errorf("an envelope that has %d bytes beside its payload, more than %d", beside, envelopeOverhead)
	}
	if small {
		if env.Payload != nil {
			env.Payload = append(make([]byte, 0, len(env.Payload)), env.Payload...)
		}
		_, _ = in.in.Discard(size)
	}
	if !in.speaks(env) {
		return nil
	}
	if in.node.receive(in.spare, in.from) {
		in.spare = new(arrival)
	}
	return nil
}

// speaks says whether env is in the name of who speaks on this connection.
func (in *incoming) speaks(env *Envelope) bool {
	if in.sender == "" && env.Sender != "" && len(env.Sender) <= maxAddr {
		in.introduce(env.Sender)
	}
	if env.Sender != in.sender || in.sender == "" {
		in.node.garbage("an envelope in another's name", env)
		return false
	}
	return true
}

// introduce notes who speaks here, unless it is a client that says that it is a
// silo.
func (in *incoming) introduce(sender string) {
	p := in.node.hold(sender)
	in.sender = sender
	if !in.from.silo && p.silo.Load() || !in.tcp.enter(in) {
		in.sender = ""
		in.node.letGo(sender, p)
		return
	}
	in.from.peer = p
}

// begin makes room for a transfer, or refuses it.
func (in *incoming) begin(id, size uint32) error {
	b := in.buf[:size]
	if _, err := io.ReadFull(in.in, b); err != nil {
		return err
	}
	payload, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("a transfer without a size")
	}
	head, m := binary.Uvarint(b[n:])
	if m <= 0 || head > uint64(min(len(b)-n-m, envelopeOverhead)) {
		return fmt.Errorf("a transfer without an envelope")
	}
	b = b[n+m:]
	a, first := new(arrival), b[head:]
	env := &a.env
	if err := decodeEnvelope(env, b[:head], in.sender); err != nil {
		return fmt.Errorf("a transfer's envelope: %w", err)
	}
	if uint64(len(first)) > payload || in.open[id] != nil || len(in.open) >= bulkAtOnce {
		return fmt.Errorf("transfer %d breaks the rules: it holds more than it says, or too many take turns", id)
	}
	env.Payload = nil
	x := &arriving{arrival: a, left: payload}
	if in.speaks(env) && in.node.accepts(env, in.from) && in.node.reserve(env, in.from, payload) {
		x.data = make([]byte, payload)
	} else {
		x.arrival = nil
	}
	in.open[id] = x
	return in.take(id, x, first, nil)
}

// data takes in what follows.
func (in *incoming) data(id, size uint32) error {
	x := in.open[id]
	if x == nil || uint64(size) > x.left || size == 0 {
		return fmt.Errorf("data of a transfer that is not open, or more than it said")
	}
	b := in.buf[:size]
	if x.arrival != nil {
		b = x.data[x.have : x.have+int(size)]
	}
	if _, err := io.ReadFull(in.in, b); err != nil {
		return err
	}
	return in.take(id, x, nil, b)
}

// take counts bytes of x, those of first after copying them, and hands x over
// when it is whole.
func (in *incoming) take(id uint32, x *arriving, first, read []byte) error {
	if x.arrival != nil {
		copy(x.data[x.have:], first)
		x.have += len(first) + len(read)
	}
	x.left -= uint64(len(first) + len(read))
	if x.left > 0 {
		return nil
	}
	delete(in.open, id)
	in.release(x)
	if x.arrival != nil {
		x.env.Payload = x.data
		in.node.receive(x.arrival, in.from)
	}
	return nil
}

func (in *incoming) release(x *arriving) {
	if x.arrival != nil {
		in.node.unreserve(x.env.Sender, in.from, uint64(len(x.data)))
	}
}
