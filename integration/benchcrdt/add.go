package main

import (
	"context"
	"runtime"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// add is what adding elements has cost, for each, and what they hold.
type add struct {
	bare, set         report.Costs
	bareHeld, setHeld float64 // bytes an element: map[K]struct{} and set
}

func (a *add) ratio(figure func(report.Cost) float64) float64 {
	return report.Ratio(a.set, a.bare, figure)
}

// more is what an element holds beyond what it would in a map[K]struct{}.
func (a *add) more() float64 { return a.setHeld - a.bareHeld }

// measureAdd lets a bare map and a set grow from empty to the keys, in turns.
func measureAdd[K comparable](ctx context.Context, keys []K, rounds, times int) (a add, err error) {
	costs, err := report.Alternate(ctx, rounds,
		func() report.Cost {
			return report.Timed(len(keys)*times, func() {
				for range times {
					runtime.KeepAlive(fillMap(keys))
				}
			})
		},
		func() report.Cost {
			return report.Timed(len(keys)*times, func() {
				for range times {
					runtime.KeepAlive(fillSet(keys))
				}
			})
		})
	if err != nil {
		return a, err
	}
	a.bare, a.set = costs[0], costs[1]
	members, held := report.Held(func() map[K]struct{} {
		m := map[K]struct{}{}
		for _, k := range keys {
			m[k] = struct{}{}
		}
		return m
	})
	a.bareHeld = held / float64(len(keys))
	runtime.KeepAlive(members)
	members = nil
	s, held := report.Held(func() *crdt.Set[K] { return fillSet(keys) })
	a.setHeld = held / float64(len(keys))
	runtime.KeepAlive(s)
	return a, nil
}

func fillMap[K comparable](keys []K) map[K]uint64 {
	m := map[K]uint64{}
	for i, k := range keys {
		m[k] = uint64(i)
	}
	return m
}

// fillSet adds keys one by one and drops each delta, as who has sent it would.
func fillSet[K comparable](keys []K) *crdt.Set[K] {
	s, m := crdt.NewSet[K](), &crdt.Minter{Actor: 1}
	var delta *crdt.Set[K]
	for _, k := range keys {
		delta = s.Add(m, k)
	}
	runtime.KeepAlive(delta)
	return s
}

func addSection(kind string) *report.Section {
	return &report.Section{
		Title:   kind + ": add to an add-wins set, its delta made, from empty to n; an element",
		Columns: report.Row{"n", "map insert", "add", "ratio", "ratio of CPU", "allocs, map", "allocs, add", "B, map[K]struct{}", "B, set", "B more"},
		Notes: []string{
			"The map is a map[K]uint64. Neither is made in its final size; the garbage collector is on. The delta is one allocation.",
			"Bytes are of the heap after a garbage collection. Strings' 16 bytes are shared with the list of keys and count for neither.",
		},
	}
}

func (a *add) row(n int) report.Row {
	return report.Row{
		n, report.Nanos(a.bare.Median(report.Time)), report.Nanos(a.set.Median(report.Time)),
		report.Number(a.ratio(report.Time)), report.Number(a.ratio(report.CPU)),
		report.Number(a.bare.Median(report.Allocs)), report.Number(a.set.Median(report.Allocs)),
		report.Number(a.bareHeld), report.Number(a.setHeld), report.Number(a.more()),
	}
}
