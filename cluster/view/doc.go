// Package view is who the silos are, which of them are up, and what is placed where: pure functions and
// one replicated machine.
//
// In this version the silos of a cluster are a fixed list, the founders. An [Entry] of the replicated log
// says that a run of one of them is up or down; the [Machine] makes numbered views of them. Every node
// computes the same placement from its copy of a view, without asking anybody:
//
//   - The key space is [Slots] slots. A slot's owner is the silo that is up and has the highest weight for
//     it (rendezvous hashing; Thaler and Ravishankar 1998), so that a silo which goes takes only its own
//     slots with it, and they spread over all others. Grains, operators and processes are at the owner of
//     their slot.
//   - Replicas of a variable are on the silos with the highest weights for it among all founders, down or
//     not: a silo that comes back is still a replica, and catches up.
package view
