package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// transport is raft's own, over connections of one cluster.
type transport struct {
	*raft.NetworkTransport
	stream *stream
	quit   chan struct{} // closed by release
	once   sync.Once

	mu       sync.Mutex
	resumed  map[raft.ServerID]chan struct{} // closed when the peer answers
	contacts map[raft.ServerID]contact
}

// contact is what a peer said to a heartbeat.
type contact struct {
	at  time.Time
	end uint64 // of its log
}

// patience bounds how long a call that carries entries waits for a peer that
// does not answer.
const patience = 30 * time.Second

func newTransport(cfg Config, roster *roster, log *slog.Logger, bridge hclog.Logger) (*transport, error) {
	s := &stream{
		self: cfg.Self, cluster: cfg.ClusterID, roster: roster, log: log, guard: cfg.Guard,
		accepted: make(chan net.Conn),
		closed:   make(chan struct{}),
		slots:    make(chan struct{}, handshakesAtOnce),
	}
	if cfg.Network != nil {
		l, err := cfg.Network.listen(cfg.Self.Addr, cfg.Group)
		if err != nil {
			return nil, err
		}
		s.listener = l
		s.dial = func(addr string, timeout time.Duration) (net.Conn, error) {
			return cfg.Network.dial(cfg.Self.Addr, addr, cfg.Group)
		}
	} else {
		s.listener = cfg.Listener
		s.dial = func(addr string, timeout time.Duration) (net.Conn, error) {
			c, err := net.DialTimeout("tcp", addr, timeout)
			if err != nil {
				return nil, err
			}
			if cfg.Group != 0 {
				if _, err := c.Write([]byte{cfg.Group}); err != nil {
					return nil, errors.Join(err, c.Close())
				}
			}
			if cfg.Guard == nil {
				return c, nil
			}
			return cfg.Guard.Dial(c)
		}
	}
	s.tasks.Add(1)
	go s.listen()
	t := &transport{stream: s, quit: make(chan struct{}), resumed: map[raft.ServerID]chan struct{}{}, contacts: map[raft.ServerID]contact{}}
	t.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  s,
		MaxPool: 3,
		Timeout: 4 * cfg.Heartbeat,
		Logger:  bridge,
	})
	return t, nil
}

// EncodePeer implements raft.Transport. What it returns is how this replica
// names itself to others, and what they note when they vote for it. An address
// alone would be too little: a store that takes over the address of another
// would be taken for the one that has a vote already.
func (t *transport) EncodePeer(id raft.ServerID, addr raft.ServerAddress) []byte {
	return []byte(string(id) + peerSeparator + string(addr))
}

const peerSeparator = " at "

// addressOf undoes EncodePeer.
func addressOf(id raft.ServerID, peer raft.ServerAddress) string {
	return strings.TrimPrefix(string(peer), string(id)+peerSeparator)
}

// AppendEntries implements raft.Transport. Raft doubles its pause after each
// failed call that carries entries, up to ten seconds, and does not end it when
// the peer is back: a replica that was away for half a minute would lag for
// seconds more. So such a call does not fail at once; it waits for the next
// heartbeat that the peer answers, and is tried again.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	heartbeat := len(args.Entries) == 0 && args.PrevLogEntry == 0 && args.LeaderCommitIndex == 0
	if heartbeat {
		err := t.NetworkTransport.AppendEntries(id, target, args, resp)
		if err == nil {
			t.answered(id, contact{at: time.Now(), end: resp.LastLog})
		}
		return err
	}
	back := t.awaited(id)
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err == nil {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-back:
		return t.NetworkTransport.AppendEntries(id, target, args, resp)
	case <-timer.C:
	case <-t.quit:
	}
	return err
}

func (t *transport) awaited(id raft.ServerID) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := t.resumed[id]
	if ch == nil {
		ch = make(chan struct{})
		t.resumed[id] = ch
	}
	return ch
}

func (t *transport) contact(id raft.ServerID) contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts[id]
}

// answered notes what a peer said, and nothing of one that is no member any more.
func (t *transport) answered(id raft.ServerID, c contact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c == (contact{}) {
		delete(t.contacts, id)
	} else {
		t.contacts[id] = c
	}
	if ch := t.resumed[id]; ch != nil {
		close(ch)
		delete(t.resumed, id)
	}
}

// release ends calls that wait for a peer, and every connection.
func (t *transport) release() {
	t.once.Do(func() {
		close(t.quit)
		_ = t.stream.Close()
		t.stream.drop()
	})
}

// Close implements raft.WithClose.
func (t *transport) Close() error {
	t.release()
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	t.stream.tasks.Wait()
	return err
}

const (
	// A connection begins with the greeting: these bytes, the cluster's id and
	// the store's id, each after its length in one byte, and in eight bytes the
	// newest configuration in the store's log that names it. The accepting side answers one byte.
	greeting     = "martinelli-raft\x02"
	maxClusterID = 255
	maxStoreID   = 255

	welcome   byte = 1
	foreign   byte = 2
	dismissed byte = 3

	// handshakesAtOnce bounds what strangers can make us hold.
	handshakesAtOnce = 64
	handshakeTimeout = 2 * time.Second
)

var errForeign = errors.New("peer belongs to another cluster, or this silo does: compare the cluster ids and the data directories")

// stream is the connections under raft's transport. Those that do not begin
// with this cluster's greeting never reach raft.
type stream struct {
	self     Server
	cluster  string
	roster   *roster
	log      *slog.Logger
	guard    Guard // of incoming connections; nil without
	listener net.Listener
	dial     func(addr string, timeout time.Duration) (net.Conn, error)

	accepted chan net.Conn // unbuffered: raft takes them one by one
	slots    chan struct{} // one for each handshake under way
	closed   chan struct{}
	once     sync.Once
	tasks    sync.WaitGroup // listen and the handshakes
	conns    sync.Map       // *tracked → nil
}

// Addr implements net.Listener with the address that others know, which is how
// raft recognises itself.
func (s *stream) Addr() net.Addr { return address(s.self.Addr) }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		err = s.listener.Close()
	})
	return err
}

// drop closes every connection.
func (s *stream) drop() {
	s.conns.Range(func(c, _ any) bool {
		_ = c.(*tracked).Close()
		return true
	})
}

// tracked is a connection that drop finds.
type tracked struct {
	net.Conn
	of *stream
}

func (s *stream) track(c net.Conn) *tracked {
	t := &tracked{Conn: c, of: s}
	s.conns.Store(t, nil)
	select {
	case <-s.closed: // drop may have passed already
		_ = t.Close()
	default:
	}
	return t
}

func (t *tracked) Close() error {
	t.of.conns.Delete(t)
	return t.Conn.Close()
}

func (s *stream) listen() {
	defer s.tasks.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.closed:
				return
			case <-time.After(20 * time.Millisecond): // out of descriptors, mostly
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.closed:
			_ = c.Close()
			return
		}
		s.tasks.Add(1)
		go s.receive(s.track(c))
	}
}

// receive does the accepting side's handshake and hands the connection to raft.
func (s *stream) receive(c *tracked) {
	defer s.tasks.Done()
	var err error
	if s.guard != nil {
		var over net.Conn
		if over, err = s.guard.Accept(c); err == nil {
			c = &tracked{Conn: over, of: s} // closing it closes the one that drop finds
		}
	}
	if err == nil {
		err = s.admit(c)
	}
	<-s.slots
	if err != nil {
		s.log.Warn("raft connection refused", "remote", c.RemoteAddr().String(), "reason", err.Error())
		_ = c.Close()
		return
	}
	select {
	case s.accepted <- c:
	case <-s.closed:
		_ = c.Close()
	}
}

func (s *stream) admit(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	head := make([]byte, len(greeting)+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return fmt.Errorf("no greeting: %w", err)
	}
	if string(head[:len(greeting)]) != greeting {
		return errors.New("not a raft connection of this version")
	}
	cluster := make([]byte, int(head[len(greeting)])+1)
	if _, err := io.ReadFull(c, cluster); err != nil {
		return fmt.Errorf("no cluster id: %w", err)
	}
	cluster, size := cluster[:len(cluster)-1], cluster[len(cluster)-1]
	tail := make([]byte, int(size)+8) // to its end, or the answer may be lost
	if _, err := io.ReadFull(c, tail); err != nil {
		return fmt.Errorf("no store id: %w", err)
	}
	store, version := string(tail[:size]), binary.BigEndian.Uint64(tail[size:])
	if string(cluster) != s.cluster {
		_, _ = c.Write([]byte{foreign})
		return fmt.Errorf("it names cluster %q, this is %q", cluster, s.cluster)
	}
	if s.roster.dismissed(store, version) {
		_, _ = c.Write([]byte{dismissed})
		return fmt.Errorf("store %s was removed from this cluster", store)
	}
	if _, err := c.Write([]byte{welcome}); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// Dial implements raft.StreamLayer.
func (s *stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	default:
	}
	if s.roster.standing() == Removed { // nobody is disturbed any more
		return nil, ErrRemoved
	}
	raw, err := s.dial(string(addr), timeout)
	if err != nil {
		return nil, err
	}
	c := s.track(raw)
	if err := s.greet(c, timeout); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("raft connection to %s: %w", addr, err)
	}
	return c, nil
}

func (s *stream) greet(c net.Conn, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	hello := append([]byte(greeting), byte(len(s.cluster)))
	hello = append(append(hello, s.cluster...), byte(len(s.self.ID)))
	hello = binary.BigEndian.AppendUint64(append(hello, s.self.ID...), s.roster.member())
	if _, err := c.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	switch answer[0] {
	case welcome:
	case dismissed:
		return errors.Join(ErrRemoved, s.roster.told())
	default:
		return errForeign
	}
	return c.SetDeadline(time.Time{})
}
