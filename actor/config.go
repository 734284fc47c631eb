package actor

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"time"
)

// Peer names one run of a node.
type Peer struct {
	Addr        string
	Incarnation uint64 // 0: whichever run answers at the address
	// Silo says of who sent a message that it has shown to be a silo, by its
	// certificate or the secret; with neither, that it says so. Of whom a request
	// is for, that nothing is sent before it has.
	Silo bool
	// Principal names the certificate of who sent a message: its common name, or
	// else its first alternative name. Empty without TLS.
	Principal string
}

// Config says how a node is reached and what it bears. Give Listener, Addr or
// Network.
type Config struct {
	// Listener is taken by the caller, which thereby knows that the port is
	// free. It must be TCP's. Start takes it over, and closes it on errors.
	Listener net.Listener
	// Addr is listened on when there is no Listener, for example
	// "127.0.0.1:0". It must name a TCP port. With a Network it is the node's
	// name there; empty: a name is made.
	Addr string
	// Network, when set, carries messages in memory instead of TCP.
	Network *Network

	// TLS secures all connections. Without it, whoever can reach the address can
	// say anything.
	TLS TLS
	// Secret is what silos show each other that they are of one cluster, by a
	// challenge: it does not travel. It says nothing of clients.
	Secret string
	// Silo says that this node is a silo. It then shows Secret, and its
	// certificate must bear TLS.SiloName.
	Silo bool
	// SilosOnly refuses, as a [*Foreign], to send requests and notifications to
	// nodes that have not shown to be silos.
	SilosOnly bool

	// Advertise is the address by which others reach this node. Default: the
	// address listened on.
	Advertise string
	// Incarnation tells this run of the process from others at the same
	// address. Default: random.
	Incarnation uint64

	// The bounds that follow hold for each channel by itself, so that none
	// starves another. What they refuse is not executed, by a [*LimitReached] or
	// a [*TooLarge].

	// Connections bounds the incoming connections; others are told so and
	// closed. Each peer has one for each channel. An eighth is kept for silos.
	// Default 4,096.
	Connections int
	// Limit bounds one payload in bytes; all nodes should have the same.
	// Default 1 MiB. Memory per connection is a few times this.
	Limit int
	// InFlight bounds the requests being served at a time, those that wait for a
	// processor included. Default 16,384.
	InFlight int
	// InFlightBytes bounds their payloads together. Default 256 MiB; on the bulk
	// channel BulkBytes.
	InFlightBytes int
	// PeerServing bounds those among them that are one peer's. Default half of
	// InFlight.
	PeerServing int
	// PeerInFlight bounds this node's unanswered requests to one peer.
	// Default 16,384.
	PeerInFlight int
	// PeerQueueBytes bounds, for each peer, the payloads of unanswered
	// requests, and what waits to be written to its connection. Default 64 MiB;
	// on the bulk channel BulkBytes.
	PeerQueueBytes int
	// BulkLimit is what Limit is to the bulk channel. Default 256 MiB.
	BulkLimit int
	// BulkBytes bounds the payloads on the bulk channel that are arriving, half
	// of it those from one peer, and those from all clients. Default twice
	// BulkLimit.
	BulkBytes int
	// BulkRate is how many bytes a second this node sends on the bulk channel,
	// to all peers together. More moves large states sooner, and takes
	// processors and wires from calls. Default 64 MiB; negative: no bound.
	BulkRate int
	// NotifyQueue bounds the notifications waiting for one handler from one
	// sender; more are dropped and counted. Default 4,096.
	NotifyQueue int
	// NotifyQueueBytes bounds the payloads of all waiting notifications.
	// Default 256 MiB.
	NotifyQueueBytes int

	// HeapFloor is how many bytes of its heap a process with nodes over TCP
	// reserves and never touches, so that garbage is collected when about as much
	// has come together, and not each time a small heap has doubled. It takes
	// address space, and up to as much memory for garbage; it counts as heap in
	// Go's own figures. The most that any node of the process asks for holds.
	// Default 32 MiB; negative: nothing, as where GOGC or a memory limit is set.
	HeapFloor int

	// Timeout is the deadline of requests whose context has none. Default 30 s.
	Timeout time.Duration
	// DialTimeout bounds the wait for an address that does not even refuse.
	// Default 1 s.
	DialTimeout time.Duration

	// Logger receives handlers' panics and dropped garbage. Default
	// slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.Limit, 1 << 20},
		{&c.Connections, 4 << 10},
		{&c.InFlight, 16 << 10},
		{&c.InFlightBytes, 256 << 20},
		{&c.PeerInFlight, 16 << 10},
		{&c.PeerQueueBytes, 64 << 20},
		{&c.NotifyQueue, 4 << 10},
		{&c.NotifyQueueBytes, 256 << 20},
		{&c.BulkLimit, 256 << 20},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.PeerServing <= 0 {
		c.PeerServing = max(1, c.InFlight/2)
	}
	if c.BulkBytes <= 0 {
		c.BulkBytes = 2 * c.BulkLimit
	}
	if c.HeapFloor == 0 {
		c.HeapFloor = 32 << 20
	}
	if c.BulkRate == 0 {
		c.BulkRate = 64 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = time.Second
	}
	for c.Incarnation == 0 {
		c.Incarnation = rand.Uint64()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// limit bounds one payload on a channel.
func (c *Config) limit(ch Channel) int {
	if ch == Bulk {
		return c.BulkLimit
	}
	return c.Limit
}

// queueBytes bounds what is under way to one peer on a channel.
func (c *Config) queueBytes(ch Channel) int {
	if ch == Bulk {
		return c.BulkBytes
	}
	return c.PeerQueueBytes
}

// servedBytes bounds what is being served on a channel.
func (c *Config) servedBytes(ch Channel) int {
	if ch == Bulk {
		return c.BulkBytes
	}
	return c.InFlightBytes
}
