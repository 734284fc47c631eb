package host

import (
	"strings"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Fault switches one safety check of a host off, before its first call.
type Fault func(*faults)

// The faults.
var (
	ServeAnything    Fault = func(f *faults) { f.serveAnything = true }
	ActivateAnything Fault = func(f *faults) { f.activateAnything = true }
	OutliveLeases    Fault = func(f *faults) { f.outliveLeases = true }
	AdmitStale       Fault = func(f *faults) { f.admitStale = true }
	CompareHolders   Fault = func(f *faults) { f.compareHolders = true }
	ForwardAgain     Fault = func(f *faults) { f.forwardAgain = true }
	ApplyOldMemory   Fault = func(f *faults) { f.applyOldMemory = true }
	MixLineages      Fault = func(f *faults) { f.mixLineages = true }
	DrainAtOnce      Fault = func(f *faults) { f.drainAtOnce = true }
	ReadBeside       Fault = func(f *faults) { f.readBeside = true }
	ComeBackBeside   Fault = func(f *faults) { f.comeBackBeside = true }
	Unbounded        Fault = func(f *faults) { f.unbounded = true }
	KeepWaiters      Fault = func(f *faults) { f.keepWaiters = true }
	WaitInCycles     Fault = func(f *faults) { f.waitInCycles = true }
	ForgetWounds     Fault = func(f *faults) { f.forgetWounds = true }
	ForgetReads      Fault = func(f *faults) { f.forgetReads = true }
	BreakSilent      Fault = func(f *faults) { f.breakSilent = true }
	BreakUnheard     Fault = func(f *faults) { f.breakUnheard = true }
	EndInPeace       Fault = func(f *faults) { f.endInPeace = true }
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
		a.wake()
		n += len(a.waiting)
		a.rest()
	}
	return n
}

// Lose makes the host believe that the attempt of b is over.
func (h *Host) Lose(b wire.Block) {
	h.Tell(link.Notice{Kind: link.NoticeLost, Attempt: link.BranchOf(b).Holder.Attempt})
}

// StreamBytes is what open streams take of the room that they have.
func (h *Host) StreamBytes() int64 { return h.streams.Taken() }

// Ending is how many activations here end, and still run a turn.
func (h *Host) Ending() (n int) {
	for _, a := range h.activations() {
		if a.isStopping() {
			n++
		}
	}
	return n
}

// Kept is how many grains' memory is kept here, and how many bytes.
func (h *Host) Kept() (grains, bytes int) {
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	return len(h.memories.all), h.memories.bytes
}

// Handover is the memory of a grain on its way.
func Handover(id wire.ID, token uint64, memory []byte) []byte {
	return appendHandover(nil, handover{id, view.Grant{Kind: id.Kind(), Slot: view.Slot(id), Token: token}, memory})
}

// Forged is a call in which every turn here of the grain is said to wait for it, in one block.
func (h *Host) Forged(to wire.ID, method uint32, args []byte) []byte {
	req := link.CallRequest{To: to, Method: method, Args: args}
	for _, a := range h.activations() {
		a.wake()
		for _, t := range a.turns {
			req.Chain = append(req.Chain, link.Link{Grain: a.id(), Call: t.call, InBlock: true})
		}
		a.rest()
	}
	return req.Append(nil)
}

// Relieve lets the host know that so many bytes were alive after a collection of garbage.
func (h *Host) Relieve(live, cycle uint64) { h.relieve(live, cycle) }

// Seen is how many different activations, whose keys begin so, are met on a walk through the table.
func (h *Host) Seen(prefix string) int {
	met := map[*activation]bool{}
	h.each(func(a *activation) bool {
		if strings.HasPrefix(a.id().Key(), prefix) {
			met[a] = true
		}
		return true
	})
	return len(met)
}

// CollectIdle deactivates all grains of kinds without an idle time of their own that nobody calls now.
func (h *Host) CollectIdle() {
	h.IdleAfter = 1
	h.collectIdle()
}
