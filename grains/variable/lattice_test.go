package variable_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// Whoever has all deltas, in any order and some of them twice, has the same state; a novelty is what was
// new and nothing else; what one lacks of another is what Since says.
func TestAdaptersFollowTheLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := newNode(1), newNode(2)
		all := history(t, a, b)
		for _, id := range ids(all) {
			lattice := a.kinds[id.Kind()].Variable().Lattice
			one, other := lattice.New(), lattice.New()
			require.True(t, one.Empty())
			for _, m := range shuffled(t, all) {
				if m.id != id {
					continue
				}
				before, known := one.State(), lattice.New()
				_, err := known.Join(before)
				require.NoError(t, err)
				novelty, err := one.Join(m.delta)
				require.NoError(t, err)
				require.Equal(t, novelty == nil, bytes.Equal(before, one.State()), "a novelty is nil when nothing has changed")
				if novelty != nil {
					again, err := known.Join(novelty)
					require.NoError(t, err)
					require.Equal(t, novelty, again, "a novelty holds nothing that was known")
				}
				require.Equal(t, one.State(), known.State(), "the novelty is all that was new")
			}
			for _, m := range slices.Backward(all) {
				if m.id == id {
					_, err := other.Join(m.delta)
					require.NoError(t, err)
				}
			}
			require.Equal(t, one.State(), other.State())
			require.Equal(t, one.Hash(), other.Hash())
			require.Equal(t, one.String(), other.String())
			require.Equal(t, one.Empty(), other.Empty())

			// Two that know parts of it and tell each other what the other lacks.
			left, right := a.object(id), b.object(id)
			for range 2 {
				for _, pair := range [][2]wire.Object{{left, right}, {right, left}} {
					delta, err := pair[0].Since(pair[1].Digest())
					require.NoError(t, err)
					if delta != nil {
						_, err = pair[1].Join(delta)
						require.NoError(t, err)
					}
				}
			}
			require.Equal(t, one.State(), left.State())
			require.Equal(t, one.Hash(), right.Hash())
			delta, err := left.Since(right.Digest())
			require.NoError(t, err)
			require.Nil(t, delta)
			copied := lattice.New()
			_, err = copied.Join(left.State())
			require.NoError(t, err)
			require.Equal(t, one.State(), copied.State(), "the state is a delta")
		}
	})
}

func ids(all []made) []wire.ID {
	of := map[wire.ID]bool{}
	for _, m := range all {
		of[m.id] = true
	}
	return slices.Collect(maps.Keys(of))
}

// What a handle does comes out as if package crdt had been used without any adapter.
func TestHandlesDoWhatTheTypesDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, ctx := newNode(7), t.Context()
		set, m := crdt.NewSet[string](), crdt.Minter{Actor: 7}
		counter := crdt.NewCounter()
		register := crdt.NewRegister(text)
		registers := crdt.NewRegisterMap(text, number)
		word := rapid.SampledFrom([]string{"", "a", "b"})
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			n.now = rapid.Int64Range(0, 5).Draw(t, "now")
			w, i := word.Draw(t, "word"), rapid.Int64Range(-3, 3).Draw(t, "n")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				require.NoError(t, tags.On(n.place()).Add(ctx, w))
				set.Add(&m, w)
			case 1:
				require.NoError(t, tags.On(n.place()).Remove(ctx, w))
				set.Remove(w)
			case 2:
				require.NoError(t, hits.On(n.place()).Add(ctx, i))
				counter.Add(7, i)
			case 3:
				require.NoError(t, title.On(n.place()).Set(ctx, w))
				register.Join(register.Prepare(crdt.RegisterOp[string]{Value: w}, n.now).Effect(7))
			case 4:
				require.NoError(t, prices.On(n.place()).Set(ctx, w, i))
				registers.Join(registers.Prepare(crdt.RegisterMapOp[string, int64]{Set: []crdt.RegisterMapSet[string, int64]{{Key: w, Value: i}}}, n.now).Effect(7))
			case 5:
				require.NoError(t, prices.On(n.place()).Remove(ctx, w))
				registers.Join(registers.Prepare(crdt.RegisterMapOp[string, int64]{Remove: []crdt.RegisterMapRemove[string]{{Key: w}}}, n.now).Effect(7))
			}
		}
		require.Equal(t, set.Append(nil, text), n.object(tags.On(n.place()).ID()).State())
		require.Equal(t, counter.Append(nil), n.object(hits.On(n.place()).ID()).State())
		require.Equal(t, register.Append(nil, text), n.object(title.On(n.place()).ID()).State())
		require.Equal(t, registers.Append(nil, text, number), n.object(prices.On(n.place()).ID()).State())

		elements, err := tags.On(n.place()).All(ctx)
		require.NoError(t, err)
		require.Equal(t, slices.Collect(set.All()), slices.Collect(elements))
		size, err := tags.On(n.place()).Len(ctx)
		require.NoError(t, err)
		require.Equal(t, set.Len(), size)
		held, err := tags.On(n.place()).Contains(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, set.Contains("a"), held)
		total, err := hits.On(n.place()).Value(ctx)
		require.NoError(t, err)
		require.Equal(t, counter.Value(), total)
		v, ok, err := title.On(n.place()).Value(ctx)
		require.NoError(t, err)
		v2, ok2 := register.Get()
		require.Equal(t, []any{v2, ok2}, []any{v, ok})
		p, ok, err := prices.On(n.place()).Get(ctx, "a")
		require.NoError(t, err)
		p2, ok2 := registers.Get("a")
		require.Equal(t, []any{p2, ok2}, []any{p, ok})
		entries, err := prices.On(n.place()).All(ctx)
		require.NoError(t, err)
		require.Equal(t, maps.Collect(registers.All()), maps.Collect(entries))
	})
}

// Bytes that mean something else, or nothing, are refused or taken, and never half.
func TestAdaptersTakeNoHarm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(1)
		all := history(t, n)
		if len(all) == 0 {
			return
		}
		m := rapid.SampledFrom(all).Draw(t, "of")
		var b []byte
		switch rapid.IntRange(0, 3).Draw(t, "kind of noise") {
		case 0:
			b = rapid.SliceOf(rapid.Byte()).Draw(t, "noise")
		case 1: // of another variable
			b = rapid.SampledFrom(all).Draw(t, "other").delta
		default:
			b = slices.Clone(m.delta)
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
			}
		}
		lattice := n.kinds[m.id.Kind()].Variable().Lattice
		o := n.object(m.id)
		before, digest := o.State(), o.Digest()
		_, _ = o.Prepare(5, b)
		_, _ = o.Since(b)
		own := n.own[m.id]
		_, _, _ = lattice.Effect(1, own, b)
		_, _, _ = lattice.Effect(1, b, m.delta)
		require.Equal(t, before, o.State())
		require.Equal(t, digest, o.Digest())
		novelty, err := o.Join(b)
		if err != nil {
			require.Nil(t, novelty)
			require.Equal(t, before, o.State(), "after an error the state is as it was")
		}
		if own != nil && m.id.Kind() == "test.tags" { // another actor's counter
			_, _, err = lattice.Effect(2, own, crdt.AppendSetOp(nil, crdt.SetOp[string]{Add: []string{"x"}}, text))
			require.ErrorContains(t, err, "dots of actor 1 minted by 2")
		}
	})
}

// A change that changes nothing is no write.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(1), t.Context()
	require.NoError(t, tags.On(n.place()).Add(ctx))
	require.NoError(t, tags.On(n.place()).Remove(ctx))
	require.NoError(t, tags.On(n.place()).Change(ctx, nil, nil))
	require.NoError(t, prices.On(n.place()).Remove(ctx))
	require.Empty(t, n.made)
	require.NoError(t, tags.On(n.place()).Change(ctx, []string{"a"}, []string{"a"}))
	held, err := tags.On(n.place()).Contains(ctx, "a")
	require.NoError(t, err)
	require.True(t, held, "removals come first")
}
