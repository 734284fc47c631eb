package variable_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// pairOfNodes are two replicas of some variables.
type pairOfNodes struct {
	t    *testing.T
	a, b *node
}

func newPair(t *testing.T, kinds ...wire.Kind) pairOfNodes {
	p := pairOfNodes{t, newNode(4), newNode(9)}
	for _, n := range []*node{p.a, p.b} {
		n.kinds = map[string]wire.Kind{}
		for _, k := range kinds {
			n.kinds[k.Name()] = k
		}
	}
	return p
}

// meet brings to each what the other lacks, by digest, and says that they are equal then.
func (p pairOfNodes) meet(id wire.ID) {
	p.t.Helper()
	for _, pair := range [][2]wire.Object{{p.a.object(id), p.b.object(id)}, {p.b.object(id), p.a.object(id)}} {
		delta, err := pair[0].Since(pair[1].Digest())
		require.NoError(p.t, err)
		if delta != nil {
			_, err = pair[1].Join(delta)
			require.NoError(p.t, err)
		}
	}
	require.Equal(p.t, p.a.object(id).State(), p.b.object(id).State())
	require.Equal(p.t, p.a.object(id).Hash(), p.b.object(id).Hash())
}

// reopen makes the state anew from what is stored: the state's bytes, and own as it is.
func (p pairOfNodes) reopen(id wire.ID) {
	for _, n := range []*node{p.a, p.b} {
		state := n.object(id).State()
		delete(n.objects, id)
		_, err := n.object(id).Join(state)
		require.NoError(p.t, err)
	}
}

// everyType is a variable of each type of package crdt: both replicas change it at the same time, meet,
// change it again after being opened anew, meet, and show the same.
func everyType[L crdt.Lattice[L]](t *testing.T, name string, codec wire.Codec[L], change func(l L, as *crdt.Minter, i int) (L, error), shown func(L) any, want any) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		v := variable.Of[L]("test.of")
		p := newPair(t, variable.OfKind(v, codec))
		for i := range 4 {
			at := []*node{p.a, p.b}[i%2].place()
			h := v.On(at)
			require.Equal(t, wire.NewID("test.of", ""), h.ID())
			require.NoError(t, h.Mutate(t.Context(), func(l L, as *crdt.Minter) (L, error) { return change(l, as, i) }))
			if i%2 == 1 {
				p.meet(h.ID())
				p.reopen(h.ID())
			}
		}
		for _, n := range []*node{p.a, p.b} {
			l, err := v.On(n.place()).Value(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, shown(l))
			require.False(t, n.object(v.On(n.place()).ID()).Empty())
			require.NotContains(t, fmt.Sprint(l), "18446744073709551615", "nothing is left of the draft's name")
		}
		id := v.On(p.a.place()).ID()
		harmless(t, p.a.kinds["test.of"].Variable().Lattice, p.a.object(id), p.a.own[id], append(p.a.made, p.b.made...))
	})
}

// harmless says that bytes which mean something else, or nothing, change nothing where they are refused, and
// never panic.
func harmless(t *testing.T, l wire.Lattice, o wire.Object, own []byte, known []made) {
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(rapid.SampledFrom(known).Draw(t, "of").delta)
		for range rapid.IntRange(0, 3).Draw(t, "flips") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		before := o.State()
		prepared, err := o.Prepare(5, b)
		if err == nil {
			_, _, _ = l.Effect(4, own, prepared)
		}
		_, _, _ = l.Effect(4, own, b)
		_, _, _ = l.Effect(4, b, known[0].delta)
		_, _ = o.Since(b)
		require.Equal(t, before, o.State())
		scratch := l.New()
		_, err = scratch.Join(before)
		require.NoError(t, err)
		if _, err := scratch.Join(b); err != nil {
			require.Equal(t, before, scratch.State())
		}
	})
}

func TestEveryTypeIsAVariable(t *testing.T) {
	t.Parallel()
	letters := []string{"a", "b", "c", "d"}
	everyType(t, "Set", crdt.SetCodec(text), func(s *crdt.Set[string], as *crdt.Minter, i int) (*crdt.Set[string], error) {
		return s.Add(as, letters[i]), nil
	}, func(s *crdt.Set[string]) any { return slices.Sorted(s.All()) }, letters)
	everyType(t, "RWSet", crdt.RWSetCodec(text), func(s *crdt.RWSet[string], as *crdt.Minter, i int) (*crdt.RWSet[string], error) {
		if i == 3 {
			return s.Remove(as, "a"), nil
		}
		return s.Add(as, letters[i]), nil
	}, func(s *crdt.RWSet[string]) any { return slices.Sorted(s.All()) }, []string{"b", "c"})
	everyType(t, "GSet", crdt.GSetCodec(text), func(s *crdt.GSet[string], _ *crdt.Minter, i int) (*crdt.GSet[string], error) {
		return s.Add(letters[i]), nil
	}, func(s *crdt.GSet[string]) any { return slices.Collect(s.All()) }, letters)
	everyType(t, "TwoPhaseSet", crdt.TwoPhaseSetCodec(text), func(s *crdt.TwoPhaseSet[string], _ *crdt.Minter, i int) (*crdt.TwoPhaseSet[string], error) {
		if i == 3 {
			return s.Remove("a"), nil
		}
		return s.Add(letters[i]), nil
	}, func(s *crdt.TwoPhaseSet[string]) any { return slices.Collect(s.All()) }, []string{"b", "c"})
	everyType(t, "Counter", crdt.CodecOf(crdt.DecodeCounter), func(c *crdt.Counter, as *crdt.Minter, i int) (*crdt.Counter, error) {
		return c.Add(as.Actor, int64(10-6*i)), nil
	}, func(c *crdt.Counter) any { return c.Value() }, int64(4))
	everyType(t, "GCounter", crdt.CodecOf(crdt.DecodeGCounter), func(c *crdt.GCounter, as *crdt.Minter, _ int) (*crdt.GCounter, error) {
		return c.Add(as.Actor, 3), nil
	}, func(c *crdt.GCounter) any { return c.Value() }, uint64(12))
	everyType(t, "LexCounter", crdt.CodecOf(crdt.DecodeLexCounter), func(c *crdt.LexCounter, as *crdt.Minter, i int) (*crdt.LexCounter, error) {
		return c.Add(as.Actor, int64(10-6*i)), nil
	}, func(c *crdt.LexCounter) any { return c.Value() }, int64(4))
	everyType(t, "ResetCounter", crdt.CodecOf(crdt.DecodeResetCounter), func(c *crdt.ResetCounter, as *crdt.Minter, i int) (*crdt.ResetCounter, error) {
		if i == 2 {
			return c.Reset(), nil
		}
		return c.Add(as.Actor, 5), nil
	}, func(c *crdt.ResetCounter) any { return c.Value() }, int64(5))
	everyType(t, "BoundedCounter", crdt.CodecOf(crdt.DecodeBoundedCounter), func(c *crdt.BoundedCounter, as *crdt.Minter, i int) (*crdt.BoundedCounter, error) {
		if i < 2 {
			return c.Inc(as.Actor, 10), nil
		}
		return c.Dec(as.Actor, 9)
	}, func(c *crdt.BoundedCounter) any { return c.Value() }, uint64(2))
	everyType(t, "EWFlag", crdt.CodecOf(crdt.DecodeEWFlag), func(f *crdt.EWFlag, as *crdt.Minter, i int) (*crdt.EWFlag, error) {
		if i == 3 {
			return f.Disable(), nil
		}
		return f.Enable(as), nil
	}, func(f *crdt.EWFlag) any { return f.On() }, true)
	everyType(t, "DWFlag", crdt.CodecOf(crdt.DecodeDWFlag), func(f *crdt.DWFlag, as *crdt.Minter, i int) (*crdt.DWFlag, error) {
		if i == 3 {
			return f.Disable(as), nil
		}
		return f.Enable(as), nil
	}, func(f *crdt.DWFlag) any { return f.On() }, false)
	everyType(t, "GFlag", crdt.CodecOf(crdt.DecodeGFlag), func(f *crdt.GFlag, _ *crdt.Minter, _ int) (*crdt.GFlag, error) {
		return f.Enable(), nil
	}, func(f *crdt.GFlag) any { return f.On() }, true)
	everyType(t, "Register", crdt.RegisterCodec(text), func(r *crdt.Register[string], as *crdt.Minter, i int) (*crdt.Register[string], error) {
		return r.Set(crdt.DraftTime, as.Actor, letters[i]), nil
	}, func(r *crdt.Register[string]) any { v, _ := r.Get(); return v }, "d")
	everyType(t, "RegisterMap", crdt.RegisterMapCodec(number, text), func(m *crdt.RegisterMap[int64, string], as *crdt.Minter, i int) (*crdt.RegisterMap[int64, string], error) {
		return m.Set(crdt.DraftTime, as.Actor, 7, letters[i]), nil
	}, func(m *crdt.RegisterMap[int64, string]) any { v, _ := m.Get(7); return v }, "d")
	everyType(t, "MVRegister", crdt.MVRegisterCodec(text), func(r *crdt.MVRegister[string], as *crdt.Minter, i int) (*crdt.MVRegister[string], error) {
		return r.Set(as, letters[i]), nil
	}, func(r *crdt.MVRegister[string]) any { return r.Values() }, []string{"c", "d"})
	everyType(t, "IVar", crdt.IVarCodec(text), func(x *crdt.IVar[string], _ *crdt.Minter, _ int) (*crdt.IVar[string], error) {
		return x.Set("once")
	}, func(x *crdt.IVar[string]) any { v, _, _ := x.Get(); return v }, "once")
	everyType(t, "MaxRegister", crdt.MaxRegisterCodec(number), func(r *crdt.MaxRegister[int64], _ *crdt.Minter, i int) (*crdt.MaxRegister[int64], error) {
		return r.Set(int64(i)), nil
	}, func(r *crdt.MaxRegister[int64]) any { v, _ := r.Get(); return v }, int64(3))
	everyType(t, "MinRegister", crdt.MinRegisterCodec(number), func(r *crdt.MinRegister[int64], _ *crdt.Minter, i int) (*crdt.MinRegister[int64], error) {
		return r.Set(int64(-i)), nil
	}, func(r *crdt.MinRegister[int64]) any { v, _ := r.Get(); return v }, int64(-3))
	everyType(t, "Graph", crdt.GraphCodec(text), func(g *crdt.Graph[string], as *crdt.Minter, i int) (*crdt.Graph[string], error) {
		if i == 3 {
			return g.AddEdge(as, "a", "b")
		}
		return g.AddVertex(as, letters[i]), nil
	}, func(g *crdt.Graph[string]) any { return slices.Collect(g.Edges()) }, []crdt.Edge[string]{{From: "a", To: "b"}})
	everyType(t, "TwoPhaseGraph", crdt.TwoPhaseGraphCodec(text), func(g *crdt.TwoPhaseGraph[string], _ *crdt.Minter, i int) (*crdt.TwoPhaseGraph[string], error) {
		if i == 3 {
			return g.RemoveVertex("a")
		}
		return g.AddVertex(letters[i])
	}, func(g *crdt.TwoPhaseGraph[string]) any { return slices.Collect(g.Vertices()) }, []string{"b", "c"})
	everyType(t, "PartialOrder", crdt.PartialOrderCodec(text), func(o *crdt.PartialOrder[string], _ *crdt.Minter, i int) (*crdt.PartialOrder[string], error) {
		if i > 1 {
			return o.Add(letters[i], crdt.Start[string](), crdt.At(letters[0]))
		}
		return o.Add(letters[i], crdt.Start[string](), crdt.End[string]())
	}, func(o *crdt.PartialOrder[string]) any { return slices.Collect(o.All()) }, []string{"b", "c", "d", "a"})
	type counts = crdt.ORMap[string, *crdt.CounterStore]
	everyType(t, "ORMap", crdt.ORMapCodec(text, crdt.CounterStoreCodec()), func(m *counts, as *crdt.Minter, i int) (*counts, error) {
		return m.Update("k", func(c *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return c.Add(as, int64(i)) }), nil
	}, func(m *counts) any { v, _ := m.Get("k"); return v.Value() }, int64(6))
	type table = crdt.GMap[string, *crdt.Counter]
	everyType(t, "GMap", crdt.GMapCodec(text, crdt.CodecOf(crdt.DecodeCounter)), func(m *table, as *crdt.Minter, i int) (*table, error) {
		return m.Update("k", func(c *crdt.Counter) *crdt.Counter { return c.Add(as.Actor, int64(i+1)) }), nil
	}, func(m *table) any { v, _ := m.Get("k"); return v.Value() }, int64(10))
	type both = crdt.Pair[*crdt.Counter, *crdt.Set[string]]
	everyType(t, "Pair", crdt.PairCodec(crdt.CodecOf(crdt.DecodeCounter), crdt.SetCodec(text)), func(p *both, as *crdt.Minter, i int) (*both, error) {
		d := p.ChangeFirst(func(c *crdt.Counter) *crdt.Counter { return c.Add(as.Actor, 2) })
		d.Join(p.ChangeSecond(func(s *crdt.Set[string]) *crdt.Set[string] { return s.Add(as, letters[i]) }))
		return d, nil
	}, func(p *both) any { return fmt.Sprint(p.First().Value(), p.Second().Len()) }, "8 4")
	type epochs = crdt.LexPair[*crdt.MaxRegister[int64], *crdt.Counter]
	everyType(t, "LexPair", crdt.LexPairCodec(crdt.MaxRegisterCodec(number), crdt.CodecOf(crdt.DecodeCounter)), func(p *epochs, as *crdt.Minter, i int) (*epochs, error) {
		if i == 2 {
			return p.ChangeFirst(func(r *crdt.MaxRegister[int64]) *crdt.MaxRegister[int64] { return r.Set(1) }), nil
		}
		return p.ChangeSecond(func(c *crdt.Counter) *crdt.Counter { return c.Add(as.Actor, 5) }), nil
	}, func(p *epochs) any { return fmt.Sprint(p.First(), p.Second().Value()) }, "MaxRegister(1) 0")
}

var (
	lights   = variable.EWFlag("test.lights")
	alarm    = variable.DWFlag("test.alarm")
	answers  = variable.MVRegister[string]("test.answers")
	seen     = variable.GSet[string]("test.seen")
	banned   = variable.RWSet[string]("test.banned")
	stock    = variable.BoundedCounter("test.stock")
	carts    = variable.ORMap[string, *crdt.CounterStore]("test.carts")
	lightsBy = variable.By[int64](variable.EWFlag("test.lights-by"))
	bannedBy = variable.By[int64](variable.RWSet[string]("test.banned-by"))
	anyBy    = variable.By[int64](variable.Of[*crdt.GFlag]("test.any-by"))
)

func moreKinds() []wire.Kind {
	return []wire.Kind{
		variable.EWFlagKind(lights), variable.DWFlagKind(alarm), variable.MVRegisterKind(answers, text), variable.GSetKind(seen, text),
		variable.RWSetKind(banned, text), variable.BoundedCounterKind(stock), variable.ORMapKind(carts, text, crdt.CounterStoreCodec()),
		variable.EWFlagKindBy(lightsBy), variable.RWSetKindBy(bannedBy, text), variable.OfKindBy(anyBy, crdt.CodecOf(crdt.DecodeGFlag)),
	}
}

// Changes that two replicas make at the same time come out as the type says.
func TestHandlesOfOtherTypes(t *testing.T) {
	t.Parallel()
	p, ctx := newPair(t, moreKinds()...), t.Context()
	a, b := p.a.place(), p.b.place()
	flag := func(h interface {
		On(context.Context) (bool, error)
	}) bool {
		t.Helper()
		on, err := h.On(ctx)
		require.NoError(t, err)
		return on
	}

	require.NoError(t, lights.On(a).Enable(ctx))
	require.NoError(t, alarm.On(a).Enable(ctx))
	p.meet(lights.On(a).ID())
	p.meet(alarm.On(a).ID())
	require.True(t, flag(lights.On(b)) && flag(alarm.On(b)))
	require.NoError(t, lights.On(a).Enable(ctx))
	require.NoError(t, lights.On(b).Disable(ctx))
	require.NoError(t, alarm.On(a).Enable(ctx))
	require.NoError(t, alarm.On(b).Disable(ctx))
	require.False(t, flag(lights.On(b)))
	require.True(t, p.b.object(lights.On(b).ID()).Empty(), "what is off shows nothing")
	p.meet(lights.On(a).ID())
	p.meet(alarm.On(a).ID())
	require.True(t, flag(lights.On(b)), "enable wins")
	require.False(t, flag(alarm.On(a)), "disable wins")

	require.NoError(t, answers.On(a).Set(ctx, "yes"))
	require.NoError(t, answers.On(b).Set(ctx, "no"))
	p.meet(answers.On(a).ID())
	vs, err := answers.On(a).Values(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"yes", "no"}, vs)
	require.NoError(t, answers.On(b).Set(ctx, "perhaps"))
	p.meet(answers.On(a).ID())
	vs, err = answers.On(a).Values(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"perhaps"}, vs)

	reads := p.a.reads
	require.NoError(t, seen.On(a).Add(ctx, "x", "y"))
	require.NoError(t, seen.On(b).Add(ctx, "z"))
	require.NoError(t, seen.On(b).Add(ctx))
	require.Equal(t, reads, p.a.reads, "adding reads nothing")
	p.meet(seen.On(a).ID())
	all, err := seen.On(b).All(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"x", "y", "z"}, slices.Collect(all))
	held, err := seen.On(b).Contains(ctx, "y")
	require.NoError(t, err)
	require.True(t, held)
	require.Empty(t, p.a.own[seen.On(a).ID()], "who adds keeps nothing")

	require.NoError(t, banned.On(a).Add(ctx, "x", "y"))
	p.meet(banned.On(a).ID())
	require.NoError(t, banned.On(a).Change(ctx, []string{"x"}, nil))
	require.NoError(t, banned.On(b).Remove(ctx, "x"))
	require.NoError(t, banned.On(b).Add(ctx))
	p.meet(banned.On(a).ID())
	all, err = banned.On(a).All(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"y"}, slices.Collect(all), "remove wins")
	held, err = banned.On(a).Contains(ctx, "x")
	require.NoError(t, err)
	require.False(t, held)

	add := func(n int64) func(*crdt.CounterStore, *crdt.Minter) crdt.Change[*crdt.CounterStore] {
		return func(c *crdt.CounterStore, as *crdt.Minter) crdt.Change[*crdt.CounterStore] { return c.Add(as, n) }
	}
	require.NoError(t, carts.On(a).Update(ctx, "wine", add(2)))
	require.NoError(t, carts.On(a).Update(ctx, "wine", add(0)))
	p.meet(carts.On(a).ID())
	require.NoError(t, carts.On(a).Update(ctx, "wine", add(3)))
	require.NoError(t, carts.On(b).Remove(ctx, "wine", "beer"))
	p.meet(carts.On(a).ID())
	require.NoError(t, carts.On(b).Read(ctx, func(m *crdt.ORMap[string, *crdt.CounterStore]) {
		n, _ := m.Get("wine")
		require.EqualValues(t, 3, n.Value(), "what was not seen is not removed")
	}))

	require.NoError(t, lightsBy.At(a, 3).Enable(ctx))
	require.NoError(t, bannedBy.At(a, 3).Add(ctx, "x"))
	require.NoError(t, anyBy.At(a, 3).Mutate(ctx, func(f *crdt.GFlag, _ *crdt.Minter) (*crdt.GFlag, error) { return f.Enable(), nil }))
	require.True(t, flag(lightsBy.At(a, 3)))
	require.False(t, flag(lightsBy.At(a, 4)))
}

// Nobody takes what he has no rights to, whatever the counter shows; rights can be given.
func TestBoundedCounters(t *testing.T) {
	t.Parallel()
	p, ctx := newPair(t, moreKinds()...), t.Context()
	a, b := stock.On(p.a.place()), stock.On(p.b.place())
	id := a.ID()
	require.NoError(t, a.Add(ctx, 10))
	p.meet(id)
	require.Equal(t, &crdt.NoRights{Actor: 9, Want: 4}, b.Take(ctx, 4))
	n, err := b.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 10, n)
	require.NoError(t, a.Give(ctx, 9, 6))
	require.Equal(t, &crdt.NoRights{Actor: 9, Want: 4}, b.Take(ctx, 4), "it has not heard of it")
	p.meet(id)
	require.NoError(t, b.Take(ctx, 4))
	p.reopen(id)
	require.Equal(t, &crdt.NoRights{Actor: 9, Have: 2, Want: 3}, b.Take(ctx, 3))
	require.Equal(t, &crdt.NoRights{Actor: 4, Have: 4, Want: 5}, a.Take(ctx, 5))
	require.Equal(t, &crdt.NoRights{Actor: 4, Have: 4, Want: 5}, a.Give(ctx, 9, 5))
	require.NoError(t, a.Take(ctx, 4))
	require.NoError(t, b.Take(ctx, 0))
	p.meet(id)
	rights, err := a.Rights(ctx)
	require.NoError(t, err)
	require.Equal(t, map[crdt.Actor]uint64{4: 0, 9: 2}, rights)
	n, err = a.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

// A change that is refused by its own function, or changes nothing, is not sent.
func TestMutateThatChangesNothing(t *testing.T) {
	t.Parallel()
	p, ctx := newPair(t, moreKinds()...), t.Context()
	h := lights.On(p.a.place())
	require.NoError(t, h.Disable(ctx))
	require.NoError(t, h.Mutate(ctx, func(*crdt.EWFlag, *crdt.Minter) (*crdt.EWFlag, error) { return nil, nil }))
	no := fmt.Errorf("no")
	require.Equal(t, no, h.Mutate(ctx, func(f *crdt.EWFlag, as *crdt.Minter) (*crdt.EWFlag, error) { return f.Enable(as), no }))
	require.Empty(t, p.a.made)
	on, err := h.On(ctx)
	require.NoError(t, err)
	require.False(t, on, "the function had a copy")
	stranger := variable.Of[*crdt.GFlag]("test.stranger").On(p.a.place())
	require.ErrorIs(t, stranger.Join(ctx, crdt.NewGFlag()), wire.ErrNoSuchKind)
	other := variable.Of[*crdt.GFlag]("test.lights").On(p.a.place())
	_, err = other.Value(ctx)
	require.ErrorIs(t, err, wire.ErrNoSuchKind)
	const clash = `variable test.lights is used as *crdt.GFlag, and this node was given it as *crdt.EWFlag: two declarations share the name "test.lights": give one another name`
	require.EqualError(t, err, clash)
	require.EqualError(t, other.Join(ctx, new(crdt.GFlag).Enable()), clash)
	require.ErrorIs(t, variable.RWSet[string]("test.lights").On(p.a.place()).Add(ctx, "x"), wire.ErrNoSuchKind)
	require.ErrorIs(t, variable.ORMap[string, *crdt.FlagStore]("test.lights").On(p.a.place()).Remove(ctx, "x"), wire.ErrNoSuchKind)
}

// The first part of a LexPair's delta is there as it is, with what others wrote: that is no change.
func TestFirstPartsOfOthersAreSent(t *testing.T) {
	t.Parallel()
	type epochs = crdt.LexPair[*crdt.Register[string], *crdt.Counter]
	v := variable.Of[*epochs]("test.epochs")
	p, ctx := newPair(t, variable.OfKind(v, crdt.LexPairCodec(crdt.RegisterCodec(text), crdt.CodecOf(crdt.DecodeCounter)))), t.Context()
	a, b := v.On(p.a.place()), v.On(p.b.place())
	name := func(by func(*crdt.Minter) crdt.Actor) func(*epochs, *crdt.Minter) (*epochs, error) {
		return func(e *epochs, as *crdt.Minter) (*epochs, error) {
			return e.ChangeFirst(func(r *crdt.Register[string]) *crdt.Register[string] {
				return r.Set(crdt.DraftTime, by(as), "one")
			}), nil
		}
	}
	require.NoError(t, a.Mutate(ctx, name(func(as *crdt.Minter) crdt.Actor { return as.Actor })))
	p.meet(a.ID())
	require.NoError(t, b.Mutate(ctx, func(e *epochs, as *crdt.Minter) (*epochs, error) {
		return e.ChangeSecond(func(c *crdt.Counter) *crdt.Counter { return c.Add(as.Actor, 3) }), nil
	}))
	p.meet(a.ID())
	require.NoError(t, a.Read(ctx, func(e *epochs) { require.EqualValues(t, 3, e.Second().Value()) }))
	var foreign *crdt.ForeignChange
	require.ErrorAs(t, b.Mutate(ctx, name(func(*crdt.Minter) crdt.Actor { return 5 })), &foreign)
}
