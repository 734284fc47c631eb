package link

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// LeaderRequest is what is asked of the leader of the log, through ServicePropose.
type LeaderRequest struct {
	Op    LeaderOp
	Entry []byte          // of OpPropose
	Key   commit.StateKey // of OpLoad
	Reads []commit.Read   // of OpValidate
	// Pass has a silo that does not lead send the request on, once: who asks cannot reach the leader.
	Pass bool
}

// LeaderOp is what a LeaderRequest asks for.
type LeaderOp uint8

// The operations.
const (
	OpPropose  LeaderOp = iota + 1 // append an entry, answer with its result
	OpLoad                         // read a transactional state
	OpValidate                     // say whether all reads are current
)

// LeaderReply answers a LeaderRequest.
type LeaderReply struct {
	Status  LeaderStatus
	Result  []byte         // of OpPropose
	Version commit.Attempt // of OpLoad
	Value   []byte         // of OpLoad; nil if never written
	Stale   []commit.Read  // of OpValidate
	Leader  view.SiloID    // of LeaderElsewhere; "" if not known
	Addr    string         // of Leader: it may be in no view yet
	Detail  string
}

// LeaderStatus says what became of a LeaderRequest.
type LeaderStatus uint8

// The statuses.
const (
	LeaderOK        LeaderStatus = iota + 1
	LeaderElsewhere              // not executed: ask Leader
	LeaderRefused                // not executed
	LeaderInDoubt                // an entry may or may not be appended
	LeaderTooLarge               // not executed, and never will be
	LeaderDenied                 // not executed: not authorized
)

// Append appends the request's encoding to b.
func (r *LeaderRequest) Append(b []byte) []byte {
	b = appendUint(b, 1, uint64(r.Op))
	switch r.Op {
	case OpPropose:
		b = appendBytes(b, 2, r.Entry)
	case OpLoad:
		b = appendKey(b, 3, r.Key)
	case OpValidate:
		for _, read := range r.Reads {
			b = appendBytes(b, 4, appendRead(nil, read))
		}
	}
	return appendUint(b, 5, protowire.EncodeBool(r.Pass))
}

// DecodeLeaderRequest decodes a request.
func DecodeLeaderRequest(b []byte) (*LeaderRequest, error) {
	r := &LeaderRequest{}
	return r, wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var op uint64
			op, err = f.Uint()
			r.Op = LeaderOp(op)
		case 2:
			r.Entry, err = cloned(f)
		case 3:
			r.Key, err = decodeKey(f)
		case 4:
			var read commit.Read
			read, err = decodeRead(f)
			r.Reads = append(r.Reads, read)
		case 5:
			r.Pass, err = f.Bool()
		}
		return err
	})
}

// Append appends the reply's encoding to b.
func (r *LeaderReply) Append(b []byte) []byte {
	b = appendUint(b, 1, uint64(r.Status))
	if len(r.Result) > 0 {
		b = appendBytes(b, 2, r.Result)
	}
	b = appendAttempt(b, 3, r.Version)
	if r.Value != nil {
		b = appendBytes(b, 4, r.Value)
	}
	for _, read := range r.Stale {
		b = appendBytes(b, 5, appendRead(nil, read))
	}
	b = appendText(b, 6, string(r.Leader))
	b = appendText(b, 7, r.Detail)
	return appendText(b, 8, r.Addr)
}

// DecodeLeaderReply decodes a reply.
func DecodeLeaderReply(b []byte) (*LeaderReply, error) {
	r := &LeaderReply{}
	return r, wire.EachField(b, func(f wire.Field) (err error) {
		var n uint64
		var text string
		switch f.Number {
		case 1:
			n, err = f.Uint()
			r.Status = LeaderStatus(n)
		case 2:
			r.Result, err = f.Bytes()
		case 3:
			r.Version, err = decodeAttempt(f)
		case 4:
			r.Value, err = cloned(f)
		case 5:
			var read commit.Read
			read, err = decodeRead(f)
			r.Stale = append(r.Stale, read)
		case 6:
			text, err = f.String()
			r.Leader = view.SiloID(text)
		case 7:
			r.Detail, err = f.String()
		case 8:
			r.Addr, err = f.String()
		}
		return err
	})
}
