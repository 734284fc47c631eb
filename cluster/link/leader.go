package link

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

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
	return b
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
	return appendText(b, 7, r.Detail)
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
		}
		return err
	})
}

// Leader asks the leader of the log, wherever it is.
type Leader struct {
	Peers Peers // of ServicePropose
	// Self is this silo, whose requests go to Local without a message; "" on a client.
	Self  view.SiloID
	Local func(ctx context.Context, r *LeaderRequest) *LeaderReply
	// Hint tells who this node believes to lead; nil on a client.
	Hint func() (view.SiloID, bool)

	last atomic.Pointer[view.SiloID] // who led when asked last
}

// Do asks until the leader has answered, or ctx ends. The error is wire.ErrNotExecuted where an entry
// surely was not appended, wire.ErrDenied where it may not be, wire.ErrTooLarge where it never can be, and wire.ErrUnknown where it may have
// been.
func (l *Leader) Do(ctx context.Context, r *LeaderRequest) (*LeaderReply, error) {
	payload := r.Append(nil)
	refusal := "no silo is known"
	for try := 0; ; try++ {
		if to, ok := l.guess(try); ok {
			reply, err := l.ask(ctx, to, r, payload)
			switch {
			case errors.Is(err, wire.ErrUnknown) && r.Op == OpPropose, errors.Is(err, wire.ErrTooLarge):
				return nil, err
			case err != nil:
				refusal = err.Error()
				l.last.Store(nil)
			case reply.Status == LeaderOK:
				l.last.Store(&to)
				return reply, nil
			case reply.Status == LeaderTooLarge:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to, reply.Detail, wire.ErrTooLarge)
			case reply.Status == LeaderDenied:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to, reply.Detail, wire.ErrDenied)
			case reply.Status == LeaderInDoubt:
				return nil, fmt.Errorf("the log's leader %s: %s: %w", to, reply.Detail, wire.ErrUnknown)
			default:
				refusal = reply.Detail
				l.last.Store(nil)
				if reply.Leader != "" && reply.Leader != to {
					l.last.Store(&reply.Leader)
				}
			}
		}
		pause := min(time.Duration(try/2)*5*time.Millisecond, 50*time.Millisecond)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no leader of the log took the request before the context ended (%v; the last refusal: %s): %w", context.Cause(ctx), refusal, wire.ErrNotExecuted)
		}
	}
}

// guess names a silo that may lead: who was named last, who this node follows, or each in turn.
func (l *Leader) guess(try int) (view.SiloID, bool) {
	if last := l.last.Load(); last != nil {
		return *last, true
	}
	if l.Hint != nil && try%3 != 2 {
		return l.Hint()
	}
	v := l.Peers.Views.Current()
	if v == nil || len(v.Members) == 0 {
		return "", false
	}
	if l.Hint != nil {
		try /= 3 // each in turn, also where their number is a multiple of three
	}
	return v.Members[try%len(v.Members)].ID, true
}

func (l *Leader) ask(ctx context.Context, to view.SiloID, r *LeaderRequest, payload []byte) (*LeaderReply, error) {
	if to == l.Self && l.Local != nil {
		return l.Local(ctx, r), nil
	}
	b, err := l.Peers.Request(ctx, to, payload)
	if err != nil {
		fate := Fate(err)
		if fate == nil {
			fate = wire.ErrUnknown
		}
		return nil, fmt.Errorf("%w: %w", fate, err)
	}
	reply, err := DecodeLeaderReply(b)
	if err != nil {
		return nil, fmt.Errorf("the reply of %s: %w: %w", to, wire.ErrUnknown, err)
	}
	return reply, nil
}
