package replica

import (
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Object is the state of one variable. The machine calls it during Step only, so whoever else reads or
// changes it holds what guards Step. No method may keep or change its argument, and what they return is
// not changed afterwards.
type Object interface {
	// Join merges a delta and returns the novelty, that part of it that the state did not hold; nil when
	// it held everything. With an error the state is unchanged. The delta comes from another node: any
	// bytes must be safe.
	Join(delta []byte) (novelty []byte, err error)
	// Hash is equal for equal states and, but for accidents, different for different ones. It must be
	// cheap: repair asks for the hash of every variable in turn.
	Hash() uint64
	// Digest says what the state holds, for Since.
	Digest() []byte
	// Since returns the delta that the holder of the digest lacks, nil when it lacks nothing. An empty
	// digest is that of an empty state.
	Since(digest []byte) (delta []byte, err error)
	// State is the whole state as a delta.
	State() []byte
}

// Config says whose variables these are and how much of everything there may be. Self, Incarnation and
// Open must be set.
type Config struct {
	Self        machine.NodeID
	Incarnation machine.Incarnation

	// Open returns the object of a variable that the machine does not know yet: an empty one, or what the
	// host has loaded. It is called once for each key, until Evicted. An error refuses the variable,
	// because its kind is not known here, say; it is reported as Failed.
	Open func(key wire.ID) (Object, error)
	// Shares says whether this node and peer both hold the variable. The answers are cached until the
	// next Replaced. Novelties and repairs of what is not shared are neither sent nor taken. Default:
	// every variable is shared with every neighbour.
	Shares func(key wire.ID, peer machine.NodeID) bool

	// Window bounds the novelties that wait for one neighbour's acknowledgement, in bytes. Beyond it they
	// are dropped and repaired later: larger windows ride out longer interruptions without a repair and
	// cost memory for each neighbour that is away. Default 4 MiB.
	Window int
	// MaxMessage is the size in bytes up to which novelties, digests and repairs are put together into
	// one message. Default 256 KiB.
	MaxMessage int
	// MaxDelta is the size in bytes that one variable's delta or digest may have: a little less than what
	// the transport takes. What is larger is reported as Failed with a *TooLargeError. Default 3 MiB.
	MaxDelta int
	// MaxPage is the size in bytes up to which keys and hashes are put together. Default 128 KiB.
	MaxPage int
	// Retry is how long the machine waits for an answer or an acknowledgement before it repeats itself;
	// the wait doubles up to 16 times this while none comes. Default 500 ms.
	Retry time.Duration
	// AntiEntropy is the time in which one slow pass over everything is made with each neighbour. Each
	// pass costs the node one Hash of every variable and, where nothing differs, half a byte of traffic
	// for each. Default 10 s; negative: never.
	AntiEntropy time.Duration
}

func (c Config) withDefaults() Config {
	if c.Shares == nil {
		c.Shares = func(wire.ID, machine.NodeID) bool { return true }
	}
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&c.Window, 4<<20)
	set(&c.MaxMessage, 256<<10)
	set(&c.MaxDelta, 3<<20)
	set(&c.MaxPage, 128<<10)
	if c.Retry <= 0 {
		c.Retry = 500 * time.Millisecond
	}
	if c.AntiEntropy == 0 {
		c.AntiEntropy = 10 * time.Second
	}
	return c
}

// Input is what a Machine takes.
type Input interface{ input() }

type (
	// Local is a write made on this node: already joined into the variable's object, and durable. An
	// empty novelty is none.
	Local struct {
		Key     wire.ID
		Novelty []byte
	}
	// Received is a message from another node's machine, and that node's incarnation. Messages may be
	// lost, doubled, delayed and reordered.
	Received struct {
		From        machine.NodeID
		Incarnation machine.Incarnation
		Message     []byte
	}
	// PeerUp says that a neighbour can be reached, and which run of it. A run that is older than one
	// known before is ignored.
	PeerUp struct {
		ID          machine.NodeID
		Incarnation machine.Incarnation
	}
	// PeerDown says that a neighbour cannot be reached at present. Its window is kept, within its bound.
	PeerDown struct{ ID machine.NodeID }
	// PeerRemoved says that a neighbour left the cluster: nothing is kept for it.
	PeerRemoved struct{ ID machine.NodeID }
	// Replaced says that Shares answers differently now for Peer, or, when that is zero, for all.
	Replaced struct{ Peer machine.NodeID }
	// Evicted says that this node no longer holds a variable. The machine forgets its object.
	Evicted struct{ Key wire.ID }
	// Logged says that the novelties of all Log effects up to and including this ticket are durable.
	Logged struct{ Ticket uint64 }
	// Tick is the passing of time. A host sends one every 50 to 100 ms; one costs work for each
	// neighbour, not for each variable.
	Tick struct{}
)

func (Local) input()       {}
func (Received) input()    {}
func (PeerUp) input()      {}
func (PeerDown) input()    {}
func (PeerRemoved) input() {}
func (Replaced) input()    {}
func (Evicted) input()     {}
func (Logged) input()      {}
func (Tick) input()        {}

// Effect is what a Machine asks of its host.
type Effect interface{ effect() }

type (
	// Send is a message for another node's machine. It may be lost. Repair says that it compares or
	// transfers states, which is large and not urgent beside novelties and their acknowledgements.
	Send struct {
		To      machine.NodeID
		Message []byte
		Repair  bool
	}
	// Log asks to make a novelty that arrived durable, and then for Logged. Tickets count from 1; many
	// may be answered by one Logged.
	Log struct {
		Key     wire.ID
		Novelty []byte
		Ticket  uint64
	}
	// Changed says that a novelty that arrived from From is durable now and can be shown to watchers. The
	// node's own writes (Local) are not announced.
	Changed struct {
		Key     wire.ID
		Novelty []byte
		From    machine.NodeID
	}
	// Failed reports what could not be done for a variable in the exchange with Peer: a delta or digest
	// that does not decode, a variable that Open refused, a *TooLargeError, or, with a zero Key, a
	// message that does not decode (*MessageError). Nothing of it was merged.
	Failed struct {
		Key  wire.ID
		Peer machine.NodeID
		Err  error
	}
)

func (Send) effect()    {}
func (Log) effect()     {}
func (Changed) effect() {}
func (Failed) effect()  {}
