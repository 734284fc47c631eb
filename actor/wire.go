package actor

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The encoding of an Envelope is protobuf's own, written out here because it is
// on the way of every message: nothing is allocated to encode, and what is
// decoded points into what was read.

// Numbers of the fields, as envelope.proto has them.
const (
	fieldCodec             protowire.Number = 1
	fieldKind              protowire.Number = 2
	fieldID                protowire.Number = 3
	fieldService           protowire.Number = 4
	fieldSender            protowire.Number = 5
	fieldSenderIncarnation protowire.Number = 6
	fieldTargetIncarnation protowire.Number = 7
	fieldRemaining         protowire.Number = 8
	fieldStatus            protowire.Number = 9
	fieldPayload           protowire.Number = 10
	fieldText              protowire.Number = 11
	fieldSize              protowire.Number = 12
	fieldLimit             protowire.Number = 13
)

// appendEnvelope appends what proto.Marshal would make of env.
func appendEnvelope(b []byte, env *Envelope) []byte {
	b = appendVarint(b, fieldCodec, uint64(env.Codec))
	b = appendVarint(b, fieldKind, uint64(int64(env.Kind)))
	b = appendVarint(b, fieldID, env.Id)
	b = appendVarint(b, fieldService, uint64(env.Service))
	if env.Sender != "" {
		b = protowire.AppendTag(b, fieldSender, protowire.BytesType)
		b = protowire.AppendString(b, env.Sender)
	}
	b = appendFixed(b, fieldSenderIncarnation, env.SenderIncarnation)
	b = appendFixed(b, fieldTargetIncarnation, env.TargetIncarnation)
	b = appendVarint(b, fieldRemaining, uint64(env.Remaining))
	b = appendVarint(b, fieldStatus, uint64(int64(env.Status)))
	if len(env.Payload) > 0 {
		b = protowire.AppendTag(b, fieldPayload, protowire.BytesType)
		b = protowire.AppendBytes(b, env.Payload)
	}
	if env.Text != "" {
		b = protowire.AppendTag(b, fieldText, protowire.BytesType)
		b = protowire.AppendString(b, env.Text)
	}
	b = appendVarint(b, fieldSize, env.Size)
	return appendVarint(b, fieldLimit, env.Limit)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendFixed(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), v)
}

var (
	errNotUTF8 = errors.New("a text that is not UTF-8")
	errNoField = errors.New("a field whose number is too large")
)

// decodeEnvelope sets env to what b encodes, as proto.Unmarshal does, but that
// unknown fields are skipped, and that the payload points into b. A sender that
// is the one known needs no memory.
func decodeEnvelope(env *Envelope, b []byte, known string) error {
	env.Reset()
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if field > protowire.MaxValidNumber {
			return errNoField
		}
		b = b[n:]
		switch {
		case kind == protowire.VarintType && isVarint(field):
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				setVarint(env, field, v)
			}
		case kind == protowire.Fixed64Type && (field == fieldSenderIncarnation || field == fieldTargetIncarnation):
			var v uint64
			if v, n = protowire.ConsumeFixed64(b); n >= 0 && field == fieldSenderIncarnation {
				env.SenderIncarnation = v
			} else if n >= 0 {
				env.TargetIncarnation = v
			}
		case kind == protowire.BytesType && field == fieldPayload:
			env.Payload, n = protowire.ConsumeBytes(b)
		case kind == protowire.BytesType && (field == fieldSender || field == fieldText):
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			switch {
			case field == fieldSender && string(v) == known:
				env.Sender = known
			case !utf8.Valid(v):
				return errNotUTF8
			case field == fieldSender:
				env.Sender = string(v)
			default:
				env.Text = string(v)
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}

func isVarint(field protowire.Number) bool {
	switch field {
	case fieldCodec, fieldKind, fieldID, fieldService, fieldRemaining, fieldStatus, fieldSize, fieldLimit:
		return true
	}
	return false
}

func setVarint(env *Envelope, field protowire.Number, v uint64) {
	switch field {
	case fieldCodec:
		env.Codec = uint32(v)
	case fieldKind:
		env.Kind = Kind(int32(v))
	case fieldID:
		env.Id = v
	case fieldService:
		env.Service = uint32(v)
	case fieldRemaining:
		env.Remaining = int64(v)
	case fieldStatus:
		env.Status = Status(int32(v))
	case fieldSize:
		env.Size = v
	case fieldLimit:
		env.Limit = v
	}
}

// bare sets to, which is empty, to env without its payload.
func (env *Envelope) bare(to *Envelope) {
	to.Codec, to.Kind, to.Id, to.Service, to.Sender = env.Codec, env.Kind, env.Id, env.Service, env.Sender
	to.SenderIncarnation, to.TargetIncarnation, to.Remaining = env.SenderIncarnation, env.TargetIncarnation, env.Remaining
	to.Status, to.Text, to.Size, to.Limit = env.Status, env.Text, env.Size, env.Limit
}
