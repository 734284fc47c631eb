package flow

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// On the wire the state of an operator is
//
//	message State { uint32 version = 1; fixed64 fingerprint = 2; repeated bytes batch = 3; }
//
// in canonical form: version is 1, fields in this order and all present. The batches hold the inputs, by
// port, of an operator that keeps its inputs, and the view of one that does not (map, flat-map, filter,
// union, sources).
const stateVersion = 1

// StateError says why bytes are not a state of an operator or a network that can be restored here.
type StateError struct {
	Node   string // whose state it was to be, empty when it is a network's
	Offset int    // in bytes from the start of the state
	Reason string // what was found
	Err    error  // from a batch, or nil
}

func (e *StateError) Error() string {
	of := "a network"
	if e.Node != "" {
		of = fmt.Sprintf("node %q", e.Node)
	}
	text := fmt.Sprintf("flow: this is no state of %s at byte %d: %s", of, e.Offset, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *StateError) Unwrap() error { return e.Err }

// AppendState appends the state of o to b: all that it needs to go on as if nothing had happened, work
// counters apart. Equal states give equal bytes. It costs O(n log n) in what is held. The error is
// ErrBroken, wrapped.
func (o *Operator) AppendState(b []byte) ([]byte, error) {
	batches, err := o.e.state()
	if err != nil {
		return b, fmt.Errorf("flow: node %q: %w", o.node.Name, err)
	}
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, stateVersion)
	b = protowire.AppendTag(b, 2, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, o.node.Fingerprint)
	for _, batch := range batches {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, batch)
	}
	return b, nil
}

// Restore puts a state that AppendState made in the place of what o holds, and mends an operator that is
// broken. It refuses, with a *StateError and without any change, what is malformed and what was made by
// other code: a state is only good for the functions that led to it, all the way from the sources. It
// costs O(state), in the operator's own terms.
func (o *Operator) Restore(state []byte) error {
	r := reader{b: state, node: o.node.Name}
	if v := r.varint(1); r.err == nil && v != stateVersion {
		r.fail(fmt.Sprintf("its version is %d, not %d", v, stateVersion))
	}
	if f := r.fixed(2); r.err == nil && f != o.node.Fingerprint {
		r.fail(fmt.Sprintf("it was made by other code: its fingerprint is %#x, this node's is %#x", f, o.node.Fingerprint))
	}
	var batches [][]byte
	for r.more() {
		batches = append(batches, r.bytes(3))
	}
	if r.err != nil {
		return r.err
	}
	if err := o.e.restore(batches); err != nil {
		return &StateError{Node: o.node.Name, Reason: "it cannot be restored", Err: err}
	}
	return nil
}

// reader reads fields in their order and canonical form, up to the first that is wrong.
type reader struct {
	b    []byte
	at   int
	node string
	err  error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = &StateError{Node: r.node, Offset: r.at, Reason: reason}
	}
}

func (r *reader) more() bool { return r.err == nil && r.at < len(r.b) }

// tag consumes the tag of one of the first 15 fields.
func (r *reader) tag(n protowire.Number, t protowire.Type) bool {
	if r.err != nil {
		return false
	}
	if r.at >= len(r.b) || r.b[r.at] != byte(protowire.EncodeTag(n, t)) {
		r.fail(fmt.Sprintf("field %d is missing", n))
		return false
	}
	r.at++
	return true
}

func (r *reader) varint(n protowire.Number) uint64 {
	if !r.tag(n, protowire.VarintType) {
		return 0
	}
	v, size := protowire.ConsumeVarint(r.b[r.at:])
	if size < 0 || size != protowire.SizeVarint(v) {
		r.fail(fmt.Sprintf("field %d is cut off or not in its shortest form", n))
		return 0
	}
	r.at += size
	return v
}

func (r *reader) fixed(n protowire.Number) uint64 {
	if !r.tag(n, protowire.Fixed64Type) {
		return 0
	}
	v, size := protowire.ConsumeFixed64(r.b[r.at:])
	if size < 0 {
		r.fail(fmt.Sprintf("field %d is cut off", n))
		return 0
	}
	r.at += size
	return v
}

// bytes returns a field's content, which aliases the state.
func (r *reader) bytes(n protowire.Number) []byte {
	if !r.tag(n, protowire.BytesType) {
		return nil
	}
	v, size := protowire.ConsumeBytes(r.b[r.at:])
	if size < 0 || size != protowire.SizeBytes(len(v)) {
		r.fail(fmt.Sprintf("field %d is cut off or its length is not in its shortest form", n))
		return nil
	}
	r.at += size
	return v
}
