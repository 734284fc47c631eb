package commit

import (
	"cmp"
	"fmt"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// ID names one atomic block over all its attempts. At most one attempt of an ID commits.
type ID struct {
	Client uint64 // the coordinator, a number that the log gave out (see [Register]); from 1
	Seq    uint64 // the coordinator's own sequence; from 1
}

// IsZero says whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by client, then sequence.
func (id ID) Compare(o ID) int {
	return cmp.Or(cmp.Compare(id.Client, o.Client), cmp.Compare(id.Seq, o.Seq))
}

func (id ID) String() string { return fmt.Sprintf("%d.%d", id.Client, id.Seq) }

// Attempt names one run of a block, and with it every version that the run makes. A version is never
// named by a number: an attempt that failed and one that did not may both make "version 6", and who
// read the first would commit upon the second. The zero Attempt as a version means "never written".
type Attempt struct {
	ID ID
	N  uint32 // from 1; a retry keeps the ID and has the next N
}

// IsZero says whether a names no attempt; as a version: the state was never written.
func (a Attempt) IsZero() bool { return a == Attempt{} }

// Compare orders attempts by ID, then number.
func (a Attempt) Compare(o Attempt) int {
	return cmp.Or(a.ID.Compare(o.ID), cmp.Compare(a.N, o.N))
}

func (a Attempt) String() string {
	if a.IsZero() {
		return "unwritten"
	}
	return fmt.Sprintf("%v#%d", a.ID, a.N)
}

// Timestamp is a block's age for wound-wait. It is taken once, before the first attempt, and kept over
// the retries, so that a block that keeps losing becomes the oldest, which never loses. The order is
// total because Client and Seq are the block's ID; no clock needs to be right for anything but fairness.
type Timestamp struct {
	Time   int64 // nanoseconds since the Unix epoch, on the coordinator's clock
	Client uint64
	Seq    uint64
}

// Older says whether t is older than o, and so may wound it.
func (t Timestamp) Older(o Timestamp) bool { return t.Compare(o) < 0 }

// Compare is negative where t is older than o.
func (t Timestamp) Compare(o Timestamp) int {
	return cmp.Or(cmp.Compare(t.Time, o.Time), cmp.Compare(t.Client, o.Client), cmp.Compare(t.Seq, o.Seq))
}

// StateKey names one transactional state: a grain and the locked number of its field.
type StateKey struct {
	Grain wire.ID
	State uint32
}

// Compare orders keys by kind, key and state.
func (k StateKey) Compare(o StateKey) int {
	return cmp.Or(compareID(k.Grain, o.Grain), cmp.Compare(k.State, o.State))
}

func (k StateKey) String() string { return fmt.Sprintf("%v:%d", k.Grain, k.State) }

func compareID(a, b wire.ID) int {
	return cmp.Or(cmp.Compare(a.Kind(), b.Kind()), cmp.Compare(a.Key(), b.Key()))
}

// Read says which version of a state an attempt saw. In a [Result] it says which one is current.
type Read struct {
	Key     StateKey
	Version Attempt // zero: never written
}

// Write is a state's new value. The version that it replaces must be among the decision's reads. The
// value belongs to the machine from here on: nobody changes its bytes.
type Write struct {
	Key   StateKey
	Value []byte
}

// Operation is what a block does to a variable: the operation and what it had observed, in the
// encoding of the variable's kind, and never the delta: the delta is made when the entry is applied,
// under the ledger's own actor.
type Operation struct {
	Variable wire.ID
	Op       []byte
}

// Decision is a block's one entry: what it read, what it writes, and the answer kept for its retries.
type Decision struct {
	Attempt  Attempt
	Reads    []Read
	Writes   []Write
	Ops      []Operation // in the block's order
	Reply    []byte      // the encoded reply of the call that began the block
	HasReply bool
}
