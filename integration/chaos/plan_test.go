package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePlanFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		require.Equal(t, plan(seed, time.Minute, silos), plan(seed, time.Minute, silos), "seed %d", seed)
		require.NotEqual(t, plan(seed, time.Minute, silos), plan(seed+1, time.Minute, silos), "seed %d", seed)
	}
}

func TestAMinuteHasEveryKindOfFaultAndACalm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		for _, minutes := range []int{1, 10} {
			d := time.Duration(minutes) * time.Minute
			all := plan(seed, d, silos)
			had := map[kind]int{}
			for _, f := range all {
				had[f.Kind]++
				require.GreaterOrEqual(t, f.At, usual.quiet, "seed %d: %v", seed, f)
				require.LessOrEqual(t, f.At+f.occupies(), d-usual.calm, "seed %d: %v leaves no calm behind it", seed, f)
				s := spans[f.Kind]
				require.True(t, s.least <= f.For && f.For <= s.most, "seed %d: %v", seed, f)
			}
			for _, k := range kinds {
				require.GreaterOrEqual(t, had[k], minutes, "seed %d has no %s in some minute:\n%v", seed, k, all)
			}
			require.True(t, slices.IsSortedFunc(all, func(a, b fault) int { return int(a.At - b.At) }), "seed %d", seed)
		}
	}
}

// Faults of processes follow each other: with one of three silos away, two agree.
func TestMostSilosAreLeftAlone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		var last fault
		for _, f := range plan(seed, time.Minute, silos) {
			if f.Kind == delayed {
				continue
			}
			require.GreaterOrEqual(t, f.At, last.At+last.occupies(), "seed %d: %v and %v", seed, last, f)
			last = f
		}
	}
}

func TestCutsAreOfOneSilo(t *testing.T) {
	t.Parallel()
	had := map[int]int{} // by how many directions
	for seed := range uint64(200) {
		for _, f := range plan(seed, time.Minute, silos) {
			switch f.Kind {
			case cutBoth, cutOne:
				had[len(f.Ways)]++
				for _, w := range f.Ways {
					require.True(t, (w.From == f.Silo) != (w.To == f.Silo), "seed %d: %v", seed, f)
					back := slices.Contains(f.Ways, pair{w.To, w.From})
					require.Equal(t, f.Kind == cutBoth, back, "seed %d: %v", seed, f)
				}
			case delayed:
				require.Len(t, f.Ways, silos*(silos-1))
				require.Positive(t, f.Delay)
			}
		}
	}
	for _, n := range []int{1, 2, 4} {
		require.Positive(t, had[n], "no cut of %d directions in 200 seeds", n)
	}
}
