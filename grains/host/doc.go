// Package host runs grains: it makes their activations, admits calls to them one turn at a time, and
// keeps their transactional state on behalf of atomic blocks.
//
// It is exported for silos, with no compatibility promise.
//
// # A call
//
// A call that arrives, from this process or from another silo, finds its activation in a sharded table by
// identity, or makes it. The activation's turnstile (package commit) admits it: an idle one at once, on
// the goroutine that brought it. A waiting call holds nothing but its goroutine.
//
// # A right
//
// An activation is begun under a view.Grant. Whether that holds is asked of the newest view.Standing when a
// call has the turn, after everything that the turn waits for through its engine, and before the reply leaves
// (right.go). A turn that is refused is lost for good: its context is cancelled, its blocks are doomed, its
// engine does nothing for it, and its caller is told that the outcome is unknown, or, in a block, that the
// attempt is aborted. The activation ends when another token is in the newest view, and stays where a lease
// has merely run out.
//
// # A block's call
//
// A context inside an atomic block carries a link.Branch. What the turn reads and writes of
// transactional state, and its operations on variables, become the activation's record for that attempt,
// and go back to the coordinator with the reply. The activation then holds the attempt's lock until the
// coordinator's notice comes; an attempt that nothing is heard of is asked about.
//
// # Streams and one-way calls
//
// Open streams hang on the activation's work, so that it keeps that while there are any, and is not idle. One that
// is not read is ended in a turn that the host makes for it; all are ended after the last turn, before
// OnDeactivate. One-way calls are made by the host's link.Outbox, those that it was sent too: they are answered
// when they have been admitted, and from then on this silo sees to them (oneway.go). Stop gives them half of its
// time.
//
// # Ends
//
// An activation ends when its grain has moved, has been idle, or the silo stops: what waits is refused at
// once, what runs goes on, and another activation takes its place only when the last turn has left and
// OnDeactivate has returned. A turn that a block gave up between two tries always comes back before its
// method goes on.
//
// Idle ones go by a walk over the table that looks at a few at a time (collect.go), the longest idle first where
// memory is short (pressure.go); one that a grain asks for itself ends like one that moves.
//
// # Turns that are shared, and turns that are given up
//
// Calls that only read have the turn together, from the first on that finds the grain activated. A block in one
// makes the turn its own first. A turn of a reentrant method is given up for each call that it makes outside of
// blocks, and is back before its code goes on, whatever happens meanwhile (reenter.go): it counts as yielded, so
// that its activation does not end without it. What comes back to a turn, by the chain of calls that wait, is a
// part of it: it may finish where no turn starts any more.
//
// # Bounds
//
// Who would wait behind Config.Queue others at a grain, or be one call or byte too many at the host, is refused
// before it waits (load.go). A call without a deadline waits for link.DefaultTimeout at most; only who waits pays
// for that.
//
// # Locks
//
// The locks of the table's shards, of an activation and of presence are never held while another of them
// is taken, nor while anything waits or calls out.
package host
