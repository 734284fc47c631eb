package actor

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"time"
)

// Service says which part of a node a message is for.
type Service uint16

// Peer names one run of a node. An Incarnation of 0 means whichever run
// answers at the address.
type Peer struct {
	Addr        string
	Incarnation uint64
}

// Config says how a node is reached and what it bears. Give Listener, Addr or
// Network.
type Config struct {
	// Listener is taken by the caller, which thereby knows that the port is
	// free. Start takes it over: it is closed and its address listened on
	// again, because the transport insists on its own.
	Listener net.Listener
	// Addr is listened on when there is no Listener, for example
	// "127.0.0.1:0". It must name a TCP port. With a Network it is the node's
	// name there; empty: a name is made.
	Addr string
	// Network, when set, carries messages in memory instead of TCP.
	Network *Network

	// Advertise is the address by which others reach this node. Default: the
	// address listened on.
	Advertise string
	// Incarnation tells this run of the process from others at the same
	// address. Default: random.
	Incarnation uint64

	// Limit bounds one payload in bytes; all nodes should have the same.
	// Default 1 MiB. Memory per connection is a few times this.
	Limit int
	// InFlight bounds the requests being served at a time, each of which is a
	// goroutine; more are refused as not executed. Default 16,384.
	InFlight int
	// InFlightBytes bounds their payloads together. Default 256 MiB.
	InFlightBytes int
	// PeerInFlight bounds this node's unanswered requests to one peer.
	// Default 16,384.
	PeerInFlight int
	// PeerQueueBytes bounds, for each peer, the payloads of unanswered
	// requests, and what waits to be written to its connection. Default 64 MiB.
	PeerQueueBytes int
	// NotifyQueue bounds the notifications waiting for one handler from one
	// sender; more are dropped and counted. Default 4,096.
	NotifyQueue int
	// NotifyQueueBytes bounds the payloads of all waiting notifications.
	// Default 256 MiB.
	NotifyQueueBytes int

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
		{&c.InFlight, 16 << 10},
		{&c.InFlightBytes, 256 << 20},
		{&c.PeerInFlight, 16 << 10},
		{&c.PeerQueueBytes, 64 << 20},
		{&c.NotifyQueue, 4 << 10},
		{&c.NotifyQueueBytes, 256 << 20},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
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
