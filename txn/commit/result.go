package commit

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Code says how the ledger answered a command.
type Code uint8

const (
	// Committed: to a Decision, it is committed now; to an Inquire, the block had committed.
	Committed Code = iota + 1
	// Conflict: a read names a version that is not current. This attempt will never commit.
	Conflict
	// AlreadyCommitted: an attempt of this ID had committed, perhaps this one: see Result.Attempt.
	AlreadyCommitted
	// Refused: the attempt had been aborted before: by a conflict or by an Inquire.
	Refused
	// Forgotten: the ledger does not know any more. It did not commit now; whether it had is not known.
	Forgotten
	// Invalid: the command made no sense or an effect refused it; Result.Reason says why. If it was a
	// Decision of a live client, this attempt will never commit.
	Invalid
	// Aborted: to an Inquire, no attempt up to Result.Attempt has committed or ever will.
	Aborted
	// Done: to a Register (with Result.Client), Confirm, End, Logged or Left.
	Done
)

var codeNames = [...]string{"none", "committed", "conflict", "already committed", "refused", "forgotten", "invalid", "aborted", "done"}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// AllAttempts is the N of a Result.Attempt where every attempt of an ID is aborted, future ones too.
const AllAttempts = ^uint32(0)

// Result is the ledger's answer to one command.
type Result struct {
	Code     Code
	Attempt  Attempt // the one that committed; for Aborted and Refused: the last that is aborted
	Client   uint64  // the number that a Register gave out
	Stale    []Read  // for Conflict: the keys that had changed, with their current version, in key order
	Reply    []byte  // for Committed and AlreadyCommitted: the kept reply
	HasReply bool
	Reason   string // for Invalid
}

// DecodeResults reads what [Ledger.Apply] returned: one result a command of the entry, in order. An
// entry that could not be decoded has one result, Invalid.
func DecodeResults(b []byte) ([]Result, error) {
	if len(b) == 0 || b[0] != formatV1 {
		return nil, fmt.Errorf("commit: results: %w: unknown format", errMalformed)
	}
	var rs []Result
	err := eachField(b[1:], func(n protowire.Number, f field) error {
		if n != 1 {
			return unknownField(n, f)
		}
		r, err := decodeResult(f.bytes)
		rs = append(rs, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("commit: results: %w", err)
	}
	return rs, nil
}

func encodeResults(rs []Result) []byte {
	b := []byte{formatV1}
	var body []byte
	for _, r := range rs {
		body = r.append(body[:0])
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, body)
	}
	return b
}

func (r Result) append(b []byte) []byte {
	b = appendNum(b, 1, uint64(r.Code))
	b = appendAttempt(b, 2, r.Attempt)
	b = appendNum(b, 3, r.Client)
	var sub []byte
	for _, s := range r.Stale {
		sub = appendRead(sub[:0], s)
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	if r.HasReply {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendBytes(b, r.Reply)
	}
	return appendBytes(b, 6, []byte(r.Reason))
}

func decodeResult(b []byte) (Result, error) {
	var r Result
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		switch n {
		case 1:
			if f.num == 0 || f.num > uint64(Done) {
				return fmt.Errorf("%w: unknown code %d", errMalformed, f.num)
			}
			r.Code = Code(f.num)
		case 2:
			r.Attempt, err = decodeAttempt(f.bytes)
		case 3:
			r.Client = f.num
		case 4:
			var s Read
			s, err = decodeRead(f.bytes)
			r.Stale = append(r.Stale, s)
		case 5:
			r.Reply, r.HasReply = f.bytes, true
		case 6:
			r.Reason = string(f.bytes)
		default:
			err = unknownField(n, f)
		}
		return err
	})
	return r, err
}
