// Package variable is shared state: CRDT variables that are declared in code, keyed at run time, and
// replicated.
//
//	var (
//		Ads       = variable.Set[Ad]("ads", variable.Everywhere)
//		Favorites = variable.By[UserID](variable.Set[WineID]("favorites")) // one for each user
//		Shown     = variable.By[AdID](variable.Counter("shown"))
//	)
//
//	err := Favorites.At(c, "alice").Add(ctx, "100062")
//
// Besides [Set], [Counter], [Register] and [Map] there are [EWFlag], [DWFlag], [MVRegister], [GSet], [RWSet],
// [BoundedCounter] and [ORMap], and every other type of package crdt, compositions, and lattices of one's own
// by [Of].
//
// A declaration does nothing but name the variable and its type; grainc lists it among the package's
// kinds. Graphs of package dataflow read [Set], [GSet] and [RWSet] as collections of elements, [Map] of
// entries, [ORMap] of keys, and [Counter] and [Register] of one element; the rest is no source, and flow.From
// of it is refused by the compiler. Handles are got by On (a variable) and At (one of a family) on any [Place]: a client, a silo, a
// grain, the turn of a process. They make no call themselves, may be used from several goroutines, and
// cost an allocation.
//
// # What is promised
//
// A write returns when it is applied and logged, on disk where the silo has one, at the nearest replica;
// from there it spreads. A read shows the nearest replica. All replicas that have received the same
// writes, in whatever order and however often, hold the same value (strong eventual consistency), and
// every side of a partition goes on reading and writing. A variable is kept on three silos unless its
// declaration says otherwise.
//
// There are no session guarantees in this version: whoever reads at another replica than the one that took
// a write, because a silo is down or the place is another, may not see that write yet.
//
// Inside an atomic block (package txn) a write is an operation of the block: it is applied everywhere if
// the block commits and nowhere if it does not. A read inside a block does not show what the block has
// written.
//
// Elements of sets, and keys, are comparable values that grainc can encode.
//
// # Costs and errors
//
// On a silo that keeps the variable a read is a lock and a copy, and a write waits for the disk, together
// with all writes that wait there. Anywhere else a write is a round trip to the nearest replica, and a
// read one that brings the variable's whole state: a client that reads much of the same should follow a
// view (package dataflow).
//
// Errors wrap grains.ErrNotExecuted, when a write was surely not made and making it again is safe;
// grains.ErrUnknown, when it may have been (adding to a set again does no harm, adding to a counter again
// may count twice); grains.ErrTooLarge, when one change, or the name with the key, is over its limit;
// grains.ErrNoSuchKind, when the node was not given the variable.
package variable
