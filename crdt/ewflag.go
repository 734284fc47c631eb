package crdt

import (
	"fmt"
	"strconv"
)

// EWFlag is an enable-wins flag: it is on while an enable is live that no disable has seen; a concurrent
// enable and disable leave it on. It is the add-wins set of one element: an enable takes a dot and overrules
// the enables it saw, a disable takes none. See "Delta State Replicated Data Types" (Almeida, Shoker,
// Baquero, 2018), on causal types, for the construction.
//
// The zero EWFlag is off; nil may be read. A state costs the runs of its context and a dot for each enable
// that is live, of which there are as many as replicas enabled at the same time. Not safe for concurrent
// use when anyone changes it.
type EWFlag Set[bool]

// NewEWFlag returns a flag that is off.
func NewEWFlag() *EWFlag { return &EWFlag{} }

// On says whether the flag is on. O(1).
func (f *EWFlag) On() bool { return f.marks().Size() > 0 }

// Enable turns the flag on under a fresh dot of m, also when it is on, and returns the delta. It panics with
// *DotReused when m hands out a dot that the flag has seen.
func (f *EWFlag) Enable(m *Minter) *EWFlag {
	return (*EWFlag)(f.marks().perform(SetOp[bool]{Add: []bool{true}}, m))
}

// Disable turns the flag off where no concurrent enable says otherwise and returns the delta, nil when it
// was off.
func (f *EWFlag) Disable() *EWFlag {
	return (*EWFlag)(f.marks().perform(SetOp[bool]{Remove: []bool{true}}, nil))
}

// EffectEW returns the delta of op on an EWFlag, nil when there is nothing to change. It needs no state; m
// may be nil when op turns the flag off.
func (op FlagOp) EffectEW(m *Minter) *EWFlag { return (*EWFlag)(op.effect(m, op.On)) }

func (f *EWFlag) marks() *Set[bool] { return (*Set[bool])(f) }

// Context returns the dots that the state has seen, live and dead. It belongs to the flag: it is only to be
// read, and only until the flag changes.
func (f *EWFlag) Context() *Context { return f.marks().Context() }

// Prepare returns op with Observed filled from the flag, in place of what it held.
func (f *EWFlag) Prepare(op FlagOp) FlagOp {
	op.Observed = f.marks().liveDots()
	return op
}

// Join implements Lattice. O(k · log n) for a delta of k dots and runs.
func (f *EWFlag) Join(delta *EWFlag) *EWFlag { return (*EWFlag)(f.marks().Join(delta.marks())) }

// LessOrEqual implements Lattice.
func (f *EWFlag) LessOrEqual(o *EWFlag) bool { return f.marks().LessOrEqual(o.marks()) }

// Equal implements Lattice: also what two flags that are both on have seen must be the same.
func (f *EWFlag) Equal(o *EWFlag) bool { return f.marks().Equal(o.marks()) }

// Clone implements Lattice.
func (f *EWFlag) Clone() *EWFlag { return (*EWFlag)(f.marks().Clone()) }

// IsEmpty implements Lattice: whether the state has seen no dot at all.
func (f *EWFlag) IsEmpty() bool { return f.marks().IsEmpty() }

// Size returns the number of live dots.
func (f *EWFlag) Size() int { return f.marks().Size() }

// Hash implements Lattice. O(live dots and runs of the context).
func (f *EWFlag) Hash() uint64 { return flagHash(f.marks()) }

// Parts implements Lattice: one flag for each seen dot, live or dead; see Set.Parts on how many that may be.
func (f *EWFlag) Parts() []*EWFlag {
	return convert(f.marks().Parts(), func(p *Set[bool]) *EWFlag { return (*EWFlag)(p) })
}

// String prints the value and the context.
func (f *EWFlag) String() string { return fmt.Sprintf("EWFlag(%t)%v", f.On(), f.Context()) }

// MarshalJSON writes true or false.
func (f *EWFlag) MarshalJSON() ([]byte, error) { return strconv.AppendBool(nil, f.On()), nil }

// Append appends the canonical encoding, message EWFlag of crdt.proto.
func (f *EWFlag) Append(b []byte) []byte { return appendFlag(b, f.marks()) }

// EncodedSize returns how many bytes Append appends. It encodes.
func (f *EWFlag) EncodedSize() int { return len(f.Append(nil)) }

// DecodeEWFlag reads a flag that fills b. Other bytes give a *DecodeError.
func DecodeEWFlag(b []byte) (*EWFlag, error) {
	s, err := decodeFlag(b, "EWFlag", false)
	return (*EWFlag)(s), err
}

// Digest implements Lattice: context and live dots.
func (f *EWFlag) Digest() []byte { return f.marks().digestDots() }

// Since implements Lattice; the answer is exact.
func (f *EWFlag) Since(digest []byte) (*EWFlag, error) {
	delta, err := f.marks().sinceDots(digest)
	return (*EWFlag)(delta), err
}
