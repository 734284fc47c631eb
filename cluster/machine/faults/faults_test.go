package faults_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
)

func TestOneCheckIsOff(t *testing.T) {
	require.False(t, faults.Is(faults.Reads), "nothing is off by itself")
	require.ErrorContains(t, faults.Set(faults.Reads), faults.Variable, "nor without consent")
	require.False(t, faults.Is(faults.Reads))
	t.Setenv(faults.Variable, faults.Consent)
	require.Error(t, faults.Set("everything"))
	for _, f := range faults.All {
		require.NoError(t, faults.Set(f))
		for _, other := range faults.All {
			require.Equal(t, f == other, faults.Is(other))
		}
	}
	require.NoError(t, faults.Set(faults.None))
	require.False(t, faults.Is(faults.None), "no check has no name")
	for _, f := range faults.All {
		require.False(t, faults.Is(f))
	}
}
