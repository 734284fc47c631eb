package host

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// What a request asks for. Numbers are part of the protocol.
const (
	opMutate    = 1
	opPrepare   = 2
	opRead      = 3
	opKeys      = 4 // a page, of keys after request.key
	opHashes    = 5 // likewise
	opFollowing = 6
	opDigest    = 7  // for who hands a variable over: see former.go
	opTake      = 8  // likewise: what the digest lacks
	opAll       = 9  // a page of hashes of all that is here, for who becomes a replica: see newcomer.go
	opSince     = 10 // likewise: what the digest lacks
)

// maxFollowed bounds the kinds that one silo follows.
const maxFollowed = 1 << 12

// request is one request to a host:
//
//	1 op  2 kind  3 key  4 body  5 incarnation  6 kinds, repeated  7 resumed: key is the last of a page
//	8 before  9 after
type request struct {
	op          uint64
	kind, key   string
	body        []byte // an operation, a delta or a digest
	incarnation uint64 // of opFollowing
	kinds       []string
	resumed     bool
	before      uint64 // of opAll: the number of the last view before the change,
	after       uint64 // and of the first after it
}

func (r request) append(b []byte) []byte {
	b = appendUint(b, 1, r.op)
	b = appendText(b, 2, r.kind)
	b = appendText(b, 3, r.key)
	if len(r.body) > 0 {
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, r.body)
	}
	b = appendUint(b, 5, r.incarnation)
	for _, k := range r.kinds {
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		b = protowire.AppendString(b, k)
	}
	b = appendUint(b, 7, protowire.EncodeBool(r.resumed))
	b = appendUint(b, 8, r.before)
	return appendUint(b, 9, r.after)
}

func appendUint(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// decodeRequest decodes a request; its body aliases b.
func decodeRequest(b []byte) (r request, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			r.op, err = f.Uint()
		case 2:
			r.kind, err = f.String()
		case 3:
			r.key, err = f.String()
		case 4:
			r.body, err = f.Bytes()
		case 5:
			r.incarnation, err = f.Uint()
		case 6:
			if len(r.kinds) == maxFollowed {
				return f.Errorf("more than %d kinds", maxFollowed)
			}
			var kind string
			kind, err = f.String()
			r.kinds = append(r.kinds, kind)
		case 7:
			r.resumed, err = f.Bool()
		case 8:
			r.before, err = f.Uint()
		case 9:
			r.after, err = f.Uint()
		}
		return err
	})
	if err != nil {
		return request{}, fmt.Errorf("request to a host of variables: %w", &wire.DecodeFailure{Err: err})
	}
	return r, nil
}

// item is one variable of a page.
type item struct {
	key  string
	hash uint64 // of opHashes
}

func (i item) size() int { return len(i.key) + 24 }

// reply answers a request:
//
//	1 error (wire.AppendError)  2 body  3 items {1 key  2 hash, fixed64}, repeated  4 more: there is another page
type reply struct {
	err   error
	body  []byte
	items []item
	more  bool
}

func (r reply) append(b []byte) []byte {
	if r.err != nil {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		return protowire.AppendBytes(b, wire.AppendError(nil, r.err, refusals))
	}
	if len(r.body) > 0 {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, r.body)
	}
	var m []byte
	for _, i := range r.items {
		m = appendText(m[:0], 1, i.key)
		if i.hash != 0 {
			m = protowire.AppendTag(m, 2, protowire.Fixed64Type)
			m = protowire.AppendFixed64(m, i.hash)
		}
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	return appendUint(b, 4, protowire.EncodeBool(r.more))
}

// refusals are the errors of operations that keep their type on the way.
var refusals = &wire.ErrorTable{Errors: []wire.ErrorEntry{wire.ErrorStruct(1, wire.Codec[*crdt.NoRights]{
	Append: func(b []byte, e *crdt.NoRights) []byte {
		return wire.AppendUint(wire.AppendUint(wire.AppendUint(b, 1, e.Actor), 2, e.Have), 3, e.Want)
	},
	Decode: func(b []byte) (*crdt.NoRights, error) {
		e := &crdt.NoRights{}
		return e, wire.EachField(b, func(f wire.Field) (err error) {
			switch f.Number {
			case 1:
				e.Actor, err = wire.DecodeUint[crdt.Actor](f)
			case 2:
				e.Have, err = f.Uint()
			case 3:
				e.Want, err = f.Uint()
			}
			return err
		})
	},
}), wire.ErrorStruct(2, wire.Codec[*NotCounted]{
	Append: func(b []byte, e *NotCounted) []byte {
		return appendText(appendText(appendText(b, 1, e.Variable.Kind()), 2, e.Variable.Key()), 3, string(e.Silo))
	},
	Decode: func(b []byte) (*NotCounted, error) {
		var text [3]string
		err := wire.EachField(b, func(f wire.Field) (err error) {
			if f.Number >= 1 && int(f.Number) <= len(text) {
				text[f.Number-1], err = f.String()
			}
			return err
		})
		return &NotCounted{wire.NewID(text[0], text[1]), view.SiloID(text[2])}, err
	},
})}}

// errorReply is an error that the other side answered with.
type errorReply struct{ error }

func (e *errorReply) Unwrap() error { return e.error }

// decodeReply decodes a reply; its body aliases b. The error is an *errorReply if it is what the reply
// says.
func decodeReply(b []byte) (r reply, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var m []byte
			if m, err = f.Bytes(); err == nil {
				r.err = wire.DecodeError(m, refusals)
			}
		case 2:
			r.body, err = f.Bytes()
		case 3:
			var m []byte
			if m, err = f.Bytes(); err != nil {
				return err
			}
			var i item
			err = wire.EachField(m, func(f wire.Field) (err error) {
				switch f.Number {
				case 1:
					i.key, err = f.String()
				case 2:
					i.hash, err = f.Fixed64()
				}
				return err
			})
			r.items = append(r.items, i)
		case 4:
			r.more, err = f.Bool()
		}
		return err
	})
	if err != nil {
		return reply{}, fmt.Errorf("reply of a host of variables: %w", &wire.DecodeFailure{Err: err})
	}
	if r.err != nil {
		return reply{}, &errorReply{r.err}
	}
	return r, nil
}

// answered says whether err is what another host answered, as opposed to no answer.
func answered(err error) bool {
	var e *errorReply
	return errors.As(err, &e)
}
