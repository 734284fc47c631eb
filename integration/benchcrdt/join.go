package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

const (
	novelty = 10 // elements
	batch   = 10 // novelties that are timed as a whole
)

// join is what joining ten new elements costs.
type join struct {
	bare, set report.Costs // ten inserts, a join of ten
	naive     report.Costs // a join of a full state with ten new
	steps     float64      // counted work of a join, on average over the first batch
}

func (j *join) ratio() float64 { return report.Ratio(j.set, j.bare, report.Time) }

// measureJoin joins novelties of ten elements into a set of keys, and inserts as many into a map of keys. About half
// of the keys have come from the other replica by such novelties: then a set of any size grows as it did, as the
// map does, and neither meets code that has not just run.
//
// Both are made anew, which is not counted, before they have grown by more than a tenth; nothing is taken out
// of them, for a map is slow to take up again what was deleted. No element comes twice, so that nothing has
// its place in a cache before it comes. There must be a tenth as many fresh elements as keys, or ten for
// each join.
func measureJoin[K comparable](ctx context.Context, keys, fresh []K, rounds, joins int) (j join, err error) {
	fresh = fresh[:novelty*min(joins, len(keys)/10/novelty)]
	set := &joining[K]{keys: keys, fresh: fresh}
	builds := max(1, joins*novelty/len(fresh))
	costs, err := report.Alternate(ctx, rounds,
		func() report.Cost { return insertTens(keys, fresh, builds) },
		func() report.Cost { return set.tens(builds) },
	)
	if err = errors.Join(err, set.err); err != nil {
		return j, err
	}
	j.bare, j.set = costs[0], costs[1]
	if len(keys) > 1e6 {
		rounds = 1 // seconds each, and no bar is about it
	}
	naive := newNaiveJoin(keys, fresh)
	costs, err = report.Alternate(ctx, rounds, func() report.Cost { return naive.full(max(1, 1e5/len(keys))) })
	if err != nil {
		return j, err
	}
	j.naive = costs[0]
	j.steps = float64(set.steps) / batch
	return j, nil
}

// settled collects the garbage of what was made, where it is much.
func settled[T any](made T, size int) T {
	if size >= 1e5 {
		runtime.GC()
	}
	return made
}

// insertTens returns the cost of inserting ten fresh keys into a map.
func insertTens[K comparable](keys, fresh []K, builds int) report.Cost {
	var w report.Stopwatch
	for range builds {
		m := settled(fillMap(keys), len(keys))
		for some := range slices.Chunk(fresh, batch*novelty) {
			w.Begin()
			for i, k := range some {
				m[k] = uint64(i)
			}
			w.End()
		}
	}
	return w.Over(builds * len(fresh) / novelty)
}

// joining is sets of keys that novelties of another replica are joined into.
type joining[K comparable] struct {
	keys, fresh []K
	steps       int64 // of the first batch of joins
	err         error // when a join was not one of ten new elements
}

// tens returns the cost of joining a novelty of ten.
func (j *joining[K]) tens(builds int) report.Cost {
	var w report.Stopwatch
	for range builds {
		// Whole blocks of the index are the other's at any size: where a block ends there is a step more.
		half, other := len(j.keys)-len(j.keys)/2&^255, &crdt.Minter{Actor: 2}
		s := fillSet(j.keys[:half])
		for es := range slices.Chunk(j.keys[half:], novelty) {
			s.Join(adding(other, es))
		}
		settled(s, len(j.keys))
		steps := s.Steps()
		for some := range slices.Chunk(j.fresh, batch*novelty) {
			var deltas []*crdt.Set[K]
			for es := range slices.Chunk(some, novelty) {
				deltas = append(deltas, adding(other, es))
			}
			w.Begin()
			for _, d := range deltas {
				s.Join(d)
			}
			w.End()
			if j.steps == 0 {
				j.steps = s.Steps() - steps
			}
		}
		if want := len(j.keys) + len(j.fresh); s.Len() != want {
			j.err = fmt.Errorf("the set has %d elements after all joins, not %d", s.Len(), want)
		}
	}
	return w.Over(builds * len(j.fresh) / novelty)
}

// adding returns the delta of adding keys.
func adding[K comparable](m *crdt.Minter, keys []K) *crdt.Set[K] {
	return crdt.SetOp[K]{Add: keys}.Effect(m)
}

// naiveSet is an add-wins set as it is usually written: the element of each live dot, and the highest dot
// of each actor, under the assumption that dots come in order. A join goes through both states.
type naiveSet[K comparable] struct {
	live map[crdt.Dot]K
	seen map[crdt.Actor]uint64
}

func newNaiveSet[K comparable](keys []K) *naiveSet[K] {
	s := &naiveSet[K]{map[crdt.Dot]K{}, map[crdt.Actor]uint64{}}
	for _, k := range keys {
		s.add(1, k)
	}
	return s
}

func (s *naiveSet[K]) add(a crdt.Actor, k K) {
	s.seen[a]++
	s.live[crdt.Dot{Actor: a, Counter: s.seen[a]}] = k
}

func (s *naiveSet[K]) join(o *naiveSet[K]) {
	for d := range s.live {
		if _, ok := o.live[d]; !ok && d.Counter <= o.seen[d.Actor] {
			delete(s.live, d)
		}
	}
	for d, k := range o.live {
		if d.Counter > s.seen[d.Actor] {
			s.live[d] = k
		}
	}
	for a, n := range o.seen {
		s.seen[a] = max(s.seen[a], n)
	}
}

// naiveJoin is two replicas of a naive set, of which one has ten elements more.
type naiveJoin[K comparable] struct {
	mine, theirs *naiveSet[K]
}

func newNaiveJoin[K comparable](keys, fresh []K) *naiveJoin[K] {
	j := &naiveJoin[K]{newNaiveSet(keys), newNaiveSet(keys)}
	for _, k := range fresh[:novelty] {
		j.theirs.add(2, k)
	}
	return j
}

// full returns the cost of a join, after each of which the ten elements are forgotten again.
func (j *naiveJoin[K]) full(times int) report.Cost {
	var w report.Stopwatch
	for range times {
		w.Begin()
		j.mine.join(j.theirs)
		w.End()
		for c := range j.mine.seen[2] {
			delete(j.mine.live, crdt.Dot{Actor: 2, Counter: c + 1})
		}
		delete(j.mine.seen, 2)
	}
	return w.Over(times)
}

func joinSection(kind string) *report.Section {
	return &report.Section{
		Title:   kind + ": join ten new elements of another replica into n",
		Columns: report.Row{"n", "ten inserts, map", "join of ten", "ratio", "counted work", "naive full-state join", "naive / join"},
		Notes: []string{
			"Counted work is accesses to indexes (Set.Steps), on average over the first ten joins. The map is a map[K]uint64 of n.",
			"The naive set goes through both states.",
		},
	}
}

func (j *join) row(n int) report.Row {
	return report.Row{
		n, report.Nanos(j.bare.Median(report.Time)), report.Nanos(j.set.Median(report.Time)), report.Number(j.ratio()),
		report.Number(j.steps), report.Nanos(j.naive.Median(report.Time)), report.Number(j.naive.Median(report.Time) / j.set.Median(report.Time)),
	}
}
