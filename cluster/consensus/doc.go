// Package consensus hosts one replicated log, a hashicorp/raft group, on each
// silo of a cluster and applies its entries to a state machine.
//
// A [Group] is one replica. The replica that leads takes entries by
// [Group.Propose] (or [Group.Submit], which keeps the order of its calls),
// packs those that arrive together into one entry of the log, and returns what
// the state machine answered. Every other replica applies the same entries in
// the same order.
//
// # Positions
//
// Entries are numbered 1, 2, 3, … in the order in which they are applied, the
// same on every replica. Such a number is a position; it is the only number
// that this package shows. Indexes of the underlying log are not positions:
// one index holds many entries, and many indexes hold none. The count travels
// inside snapshots, before the state machine's own bytes.
//
// # What an error means
//
// An error of Propose that matches [ErrInDoubt] says that the entry may be
// applied, now or later. Every other error says that it never was and never
// will be: [ErrNotLeader], [ErrNotSubmitted], [ErrClosed], [*TooLarge]. What
// was being committed when leadership was lost, what was pending at shutdown
// and whatever the log's storage reports is in doubt, because the entry may
// already lie on disk here or elsewhere and a later leader may commit it.
//
// # Reading
//
// [Group.ReadIndex] returns a position that covers everything committed before
// the call, confirmed by an entry that was committed after the call. A leader
// that has been replaced cannot commit one, so it cannot be fooled, as a check
// of leadership by messages can that were answered before the question was put.
//
// # Founding
//
// A cluster is founded once, by stores that were all empty and all named the
// same list of addresses: [OpenStore], [Found]. Silence never founds. Once
// founded, a store refuses every other cluster, and connections begin with the
// cluster's id.
//
// # Storage
//
// With [Config.Dir] the log lies in Dir/raft (raft-wal, each append forced to
// disk before it counts) and snapshots in Dir/snapshots; without it both are in
// memory and gone with the process.
package consensus
