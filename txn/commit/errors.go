package commit

import (
	"errors"
	"fmt"
)

var (
	// ErrWounded says that an older block needed what this attempt held; the block runs again.
	ErrWounded = errors.New("wounded by an older block")
	// ErrContradiction says that the participants' records do not fit together: the attempt read two
	// versions of one state, or a participant's activation was replaced in its course. The block runs
	// again.
	ErrContradiction = errors.New("contradictory reads")
	// ErrConflict says that something that the attempt had read was changed by another; the block runs
	// again.
	ErrConflict = errors.New("a state that was read has changed")
	// ErrRefused says that someone who asked for the block's outcome had its abort recorded.
	ErrRefused = errors.New("the block had been aborted by an inquiry")
	// ErrTakenOver says that another coordinator goes on with the block's ID: what becomes of it is in
	// doubt here.
	ErrTakenOver = errors.New("another coordinator has taken the block over")
	// ErrClientGone says that the coordinator's number has ended: it must register again.
	ErrClientGone = errors.New("the coordinator's client number has ended")
)

// InDoubtError says that a block was submitted and that its outcome could not be learned. Asking
// later, with [Inquire] and this ID, tells it or makes it aborted, until it is forgotten.
type InDoubtError struct {
	ID  ID
	Err error // what kept the outcome from being learned; may be nil
}

func (e *InDoubtError) Error() string {
	s := fmt.Sprintf("atomic block %v: in doubt: it was submitted and its outcome is not known", e.ID)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *InDoubtError) Unwrap() error { return e.Err }
