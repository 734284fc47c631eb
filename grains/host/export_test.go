package host

import (
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Fault switches one safety check of a host off, before its first call.
type Fault func(*faults)

// The faults.
var (
	ServeAnything Fault = func(f *faults) { f.serveAnything = true }
	KeepWaiters   Fault = func(f *faults) { f.keepWaiters = true }
	WaitInCycles  Fault = func(f *faults) { f.waitInCycles = true }
	ForgetWounds  Fault = func(f *faults) { f.forgetWounds = true }
	ForgetReads   Fault = func(f *faults) { f.forgetReads = true }
	BreakSilent   Fault = func(f *faults) { f.breakSilent = true }
	EndInPeace    Fault = func(f *faults) { f.endInPeace = true }
)

// ExpectLate lets blocks hold their openers' turns before they can be wounded, and calls f in between.
func ExpectLate(f func()) Fault { return func(to *faults) { to.expectLate = f } }

// Break switches a check off.
func (h *Host) Break(with Fault) { with(&h.faults) }

// Present is how many attempts of blocks are known here.
func (h *Host) Present() int {
	h.presence.mu.Lock()
	defer h.presence.mu.Unlock()
	return len(h.presence.attempts)
}

// Waiting is how many calls wait at grains here.
func (h *Host) Waiting() (n int) {
	for _, a := range h.activations() {
		a.mu.Lock()
		n += len(a.waiting)
		a.mu.Unlock()
	}
	return n
}

// Lose makes the host believe that the attempt of b is over.
func (h *Host) Lose(b wire.Block) {
	h.Tell(link.Notice{Kind: link.NoticeLost, Attempt: link.BranchOf(b).Holder.Attempt})
}

// Ending is how many activations here end, and still run a turn.
func (h *Host) Ending() (n int) {
	for _, a := range h.activations() {
		if a.isStopping() {
			n++
		}
	}
	return n
}
