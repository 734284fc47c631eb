package link

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// CallRequest is a call of a grain as it travels.
type CallRequest struct {
	To     wire.ID
	Method uint32
	Args   []byte
	// Root names the call from outside that this call is, if it is one; Retry says that it was made
	// before.
	Root  wire.BlockID
	Retry bool
	// Chain is who waits for this call, outermost first.
	Chain []Link
	// Block is the atomic block that the call is made in, if any, and Coordinator the address of the
	// node that it began on.
	Block       commit.Holder
	Coordinator string
	// By is the grant of the grain that calls, under which it was activated; its Kind is "" where no grain
	// calls. Only silos are believed.
	By view.Grant
	// Forwarded says that a silo has sent the call on: it is not sent on again.
	Forwarded bool
	// Values are the request's, nil for none.
	Values *wire.Values
	// OneWay says that the caller wants to know that the call was taken in, and no more.
	OneWay bool
	// Of is the interface as the caller knows it, but for its Kind; zero where that is not known.
	Of wire.Interface
}

// Link is a turn that waits for a call.
type Link struct {
	Grain wire.ID
	Call  commit.CallID
	// InBlock says that the turn is one of the call's block, or that the block was begun in it.
	InBlock bool
}

// CallReply answers a CallRequest.
type CallReply struct {
	Status Status
	Result []byte          // of StatusOK
	Error  []byte          // of StatusError, by wire.AppendError
	Detail string          // of the others
	Number uint64          // the view of a silo that does not serve the grain
	Holder string          // of StatusNotOwner: where the grain is, in that view
	Record []commit.Record // what was done in the call's block
	Doomed []byte          // why the block cannot commit, by wire.AppendError
}

// Status says how a call ended.
type Status uint8

// The statuses.
const (
	StatusOK           Status = iota + 1
	StatusError               // the method returned an error
	StatusNotOwner            // not executed: the grain is elsewhere, at Holder in that view
	StatusRefused             // not executed
	StatusUnknown             // it is not known whether it ran
	StatusNoKind              // not executed: the silo was not given the kind
	StatusNoMethod            // not executed: the silo's version of the interface has no such method
	StatusCycle               // not executed: it would wait for itself
	StatusReplyLost           // committed before, and the reply was not kept
	StatusResultLost          // it ran; its result is too large to send
	StatusDenied              // not executed: not authorized
	StatusMoving              // not executed: the grain is moving, or nowhere, or the silo behind its view; again, in a moment
	StatusNoLease             // not executed: the silo has no lease
	StatusStale               // not executed: who calls has a successor, its turn is over
	StatusOverloaded          // not executed: too much waits
	StatusIncompatible        // not executed: the interfaces cannot talk
)

func appendID(b []byte, n protowire.Number, id wire.ID) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeText(1, id.Kind())+sizeText(2, id.Key())))
	return appendText(appendText(b, 1, id.Kind()), 2, id.Key())
}

// sizeText is what appendText appends.
func sizeText(n protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeBytes(len(s))
}

func appendText(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendBytes(b []byte, n protowire.Number, m []byte) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

func appendUint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func decodeID(f wire.Field) (wire.ID, error) {
	m, err := f.Bytes()
	if err != nil {
		return wire.ID{}, err
	}
	var kind, key string
	err = wire.EachField(m, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			kind, err = f.String()
		case 2:
			key, err = f.String()
		}
		return err
	})
	return wire.NewID(kind, key), err
}

func appendAttempt(b []byte, n protowire.Number, a commit.Attempt) []byte {
	var m []byte
	m = appendUint(m, 1, a.ID.Client)
	m = appendUint(m, 2, a.ID.Seq)
	m = appendUint(m, 3, uint64(a.N))
	return appendBytes(b, n, m)
}

func decodeAttempt(f wire.Field) (a commit.Attempt, err error) {
	m, err := f.Bytes()
	if err != nil {
		return a, err
	}
	return a, wire.EachField(m, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			a.ID.Client, err = f.Uint()
		case 2:
			a.ID.Seq, err = f.Uint()
		case 3:
			a.N, err = uint32Of(f)
		}
		return err
	})
}

func uint32Of(f wire.Field) (uint32, error) {
	v, err := f.Uint()
	if err == nil && v > 1<<32-1 {
		return 0, f.Errorf("%d does not fit 32 bits", v)
	}
	return uint32(v), err
}

// room is about what the encoding takes: a plain call fits.
func (r *CallRequest) room() int {
	return 64 + len(r.To.Kind()) + len(r.To.Key()) + len(r.Args) + len(r.Coordinator) + 64*len(r.Chain)
}

// Append appends the request's encoding to b.
func (r *CallRequest) Append(b []byte) []byte {
	b = slices.Grow(b, r.room())
	b = appendID(b, 1, r.To)
	b = appendUint(b, 2, uint64(r.Method))
	b = appendBytes(b, 3, r.Args)
	b = appendUint(b, 4, r.Root.Client)
	b = appendUint(b, 5, r.Root.Seq)
	b = appendUint(b, 6, protowire.EncodeBool(r.Retry))
	for _, l := range r.Chain {
		m := appendID(nil, 1, l.Grain)
		m = appendUint(m, 2, uint64(l.Call))
		m = appendUint(m, 3, protowire.EncodeBool(l.InBlock))
		b = appendBytes(b, 7, m)
	}
	if !r.Block.IsPlain() {
		b = appendAttempt(b, 8, r.Block.Attempt)
		b = appendUint(b, 9, uint64(r.Block.Timestamp.Time))
		b = appendUint(b, 10, r.Block.Timestamp.Client)
		b = appendUint(b, 11, r.Block.Timestamp.Seq)
		b = appendText(b, 12, r.Coordinator)
	}
	if r.By.Kind != "" {
		b = appendBytes(b, 13, AppendGrant(nil, r.By))
	}
	b = appendUint(b, 14, protowire.EncodeBool(r.Forwarded))
	b = r.Values.Append(b, 15)
	if r.Of.Fingerprint != 0 {
		b = appendInterface(b, 16, r.Of)
	}
	return appendUint(b, 17, protowire.EncodeBool(r.OneWay))
}

func appendInterface(b []byte, n protowire.Number, i wire.Interface) []byte {
	var m [32]byte
	return appendBytes(b, n, wire.AppendInterface(m[:0], i))
}

// maxChain bounds how many turns may wait for each other in a row.
const maxChain = 256

// DecodeCallRequest decodes a request; Args aliases b.
func DecodeCallRequest(b []byte) (*CallRequest, error) {
	r := new(CallRequest)
	return r, r.Decode(b)
}

// Decode makes r, which is zero, the request that b encodes; Args aliases b.
func (r *CallRequest) Decode(b []byte) error {
	return wire.EachField(b, func(f wire.Field) (err error) {
		var n uint64
		switch f.Number {
		case 1:
			r.To, err = decodeID(f)
		case 2:
			r.Method, err = uint32Of(f)
		case 3:
			r.Args, err = f.Bytes()
		case 4:
			r.Root.Client, err = f.Uint()
		case 5:
			r.Root.Seq, err = f.Uint()
		case 6:
			r.Retry, err = f.Bool()
		case 7:
			if len(r.Chain) == maxChain {
				return f.Errorf("more than %d calls wait for each other", maxChain)
			}
			var l Link
			l, err = decodeLink(f)
			r.Chain = append(r.Chain, l)
		case 8:
			r.Block.Attempt, err = decodeAttempt(f)
		case 9:
			n, err = f.Uint()
			r.Block.Timestamp.Time = int64(n)
		case 10:
			r.Block.Timestamp.Client, err = f.Uint()
		case 11:
			r.Block.Timestamp.Seq, err = f.Uint()
		case 12:
			r.Coordinator, err = f.String()
		case 13:
			var m []byte
			if m, err = f.Bytes(); err == nil {
				r.By, err = DecodeGrant(m)
			}
		case 14:
			r.Forwarded, err = f.Bool()
		case 15:
			r.Values, err = wire.DecodeValues(f)
		case 16:
			r.Of, err = wire.DecodeInterface(f)
		case 17:
			r.OneWay, err = f.Bool()
		}
		return err
	})
}

func decodeLink(f wire.Field) (l Link, err error) {
	m, err := f.Bytes()
	if err != nil {
		return l, err
	}
	return l, wire.EachField(m, func(f wire.Field) (err error) {
		var n uint64
		switch f.Number {
		case 1:
			l.Grain, err = decodeID(f)
		case 2:
			n, err = f.Uint()
			l.Call = commit.CallID(n)
		case 3:
			l.InBlock, err = f.Bool()
		}
		return err
	})
}

// Append appends the reply's encoding to b.
func (r *CallReply) Append(b []byte) []byte {
	b = slices.Grow(b, 64+len(r.Result)+len(r.Error)+len(r.Detail)+len(r.Holder)+len(r.Doomed))
	b = appendUint(b, 1, uint64(r.Status))
	if len(r.Result) > 0 {
		b = appendBytes(b, 2, r.Result)
	}
	if len(r.Error) > 0 {
		b = appendBytes(b, 3, r.Error)
	}
	b = appendText(b, 4, r.Detail)
	b = appendUint(b, 5, r.Number)
	b = appendText(b, 8, r.Holder)
	for i := range r.Record {
		b = appendBytes(b, 6, appendRecord(nil, &r.Record[i]))
	}
	if len(r.Doomed) > 0 {
		b = appendBytes(b, 7, r.Doomed)
	}
	return b
}

// DecodeCallReply decodes a reply; Result, Error and Doomed alias b.
func DecodeCallReply(b []byte) (r CallReply, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		var n uint64
		switch f.Number {
		case 1:
			n, err = f.Uint()
			r.Status = Status(n)
		case 2:
			r.Result, err = f.Bytes()
		case 3:
			r.Error, err = f.Bytes()
		case 4:
			r.Detail, err = f.String()
		case 5:
			r.Number, err = f.Uint()
		case 6:
			var m []byte
			if m, err = f.Bytes(); err == nil {
				var rec commit.Record
				rec, err = decodeRecord(m)
				r.Record = append(r.Record, rec)
			}
		case 7:
			r.Doomed, err = f.Bytes()
		case 8:
			r.Holder, err = f.String()
		}
		return err
	})
	return r, err
}

func appendKey(b []byte, n protowire.Number, k commit.StateKey) []byte {
	m := appendID(nil, 1, k.Grain)
	m = appendUint(m, 2, uint64(k.State))
	return appendBytes(b, n, m)
}

func decodeKey(f wire.Field) (k commit.StateKey, err error) {
	m, err := f.Bytes()
	if err != nil {
		return k, err
	}
	return k, wire.EachField(m, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			k.Grain, err = decodeID(f)
		case 2:
			k.State, err = uint32Of(f)
		}
		return err
	})
}

func appendRecord(b []byte, r *commit.Record) []byte {
	b = appendText(b, 1, r.Participant.Node)
	b = appendID(b, 2, r.Participant.Grain)
	b = appendUint(b, 3, r.Participant.Activation)
	b = appendUint(b, 4, r.Revision)
	for _, read := range r.Reads {
		b = appendBytes(b, 5, appendRead(nil, read))
	}
	for _, w := range r.Writes {
		m := appendKey(nil, 1, w.Key)
		b = appendBytes(b, 6, appendBytes(m, 2, w.Value))
	}
	for _, o := range r.Ops {
		m := appendID(nil, 1, o.Variable)
		b = appendBytes(b, 7, appendBytes(m, 2, o.Op))
	}
	return b
}

func appendRead(b []byte, r commit.Read) []byte {
	return appendAttempt(appendKey(b, 1, r.Key), 2, r.Version)
}

func decodeRead(f wire.Field) (r commit.Read, err error) {
	m, err := f.Bytes()
	if err != nil {
		return r, err
	}
	return r, wire.EachField(m, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			r.Key, err = decodeKey(f)
		case 2:
			r.Version, err = decodeAttempt(f)
		}
		return err
	})
}

func decodeRecord(b []byte) (r commit.Record, err error) {
	return r, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			r.Participant.Node, err = f.String()
		case 2:
			r.Participant.Grain, err = decodeID(f)
		case 3:
			r.Participant.Activation, err = f.Uint()
		case 4:
			r.Revision, err = f.Uint()
		case 5:
			var read commit.Read
			read, err = decodeRead(f)
			r.Reads = append(r.Reads, read)
		case 6:
			var m []byte
			if m, err = f.Bytes(); err != nil {
				return err
			}
			var w commit.Write
			err = wire.EachField(m, func(f wire.Field) (err error) {
				switch f.Number {
				case 1:
					w.Key, err = decodeKey(f)
				case 2:
					w.Value, err = cloned(f)
				}
				return err
			})
			r.Writes = append(r.Writes, w)
		case 7:
			var m []byte
			if m, err = f.Bytes(); err != nil {
				return err
			}
			var o commit.Operation
			err = wire.EachField(m, func(f wire.Field) (err error) {
				switch f.Number {
				case 1:
					o.Variable, err = decodeID(f)
				case 2:
					o.Op, err = cloned(f)
				}
				return err
			})
			r.Ops = append(r.Ops, o)
		}
		return err
	})
}

// cloned is the field's bytes, never nil: an empty value is one.
func cloned(f wire.Field) ([]byte, error) {
	b, err := f.Bytes()
	return append(make([]byte, 0, len(b)), b...), err
}

// Notice is what a coordinator and the silos where its block was tell each other.
type Notice struct {
	Kind    NoticeKind
	Attempt commit.Attempt
	Stale   []commit.Read // of NoticeAborted: what had changed
}

// NoticeKind says what a Notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeSubmitted NoticeKind = iota + 1 // by the coordinator: the decision is on its way
	NoticeCommitted                       // by the coordinator
	NoticeAborted                         // by the coordinator; also of an attempt that was never submitted
	NoticeWound                           // to the coordinator: an older block needs what the attempt holds
	NoticeRunning                         // an answer to a question: neither submitted nor over
	NoticeLost                            // the outcome is not known: load again
)

// Append appends the notice's encoding to b.
func (n Notice) Append(b []byte) []byte {
	b = appendUint(b, 1, uint64(n.Kind))
	b = appendAttempt(b, 2, n.Attempt)
	for _, r := range n.Stale {
		b = appendBytes(b, 3, appendRead(nil, r))
	}
	return b
}

// DecodeNotice decodes a notice.
func DecodeNotice(b []byte) (n Notice, err error) {
	return n, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var k uint64
			k, err = f.Uint()
			n.Kind = NoticeKind(k)
		case 2:
			n.Attempt, err = decodeAttempt(f)
		case 3:
			var r commit.Read
			r, err = decodeRead(f)
			n.Stale = append(n.Stale, r)
		}
		return err
	})
}
