// Package txn is atomic blocks: all-or-nothing changes of the transactional state of several grains, and
// of variables, that are strictly serializable among each other.
//
//	type account struct {
//		grains.Implements[Account]
//		balance txn.State[int64]
//	}
//
//	func (a *account) Transfer(ctx context.Context, to AccountID, amount int64) error {
//		return txn.Atomic(ctx, a, func(ctx context.Context) error {
//			if err := a.balance.Update(ctx, func(b *int64) error { *b -= amount; return nil }); err != nil {
//				return err
//			}
//			return GetAccount(a, to).Deposit(ctx, amount)
//		})
//	}
//
// # What a block is
//
// The function that is passed to [Atomic] makes the block. Whatever it does under the context that it is
// given (reads and updates of [State], calls of grains that do so, operations on variables) takes effect
// together when it returns nil, and not at all when it returns an error. It may be called several times,
// since a block that got in the way of an older one is undone and tried again: it must do nothing else
// that matters.
//
// A method that returns an error inside a block undoes nothing by itself: return the error from the
// block to undo everything.
//
// # Locks
//
// Each grain's transactional state is locked by the block that touches it, until the block is submitted.
// Blocks do not deadlock, occupied turns included: an older block that needs what a younger holds makes
// the younger give it up and start again (wound-wait; Rosenkrantz, Stearns, Lewis 1978). A block begun in
// a grain's turn gives that turn up between two tries: other turns may run there meanwhile.
//
// # Commit
//
// The decision is one entry of the replicated log: it carries what the block read, by the name of the
// attempt that wrote it, and what it wrote, and takes effect only if everything read is still current.
// Locks are released when the entry is submitted, before it is decided: who reads what it wrote fails
// with it.
//
// # Variables
//
// A block's operations on variables take effect where the entry is applied, soon after the block has
// returned: a read that follows at once may not show them yet. Reading a variable inside a
// block shows the nearest replica, without what the block itself has done to it.
//
// # Outcomes
//
// [Atomic] returns nil (committed), an error of the function or one that wraps [ErrAborted] (no effect),
// or an *[InDoubt] that carries the block's id: ask [Outcome]. A call from outside that begins a block as
// its first has the call's id: after a [grains.ErrUnknown], [IDOf] gives it, Outcome tells, and [Retry]
// makes the call again in a way that is executed at most once.
package txn

import (
	"context"
	"errors"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
)

type (
	// ID names an atomic block, for as long as its outcome is kept.
	ID = wire.BlockID
	// InDoubt is the error of a block that was submitted and whose outcome did not come in time.
	InDoubt = wire.InDoubt
	// Result is what became of a block.
	Result = wire.Outcome
)

// The results.
const (
	// Committed: the block's effects are there, once.
	Committed = wire.Committed
	// Aborted: the block had no effect and never will.
	Aborted = wire.Aborted
	// Forgotten: the block ended so long ago that its outcome is no longer kept.
	Forgotten = wire.Forgotten
)

// Errors, for errors.Is.
var (
	// ErrNoBlock: State was used outside any block.
	ErrNoBlock = wire.ErrNoBlock
	// ErrOutsideBlock: a block is open in this turn, and the context that was passed is not the block's.
	ErrOutsideBlock = wire.ErrOutsideBlock
	// ErrAborted: the block had no effect, and trying again is safe.
	ErrAborted = wire.ErrAborted
	// ErrReplyLost: a call that was retried has committed, but its reply was not kept. The log keeps the
	// block's value as the reply when the method's result is of that type, or when it has none.
	ErrReplyLost = wire.ErrReplyLost
)

//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
type slot[T any] = wire.Slot[T]

// State is a field of a grain that atomic blocks read and update. Its zero value, in a struct that a
// silo made, is the zero T until the first update. T must be a type that grainc can encode. The state is
// kept by the log, on every silo, and outlives activations; it should be small, since each update sends
// all of it.
//
// Read and Update work inside of a block alone, in every method: one that only reads too opens one, or is
// called within its caller's.
//
//	func (u *user) Balance(ctx context.Context) (Wallet, error) { return txn.AtomicValue(ctx, u, u.wallet.Read) }
type State[T any] struct {
	//lint:ignore U1000 staticcheck does not see that a generic alias is used by being embedded
	slot[T]
}

// Read returns a copy of the state as the block of ctx sees it. Errors: ErrNoBlock, ErrOutsideBlock, and
// that the block was aborted meanwhile, which the block's function should return.
func (s *State[T]) Read(ctx context.Context) (T, error) { return wire.ReadSlot(ctx, s) }

// Update calls f with a copy of the state and takes what f leaves there, unless f returns an error, which
// Update returns, and then takes nothing. Later reads of the same block see the update; nobody else does
// before the block is submitted. Errors: as Read.
func (s *State[T]) Update(ctx context.Context, f func(*T) error) error {
	return wire.UpdateSlot(ctx, s, f)
}

// Atomic runs f as an atomic block at c: in a grain, the grain itself. Within a block it joins that block,
// which it can neither commit nor undo by itself. It returns what f returned, if that was an error;
// otherwise nil, an *InDoubt, or an error that wraps ErrAborted.
//
// f must use the context that it is given, and no longer than it runs. A block costs one entry of the log,
// one that only read too. Ending ctx aborts a block that is not submitted yet; after that it only ends the
// wait, with an *InDoubt.
func Atomic(ctx context.Context, c grains.Caller, f func(context.Context) error) error {
	return wire.Of(c).Atomic(ctx, wire.Closure{Run: f, Encode: encodeNothing, Restore: restoreNothing})
}

// AtomicValue is Atomic for a function that returns a value: that of the try which committed.
func AtomicValue[T any](ctx context.Context, c grains.Caller, f func(context.Context) (T, error)) (T, error) {
	var value T
	err := wire.Of(c).Atomic(ctx, wire.Closure{
		Run: func(ctx context.Context) (err error) {
			value, err = f(ctx)
			return err
		},
		Encode: func(codec any) ([]byte, bool) {
			c, ok := codec.(wire.Codec[T])
			if !ok {
				return nil, false
			}
			return c.Append(nil, value), true
		},
		Restore: func(codec any, b []byte) (err error) {
			c, ok := codec.(wire.Codec[T])
			if !ok {
				return ErrReplyLost
			}
			value, err = c.Decode(b)
			return err
		},
	})
	if err != nil {
		var none T
		return none, err
	}
	return value, nil
}

func encodeNothing(codec any) ([]byte, bool) {
	_, ok := codec.(wire.Codec[struct{}])
	return nil, ok
}

func restoreNothing(any, []byte) error { return nil }

// Outcome asks what became of a block. To ask about one that nobody has a record of records, first, that
// it is aborted: after the answer Aborted it cannot commit any more. It costs an entry of the log. An
// error, such as that ctx ended before a leader answered, says nothing of the block: ask again.
func Outcome(ctx context.Context, c grains.Caller, id ID) (Result, error) {
	return wire.Of(c).Outcome(ctx, id)
}

// IDOf returns the id by which the outcome of the block behind err can be asked: that of an *InDoubt, or
// of a call from outside whose fate is unknown; false if err has neither.
func IDOf(err error) (ID, bool) {
	if doubt := (*InDoubt)(nil); errors.As(err, &doubt) {
		return doubt.ID, true
	}
	if call := (*grains.CallError)(nil); errors.As(err, &call) && !call.Call.IsZero() {
		return call.Call, true
	}
	return ID{}, false
}

// Retry returns a context for one call: that of which id says that its fate is unknown, made again, from
// outside, to the same grain and method with the same arguments. If the block that the call began has
// committed, nothing runs and the reply is the kept one, or the error [ErrReplyLost]; if not, its earlier
// tries cannot commit any more, and the call runs. Once [Outcome] has answered Aborted, a retry is refused
// with an ErrAborted: make a call of its own.
func Retry(ctx context.Context, id ID) context.Context { return wire.WithRetry(ctx, id) }
