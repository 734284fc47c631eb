package crdt

import (
	"fmt"
	"strconv"
)

// DWFlag is a disable-wins flag: it is on when it was enabled and every disable has been followed by an
// enable that saw it; a concurrent enable and disable leave it off. It is the remove-wins set of one
// element: enables and disables both take a dot and overrule what they saw. See RWSet for the construction
// and its source.
//
// The zero DWFlag is off; nil may be read. A state costs the runs of its context and a dot for each enable
// or disable that is live, of which there are as many as replicas changed the flag at the same time. Not
// safe for concurrent use when anyone changes it.
type DWFlag Set[bool]

// NewDWFlag returns a flag that is off.
func NewDWFlag() *DWFlag { return &DWFlag{} }

// On says whether the flag is on. O(1).
func (f *DWFlag) On() bool { return f != nil && f.live.contains(true) && !f.live.contains(false) }

// Enable turns the flag on where no concurrent disable says otherwise, under a fresh dot of m, also when it
// is on, and returns the delta. It panics with *DotReused when m hands out a dot that the flag has seen.
func (f *DWFlag) Enable(m *Minter) *DWFlag { return f.perform(m, true) }

// Disable turns the flag off under a fresh dot of m, also when it is off, for it must win over concurrent
// enables, and returns the delta. It panics with *DotReused as Enable does.
func (f *DWFlag) Disable(m *Minter) *DWFlag { return f.perform(m, false) }

func (f *DWFlag) perform(m *Minter, on bool) *DWFlag {
	return (*DWFlag)(f.marks().perform(SetOp[bool]{Add: []bool{on}, Remove: []bool{!on}}, m))
}

// EffectDW returns the delta of op on a DWFlag under a fresh dot of m. It needs no state.
func (op FlagOp) EffectDW(m *Minter) *DWFlag { return (*DWFlag)(op.effect(m, true)) }

func (f *DWFlag) marks() *Set[bool] { return (*Set[bool])(f) }

// Context returns the dots that the state has seen, live and dead. It belongs to the flag: it is only to be
// read, and only until the flag changes.
func (f *DWFlag) Context() *Context { return f.marks().Context() }

// Prepare returns op with Observed filled from the flag, in place of what it held.
func (f *DWFlag) Prepare(op FlagOp) FlagOp {
	op.Observed = f.marks().liveDots()
	return op
}

// Join implements Lattice. O(k · log n) for a delta of k dots and runs.
func (f *DWFlag) Join(delta *DWFlag) *DWFlag { return (*DWFlag)(f.marks().Join(delta.marks())) }

// LessOrEqual implements Lattice.
func (f *DWFlag) LessOrEqual(o *DWFlag) bool { return f.marks().LessOrEqual(o.marks()) }

// Equal implements Lattice: also what two flags that are both on have seen must be the same.
func (f *DWFlag) Equal(o *DWFlag) bool { return f.marks().Equal(o.marks()) }

// Clone implements Lattice.
func (f *DWFlag) Clone() *DWFlag { return (*DWFlag)(f.marks().Clone()) }

// IsEmpty implements Lattice: whether the state has seen no dot at all.
func (f *DWFlag) IsEmpty() bool { return f.marks().IsEmpty() }

// Size returns the number of live dots.
func (f *DWFlag) Size() int { return f.marks().Size() }

// Hash implements Lattice. O(live dots and runs of the context).
func (f *DWFlag) Hash() uint64 { return flagHash(f.marks()) }

// Parts implements Lattice: one flag for each seen dot, live or dead; see Set.Parts on how many that may be.
func (f *DWFlag) Parts() []*DWFlag {
	return convert(f.marks().Parts(), func(p *Set[bool]) *DWFlag { return (*DWFlag)(p) })
}

// String prints the value and the context.
func (f *DWFlag) String() string { return fmt.Sprintf("DWFlag(%t)%v", f.On(), f.Context()) }

// MarshalJSON writes true or false.
func (f *DWFlag) MarshalJSON() ([]byte, error) { return strconv.AppendBool(nil, f.On()), nil }

// Append appends the canonical encoding, message DWFlag of crdt.proto.
func (f *DWFlag) Append(b []byte) []byte { return appendFlag(b, f.marks()) }

// EncodedSize returns how many bytes Append appends. It encodes.
func (f *DWFlag) EncodedSize() int { return len(f.Append(nil)) }

// DecodeDWFlag reads a flag that fills b. Other bytes give a *DecodeError.
func DecodeDWFlag(b []byte) (*DWFlag, error) {
	s, err := decodeFlag(b, "DWFlag", true)
	return (*DWFlag)(s), err
}

// Digest implements Lattice: context and live dots.
func (f *DWFlag) Digest() []byte { return f.marks().digestDots() }

// Since implements Lattice; the answer is exact.
func (f *DWFlag) Since(digest []byte) (*DWFlag, error) {
	delta, err := f.marks().sinceDots(digest)
	return (*DWFlag)(delta), err
}
