package commit

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Command is one thing that an entry asks of the ledger: [Register], [Decision], [Inquire], [Confirm],
// [End], [Logged] or [Left].
type Command interface {
	tag() protowire.Number
	body(b []byte) []byte
}

// Register asks for a new client number. Answered Done, with the number. Asking twice wastes a number
// and does no other harm.
type Register struct{}

// Inquire asks for a block's outcome. Where the ledger knows none, it first records the abort, so that
// a decision that is still on its way is refused, and then answers Aborted.
type Inquire struct {
	ID ID
	N  uint32 // attempts up to N are aborted, later ones may commit; 0: all that will ever be
	// Past, if not 0, is for a coordinator that takes an ID over from another, which may still run: N
	// does not count, and the next Past attempts after the last that is known to be aborted are aborted.
	// The answer's Attempt.N is given to nobody else: the attempts after it, see [NewBlockAfter], have
	// names of their own as long as no coordinator makes more than Past of them.
	Past uint32
}

// Confirm says that the client needs no results of its sequences up to UpTo any more: they are
// Forgotten from here on.
type Confirm struct {
	Client uint64
	UpTo   uint64
}

// End says that a client is gone for good: all its ids are Forgotten, and refused as new.
type End struct{ Client uint64 }

// Logged says that all replicas of variables on a silo have durably logged every delta that the silo has
// drained of the entries up to Pos. From its first Logged on, deltas are kept for the silo. A silo sends one
// before variables are kept on it, and whenever it begins anew, even with nothing to report. Positions only
// grow; one that is not yet applied is refused as Invalid.
type Logged struct {
	Silo string
	Pos  uint64
}

// Left takes a silo out of those that deltas are kept for, whatever it has not logged: no variable is kept on
// it any more. Taking out who is not in changes nothing.
type Left struct{ Silo string }

const (
	formatV1 = 1 // the first byte of every entry and of every result

	tagRegister = 1
	tagDecision = 2
	tagInquire  = 3
	tagConfirm  = 4
	tagEnd      = 5
	tagLogged   = 6
	tagLeft     = 7

	maxSiloName = 256 // bytes
)

var errMalformed = errors.New("malformed")

// EncodeEntry makes one log entry of several commands, which are applied in their order. Its results
// come back in that order too: see [DecodeResults].
func EncodeEntry(cmds ...Command) []byte {
	b := []byte{formatV1}
	var body []byte
	for _, c := range cmds {
		body = c.body(body[:0])
		b = protowire.AppendTag(b, c.tag(), protowire.BytesType)
		b = protowire.AppendBytes(b, body)
	}
	return b
}

// DecodeEntry is the inverse of [EncodeEntry]. It allocates in proportion to b, whoever made it. What
// it returns shares b's memory.
func DecodeEntry(b []byte) ([]Command, error) {
	if len(b) == 0 || b[0] != formatV1 {
		return nil, fmt.Errorf("commit: entry: %w: unknown format", errMalformed)
	}
	var cmds []Command
	err := eachField(b[1:], func(n protowire.Number, f field) error {
		c, err := decodeCommand(n, f.bytes)
		if err != nil {
			return err
		}
		cmds = append(cmds, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("commit: entry: command %d: %w", len(cmds), err)
	}
	return cmds, nil
}

func decodeCommand(n protowire.Number, b []byte) (Command, error) {
	switch n {
	case tagRegister:
		return Register{}, eachField(b, unknownField)
	case tagDecision:
		return decodeDecision(b)
	case tagInquire:
		var c Inquire
		err := eachField(b, func(n protowire.Number, f field) (err error) {
			switch n {
			case 1:
				c.ID.Client = f.num
			case 2:
				c.ID.Seq = f.num
			case 3:
				c.N, err = f.uint32()
			case 4:
				c.Past, err = f.uint32()
			default:
				err = unknownField(n, f)
			}
			return err
		})
		return c, err
	case tagConfirm:
		var c Confirm
		err := eachField(b, func(n protowire.Number, f field) error {
			switch n {
			case 1:
				c.Client = f.num
			case 2:
				c.UpTo = f.num
			default:
				return unknownField(n, f)
			}
			return nil
		})
		return c, err
	case tagEnd:
		var c End
		err := eachField(b, func(n protowire.Number, f field) error {
			if n != 1 {
				return unknownField(n, f)
			}
			c.Client = f.num
			return nil
		})
		return c, err
	case tagLogged:
		var c Logged
		err := eachField(b, func(n protowire.Number, f field) error {
			switch n {
			case 1:
				if len(f.bytes) > maxSiloName {
					return errMalformed
				}
				c.Silo = string(f.bytes)
			case 2:
				c.Pos = f.num
			default:
				return unknownField(n, f)
			}
			return nil
		})
		return c, err
	case tagLeft:
		var c Left
		err := eachField(b, func(n protowire.Number, f field) error {
			if n != 1 {
				return unknownField(n, f)
			}
			if len(f.bytes) > maxSiloName {
				return errMalformed
			}
			c.Silo = string(f.bytes)
			return nil
		})
		return c, err
	}
	return nil, fmt.Errorf("%w: unknown command %d", errMalformed, n)
}

func (Register) tag() protowire.Number { return tagRegister }
func (Decision) tag() protowire.Number { return tagDecision }
func (Inquire) tag() protowire.Number  { return tagInquire }
func (Confirm) tag() protowire.Number  { return tagConfirm }
func (End) tag() protowire.Number      { return tagEnd }
func (Logged) tag() protowire.Number   { return tagLogged }
func (Left) tag() protowire.Number     { return tagLeft }

func (Register) body(b []byte) []byte { return b }

func (c Inquire) body(b []byte) []byte {
	b = appendNum(b, 1, c.ID.Client)
	b = appendNum(b, 2, c.ID.Seq)
	b = appendNum(b, 3, uint64(c.N))
	return appendNum(b, 4, uint64(c.Past))
}

func (c Confirm) body(b []byte) []byte {
	b = appendNum(b, 1, c.Client)
	return appendNum(b, 2, c.UpTo)
}

func (c End) body(b []byte) []byte { return appendNum(b, 1, c.Client) }

func (c Logged) body(b []byte) []byte {
	b = appendBytes(b, 1, []byte(c.Silo))
	return appendNum(b, 2, c.Pos)
}

func (c Left) body(b []byte) []byte { return appendBytes(b, 1, []byte(c.Silo)) }

func (d Decision) body(b []byte) []byte {
	b = appendAttempt(b, 1, d.Attempt)
	var sub []byte
	for _, r := range d.Reads {
		sub = appendRead(sub[:0], r)
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	for _, w := range d.Writes {
		sub = appendKey(sub[:0], w.Key)
		sub = appendBytes(sub, 4, w.Value)
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	for _, o := range d.Ops {
		sub = appendBytes(sub[:0], 1, []byte(o.Variable.Kind()))
		sub = appendBytes(sub, 2, []byte(o.Variable.Key()))
		sub = appendBytes(sub, 3, o.Op)
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	if d.HasReply {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendBytes(b, d.Reply)
	}
	return b
}

func decodeDecision(b []byte) (Decision, error) {
	var d Decision
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		switch n {
		case 1:
			d.Attempt, err = decodeAttempt(f.bytes)
		case 2:
			var r Read
			r, err = decodeRead(f.bytes)
			d.Reads = append(d.Reads, r)
		case 3:
			var w Write
			w, err = decodeWrite(f.bytes)
			d.Writes = append(d.Writes, w)
		case 4:
			var o Operation
			o, err = decodeOperation(f.bytes)
			d.Ops = append(d.Ops, o)
		case 5:
			d.Reply, d.HasReply = f.bytes, true
		default:
			err = unknownField(n, f)
		}
		return err
	})
	return d, err
}

func appendRead(b []byte, r Read) []byte {
	b = appendKey(b, r.Key)
	return appendAttempt(b, 4, r.Version)
}

func decodeRead(b []byte) (Read, error) {
	var r Read
	var kind, key string
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		if n == 4 {
			r.Version, err = decodeAttempt(f.bytes)
			return err
		}
		return decodeKeyField(n, f, &kind, &key, &r.Key.State)
	})
	r.Key.Grain = wire.NewID(kind, key)
	return r, err
}

func decodeWrite(b []byte) (Write, error) {
	var w Write
	var kind, key string
	err := eachField(b, func(n protowire.Number, f field) error {
		if n == 4 {
			w.Value = f.bytes
			return nil
		}
		return decodeKeyField(n, f, &kind, &key, &w.Key.State)
	})
	w.Key.Grain = wire.NewID(kind, key)
	return w, err
}

func decodeOperation(b []byte) (Operation, error) {
	var kind, key string
	var o Operation
	err := eachField(b, func(n protowire.Number, f field) error {
		switch n {
		case 1:
			kind = string(f.bytes)
		case 2:
			key = string(f.bytes)
		case 3:
			o.Op = f.bytes
		default:
			return unknownField(n, f)
		}
		return nil
	})
	o.Variable = wire.NewID(kind, key)
	return o, err
}

func appendKey(b []byte, k StateKey) []byte {
	b = appendBytes(b, 1, []byte(k.Grain.Kind()))
	b = appendBytes(b, 2, []byte(k.Grain.Key()))
	return appendNum(b, 3, uint64(k.State))
}

func decodeKeyField(n protowire.Number, f field, kind, key *string, state *uint32) (err error) {
	switch n {
	case 1:
		*kind = string(f.bytes)
	case 2:
		*key = string(f.bytes)
	case 3:
		*state, err = f.uint32()
	default:
		err = unknownField(n, f)
	}
	return err
}

func appendAttempt(b []byte, n protowire.Number, a Attempt) []byte {
	if a.IsZero() {
		return b
	}
	var sub [32]byte
	s := appendNum(sub[:0], 1, a.ID.Client)
	s = appendNum(s, 2, a.ID.Seq)
	s = appendNum(s, 3, uint64(a.N))
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendBytes(b, s)
}

func decodeAttempt(b []byte) (Attempt, error) {
	var a Attempt
	err := eachField(b, func(n protowire.Number, f field) (err error) {
		switch n {
		case 1:
			a.ID.Client = f.num
		case 2:
			a.ID.Seq = f.num
		case 3:
			a.N, err = f.uint32()
		default:
			err = unknownField(n, f)
		}
		return err
	})
	return a, err
}

// field is one decoded protobuf field: num for a varint, bytes for a length-prefixed one.
type field struct {
	num   uint64
	bytes []byte
}

func (f field) uint32() (uint32, error) {
	if f.num > math.MaxUint32 {
		return 0, fmt.Errorf("%w: %d is over 32 bits", errMalformed, f.num)
	}
	return uint32(f.num), nil
}

func unknownField(n protowire.Number, _ field) error {
	return fmt.Errorf("%w: unknown field %d", errMalformed, n)
}

func eachField(b []byte, f func(protowire.Number, field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		var v field
		switch typ {
		case protowire.VarintType:
			v.num, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			return errMalformed
		}
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		if err := f(num, v); err != nil {
			return err
		}
	}
	return nil
}

func appendNum(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendBytes(b []byte, n protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}
