// Package commit holds the machines of atomic blocks: locks, decisions, recovery. They are plain state
// machines without I/O, clocks or goroutines; hosts drive them over a log and a network.
//
// # The way of a block
//
// A coordinator (a silo, or a client process) has a client number from the log ([Register]) and begins
// a [Block] under its next [ID]. Its calls carry the attempt and the block's age ([Holder]). Each grain
// activation that they reach admits them through its [Turnstile]: one turn at a time, one lock on its
// transactional state, and an older block wounds a younger one that is in its way, so that blocks never
// wait in a ring. What an activation reads it names by version ([Versions]); what it did it reports as a
// [Record] with every answer. When the function of the block has returned, the coordinator makes one
// [Decision] of the records and submits it to the log. At that moment, and not when the outcome is
// known, the participants release their locks: successors read the tentative version, name it, and
// fail with it.
//
// The [Ledger] applies the log. It commits a decision if every version that it read is the current
// one, and keeps the outcome, so that a retry, a duplicate or a question gets the same answer:
//
//	entry := commit.EncodeEntry(decision)           // many decisions may share an entry
//	results, err := commit.DecodeResults(ledger.Apply(pos, entry))
//
// # What it promises
//
// Committed blocks are strictly serializable, in the order of the log. That rests on two things: the
// ledger's check by version name, which makes a stale activation, a lost lock or a crashed participant
// harmless, and that a name stands for one value: an attempt is made by one coordinator, once (see
// [Inquire] for taking a block over), and changes nothing after its submission. Locks are there so that
// blocks seldom fail.
//
// At most one attempt of an ID commits. An attempt that was refused once stays refused. Whoever asks
// for an unknown ID has its abort recorded before the answer. What was dropped is Forgotten, never
// aborted.
//
// A block's operations on variables become deltas when its entry is applied, under the ledger's own
// actor, and stay in the ledger until all silos that it waits for have logged them: those that have reported
// [Logged] once and have not [Left].
package commit
