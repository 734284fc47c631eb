package view

import (
	"testing"

	"github.com/martinelli-go/martinelli/cluster/machine/sim"
)

// A checker that never failed is not believed: with each safety check switched off, some seed shows it.
func TestSlotsWithoutTheirChecks(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]hooks{
		"the lease is not checked before a turn":       {anyoneBegins: true},
		"the lease is not checked after a wait":        {anyoneResumes: true},
		"the lease is not checked before a reply":      {anyoneReplies: true},
		"storage takes old tokens":                     {noTokens: true},
		"activations begin where the slot is not":      {anyoneOwns: true},
		"nobody waits for the lease of who is removed": {noWait: true},
		"a lease runs from when its entry arrives":     {fromReceipt: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 400; seed++ {
				w := newSimWorld(sim.New(seed, simNetwork()), 3+int(seed%3), off)
				if err := w.run(); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("no seed showed it")
		})
	}
}
