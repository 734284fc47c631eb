package crdt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
)

// LexRow is what one actor has added up: V, in which Epoch counts the decrements. Rows are ordered by
// Epoch, then V: an increment raises V, a decrement raises Epoch and may then lower V. An actor's row is
// kept by its owner like the counter of a Minter: durably, and it ends with the actor.
type LexRow struct {
	Epoch uint64
	V     int64
}

func (r LexRow) compare(o LexRow) int {
	if c := cmp.Compare(r.Epoch, o.Epoch); c != 0 {
		return c
	}
	return cmp.Compare(r.V, o.V)
}

type lexRow struct {
	actor Actor
	LexRow
}

// LexCounter is a counter that goes up and down by lexicographic pairs, one for each actor: Almeida,
// Shoker, Baquero, "Delta State Replicated Data Types" (2018), the lexicographic counter among the types
// with actor ids. Counter keeps sums of increments and of decrements; this one keeps the net sum, so that
// rows stay short where much goes up and down again, and they never run full.
//
// The zero LexCounter is empty and ready for use; nil may be read as empty. It is not safe for concurrent
// use when anyone changes it. Memory is 24 bytes an actor.
type LexCounter struct {
	rows []lexRow // sorted by actor, none zero
	sum  uint64   // of V, modulo 2^64
}

// NewLexCounter returns a counter at zero.
func NewLexCounter() *LexCounter { return &LexCounter{} }

func (c *LexCounter) list() []lexRow {
	if c == nil {
		return nil
	}
	return c.rows
}

func (c *LexCounter) find(a Actor) (int, bool) {
	return slices.BinarySearchFunc(c.list(), a, func(r lexRow, a Actor) int { return cmp.Compare(r.actor, a) })
}

// raise makes the row at least r and says whether it grew.
func (c *LexCounter) raise(a Actor, r LexRow) bool {
	i, ok := c.find(a)
	if !ok {
		if r == (LexRow{}) {
			return false
		}
		c.rows = slices.Insert(c.rows, i, lexRow{actor: a})
	}
	row := &c.rows[i]
	if r.compare(row.LexRow) <= 0 {
		return false
	}
	c.sum += uint64(r.V) - uint64(row.V)
	row.LexRow = r
	return true
}

// Add adds n, which may be negative, to actor's row and returns the delta; nil when that changes nothing.
// Only one live owner may write an actor's row: of what two add at a time one is lost. Actor 0 panics.
func (c *LexCounter) Add(actor Actor, n int64) *LexCounter {
	row := c.Row(actor)
	return c.Join(LexCounterOp{N: n}.Effect(actor, &row))
}

// Row returns the row of an actor, zero when it has none.
func (c *LexCounter) Row(actor Actor) LexRow {
	if i, ok := c.find(actor); ok {
		return c.rows[i].LexRow
	}
	return LexRow{}
}

// Value returns the sum of all rows. It is exact while the true sum fits int64 and wraps around modulo 2^64
// beyond, the same at every replica. O(1).
func (c *LexCounter) Value() int64 {
	if c == nil {
		return 0
	}
	return int64(c.sum)
}

// All yields each actor and its row, by actor. The counter must not be changed meanwhile.
func (c *LexCounter) All() iter.Seq2[Actor, LexRow] {
	return func(yield func(Actor, LexRow) bool) {
		for _, r := range c.list() {
			if !yield(r.actor, r.LexRow) {
				return
			}
		}
	}
}

// Size returns the number of rows.
func (c *LexCounter) Size() int { return len(c.list()) }

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (c *LexCounter) EncodedSize() int { return len(c.Append(nil)) }

// IsEmpty implements Lattice: whether nobody has added anything.
func (c *LexCounter) IsEmpty() bool { return c.Size() == 0 }

// Join implements Lattice. The novelty has the rows that grew. It costs O(k · log n) for k rows, plus moving
// the rows behind an actor that is new.
func (c *LexCounter) Join(delta *LexCounter) *LexCounter {
	var novelty *LexCounter
	for _, r := range delta.list() {
		if !c.raise(r.actor, r.LexRow) {
			continue
		}
		if novelty == nil {
			novelty = &LexCounter{}
		}
		novelty.raise(r.actor, r.LexRow)
	}
	return novelty
}

// LessOrEqual implements Lattice.
func (c *LexCounter) LessOrEqual(o *LexCounter) bool {
	for _, r := range c.list() {
		if r.compare(o.Row(r.actor)) > 0 {
			return false
		}
	}
	return true
}

// Equal implements Lattice.
func (c *LexCounter) Equal(o *LexCounter) bool { return slices.Equal(c.list(), o.list()) }

// Clone implements Lattice.
func (c *LexCounter) Clone() *LexCounter {
	if c == nil {
		return &LexCounter{}
	}
	return &LexCounter{rows: slices.Clone(c.rows), sum: c.sum}
}

// Hash implements Lattice. O(rows).
func (c *LexCounter) Hash() uint64 {
	var h uint64
	for _, r := range c.list() {
		h += Dot{Actor(Dot{r.actor, r.Epoch}.hash()), uint64(r.V)}.hash()
	}
	return h
}

// Parts implements Lattice: each row by itself.
func (c *LexCounter) Parts() []*LexCounter {
	var parts []*LexCounter
	for _, r := range c.list() {
		parts = append(parts, &LexCounter{rows: []lexRow{r}, sum: uint64(r.V)})
	}
	return parts
}

// String prints the value and the number of rows.
func (c *LexCounter) String() string {
	return fmt.Sprintf("LexCounter(%d of %d rows)", c.Value(), c.Size())
}

// MarshalJSON writes the value. It is for reading, there is no way back.
func (c *LexCounter) MarshalJSON() ([]byte, error) { return json.Marshal(c.Value()) }

// Append appends the canonical encoding, message LexCounter of crdt.proto.
func (c *LexCounter) Append(b []byte) []byte {
	b = appendVersion(b)
	for _, r := range c.list() {
		b = appendNested(b, 2, func(b []byte) []byte {
			return r.LexRow.append(appendUint(b, 1, uint64(r.actor)))
		})
	}
	return b
}

func (r LexRow) append(b []byte) []byte {
	return appendUint(appendUint(b, 2, r.Epoch), 3, zigzag(r.V))
}

// DecodeLexCounter reads a counter that fills b. Other bytes give a *DecodeError.
func DecodeLexCounter(b []byte) (*LexCounter, error) {
	c := &LexCounter{}
	r := reader{message: "LexCounter", b: b}
	r.version()
	var last Actor
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "LexCounter.Row", b: r.bytes()}
		last = in.actor(last)
		row := in.lexRow()
		if row == (LexRow{}) {
			in.fail("a row without counts")
		}
		if r.inner(&in); r.err == nil {
			c.rows = append(c.rows, lexRow{last, row})
			c.sum += uint64(row.V)
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// lexRow reads fields 2 and 3 as a row. A row is at or above the zero row.
func (r *reader) lexRow() (row LexRow) {
	for r.next() {
		switch r.num {
		case 2:
			row.Epoch = r.uint()
		case 3:
			row.V = unzigzag(r.uint())
		default:
			r.unknown()
		}
	}
	if row.Epoch == 0 && row.V < 0 {
		r.fail("a negative row in epoch 0")
	}
	return row
}

// Digest implements Lattice: the encoded rows, which are as short as anything that tells them.
func (c *LexCounter) Digest() []byte { return c.Append(nil) }

// Since implements Lattice; the answer is exact.
func (c *LexCounter) Since(digest []byte) (*LexCounter, error) {
	other, err := DecodeLexCounter(digest)
	if err != nil {
		return nil, renamed(err, "LexCounter", "LexCounterDigest")
	}
	return other.Join(c), nil
}

// LexCounterOp is an operation on a LexCounter before it has a row: what an atomic block records; see
// CounterOp.
type LexCounterOp struct {
	// N is added; it may be negative.
	N int64
}

// Effect adds to the actor's own row, which its owner keeps, and returns the delta, nil when nothing
// changed. It needs no other state. A row stops at the ends of int64. Actor 0 panics, and so does a
// decrement after 2^64-1 decrements.
func (op LexCounterOp) Effect(actor Actor, row *LexRow) *LexCounter {
	mustOwn(actor)
	next := *row
	switch {
	case op.N > 0:
		next.V += min(op.N, math.MaxInt64-max(next.V, 0)) // what is below zero has room for any N
	case op.N < 0:
		if next.Epoch == math.MaxUint64 {
			panic(fmt.Sprintf("crdt: actor %d has no epochs left: continue under a new actor", actor))
		}
		next.Epoch++
		next.V += max(op.N, math.MinInt64-min(next.V, 0))
	}
	if next == *row {
		return nil
	}
	*row = next
	return &LexCounter{rows: []lexRow{{actor, next}}, sum: uint64(next.V)}
}

// Append appends the encoding of op, message LexCounterOp of crdt.proto.
func (op LexCounterOp) Append(b []byte) []byte { return appendUint(appendVersion(b), 2, zigzag(op.N)) }

// DecodeLexCounterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeLexCounterOp(b []byte) (LexCounterOp, error) {
	var op LexCounterOp
	r := reader{message: "LexCounterOp", b: b}
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

// Append appends the encoding of the row, message LexRow of crdt.proto.
func (r LexRow) Append(b []byte) []byte { return r.append(appendVersion(b)) }

// DecodeLexRow reads a row that fills b. Other bytes give a *DecodeError.
func DecodeLexRow(b []byte) (LexRow, error) {
	r := reader{message: "LexRow", b: b}
	r.version()
	row := r.lexRow()
	return finished(&r, row)
}
