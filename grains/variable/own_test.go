package variable_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/crdttest"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/txn"
)

// Highs is a lattice of somebody who does not know package crdt from the inside: the best score of each
// player. Its deltas need no identity.
type Highs struct{ best map[string]uint64 }

func (h *Highs) each(f func(player string, score uint64)) {
	if h != nil {
		for _, p := range slices.Sorted(maps.Keys(h.best)) {
			f(p, h.best[p])
		}
	}
}

// Score notes a score and returns the delta.
func (h *Highs) Score(player string, n uint64) *Highs {
	return h.Join(&Highs{map[string]uint64{player: n}})
}

func (h *Highs) Join(delta *Highs) (novelty *Highs) {
	delta.each(func(p string, n uint64) {
		if n <= h.best[p] {
			return
		}
		if h.best == nil {
			h.best = map[string]uint64{}
		}
		if novelty == nil {
			novelty = &Highs{map[string]uint64{}}
		}
		h.best[p], novelty.best[p] = n, n
	})
	return novelty
}

func (h *Highs) LessOrEqual(o *Highs) bool { return o.Clone().Join(h) == nil }
func (h *Highs) Equal(o *Highs) bool       { return h.LessOrEqual(o) && o.LessOrEqual(h) }
func (h *Highs) IsEmpty() bool             { return h == nil || len(h.best) == 0 }
func (h *Highs) Digest() []byte            { return h.Append(nil) }
func (h *Highs) String() string            { return fmt.Sprint("Highs", h.Clone().best) }

func (h *Highs) Clone() *Highs {
	c := &Highs{}
	c.Join(h)
	return c
}

func (h *Highs) Size() (n int) {
	h.each(func(string, uint64) { n++ })
	return n
}

func (h *Highs) Hash() (sum uint64) {
	for _, b := range h.Append(nil) {
		sum = sum*31 + uint64(b)
	}
	return sum
}

func (h *Highs) Since(digest []byte) (*Highs, error) {
	theirs, err := DecodeHighs(digest)
	if err != nil {
		return nil, err
	}
	return theirs.Join(h), nil
}

func (h *Highs) Parts() (parts []*Highs) {
	h.each(func(p string, n uint64) { parts = append(parts, &Highs{map[string]uint64{p: n}}) })
	return parts
}

func (h *Highs) Append(b []byte) []byte {
	h.each(func(p string, n uint64) {
		b = wire.AppendBytes(b, 1, wire.AppendUint(wire.AppendString(nil, 1, p), 2, n))
	})
	return b
}

func DecodeHighs(b []byte) (*Highs, error) {
	h := &Highs{}
	err := wire.EachField(b, func(f wire.Field) error {
		row, err := f.Bytes()
		var player string
		var score uint64
		if err == nil {
			err = wire.EachField(row, func(f wire.Field) (err error) {
				if f.Number == 1 {
					player, err = f.String()
				} else {
					score, err = f.Uint()
				}
				return err
			})
		}
		if err == nil {
			h.Score(player, score)
		}
		return err
	})
	if err == nil && !bytes.Equal(h.Append([]byte{}), append([]byte{}, b...)) {
		err = errors.New("not the canonical encoding of Highs")
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Player is a struct of lattices, by hand.
type Player struct {
	Name   *crdt.Register[string]
	Games  *crdt.Counter
	Badges *crdt.Set[string]
}

var player = crdt.NewLayout("Player",
	crdt.Field(2, "name", func(p *Player) **crdt.Register[string] { return &p.Name }, crdt.RegisterCodec(text)),
	crdt.Field(3, "games", func(p *Player) **crdt.Counter { return &p.Games }, crdt.CodecOf(crdt.DecodeCounter)),
	crdt.Field(4, "badges", func(p *Player) **crdt.Set[string] { return &p.Badges }, crdt.SetCodec(text)))

func (p *Player) Join(d *Player) *Player               { return player.Join(p, d) }
func (p *Player) LessOrEqual(o *Player) bool           { return player.LessOrEqual(p, o) }
func (p *Player) Equal(o *Player) bool                 { return player.Equal(p, o) }
func (p *Player) Clone() *Player                       { return player.Clone(p) }
func (p *Player) IsEmpty() bool                        { return player.IsEmpty(p) }
func (p *Player) Size() int                            { return player.Size(p) }
func (p *Player) Hash() uint64                         { return player.Hash(p) }
func (p *Player) Digest() []byte                       { return player.Digest(p) }
func (p *Player) Since(digest []byte) (*Player, error) { return player.Since(p, digest) }
func (p *Player) Parts() []*Player                     { return player.Parts(p) }
func (p *Player) String() string                       { return player.String(p) }
func (p *Player) Append(b []byte) []byte               { return player.Append(b, p) }
func (p *Player) Observe(d *Player, now int64) *Player { return player.Observe(p, d, now) }
func (p *Player) Effect(m *crdt.Minter, own *Player) (*Player, error) {
	return player.Effect(p, m, own)
}

// play counts a game and gives a badge.
func play(badge string) func(*Player, *crdt.Minter) (*Player, error) {
	return func(p *Player, as *crdt.Minter) (*Player, error) {
		return &Player{Games: p.Games.Add(as.Actor, 1), Badges: p.Badges.Add(as, badge)}, nil
	}
}

func rename(name string) func(*Player, *crdt.Minter) (*Player, error) {
	return func(p *Player, as *crdt.Minter) (*Player, error) {
		return &Player{Name: p.Name.Set(crdt.DraftTime, as.Actor, name)}, nil
	}
}

type mutePair = crdt.Pair[*Highs, *crdt.Counter]

var (
	highs   = variable.Of[*Highs]("own.highs")
	players = variable.By[string](variable.Of[*Player]("own.players"))
	halves  = variable.Of[*mutePair]("own.halves")
	switchH = variable.EWFlag("own.switch")
	supply  = variable.BoundedCounter("own.supply")
	noted   = variable.RWSet[string]("own.noted")
	roads   = variable.Of[*crdt.Graph[string]]("own.roads")
)

func ownKinds() []grains.Kind {
	halfCodec := crdt.PairCodec(crdt.CodecOf(DecodeHighs), crdt.CodecOf(crdt.DecodeCounter))
	return []grains.Kind{
		variable.OfKind(highs, crdt.CodecOf(DecodeHighs)), variable.OfKindBy(players, crdt.CodecOf(player.Decode)), variable.OfKind(halves, halfCodec),
		variable.EWFlagKind(switchH), variable.BoundedCounterKind(supply), variable.RWSetKind(noted, text), variable.OfKind(roads, crdt.GraphCodec(text)),
	}
}

func score(p string, n uint64) func(*Highs, *crdt.Minter) (*Highs, error) {
	return func(h *Highs, _ *crdt.Minter) (*Highs, error) { return h.Score(p, n), nil }
}

func TestOwnLatticeObeysTheLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*Highs]{
		New: func() *Highs { return &Highs{} },
		Begin: func() func(*rapid.T, int, *Highs) *Highs {
			return func(t *rapid.T, _ int, h *Highs) *Highs {
				return h.Score(rapid.SampledFrom([]string{"ann", "bob", ""}).Draw(t, "player"), rapid.Uint64Range(0, 5).Draw(t, "score"))
			}
		},
		Append: func(b []byte, h *Highs) []byte { return h.Append(b) },
		Decode: DecodeHighs,
	})
}

// awaits waits until what is read at a place is as wanted.
func awaits[T any](t *testing.T, want T, read func() (T, error)) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		got, err := read()
		assert.NoError(c, err)
		assert.Equal(c, want, got)
	}, 20*time.Second, 10*time.Millisecond)
}

// A lattice of one's own, and a struct of lattices, are variables like any other: written at every silo and
// from outside, the same everywhere, and there after a silo was lost and came back.
func TestOwnLatticesInACluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := graintest.Start(t, 3, ownKinds())
	places := []variable.Place{c, c.Silo(0), c.Silo(1), c.Silo(2)}
	for i, p := range places {
		require.NoError(t, highs.On(p).Mutate(ctx, score("ann", uint64(10+i))))
		require.NoError(t, players.At(p, "ann").Mutate(ctx, play(fmt.Sprint(i))))
	}
	require.NoError(t, players.At(c, "ann").Mutate(ctx, rename("Ann")))
	require.NoError(t, highs.On(c).Join(ctx, new(Highs).Score("bob", 7)))
	check := func(p variable.Place, wantHighs, wantPlayer string) {
		t.Helper()
		awaits(t, wantHighs, func() (string, error) {
			h, err := highs.On(p).Value(ctx)
			return h.String(), err
		})
		awaits(t, wantPlayer, func() (s string, err error) {
			err = players.At(p, "ann").Read(ctx, func(p *Player) {
				name, _ := p.Name.Get()
				s = fmt.Sprint(name, p.Games.Value(), slices.Sorted(p.Badges.All()))
			})
			return s, err
		})
	}
	for _, p := range places {
		check(p, "Highsmap[ann:13 bob:7]", "Ann4 [0 1 2 3]")
	}
	keys := []string{}
	for k, err := range players.Keys(ctx, c) {
		require.NoError(t, err)
		keys = append(keys, k)
	}
	require.Equal(t, []string{"ann"}, keys)

	c.Kill(1)
	require.NoError(t, highs.On(c.Silo(0)).Mutate(ctx, score("eve", 1)))
	require.NoError(t, players.At(c.Silo(2), "ann").Mutate(ctx, play("late")))
	c.Restart(1)
	check(c.Silo(1), "Highsmap[ann:13 bob:7 eve:1]", "Ann5 [0 1 2 3 late]")
	require.NoError(t, players.At(c.Silo(1), "ann").Mutate(ctx, play("back")), "no dot and no row is used twice")
	for _, p := range []variable.Place{c.Silo(0), c.Silo(1), c.Silo(2)} {
		check(p, "Highsmap[ann:13 bob:7 eve:1]", "Ann6 [0 1 2 3 back late]")
	}
}

// In a block a change is an operation: made everywhere when the block commits, and nowhere when it does not.
// A lattice that does not state its changes so is refused, by type.
func TestOwnLatticesInBlocks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := graintest.Start(t, 3, ownKinds())
	no := errors.New("no")
	block := func(end error) error {
		return txn.Atomic(ctx, c, func(ctx context.Context) error {
			ann := players.At(c, "ann")
			return errors.Join(
				ann.Mutate(ctx, play("x")), ann.Mutate(ctx, rename("Ann")), switchH.On(c).Enable(ctx), noted.On(c).Add(ctx, "ann"),
				supply.On(c).Add(ctx, 5), supply.On(c).Take(ctx, 2),
				roads.On(c).Mutate(ctx, func(g *crdt.Graph[string], as *crdt.Minter) (*crdt.Graph[string], error) {
					return g.AddVertex(as, "Ghent"), nil
				}), end)
		})
	}
	require.NoError(t, players.At(c.Silo(0), "ann").Mutate(ctx, play("x")))
	require.ErrorIs(t, block(no), no)
	require.NoError(t, block(nil))
	require.NoError(t, block(nil))
	for _, p := range []variable.Place{c.Silo(0), c.Silo(1), c.Silo(2)} {
		awaits(t, "Ann 3 1 true 6 1 1", func() (s string, err error) {
			var name string
			var games, badges, cities int
			err = players.At(p, "ann").Read(ctx, func(p *Player) {
				name, _ = p.Name.Get()
				games, badges = int(p.Games.Value()), p.Badges.Len()
			})
			on, err2 := switchH.On(p).On(ctx)
			left, err3 := supply.On(p).Count(ctx)
			all, err4 := noted.On(p).All(ctx)
			err5 := roads.On(p).Read(ctx, func(g *crdt.Graph[string]) { cities = len(slices.Collect(g.Vertices())) })
			s = fmt.Sprintln(name, games, badges, on, left, len(slices.Collect(all)), cities)
			return s[:len(s)-1], errors.Join(err, err2, err3, err4, err5)
		})
	}
	err := txn.Atomic(ctx, c, func(ctx context.Context) error { return supply.On(c).Take(ctx, 7) })
	require.ErrorContains(t, err, "has rights to 6 and wants 7", "a block spends what blocks have added")

	var refused *variable.NotInBlock
	err = txn.Atomic(ctx, c, func(ctx context.Context) error { return highs.On(c).Mutate(ctx, score("ann", 3)) })
	require.ErrorAs(t, err, &refused)
	require.Equal(t, &variable.NotInBlock{Variable: wire.NewID("own.highs", ""), Type: "*variable_test.Highs"}, refused)
	require.ErrorContains(t, err, "give it the method Effect(m *crdt.Minter, own *variable_test.Highs) (*variable_test.Highs, error)")
	require.ErrorContains(t, err, "or change it after the block")
	require.NoError(t, highs.On(c).Mutate(ctx, score("ann", 3)), "outside of blocks it needs none")

	half := func(p *mutePair, _ *crdt.Minter) (*mutePair, error) {
		return p.ChangeFirst(func(h *Highs) *Highs { return h.Score("ann", 1) }), nil
	}
	var mute *crdt.NoEffect
	require.ErrorAs(t, halves.On(c).Mutate(ctx, half), &mute)
	require.Equal(t, "*variable_test.Highs", mute.Type, "beside parts that take a name it has to say that it needs none")
	err = txn.Atomic(ctx, c, func(ctx context.Context) error { return halves.On(c).Mutate(ctx, half) })
	require.ErrorAs(t, err, &refused)
}

// A refusal keeps its type on the way from the silo that refuses.
func TestRefusalsKeepTheirTypes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := graintest.Start(t, 1, ownKinds())
	require.NoError(t, supply.On(c).Add(ctx, 3))
	err := supply.On(c).Take(ctx, 4)
	var refused *crdt.NoRights
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, 3, refused.Have)
	require.EqualValues(t, 4, refused.Want)
	rights, err := supply.On(c).Rights(ctx)
	require.NoError(t, err)
	require.Equal(t, map[crdt.Actor]uint64{refused.Actor: 3}, rights)
	require.NoError(t, supply.On(c).Take(ctx, 3))
	require.Panics(t, func() {
		_ = highs.On(c).Mutate(ctx, func(_ *Highs, as *crdt.Minter) (*Highs, error) {
			as.Mint()
			return nil, nil
		})
	}, "a lattice that is no operation has no use for a name")
}

// A change under a name that somebody made up is refused where it is made: it would meet another of the same
// name, and one of the two be lost, though both were acknowledged. So are a time of one's own and a whole state.
func TestChangesInOtherNamesAreRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := graintest.Start(t, 3, ownKinds())
	stranger := func(p *Player, _ *crdt.Minter) (*Player, error) {
		return &Player{Badges: p.Badges.Add(&crdt.Minter{Actor: 1}, "stranger")}, nil
	}
	refused := func(actor crdt.Actor, err error) {
		t.Helper()
		var foreign *crdt.ForeignChange
		require.ErrorAs(t, err, &foreign)
		require.Equal(t, actor, foreign.Actor)
		require.ErrorContains(t, err, "variable own.players/ann: crdt: a draft holds a change by actor")
	}
	at := func(i int) *variable.Handle[*Player] { return players.At(c.Silo(i), "ann") }
	for i := range 3 {
		refused(1, at(i).Mutate(ctx, stranger))
		refused(5, at(i).Join(ctx, &Player{Games: crdt.NewCounter().Add(5, 1)}))
		for _, ts := range []int64{crdt.DraftTime, 1 << 62} {
			refused(5, at(i).Mutate(ctx, func(p *Player, _ *crdt.Minter) (*Player, error) {
				return &Player{Name: p.Name.Set(ts, 5, "late")}, nil
			}))
		}
	}
	refused(1, txn.Atomic(ctx, c, func(ctx context.Context) error { return players.At(c, "ann").Mutate(ctx, stranger) }))
	require.NoError(t, txn.Atomic(ctx, c, func(ctx context.Context) error { return players.At(c, "ann").Mutate(ctx, play("block")) }))
	require.NoError(t, at(0).Mutate(ctx, rename("Ann")))
	for i := range 3 {
		awaits(t, "Ann [block]", func() (s string, err error) {
			err = at(i).Read(ctx, func(p *Player) {
				name, _ := p.Name.Get()
				s = fmt.Sprint(name, " ", slices.Sorted(p.Badges.All()))
			})
			return s, err
		})
	}
	err := at(0).Mutate(ctx, func(p *Player, as *crdt.Minter) (*Player, error) {
		p.Games.Add(as.Actor, 1)
		return p, nil
	})
	require.ErrorContains(t, err, "and return their deltas, not the state")
}
