package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

var (
	// ErrNotLeader matches *NotLeader: this replica does not lead, and what was
	// asked of it has not been done and will not be.
	ErrNotLeader = errors.New("not the leader")

	// ErrInDoubt matches *InDoubt: the entry may have been applied or may be
	// applied later. Ask the state machine, under an id that the entry carries.
	ErrInDoubt = errors.New("outcome unknown")

	// ErrNotSubmitted matches *NotSubmitted: the entry was withdrawn before it
	// reached the log.
	ErrNotSubmitted = errors.New("not submitted")

	// ErrClosed is returned for what had not reached the log when the group was
	// closed, and for every call after that.
	ErrClosed = errors.New("consensus group is closed")
)

// NotLeader tells who leads instead, as far as this replica knows.
type NotLeader struct {
	// Leader is the zero Server while no leader is known: an election is
	// running, or this replica is cut off. Ask again after a pause.
	Leader Server
}

func (e *NotLeader) Error() string {
	if e.Leader == (Server{}) {
		return "not the leader, and none is known: try again"
	}
	return fmt.Sprintf("not the leader: ask %s at %s", e.Leader.ID, e.Leader.Addr)
}

// Is makes errors.Is(err, ErrNotLeader) hold.
func (e *NotLeader) Is(target error) bool { return target == ErrNotLeader }

// InDoubt says that an entry was handed to the log and that this replica did
// not see what became of it.
type InDoubt struct{ Cause error }

func (e *InDoubt) Error() string {
	return fmt.Sprintf("outcome unknown, the entry may be applied: %v", e.Cause)
}

// Is makes errors.Is(err, ErrInDoubt) hold.
func (e *InDoubt) Is(target error) bool { return target == ErrInDoubt }

func (e *InDoubt) Unwrap() error { return e.Cause }

// NotSubmitted says why an entry was withdrawn before it reached the log. Its
// cause is the caller's context or a queue that did not take it in time.
type NotSubmitted struct{ Cause error }

func (e *NotSubmitted) Error() string {
	return fmt.Sprintf("not submitted, the entry will not be applied: %v", e.Cause)
}

// Is makes errors.Is(err, ErrNotSubmitted) hold.
func (e *NotSubmitted) Is(target error) bool { return target == ErrNotSubmitted }

func (e *NotSubmitted) Unwrap() error { return e.Cause }

// TooLarge is returned for an entry over the limit. Nothing was submitted.
type TooLarge struct{ Size, Limit int }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("entry of %d bytes is over the limit of %d: split it, or raise Config.MaxEntry on every silo", e.Size, e.Limit)
}

// Corrupt says that the committed log holds what this version cannot read. The
// replica applies nothing after it: to guess would let replicas diverge.
type Corrupt struct{ Cause error }

func (e *Corrupt) Error() string {
	return fmt.Sprintf("committed log is not readable by this version, replica stopped: %v", e.Cause)
}

func (e *Corrupt) Unwrap() error { return e.Cause }

// classify turns what raft said about one submitted entry into this package's
// terms. Only answers that raft gives to entries which it never appended are
// definite; everything else, unknown errors of the log's storage included, is
// in doubt.
func classify(err error, leader Server) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return &NotLeader{Leader: leader}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &NotSubmitted{Cause: err}
	default:
		return &InDoubt{Cause: err}
	}
}
