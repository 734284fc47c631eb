package view

import (
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/cluster/machine/faults"
)

// Times are the times of leases. They must be the same on all silos of a cluster: the zero value of each
// is its default.
type Times struct {
	// Lease is how long a lease runs. Shorter: what a dead silo held is served again sooner. Longer: a
	// silo may be cut off, or the log without a leader, for longer before it stops serving. Default 2.5 s.
	Lease time.Duration
	// Renew is how often a silo asks for its lease: at most a fifth of Lease, so that lost messages and a
	// change of leader cost no lease. Default 0.5 s.
	Renew time.Duration
	// Batch is the least time between two entries of renewals. It ages every renewal by up to as much,
	// and costs an entry of the log for each. Default 200 ms.
	Batch time.Duration
	// Retry is how long a silo waits for what it asked of the leader before it asks again. Default 300 ms.
	Retry time.Duration
	// Stall is the longest time between two steps of a leader that counts: when more has passed, it was
	// the leader that stood still, or its clock that jumped, and the silos have not been silent for so
	// long. Hosts step a leader every Stall/3. A clock
	// may jump once in a lease. Default 150 ms.
	Stall time.Duration
}

func (t Times) withDefaults() Times {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&t.Lease, 2500*time.Millisecond)
	set(&t.Renew, 500*time.Millisecond)
	set(&t.Batch, 200*time.Millisecond)
	set(&t.Retry, 300*time.Millisecond)
	set(&t.Stall, 150*time.Millisecond)
	return t
}

// Wait is how long after its last renewal a member may be removed: 1.1 leases. The tenth is for clocks
// of different rates, and for Stall.
func (t Times) Wait() time.Duration {
	t = t.withDefaults()
	return t.Lease + t.Lease/10
}

// Lease is a silo's own lease. The clock that its methods are given must count the time in which the
// machine is suspended (CLOCK_BOOTTIME), and its rate must be within 3 % of the leader's, a hundred times
// what quartz does; a silo's clock that runs fast, or jumps ahead, costs only the lease.
type Lease struct {
	times Times
	asked time.Duration
	until time.Duration
	hooks hooks
}

// NewLease returns a lease that has run out.
func NewLease(t Times) *Lease { return &Lease{times: t.withDefaults(), asked: -1} }

// Due says whether it is time to ask for a renewal, and if so the mark to ask with: the reading of the
// clock in this moment, in which the question must leave.
func (l *Lease) Due(now time.Duration) (mark uint64, due bool) {
	if l.asked >= 0 && now-l.asked < l.times.Renew {
		return 0, false
	}
	l.asked = now
	return uint64(max(now, 1)), true
}

// Granted takes the mark of a logged renewal of this run. The lease runs from the moment when the silo
// asked, not from now: the entry may have been on its way for any time, and the leader counts from when
// it was logged.
func (l *Lease) Granted(now time.Duration, mark uint64) {
	if mark > uint64(max(now, 1)) {
		return // not a mark of this run's clock
	}
	from := time.Duration(mark)
	if l.hooks.fromReceipt {
		from = now
	}
	l.until = max(l.until, from+l.times.Lease)
}

// End ends the lease: the run was removed, or has left.
func (l *Lease) End() { l.until = 0 }

// Valid says whether the lease runs.
func (l *Lease) Valid(now time.Duration) bool { return now < l.until }

// Until is when the lease runs out.
func (l *Lease) Until() time.Duration { return l.until }

func (l *Lease) String() string { return fmt.Sprintf("lease until %v", l.until) }

// hooks switch safety checks off, each, so that tests see that a checker notices.
type hooks struct {
	anyoneBegins  bool // a turn starts without a lease
	anyoneResumes bool // a turn goes on after a wait without a lease
	anyoneReplies bool // a reply leaves without a lease
	anyoneOwns    bool // an activation begins where the slot is not held
	fromReceipt   bool // a lease runs from when its entry arrived
	noWait        bool // a member is removed at once when it is thought dead
	noTokens      bool // a fence lets every token pass
	stallsCount   bool // a leader that stood still takes the others for silent
}

// switched are the hooks that are off in the whole program, for a checker of whole programs to notice.
func switched() hooks {
	lease := faults.Is(faults.Lease)
	return hooks{
		anyoneBegins: lease, anyoneResumes: lease, anyoneReplies: lease,
		anyoneOwns: faults.Is(faults.Ownership), noWait: faults.Is(faults.Wait),
	}
}
