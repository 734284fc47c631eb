package main

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, report.ExitMeasured, command.Run(t.Context(), []string{"--help"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "usage: go run ./integration/benchcrdt")
}

func TestEveryBarIsMeasured(t *testing.T) {
	t.Parallel()
	tiny := plan{sizes: []int{1000, 2600}, bar: 2600, rounds: func(int) int { return 1 }, adds: 2600, joins: 20}
	r := measure(t.Context(), tiny, io.Discard)
	require.Empty(t, r.Failures)
	require.Len(t, r.Sections, 4)
	for _, s := range r.Sections {
		require.Len(t, s.Rows, 2)
	}
	require.Len(t, r.Bars, 12)
	for _, at := range []int{3, 9} {
		require.Contains(t, r.Bars[at].Bar, "counted work")
		require.True(t, r.Bars[at].OK, "%v", r.Bars[at])
	}
}

func TestElementsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range uint64(1000) {
		require.Len(t, text(i), 16)
		seen[text(i)] = true
	}
	require.Len(t, seen, 1000)
}

// The naive set is slow, not wrong.
func TestNaiveSetIsAddWins(t *testing.T) {
	t.Parallel()
	a, b := newNaiveSet([]uint64{1, 2}), newNaiveSet([]uint64{1, 2})
	delete(a.live, crdt.Dot{Actor: 1, Counter: 2}) // a removes 2, b adds 3
	b.add(2, 3)
	a.join(b)
	b.join(a)
	require.Equal(t, a, b)
	elements := slices.Sorted(func(yield func(uint64) bool) {
		for _, e := range a.live {
			if !yield(e) {
				return
			}
		}
	})
	require.Equal(t, []uint64{1, 3}, elements)
}
