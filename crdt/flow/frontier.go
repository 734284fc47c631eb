package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Frontier says how far a collection has come: for each source that it depends on, the number of the last
// of that source's batches that it contains. Numbers begin at 1; 0 is before the first.
type Frontier map[string]uint64

// Covers says whether f is as far as g or farther for every source of g.
func (f Frontier) Covers(g Frontier) bool {
	for source, n := range g {
		if f[source] < n {
			return false
		}
	}
	return true
}

func (f Frontier) String() string {
	parts := make([]string, 0, len(f))
	for _, source := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, fmt.Sprintf("%s:%d", source, f[source]))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// Change is a change of a collection with the frontiers between which it lies. An empty batch still
// counts: it says that nothing happened, and whoever waits for that must hear it.
type Change struct {
	From, To Frontier
	Batch    []byte
}

// GapError says that a change does not follow what was taken before: changes between were lost. The one
// who sends must be asked for the missing ones, or the state restored from a snapshot. Nothing was taken.
type GapError struct {
	Node     string
	Port     int
	Held     Frontier // what was taken at that port so far
	From, To Frontier // of the change that was refused
}

func (e *GapError) Error() string {
	return fmt.Sprintf("flow: node %q, port %d: a change from %v to %v does not follow %v; ask for what is missing, or restore a snapshot",
		e.Node, e.Port, e.From, e.To, e.Held)
}
