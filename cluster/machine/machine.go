package machine

import (
	"strconv"
	"time"
)

// Machine is a protocol: inputs of type I go in, effects of type E come out.
type Machine[I, E any] interface {
	// Step takes one input at the time now, which never goes back, and returns out with the effects of
	// the input appended. It is not safe for concurrent use, does not block and does not keep out.
	Step(now time.Duration, in I, out []E) []E
}

// NodeID names a participant for as long as its storage lives: a silo's store id. It is minted with the
// data directory, and again after its loss; it says nothing about which run of the process is meant.
// Zero names nobody.
type NodeID uint64

// String prints the id as n followed by its decimal digits.
func (n NodeID) String() string { return "n" + strconv.FormatUint(uint64(n), 10) }

// Incarnation names one run of a participant's process. Two runs of one node never have the same one, and
// a later run has the greater. Whatever is agreed between two processes (windows, acknowledgements,
// leases) is valid for a pair of incarnations and ends with either. Zero names no run.
type Incarnation uint64

// String prints the incarnation as # followed by its decimal digits.
func (i Incarnation) String() string { return "#" + strconv.FormatUint(uint64(i), 10) }
