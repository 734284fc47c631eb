package crdt

import "math"

// draftActor mints the dots of operations, which are replaced when they take effect. It is nobody's name.
const draftActor Actor = math.MaxUint64

// ORMapOp is an operation on an [ORMap] before it has dots: what an atomic block records, so that whoever
// applies the block's log entry makes the delta under its own actor without holding the map. The zero op
// changes nothing.
type ORMapOp[K comparable, S DotStore[S]] struct{ draft *ORMap[K, S] }

// Prepare returns the operation that f makes of the map's values. f gets a minter of provisional dots for
// its mutators, and changes nothing.
func (m *ORMap[K, S]) Prepare(f func(v *MapStore[K, S], m *Minter) Change[*MapStore[K, S]]) ORMapOp[K, S] {
	return ORMapOp[K, S]{deltaOf(f(m.Values(), &Minter{Actor: draftActor}))}
}

// IsZero says whether op would change nothing.
func (op ORMapOp[K, S]) IsZero() bool { return op.draft.IsEmpty() }

// Effect returns the delta: what was observed dead, what is new under fresh dots of m, which may be nil when
// nothing is. It needs no state, and the same op and minter give the same delta; nil when there is nothing
// to change. Observed dots are believed, as in SetOp.
func (op ORMapOp[K, S]) Effect(m *Minter) *ORMap[K, S] {
	if op.IsZero() {
		return nil
	}
	out := &ORMap[K, S]{}
	var fresh Context
	for d := range op.draft.store.Dots() {
		as := m.Mint()
		out.store.Take(&op.draft.store, d, as)
		fresh.push(Run{as.Actor, as.Counter, as.Counter})
	}
	for r := range op.draft.Context().Runs() {
		if r.Actor != draftActor {
			out.store.keys.ctx.push(r)
		}
	}
	out.store.keys.ctx.Join(&fresh)
	if out.IsEmpty() {
		return nil
	}
	return out
}

// AppendORMapOp appends the encoding of op, message ORMapOp of crdt.proto.
func AppendORMapOp[K comparable, S DotStore[S]](b []byte, op ORMapOp[K, S], keys Codec[K], values Codec[S]) []byte {
	return op.draft.Append(b, keys, values)
}

// DecodeORMapOp reads an operation that fills b. Other bytes give a *DecodeError.
func DecodeORMapOp[K comparable, S DotStore[S]](b []byte, keys Codec[K], values Codec[S]) (ORMapOp[K, S], error) {
	draft, err := DecodeORMap(b, keys, values)
	if err != nil {
		return ORMapOp[K, S]{}, err
	}
	seen := uint64(0)
	for r := range draft.Context().Runs() {
		if r.Actor == draftActor {
			seen += r.To - r.From + 1
		}
	}
	for d := range draft.store.Dots() {
		if d.Actor != draftActor {
			return ORMapOp[K, S]{}, &DecodeError{Message: "ORMapOp", Offset: len(b), Reason: "a dot of " + d.String() + " that is no draft"}
		}
	}
	if seen != uint64(draft.Size()) {
		return ORMapOp[K, S]{}, &DecodeError{Message: "ORMapOp", Offset: len(b), Reason: "drafts that are dead"}
	}
	return ORMapOp[K, S]{draft}, nil
}
