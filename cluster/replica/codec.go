package replica

import (
	"errors"
	"math"

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

var (
	errTruncated = errors.New("truncated or malformed field")
	errKind      = errors.New("a key names a kind that the message does not list")
	errBody      = errors.New("not exactly one body")
	errRange     = errors.New("numbers out of range")
)

// field is one field of a protobuf message: number for varints and fixed 64, data for bytes.
type field struct {
	id     protowire.Number
	typ    protowire.Type
	number uint64
	data   []byte
}

// fields calls f for each field of b. Fields of other types than the package writes are skipped.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errTruncated
		}
		b = b[n:]
		fl := field{id: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			fl.number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			fl.number, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			fl.data, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errTruncated
		}
		b = b[n:]
		if typ == protowire.VarintType || typ == protowire.Fixed64Type || typ == protowire.BytesType {
			if err := f(fl); err != nil {
				return err
			}
		}
	}
	return nil
}

// decode reads a message. Deltas and digests alias b.
func decode(b []byte) (*message, error) {
	m := &message{}
	var names []string
	bodies := 0
	var d decoder
	err := fields(b, func(f field) error {
		switch f.id {
		case fieldTo:
			m.to = machine.Incarnation(f.number)
			return nil
		case fieldKind:
			names = append(names, string(f.data))
			return nil
		case fieldBatch, fieldAck, fieldSums, fieldPages, fieldDigests, fieldAnswers:
		default:
			return nil
		}
		bodies++
		if f.typ != protowire.BytesType || bodies > 1 {
			return errBody
		}
		d.kinds = names // the kinds come before the body
		var err error
		switch f.id {
		case fieldBatch:
			m.batch, err = d.batch(f.data)
		case fieldAck:
			m.ack, err = d.ack(f.data)
		case fieldSums:
			m.sums, err = d.sums(f.data)
		case fieldPages:
			m.pages, err = d.pages(f.data)
		case fieldDigests:
			m.digests, err = d.digests(f.data)
		case fieldAnswers:
			m.answers, err = d.answers(f.data)
		}
		return err
	})
	if err == nil && bodies != 1 {
		err = errBody
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

type decoder struct{ kinds []string }

// keyed reads an item that has a key in its fields 1 and 2, and gives the other fields to f.
func (d *decoder) keyed(b []byte, f func(field)) (wire.ID, error) {
	var kind uint64
	var key string
	err := fields(b, func(fl field) error {
		switch fl.id {
		case 1:
			kind = fl.number
		case 2:
			key = string(fl.data)
		default:
			f(fl)
		}
		return nil
	})
	if err != nil {
		return wire.ID{}, err
	}
	if kind >= uint64(len(d.kinds)) {
		return wire.ID{}, errKind
	}
	return wire.NewID(d.kinds[kind], key), nil
}

func (d *decoder) batch(b []byte) (*batch, error) {
	m := &batch{}
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.stream = f.number
		case 2:
			m.base = f.number
		case 3:
			m.first = f.number
		case 4:
			if n := len(m.frames); n > 0 && m.frames[n-1].mark() {
				return errRange // a mark ends its message
			}
			if len(f.data) == 0 {
				m.frames = append(m.frames, frame{})
				return nil
			}
			var fr frame
			var err error
			fr.key, err = d.keyed(f.data, func(f field) {
				if f.id == 3 {
					fr.delta = f.data
				}
			})
			m.frames = append(m.frames, fr)
			return err
		}
		return nil
	})
	if err == nil && (m.stream == 0 || m.base == 0 || m.base > m.first || m.first > math.MaxUint64-uint64(len(m.frames))) {
		err = errRange
	}
	return m, err
}

func (d *decoder) ack(b []byte) (*ack, error) {
	m := &ack{}
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.stream = f.number
		case 2:
			m.next = f.number
		case 3:
			m.missing = f.number
		case 4:
			m.until = f.number
		}
		return nil
	})
	return m, err
}

func (d *decoder) sums(b []byte) (*sums, error) {
	m := &sums{}
	var shift uint64
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.id = f.number
		case 2:
			m.lo = f.number
		case 3:
			shift = f.number
		case 4:
			for data := f.data; len(data) > 0; data = data[8:] {
				v, n := protowire.ConsumeFixed64(data)
				if n < 0 {
					return errTruncated
				}
				m.sums = append(m.sums, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.shift = uint8(min(shift, 64))
	if n := uint64(len(m.sums)); n == 0 || shift > 64 || n-1 > math.MaxUint64>>m.shift-m.lo>>m.shift {
		return nil, errRange
	}
	return m, nil
}

func (d *decoder) pages(b []byte) (*pages, error) {
	m := &pages{}
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.id = f.number
		case 2:
			m.last = f.number
		case 3:
			s, err := d.segment(f.data)
			m.segments = append(m.segments, s)
			return err
		}
		return nil
	})
	return m, err
}

func (d *decoder) segment(b []byte) (segment, error) {
	var s segment
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			s.lo = f.number
		case 2:
			s.last = f.number
		case 3:
			var kh keyHash
			var err error
			kh.key, err = d.keyed(f.data, func(f field) {
				if f.id == 3 {
					kh.hash = f.number
				}
			})
			s.entries = append(s.entries, kh)
			return err
		}
		return nil
	})
	return s, err
}

func (d *decoder) digests(b []byte) (*digests, error) {
	m := &digests{}
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.id = f.number
		case 2:
			var kd keyDigest
			var err error
			kd.key, err = d.keyed(f.data, func(f field) {
				if f.id == 3 {
					kd.digest = f.data
				}
			})
			m.items = append(m.items, kd)
			return err
		}
		return nil
	})
	return m, err
}

func (d *decoder) answers(b []byte) (*answers, error) {
	m := &answers{}
	err := fields(b, func(f field) error {
		switch f.id {
		case 1:
			m.id = f.number
		case 2:
			var a answer
			var err error
			a.key, err = d.keyed(f.data, func(f field) {
				switch f.id {
				case 3:
					a.digest = f.data
				case 4:
					a.delta = f.data
				case 5:
					a.refused = f.number != 0
				case 6:
					a.tooLarge = f.number
				}
			})
			m.items = append(m.items, a)
			return err
		}
		return nil
	})
	return m, err
}
