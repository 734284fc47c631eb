// Package host keeps the replicas of variables that a silo holds: it stores them, lets places on the silo
// write and read them, and keeps them equal to the other replicas.
//
// It is exported for silos and edge nodes, with no compatibility promise.
//
// # A write
//
// A write is made at a replica. Under the variable's lock the operation is prepared and turned into a
// delta, together with what this store keeps for itself about the variable (its dot counter, its row of a
// counter). Both go into one queue. A single goroutine takes all that waits there, writes it as one batch
// and calls fsync once. Only then is the delta joined into the variable's object, given to the
// synchronisation machine and to watchers, and the writer answered. So writes wait for the disk together,
// the same variable's included, and no dot of this store is seen by anybody, not even by a reader here,
// before the counter that minted it is durable. A dot that was shown and lost in a crash would be minted
// again, and the second element that gets it vanishes everywhere.
//
// What arrives from others is joined at once and queued likewise; it is acknowledged and shown to
// watchers when it is durable.
//
// # Placement
//
// A variable is at the silos that the view ranks highest for it, down or not. Besides, a silo may follow
// a whole kind (Host.Follow): it then keeps copies that no write waits for. A silo that ceases to be a
// replica hands over what it has and the others have not (former.go). A new replica
// counts, for what it was none of before, once it has heard from a quorum of the replicas before it, or from
// all of them that are up (newcomer.go); until then it refuses, and others serve.
//
// # Locks
//
// Host.mu guards the machine, variable.mu an object; the first is taken before the second, never after.
// The queue's and the table's locks are leaves. Nobody holds any of them while waiting for the disk or
// the network.
package host
