package replica

import (
	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
	"google.golang.org/protobuf/encoding/protowire"
)

// Every message is a protobuf message: the incarnation that it is meant for, the kinds that its keys
// name by position, and exactly one body.
const (
	fieldTo      = 1
	fieldKind    = 2
	fieldBatch   = 3
	fieldAck     = 4
	fieldSums    = 5
	fieldPages   = 6
	fieldDigests = 7
	fieldAnswers = 8
)

// batch carries novelties of a stream: frames with the numbers first, first+1, …. The sender has nothing
// below base any more: it was acknowledged or left to repair.
type batch struct {
	stream, base, first uint64
	frames              []frame
}

// frame is one novelty. One without key is empty and marks the end of the sender's pass.
type frame struct {
	key   wire.ID
	delta []byte
}

func (f frame) mark() bool { return f.key.IsZero() && len(f.delta) == 0 }
func (f frame) size() int  { return len(f.key.Kind()) + len(f.key.Key()) + len(f.delta) + 16 }

// ack says that everything below next is durable at the receiver of the stream. If missing is not zero it
// has received something from until on and waits for what is before.
type ack struct{ stream, next, missing, until uint64 }

// sums asks to compare ranges of positions. Range i holds the positions p with p>>shift == lo>>shift + i,
// the first one only from lo on.
type sums struct {
	id    uint64
	lo    uint64
	shift uint8
	sums  []uint64
}

// last is the last position that the request speaks of; the decoder has checked that there is one.
func (s *sums) last() uint64 { return s.rangeEnd(len(s.sums) - 1) }

func (s *sums) rangeEnd(i int) uint64 {
	return (s.lo>>s.shift+uint64(i))<<s.shift | (1<<s.shift - 1)
}

// pages answers sums: all positions from the asked lo to last were compared, and differ at most within
// the listed segments.
type pages struct {
	id, last uint64
	segments []segment
}

// segment lists all that the sender holds of the positions lo to last.
type segment struct {
	lo, last uint64
	entries  []keyHash
}

type keyHash struct {
	key  wire.ID
	hash uint64
}

// digests asks what is new beyond each digest.
type digests struct {
	id    uint64
	items []keyDigest
}

type keyDigest struct {
	key    wire.ID
	digest []byte
}

// answers answers digests, in part where not everything fits.
type answers struct {
	id    uint64
	items []answer
}

// answer is what the asker lacks, and the answerer's own digest. refused says that there will be none, and
// tooLarge that it would take so many bytes.
type answer struct {
	key      wire.ID
	digest   []byte
	delta    []byte
	refused  bool
	tooLarge uint64
}

// message is a decoded message; exactly one body is set.
type message struct {
	to      machine.Incarnation
	batch   *batch
	ack     *ack
	sums    *sums
	pages   *pages
	digests *digests
	answers *answers
}

// kinds numbers the kinds that a message names.
type kinds struct {
	index map[string]uint64
	last  string
	at    uint64
	list  []string
}

func (k *kinds) number(kind string) uint64 {
	if len(k.list) > 0 && k.last == kind {
		return k.at
	}
	n, ok := k.index[kind]
	if !ok {
		if k.index == nil {
			k.index = map[string]uint64{}
		}
		n = uint64(len(k.list))
		k.index[kind] = n
		k.list = append(k.list, kind)
	}
	k.last, k.at = kind, n
	return n
}

func varint(b []byte, f protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, f, protowire.VarintType), v)
}

func fixed(b []byte, f protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, f, protowire.Fixed64Type), v)
}

func bytesField(b []byte, f protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), v)
}

func stringField(b []byte, f protowire.Number, v string) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), v)
}

// nested appends a message or list as a field, also an empty one.
func nested(b []byte, f protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), body)
}

// encode returns the message's bytes.
func (m *message) encode() []byte {
	var k kinds
	var body, item []byte
	var field protowire.Number
	id := func(b []byte, key wire.ID) []byte { // fields 1 and 2 of everything that has a key
		return stringField(varint(b, 1, k.number(key.Kind())), 2, key.Key())
	}
	switch {
	case m.batch != nil:
		field = fieldBatch
		size := 0
		for _, f := range m.batch.frames {
			size += len(f.delta) + len(f.key.Key()) + 16
		}
		body = make([]byte, 0, size+32)
		body = varint(body, 1, m.batch.stream)
		body = varint(body, 2, m.batch.base)
		body = varint(body, 3, m.batch.first)
		for _, f := range m.batch.frames {
			item = item[:0]
			if !f.mark() {
				item = bytesField(id(item, f.key), 3, f.delta)
			}
			body = nested(body, 4, item)
		}
	case m.ack != nil:
		field = fieldAck
		body = varint(body, 1, m.ack.stream)
		body = varint(body, 2, m.ack.next)
		body = varint(body, 3, m.ack.missing)
		body = varint(body, 4, m.ack.until)
	case m.sums != nil:
		field = fieldSums
		body = varint(body, 1, m.sums.id)
		body = fixed(body, 2, m.sums.lo)
		body = varint(body, 3, uint64(m.sums.shift))
		item = make([]byte, 0, 8*len(m.sums.sums))
		for _, s := range m.sums.sums {
			item = protowire.AppendFixed64(item, s)
		}
		body = nested(body, 4, item)
	case m.pages != nil:
		field = fieldPages
		body = varint(body, 1, m.pages.id)
		body = fixed(body, 2, m.pages.last)
		var e []byte
		for _, s := range m.pages.segments {
			item = fixed(fixed(item[:0], 1, s.lo), 2, s.last)
			for _, kh := range s.entries {
				e = fixed(id(e[:0], kh.key), 3, kh.hash)
				item = nested(item, 3, e)
			}
			body = nested(body, 3, item)
		}
	case m.digests != nil:
		field = fieldDigests
		body = varint(body, 1, m.digests.id)
		for _, d := range m.digests.items {
			item = bytesField(id(item[:0], d.key), 3, d.digest)
			body = nested(body, 2, item)
		}
	case m.answers != nil:
		field = fieldAnswers
		body = varint(body, 1, m.answers.id)
		for _, a := range m.answers.items {
			item = bytesField(bytesField(id(item[:0], a.key), 3, a.digest), 4, a.delta)
			if a.refused {
				item = varint(item, 5, 1)
			}
			item = varint(item, 6, a.tooLarge)
			body = nested(body, 2, item)
		}
	}
	out := make([]byte, 0, len(body)+64)
	out = varint(out, fieldTo, uint64(m.to))
	for _, kind := range k.list {
		out = nested(out, fieldKind, []byte(kind))
	}
	return nested(out, field, body)
}
