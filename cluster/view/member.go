package view

import (
	"cmp"
	"fmt"
	"slices"
)

// Run names one run of one silo's process: the store, which outlives it, and the incarnation, which does
// not. A later run of a store has the greater incarnation.
type Run struct {
	ID          SiloID
	Incarnation uint64
}

// IsZero says whether r names nothing.
func (r Run) IsZero() bool { return r == Run{} }

func (r Run) String() string { return fmt.Sprintf("%s#%d", r.ID, r.Incarnation) }

func (r Run) compare(o Run) int {
	return cmp.Or(cmp.Compare(r.ID, o.ID), cmp.Compare(r.Incarnation, o.Incarnation))
}

// State is how far a run of a silo is.
type State uint8

const (
	// Joining is a silo that was let in and does not serve yet.
	Joining State = iota + 1
	// Active is a silo that holds slots, or will be given some.
	Active
	// Leaving is a silo that releases its slots and gets no more.
	Leaving
	// Dead is a run that ended: it left, or it was removed. It holds nothing and cannot come back; a
	// later run of the same store can.
	Dead
)

func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Active:
		return "active"
	case Leaving:
		return "leaving"
	case Dead:
		return "dead"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Pair is a name with a value, a label or a version.
type Pair struct{ Name, Value string }

// Member is one silo as a view sees it: its newest run.
type Member struct {
	Run
	State State
	Addr  string
	// Kinds are the kinds that it hosts, sorted: grains, operators, processes.
	Kinds []string
	// Labels and Versions say what people want to know of it, sorted by name.
	Labels, Versions []Pair
	// Voter says that its store votes in the view group. It is a report for people and tools: the group's
	// own configuration decides.
	Voter bool
	// Since is the number of the view in which it came to its State.
	Since uint64

	seat seat
}

// seat numbers the runs that were ever let in, from 1. No two runs have the same one.
type seat uint32

// Hosts says whether the member hosts a kind.
func (m *Member) Hosts(kind string) bool {
	_, ok := slices.BinarySearch(m.Kinds, kind)
	return ok
}

// Alive says that the run has not ended as far as the view knows.
func (m *Member) Alive() bool { return m.State != Dead }

const (
	maxMembers = 1 << 10 // that are alive
	maxDead    = 1 << 7  // that are remembered besides voters
	maxVoters  = 1 << 6  // far more than there are
	maxKinds   = 1 << 10 // of one member
	maxPairs   = 1 << 6  // labels or versions of one member
	maxName    = 1 << 8  // bytes of an id, an address, a kind, a label
)

// normal returns m with sorted lists, its own, or says what is wrong with it.
func (m Member) normal() (Member, error) {
	m.Kinds = slices.Compact(slices.Sorted(slices.Values(m.Kinds)))
	m.Labels, m.Versions = sortedPairs(m.Labels), sortedPairs(m.Versions)
	return m, m.check()
}

func sortedPairs(p []Pair) []Pair {
	return slices.SortedFunc(slices.Values(p), func(a, b Pair) int { return cmp.Compare(a.Name, b.Name) })
}

// check says what is wrong with a member that somebody sent.
func (m *Member) check() error {
	tooLong := func(s string) bool { return len(s) > maxName }
	rising := func(p []Pair) bool {
		return slices.IsSortedFunc(p, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.Name, b.Name), -1) })
	}
	switch {
	case m.ID == "" || tooLong(string(m.ID)):
		return fmt.Errorf("view: a member whose store id has %d bytes: want 1 to %d", len(m.ID), maxName)
	case m.Incarnation == 0:
		return fmt.Errorf("view: member %s has no incarnation", m.ID)
	case tooLong(m.Addr):
		return fmt.Errorf("view: member %s: an address of %d bytes: at most %d", m.ID, len(m.Addr), maxName)
	case len(m.Kinds) > maxKinds:
		return fmt.Errorf("view: member %s hosts %d kinds: at most %d", m.ID, len(m.Kinds), maxKinds)
	case slices.ContainsFunc(m.Kinds, tooLong):
		return fmt.Errorf("view: member %s: a kind's name is longer than %d bytes", m.ID, maxName)
	case !slices.IsSortedFunc(m.Kinds, func(a, b string) int { return cmp.Or(cmp.Compare(a, b), -1) }):
		return fmt.Errorf("view: member %s: kinds are not sorted, or one is there twice", m.ID)
	}
	for what, pairs := range map[string][]Pair{"labels": m.Labels, "versions": m.Versions} {
		if len(pairs) > maxPairs {
			return fmt.Errorf("view: member %s has %d %s: at most %d", m.ID, len(pairs), what, maxPairs)
		}
		if !rising(pairs) {
			return fmt.Errorf("view: member %s: %s are not sorted, or one is there twice", m.ID, what)
		}
		if slices.ContainsFunc(pairs, func(p Pair) bool { return tooLong(p.Name) || tooLong(p.Value) }) {
			return fmt.Errorf("view: member %s: one of its %s is longer than %d bytes", m.ID, what, maxName)
		}
	}
	return nil
}
