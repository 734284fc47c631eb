package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

func TestEachCheckIsNeeded(t *testing.T) {
	t.Parallel()
	for _, f := range faults.All {
		_, ok := scenarioOf(f)
		require.True(t, ok, "%s: nothing shows that the check is needed", f)
	}
	require.Len(t, scenarios, len(faults.All))
}

// A checker that never failed is not believed: with a safety check switched off it is sure to, where the check
// is needed. With the check on, the same scenario shows nothing.
func TestMutations(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceDetector {
		t.Skip("two minutes of real silos, whose processes under the race detector are too slow for their leases")
	}
	for _, s := range scenarios {
		for _, off := range []faults.Fault{faults.None, s.fault} {
			name := "with " + string(s.fault)
			if off != faults.None {
				name = "without " + string(s.fault)
			}
			t.Run(name, func(t *testing.T) {
				e := &experiment{phase: s.phase(), seed: 1, results: t.TempDir(), report: &report.Report{}, say: t.Logf}
				res, err := s.run(t.Context(), off, e)
				require.NoError(t, err)
				if off == faults.None {
					require.Empty(t, res.Violations)
					return
				}
				require.True(t, slices.ContainsFunc(res.Violations, func(v violation) bool { return v.Check == s.check }),
					"nobody notices; found: %v", res.Violations)
			})
		}
	}
}
