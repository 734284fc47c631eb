package host

import (
	"fmt"

	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// stranger answers a call that this silo's build cannot serve, because the caller's has another interface of the
// kind; nil: it can. Of two builds with one fingerprint nothing more is asked.
func (h *Host) stranger(req *link.CallRequest, kind *wire.GrainKind, method wire.Handler) *link.CallReply {
	var own wire.Interface
	if kind.Of != nil {
		own = *kind.Of
	}
	switch {
	case !own.Related(req.Of) && !h.faults.mixLineages:
		return &link.CallReply{Status: link.StatusIncompatible, Detail: fmt.Sprintf(
			"%s, and numbers of methods and fields mean other things in the two (lineage %016x there, %016x here): build both from one history of the file grain_gen.lock",
			h.versions(req, own), req.Of.Lineage, own.Lineage)}
	case method == nil:
		return &link.CallReply{Status: link.StatusNoMethod, Detail: fmt.Sprintf(
			"%s, which has no method number %d: finish the upgrade of the silos, if the caller is newer, or build the caller anew, if the method was removed",
			h.versions(req, own), req.Method)}
	}
	return nil
}

// unreadable answers a call whose arguments this silo's build cannot decode.
func (h *Host) unreadable(req *link.CallRequest, kind *wire.GrainKind, bad *wire.BadArguments) *link.CallReply {
	var own wire.Interface
	if kind.Of != nil {
		own = *kind.Of
	}
	return &link.CallReply{Status: link.StatusIncompatible, Detail: fmt.Sprintf("%s, which refuses the arguments: %v", h.versions(req, own), bad)}
}

// versions names both sides.
func (h *Host) versions(req *link.CallRequest, own wire.Interface) string {
	return fmt.Sprintf("the caller has %s of %s, silo %s has %s", req.Of, req.To.Kind(), h.Addr, own)
}
