// Package guild has directives, and references to grains in every place that they may have.
package guild

import (
	"context"
	"errors"
	"iter"

	"github.com/martinelli-go/martinelli/grains"
)

//go:generate go tool grainc -proto guild.proto .

// ErrNobody is returned for nobody.
var ErrNobody = errors.New("nobody")

// Deed is a key of two fields.
type Deed struct {
	Of   string
	Year int64
}

// Seal is a key of 16 bytes.
type Seal [16]byte

// Master has members.
//
//grain:version 2
type Master interface {
	grains.Keyed[string]
	Named
	//grain:readonly
	//grain:reentrant
	Members(ctx context.Context) ([]Member, error)
	//grain:idempotent
	Admit(ctx context.Context, m Member, rank int) (Master, error)
	//grain:oneway
	Tell(ctx context.Context, text string) error
	//grain:oneway
	Warn(ctx context.Context, m Member, text string) error
	Found(ctx context.Context, c Charter) (Charter, error)
	Twin(ctx context.Context) (*Master, error)
	//grain:readonly
	Roll(ctx context.Context) iter.Seq2[Member, error]
	Count(ctx context.Context, from, to int) iter.Seq2[Tally, error]
}

// Member works; all its methods are reentrant.
//
//grain:reentrant
type Member interface {
	grains.Keyed[int64]
	Work(ctx context.Context, at Master) (string, error)
	Follow(ctx context.Context, leaders map[string]Master) (map[string]Master, error)
}

// Record is a grain of a key of two fields, Vault one of a key of 16 bytes.
type (
	Record interface {
		grains.Keyed[Deed]
		Owners(ctx context.Context, of []Vault, as [2]Vault) (map[string][]Record, error)
	}
	Vault interface {
		grains.Keyed[Seal]
		//grain:readonly
		Holds(ctx context.Context) ([]Record, error)
		Store(ctx context.Context, old Kept) (Wide, error)
	}
)

// Kept is what an old build knows of Wide.
type Kept struct {
	grains.Unknown
	N    int
	Part KeptPart
}

// KeptPart is a part of it, of which nothing is known.
type KeptPart struct{ rest grains.Unknown }

// Wide is the same as a newer build knows it.
type Wide struct {
	N     int
	Part  WidePart
	Text  string
	Float float32
	Exact float64
	Some  []int
}

// WidePart is a part of it.
type WidePart struct {
	Flag bool
	More []WidePart
}

// Named is embedded.
type Named interface {
	//grain:readonly
	Name(ctx context.Context) (string, error)
}

// Tally is an element of a stream.
type Tally struct {
	N     int
	Marks []byte
}

// Charter has references, and is recursive.
type Charter struct {
	Master  Master
	Members []Member
	Ranks   map[string]Member
	Parts   []*Charter
	Title   string
}

//grain:idle 90s
type master struct {
	grains.Implements[Master]
	members []Member
	told    []string
}

func (m *master) Name(context.Context) (string, error)      { return m.Key(), nil }
func (m *master) Members(context.Context) ([]Member, error) { return m.members, nil }
func (m *master) Twin(context.Context) (*Master, error)     { var self Master = m; return &self, nil }
func (m *master) Tell(_ context.Context, text string) error {
	m.told = append(m.told, text)
	return nil
}

func (m *master) Warn(_ context.Context, who Member, text string) error { return nil }

func (m *master) Admit(ctx context.Context, who Member, rank int) (Master, error) {
	m.members = append(m.members, who)
	if who == nil {
		return nil, ErrNobody
	}
	if _, err := who.Work(ctx, m); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *master) Found(ctx context.Context, c Charter) (Charter, error) {
	c.Master = GetMaster(m, c.Title)
	return c, nil
}

func (m *master) Roll(context.Context) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		for _, who := range m.members {
			if who == nil && !yield(nil, ErrNobody) || who != nil && !yield(who, nil) {
				return
			}
		}
	}
}

func (m *master) Count(_ context.Context, from, to int) iter.Seq2[Tally, error] {
	return func(yield func(Tally, error) bool) {
		for n := from; n < to && yield(Tally{N: n, Marks: make([]byte, n%3)}, nil); n++ {
		}
	}
}

type member struct {
	grains.Implements[Member]
}

func (m *member) Work(ctx context.Context, at Master) (string, error) { return at.Name(ctx) }

func (m *member) Follow(_ context.Context, leaders map[string]Master) (map[string]Master, error) {
	return leaders, nil
}
