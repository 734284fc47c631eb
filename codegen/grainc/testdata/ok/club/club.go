// Package club has structs of lattices, and variables of every kind of lattice.
package club

import (
	"errors"
	"strconv"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/variable"
)

type (
	// MemberID names a member.
	MemberID string
	// Badge is something that a member got.
	Badge struct {
		Name string
		Year int
	}
	// Address is where a member lives.
	Address struct {
		Street string
		Floors []int
	}
)

// Member is what the club knows of a member.
//
//crdt:lattice
type Member struct {
	Name    *crdt.Register[string]
	Badges  *crdt.Set[Badge]
	Visits  *crdt.Counter
	Homes   *crdt.MVRegister[Address]
	Banned  *crdt.EWFlag
	Scores  *crdt.ORMap[MemberID, *crdt.MapStore[string, *crdt.CounterStore]]
	Limits  *crdt.GMap[string, *crdt.MaxRegister[int64]]
	Season  *crdt.LexPair[*crdt.MaxRegister[uint32], *crdt.Counter]
	Friends *Circle
	Best    *Peak
}

// Award is a mutator: it changes a field of m, and puts the field's delta into an otherwise empty Member.
func (m *Member) Award(as *crdt.Minter, b Badge) *Member {
	return &Member{Badges: m.Badges.Add(as, b)}
}

// Circle is a part of it.
//
//crdt:lattice
type Circle struct {
	Known   *crdt.Graph[MemberID]
	shunned *crdt.RWSet[MemberID]
}

// String is written by hand.
func (c *Circle) String() string { return "a circle" }

type (
	//crdt:lattice
	diary struct {
		pages *crdt.RegisterMap[int64, string]
	}
)

// Peak is a lattice by hand: the largest number.
type Peak struct{ n uint64 }

func (p *Peak) get() uint64 {
	if p == nil {
		return 0
	}
	return p.n
}

func (p *Peak) Join(d *Peak) *Peak {
	if d.get() <= p.n {
		return nil
	}
	p.n = d.n
	return &Peak{p.n}
}
func (p *Peak) LessOrEqual(o *Peak) bool { return p.get() <= o.get() }
func (p *Peak) Equal(o *Peak) bool       { return p.get() == o.get() }
func (p *Peak) Clone() *Peak             { return &Peak{p.get()} }
func (p *Peak) IsEmpty() bool            { return p.get() == 0 }
func (p *Peak) Size() int                { return 1 }
func (p *Peak) Hash() uint64             { return p.get() }
func (p *Peak) Digest() []byte           { return p.Append(nil) }
func (p *Peak) String() string           { return strconv.FormatUint(p.get(), 10) }
func (p *Peak) Append(b []byte) []byte   { return strconv.AppendUint(b, p.get(), 10) }

func (p *Peak) Since(digest []byte) (*Peak, error) {
	o, err := DecodePeak(digest)
	if err != nil {
		return nil, err
	}
	return o.Join(p), nil
}

func (p *Peak) Parts() []*Peak {
	if p.IsEmpty() {
		return nil
	}
	return []*Peak{p.Clone()}
}

// Effect says that its deltas need no identity.
func (p *Peak) Effect(*crdt.Minter, *Peak) (*Peak, error) { return p, nil }

// DecodePeak reads what Append wrote.
func DecodePeak(b []byte) (*Peak, error) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err == nil && strconv.FormatUint(n, 10) != string(b) {
		err = errors.New("not the canonical form of a number")
	}
	return &Peak{n}, err
}

// The variables.
var (
	Members  = variable.By[MemberID](variable.Of[*Member]("club.members"))
	Diary    = variable.Of[*diary]("club.diary")
	Record   = variable.Of[*Peak]("club.record")
	Order    = variable.Of[*crdt.PartialOrder[MemberID]]("club.order")
	Open     = variable.EWFlag("club.open")
	Closed   = variable.By[int64](variable.DWFlag("club.closed"))
	Motto    = variable.MVRegister[string]("club.motto")
	Guests   = variable.GSet[MemberID]("club.guests")
	Outcasts = variable.RWSet[MemberID]("club.outcasts")
	Seats    = variable.BoundedCounter("club.seats")
	Tabs     = variable.ORMap[MemberID, *crdt.CounterStore]("club.tabs")
	TabsBy   = variable.By[int64](variable.ORMap[MemberID, *crdt.ValueStore[Address]]("club.tabs-by"))
)

// What is generated may be used by the package itself.
var fresh = NewMember
