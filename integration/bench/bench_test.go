package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":            {[]string{"--help"}, report.ExitMeasured, "usage: go run ./integration/bench"},
		"help for calls":  {[]string{callsCommand, "--help"}, report.ExitMeasured, "usage: go run ./integration/bench calls"},
		"an unknown flag": {[]string{"--fast"}, report.ExitUsage, "flag provided but not defined: -fast"},
		"an argument":     {[]string{"fast"}, report.ExitUsage, `unexpected argument "fast"`},
		"an unknown role": {[]string{serveCommand, "coffee"}, report.ExitFailed, `no role "coffee"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, c.code, run(t.Context(), c.args, new(bytes.Buffer), &stdout, &stderr))
			require.Contains(t, stderr.String(), c.says)
			require.Empty(t, stdout.String())
		})
	}
}

func TestTurnCountsCalls(t *testing.T) {
	t.Parallel()
	made := make([]int, 3)
	r := rival{name: "counting", calls: func(_ context.Context, caller, n int) error { made[caller] += n; return nil }}
	s, err := r.turn(t.Context(), 3, 16, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, s.calls+3, made[0]+made[1]+made[2], "each caller's first call comes before the clock")
	require.Empty(t, s.latencies, "batches are not calls")
	require.GreaterOrEqual(t, s.took, time.Millisecond)

	s, err = r.turn(t.Context(), 1, 1, time.Millisecond)
	require.NoError(t, err)
	require.Len(t, s.latencies, s.calls)
	require.IsNonDecreasing(t, s.latencies)
}

func TestTurnFailsWithItsRival(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	r := rival{name: "losing", calls: func(_ context.Context, _, n int) error {
		if n > 1 {
			return lost
		}
		return nil
	}}
	_, err := r.turn(t.Context(), 8, 2, time.Millisecond)
	require.ErrorIs(t, err, lost)
	require.EqualError(t, err, "losing: lost", "the same error of many callers is told once")
}

func TestRatio(t *testing.T) {
	t.Parallel()
	calls := func(s sample) float64 { return float64(s.calls) }
	slow, fast := samples{{calls: 1}, {calls: 10}, {calls: 3}}, samples{{calls: 2}, {calls: 40}, {calls: 6}}
	require.Equal(t, 0.5, ratio(slow, fast, calls), "the median of the rounds' ratios")
	require.Equal(t, 3.0, slow.spread(calls))
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	s := sample{latencies: make([]time.Duration, 1000)}
	for i := range s.latencies {
		s.latencies[i] = time.Duration(i)
	}
	require.EqualValues(t, 500, p50(s))
	require.EqualValues(t, 990, p99(s))
	require.EqualValues(t, 999, p999(s))
	require.Zero(t, sample{}.quantile(0.5))
}
