package replica

import (
	"fmt"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// TooLargeError says that a variable cannot be brought to a neighbour because one delta or digest of it
// is larger than a message may be. The two differ until the delta shrinks or Config.MaxDelta and the
// transport's limit are raised.
type TooLargeError struct {
	Key   wire.ID
	Peer  machine.NodeID
	Size  int // bytes
	Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("replica: %v for %v needs %d bytes in one message, the limit is %d: raise MaxDelta, or split the variable",
		e.Key, e.Peer, e.Size, e.Limit)
}

// MessageError says that a message does not decode or contradicts itself. It was ignored.
type MessageError struct {
	From machine.NodeID
	Why  string
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("replica: message from %v ignored: %s", e.From, e.Why)
}

// ObjectError is what an Object or Config.Open answered when it was asked for an operation.
type ObjectError struct {
	Key  wire.ID
	Peer machine.NodeID
	Op   string // "open", "join", "since"
	Err  error
}

func (e *ObjectError) Error() string {
	return fmt.Sprintf("replica: %s %v with what came from %v: %v", e.Op, e.Key, e.Peer, e.Err)
}

func (e *ObjectError) Unwrap() error { return e.Err }
