package view

import (
	"github.com/zeebo/xxh3"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Slots is the number of slots that the key space of a kind is divided into.
const Slots = 4096

// SiloID is the text of a silo's store id: it names a data directory, over all runs of the process.
type SiloID string

// mix is a finalizer over two words (Steele, Lea, Flood 2014, the one of SplitMix64): neighbouring slots
// and similar names must not give similar weights.
func mix(a, b uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func hash(id wire.ID) uint64 {
	h := xxh3.HashString(id.Kind())
	return xxh3.HashStringSeed(id.Key(), h)
}

// Slot is the slot of a grain, an operator or a process.
func Slot(id wire.ID) int { return int(mix(hash(id), 0) % Slots) }

// DefaultReplicas is how many replicas a variable has whose declaration does not say.
const DefaultReplicas = 3
