package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Run calls f with a simulation for each of the given number of seeds, 1, 2, …, in parallel subtests
// named after the seed. A subtest that fails or panics logs its seed and the last events.
//
// The environment decides otherwise: SIM_SEEDS=n tries n seeds, SIM_SEED=n that seed alone.
func Run[M any](t *testing.T, seeds int, cfg Config[M], f func(t *testing.T, s *Sim[M])) {
	t.Helper()
	first := uint64(1)
	if one, ok := environment(t, "SIM_SEED"); ok {
		first, seeds = one, 1
	} else if n, ok := environment(t, "SIM_SEEDS"); ok {
		seeds = int(n)
	}
	for i := range seeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			s := New(seed, cfg)
			finished := false
			defer func() { // a panic or a FailNow passes through here, too
				if t.Failed() || !finished && !t.Skipped() {
					t.Logf("again with: SIM_SEED=%d go test -run '^%s$'\n%s", seed, parent(t.Name()), s.Trace())
				}
			}()
			f(t, s)
			finished = true
		})
	}
}

// parent is the name of the test that called Run, without the seed.
func parent(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}

func environment(t *testing.T, name string) (uint64, bool) {
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		t.Fatalf("%s=%q is not a number: %v", name, text, err)
	}
	return n, true
}
