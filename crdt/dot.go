package crdt

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
)

// Actor names who mints dots or owns counter rows: a store, a leased range of an edge node, a replicated
// state machine. 0 is nobody. An actor whose counter was lost is gone: its owner continues as a new one.
type Actor uint64

// Dot names one event: the Counter-th of its Actor. Counters start at 1, so the zero Dot is no event.
type Dot struct {
	Actor   Actor
	Counter uint64
}

// IsZero says whether d names no event.
func (d Dot) IsZero() bool { return d.Actor == 0 || d.Counter == 0 }

// Compare orders dots by actor, then counter.
func (d Dot) Compare(o Dot) int {
	if c := cmp.Compare(d.Actor, o.Actor); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, o.Counter)
}

// String prints the dot as actor.counter, both decimal.
func (d Dot) String() string { return fmt.Sprintf("%d.%d", d.Actor, d.Counter) }

// hash spreads d over 64 bits, so that sums of hashes tell sets of dots apart. It is part of digests and
// must not change between releases.
func (d Dot) hash() uint64 {
	const k0, k1, k2 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3
	hi, lo := bits.Mul64(uint64(d.Actor)^k0, d.Counter^k1)
	hi, lo = bits.Mul64(hi^lo^k2, uint64(d.Actor)+d.Counter*k0+k1)
	return hi ^ lo
}

// Minter hands out the dots of one actor from a counter that its owner keeps durably, leased ahead of use.
// The counter never comes from a Context: what a context holds after a crash or a restore may lack dots
// that others have seen, and a dot that is used twice loses data without a trace.
type Minter struct {
	// Actor is whose dots are minted; not 0.
	Actor Actor
	// Next is the counter that the next dot is above: that of the dot handed out last, 0 before the first.
	Next uint64

	rules draftRules // of drafts that take effect in this name
	mute  string     // the type without Effect that this is the draft's minter of; see NewDraftOf
}

// Mint hands out the next dot. It panics when Actor is 0 or the counter is used up.
func (m *Minter) Mint() Dot {
	if m.mute != "" {
		panic(fmt.Sprintf("crdt: %s has no Effect, so its changes have no identity: give it Effect (see crdt.Operation), or use mutators that take no minter", m.mute))
	}
	if m.Actor == 0 {
		panic("crdt: Minter without an Actor: set it to the actor whose counter this is")
	}
	if m.Next == math.MaxUint64 {
		panic(fmt.Sprintf("crdt: actor %d has no dots left: continue under a new actor", m.Actor))
	}
	m.Next++
	return Dot{Actor: m.Actor, Counter: m.Next}
}

// DotReused is what Set.Add panics with when the minted dot is one that the set has seen: the minter's
// counter was lost or shared. Going on would lose the element at every replica.
type DotReused struct {
	Dot Dot
}

// Error says which dot and what to do.
func (e *DotReused) Error() string {
	return fmt.Sprintf("crdt: dot %v was minted before: the counter of actor %d was lost or is shared; continue under a new actor",
		e.Dot, e.Dot.Actor)
}
