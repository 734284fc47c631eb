// Package replica keeps the variables of a node equal to those of its neighbours: it sends what is new,
// and finds and repairs what differs. One Machine serves all variables that the node replicates.
//
// A variable is an Object: opaque state of which the machine knows how to join a delta, which returns the
// novelty, how to hash it and how to say what it lacks. Only novelties travel on, and never back to where
// they came from. What arrives is joined at once, but it is acknowledged, forwarded and shown to watchers
// only after the host has logged it.
//
// # Streams
//
// To each neighbour there is one stream of numbered novelties, in the order in which they became durable
// here, with acknowledgement, retransmission and a window that is bounded in bytes. A stream is valid for
// one incarnation of either end. What overflows the window is dropped and its variables are repaired
// instead: a neighbour that does not answer costs a bounded amount of memory and loses nothing.
//
// # Repair
//
// A pass compares all variables that two nodes share. The space of the keys' hashes is cut into ranges of
// some sixteen variables; one side sends sums of state hashes, the other answers with the keys and hashes
// of the ranges that differ, up to a limit, and with how far it got. Variables that differ are then
// repaired one by one: the first side sends their digests, the other answers each with the delta that it
// has more and with its own digest, and what that lacks goes into the stream. States' hashes decide, not
// versions or contexts, so removals are found, too. All of this is driven by one side, which repeats a
// question until it is answered; the other keeps nothing in mind.
//
// An unknown incarnation begins with a pass. So does a change of what is shared (Replaced). A slow pass
// every Config.AntiEntropy is the safety net.
//
// Both ends make a pass when they meet: the one with the lower id at once, the other when the first says
// that it is done, and so usually finds nothing.
package replica
