package crdt_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/crdttest"
)

var (
	_ crdt.Lattice[*crdt.GCounter]                                = (*crdt.GCounter)(nil)
	_ crdt.Lattice[*crdt.LexCounter]                              = (*crdt.LexCounter)(nil)
	_ crdt.Lattice[*crdt.BoundedCounter]                          = (*crdt.BoundedCounter)(nil)
	_ crdt.Lattice[*crdt.ResetCounter]                            = (*crdt.ResetCounter)(nil)
	_ crdt.Lattice[*crdt.Pair[*crdt.Counter, *crdt.Set[int]]]     = (*crdt.Pair[*crdt.Counter, *crdt.Set[int]])(nil)
	_ crdt.Lattice[*crdt.LexPair[*crdt.GCounter, *crdt.GCounter]] = (*crdt.LexPair[*crdt.GCounter, *crdt.GCounter])(nil)
	_ crdt.Lattice[*profile]                                      = (*profile)(nil)
	_ interface {
		crdt.Lattice[*crdt.GCounter]
		json.Marshaler
	} = (*crdt.GCounter)(nil)
)

func gcounterCodec() crdt.Codec[*crdt.GCounter]  { return crdt.CodecOf(crdt.DecodeGCounter) }
func resetCodec() crdt.Codec[*crdt.ResetCounter] { return crdt.CodecOf(crdt.DecodeResetCounter) }

// always is a Begin for mutators that need no state of their own.
func always[L any](mutate func(*rapid.T, int, L) L) func() func(*rapid.T, int, L) L {
	return func() func(*rapid.T, int, L) L { return mutate }
}

func actorOf(replica int) crdt.Actor { return crdt.Actor(replica*5 + 1) }

func TestGCounterLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*crdt.GCounter]{
		New: crdt.NewGCounter,
		Begin: always(func(t *rapid.T, replica int, c *crdt.GCounter) *crdt.GCounter {
			return c.Add(actorOf(replica), rapid.Uint64Range(0, 5).Draw(t, "n"))
		}),
		Append: func(b []byte, c *crdt.GCounter) []byte { return c.Append(b) },
		Decode: crdt.DecodeGCounter,
	})
}

func TestLexCounterLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*crdt.LexCounter]{
		New: crdt.NewLexCounter,
		Begin: always(func(t *rapid.T, replica int, c *crdt.LexCounter) *crdt.LexCounter {
			return c.Add(actorOf(replica), rapid.Int64Range(-5, 5).Draw(t, "n"))
		}),
		Append: func(b []byte, c *crdt.LexCounter) []byte { return c.Append(b) },
		Decode: crdt.DecodeLexCounter,
	})
}

func TestBoundedCounterLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*crdt.BoundedCounter]{
		New: crdt.NewBoundedCounter,
		Begin: always(func(t *rapid.T, replica int, c *crdt.BoundedCounter) *crdt.BoundedCounter {
			n, a := rapid.Uint64Range(0, 5).Draw(t, "n"), actorOf(replica)
			switch rapid.SampledFrom([]string{"inc", "dec", "give", "op"}).Draw(t, "op") {
			case "inc":
				return c.Inc(a, n)
			case "dec":
				d, _ := c.Dec(a, n)
				return d
			case "give":
				d, _ := c.Transfer(a, actorOf(rapid.IntRange(0, crdttest.Replicas-1).Draw(t, "to")), n)
				return d
			default:
				op := crdt.BoundedCounterOp{Inc: n, Dec: n / 2, Give: n / 3, To: actorOf((replica + 1) % crdttest.Replicas)}
				d, err := op.Effect(a, c.Own(a))
				require.NoError(t, err)
				c.Join(d)
				return d
			}
		}),
		Append: func(b []byte, c *crdt.BoundedCounter) []byte { return c.Append(b) },
		Decode: crdt.DecodeBoundedCounter,
	})
}

func mutateReset(t *rapid.T, replica int, c *crdt.ResetCounter) *crdt.ResetCounter {
	switch n := rapid.Int64Range(-5, 5).Draw(t, "n"); rapid.IntRange(0, 4).Draw(t, "op") {
	case 0:
		return c.Reset()
	case 1:
		row := c.Row(actorOf(replica))
		d := c.Prepare(crdt.ResetCounterOp{Reset: true, N: n}).Effect(actorOf(replica), &row)
		c.Join(d)
		return d
	default:
		return c.Add(actorOf(replica), n)
	}
}

func TestResetCounterLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*crdt.ResetCounter]{
		New:    crdt.NewResetCounter,
		Begin:  always(mutateReset),
		Append: func(b []byte, c *crdt.ResetCounter) []byte { return c.Append(b) },
		Decode: crdt.DecodeResetCounter,
	})
}

type counterAndSet = *crdt.Pair[*crdt.ResetCounter, *crdt.Set[uint64]]

func TestPairLaws(t *testing.T) {
	t.Parallel()
	first, second := resetCodec(), crdt.SetCodec(crdttest.Uints())
	crdttest.Laws(t, crdttest.Subject[counterAndSet]{
		New: func() counterAndSet { return crdt.NewPair(crdt.NewResetCounter(), crdt.NewSet[uint64]()) },
		Begin: func() func(*rapid.T, int, counterAndSet) counterAndSet {
			var ms [crdttest.Replicas]crdt.Minter
			return func(t *rapid.T, replica int, p counterAndSet) counterAndSet {
				ms[replica].Actor = actorOf(replica)
				if rapid.Bool().Draw(t, "first") {
					return p.ChangeFirst(func(c *crdt.ResetCounter) *crdt.ResetCounter { return mutateReset(t, replica, c) })
				}
				return p.ChangeSecond(func(s *crdt.Set[uint64]) *crdt.Set[uint64] {
					if e := rapid.Uint64Range(0, 3).Draw(t, "e"); rapid.Bool().Draw(t, "add") {
						return s.Add(&ms[replica], e)
					} else {
						return s.Remove(e)
					}
				})
			}
		},
		Append:      func(b []byte, p counterAndSet) []byte { return p.Append(b, first, second) },
		Decode:      func(b []byte) (counterAndSet, error) { return crdt.DecodePair(b, first, second) },
		LooseDigest: true, // the set's
	})
}

// tick is a lattice as a user writes it: the larger of two numbers, a chain.
type tick struct{ n uint64 }

func (c *tick) at() uint64 {
	if c == nil {
		return 0
	}
	return c.n
}

func (c *tick) raise(n uint64) *tick { return c.Join(&tick{n}) }

func (c *tick) Join(d *tick) *tick {
	if d.at() <= c.n {
		return nil
	}
	c.n = d.n
	return d.Clone()
}
func (c *tick) LessOrEqual(o *tick) bool { return c.at() <= o.at() }
func (c *tick) Equal(o *tick) bool       { return c.at() == o.at() }
func (c *tick) Clone() *tick             { return &tick{c.at()} }
func (c *tick) IsEmpty() bool            { return c.at() == 0 }
func (c *tick) Size() int                { return int(min(c.at(), 1)) }
func (c *tick) Hash() uint64             { return c.at() * 0x9e3779b97f4a7c15 }
func (c *tick) Digest() []byte           { return c.Append(nil) }
func (c *tick) String() string           { return "tick " + string(rune('0'+c.at()%10)) }
func (c *tick) Append(b []byte) []byte   { return crdttest.Uints().Append(b, c.at()) }

func (c *tick) Since(digest []byte) (*tick, error) {
	o, err := decodeTick(digest)
	if err != nil {
		return nil, err
	}
	return o.Join(c), nil
}

func (c *tick) Parts() []*tick {
	if c.IsEmpty() {
		return nil
	}
	return []*tick{c.Clone()}
}

func decodeTick(b []byte) (*tick, error) {
	n, err := crdttest.Uints().Decode(b)
	return &tick{n}, err
}

type epochs = *crdt.LexPair[*tick, *crdt.GCounter]

func lexSubject(none func() *crdt.GCounter) crdttest.Subject[epochs] {
	first, second := crdt.CodecOf(decodeTick), gcounterCodec()
	return crdttest.Subject[epochs]{
		New: func() epochs { return crdt.NewLexPair(&tick{}, none()) },
		Begin: always(func(t *rapid.T, replica int, p epochs) epochs {
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				return p.ChangeFirst(func(c *tick) *tick { return c.raise(c.at() + rapid.Uint64Range(0, 2).Draw(t, "by")) })
			}
			return p.ChangeSecond(func(c *crdt.GCounter) *crdt.GCounter {
				return c.Add(actorOf(replica), rapid.Uint64Range(0, 2).Draw(t, "n"))
			})
		}),
		Append: func(b []byte, p epochs) []byte { return p.Append(b, first, second) },
		Decode: func(b []byte) (epochs, error) { return crdt.DecodeLexPair(b, first, second) },
	}
}

func TestLexPairLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, lexSubject(crdt.NewGCounter))
}

// Two last-writer-wins registers, the second of which only counts within a value of the first.
func TestLexPairOfRegistersLaws(t *testing.T) {
	t.Parallel()
	type reg = *crdt.Register[string]
	type pair = *crdt.LexPair[reg, reg]
	codec := crdt.RegisterCodec(crdttest.Strings())
	set := func(t *rapid.T, r reg) reg {
		return r.Set(rapid.Int64Range(-1, 2).Draw(t, "ts"), crdt.Actor(rapid.IntRange(1, 2).Draw(t, "actor")),
			rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "v"))
	}
	crdttest.Laws(t, crdttest.Subject[pair]{
		New: func() pair {
			return crdt.NewLexPair(crdt.NewRegister(crdttest.Strings()), crdt.NewRegister(crdttest.Strings()))
		},
		Begin: always(func(t *rapid.T, _ int, p pair) pair {
			if rapid.Bool().Draw(t, "first") {
				return p.ChangeFirst(func(r reg) reg { return set(t, r) })
			}
			return p.ChangeSecond(func(r reg) reg { return set(t, r) })
		}),
		Append:      func(b []byte, p pair) []byte { return p.Append(b, codec, codec) },
		Decode:      func(b []byte) (pair, error) { return crdt.DecodeLexPair(b, codec, codec) },
		LooseDigest: true,
	})
}

// profile is a struct of lattices, one of which is composed itself.
type profile struct {
	Name  *crdt.Register[string]
	Tags  *crdt.Set[uint64]
	Likes *crdt.Pair[*crdt.GCounter, *crdt.GCounter]
	Era   *tick
}

var profiles = crdt.NewLayout("Profile",
	crdt.Field(2, "name", func(p *profile) **crdt.Register[string] { return &p.Name }, crdt.RegisterCodec(crdttest.Strings())),
	crdt.Field(3, "tags", func(p *profile) **crdt.Set[uint64] { return &p.Tags }, crdt.SetCodec(crdttest.Uints())),
	crdt.Field(5, "likes", func(p *profile) **crdt.Pair[*crdt.GCounter, *crdt.GCounter] { return &p.Likes },
		crdt.PairCodec(gcounterCodec(), gcounterCodec())),
	crdt.Field(6, "era", func(p *profile) **tick { return &p.Era }, crdt.CodecOf(decodeTick)),
)

func (p *profile) Join(d *profile) *profile              { return profiles.Join(p, d) }
func (p *profile) LessOrEqual(o *profile) bool           { return profiles.LessOrEqual(p, o) }
func (p *profile) Equal(o *profile) bool                 { return profiles.Equal(p, o) }
func (p *profile) Clone() *profile                       { return profiles.Clone(p) }
func (p *profile) IsEmpty() bool                         { return profiles.IsEmpty(p) }
func (p *profile) Size() int                             { return profiles.Size(p) }
func (p *profile) Hash() uint64                          { return profiles.Hash(p) }
func (p *profile) Digest() []byte                        { return profiles.Digest(p) }
func (p *profile) Since(digest []byte) (*profile, error) { return profiles.Since(p, digest) }
func (p *profile) Parts() []*profile                     { return profiles.Parts(p) }
func (p *profile) String() string                        { return profiles.String(p) }
func (p *profile) MarshalJSON() ([]byte, error)          { return profiles.JSON(p) }
func (p *profile) Append(b []byte) []byte                { return profiles.Append(b, p) }

func mutateProfile(t *rapid.T, replica int, p *profile) *profile {
	switch rapid.IntRange(0, 3).Draw(t, "field") {
	case 0:
		return profiles.Delta(&profile{Name: p.Name.Set(rapid.Int64Range(0, 3).Draw(t, "ts"), actorOf(replica),
			rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "v"))})
	case 1:
		return profiles.Delta(&profile{Tags: p.Tags.Remove(rapid.Uint64Range(0, 3).Draw(t, "e"))})
	case 2:
		return profiles.Delta(&profile{Era: p.Era.raise(rapid.Uint64Range(0, 4).Draw(t, "era"))})
	default:
		return profiles.Delta(&profile{Likes: p.Likes.ChangeSecond(func(c *crdt.GCounter) *crdt.GCounter {
			return c.Add(actorOf(replica), rapid.Uint64Range(0, 2).Draw(t, "n"))
		})})
	}
}

func TestStructLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*profile]{
		New: profiles.New,
		Begin: func() func(*rapid.T, int, *profile) *profile {
			var ms [crdttest.Replicas]crdt.Minter
			return func(t *rapid.T, replica int, p *profile) *profile {
				if ms[replica].Actor = actorOf(replica); rapid.IntRange(0, 3).Draw(t, "add") == 0 {
					return &profile{Tags: p.Tags.Add(&ms[replica], rapid.Uint64Range(0, 3).Draw(t, "e"))}
				}
				return mutateProfile(t, replica, p)
			}
		},
		Append:      func(b []byte, p *profile) []byte { return p.Append(b) },
		Decode:      profiles.Decode,
		LooseDigest: true, // the register's and the set's
	})
}
