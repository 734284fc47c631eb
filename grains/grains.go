// Package grains is the programming model of virtual actors.
//
// A grain is an object with a name that always exists: it is activated at its first call, on the silo
// that its name hashes to, and answers one call at a time (a turn). It is defined as a Go interface that
// embeds [Keyed], and implemented by a struct that embeds [Implements]:
//
//	// Counter counts; its key is what is counted.
//	type Counter interface {
//		grains.Keyed[string]
//		Add(ctx context.Context, n int64) (int64, error)
//	}
//
//	type counter struct {
//		grains.Implements[Counter]
//		n int64
//	}
//
//	func (c *counter) Add(ctx context.Context, n int64) (int64, error) {
//		c.n += n
//		return c.n, nil
//	}
//
// The generator grainc writes what belongs to it: GetCounter, which gives a typed reference without
// making a call; Grains, which lists what a silo hosts; the method Key. Every method takes a context
// first and returns an error last.
//
// # Calls
//
// A call is made at most once. Arguments and results that can be changed are copied, on a local call
// too. An error that the method returns arrives as the same error if it is a package-level error or an
// exported error struct of the interface's package, with its wrapping text; any other arrives as a
// *[RemoteError]. A result beside an error is dropped, and so is an element that a stream yields beside one. An
// error that the method did not return is a *[CallError]: see Errors.
//
// A call whose context has no deadline has one of 30 seconds where it leaves the node. Within a silo such a
// call waits 30 seconds for its turn; a method that has begun is not cut off, because its caller runs it.
//
// A method with the directive //grain:idempotent, or //grain:readonly, may run more than once: a call of which
// nobody can say whether it ran is made again until its context ends. Inside an atomic block it is not. A block
// that an idempotent method begins commits once where the call comes from outside the grains; where a grain makes
// it, each run of the method may commit a block of its own: it must be idempotent with its blocks.
//
// References may be arguments, results, and parts of them. Who receives one calls through it as itself.
//
// # One-way calls
//
// A method with //grain:oneway returns an error alone, and nobody waits for it: its call returns nil when it is on
// its way, or an error that is [ErrNotExecuted] ([ErrOverloaded] where 10,000 of a node's, or 64 MiB, are on their
// way). The node goes on making it, as it would a call that is waited for, until the deadline of the context, 30
// seconds where there is none; cancelling the context does not stop it. It arrives once or not at all. Order is not
// kept, neither among one-way calls nor with others. Errors of the method, and calls that found no grain, are
// counted (Stats of silos, OneWay of clients) and logged at debug. Inside an atomic block it is refused
// ([ErrOneWayInBlock]). A node that stops waits for what is on its way.
//
// # Streams
//
// A method that returns an iter.Seq2[T, error] alone is a stream; it is read with range:
//
//	for item, err := range user.History(ctx, since) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// Nothing is called before the loop begins, and each loop is a stream of its own. The method runs in turns of its
// grain: it is let go on until it has yielded a batch, of 100 elements or 64 KiB at most and fewer at first, and
// stands still until the loop has been through them; meanwhile other calls of the grain run, so that what the
// method has read before a yield may have changed after it. Each batch is a call, with its deadline. Leaving the
// loop ends the method: its yield returns false. The context that it was given lasts as long as the stream.
//
// An error that the method yields comes in its place, and the loop goes on if the method does; an error of the
// stream itself is the last: [ErrStreamLost] where the grain has moved, or ended, or the loop took longer than a
// minute over a batch (silo.Config.ReaderPause). Lost replies are asked for again: no element comes twice, none is
// left out. A method must not yield inside an atomic block that it has begun ([ErrYieldInBlock]). A grain has 64
// open streams at most, and a silo has room for some 2,000 (silo.Config.CallBytes); more are [ErrOverloaded].
//
// # What goes along, and around
//
// A [Value] is a text that travels with a call and with all that are made because of it: a tenant, a language,
// the name of a request. An [Interceptor] is code around calls, where they are made and where they run; package
// grains/telemetry has those of OpenTelemetry, for traces, metrics and logs.
//
// # Overload
//
// What waits is bounded: calls at one grain, and calls at one silo with what their arguments measure
// (Config.Queue, Calls and CallBytes of silos). One more is refused at once with [ErrOverloaded], and is not
// tried again for its caller.
//
// # Errors
//
// An error of the call itself, which its method did not return, is a *[CallError], the same wherever the grain is.
// errors.Is finds in it one of:
//
//	error                 did the method run?    does calling again help?
//	ErrNotExecuted        no                     as a rule, after a while; it is a part of those marked *
//	ErrUnknown            perhaps                if it does no harm; else ask txn.Outcome
//	ErrOverloaded *       no                     later; at once makes it worse
//	ErrNoLease *          no                     at another silo, or later
//	ErrNoSuchMethod *     no                     when the silo was upgraded
//	ErrOneWayInBlock *    no                     after the block
//	ErrTooLarge *         no: its arguments      never
//	ErrTooLarge alone     yes: its result        never
//	ErrCycle              no                     not in this chain of calls
//	ErrNoSuchKind         no                     when a silo hosts the kind
//	ErrDenied             no                     when Config.Authorize says otherwise
//	ErrIncompatible       no                     never, of these two builds
//	ErrPanic              yes, in part           if it does not panic again
//	ErrFenced             no: its caller is over no: return
//	ErrStreamLost         yes, in part           by ranging over a new stream
//	ErrAborted            without effect         yes
//
// The refusals without a mark are not [ErrNotExecuted], so that who calls again after that does not do so for ever.
// A grain whose OnActivate fails, or panics, was not called: that is an ErrNotExecuted which wraps OnActivate's error
// as well, and the next call tries to activate it again. After an ErrOneWayInBlock, or arguments that are too large,
// nothing but another call helps: look for those first.
//
// Where the call ended because its context had, errors.Is finds context.Canceled or context.DeadlineExceeded in the
// error too, beside ErrNotExecuted if it was not sent or had not had its turn, and ErrUnknown if it was sent and
// not answered; so it does for the limit of a call without a deadline. A stream whose context ends when its method
// may have begun is an [ErrStreamLost]. A method that runs on the caller's own silo is not cut off.
//
// What a method returns is its own, even if it is the error of a call that it has made. Such a one arrives as an error
// that has, for errors.As, a *CallError of that other call, whose PassedOn is true; it matches what that matched but
// ErrNotExecuted and what is marked above, because the method has run. Its text is kept. An error whose own methods
// panic, such as a nil pointer that is returned as an error, is an [ErrPanic] of the method.
//
// # Turns
//
// A silo may run turns only while it reaches most of the other silos. One that has stood still or was cut off
// for some seconds lets its turns go no further: see [ErrFenced]. The context of a turn ends with the turn.
//
// Methods that change nothing may say so, by the directive //grain:readonly: their turns run side by side with
// each other, on as many processors as there are, and never beside another turn. Who waits to change something
// goes before those readers that come later. In an atomic block they run alone, since there to have the turn is
// a lock; one that begins a block has the turn alone from then on, and others may have run before it gets it.
//
// A turn that waits for another grain goes on occupying its own, unless its method says //grain:reentrant: then
// other turns may run while it waits for a call that it has made outside of any block, one after another or
// within each other's waits, and its code goes on when it has the turn again. What it has read of its fields
// before may have changed. With several calls under way at a time, on goroutines of its own, it goes on when the
// last has come back; such goroutines must leave the fields alone.
//
// A call that comes back to a grain which waits for it, A → B → A, runs where nobody can then wait for himself:
// if the turn of A that waits is of a reentrant method; if all of A's that wait, and the call, are of readonly
// ones; or inside one atomic block (package txn). Otherwise it fails at once with [ErrCycle], which names the
// chain. Calls that cross each other, A → B beside B → A, are no chain: they wait until a deadline ends one.
//
// # Upgrades
//
// Silos and clients of an old and a new build of a package work side by side, so that silos can be replaced one by
// one while calls go on: calls tell with which interface their caller was built. What grainc lets pass can be
// mixed: methods and fields that were added, methods and fields by another name (//grain:was). Old code passes
// over a field that it does not know, and what it writes into state lacks it, unless the struct there embeds
// [Unknown]: embed that in what is kept in a [txn.State], or let new code write a new field once no old silo is left.
//
// A method that only the new build has is refused with [ErrNoSuchMethod] where the grain is at an old silo still.
// No other silo is tried, because a grain has one place; the call did not run, and it runs when the silo has been
// replaced. Builds whose lock files have no history in common refuse each other with [ErrIncompatible]. Both
// errors name kind, versions, and nodes.
//
// # Lifecycle
//
// An implementation that has the method OnActivate(context.Context) error is told before its first turn,
// and is not activated if it returns an error; one that has OnDeactivate(context.Context) error is told
// after its last, unless its silo dies or is cut off.
//
// A grain that nobody calls leaves the silo's memory after Config.IdleAfter, or the time of its kind's own
// directive //grain:idle; when memory is short (Config.MemoryLimit) those that were idle the longest go before.
// [Deactivate] ends an activation at the grain's own wish, and [KeepAlive] keeps it.
//
// A grain moves when silos come and go. What its activation holds in memory is gone then, unless the
// implementation is a [HandsOver].
package grains

import (
	"context"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

type (
	// ID names a grain: its kind ("wine.User") and the text of its key ("alice"). IDs compare with ==. Methods:
	//
	//	Kind() string    // the qualified name of the kind
	//	Key() string     // the text of the key
	//	IsZero() bool    // it names nothing
	//	String() string  // "wine.User/alice"
	ID = wire.ID
	// Kind is anything that a silo hosts: a grain, a variable, an operator, a process. The functions
	// Grains and Shared that grainc writes list a package's.
	Kind = wire.Kind
	// Caller is anything that grains can be called from: a silo, a client, a grain.
	Caller = wire.Caller
	// Call is what a silo's Config.Authorize is asked about, with the fields
	//
	//	Principal string
	//	Grain     ID
	//	Method    string
	//	Variable  ID
	//
	// and a String for logs: a call of Grain's Method, or a write of
	// Variable, of which the other is zero. Principal is the name in the caller's certificate, "" without
	// TLS. With a Grain and no Method, an atomic block that was begun outside the silos is about to change
	// the grain's state: the methods that did so were asked about before, where they were called as usual.
	Call = wire.Access
	// Unknown, embedded in a struct that travels or is stored, or as a field of it, keeps the fields of newer
	// builds that this one does not know, and writes them back: so a silo of the old build that reads a state
	// and writes it during a rolling upgrade loses nothing of it. Without it such fields are skipped. They cost
	// what they are long; elements of sets and keys cannot hold it.
	Unknown = wire.Unknown
	// RemoteError is an error of a method that has no identity on this side of the wire. It has one field, Text
	// string, which is what its Error says.
	RemoteError = wire.RemoteError
	// CallError is an error of a call that its method did not return, or, inside of one that a method returned,
	// that of a call which the method had made. Its fields:
	//
	//	To       ID      // the grain that was called
	//	Method   string
	//	Cause    error   // wraps one of this package's errors; so does what Unwrap returns
	//	Call     BlockID // names a call of unknown fate that came from outside: for txn.Outcome; or zero
	//	Detail   string  // what happened, for people
	//	Ended    error   // context.Canceled or DeadlineExceeded, where the context ended it; errors.Is finds it
	//	PassedOn bool    // a method returned it: it is of a call of that method's
	//
	// where BlockID is a struct of two uint64, Client and Seq; txn.IDOf returns it. See Errors.
	CallError = wire.CallError
)

// Keyed marks a grain interface; K is the type of its key: a string, an int64, a [16]byte, a type made
// of one of them, or a struct of them.
type Keyed[K comparable] interface {
	// GrainID names the grain that a reference is to.
	GrainID() ID
}

type grain = wire.Grain

// Implements is embedded by the struct that implements the grain interface T. It makes the struct a
// Caller, and gives it GrainID and no other method. A struct that no silo made has none of this: its
// methods must not be called.
type Implements[T any] struct{ grain }

// Implementation is the struct that implements a grain: whatever embeds [Implements].
type Implementation = wire.Implementation

// Deactivate ends the grain's activation when the turn that runs is over, and those that run beside it or have
// been given up: OnDeactivate is called, and the next call activates it anew. Calls that wait, or come meanwhile,
// go to the next activation. It returns at once, and may be called from any goroutine; once is enough.
func Deactivate(g Implementation) { wire.Deactivate(g) }

// KeepAlive keeps the grain in memory for d from now on, though nobody calls it and memory is short; not where it
// moves, or its silo stops. The last call counts, and one with 0 takes an earlier one back. It costs a lock, and
// may be called from any goroutine.
func KeepAlive(g Implementation, d time.Duration) { wire.KeepAlive(g, d) }

// HandsOver is implemented by grains that take what they have in memory along when they move to another
// silo: a cache, a count that may be lost. It makes a move cheaper and nothing safer. Whatever must not be
// lost belongs into [txn.State], a variable, or a store of the grain's own.
//
// HandOver is called at the old silo after the last turn, before OnDeactivate, where the grain moves because
// silos have come or leave; not where the activation ends for another reason, and not where the silo has died
// or was cut off. Nil says that there is nothing. ctx bounds it: 5 seconds for all grains that move at one
// time.
//
// TakeOver is called at the new silo with the same bytes, after OnActivate and before the first turn. It is
// called at most once for what HandOver returned, and never when another activation has served the grain in
// between. It may not be called at all: the memory may be larger than a message (Config.MaxMessage), or than
// the room that the new silo has for such memory, get lost on its way, or be forgotten because nobody called
// the grain for 30 seconds. A grain whose TakeOver fails, or panics, is made anew, activated, and goes on
// without; the silo's log says so.
type HandsOver interface {
	HandOver(ctx context.Context) ([]byte, error)
	TakeOver(ctx context.Context, memory []byte) error
}

// Errors of calls, for errors.Is.
var (
	// ErrUnknown: the call was sent and nobody can say whether it ran. [txn.Outcome] can, for a call
	// that begins an atomic block.
	ErrUnknown = wire.ErrUnknown
	// ErrNotExecuted: the call did not run and will not; calling again is safe. Some refusals that are final are not
	// among it: see Errors.
	ErrNotExecuted = wire.ErrNotExecuted
	// ErrNoLease: the call did not run, because the silo that it was made at, or the silos that it reached,
	// have no lease: they do not reach most of the silos, and only those that do may serve grains. It
	// matches ErrNotExecuted too. Call from, or at, another silo, or again when the silos reach each other.
	ErrNoLease = wire.ErrNoLease
	// ErrFenced is what a turn gets that goes on after its silo has lost the right to run it: the process
	// stood still for longer than its lease, was cut off from most silos, or the grain is at another one by
	// now. The turn's context is cancelled with it as the cause. Nothing that the turn does through the
	// framework counts any more, and its caller is told ErrUnknown: return.
	ErrFenced = wire.ErrFenced
	// ErrNoSuchKind: no silo that could be reached hosts the grain's kind; the list of kinds that the
	// silos were started with lacks it.
	ErrNoSuchKind = wire.ErrNoSuchKind
	// ErrNoSuchMethod: the call did not run, because the build of the grain's silo lacks the method; the text
	// names both versions. It matches ErrNotExecuted too: see Upgrades.
	ErrNoSuchMethod = wire.ErrNoSuchMethod
	// ErrDenied: the silos' Config.Authorize refused it. It did not run, and calling again does not help.
	ErrDenied = wire.ErrDenied
	// ErrOverloaded: the call did not run, because too much waits already, at its grain, its silo or this
	// node. It matches ErrNotExecuted too; calling again at once makes it worse.
	ErrOverloaded = wire.ErrOverloaded
	// ErrIncompatible: the call did not run, because caller and silo were built from versions of the
	// interface that cannot talk. The text names both.
	ErrIncompatible = wire.ErrIncompatible
	// ErrStreamLost: a stream ended before its end, because its grain has moved or ended, or its reader
	// paused for too long. What was read is good; range over a new one.
	ErrStreamLost = wire.ErrStreamLost
	// ErrYieldInBlock: a stream's method has yielded inside an atomic block that it began, which would stay open
	// for as long as the reader likes. The block had no effect, and the stream is over.
	ErrYieldInBlock = wire.ErrYieldInBlock
	// ErrOneWayInBlock: a one-way call was made inside an atomic block, and would leave before that is decided.
	// It did not run and matches ErrNotExecuted too: make it after the block.
	ErrOneWayInBlock = wire.ErrOneWayInBlock
	// ErrCycle: the call would wait for a grain that waits for it; its text names the chain.
	ErrCycle = wire.ErrCycle
	// ErrTooLarge: arguments or result exceed what one message may carry (Config.MaxMessage of silos and
	// clients, in bytes). It matches ErrNotExecuted too where it is the arguments; too large a result is one of a
	// call that ran.
	ErrTooLarge = wire.ErrTooLarge
	// ErrPanic: the method panicked; its silo's log has the stack.
	ErrPanic = wire.ErrPanic
)
