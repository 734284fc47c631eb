package view

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Frozen makes a table of members without a log, every slot held by its target under the table's number:
// for the tests of hosts, and for a place that has one silo and will have no other. Members without a State
// are Active; those without Kinds host the kinds that are given.
func Frozen(number uint64, kinds []string, members ...Member) *Table {
	t := &Table{Number: number}
	for i, m := range members {
		if m.State == 0 {
			m.State = Active
		}
		if m.Kinds == nil {
			m.Kinds = slices.Compact(slices.Sorted(slices.Values(kinds)))
		}
		m.seat = seat(i + 1)
		t.Members = append(t.Members, m)
	}
	slices.SortFunc(t.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	NewRegistry().arrange(t, true)
	t.index()
	return t
}

// Always is the standing of a silo that a table gives slots to and whose lease never ends: for Frozen tables.
func Always(self Run, t *Table) *Standing {
	s := &Standing{self: self, table: t, until: time.Duration(math.MaxInt64)}
	if m, ok := t.Has(self); ok {
		s.seat = m.seat
	}
	return s
}
