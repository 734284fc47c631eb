package actor

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknown is the fate of a request that was sent and not answered: the
	// deadline passed, the caller cancelled, or the peer is gone. The handler
	// may have run. Retrying is safe only for what is idempotent.
	ErrUnknown = errors.New("outcome unknown")

	// ErrNotExecuted is the fate of a request whose handler has not run and
	// will not: refused, unreachable, overloaded, stopped, unknown service.
	// Retrying is safe.
	ErrNotExecuted = errors.New("not executed")
)

// CallError says which request ended in [ErrUnknown] or [ErrNotExecuted], and
// why.
type CallError struct {
	To      string // address of the peer
	Service Service
	Fate    error  // ErrUnknown or ErrNotExecuted
	Reason  string // what happened and, where there is something to do, what
	Cause   error  // may be nil; a context's error when that ended the wait
}

func (e *CallError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "request to service %v of %s: %v: %s", e.Service, e.To, e.Fate, e.Reason)
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap gives the fate and the cause to errors.Is and errors.As.
func (e *CallError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Fate}
	}
	return []error{e.Fate, e.Cause}
}

// TooLarge refuses a payload over the limit. A request is refused before it is
// sent and is [ErrNotExecuted]; when Reply is set the handler ran and its
// answer could not be carried.
type TooLarge struct {
	Size, Limit int // bytes
	Reply       bool
}

func (e *TooLarge) Error() string {
	if e.Reply {
		return fmt.Sprintf("the handler ran, but its answer of %d bytes is over the limit of %d: answer in pages or raise the limit (MaxMessage) on all nodes", e.Size, e.Limit)
	}
	return fmt.Sprintf("%v: payload of %d bytes is over the limit of %d: send it in parts or raise the limit (MaxMessage) on all nodes", ErrNotExecuted, e.Size, e.Limit)
}

// Unwrap makes a refused request an ErrNotExecuted.
func (e *TooLarge) Unwrap() error {
	if e.Reply {
		return nil
	}
	return ErrNotExecuted
}

// LimitReached says which bound of a node refused something: it has surely not
// been executed, and may be later. See [Config] for the bounds.
type LimitReached struct {
	What  string
	Limit int
}

func (e *LimitReached) Error() string {
	return fmt.Sprintf("overloaded: %s: the limit is %d: try again later", e.What, e.Limit)
}

// Unwrap makes it an ErrNotExecuted.
func (e *LimitReached) Unwrap() error { return ErrNotExecuted }

// RemoteFailure is the error of a handler that ran on another node. The layer
// above decodes Payload, which is empty unless the handler's error had a
// WireError method.
type RemoteFailure struct {
	From    string // address
	Payload []byte
	Text    string
}

func (e *RemoteFailure) Error() string { return "from " + e.From + ": " + e.Text }

// WireError is implemented by a handler's error whose bytes are to travel.
// They arrive as the Payload of a [*RemoteFailure].
type WireError interface {
	error
	WireError() []byte
}

// PortInUse is returned by [Start] when the address to listen on is taken.
type PortInUse struct {
	Addr  string
	Cause error
}

func (e *PortInUse) Error() string {
	return fmt.Sprintf("address %s is in use by another process: stop it, or listen on another port: %v", e.Addr, e.Cause)
}

func (e *PortInUse) Unwrap() error { return e.Cause }

// Refuse is returned by a handler that did not do what it was asked for: the
// caller receives an error that is [ErrNotExecuted] and may try again. Nothing
// else that a handler returns becomes ErrNotExecuted, so that the fate of a
// request made within a handler is never taken for the handler's own.
func Refuse(reason string) error { return &refusal{reason} }

type refusal struct{ reason string }

func (r *refusal) Error() string { return "refused: " + r.reason }
