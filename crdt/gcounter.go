package crdt

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// GCounter is a grow-only counter: one number for each actor, joined by the larger of each; see Shapiro,
// Preguiça, Baquero, Zawirski, "A comprehensive study of Convergent and Commutative Replicated Data Types"
// (2011), section 3.1.1.
//
// The zero GCounter is empty and ready for use; nil may be read as empty. It is not safe for concurrent use
// when anyone changes it. An actor's number is kept by its owner like the counter of a Minter, as P of a
// CounterRow: durably, and it ends with the actor. Memory is 24 bytes an actor.
type GCounter struct {
	rows tally // sub is 0
	sum  wide
}

// NewGCounter returns a counter at zero.
func NewGCounter() *GCounter { return &GCounter{} }

func (c *GCounter) list() tally {
	if c == nil {
		return nil
	}
	return c.rows
}

// Add adds n to actor's number and returns the delta, nil when n is 0 or the number is at its largest. Only
// one live owner may write it: what two add at a time is lost by the maximum. Actor 0 panics.
func (c *GCounter) Add(actor Actor, n uint64) *GCounter {
	row := CounterRow{P: c.Row(actor)}
	return c.Join(GCounterOp{N: n}.Effect(actor, &row))
}

// Row returns what an actor has added, 0 when nothing.
func (c *GCounter) Row(actor Actor) uint64 { return c.list().get(number{of: actor}) }

// Value returns the sum of all that was added; the largest uint64 when it is more. It only grows. O(1).
func (c *GCounter) Value() uint64 {
	if c == nil {
		return 0
	}
	return c.sum.minus(wide{})
}

// All yields each actor and what it has added, by actor. The counter must not be changed meanwhile.
func (c *GCounter) All() iter.Seq2[Actor, uint64] {
	return func(yield func(Actor, uint64) bool) {
		for _, r := range c.list() {
			if !yield(r.of, r.n) {
				return
			}
		}
	}
}

// Size returns the number of actors that have added something.
func (c *GCounter) Size() int { return len(c.list()) }

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (c *GCounter) EncodedSize() int { return len(c.Append(nil)) }

// IsEmpty implements Lattice: whether nobody has added anything.
func (c *GCounter) IsEmpty() bool { return c.Size() == 0 }

// Join implements Lattice. The novelty has the numbers that grew. It costs O(k · log n) for k numbers, plus
// moving the numbers behind an actor that is new.
func (c *GCounter) Join(delta *GCounter) *GCounter {
	var sum wide
	novelty := c.joinRows(delta.list(), &sum)
	if novelty == nil {
		return nil
	}
	return &GCounter{rows: novelty, sum: sum}
}

func (c *GCounter) joinRows(rows tally, sum *wide) tally {
	if len(rows) == 0 {
		return nil
	}
	novelty := c.rows.join(rows, func(_ number, by uint64) { c.sum.add(by) })
	for _, r := range novelty {
		sum.add(r.n)
	}
	return novelty
}

// LessOrEqual implements Lattice.
func (c *GCounter) LessOrEqual(o *GCounter) bool { return c.list().lessOrEqual(o.list()) }

// Equal implements Lattice.
func (c *GCounter) Equal(o *GCounter) bool { return slices.Equal(c.list(), o.list()) }

// Clone implements Lattice.
func (c *GCounter) Clone() *GCounter {
	if c == nil {
		return &GCounter{}
	}
	return &GCounter{rows: slices.Clone(c.rows), sum: c.sum}
}

// Hash implements Lattice. O(actors).
func (c *GCounter) Hash() uint64 { return c.list().hash() }

// Parts implements Lattice: each actor's number by itself.
func (c *GCounter) Parts() []*GCounter {
	var parts []*GCounter
	for _, r := range c.list() {
		parts = append(parts, &GCounter{rows: tally{r}, sum: wide{lo: r.n}})
	}
	return parts
}

// String prints the value and the number of actors.
func (c *GCounter) String() string {
	return fmt.Sprintf("GCounter(%d of %d rows)", c.Value(), c.Size())
}

// MarshalJSON writes the value. It is for reading, there is no way back.
func (c *GCounter) MarshalJSON() ([]byte, error) { return json.Marshal(c.Value()) }

// Append appends the canonical encoding, message GCounter of crdt.proto.
func (c *GCounter) Append(b []byte) []byte {
	b = appendVersion(b)
	for _, r := range c.list() {
		b = appendNested(b, 2, func(b []byte) []byte {
			return appendUint(appendUint(b, 1, uint64(r.of)), 2, r.n)
		})
	}
	return b
}

// DecodeGCounter reads a counter that fills b. Other bytes give a *DecodeError.
func DecodeGCounter(b []byte) (*GCounter, error) {
	c := &GCounter{}
	r := reader{message: "GCounter", b: b}
	r.version()
	var last Actor
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "GCounter.Row", b: r.bytes()}
		last = in.actor(last)
		var n uint64
		for in.next() {
			if in.num != 2 {
				in.unknown()
				break
			}
			n = in.uint()
		}
		if n == 0 {
			in.fail("a row without a count")
		}
		if r.inner(&in); r.err == nil {
			c.rows = append(c.rows, amount{number{of: last}, n})
			c.sum.add(n)
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// Digest implements Lattice: the encoded numbers, which are as short as anything that tells them.
func (c *GCounter) Digest() []byte { return c.Append(nil) }

// Since implements Lattice; the answer is exact.
func (c *GCounter) Since(digest []byte) (*GCounter, error) {
	other, err := DecodeGCounter(digest)
	if err != nil {
		return nil, renamed(err, "GCounter", "GCounterDigest")
	}
	return other.Join(c), nil
}

// GCounterOp is an addition before it has a row: what an atomic block records; see CounterOp.
type GCounterOp struct {
	// N is added.
	N uint64
}

// Effect adds to P of the actor's own row, which its owner keeps, and returns the delta, nil when nothing
// grew. It needs no other state. The number stops at 2^64-1. Actor 0 panics.
func (op GCounterOp) Effect(actor Actor, row *CounterRow) *GCounter {
	mustOwn(actor)
	p := addSaturated(row.P, op.N)
	if p == row.P {
		return nil
	}
	row.P = p
	return &GCounter{rows: tally{{number{of: actor}, p}}, sum: wide{lo: p}}
}

func mustOwn(actor Actor) {
	if actor == 0 {
		panic("crdt: counter row of actor 0: every row needs an owner")
	}
}

// Append appends the encoding of op, message GCounterOp of crdt.proto.
func (op GCounterOp) Append(b []byte) []byte { return appendUint(appendVersion(b), 2, op.N) }

// DecodeGCounterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeGCounterOp(b []byte) (GCounterOp, error) {
	var op GCounterOp
	r := reader{message: "GCounterOp", b: b}
	r.version()
	for r.next() {
		if r.num != 2 {
			r.unknown()
			break
		}
		op.N = r.uint()
	}
	return finished(&r, op)
}
