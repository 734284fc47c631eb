package crdt

import (
	"fmt"
	"slices"
	"strconv"
)

// GFlag is a boolean that once on stays on: the lattice off < on. See GSet for the paper. The zero GFlag is
// off; nil may be read. Its delta needs no identity, so a block records the delta itself. Not safe for
// concurrent use when anyone changes it. Everything costs O(1).
type GFlag struct{ on bool }

// NewGFlag returns a flag that is off.
func NewGFlag() *GFlag { return &GFlag{} }

// On says whether anyone has turned the flag on.
func (f *GFlag) On() bool { return f != nil && f.on }

// Enable turns the flag on and returns the delta, nil when it was on.
func (f *GFlag) Enable() *GFlag { return f.Join(&GFlag{on: true}) }

// Join implements Lattice.
func (f *GFlag) Join(delta *GFlag) *GFlag {
	if !delta.On() || f.on {
		return nil
	}
	f.on = true
	return &GFlag{on: true}
}

// LessOrEqual implements Lattice.
func (f *GFlag) LessOrEqual(o *GFlag) bool { return !f.On() || o.On() }

// Equal implements Lattice.
func (f *GFlag) Equal(o *GFlag) bool { return f.On() == o.On() }

// Clone implements Lattice.
func (f *GFlag) Clone() *GFlag { return &GFlag{on: f.On()} }

// IsEmpty implements Lattice: whether the flag is off.
func (f *GFlag) IsEmpty() bool { return !f.On() }

// Size returns 1 when the flag is on, else 0.
func (f *GFlag) Size() int { return boolInt(f.On()) }

// Hash implements Lattice.
func (f *GFlag) Hash() uint64 { return uint64(boolInt(f.On())) }

// Parts implements Lattice: on by itself.
func (f *GFlag) Parts() []*GFlag {
	if !f.On() {
		return nil
	}
	return []*GFlag{f.Clone()}
}

// String prints the value.
func (f *GFlag) String() string { return fmt.Sprintf("GFlag(%t)", f.On()) }

// MarshalJSON writes true or false.
func (f *GFlag) MarshalJSON() ([]byte, error) { return strconv.AppendBool(nil, f.On()), nil }

// Append appends the canonical encoding, message GFlag of crdt.proto.
func (f *GFlag) Append(b []byte) []byte {
	return appendUint(appendVersion(b), 2, uint64(boolInt(f.On())))
}

// EncodedSize returns how many bytes Append appends.
func (f *GFlag) EncodedSize() int { return len(f.Append(nil)) }

// DecodeGFlag reads a flag that fills b. Other bytes give a *DecodeError.
func DecodeGFlag(b []byte) (*GFlag, error) {
	f := &GFlag{}
	r := reader{message: "GFlag", b: b}
	r.version()
	for r.next() {
		if r.num != 2 {
			r.unknown()
			break
		}
		f.on = r.bool()
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return f, nil
}

// bool reads a field that is 1, and left out when it is false.
func (r *reader) bool() bool {
	v := r.uint()
	if r.err == nil && v != 1 {
		r.fail("field %d is %d, want 1", r.num, v)
	}
	return v == 1
}

// Digest implements Lattice: the encoding.
func (f *GFlag) Digest() []byte { return f.Append(nil) }

// Since implements Lattice; the answer is exact.
func (f *GFlag) Since(digest []byte) (*GFlag, error) {
	other, err := DecodeGFlag(digest)
	if err != nil {
		return nil, err
	}
	return other.Join(f), nil
}

// The causal flags are sets of marks: true for an enable, false for a disable.

func appendFlag(b []byte, s *Set[bool]) []byte {
	b = appendVersion(b)
	if s.IsEmpty() {
		return b
	}
	b = appendNested(b, 2, s.ctx.Append)
	var on, off []Dot
	for d, mark := range s.AllDots() {
		if mark {
			on = append(on, d)
		} else {
			off = append(off, d)
		}
	}
	if len(on) > 0 {
		b = appendDots(b, 3, on)
	}
	if len(off) > 0 {
		b = appendDots(b, 4, off)
	}
	return b
}

// decodeFlag reads field 2 as the context, 3 as the enables and, where there are such, 4 as the disables.
func decodeFlag(b []byte, message string, disables bool) (*Set[bool], error) {
	s := &Set[bool]{}
	var on, off []Dot
	r := reader{message: message, b: b}
	r.version()
	for r.next(3, 4) {
		switch {
		case r.num == 2:
			s.ctx = r.context()
		case r.num == 3:
			on = r.dots(on)
		case r.num == 4 && disables:
			off = r.dots(off)
		default:
			r.unknown()
		}
	}
	r.requireSeen(&s.ctx, on)
	r.requireSeen(&s.ctx, off)
	if r.err == nil {
		var marks []pair[bool]
		for _, d := range on {
			marks = append(marks, pair[bool]{d, true})
		}
		for _, d := range off {
			marks = append(marks, pair[bool]{d, false})
		}
		slices.SortFunc(marks, func(a, b pair[bool]) int { return a.dot.Compare(b.dot) })
		for i, p := range marks {
			if i > 0 && marks[i-1].dot == p.dot {
				r.fail("dot %v both enables and disables", p.dot)
			}
		}
		s.live.setFlat(marks)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	s.live.settle()
	return s, nil
}

// flagHash covers which dots enable: unlike an element of a set, a flag's mark is not named by its dot alone
// once strangers are about, and a bit costs nothing.
func flagHash(s *Set[bool]) uint64 {
	h := s.Hash()
	for d, mark := range s.AllDots() {
		if mark {
			h += d.hash() * 3
		}
	}
	return h
}

// FlagOp is an operation on an EWFlag or a DWFlag before it has a dot: what an atomic block records.
type FlagOp struct {
	// On says whether the flag is turned on or off.
	On bool
	// Observed are the live dots where the operation was prepared: what it overrules. Filled by Prepare.
	Observed []Dot
}

func (op FlagOp) effect(m *Minter, mint bool) *Set[bool] {
	of := SetOp[bool]{Observed: op.Observed}
	if mint {
		of.Add = []bool{op.On}
	}
	return of.Effect(m)
}

// Append appends the encoding of op, message FlagOp of crdt.proto.
func (op FlagOp) Append(b []byte) []byte {
	b = appendUint(appendVersion(b), 2, uint64(boolInt(op.On)))
	if len(op.Observed) > 0 {
		b = appendDots(b, 3, op.Observed)
	}
	return b
}

// DecodeFlagOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeFlagOp(b []byte) (FlagOp, error) {
	var op FlagOp
	r := reader{message: "FlagOp", b: b}
	r.version()
	for r.next(3) {
		switch r.num {
		case 2:
			op.On = r.bool()
		case 3:
			op.Observed = r.dots(op.Observed)
		default:
			r.unknown()
		}
	}
	return finished(&r, op)
}
