package replica

import (
	"errors"
	"math"

	"github.com/martinelli-go/martinelli/cluster/machine"
	"github.com/martinelli-go/martinelli/grains/wire"
	"google.golang.org/protobuf/encoding/protowire"
)

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
