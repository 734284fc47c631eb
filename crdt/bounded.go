package crdt

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
)

// BoundedCounter is a counter that never falls below zero, though nobody asks anybody before decrementing:
// an increment gives its actor rights, a decrement uses them up, and rights go from actor to actor by
// transfer. See Balegas, Serra, Duarte, Ferreira, Shapiro, Rodrigues, Preguiça, "Extending Eventually
// Consistent Cloud Databases for Enforcing Numeric Invariants" (SRDS 2015), section IV. A bound other than
// zero is zero of a counter of what is above it; an upper bound is a counter of what is left.
//
// Each actor has a row: what it has incremented, what it has decremented, and what it has given to each
// other actor. All of them only grow, and are joined by the larger. The promise holds as long as
//
//   - each row has one live owner, who has all of it: an owner that lost a part of its row continues as a
//     new actor, and what rights the old one had are gone with it;
//   - a decrement or a transfer is kept durably before anyone is told that it took place.
//
// Then all that was ever decremented is covered by what was incremented. A replica that has heard of a
// decrement and not yet of the increments that covered it shows zero.
//
// The zero BoundedCounter is empty and ready for use; nil may be read as empty. It is not safe for
// concurrent use when anyone changes it. Memory is 24 bytes for each number that is not zero.
type BoundedCounter struct {
	rows      tally // sub is the actor itself: incremented; 0: decremented; another actor: given to it
	up, spent wide
}

// NoRights says that an actor has not the rights to decrement or transfer as much as it was asked to.
type NoRights struct {
	// Actor is whose rights they are.
	Actor Actor
	// Have is what it may decrement or transfer, Want what was asked for.
	Have, Want uint64
}

// Error says how many rights are lacking and what to do.
func (e *NoRights) Error() string {
	who, advice := fmt.Sprintf("actor %d", e.Actor), fmt.Sprintf("have %d transferred by an actor that has more", e.Want-e.Have)
	if e.Actor == draftActor {
		who, advice = "this draft", "the counter holds no more"
	}
	if e.Want > math.MaxInt64 {
		advice = "was that a negative amount, made unsigned?"
	}
	return fmt.Sprintf("crdt: bounded counter: %s has rights to %d and wants %d: %s", who, e.Have, e.Want, advice)
}

// NewBoundedCounter returns a counter at zero, to which nobody has rights.
func NewBoundedCounter() *BoundedCounter { return &BoundedCounter{} }

func (c *BoundedCounter) list() tally {
	if c == nil {
		return nil
	}
	return c.rows
}

// count keeps the sums up as a number grows.
func (c *BoundedCounter) count(k number, by uint64) {
	switch k.sub {
	case uint64(k.of):
		c.up.add(by)
	case 0:
		c.spent.add(by)
	}
}

// Inc adds n and gives actor the rights to it. It returns the delta, nil when n is 0; what an actor has
// incremented stops at 2^64-1. Actor 0 panics.
func (c *BoundedCounter) Inc(actor Actor, n uint64) *BoundedCounter {
	delta, _ := BoundedCounterOp{Inc: n}.Effect(actor, c) // only decrements and transfers are refused
	return delta
}

// Dec takes n and uses up that much of actor's rights. It returns the delta, nil when n is 0, or *NoRights,
// and then nothing has changed. Only the owner of actor's row may call it, on a state that has all of that
// row, and keeps the delta durably before it acts on it. Actor 0 panics.
func (c *BoundedCounter) Dec(actor Actor, n uint64) (*BoundedCounter, error) {
	return BoundedCounterOp{Dec: n}.Effect(actor, c)
}

// Transfer gives n of the rights of one actor to another. It returns the delta, nil when n is 0 or both are
// the same actor, or *NoRights, and then nothing has changed. The same holds for its caller as for Dec's.
// Actor 0 panics.
func (c *BoundedCounter) Transfer(from, to Actor, n uint64) (*BoundedCounter, error) {
	return BoundedCounterOp{Give: n, To: to}.Effect(from, c)
}

// Value returns what was incremented less what was decremented; the largest uint64 when it is more. O(1).
func (c *BoundedCounter) Value() uint64 {
	if c == nil {
		return 0
	}
	return c.up.minus(c.spent)
}

// Rights returns how much an actor may decrement or transfer: what it incremented and was given, less what
// it decremented and gave. Elsewhere than at the actor itself it is what was last heard. The actor of NewDraft's
// minter, which is what Dec is given in a draft, has all that the counter holds: whose rights suffice is asked
// where the draft takes effect, and may be answered by *NoRights. Actor 0, nobody, has none. O(numbers).
func (c *BoundedCounter) Rights(actor Actor) uint64 {
	switch actor {
	case 0:
		return 0
	case draftActor:
		return c.Value()
	}
	var in, out wide
	for _, r := range c.list() {
		switch {
		case r.sub == uint64(actor):
			in.add(r.n)
		case r.of == actor:
			out.add(r.n)
		}
	}
	return in.minus(out)
}

// All yields each actor that incremented, decremented, gave or was given something, with its rights, by
// actor. The counter must not be changed meanwhile. O(numbers · actors).
func (c *BoundedCounter) All() iter.Seq2[Actor, uint64] {
	return func(yield func(Actor, uint64) bool) {
		var actors []Actor
		for _, r := range c.list() {
			actors = append(actors, r.of)
			if r.sub != 0 {
				actors = append(actors, Actor(r.sub))
			}
		}
		slices.Sort(actors)
		for _, a := range slices.Compact(actors) {
			if !yield(a, c.Rights(a)) {
				return
			}
		}
	}
}

// Own returns the part of the state that decides on an actor's rights: its row, and what others gave it. It
// is what the owner of a row keeps durably, and what BoundedCounterOp.Effect needs. O(numbers).
func (c *BoundedCounter) Own(actor Actor) *BoundedCounter {
	own := &BoundedCounter{}
	if actor == 0 {
		return own
	}
	for _, r := range c.list() {
		if r.of == actor || r.sub == uint64(actor) {
			own.rows = append(own.rows, r)
			own.count(r.number, r.n)
		}
	}
	return own
}

// Size returns the number of numbers that are not zero.
func (c *BoundedCounter) Size() int { return len(c.list()) }

// EncodedSize returns the length of the encoding in bytes. It encodes.
func (c *BoundedCounter) EncodedSize() int { return len(c.Append(nil)) }

// IsEmpty implements Lattice: whether nobody has incremented, decremented or given anything.
func (c *BoundedCounter) IsEmpty() bool { return c.Size() == 0 }

// Join implements Lattice. The novelty has the numbers that grew. It costs O(k · log n) for k numbers, plus
// moving those behind a new one.
func (c *BoundedCounter) Join(delta *BoundedCounter) *BoundedCounter {
	if delta.IsEmpty() || c == delta {
		return nil
	}
	return boundedOf(c.rows.join(delta.rows, c.count))
}

func boundedOf(rows tally) *BoundedCounter {
	if len(rows) == 0 {
		return nil
	}
	c := &BoundedCounter{rows: rows}
	for _, r := range rows {
		c.count(r.number, r.n)
	}
	return c
}

// LessOrEqual implements Lattice.
func (c *BoundedCounter) LessOrEqual(o *BoundedCounter) bool { return c.list().lessOrEqual(o.list()) }

// Equal implements Lattice.
func (c *BoundedCounter) Equal(o *BoundedCounter) bool { return slices.Equal(c.list(), o.list()) }

// Clone implements Lattice.
func (c *BoundedCounter) Clone() *BoundedCounter {
	if c == nil {
		return &BoundedCounter{}
	}
	return &BoundedCounter{rows: slices.Clone(c.rows), up: c.up, spent: c.spent}
}

// Hash implements Lattice. O(numbers).
func (c *BoundedCounter) Hash() uint64 { return c.list().hash() }

// Parts implements Lattice: each number by itself.
func (c *BoundedCounter) Parts() []*BoundedCounter {
	var parts []*BoundedCounter
	for _, r := range c.list() {
		parts = append(parts, boundedOf(tally{r}))
	}
	return parts
}

// String prints the value and the number of rows.
func (c *BoundedCounter) String() string {
	return fmt.Sprintf("BoundedCounter(%d of %d rows)", c.Value(), c.list().numActors())
}

// MarshalJSON writes the value and each actor's rights. It is for reading, there is no way back.
func (c *BoundedCounter) MarshalJSON() ([]byte, error) {
	rights := map[Actor]uint64{}
	for a, n := range c.All() {
		rights[a] = n
	}
	return json.Marshal(struct {
		Value  uint64           `json:"value"`
		Rights map[Actor]uint64 `json:"rights"`
	}{c.Value(), rights})
}

// Append appends the canonical encoding, message BoundedCounter of crdt.proto.
func (c *BoundedCounter) Append(b []byte) []byte {
	b = appendVersion(b)
	c.list().actors(func(a Actor, row tally) bool {
		b = appendNested(b, 2, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(a))
			b = appendUint(b, 2, row.get(number{a, uint64(a)}))
			b = appendUint(b, 3, row.get(number{a, 0}))
			for _, r := range row {
				if r.sub != 0 && r.sub != uint64(a) {
					b = appendNested(b, 4, func(b []byte) []byte {
						return appendUint(appendUint(b, 1, r.sub), 2, r.n)
					})
				}
			}
			return b
		})
		return true
	})
	return b
}

// DecodeBoundedCounter reads a counter that fills b. Other bytes give a *DecodeError. Rows are believed: a
// stranger can claim to have incremented.
func DecodeBoundedCounter(b []byte) (*BoundedCounter, error) {
	c := &BoundedCounter{}
	r := reader{message: "BoundedCounter", b: b}
	r.version()
	var last Actor
	for r.next(2) {
		if r.num != 2 {
			r.unknown()
			break
		}
		in := reader{message: "BoundedCounter.Row", b: r.bytes()}
		last = in.actor(last)
		row := in.boundedRow(last)
		r.inner(&in)
		for _, a := range row {
			c.rows = append(c.rows, a)
			c.count(a.number, a.n)
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// boundedRow reads fields 2 to 4 as the row of an actor.
func (r *reader) boundedRow(a Actor) (row tally) {
	var to Actor
	for r.next(4) {
		k := number{of: a}
		var n uint64
		switch r.num {
		case 2:
			k.sub, n = uint64(a), r.uint()
		case 3:
			n = r.uint()
		case 4:
			in := reader{message: "BoundedCounter.Row.Gift", b: r.bytes()}
			to = in.actor(to)
			if k.sub = uint64(to); to == a {
				in.fail("actor %d gives to itself", a)
			}
			for in.next() {
				if in.num != 2 {
					in.unknown()
					break
				}
				n = in.uint()
			}
			if n == 0 {
				in.fail("nothing is given")
			}
			r.inner(&in)
		default:
			r.unknown()
		}
		if r.err == nil {
			row = append(row, amount{k, n})
		}
	}
	if len(row) == 0 {
		r.fail("a row without counts")
	}
	slices.SortFunc(row, func(a, b amount) int { return a.compare(b.number) })
	return row
}

// Digest implements Lattice: the encoded rows, which are as short as anything that tells them.
func (c *BoundedCounter) Digest() []byte { return c.Append(nil) }

// Since implements Lattice; the answer is exact.
func (c *BoundedCounter) Since(digest []byte) (*BoundedCounter, error) {
	other, err := DecodeBoundedCounter(digest)
	if err != nil {
		return nil, renamed(err, "BoundedCounter", "BoundedCounterDigest")
	}
	return other.Join(c), nil
}

// BoundedCounterOp is an operation on a BoundedCounter before it has a row: what an atomic block records;
// see CounterOp. Amounts are positive by type. First Inc is added, then Dec taken, then Give given to To,
// all of it or nothing.
type BoundedCounterOp struct {
	Inc, Dec, Give uint64
	// To is who is given Give; of no meaning when that is 0.
	To Actor
}

// Effect carries op out under the rights that actor has in own, changes own, and returns the delta, nil
// when nothing changed. own is a whole counter, or what Own returns of it. The error is *NoRights; then own
// is as it was. Actor 0 panics, and so does giving to it.
func (op BoundedCounterOp) Effect(actor Actor, own *BoundedCounter) (*BoundedCounter, error) {
	mustOwn(actor)
	if op.Give > 0 {
		mustOwn(op.To)
	}
	self, spent, given := number{actor, uint64(actor)}, number{actor, 0}, number{actor, uint64(op.To)}
	rows := own.list()
	up := addSaturated(rows.get(self), op.Inc)
	have := addSaturated(own.Rights(actor), up-rows.get(self))
	if op.Dec > 0 { // nothing is taken that its number cannot show
		have = min(have, math.MaxUint64-rows.get(spent))
	}
	if op.Give > 0 && op.To != actor {
		have = min(have, math.MaxUint64-rows.get(given))
	}
	if op.Dec > have || op.Give > have-op.Dec {
		return nil, &NoRights{Actor: actor, Have: have, Want: addSaturated(op.Dec, op.Give)}
	}
	var delta tally
	delta.raise(self, up)
	delta.raise(spent, rows.get(spent)+op.Dec)
	if op.Give > 0 && op.To != actor {
		delta.raise(given, rows.get(given)+op.Give)
	}
	return own.Join(&BoundedCounter{rows: delta}), nil
}

// Append appends the encoding of op, message BoundedCounterOp of crdt.proto.
func (op BoundedCounterOp) Append(b []byte) []byte {
	b = appendVersion(b)
	b = appendUint(b, 2, op.Inc)
	b = appendUint(b, 3, op.Dec)
	if op.Give == 0 {
		return b
	}
	return appendUint(appendUint(b, 4, op.Give), 5, uint64(op.To))
}

// DecodeBoundedCounterOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeBoundedCounterOp(b []byte) (BoundedCounterOp, error) {
	var op BoundedCounterOp
	r := reader{message: "BoundedCounterOp", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			op.Inc = r.uint()
		case 3:
			op.Dec = r.uint()
		case 4:
			op.Give = r.uint()
		case 5:
			op.To = Actor(r.uint())
		default:
			r.unknown()
		}
	}
	if r.err == nil && (op.Give == 0) != (op.To == 0) {
		r.fail("a gift needs an amount and whom it goes to")
	}
	return finished(&r, op)
}
