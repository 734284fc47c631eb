package view

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Command is one thing that an entry of the view group's log says: [Join], [Ready], [Leave], [Left],
// [Renew], [Release], [Remove], [Promote] or [Demote].
type Command interface {
	tag() protowire.Number
	append(b []byte) []byte
}

type (
	// Join lets a run in: it becomes Joining. [NewJoin] makes one. State, Voter and Since of the member do not count.
	// Outdated, if the store had this run or a later one; Occupied while an earlier run of it is alive as
	// far as the log knows, which must first be removed; Full.
	Join struct{ Member Member }
	// Ready says that a run serves from now on: Joining becomes Active.
	Ready struct{ Run Run }
	// Leave says that a run wants to stop: it becomes Leaving and gets no more slots.
	Leave struct{ Run Run }
	// Left says that a run has stopped serving: it becomes Dead. Holding, while it holds a slot.
	Left struct{ Run Run }
	// Renew renews leases. A renewal counts if its run is a living member and its mark greater than the
	// last one. It makes no new view.
	Renew struct{ Renewals []Renewal }
	// Release gives slots up. Those count that the run holds with that token; the others are passed over.
	// Outdated, if none counts.
	Release struct {
		Run  Run
		Pool uint64
		Held []Held // by slot
	}
	// Remove ends a run that no longer renews: it becomes Dead and what it held goes to the targets.
	// Renewed, if its last mark is another one than Mark: it has renewed since this was decided.
	Remove struct {
		Run  Run
		Mark uint64
	}
	// Promote reports that a store has become a voter of the view group.
	Promote struct{ ID SiloID }
	// Demote reports that it is none any more.
	Demote struct{ ID SiloID }
)

// NewJoin returns the Join of a member, with its lists in order, or says what is wrong with it.
func NewJoin(m Member) (Join, error) {
	m, err := m.normal()
	return Join{m}, err
}

// Renewal is what one silo says when it asks for its lease: the reading of its own clock at that moment,
// in nanoseconds, at least 1, which the logged entry brings back to it.
type Renewal struct {
	Run  Run
	Mark uint64
}

// Held is a slot with the token under which it is held.
type Held struct {
	Slot  int
	Token uint64
}

// Outcome is what became of a command.
type Outcome uint8

const (
	Done     Outcome = iota + 1 // it is so now
	Already                     // it was so before
	Unknown                     // no living member is this run
	Outdated                    // the run, or the token, is not the newest
	Occupied                    // an earlier run of the store is still a member
	Holding                     // the run still holds slots
	Renewed                     // the run has renewed meanwhile
	Full                        // there are as many members as there may be
)

func (o Outcome) String() string {
	names := [...]string{"", "done", "already so", "no such member", "outdated", "occupied by an earlier run", "still holding slots", "renewed meanwhile", "full"}
	if int(o) < len(names) && o > 0 {
		return names[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Result is the outcomes as the answer to who proposed the entry, a byte each.
func (a Applied) Result() []byte {
	b := make([]byte, len(a.Outcomes))
	for i, o := range a.Outcomes {
		b[i] = byte(o)
	}
	return b
}

// DecodeResult is the inverse of [Applied.Result]. Errors match [ErrMalformed].
func DecodeResult(b []byte) ([]Outcome, error) {
	outcomes := make([]Outcome, len(b))
	for i, o := range b {
		if o < byte(Done) || o > byte(Full) {
			return nil, fmt.Errorf("view: result: %w: no outcome has the number %d", ErrMalformed, o)
		}
		outcomes[i] = Outcome(o)
	}
	return outcomes, nil
}

const (
	formatV1 = 1 // the first byte of every entry and of every snapshot

	tagJoin    = 1
	tagReady   = 2
	tagLeave   = 3
	tagLeft    = 4
	tagRenew   = 5
	tagRelease = 6
	tagRemove  = 7
	tagPromote = 8
	tagDemote  = 9

	maxCommands = 1 << 12
)

// ErrMalformed matches every refusal of bytes that are not what they should be.
var ErrMalformed = errors.New("malformed")

// EncodeCommands makes one log entry of several commands, which are applied in their order and make at most
// one new view. Equal commands give equal bytes.
func EncodeCommands(commands ...Command) []byte {
	b := []byte{formatV1}
	for _, c := range commands {
		b = protowire.AppendTag(b, c.tag(), protowire.BytesType)
		b = protowire.AppendBytes(b, c.append(nil))
	}
	return b
}

// DecodeCommands is the inverse of [EncodeCommands]. It takes exactly what EncodeCommands makes, allocates in
// proportion to b, and copies what it keeps. Errors match [ErrMalformed].
func DecodeCommands(b []byte) ([]Command, error) {
	if len(b) == 0 || b[0] != formatV1 {
		return nil, fmt.Errorf("view: entry: %w: not of a format that this version knows", ErrMalformed)
	}
	var commands []Command
	err := wire.EachField(b[1:], func(f wire.Field) error {
		if len(commands) == maxCommands {
			return f.Errorf("more than %d commands", maxCommands)
		}
		body, err := f.Bytes()
		if err != nil {
			return err
		}
		c, err := decodeCommand(f, body)
		if err == nil {
			commands = append(commands, c)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("view: entry: command %d: %w: %w", len(commands), ErrMalformed, err)
	}
	if !bytes.Equal(EncodeCommands(commands...), b) {
		return nil, fmt.Errorf("view: entry: %w: not in its canonical form", ErrMalformed)
	}
	return commands, nil
}

func decodeCommand(f wire.Field, b []byte) (Command, error) {
	switch f.Number {
	case tagJoin:
		m, err := decodeMember(b, false)
		return Join{m}, err
	case tagReady:
		r, err := decodeRun(b)
		return Ready{r}, err
	case tagLeave:
		r, err := decodeRun(b)
		return Leave{r}, err
	case tagLeft:
		r, err := decodeRun(b)
		return Left{r}, err
	case tagRenew:
		return decodeRenew(b)
	case tagRelease:
		return decodeRelease(b)
	case tagRemove:
		r, err := decodeRenewal(b)
		return Remove(r), err
	case tagPromote:
		id, err := decodeID(b)
		return Promote{id}, err
	case tagDemote:
		id, err := decodeID(b)
		return Demote{id}, err
	}
	return nil, f.Errorf("a command that this version does not know")
}

func (Join) tag() protowire.Number    { return tagJoin }
func (Ready) tag() protowire.Number   { return tagReady }
func (Leave) tag() protowire.Number   { return tagLeave }
func (Left) tag() protowire.Number    { return tagLeft }
func (Renew) tag() protowire.Number   { return tagRenew }
func (Release) tag() protowire.Number { return tagRelease }
func (Remove) tag() protowire.Number  { return tagRemove }
func (Promote) tag() protowire.Number { return tagPromote }
func (Demote) tag() protowire.Number  { return tagDemote }

func (c Join) append(b []byte) []byte    { return c.Member.append(b, false) }
func (c Ready) append(b []byte) []byte   { return c.Run.append(b) }
func (c Leave) append(b []byte) []byte   { return c.Run.append(b) }
func (c Left) append(b []byte) []byte    { return c.Run.append(b) }
func (c Remove) append(b []byte) []byte  { return Renewal(c).append(b) }
func (c Promote) append(b []byte) []byte { return appendString(b, 1, string(c.ID)) }
func (c Demote) append(b []byte) []byte  { return appendString(b, 1, string(c.ID)) }

func (c Renew) append(b []byte) []byte {
	for _, r := range c.Renewals {
		b = appendMessage(b, 1, r.append(nil))
	}
	return b
}

func (c Release) append(b []byte) []byte {
	b = c.Run.append(b)
	b = appendUint(b, 3, c.Pool)
	var packed []byte
	last := -1
	for _, h := range c.Held {
		packed = protowire.AppendVarint(packed, uint64(h.Slot-last))
		packed = protowire.AppendVarint(packed, h.Token)
		last = h.Slot
	}
	return appendMessage(b, 4, packed)
}

func decodeRelease(b []byte) (c Release, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 3:
			c.Pool, err = f.Uint()
		case 4:
			var packed []byte
			if packed, err = f.Bytes(); err != nil {
				return err
			}
			for last := -1; len(packed) > 0; {
				delta, n := protowire.ConsumeVarint(packed)
				if n < 0 || delta == 0 || delta > Slots || last+int(delta) >= Slots {
					return f.Errorf("slots do not rise, or go beyond %d", Slots-1)
				}
				token, m := protowire.ConsumeVarint(packed[n:])
				if m < 0 {
					return f.Errorf("a slot without its token")
				}
				last += int(delta)
				c.Held = append(c.Held, Held{last, token})
				packed = packed[n+m:]
			}
		default:
			return c.Run.field(f)
		}
		return err
	})
	return c, err
}

func decodeRenew(b []byte) (c Renew, err error) {
	err = wire.EachField(b, func(f wire.Field) error {
		body, err := f.Bytes()
		if err != nil {
			return err
		}
		if len(c.Renewals) == maxMembers {
			return f.Errorf("more than %d renewals", maxMembers)
		}
		r, err := decodeRenewal(body)
		c.Renewals = append(c.Renewals, r)
		return err
	})
	return c, err
}

func (r Renewal) append(b []byte) []byte { return appendUint(r.Run.append(b), 3, r.Mark) }

func decodeRenewal(b []byte) (r Renewal, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		if f.Number == 3 {
			r.Mark, err = f.Uint()
			return err
		}
		return r.Run.field(f)
	})
	return r, err
}

func (r Run) append(b []byte) []byte {
	return appendUint(appendString(b, 1, string(r.ID)), 2, r.Incarnation)
}

func (r *Run) field(f wire.Field) (err error) {
	switch f.Number {
	case 1:
		r.ID, err = fieldID(f)
	case 2:
		r.Incarnation, err = f.Uint()
	default:
		err = f.Errorf("a field that this version does not know")
	}
	return err
}

func decodeRun(b []byte) (r Run, err error) {
	return r, wire.EachField(b, r.field)
}

func decodeID(b []byte) (id SiloID, err error) {
	return id, wire.EachField(b, func(f wire.Field) (err error) {
		id, err = fieldID(f)
		return err
	})
}

func fieldID(f wire.Field) (SiloID, error) {
	s, err := f.String()
	if err == nil && len(s) > maxName {
		err = f.Errorf("a store id of %d bytes", len(s))
	}
	return SiloID(s), err
}

func (m Member) append(b []byte, whole bool) []byte {
	b = m.Run.append(b)
	b = appendString(b, 3, m.Addr)
	for _, k := range m.Kinds {
		b = appendString(b, 4, k)
	}
	for _, p := range m.Labels {
		b = appendMessage(b, 5, p.append(nil))
	}
	for _, p := range m.Versions {
		b = appendMessage(b, 6, p.append(nil))
	}
	if !whole {
		return b
	}
	b = appendUint(b, 7, uint64(m.State))
	b = appendUint(b, 8, protowire.EncodeBool(m.Voter))
	b = appendUint(b, 9, m.Since)
	return appendUint(b, 10, uint64(m.seat))
}

// decodeMember decodes a member, as a Join has it or, whole, as a table does.
func decodeMember(b []byte, whole bool) (m Member, err error) {
	err = wire.EachField(b, func(f wire.Field) (err error) {
		var n uint64
		switch {
		case f.Number == 3:
			m.Addr, err = f.String()
		case f.Number == 4:
			var kind string
			kind, err = f.String()
			m.Kinds = append(m.Kinds, kind)
		case f.Number == 5:
			m.Labels, err = appendPair(m.Labels, f)
		case f.Number == 6:
			m.Versions, err = appendPair(m.Versions, f)
		case f.Number == 7 && whole:
			if n, err = f.Uint(); err == nil && (n < uint64(Joining) || n > uint64(Dead)) {
				err = f.Errorf("no state has the number %d", n)
			}
			m.State = State(n)
		case f.Number == 8 && whole:
			m.Voter, err = f.Bool()
		case f.Number == 9 && whole:
			m.Since, err = f.Uint()
		case f.Number == 10 && whole:
			if n, err = f.Uint(); err == nil && n != uint64(seat(n)) {
				err = f.Errorf("no member has the seat %d", n)
			}
			m.seat = seat(n)
		default:
			err = m.Run.field(f)
		}
		return err
	})
	if err == nil {
		err = m.check()
	}
	return m, err
}

func (p Pair) append(b []byte) []byte { return appendString(appendString(b, 1, p.Name), 2, p.Value) }

func appendPair(to []Pair, f wire.Field) ([]Pair, error) {
	b, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	var p Pair
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			p.Name, err = f.String()
		case 2:
			p.Value, err = f.String()
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	})
	return append(to, p), err
}

func appendString(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendMessage(b []byte, n protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), m)
}

func appendUint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}
