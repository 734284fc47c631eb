package main

import (
	"cmp"
	"slices"
	"time"
)

// within are the operations of the load that were under way at any time between two moments, by
// register.Now.
func within(ops []*operation, from, to int64) (some []*operation) {
	for _, o := range ops {
		if o.ofLoad() && o.Invoke < to && o.Return > from {
			some = append(some, o)
		}
	}
	return some
}

// took lists how long operations took, sorted.
func took(ops []*operation) []time.Duration {
	all := make([]time.Duration, len(ops))
	for i, o := range ops {
		all[i] = time.Duration(o.Return - o.Invoke)
	}
	slices.Sort(all)
	return all
}

// failed are those that were not answered by a result.
func failed(ops []*operation) (bad []*operation) {
	for _, o := range ops {
		if o.Outcome != done {
			bad = append(bad, o)
		}
	}
	return bad
}

// outcomes counts.
func outcomes(ops []*operation) map[outcome]int {
	n := map[outcome]int{}
	for _, o := range ops {
		n[o.Outcome]++
	}
	return n
}

// spread are the durations' p50, p90, p99 and largest.
type spread struct {
	n                  int
	p50, p90, p99, max time.Duration
}

func spreadOf(all []time.Duration) spread {
	s := slices.SortedFunc(slices.Values(all), cmp.Compare[time.Duration])
	return spread{len(s), quantile(s, 0.5), quantile(s, 0.9), quantile(s, 0.99), quantile(s, 1)}
}
