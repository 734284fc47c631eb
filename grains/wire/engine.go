package wire

import (
	"context"
	"fmt"
)

// Engine is what silos, clients and edge nodes do for the places on them. Its methods may be called from
// any goroutine. A method that a node cannot serve returns a typed error.
type Engine interface {
	// Call runs c at the one activation of the grain to. Its errors are those of package grains.
	Call(ctx context.Context, to ID, c Invocation) error

	// Mutate applies an operation of the variable's lattice at the nearest replica, and returns when it
	// is logged there. Inside an atomic block the operation is recorded in the block instead.
	Mutate(ctx context.Context, variable ID, op []byte) error
	// Read calls use with the variable's state at the nearest replica, or with a copy of it. use must
	// neither keep nor change the object, and must not call the engine.
	Read(ctx context.Context, variable ID, use func(Object)) error
	// Keys returns the keys of a family that hold anything, sorted.
	Keys(ctx context.Context, family string) ([]string, error)

	// Follow returns the copy of an operator's output that this node keeps, which is made at the first
	// call. ctx bounds the wait for its first snapshot.
	Follow(ctx context.Context, node string) (Followed, error)

	// Atomic runs an atomic block.
	Atomic(ctx context.Context, b Closure) error
	// Outcome asks what became of an atomic block, or of a call whose fate is unknown.
	Outcome(ctx context.Context, id BlockID) (Outcome, error)

	// Hosted returns the kind of that name, if this node was given it.
	Hosted(name string) (Kind, bool)
}

// Recorder is implemented by the engine of a process's turn: what the process has written, so that it can
// write by difference to that. Elements are in the encoding of the variable's type.
type Recorder interface {
	// Outputs returns the elements that the process has written to the variable, and those that it may
	// have written and does not put out any more: a write was begun, or is taken back.
	Outputs(ctx context.Context, variable ID) (written, doubtful map[string]struct{}, err error)
	// RecordOutputs changes that record.
	RecordOutputs(ctx context.Context, variable ID, c OutputChange) error
}

// OutputChange is what a process is about to do, or has done, to a variable.
type OutputChange struct {
	Begun   []string // will be added: doubtful until Written
	Written []string // were added
	Doubted []string // will be taken back: doubtful from now on, because a replica may still bring them
}

// Sharer is implemented by the engine of a process's turn: values that the runs of a round share.
type Sharer interface {
	Shared(ctx context.Context, name string, make func(ctx context.Context, e Engine) (any, error)) (any, error)
}

// Followed is a node's copy of an operator's output.
type Followed interface {
	// Use calls use with the copy, a *flow.Materialized of the operator's element type, while nothing
	// changes it.
	Use(use func(materialized any))
	// Watch calls changed, from one goroutine at a time, with the whole present output as born and then
	// with each change, until ctx ends or changed returns false. Elements are of the operator's type:
	// slices of it in an any.
	Watch(ctx context.Context, changed func(born, died any, reset bool) bool) error
	// Frontier says how far the copy has come.
	Frontier() Frontier
}

// Frontier says which updates of its source a view contains: those up to Number, of one run of the
// ingress that numbers them. Frontiers of different ingresses cannot be compared.
type Frontier struct{ Ingress, Number uint64 }

// Closure is an atomic block as its coordinator sees it.
type Closure struct {
	// Run is the block. It may be called several times; every call discards what the last one did.
	Run func(ctx context.Context) error
	// Encode returns the block's value in the encoding of the method that began the block, when the
	// method returns a value of that type: what a retry of the call is answered with.
	Encode func(resultCodec any) ([]byte, bool)
	// Restore sets the block's value from such an encoding.
	Restore func(resultCodec any, b []byte) error
}

// BlockID names an atomic block for as long as its outcome is kept, and a call from outside that may
// begin one.
type BlockID struct{ Client, Seq uint64 }

// IsZero says whether id names nothing.
func (id BlockID) IsZero() bool { return id == BlockID{} }

// String is client.sequence, "12.345".
func (id BlockID) String() string { return fmt.Sprintf("%d.%d", id.Client, id.Seq) }

// Outcome is what became of an atomic block.
type Outcome uint8

// The outcomes.
const (
	Committed Outcome = iota + 1 // its effects are there, once
	Aborted                      // it had no effect and never will
	Forgotten                    // it ended too long ago to know how
)

func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case Aborted:
		return "aborted"
	case Forgotten:
		return "forgotten"
	}
	return "none"
}

// Block is the atomic block that a context carries; hosts know more of it.
type Block interface{ BlockID() BlockID }

type blockKey struct{}

// WithBlock returns a context inside of b.
func WithBlock(ctx context.Context, b Block) context.Context {
	return context.WithValue(ctx, blockKey{}, b)
}

// BlockOf returns the block that ctx is inside of, nil for none.
func BlockOf(ctx context.Context) Block {
	b, _ := ctx.Value(blockKey{}).(Block)
	return b
}

// TurnKey is the key by which a host's contexts yield the grain whose turn they are of, an ID.
type TurnKey struct{}

// TurnOf returns the grain in whose turn ctx is, zero for none.
func TurnOf(ctx context.Context) ID {
	id, _ := ctx.Value(TurnKey{}).(ID)
	return id
}

type retryKey struct{}

// WithRetry returns a context whose next call from outside is made under an id that was used before.
func WithRetry(ctx context.Context, id BlockID) context.Context {
	return context.WithValue(ctx, retryKey{}, id)
}

// RetryOf returns the id of WithRetry.
func RetryOf(ctx context.Context) (BlockID, bool) {
	id, ok := ctx.Value(retryKey{}).(BlockID)
	return id, ok
}
