package grains

import "github.com/martinelli-go/martinelli/grains/wire"

// Stats are a silo's own counters (silo.Silo.Stats). Counts begin anew where the silo was removed by the others
// and has joined again.
type Stats struct {
	// Activations is how many grains of each kind are in memory.
	Activations map[string]int
	// Waiting is how many calls wait for their turn.
	Waiting int64
	// Refused counts calls that were refused because too much waited ([ErrOverloaded]).
	Refused uint64
	// OneWay is what became of the one-way calls that were made on the silo, and of those that it has taken in.
	OneWay OneWayCounts
	// Dropped counts messages from other nodes that found no room or nobody to take them: those of replicas and
	// operators are repaired, others are asked for again.
	Dropped uint64
}

// OneWayCounts is what became of one-way calls at a silo (Stats) or a client (its OneWay).
type OneWayCounts = wire.OneWayCounts
