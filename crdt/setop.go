package crdt

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// SetOp is an operation on a Set before it has dots: what an atomic block records, so that whoever applies
// the block's log entry makes the delta under its own actor without holding the set.
//
// Removes come first: an element that is both added and removed is in the set afterwards, under a new dot.
type SetOp[E comparable] struct {
	// Add and Remove are the elements; repetitions count once.
	Add, Remove []E
	// Observed are the live dots of these elements where the operation was prepared: what it takes out.
	// Filled by Set.Prepare.
	Observed []Dot
}

// IsZero says whether op would change nothing.
func (op SetOp[E]) IsZero() bool {
	return len(op.Add) == 0 && len(op.Observed) == 0
}

// Prepare returns op with Observed filled from the set, in place of what it held.
func (s *Set[E]) Prepare(op SetOp[E]) SetOp[E] {
	op.Observed = nil
	if s == nil || s.live.size() == 0 {
		return op
	}
	if !s.live.indexed() && len(s.live.flat()) > flatMax && len(op.Add)+len(op.Remove) > 4 {
		s = s.Clone() // a large delta: index it once rather than scan it for each element
	}
	for _, e := range op.Add {
		op.Observed = s.live.appendDots(op.Observed, e)
	}
	for _, e := range op.Remove {
		op.Observed = s.live.appendDots(op.Observed, e)
	}
	c := contextOf(op.Observed)
	op.Observed = op.Observed[:0]
	for r := range c.Runs() {
		for n := r.From; ; n++ {
			op.Observed = append(op.Observed, Dot{r.Actor, n})
			if n == r.To {
				break
			}
		}
	}
	return op
}

// Effect returns the delta: the observed dots dead, the added elements live under fresh dots of m, which
// may be nil when nothing is added. It needs no state, and the same op and minter give the same delta. The
// delta is nil when there is nothing to change. Observed is believed: whoever takes operations from
// strangers checks that they may take these dots out.
func (op SetOp[E]) Effect(m *Minter) *Set[E] {
	if op.IsZero() {
		return nil
	}
	delta := &Set[E]{ctx: contextOf(append([]Dot(nil), op.Observed...))}
	add := unique(op.Add)
	if len(add) == 0 {
		if delta.ctx.IsEmpty() {
			return nil
		}
		return delta
	}
	if len(add) > 1 {
		delta.live.more = &more[E]{flat: make([]pair[E], 0, len(add))}
	}
	var fresh Context
	for _, e := range add {
		d := m.Mint()
		fresh.push(Run{d.Actor, d.Counter, d.Counter})
		delta.live.insert(d, e)
	}
	delta.ctx.Join(&fresh)
	return delta
}

// AppendSetOp appends the encoding of op, message SetOp of crdt.proto. It keeps the elements' order.
func AppendSetOp[E comparable](b []byte, op SetOp[E], codec Codec[E]) []byte {
	b = appendVersion(b)
	for _, e := range op.Add {
		b = appendNested(b, 2, func(b []byte) []byte { return codec.Append(b, e) })
	}
	for _, e := range op.Remove {
		b = appendNested(b, 3, func(b []byte) []byte { return codec.Append(b, e) })
	}
	if len(op.Observed) > 0 {
		b = appendDots(b, 4, op.Observed)
	}
	return b
}

// DecodeSetOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeSetOp[E comparable](b []byte, codec Codec[E]) (SetOp[E], error) {
	var op SetOp[E]
	r := reader{message: "SetOp", b: b}
	r.version()
	for r.next(2, 3, 4) {
		switch r.num {
		case 2, 3:
			e, err := codec.Decode(r.bytes())
			if err != nil {
				r.failWith(err, "element")
			} else if r.num == 2 {
				op.Add = append(op.Add, e)
			} else {
				op.Remove = append(op.Remove, e)
			}
		case 4:
			op.Observed = r.dots(op.Observed)
		default:
			r.unknown()
		}
	}
	return finished(&r, op)
}

// context reads a non-empty context.
func (r *reader) context() Context {
	c, err := DecodeContext(r.bytes())
	if err != nil {
		r.failWith(err, "context")
	} else if r.err == nil && c.IsEmpty() {
		r.fail("field %d is empty and should be left out", r.num)
	}
	return c
}

// appendDots appends dots, sorted and once each, as one message Dots for each actor. Unlike a context's
// runs they take a byte for each dot or more, so that few bytes never stand for many dots.
func appendDots(b []byte, num protowire.Number, dots []Dot) []byte {
	dots = slices.Clone(dots)
	slices.SortFunc(dots, Dot.Compare)
	dots = slices.Compact(dots)
	for len(dots) > 0 {
		n := 1
		for n < len(dots) && dots[n].Actor == dots[0].Actor {
			n++
		}
		of := dots[:n]
		dots = dots[n:]
		b = appendNested(b, num, func(b []byte) []byte {
			b = appendUint(b, 1, uint64(of[0].Actor))
			return appendNested(b, 2, func(b []byte) []byte {
				var last uint64
				for _, d := range of {
					b = appendPacked(b, d.Counter-last-1)
					last = d.Counter
				}
				return b
			})
		})
	}
	return b
}

// dots reads one message Dots and appends its dots, whose actor must be above that of the last.
func (r *reader) dots(dots []Dot) []Dot {
	var last Actor
	if n := len(dots); n > 0 {
		last = dots[n-1].Actor
	}
	in := reader{message: "Dots", b: r.bytes()}
	a := in.actor(last)
	packed := in.packed(2, "Dots.counters")
	if len(packed.b) == 0 {
		in.fail("no dots")
	}
	var c uint64
	for packed.err == nil && packed.off < len(packed.b) {
		if c = packed.sum(packed.sum(c, packed.varint()), 1); packed.err == nil {
			dots = append(dots, Dot{a, c})
		}
	}
	in.inner(&packed)
	r.inner(&in)
	return dots
}

// Append appends the encoding of the minter's state, message Minter of crdt.proto.
func (m Minter) Append(b []byte) []byte {
	b = appendVersion(b)
	b = appendUint(b, 2, uint64(m.Actor))
	return appendUint(b, 3, m.Next)
}

// DecodeMinter reads a minter that fills b. Other bytes give a *DecodeError.
func DecodeMinter(b []byte) (Minter, error) {
	var m Minter
	r := reader{message: "Minter", b: b}
	r.version()
	for r.next() {
		switch r.num {
		case 2:
			m.Actor = Actor(r.uint())
		case 3:
			m.Next = r.uint()
		default:
			r.unknown()
		}
	}
	if err := r.finish(); err != nil {
		return Minter{}, err
	}
	return m, nil
}
