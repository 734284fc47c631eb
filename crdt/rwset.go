package crdt

import (
	"fmt"
	"iter"
)

// rwMark is what a dot of a remove-wins set stands for.
type rwMark[E comparable] struct {
	e       E
	removed bool
}

// RWSet is a remove-wins set: an element is in it when it was added and every remove of it has been followed
// by an add that saw the remove; of a concurrent add and remove the remove wins. Adds and removes both take
// a dot and overrule the adds and removes of the element that they saw, so an element keeps one dot for each
// change of it that nobody has seen overruled. See "Pure Operation-Based Replicated Data
// Types" (Baquero, Almeida, Shoker, 2017), on the remove-wins set, for the meaning, and "Delta State
// Replicated Data Types" (Almeida, Shoker, Baquero, 2018), on causal types, for deltas.
//
// A removed element costs as much as one that is in the set, for ever: only its remove can tell a concurrent
// add that it lost. Where that is too much take Set.
//
// The zero RWSet is empty and ready for use; nil may be read. Not safe for concurrent use when anyone
// changes it. Elements of a state that was changed, cloned or decoded are found in O(1); in a delta they are
// found by scanning it.
type RWSet[E comparable] Set[rwMark[E]]

// NewRWSet returns an empty set.
func NewRWSet[E comparable]() *RWSet[E] { return &RWSet[E]{} }

func (s *RWSet[E]) marks() *Set[rwMark[E]] { return (*Set[rwMark[E]])(s) }

// readable returns marks that are found in O(1), or few.
func (s *RWSet[E]) readable() *Set[rwMark[E]] {
	m := s.marks()
	if m != nil && !m.live.indexed() && len(m.live.flat()) > flatMax {
		return m.Clone()
	}
	return m
}

// Contains says whether e is in the set.
func (s *RWSet[E]) Contains(e E) bool { return holds(s.marks(), e) }

func holds[E comparable](m *Set[rwMark[E]], e E) bool {
	return m.Contains(rwMark[E]{e, false}) && !m.Contains(rwMark[E]{e, true})
}

// Len returns the number of elements in the set. O(n), removed elements included.
func (s *RWSet[E]) Len() int {
	n := 0
	for range s.All() {
		n++
	}
	return n
}

// All yields each element once, in the order of its oldest live add by actor, then counter. The set must not
// be changed meanwhile.
func (s *RWSet[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		m := s.readable()
		for mark := range m.All() {
			if !mark.removed && !m.Contains(rwMark[E]{mark.e, true}) && !yield(mark.e) {
				return
			}
		}
	}
}

// Dots returns the live adds and removes of e in order.
func (s *RWSet[E]) Dots(e E) (adds, removes []Dot) {
	return s.marks().Dots(rwMark[E]{e, false}), s.marks().Dots(rwMark[E]{e, true})
}

// Context returns the dots that the state has seen, live and dead. It belongs to the set: it is only to be
// read, and only until the set changes.
func (s *RWSet[E]) Context() *Context { return s.marks().Context() }

// Add adds the elements under fresh dots of m and returns the delta. It overrules the removes that this
// replica has seen; one that it has not seen wins over it. An element that is named twice is added once.
// Without elements the delta is nil. It panics with *DotReused when m hands out a dot that the set has seen.
func (s *RWSet[E]) Add(m *Minter, es ...E) *RWSet[E] {
	return (*RWSet[E])(s.marks().perform(RWSetOp[E]{Add: es}.onMarks(), m))
}

// Remove takes out the elements, present or not, under fresh dots of m and returns the delta. Concurrent
// adds lose to it. It panics with *DotReused as Add does.
func (s *RWSet[E]) Remove(m *Minter, es ...E) *RWSet[E] {
	return (*RWSet[E])(s.marks().perform(RWSetOp[E]{Remove: es}.onMarks(), m))
}

// Clear removes all elements that are in the set and returns the delta, nil when there are none. O(n).
func (s *RWSet[E]) Clear(m *Minter) *RWSet[E] {
	var es []E
	for e := range s.All() {
		es = append(es, e)
	}
	return s.Remove(m, es...)
}

// Join implements Lattice. It costs O(k · log n) for a delta of k dots and runs, whatever the set's size n.
func (s *RWSet[E]) Join(delta *RWSet[E]) *RWSet[E] {
	return (*RWSet[E])(s.marks().Join(delta.marks()))
}

// JoinTrace is Join that reports each element that came into the set, then each that left it, once, in the
// order of the dots that did it, after the set has taken the delta. The functions may read the set, not
// change it. It costs what Join costs, and the live dots of the elements that changed.
func (s *RWSet[E]) JoinTrace(delta *RWSet[E], entered, left func(E)) *RWSet[E] {
	var touched []E
	more := map[rwMark[E]]int{} // live dots of a mark, compared with before
	count := func(by int) func(rwMark[E], Dot) {
		return func(m rwMark[E], _ Dot) {
			touched = append(touched, m.e)
			more[m] += by
		}
	}
	novelty := s.marks().JoinTrace(delta.marks(), count(+1), count(-1))
	var gone []E
	done := make(map[E]struct{}, len(touched))
	for _, e := range touched {
		if _, ok := done[e]; ok {
			continue
		}
		done[e] = struct{}{}
		adds, removes := s.Dots(e)
		was := len(adds) > more[rwMark[E]{e, false}] && len(removes) == more[rwMark[E]{e, true}]
		switch now := len(adds) > 0 && len(removes) == 0; {
		case now && !was:
			entered(e)
		case was && !now:
			gone = append(gone, e)
		}
	}
	for _, e := range gone {
		left(e)
	}
	return (*RWSet[E])(novelty)
}

// LessOrEqual implements Lattice.
func (s *RWSet[E]) LessOrEqual(o *RWSet[E]) bool { return s.marks().LessOrEqual(o.marks()) }

// Equal implements Lattice: whether both have seen the same dots and hold the same of them live. O(n).
func (s *RWSet[E]) Equal(o *RWSet[E]) bool { return s.marks().Equal(o.marks()) }

// Clone implements Lattice.
func (s *RWSet[E]) Clone() *RWSet[E] { return (*RWSet[E])(s.marks().Clone()) }

// IsEmpty implements Lattice: whether the state has seen no dot at all.
func (s *RWSet[E]) IsEmpty() bool { return s.marks().IsEmpty() }

// Size returns the number of live dots, those of removes included.
func (s *RWSet[E]) Size() int { return s.marks().Size() }

// Hash implements Lattice. It costs O(runs of the context) and covers dots, which name their elements.
func (s *RWSet[E]) Hash() uint64 { return s.marks().Hash() }

// Parts implements Lattice: one set for each seen dot, live or dead; see Set.Parts on how many that may be.
func (s *RWSet[E]) Parts() []*RWSet[E] {
	return convert(s.marks().Parts(), func(p *Set[rwMark[E]]) *RWSet[E] { return (*RWSet[E])(p) })
}

// String prints up to 16 elements, how many there are, and the context.
func (s *RWSet[E]) String() string {
	return fmt.Sprintf("RWSet(%d)%s%v", s.Len(), printed(s.All()), s.Context())
}

// MarshalJSON writes the elements as an array, in the order of All.
func (s *RWSet[E]) MarshalJSON() ([]byte, error) { return marshalItems(s.All()) }

// markCodec encodes marks as message RWSet.Mark of crdt.proto.
func markCodec[E comparable](codec Codec[E]) Codec[rwMark[E]] {
	return Codec[rwMark[E]]{
		Append: func(b []byte, m rwMark[E]) []byte {
			b = appendUint(b, 1, uint64(boolInt(m.removed)))
			return appendNested(b, 2, func(b []byte) []byte { return codec.Append(b, m.e) })
		},
		Decode: func(b []byte) (m rwMark[E], err error) {
			r := reader{message: "RWSet.Mark", b: b}
			found := false
			for r.next() {
				switch r.num {
				case 1:
					m.removed = r.bool()
				case 2:
					m.e, found = decodeValue(&r, codec), true
					checkKey(&r, m.e)
				default:
					r.unknown()
				}
			}
			if r.err == nil && !found {
				r.fail("the element is missing")
			}
			return finished(&r, m)
		},
	}
}

// Append appends the canonical encoding, message RWSet of crdt.proto.
func (s *RWSet[E]) Append(b []byte, codec Codec[E]) []byte {
	return s.marks().Append(b, markCodec(codec))
}

// EncodedSize returns how many bytes Append appends. It encodes: O(n).
func (s *RWSet[E]) EncodedSize(codec Codec[E]) int { return len(s.Append(nil, codec)) }

// DecodeRWSet reads a set that fills b. Other bytes give a *DecodeError.
func DecodeRWSet[E comparable](b []byte, codec Codec[E]) (*RWSet[E], error) {
	s, err := DecodeSet(b, markCodec(codec))
	if err != nil {
		return nil, renamed(err, "Set", "RWSet")
	}
	return (*RWSet[E])(s), nil
}

// Digest implements Lattice: as Set.Digest.
func (s *RWSet[E]) Digest() []byte { return s.marks().Digest() }

// Since implements Lattice: as Set.Since, whose remarks on what is exact hold here too.
func (s *RWSet[E]) Since(digest []byte) (*RWSet[E], error) {
	delta, err := s.marks().Since(digest)
	return (*RWSet[E])(delta), err
}

// RWSetOp is an operation on an RWSet before it has dots: what an atomic block records. Its fields are those
// of SetOp; an element that is both removed and added is in the set afterwards, unless a concurrent remove
// says otherwise.
type RWSetOp[E comparable] SetOp[E]

// onMarks returns op on the set of marks: those of its own kind take dots, those of the other end.
func (op RWSetOp[E]) onMarks() SetOp[rwMark[E]] {
	out := SetOp[rwMark[E]]{Observed: op.Observed}
	added := make(map[E]struct{}, len(op.Add))
	for _, e := range op.Add {
		mustEqualItself(e)
		added[e] = struct{}{}
		out.Add = append(out.Add, rwMark[E]{e, false})
		out.Remove = append(out.Remove, rwMark[E]{e, true})
	}
	for _, e := range op.Remove {
		mustEqualItself(e)
		if _, ok := added[e]; !ok {
			out.Add = append(out.Add, rwMark[E]{e, true})
			out.Remove = append(out.Remove, rwMark[E]{e, false})
		}
	}
	return out
}

// Prepare returns op with Observed filled from the set, in place of what it held.
func (s *RWSet[E]) Prepare(op RWSetOp[E]) RWSetOp[E] {
	op.Observed = s.marks().Prepare(op.onMarks()).Observed
	return op
}

// IsZero says whether op would change nothing.
func (op RWSetOp[E]) IsZero() bool { return len(op.Add)+len(op.Remove)+len(op.Observed) == 0 }

// Effect returns the delta: the observed dots dead, each element's add or remove live under a fresh dot of
// m. It needs no state; nil when there is nothing to change. Observed is believed, as by SetOp.Effect.
func (op RWSetOp[E]) Effect(m *Minter) *RWSet[E] { return (*RWSet[E])(op.onMarks().Effect(m)) }

// AppendRWSetOp appends the encoding of op, message RWSetOp of crdt.proto. It keeps the elements' order.
func AppendRWSetOp[E comparable](b []byte, op RWSetOp[E], codec Codec[E]) []byte {
	return AppendSetOp(b, SetOp[E](op), codec)
}

// DecodeRWSetOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeRWSetOp[E comparable](b []byte, codec Codec[E]) (RWSetOp[E], error) {
	op, err := DecodeSetOp(b, codec)
	if err != nil {
		err = renamed(err, "SetOp", "RWSetOp")
	}
	return RWSetOp[E](op), err
}
