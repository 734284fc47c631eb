package main

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func TestMeasures(t *testing.T) {
	t.Parallel()
	r := measure(t.Context(), plan{processes: 2, rounds: 1, phase: 100 * time.Millisecond}, io.Discard)
	require.Empty(t, r.Failures)
	require.Len(t, r.Bars, 3)
	for _, b := range r.Bars {
		require.Positive(t, b.Value, b.Bar)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	times := []float64{3, 1, 2, 4}
	require.Equal(t, 3.0, percentile(times, 0.5))
	require.Equal(t, 4.0, percentile(times, 0.99))
	require.Equal(t, 7.0, percentile([]float64{7}, 0.99))
}
