// Package view is who the silos are, which of them may serve what, and how they agree on it: pure
// functions and plain state machines. Nothing here does I/O, reads a clock or starts a goroutine.
//
// # Views, leases and slots
//
// The silos of a cluster share one replicated log, the view group. Its entries are [Command]s, and the
// [Registry] makes numbered views of them, each a [Table]: the members, and who holds each slot.
//
// The key space of a kind is [Slots] slots. Each has a holder, a token, the number of the view in which the
// holder acquired it, and a target. Every node finds a grain in its own copy of the table, without asking.
// That no grain acts twice at once, in a way that counts, rests on four things:
//
//   - The holder of a slot changes only by its own logged [Release] or by its logged removal.
//   - A silo serves only under its [Lease], which runs for 2.5 s from the moment when the silo asked for
//     it, and which it has when the log has its renewal.
//   - A removal is void if the log has a renewal of that silo that the leader did not know of when it
//     decided; and it decides 1.1 leases after the last one that it knows. So whoever acquires the slots
//     does so after the lease of who held them has run out, whatever became of messages and leaders.
//   - Tokens travel with calls, replies and writes, and a [Fence] refuses those of activations that have
//     successors: what is late under way does nothing.
//
// Who holds a slot is sticky; who is to hold it is computed (rendezvous hashing with bounded loads, see
// place.go), and the holder hands over in three steps: sealed, released, served at the target. Kinds that
// only some silos host are dealt out among those: see Table.
//
// # How a host drives this
//
// A silo runs four machines under one lock or on one goroutine, in the form of package machine:
//
//	Registry   the log's state machine: consensus.FSM's Apply, Snapshot and Restore call Apply, Snapshot
//	           and Restore; what Apply returns (after Restore: Current) goes into the other three
//	Keeper     every silo: joins, renews, takes and gives slots
//	Detector   every silo: watches its neighbours
//	Lead       the leader of the log, one for each term
//
// What comes in, and where it comes from:
//
//	Tick       every 50 ms, to all three
//	Applied    each entry that the registry has applied, in order, to all three
//	Heard      to the Keeper: another silo, in a probe for example, named a view whose number is greater than the Table's
//	Started    to the Keeper: the host is ready to serve, its log is caught up
//	Drained    to the Keeper: rows of a Seal have no turn left
//	Stop       to the Keeper: SIGTERM
//	Probed     to the Detector: a probe arrived, see DecodeProbe
//	Asked      to the Lead: another silo's Ask (its own too) arrived, see DecodeCommands
//	Vote       to the Lead: another silo's Verdict (its own too) arrived, see DecodeVote
//	Expel      to the Lead: an operator wants a silo removed that cannot be told to stop
//
// What goes out, and what the host does about it:
//
//	Ask        send the command to the leader of the log, at once: a renewal is as old as its mark. Who
//	           gets one and does not lead drops it; the Keeper asks again
//	SendProbe  send the probe, on a connection where nothing larger is in its way
//	Verdict    send the vote to the leader
//	Propose    submit EncodeCommands(commands...) to the log and forget it: what becomes of it is seen in
//	           Applied, or is proposed again
//	Serving    the silo is active
//	Gained     rows are held from now on; state may be fetched ahead
//	Seal       no turn starts there any more (Standing sees to that): answer what is queued with the
//	           Refusal, save or hand over each grain when its turn ends, then say Drained
//	Ended      drop every activation; if removed, start again with a new incarnation
//
// A Lead is made when leadership is gained and everything before it is applied (consensus.Group.IsLeader;
// Leadership.Term names the term), and dropped when it is lost. Who has no view yet, because it is not in
// the log's configuration, sends its Join to any silo, which passes it on to the leader.
//
// After each Step of the Keeper the host publishes its [Standing] in an atomic pointer; calls, turns and
// replies are checked there, on any goroutine: Activate, Begin, Resume, Reply, Forward. The clock of all of
// this must count suspension (CLOCK_BOOTTIME on Linux).
//
// The leader also asks the [Electorate] now and then who is to vote, and changes the log's configuration,
// one server at a time.
package view
