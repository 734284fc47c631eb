package link

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// AdminRequest is what an operator wants of a silo, through ServiceAdmin.
type AdminRequest struct {
	Op AdminOp
	// Silo is the store that is to leave, of AdminDrain, or that is to be removed, of AdminRemove.
	Silo view.SiloID
	// Force removes a silo although it lives.
	Force bool
	// Passed says that a silo has passed this on, which is done once.
	Passed bool
	// Addrs are the silos that are to found a cluster, of AdminInit and, if any, of AdminAsk.
	Addrs []string
}

// AdminOp is what an AdminRequest asks for.
type AdminOp uint8

// The operations.
const (
	AdminAsk    AdminOp = iota + 1 // how far the silo is with being a member of a cluster, and whether AdminInit would be taken
	AdminDrain                     // give everything away and end, at that silo
	AdminRemove                    // take a store out for good, at the leader of the log
	AdminInit                      // found a cluster, at each that founds
)

// AdminReply answers an AdminRequest.
type AdminReply struct {
	Status AdminStatus
	Detail string // of what is not AdminOK: what is wrong, and what to do

	// How the silo is, of AdminAsk and AdminInit: its store, the address by which others know it, the cluster
	// that it founded or joined, if any, and whether it waits for one to join.
	Silo    view.SiloID
	Addr    string
	Cluster string
	Waiting bool
}

// AdminStatus says what became of an AdminRequest. Nothing was done of what is not AdminOK.
type AdminStatus uint8

// The statuses.
const (
	AdminOK       AdminStatus = iota + 1 // it is done, or will be
	AdminDenied                          // who asks has not shown to be an operator
	AdminLater                           // nobody can do it now: ask again
	AdminUnknown                         // there is no such silo
	AdminAlone                           // nobody could take what the silo has
	AdminLiving                          // the silo is to be drained first
	AdminMajority                        // most of the voters would be missing
	AdminMember                          // the silo is a member of a cluster
	AdminList                            // the list is none that this silo can found with
)

// Bounds of what an operator may say.
const (
	maxFounders  = 64
	maxAdminText = 1 << 8 // bytes of an address or an id
)

// Append appends the request's encoding to b.
func (r *AdminRequest) Append(b []byte) []byte {
	b = appendUint(b, 1, uint64(r.Op))
	b = appendText(b, 2, string(r.Silo))
	b = appendUint(b, 3, protowire.EncodeBool(r.Force))
	b = appendUint(b, 4, protowire.EncodeBool(r.Passed))
	for _, addr := range r.Addrs {
		b = appendBytes(b, 5, []byte(addr))
	}
	return b
}

// DecodeAdminRequest decodes a request, from anybody. It takes exactly what Append makes.
func DecodeAdminRequest(b []byte) (*AdminRequest, error) {
	r := &AdminRequest{}
	err := wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var op uint64
			op, err = f.Uint()
			if err == nil && (op < uint64(AdminAsk) || op > uint64(AdminInit)) {
				err = f.Errorf("%d is no operation that this version knows", op)
			}
			r.Op = AdminOp(op)
		case 2:
			r.Silo, err = boundedText[view.SiloID](f)
		case 3:
			r.Force, err = f.Bool()
		case 4:
			r.Passed, err = f.Bool()
		case 5:
			if len(r.Addrs) == maxFounders {
				return f.Errorf("more than %d addresses", maxFounders)
			}
			var addr string
			addr, err = boundedText[string](f)
			r.Addrs = append(r.Addrs, addr)
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	})
	if err == nil && (r.Op == 0 || !bytes.Equal(b, r.Append(nil))) {
		err = errNotCanonical
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Append appends the reply's encoding to b.
func (r *AdminReply) Append(b []byte) []byte {
	b = appendUint(b, 1, uint64(r.Status))
	b = appendText(b, 2, r.Detail)
	b = appendText(b, 3, string(r.Silo))
	b = appendText(b, 4, r.Addr)
	b = appendText(b, 5, r.Cluster)
	return appendUint(b, 6, protowire.EncodeBool(r.Waiting))
}

// DecodeAdminReply decodes a reply, from anybody. It takes exactly what Append makes.
func DecodeAdminReply(b []byte) (*AdminReply, error) {
	r := &AdminReply{}
	err := wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			var status uint64
			status, err = f.Uint()
			if err == nil && (status < uint64(AdminOK) || status > uint64(AdminList)) {
				err = f.Errorf("%d is no status that this version knows", status)
			}
			r.Status = AdminStatus(status)
		case 2:
			r.Detail, err = f.String()
		case 3:
			r.Silo, err = boundedText[view.SiloID](f)
		case 4:
			r.Addr, err = boundedText[string](f)
		case 5:
			r.Cluster, err = boundedText[string](f)
		case 6:
			r.Waiting, err = f.Bool()
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	})
	if err == nil && (r.Status == 0 || !bytes.Equal(b, r.Append(nil))) {
		err = errNotCanonical
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func boundedText[T ~string](f wire.Field) (T, error) {
	s, err := f.String()
	if err == nil && len(s) > maxAdminText {
		err = f.Errorf("a text of %d bytes, of at most %d", len(s), maxAdminText)
	}
	return T(s), err
}

var errNotCanonical = errors.New("not in its canonical form: a field is missing, there twice or out of order")
