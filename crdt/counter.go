package crdt

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
)

// CounterRow is what one actor has added up: increments P and decrements N. Both only grow. An actor's row
// is kept by its owner like the counter of a Minter: durably, and it ends with the actor.
type CounterRow struct {
	P, N uint64
}

type counterRow struct {
	actor Actor
	CounterRow
}

// Counter is a counter that goes up and down: one row for each actor, joined by the larger of each number. It
// is the PN-counter of "A comprehensive study of Convergent and Commutative Replicated Data Types" (Shapiro,
// Preguiça, Baquero, Zawirski, 2011), section 3.1, with both numbers of an actor in one row.
//
// The zero Counter is empty and ready for use; nil may be read as empty. It is not safe for concurrent use
// when anyone changes it. What changed is seen by comparing Value before and after a Join.
type Counter struct {
	rows []counterRow // sorted by actor, none zero
	sum  uint64       // of P - N, modulo 2^64
}

// NewCounter returns a counter at zero.
func NewCounter() *Counter { return &Counter{} }

func (c *Counter) find(a Actor) (int, bool) {
	i := sort.Search(len(c.rows), func(i int) bool { return c.rows[i].actor >= a })
	return i, i < len(c.rows) && c.rows[i].actor == a
}

// raise makes the row at least (p, n) and returns what of that was new.
func (c *Counter) raise(a Actor, p, n uint64) (news CounterRow) {
	i, ok := c.find(a)
	if !ok {
		if p == 0 && n == 0 {
			return news
		}
		c.rows = slices.Insert(c.rows, i, counterRow{actor: a})
	}
	row := &c.rows[i]
	if p > row.P {
		c.sum += p - row.P
		row.P, news.P = p, p
	}
	if n > row.N {
		c.sum -= n - row.N
		row.N, news.N = n, n
	}
	return news
}

// Add adds n, which may be negative, to actor's row and returns the delta; nil when nothing grew: n is 0, or
// the number is at its largest. Only one live owner may write an actor's row: what two add at a time is lost by
// the maximum. Actor 0 panics.
func (c *Counter) Add(actor Actor, n int64) *Counter {
	row := c.Row(actor)
	return c.Join(CounterOp{N: n}.Effect(actor, &row))
}

// Row returns the row of an actor, zero when it has none.
func (c *Counter) Row(actor Actor) CounterRow {
	if c == nil {
		return CounterRow{}
	}
	if i, ok := c.find(actor); ok {
		return c.rows[i].CounterRow
	}
	return CounterRow{}
}

// Value returns the sum of all rows. It is exact while the true sum fits int64 and wraps around modulo 2^64
// beyond, the same at every replica. O(1).
func (c *Counter) Value() int64 {
	if c == nil {
		return 0
	}
	return int64(c.sum)
}

// All yields each actor and its row, by actor. The counter must not be changed meanwhile.
func (c *Counter) All() iter.Seq2[Actor, CounterRow] {
	return func(yield func(Actor, CounterRow) bool) {
		for _, r := range c.list() {
			if !yield(r.actor, r.CounterRow) {
				return
			}
		}
	}
}

// Size returns the number of rows.
func (c *Counter) Size() int {
	if c == nil {
		return 0
	}
	return len(c.rows)
}

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (c *Counter) EncodedSize() int { return len(c.Append(nil)) }

// IsEmpty implements Lattice: whether nobody has added anything.
func (c *Counter) IsEmpty() bool { return c.Size() == 0 }

func (c *Counter) list() []counterRow {
	if c == nil {
		return nil
	}
	return c.rows
}

// Join implements Lattice. The novelty has the numbers that grew. It costs O(k · log n) for k rows, plus
// moving the rows behind an actor that is new.
func (c *Counter) Join(delta *Counter) *Counter {
	if c == delta {
		return nil
	}
	var novelty *Counter
	for _, r := range delta.list() {
		news := c.raise(r.actor, r.P, r.N)
		if news == (CounterRow{}) {
			continue
		}
		if novelty == nil {
			novelty = &Counter{}
		}
		novelty.raise(r.actor, news.P, news.N)
	}
	return novelty
}

// LessOrEqual implements Lattice.
func (c *Counter) LessOrEqual(o *Counter) bool {
	for _, r := range c.list() {
		if have := o.Row(r.actor); r.P > have.P || r.N > have.N {
			return false
		}
	}
	return true
}

// Equal implements Lattice.
func (c *Counter) Equal(o *Counter) bool { return slices.Equal(c.list(), o.list()) }

// Clone implements Lattice.
func (c *Counter) Clone() *Counter {
	if c == nil {
		return &Counter{}
	}
	return &Counter{rows: slices.Clone(c.rows), sum: c.sum}
}

// Hash implements Lattice. O(rows).
func (c *Counter) Hash() uint64 {
	var h uint64
	for _, r := range c.list() {
		h += Dot{r.actor, r.P}.hash() ^ Dot{r.actor, r.N}.hash()*3
	}
	return h
}

// Parts implements Lattice: each row's P and N by itself.
func (c *Counter) Parts() []*Counter {
	var parts []*Counter
	for _, r := range c.list() {
		if r.P > 0 {
			p := &Counter{}
			p.raise(r.actor, r.P, 0)
			parts = append(parts, p)
		}
		if r.N > 0 {
			p := &Counter{}
			p.raise(r.actor, 0, r.N)
			parts = append(parts, p)
		}
	}
	return parts
}

// String prints the value and the number of rows.
func (c *Counter) String() string { return fmt.Sprintf("Counter(%d of %d rows)", c.Value(), c.Size()) }

// Append appends the canonical encoding, message Counter of crdt.proto.
func (c *Counter) Append(b []byte) []byte {
	b = appendVersion(b)
	for _, r := range c.list() {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(r.actor))
			b = appendUint(b, 2, r.P)
			return appendUint(b, 3, r.N)
		})
	}
	return b
}

// DecodeCounter reads a counter that fills b. Other bytes give a *DecodeError.
func DecodeCounter(b []byte) (*Counter, error) {
	c := &Counter{}
	r := reader{message: "Counter", b: b}
	r.version()
	var last Actor
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "Counter.Row", b: r.bytes()}
		last = in.actor(last)
		row := in.counts()
		if row == (CounterRow{}) {
			in.fail("a row without counts")
		}
		if r.inner(&in); r.err == nil {
			c.rows = append(c.rows, counterRow{last, row})
			c.sum += row.P - row.N
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// counts reads fields 2 and 3 as a row.
func (r *reader) counts() (row CounterRow) {
	for r.next() {
		switch r.num {
		case 2:
			row.P = r.uint()
		case 3:
			row.N = r.uint()
		default:
			r.unknown()
		}
	}
	return row
}

// Digest implements Lattice: the encoded rows, which are as short as anything that tells them.
func (c *Counter) Digest() []byte { return c.Append(nil) }

// Since implements Lattice; the answer is exact.
func (c *Counter) Since(digest []byte) (*Counter, error) {
	other, err := DecodeCounter(digest)
	if err != nil {
		return nil, renamed(err, "Counter", "CounterDigest")
	}
	return other.Join(c), nil
}

// CounterOp is an operation on a Counter before it has a row. A block records this and not a delta: rows
// are absolute, so of two deltas made from one row the larger would swallow the other.
type CounterOp struct {
	// N is added; it may be negative.
	N int64
}

// Effect adds to the actor's own row, which its owner keeps, and returns the delta: the number that grew;
// nil when none did. It needs no other state. A number stops at 2^64-1. Actor 0 panics.
func (op CounterOp) Effect(actor Actor, row *CounterRow) *Counter {
	mustOwn(actor)
	before, delta := *row, &Counter{}
	if op.N > 0 {
		row.P = addSaturated(row.P, uint64(op.N))
		delta.raise(actor, row.P, 0)
	} else if op.N < 0 {
		row.N = addSaturated(row.N, -uint64(op.N)) // also right for the smallest int64
		delta.raise(actor, 0, row.N)
	}
	if *row == before {
		return nil
	}
	return delta
}

func addSaturated(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Append appends the encoding of op, message CounterOp of crdt.proto.
func (op CounterOp) Append(b []byte) []byte {
	return appendUint(appendVersion(b), 2, zigzag(op.N))
}

// DecodeCounterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeCounterOp(b []byte) (CounterOp, error) {
	var op CounterOp
	r := reader{message: "CounterOp", b: b}
	r.version()
	for r.next() {
		if r.num != 2 {
			r.unknown()
			break
		}
		op.N = unzigzag(r.uint())
	}
	return finished(&r, op)
}

// Append appends the encoding of the row, message CounterRow of crdt.proto.
func (row CounterRow) Append(b []byte) []byte {
	b = appendVersion(b)
	b = appendUint(b, 2, row.P)
	return appendUint(b, 3, row.N)
}

// DecodeCounterRow reads a row that fills b. Other bytes give a *DecodeError.
func DecodeCounterRow(b []byte) (CounterRow, error) {
	r := reader{message: "CounterRow", b: b}
	r.version()
	row := r.counts()
	return finished(&r, row)
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
