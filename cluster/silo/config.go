package silo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
)

// Config says what a silo hosts and where. Its zero value, but for Grains, is one silo with everything
// embedded, in memory, reachable from its own process only.
type Config struct {
	// Grains is everything that the silo can host: the concatenation of what the packages' Grains()
	// return. All silos of a cluster must be given the same.
	Grains []grains.Kind

	// Listen is the host:port where other silos and clients reach this one; the log's traffic has the
	// next port. Empty: nobody can. An address that is not a loopback one needs TLS, or TrustNetwork.
	Listen string
	// Advertise is the host:port by which others reach Listen, where that differs: behind a translator
	// of addresses, or for a Listen without a host. Default: Listen.
	Advertise string
	// Join says where the other silos are: their Advertise addresses separated by commas, or
	// dns:name:port, dns+srv:_service._tcp.name, file:/path or nats://host:port/name, as package discovery
	// has them. A silo whose DataDir belongs to a cluster needs it no more than to say so.
	//
	// A silo announces itself in the file or on NATS when it serves, or, with Expect, when it has been started,
	// and withdraws when it stops.
	//
	// A cluster is founded once, by all the silos of one list, when all have been started with it: a list
	// that is written out and has this silo's own address, or Expect. Any other silo joins: one that can be
	// reached, of those that Join names, is enough, and it waits until there is one. Where the silos of the
	// list have founded without this one, it joins them. Silos that all wait can be told to found (siloctl
	// init). Empty: a cluster of one, founded by itself.
	Join string
	// Expect is how many silos found the cluster, where Join is no list that is written out: the founding
	// waits until Join yields so many, this one among them. It must be given for the founding, because a
	// part of the silos looks like a smaller cluster. Default 0: this silo joins.
	Expect int
	// DataDir is where the silo keeps what must survive it. It belongs to this silo alone, and names it
	// in the cluster: a silo that has lost it comes back as another, and the one that it was is to be
	// removed (siloctl remove). Empty: in memory, and nothing survives.
	DataDir string
	// Labels say what people and programs want to know of this silo; siloctl members shows them.
	Labels map[string]string

	// TLS names the files of certificates by which silos and clients know each other, at both ports. They
	// are read again when they change; connections that are open stay open. A certificate that bears the
	// DNS name TLS.SiloName makes a silo of who shows it; any other of the same CA a client, whose
	// principal is its common name.
	TLS TLS
	// Secret is known to all silos of the cluster and to nobody else. Silos show by a challenge that they
	// know it; it does not travel. Without TLS it keeps strangers from joining, but not from reading what
	// passes or from being clients; with TLS it is asked for as well.
	Secret string
	// Operators are the common names of certificates whose owners may change which silos there are: siloctl's
	// drain, remove and init. Whoever shows the cluster's Secret, or a silo's certificate besides, may too.
	// Where there is neither TLS nor a Secret, whoever reaches a silo that listens on a loopback address may,
	// and of others nobody. Default: none. It needs TLS.
	Operators []string
	// TrustNetwork lets a silo listen without TLS on an address that is not a loopback one: whoever is on
	// that network can then read and write everything.
	TrustNetwork bool
	// Authorize is asked about every call of a grain, every write of a variable and every change of a
	// grain's state by an atomic block that comes from outside the silos, before any of it happens; see
	// grains.Call. An error refuses it: the caller gets a grains.ErrDenied with that error's text. It runs
	// on the way of each call, on the silo that serves it, on any goroutine, and must not block for long.
	// It is not asked about what grains do among themselves, nor about reading variables and views.
	// Default: everything is allowed.
	Authorize func(ctx context.Context, c grains.Call) error

	// Incoming happen around every call of a grain that this silo runs, Outgoing around every one that is made
	// on it, by its grains or by itself; the first of a list is the outermost. Calls cost what they do.
	// Default: none, which costs nothing.
	Incoming, Outgoing []grains.Interceptor

	// MaxMessage is the most bytes that a call's arguments, its result, or one change of a variable may
	// measure in encoded form; the same on all nodes. More memory is held for each connection the larger
	// it is. Default 1 MiB.
	MaxMessage int
	// Connections is how many connections others may have to this silo; one more is refused, and an eighth is
	// kept for silos. Each silo and each client has one for each of the four channels that it uses. Default
	// 4,096.
	Connections int
	// PeerCalls is how many requests of one silo or client are served at a time on each channel; more are
	// refused as not executed. Default 8,192.
	PeerCalls int
	// BulkRate is how many bytes a second this silo sends of states and snapshots, to all others
	// together. More brings a new replica up to date sooner, and makes calls wait longer meanwhile.
	// Default 64 MiB; negative: no bound.
	BulkRate int
	// IdleAfter is how long a grain stays in memory without calls, where its implementation does not say
	// otherwise. Default 10 minutes.
	IdleAfter time.Duration
	// ReaderPause is how long the reader of a stream may take over what it has before it asks for more; then the
	// stream is lost. Longer keeps grains in memory for readers that are gone. Default 1 minute.
	ReaderPause time.Duration
	// MemoryLimit is how many bytes the process may use. When more than three quarters of that are alive on the
	// heap, the grains that were idle the longest leave memory, however short that was. Default: the memory limit
	// of Go's runtime, GOMEMLIMIT, if it was given one; negative: none.
	MemoryLimit int64
	// HeapFloor is how many bytes of heap the process reserves and never touches, so that it does not collect
	// garbage tens of times a second while it holds little: that costs a fifth of the processors of a silo that
	// answers many small calls. It is address space, and room for as much garbage; Go's own figures count it as
	// heap in use. Default 32 MiB; none where it is negative, where there is a MemoryLimit or GOGC is set, and
	// without Listen.
	HeapFloor int
	// Queue is how many calls may wait for their turn at one grain; one more is refused (grains.ErrOverloaded).
	// Longer rides out more of a burst, and lets callers wait longer for what is refused in the end. Default
	// 1,024.
	Queue int
	// Calls is how many calls may wait or run at this silo, and CallBytes how many bytes the arguments of those
	// from elsewhere may measure together; beyond that they are refused. Calls that grains make have as much room
	// once more, so that what has begun can end. A call that waits costs about 12 KiB besides. Open streams have a
	// room of CallBytes of their own, of which each takes 64 KiB and its arguments. Defaults 16,384 and 128 MiB.
	Calls, CallBytes int
	// Silence is how long a silo must not answer before others take it for dead; one that stands still for
	// half as long is not. Shorter moves on sooner, and moves the grains of silos that were only slow.
	// Default 2 seconds.
	Silence time.Duration
	// Lease is how long a silo may serve grains without hearing from most of the others; its grains are
	// served elsewhere a tenth later, if it is taken for dead. Shorter: the grains of one that died are
	// back sooner. Longer: the log may be without a leader for longer before all stop serving. The same
	// on all silos. Default 2.5 seconds.
	Lease time.Duration
	// Forget is how long nothing must be heard of a silo before it is taken for gone for good: it has no part
	// in the log any more, and cannot come back with its DataDir. Longer: the log keeps what such a silo may
	// still have to be told. Default 1 hour.
	Forget time.Duration
	// Logger gets what operators want to know. Default slog.Default().
	Logger *slog.Logger

	// Network connects silos of one process in memory, instead of Listen; the silo's address there is
	// Advertise. For tests.
	Network *Network
	// Memory is what a silo without DataDir keeps over a restart in one process. For tests.
	Memory *Memory
}

func (c Config) withDefaults() Config {
	if c.MaxMessage <= 0 {
		c.MaxMessage = 1 << 20
	}
	if c.IdleAfter <= 0 {
		c.IdleAfter = 10 * time.Minute
	}
	if c.Silence <= 0 {
		c.Silence = 2 * time.Second
	}
	if c.Forget <= 0 {
		c.Forget = time.Hour
	}
	if c.Lease <= 0 {
		c.Lease = 2500 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Advertise == "" {
		c.Advertise = c.Listen
	}
	if c.Advertise == "" {
		c.Advertise = "silo:1"
	}
	return c
}

// inMemory gives a silo what it does not have a network or a directory for.
func (c Config) inMemory() Config {
	if c.Network == nil && c.Listen == "" {
		c.Network = NewNetwork()
	}
	if c.Memory == nil {
		c.Memory = NewMemory()
	}
	return c
}

// check refuses what cannot work, before anything is opened.
func (c Config) check() error {
	for field, negative := range map[string]bool{"MaxMessage": c.MaxMessage < 0, "Connections": c.Connections < 0, "PeerCalls": c.PeerCalls < 0, "Queue": c.Queue < 0, "Calls": c.Calls < 0, "CallBytes": c.CallBytes < 0, "IdleAfter": c.IdleAfter < 0, "ReaderPause": c.ReaderPause < 0, "Silence": c.Silence < 0, "Lease": c.Lease < 0, "Forget": c.Forget < 0, "Expect": c.Expect < 0} {
		if negative {
			return &ConfigError{field, "is negative: leave it out for the default"}
		}
	}
	for field, around := range map[string][]grains.Interceptor{"Incoming": c.Incoming, "Outgoing": c.Outgoing} {
		for i, one := range around {
			if one == nil {
				return &ConfigError{field, fmt.Sprintf("has no function at index %d, and every call would panic: leave it out", i)}
			}
		}
	}
	if err := c.TLS.Check(); err != nil {
		return &ConfigError{"TLS", err.Error()}
	}
	if len(c.Operators) > 0 && c.TLS.IsZero() {
		return &ConfigError{"Operators", "names the owners of certificates, and there is no TLS to show one by: give the files of TLS, or a Secret in place of names"}
	}
	source, err := c.source()
	if err != nil {
		return err
	}
	if c.Network != nil {
		return nil
	}
	if c.Listen == "" {
		if c.Join != "" || c.Advertise != "" {
			return &ConfigError{"Listen", "is empty, so that no other silo could reach this one: name the host:port to listen on"}
		}
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return &ConfigError{"Listen", fmt.Sprintf("%v: it is a host:port", err)}
	}
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return &ConfigError{"Advertise", fmt.Sprintf("is empty, and Listen %q is every address of this machine: name the one by which others reach it", c.Listen)}
	}
	if c.TLS.IsZero() && !c.TrustNetwork && !actor.Loopback(c.Listen) {
		return &ConfigError{"TLS", fmt.Sprintf("is empty, and Listen %q is no loopback address: whoever reaches it could read and write everything. Name the files of a certificate, listen on 127.0.0.1, or, where everybody on the network may do that, set TrustNetwork", c.Listen)}
	}
	if c.Authorize != nil && c.TLS.IsZero() && c.Secret == "" {
		return &ConfigError{"Authorize", "is set, and without TLS or Secret whoever says that it is a silo is believed and not asked about: give all silos one of them"}
	}
	list, _ := source.(discovery.Static)
	return c.checkPorts(list)
}

// checkPorts refuses addresses beside which there is no place for the log.
func (c Config) checkPorts(addrs []string) error {
	if c.Network != nil {
		return nil
	}
	ports := map[string]string{} // by the address of a log
	for _, addr := range append(slices.Clone(addrs), c.Listen) {
		at, err := logAddr(addr)
		if err != nil {
			return &ConfigError{"Join", err.Error()}
		}
		ports[at] = addr
	}
	for _, addr := range addrs {
		if other, taken := ports[addr]; taken {
			return &ConfigError{"Join", fmt.Sprintf("%s is the port after %s, where that silo keeps the log: leave it free", addr, other)}
		}
	}
	return nil
}

// source is where the addresses of Join come from.
func (c Config) source() (discovery.Source, error) {
	if c.Expect > 1 && c.Join == "" {
		return nil, &ConfigError{"Expect", fmt.Sprintf("is %d, and Join is empty: say there where the others are, or leave Expect out", c.Expect)}
	}
	if c.Join == "" {
		return discovery.Static{cmp.Or(c.Advertise, c.Listen)}, nil
	}
	source, err := discovery.Parse(c.Join)
	if err != nil {
		return nil, &ConfigError{"Join", err.Error()}
	}
	if list, ok := source.(discovery.Static); ok && c.Expect > 0 && c.Expect != len(list) {
		return nil, &ConfigError{"Expect", fmt.Sprintf("is %d, and Join lists %d silos: leave it out, or mend the list", c.Expect, len(list))}
	}
	return source, nil
}

// TLS names the files of a node's certificates.
type TLS = actor.TLS

// ConfigError says which field of a Config is wrong, and how to mend it.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "silo: Config." + e.Field + ": " + e.Reason }

// logAddr is where the log of the silo at addr is reached: at the next port.
func logAddr(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65534 {
		return "", fmt.Errorf("port %q of %s: a number from 1 to 65534 is needed, and the port after it must be free too", port, addr)
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1)), nil
}

// siloAddr is the address of the silo whose log is reached at addr.
func siloAddr(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("port %q of %s: %w", port, addr, err)
	}
	return net.JoinHostPort(host, strconv.Itoa(n-1)), nil
}

// times are those of leases and failure detection.
func (c Config) times() (view.Times, view.DetectorConfig) {
	t := view.Times{Lease: c.Lease, Renew: c.Lease / 5, Batch: c.Lease * 2 / 25, Retry: c.Lease * 3 / 25, Stall: c.Lease * 3 / 50}
	every := c.Silence / 4
	return t, view.DetectorConfig{Interval: every, Timeout: every * 2 / 5}
}

// Network connects silos and clients of one process in memory.
type Network struct {
	Messages *actor.Network
	log      *consensus.Network
}

// NewNetwork returns a network without nodes.
func NewNetwork() *Network {
	return &Network{Messages: &actor.Network{}, log: &consensus.Network{}}
}

// Kill cuts off the silo at addr for good, as the death of its process would: it answers nothing, and
// nothing that it does reaches anybody. Start another at the same address to bring it back.
func (n *Network) Kill(addr string) {
	n.Messages.Kill(addr)
	if at, err := logAddr(addr); err == nil {
		n.log.Kill(at)
	}
}

// Memory is the disk of a silo that has none.
type Memory struct {
	store *consensus.Store
	log   *consensus.MemoryStore // of the ledger
	views *consensus.MemoryStore
	files vfs.FS
	// incarnation is that of the last run.
	incarnation uint64
}

// NewMemory returns an empty disk.
func NewMemory() *Memory {
	return &Memory{log: consensus.NewMemoryStore(), views: consensus.NewMemoryStore(), files: vfs.NewMem()}
}

// heapFloor is HeapFloor; where memory is limited it would be taken for what is alive.
func (c Config) heapFloor() int {
	if c.MemoryLimit > 0 {
		return -1
	}
	return c.HeapFloor
}
