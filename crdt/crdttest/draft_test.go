package crdttest

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
)

func total[L any](f func(s L, as *crdt.Minter) L) Mutation[L] {
	return func(s L, as *crdt.Minter, _ int64) (L, error) { return f(s, as), nil }
}

// after is a time for a write that replaces one made at held.
func after(now, held int64, any bool) int64 {
	if any && now != crdt.DraftTime {
		return max(now, held+1)
	}
	return now
}

func draftsDo[L crdt.Lattice[L]](t *testing.T, name string, codec crdt.Codec[L], draw func(t *rapid.T) Mutation[L]) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		Drafts(t, codec, draw)
	})
}

// Every type, and every way to compose them.
func TestDraftsTakeEffect(t *testing.T) {
	t.Parallel()
	word := rapid.Uint64Range(0, 3)
	words := rapid.SliceOfN(word, 0, 3)
	signed := rapid.Int64Range(-4, 4)
	dice := func(t *rapid.T) int { return rapid.IntRange(0, 3).Draw(t, "dice") }

	draftsDo(t, "Set", crdt.SetCodec(Uints()), func(t *rapid.T) Mutation[*crdt.Set[uint64]] {
		n, es := dice(t), words.Draw(t, "es")
		return total(func(s *crdt.Set[uint64], as *crdt.Minter) *crdt.Set[uint64] {
			switch n {
			case 0:
				return s.Remove(es...)
			case 1:
				return s.Clear()
			}
			return s.Add(as, es...)
		})
	})
	draftsDo(t, "RWSet", crdt.RWSetCodec(Uints()), func(t *rapid.T) Mutation[*crdt.RWSet[uint64]] {
		n, es := dice(t), words.Draw(t, "es")
		return total(func(s *crdt.RWSet[uint64], as *crdt.Minter) *crdt.RWSet[uint64] {
			if n == 0 {
				return s.Remove(as, es...)
			}
			return s.Add(as, es...)
		})
	})
	draftsDo(t, "EWFlag", crdt.CodecOf(crdt.DecodeEWFlag), func(t *rapid.T) Mutation[*crdt.EWFlag] {
		n := dice(t)
		return total(func(f *crdt.EWFlag, as *crdt.Minter) *crdt.EWFlag {
			if n == 0 {
				return f.Disable()
			}
			return f.Enable(as)
		})
	})
	draftsDo(t, "DWFlag", crdt.CodecOf(crdt.DecodeDWFlag), func(t *rapid.T) Mutation[*crdt.DWFlag] {
		n := dice(t)
		return total(func(f *crdt.DWFlag, as *crdt.Minter) *crdt.DWFlag {
			if n == 0 {
				return f.Disable(as)
			}
			return f.Enable(as)
		})
	})
	draftsDo(t, "MVRegister", crdt.MVRegisterCodec(Uints()), func(t *rapid.T) Mutation[*crdt.MVRegister[uint64]] {
		n, v := dice(t), word.Draw(t, "v")
		return total(func(r *crdt.MVRegister[uint64], as *crdt.Minter) *crdt.MVRegister[uint64] {
			if n == 0 {
				return r.Clear()
			}
			return r.Set(as, v)
		})
	})
	draftsDo(t, "Graph", crdt.GraphCodec(Uints()), func(t *rapid.T) Mutation[*crdt.Graph[uint64]] {
		n, a, b := rapid.IntRange(0, 5).Draw(t, "n"), word.Draw(t, "a"), word.Draw(t, "b")
		return func(g *crdt.Graph[uint64], as *crdt.Minter, _ int64) (*crdt.Graph[uint64], error) {
			switch n {
			case 0:
				return g.RemoveVertex(a, b), nil
			case 1:
				return g.RemoveEdge(a, b), nil
			case 2, 3:
				return g.AddEdge(as, a, b)
			}
			return g.AddVertex(as, a, b), nil
		}
	})
	type nest = crdt.MapStore[uint64, *crdt.CounterStore]
	draftsDo(t, "ORMap", crdt.ORMapCodec(Uints(), crdt.MapStoreCodec(Uints(), crdt.CounterStoreCodec())), func(t *rapid.T) Mutation[*crdt.ORMap[uint64, *nest]] {
		n, a, b, by := dice(t), word.Draw(t, "a"), word.Draw(t, "b"), signed.Draw(t, "by")
		return total(func(m *crdt.ORMap[uint64, *nest], as *crdt.Minter) *crdt.ORMap[uint64, *nest] {
			if n == 0 {
				return m.Remove(a, b)
			}
			return m.Update(a, func(in *nest) crdt.Change[*nest] {
				if n == 1 {
					return in.Remove(b)
				}
				return in.Update(b, func(c *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return c.Add(as, by) })
			})
		})
	})

	counter := func(t *rapid.T) Mutation[*crdt.Counter] {
		n := signed.Draw(t, "n")
		return total(func(c *crdt.Counter, as *crdt.Minter) *crdt.Counter { return c.Add(as.Actor, n) })
	}
	gcounter := func(t *rapid.T) Mutation[*crdt.GCounter] {
		n := word.Draw(t, "n")
		return total(func(c *crdt.GCounter, as *crdt.Minter) *crdt.GCounter { return c.Add(as.Actor, n) })
	}
	lex := func(t *rapid.T) Mutation[*crdt.LexCounter] {
		n := signed.Draw(t, "n")
		return total(func(c *crdt.LexCounter, as *crdt.Minter) *crdt.LexCounter { return c.Add(as.Actor, n) })
	}
	draftsDo(t, "Counter", crdt.CodecOf(crdt.DecodeCounter), counter)
	draftsDo(t, "GCounter", crdt.CodecOf(crdt.DecodeGCounter), gcounter)
	draftsDo(t, "LexCounter", crdt.CodecOf(crdt.DecodeLexCounter), lex)
	draftsDo(t, "BoundedCounter", crdt.CodecOf(crdt.DecodeBoundedCounter), func(t *rapid.T) Mutation[*crdt.BoundedCounter] {
		what, n := dice(t), word.Draw(t, "n")
		return func(c *crdt.BoundedCounter, as *crdt.Minter, _ int64) (*crdt.BoundedCounter, error) {
			switch what {
			case 0:
				return c.Dec(as.Actor, n)
			case 2, 3:
				return c.Inc(as.Actor, n), nil
			}
			return c.Transfer(as.Actor, 200, n)
		}
	})
	draftsDo(t, "ResetCounter", crdt.CodecOf(crdt.DecodeResetCounter), func(t *rapid.T) Mutation[*crdt.ResetCounter] {
		reset, n := dice(t) == 0, signed.Draw(t, "n")
		return total(func(c *crdt.ResetCounter, as *crdt.Minter) *crdt.ResetCounter {
			if reset {
				return c.Reset()
			}
			return c.Add(as.Actor, n)
		})
	})

	register := func(t *rapid.T) Mutation[*crdt.Register[uint64]] {
		v := word.Draw(t, "v")
		return func(r *crdt.Register[uint64], as *crdt.Minter, now int64) (*crdt.Register[uint64], error) {
			return r.Set(after(now, r.Timestamp(), !r.IsEmpty()), as.Actor, v), nil
		}
	}
	draftsDo(t, "Register", crdt.RegisterCodec(Uints()), register)
	draftsDo(t, "RegisterMap", crdt.RegisterMapCodec(Uints(), Uints()), func(t *rapid.T) Mutation[*crdt.RegisterMap[uint64, uint64]] {
		n, k, v := dice(t), word.Draw(t, "k"), word.Draw(t, "v")
		return func(m *crdt.RegisterMap[uint64, uint64], as *crdt.Minter, now int64) (*crdt.RegisterMap[uint64, uint64], error) {
			held, any := m.Timestamp(k)
			if n == 0 {
				return m.Remove(after(now, held, any), as.Actor, k), nil
			}
			return m.Set(after(now, held, any), as.Actor, k, v), nil
		}
	})

	gset := func(t *rapid.T) Mutation[*crdt.GSet[uint64]] {
		es := words.Draw(t, "es")
		return total(func(s *crdt.GSet[uint64], _ *crdt.Minter) *crdt.GSet[uint64] { return s.Add(es...) })
	}
	draftsDo(t, "GSet", crdt.GSetCodec(Uints()), gset)
	draftsDo(t, "TwoPhaseSet", crdt.TwoPhaseSetCodec(Uints()), func(t *rapid.T) Mutation[*crdt.TwoPhaseSet[uint64]] {
		n, es := dice(t), words.Draw(t, "es")
		return total(func(s *crdt.TwoPhaseSet[uint64], _ *crdt.Minter) *crdt.TwoPhaseSet[uint64] {
			if n == 0 {
				return s.Remove(es...)
			}
			return s.Add(es...)
		})
	})
	draftsDo(t, "GFlag", crdt.CodecOf(crdt.DecodeGFlag), func(*rapid.T) Mutation[*crdt.GFlag] {
		return total(func(f *crdt.GFlag, _ *crdt.Minter) *crdt.GFlag { return f.Enable() })
	})
	draftsDo(t, "MaxRegister", crdt.MaxRegisterCodec(Uints()), func(t *rapid.T) Mutation[*crdt.MaxRegister[uint64]] {
		v := word.Draw(t, "v")
		return total(func(r *crdt.MaxRegister[uint64], _ *crdt.Minter) *crdt.MaxRegister[uint64] { return r.Set(v) })
	})
	draftsDo(t, "MinRegister", crdt.MinRegisterCodec(Uints()), func(t *rapid.T) Mutation[*crdt.MinRegister[uint64]] {
		v := word.Draw(t, "v")
		return total(func(r *crdt.MinRegister[uint64], _ *crdt.Minter) *crdt.MinRegister[uint64] { return r.Set(v) })
	})
	draftsDo(t, "IVar", crdt.IVarCodec(Uints()), func(t *rapid.T) Mutation[*crdt.IVar[uint64]] {
		v := word.Draw(t, "v")
		return func(x *crdt.IVar[uint64], _ *crdt.Minter, _ int64) (*crdt.IVar[uint64], error) { return x.Set(v) }
	})
	draftsDo(t, "TwoPhaseGraph", crdt.TwoPhaseGraphCodec(Uints()), func(t *rapid.T) Mutation[*crdt.TwoPhaseGraph[uint64]] {
		n, a, b := dice(t), word.Draw(t, "a"), word.Draw(t, "b")
		return func(g *crdt.TwoPhaseGraph[uint64], _ *crdt.Minter, _ int64) (*crdt.TwoPhaseGraph[uint64], error) {
			switch n {
			case 0:
				return g.RemoveVertex(a)
			case 1:
				return g.AddEdge(a, b)
			}
			return g.AddVertex(a)
		}
	})
	draftsDo(t, "PartialOrder", crdt.PartialOrderCodec(Uints()), func(t *rapid.T) Mutation[*crdt.PartialOrder[uint64]] {
		remove, e, a := dice(t) == 0, word.Draw(t, "e"), word.Draw(t, "a")
		return func(o *crdt.PartialOrder[uint64], _ *crdt.Minter, _ int64) (*crdt.PartialOrder[uint64], error) {
			if remove {
				return o.Remove(e)
			}
			if o.Contains(a) {
				return o.Add(e, crdt.At(a), crdt.End[uint64]())
			}
			return o.Add(e, crdt.Start[uint64](), crdt.End[uint64]())
		}
	})

	// Compositions: the actor's rows are kept part by part.
	reg, up := crdt.RegisterCodec(Uints()), crdt.CodecOf(crdt.DecodeCounter)
	type pair = *crdt.Pair[*crdt.Register[uint64], *crdt.Counter]
	draftsDo(t, "Pair", crdt.PairCodec(reg, up), func(t *rapid.T) Mutation[pair] {
		first, write, add := dice(t) == 0, register(t), counter(t)
		return func(p pair, as *crdt.Minter, now int64) (pair, error) {
			if first {
				return p.ChangeFirst(func(r *crdt.Register[uint64]) *crdt.Register[uint64] { d, _ := write(r, as, now); return d }), nil
			}
			return p.ChangeSecond(func(c *crdt.Counter) *crdt.Counter { d, _ := add(c, as, now); return d }), nil
		}
	})
	type epochs = *crdt.LexPair[*crdt.Register[uint64], *crdt.Counter]
	draftsDo(t, "LexPair", crdt.LexPairCodec(reg, up), func(t *rapid.T) Mutation[epochs] {
		first, write, add := dice(t) == 0, register(t), counter(t)
		return func(p epochs, as *crdt.Minter, now int64) (epochs, error) {
			if first {
				return p.ChangeFirst(func(r *crdt.Register[uint64]) *crdt.Register[uint64] { d, _ := write(r, as, now); return d }), nil
			}
			return p.ChangeSecond(func(c *crdt.Counter) *crdt.Counter { d, _ := add(c, as, now); return d }), nil
		}
	})
	type counts = *crdt.LexPair[*crdt.LexCounter, *crdt.GCounter]
	draftsDo(t, "LexPair of counters", crdt.LexPairCodec(crdt.CodecOf(crdt.DecodeLexCounter), crdt.CodecOf(crdt.DecodeGCounter)), func(t *rapid.T) Mutation[counts] {
		first, raise, add := dice(t) == 0, lex(t), gcounter(t)
		return func(p counts, as *crdt.Minter, now int64) (counts, error) {
			if first {
				return p.ChangeFirst(func(c *crdt.LexCounter) *crdt.LexCounter { d, _ := raise(c, as, now); return d }), nil
			}
			return p.ChangeSecond(func(c *crdt.GCounter) *crdt.GCounter { d, _ := add(c, as, now); return d }), nil
		}
	})
	type table = *crdt.GMap[uint64, *crdt.Counter]
	draftsDo(t, "GMap of counters", crdt.GMapCodec(Uints(), up), func(t *rapid.T) Mutation[table] {
		k, add := word.Draw(t, "k"), counter(t)
		return func(m table, as *crdt.Minter, now int64) (table, error) {
			return m.Update(k, func(c *crdt.Counter) *crdt.Counter { d, _ := add(c, as, now); return d }), nil
		}
	})
	type sets = *crdt.GMap[uint64, *crdt.Set[uint64]]
	draftsDo(t, "GMap of sets", crdt.GMapCodec(Uints(), crdt.SetCodec(Uints())), func(t *rapid.T) Mutation[sets] {
		k, e, remove := word.Draw(t, "k"), word.Draw(t, "e"), dice(t) == 0
		return total(func(m sets, as *crdt.Minter) sets {
			return m.Update(k, func(s *crdt.Set[uint64]) *crdt.Set[uint64] {
				if remove {
					return s.Remove(e)
				}
				return s.Add(as, e)
			})
		})
	})
	type registers = *crdt.GMap[uint64, *crdt.Register[uint64]]
	draftsDo(t, "GMap of registers", crdt.GMapCodec(Uints(), reg), func(t *rapid.T) Mutation[registers] {
		k, write := word.Draw(t, "k"), register(t)
		return func(m registers, as *crdt.Minter, now int64) (registers, error) {
			return m.Update(k, func(r *crdt.Register[uint64]) *crdt.Register[uint64] { d, _ := write(r, as, now); return d }), nil
		}
	})
	draftsDo(t, "struct", crdt.CodecOf(profiles.Decode), func(t *rapid.T) Mutation[*profile] {
		n, write, add, grow := dice(t), register(t), counter(t), gset(t)
		return func(p *profile, as *crdt.Minter, now int64) (*profile, error) {
			d := &profile{}
			switch n {
			case 0:
				d.Name, _ = write(p.Name, as, now)
			case 1:
				d.Tags, _ = grow(p.Tags, as, now)
			default:
				d.Seen, _ = add(p.Seen, as, now)
			}
			return profiles.Delta(d), nil
		}
	})
}

// profile is a struct of lattices.
type profile struct {
	Name *crdt.Register[uint64]
	Seen *crdt.Counter
	Tags *crdt.GSet[uint64]
}

var profiles = crdt.NewLayout("Profile",
	crdt.Field(2, "name", func(p *profile) **crdt.Register[uint64] { return &p.Name }, crdt.RegisterCodec(Uints())),
	crdt.Field(3, "seen", func(p *profile) **crdt.Counter { return &p.Seen }, crdt.CodecOf(crdt.DecodeCounter)),
	crdt.Field(4, "tags", func(p *profile) **crdt.GSet[uint64] { return &p.Tags }, crdt.GSetCodec(Uints())))

func (p *profile) Join(d *profile) *profile               { return profiles.Join(p, d) }
func (p *profile) LessOrEqual(o *profile) bool            { return profiles.LessOrEqual(p, o) }
func (p *profile) Equal(o *profile) bool                  { return profiles.Equal(p, o) }
func (p *profile) Clone() *profile                        { return profiles.Clone(p) }
func (p *profile) IsEmpty() bool                          { return profiles.IsEmpty(p) }
func (p *profile) Size() int                              { return profiles.Size(p) }
func (p *profile) Hash() uint64                           { return profiles.Hash(p) }
func (p *profile) Digest() []byte                         { return profiles.Digest(p) }
func (p *profile) Since(digest []byte) (*profile, error)  { return profiles.Since(p, digest) }
func (p *profile) Parts() []*profile                      { return profiles.Parts(p) }
func (p *profile) String() string                         { return profiles.String(p) }
func (p *profile) Append(b []byte) []byte                 { return profiles.Append(b, p) }
func (p *profile) Observe(d *profile, now int64) *profile { return profiles.Observe(p, d, now) }
func (p *profile) Effect(m *crdt.Minter, own *profile) (*profile, error) {
	return profiles.Effect(p, m, own)
}
