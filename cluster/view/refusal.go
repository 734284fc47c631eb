package view

import (
	"errors"
	"fmt"
)

// ErrNotServed matches every *Refusal: the call has not been executed here and will not be; it may be
// made again.
var ErrNotServed = errors.New("not served here")

// Reason says why a silo does not serve a grain.
type Reason uint8

const (
	// NoLease: the silo's lease has run out; it is cut off, or the log has no leader. Try the others.
	NoLease Reason = iota + 1
	// Behind: the silo has heard of a newer view than it has applied. Try again in a moment.
	Behind
	// Elsewhere: another silo holds the slot. Try that one.
	Elsewhere
	// Moving: the slot is sealed and will be served by its target in a moment. Try again.
	Moving
	// Nowhere: no silo that could hold it is active. Try again, or start one that hosts the kind.
	Nowhere
)

func (r Reason) String() string {
	switch r {
	case NoLease:
		return "no lease"
	case Behind:
		return "behind"
	case Elsewhere:
		return "elsewhere"
	case Moving:
		return "moving"
	case Nowhere:
		return "nowhere"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Refusal is a silo's refusal to serve a grain. Nothing was executed if it comes before a turn; a turn
// that is refused when it goes on, or its reply, may have had effects.
type Refusal struct {
	Reason Reason
	Silo   Run // who refuses
	Kind   string
	Slot   int
	View   uint64 // the view of who refuses
	Holder Member // as that view has it; zero where there is none
}

func (r *Refusal) Error() string {
	what := fmt.Sprintf("slot %d of %s is not served by silo %s, at view %d", r.Slot, r.Kind, r.Silo.ID, r.View)
	switch r.Reason {
	case NoLease:
		return what + ": its lease has run out because it reaches no leader of the log: try another silo"
	case Behind:
		return what + ": it has heard of a newer view and waits for it: try again"
	case Elsewhere:
		return fmt.Sprintf("%s: silo %s at %s holds it: try there", what, r.Holder.ID, r.Holder.Addr)
	case Moving:
		return what + ": it is moving to another silo: try again"
	}
	return what + ": no silo that is active can: try again, or start one that hosts the kind"
}

// Is makes errors.Is(err, ErrNotServed) hold.
func (r *Refusal) Is(target error) bool { return target == ErrNotServed }
