// Package crdt holds the convergent data types: states that replicas change without asking each other and
// that come out equal once all have seen the same changes, in whatever order, grouping and repetition.
//
// There are four: [Set] (add-wins), [Counter], [Register] and [RegisterMap] (last writer wins). Each is a
// [Lattice]: every change returns a delta, a small state of the same type, and joining that delta into
// another replica has the same effect there. Join returns the novelty, the smallest delta that the
// receiver did not hold yet; what travels on, is stored or feeds a dataflow is the novelty, and nil ends
// the matter. Where deltas were lost, a replica sends its Digest and the other answers by Since.
//
// Everything here is pure: no I/O, no clock, no goroutine; time, actors and counters are arguments. No type
// is safe for concurrent use when anyone changes it. Deltas and encodings of equal states are equal.
//
// An operation type (SetOp, CounterOp, RegisterOp, RegisterMapOp) is a change before it has an identity:
// Prepare reads what it needs of the state, Effect makes the delta later and elsewhere, under an actor that
// only knows its own [Minter], [CounterRow] or name. Atomic blocks record operations.
package crdt
