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
// # Joining
//
// A store that did not found asks the leader, by way of any silo of the cluster:
// [Join] on its side, [Group.Admit] on the leader's. It promises itself to that
// cluster, durably, before the leader adds it, and is a member from the entry of
// the log on that says so. Its group is opened without founders
// ([Config.Identity] instead), is [Waiting] with nothing in it, and is given the
// log or a snapshot. What the store remembers keeps it from being a member of
// two clusters, and from voting after it has lost what it acknowledged: a log
// that is gone is [*Damaged], a copy of the directory that is older than the
// membership is a [*ForeignStore].
//
// # Members
//
// [Group.Members] tells who is a member, on every replica, and when that
// changes. The leader changes it, one store at a time: [Group.Add] (without a
// vote; also a new address), [Group.Promote], [Group.Demote], [Group.Remove].
// Each change names the [Members.Version] that it was decided from, so that of
// two who decide at once only one gets through; what an error means is as for
// entries. Who should vote is not decided here.
//
// A store that was removed is that for good. It learns so from the log, or, if
// it was away, from the first member that it asks: every connection begins with
// the store's id and its newest configuration. From then on its [Standing] is
// [Removed], it calls nobody, and [Open] refuses it with [*StoreRemoved].
//
// # Storage
//
// With [Config.Dir] the log lies in Dir/raft (raft-wal, each append forced to
// disk before it counts) and snapshots in Dir/snapshots; without it both are in
// memory and gone with the process.
package consensus
