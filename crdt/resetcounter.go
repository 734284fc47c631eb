package crdt

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ResetCounter is a counter that goes up and down and can be reset: a reset takes out what it has observed,
// and additions that it had not heard of stay. It names, actor by actor, how much it has observed, so that
// a reset and an addition at the same time commute; see Baquero, Almeida, Lerche, "The problem with embedded
// CRDT counters and a solution" (PaPoC 2016), whose values by dot are sums by actor here. Plain maximum of
// rows could not tell a counter that began anew from one that is behind, and would lose additions.
//
// An actor has a row as in Counter, and what resets have observed of it, joined by the larger of each.
//
// The zero ResetCounter is empty and ready for use; nil may be read as empty. It is not safe for concurrent
// use when anyone changes it. Memory is 24 bytes for each number, up to four an actor; a reset does not give
// it back.
type ResetCounter struct {
	rows tally // sub is one of the four below
}

const (
	resetP    = iota // added
	resetN           // subtracted
	observedP        // of what was added, what resets have observed
	observedN        // of what was subtracted
)

// ObservedRow is what a reset has observed of an actor.
type ObservedRow struct {
	Actor Actor
	CounterRow
}

// NewResetCounter returns a counter at zero.
func NewResetCounter() *ResetCounter { return &ResetCounter{} }

func (c *ResetCounter) list() tally {
	if c == nil {
		return nil
	}
	return c.rows
}

// Add adds n, which may be negative, to actor's row and returns the delta; nil when that changes nothing.
// Only one live owner may write an actor's row: what two add at a time is lost by the maximum. Actor 0
// panics.
func (c *ResetCounter) Add(actor Actor, n int64) *ResetCounter {
	row := c.Row(actor)
	return c.Join(ResetCounterOp{N: n}.Effect(actor, &row))
}

// Reset takes out all that the state has heard of and returns the delta, nil when there was nothing.
func (c *ResetCounter) Reset() *ResetCounter {
	return c.Join(c.Prepare(ResetCounterOp{Reset: true}).Effect(0, nil))
}

// Row returns what an actor has added and subtracted as far as the state knows, whether it was reset since
// or not, zero when nothing. What was reset has been added, also where only the reset has been heard of: the
// next addition goes on top of it.
func (c *ResetCounter) Row(actor Actor) CounterRow {
	total, observed := rowsOf(c.list().of(actor))
	return CounterRow{P: max(total.P, observed.P), N: max(total.N, observed.N)}
}

// rowsOf sorts the numbers of one actor.
func rowsOf(t tally) (total, observed CounterRow) {
	for _, a := range t {
		switch a.sub {
		case resetP:
			total.P = a.n
		case resetN:
			total.N = a.n
		case observedP:
			observed.P = a.n
		case observedN:
			observed.N = a.n
		}
	}
	return total, observed
}

// All yields each actor of which something is left that no reset has observed, and what is left, by actor.
// The counter must not be changed meanwhile.
func (c *ResetCounter) All() iter.Seq2[Actor, CounterRow] {
	return func(yield func(Actor, CounterRow) bool) {
		c.list().actors(func(a Actor, t tally) bool {
			total, observed := rowsOf(t)
			left := CounterRow{P: total.P - min(total.P, observed.P), N: total.N - min(total.N, observed.N)}
			return left == (CounterRow{}) || yield(a, left)
		})
	}
}

// Value returns the sum of what no reset has observed. It is exact while the true sum fits int64 and wraps
// around modulo 2^64 beyond, the same at every replica. O(actors).
func (c *ResetCounter) Value() int64 {
	var sum uint64
	for _, left := range c.All() {
		sum += left.P - left.N
	}
	return int64(sum)
}

// Size returns the number of numbers that are not zero.
func (c *ResetCounter) Size() int { return len(c.list()) }

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (c *ResetCounter) EncodedSize() int { return len(c.Append(nil)) }

// IsEmpty implements Lattice: whether nobody has added anything, ever.
func (c *ResetCounter) IsEmpty() bool { return c.Size() == 0 }

// Join implements Lattice. The novelty has the numbers that grew. It costs O(k · log n) for k numbers, plus
// moving those behind a new one.
func (c *ResetCounter) Join(delta *ResetCounter) *ResetCounter {
	if delta.IsEmpty() || c == delta {
		return nil
	}
	novelty := c.rows.join(delta.rows, nil)
	if novelty == nil {
		return nil
	}
	return &ResetCounter{rows: novelty}
}

// LessOrEqual implements Lattice.
func (c *ResetCounter) LessOrEqual(o *ResetCounter) bool { return c.list().lessOrEqual(o.list()) }

// Equal implements Lattice.
func (c *ResetCounter) Equal(o *ResetCounter) bool { return slices.Equal(c.list(), o.list()) }

// Clone implements Lattice.
func (c *ResetCounter) Clone() *ResetCounter { return &ResetCounter{rows: slices.Clone(c.list())} }

// Hash implements Lattice. O(numbers).
func (c *ResetCounter) Hash() uint64 { return c.list().hash() }

// Parts implements Lattice: each number by itself.
func (c *ResetCounter) Parts() []*ResetCounter {
	var parts []*ResetCounter
	for _, r := range c.list() {
		parts = append(parts, &ResetCounter{rows: tally{r}})
	}
	return parts
}

// String prints the value and the number of rows.
func (c *ResetCounter) String() string {
	return fmt.Sprintf("ResetCounter(%d of %d rows)", c.Value(), c.list().numActors())
}

// MarshalJSON writes the value. It is for reading, there is no way back.
func (c *ResetCounter) MarshalJSON() ([]byte, error) { return json.Marshal(c.Value()) }

// Append appends the canonical encoding, message ResetCounter of crdt.proto.
func (c *ResetCounter) Append(b []byte) []byte {
	b = appendVersion(b)
	c.list().actors(func(a Actor, t tally) bool {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(a))
			for _, r := range t {
				b = appendUint(b, 2+protowire.Number(r.sub), r.n)
			}
			return b
		})
		return true
	})
	return b
}

// DecodeResetCounter reads a counter that fills b. Other bytes give a *DecodeError.
func DecodeResetCounter(b []byte) (*ResetCounter, error) {
	c := &ResetCounter{}
	r := reader{message: "ResetCounter", b: b}
	r.version()
	var last Actor
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "ResetCounter.Row", b: r.bytes()}
		last = in.actor(last)
		before := len(c.rows)
		for in.next() {
			if in.num < 2 || in.num > 2+observedN {
				in.unknown()
				break
			}
			if n := in.uint(); in.err == nil {
				c.rows = append(c.rows, amount{number{last, uint64(in.num) - 2}, n})
			}
		}
		if len(c.rows) == before {
			in.fail("a row without counts")
		}
		r.inner(&in)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// Digest implements Lattice: the encoded rows, which are as short as anything that tells them.
func (c *ResetCounter) Digest() []byte { return c.Append(nil) }

// Since implements Lattice; the answer is exact.
func (c *ResetCounter) Since(digest []byte) (*ResetCounter, error) {
	other, err := DecodeResetCounter(digest)
	if err != nil {
		return nil, renamed(err, "ResetCounter", "ResetCounterDigest")
	}
	return other.Join(c), nil
}

// ResetCounterOp is an operation on a ResetCounter before it has a row: what an atomic block records; see
// CounterOp. A reset comes first: what is added stays.
type ResetCounterOp struct {
	// Reset says that what was observed is taken out.
	Reset bool
	// N is added; it may be negative.
	N int64
	// Observed is what the state held where the operation was prepared, by actor: what a reset takes out.
	// Filled by ResetCounter.Prepare.
	Observed []ObservedRow
}

// Prepare returns op with Observed filled from the state when it resets, in place of what it held.
func (c *ResetCounter) Prepare(op ResetCounterOp) ResetCounterOp {
	op.Observed = nil
	if op.Reset {
		for a, left := range c.All() { // of which something is left, all is named
			row := c.Row(a)
			if left.P == 0 {
				row.P = 0
			}
			if left.N == 0 {
				row.N = 0
			}
			op.Observed = append(op.Observed, ObservedRow{a, row})
		}
	}
	return op
}

// Effect adds to the actor's own row, which its owner keeps, and returns the delta, nil when nothing
// changed. It needs no other state, and for a reset alone neither actor nor row. A number stops at 2^64-1.
// Adding as actor 0 panics. Observed is believed: whoever takes operations from strangers checks that they
// may reset.
func (op ResetCounterOp) Effect(actor Actor, row *CounterRow) *ResetCounter {
	delta := &ResetCounter{}
	if op.Reset {
		for _, o := range op.Observed {
			delta.rows.raise(number{o.Actor, observedP}, o.P)
			delta.rows.raise(number{o.Actor, observedN}, o.N)
		}
	}
	if op.N != 0 {
		mustOwn(actor)
		before := *row
		if op.N > 0 {
			row.P = addSaturated(row.P, uint64(op.N))
		} else {
			row.N = addSaturated(row.N, -uint64(op.N)) // also right for the smallest int64
		}
		if row.P > before.P {
			delta.rows.raise(number{actor, resetP}, row.P)
		}
		if row.N > before.N {
			delta.rows.raise(number{actor, resetN}, row.N)
		}
	}
	if len(delta.rows) == 0 {
		return nil
	}
	return delta
}

// Append appends the encoding of op, message ResetCounterOp of crdt.proto. Observed is left out unless op
// resets.
func (op ResetCounterOp) Append(b []byte) []byte {
	b = appendVersion(b)
	b = appendUint(b, 2, uint64(boolInt(op.Reset)))
	b = appendUint(b, 3, zigzag(op.N))
	if !op.Reset {
		return b
	}
	for _, o := range op.Observed {
		b = appendNested(b, 4, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(o.Actor))
			b = appendUint(b, 2, o.P)
			return appendUint(b, 3, o.N)
		})
	}
	return b
}

// DecodeResetCounterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeResetCounterOp(b []byte) (ResetCounterOp, error) {
	var op ResetCounterOp
	r := reader{message: "ResetCounterOp", b: b}
	r.version()
	var last Actor
	for r.next(4) {
		switch r.num {
		case 2:
			if op.Reset = true; r.uint() != 1 {
				r.fail("field 2 is neither false nor true")
			}
		case 3:
			op.N = unzigzag(r.uint())
		case 4:
			in := reader{message: "ResetCounterOp.Row", b: r.bytes()}
			last = in.actor(last)
			row := in.counts()
			if row == (CounterRow{}) {
				in.fail("a row without counts")
			}
			if r.inner(&in); !op.Reset {
				r.fail("something observed and no reset")
			}
			op.Observed = append(op.Observed, ObservedRow{last, row})
		default:
			r.unknown()
		}
	}
	return finished(&r, op)
}
