package actor

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/proto"
)

func readFull(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }

// bulkIn reads one incoming connection of the Bulk channel, on a goroutine of
// its own that ends with it.
type bulkIn struct {
	tcp    *tcp
	node   *Node
	conn   net.Conn
	who    identity
	sender string // who speaks here; known from the first envelope
	open   map[uint32]*incoming
	buf    []byte
}

// incoming is a transfer of which the end has not come yet.
type incoming struct {
	env  *Envelope // nil: it was refused, and what comes of it is dropped
	data []byte    // all of the payload
	have int
	left uint64 // bytes to come
}

func (t *tcp) serveBulk(conn net.Conn, who identity) {
	in := &bulkIn{tcp: t, node: t.node, conn: conn, who: who, open: map[uint32]*incoming{}, buf: make([]byte, chunkBytes+maxHead)}
	t.bulkIns.Store(in, nil)
	if t.closed.Load() {
		_ = conn.Close()
	}
	defer func() {
		if r := recover(); r != nil {
			t.node.cfg.Logger.Error("an incoming bulk connection panicked", slog.String("node", t.node.addr),
				slog.String("from", in.sender), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
		_ = conn.Close()
		t.bulkIns.Delete(in)
		for _, x := range in.open {
			in.release(x)
		}
		if t.inputs.CompareAndDelete(inputKey{in.sender, Bulk}, in) { // else it speaks on a later connection
			t.node.callerLost(in.sender, Bulk)
		}
	}()
	if err := in.read(); !t.closed.Load() {
		t.node.cfg.Logger.Debug("a bulk connection ended", slog.String("node", t.node.addr), slog.String("from", in.sender), slog.Any("error", err))
	}
}

// read returns when the connection ends or breaks the rules, with the reason.
func (in *bulkIn) read() error {
	var head [frameHead]byte
	for {
		_ = in.conn.SetReadDeadline(time.Now().Add(bulkSilence))
		if _, err := readFull(in.conn, head[:]); err != nil {
			return err
		}
		id, size := binary.BigEndian.Uint32(head[1:]), binary.BigEndian.Uint32(head[5:])
		if size > chunkBytes+maxHead {
			return fmt.Errorf("a frame of %d bytes", size)
		}
		var err error
		switch head[0] {
		case frameBegin:
			err = in.begin(id, size)
		case frameData:
			err = in.data(id, size)
		case frameAbort:
			if x := in.open[id]; x != nil {
				in.release(x)
				delete(in.open, id)
			}
		case framePing:
			head[0] = framePong
			_ = in.conn.SetWriteDeadline(time.Now().Add(bulkSilence))
			_, err = in.conn.Write(head[:])
		default:
			err = fmt.Errorf("a frame of kind %d", head[0])
		}
		if err != nil {
			return err
		}
	}
}

// begin makes room for a transfer, or refuses it.
func (in *bulkIn) begin(id, size uint32) error {
	b := in.buf[:size]
	if _, err := readFull(in.conn, b); err != nil {
		return err
	}
	payload, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("a transfer without a size")
	}
	head, m := binary.Uvarint(b[n:])
	if m <= 0 || head > uint64(len(b)-n-m) {
		return fmt.Errorf("a transfer without an envelope")
	}
	b = b[n+m:]
	env, first := new(Envelope), b[head:]
	if err := proto.Unmarshal(b[:head], env); err != nil {
		return fmt.Errorf("a transfer's envelope: %w", err)
	}
	if uint64(len(first)) > payload || in.open[id] != nil || len(in.open) >= bulkAtOnce {
		return fmt.Errorf("transfer %d breaks the rules: it holds more than it says, or too many take turns", id)
	}
	if in.sender == "" && env.Sender != "" && len(env.Sender) <= maxAddr {
		in.sender = env.Sender
		in.tcp.inputs.Store(inputKey{in.sender, Bulk}, in)
	}
	env.Payload = nil
	x := &incoming{env: env, left: payload}
	if env.Sender != in.sender {
		in.node.garbage("an envelope in another's name", env)
		x.env = nil
	} else if !in.node.reserve(env, payload) {
		x.env = nil
	} else {
		x.data = make([]byte, payload)
	}
	in.open[id] = x
	return in.take(id, x, first, nil)
}

// data takes in what follows.
func (in *bulkIn) data(id, size uint32) error {
	x := in.open[id]
	if x == nil || uint64(size) > x.left || size == 0 {
		return fmt.Errorf("data of a transfer that is not open, or more than it said")
	}
	b := in.buf[:size]
	if x.env != nil {
		b = x.data[x.have : x.have+int(size)]
	}
	if _, err := readFull(in.conn, b); err != nil {
		return err
	}
	return in.take(id, x, nil, b)
}

// take counts bytes of x, those of first after copying them, and hands x over
// when it is whole.
func (in *bulkIn) take(id uint32, x *incoming, first, read []byte) error {
	if x.env != nil {
		copy(x.data[x.have:], first)
		x.have += len(first) + len(read)
	}
	x.left -= uint64(len(first) + len(read))
	if x.left > 0 {
		return nil
	}
	delete(in.open, id)
	in.release(x)
	if x.env != nil {
		x.env.Payload = x.data
		in.node.receive(x.env, origin{in.who, Bulk})
	}
	return nil
}

func (in *bulkIn) release(x *incoming) {
	if x.env != nil {
		in.node.unreserve(x.env.Sender, uint64(len(x.data)))
	}
}
