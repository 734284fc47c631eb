package grains

import "github.com/martinelli-go/martinelli/grains/wire"

// Stats are a silo's own counters (silo.Silo.Stats). Counts begin anew where the silo was removed by the others
// and has joined again.
type Stats struct {
	// Activations is how many grains of each kind are in memory.
	Activations map[string]int
	// Calls is how many calls run or wait, Waiting how many of them wait for their turn, and ArgumentBytes what
	// the arguments of those measure that came from elsewhere.
	Calls, Waiting, ArgumentBytes int64
	// Refused counts calls that were not executed, Collected grains that left memory though they did not move.
	Refused   RefusedCalls
	Collected CollectedGrains
	// OneWay is what became of the one-way calls that were made on the silo, and of those that it has taken in.
	OneWay OneWayCounts
	// Dropped counts messages from other nodes that found no room or nobody to take them: those of replicas and
	// operators are repaired, others are asked for again.
	Dropped uint64
}

// OneWayCounts is what became of one-way calls at a silo (Stats) or a client (its OneWay), since it began. Its
// fields:
//
//	Pending     int    // are on their way, or wait for their turns here
//	Delivered   uint64 // have run here, or were taken in by the silo that has the grain
//	Failed      uint64 // have run here, and the method returned an error or panicked
//	Undelivered uint64 // did not run: their time was over, nothing could run them, or OnActivate failed
//	Unknown     uint64 // may have run
//	Refused     uint64 // were not begun, because too much was on its way; their callers were told so
type OneWayCounts = wire.OneWayCounts

// RefusedCalls counts calls that were not executed, by reason: [ErrOverloaded] all but Expired.
type RefusedCalls struct {
	Grain   uint64 // as many waited at the grain as may (the silo's Config.Queue)
	Calls   uint64 // as many waited or ran at the silo as may (Config.Calls)
	Bytes   uint64 // their arguments measured as much as they may (Config.CallBytes)
	Node    uint64 // requests of all sorts that the silo's connections had no room for (Config.PeerCalls and its like)
	Expired uint64 // the deadline passed, or the caller gave up, before the turn came; such a call is not made again
}

// CollectedGrains counts grains that left a silo's memory though they did not move, by reason.
type CollectedGrains struct {
	Idle      uint64 // nobody called for long enough
	Memory    uint64 // memory was needed
	Requested uint64 // the grain asked for it
}
