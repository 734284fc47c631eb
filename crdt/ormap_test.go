package crdt

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type (
	tags    = *SetStore[string]
	tagsOf  = *MapStore[string, tags]
	tagMap  = ORMap[string, tags]
	tagMaps = ORMap[string, tagsOf]
)

var _ Lattice[*tagMaps] = (*tagMaps)(nil)

func addTags(m *Minter, es ...string) func(tags) Change[tags] {
	return func(s tags) Change[tags] { return s.Add(m, es...) }
}

func in(k string, f func(tags) Change[tags]) func(tagsOf) Change[tagsOf] {
	return func(s tagsOf) Change[tagsOf] { return s.Update(k, f) }
}

func count(m *Minter, n int64) func(*CounterStore) Change[*CounterStore] {
	return func(s *CounterStore) Change[*CounterStore] { return s.Add(m, n) }
}

func jsonOf(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// requireSoundMap checks that a map's index by dot and its values tell the same.
func requireSoundMap[K comparable, S DotStore[S]](t require.TestingT, s *MapStore[K, S]) {
	n := 0
	for k, v := range s.values {
		require.Positive(t, v.NumDots())
		var last Dot
		for d := range v.Dots() {
			require.Positive(t, d.Compare(last))
			got, ok := s.keys.live.get(d)
			require.True(t, ok && got == k)
			n, last = n+1, d
		}
	}
	require.Equal(t, n, s.NumDots())
	var sum uint64
	for d := range s.Dots() {
		sum += d.hash()
	}
	require.Equal(t, sum, s.keys.live.sum())
	if s.keys.live.indexed() {
		require.Zero(t, s.keys.live.big().elements.n)
	}
}

// A remove of a key resets what it observed, at any depth, and nothing else.
func TestRemovedKeysLoseWhatWasObserved(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := &tagMaps{}, &tagMaps{}
	b.Join(a.Update("k", in("x", addTags(ma, "old", "older"))))
	b.Join(a.Update("other", in("x", addTags(ma, "stays"))))
	late := b.Update("k", in("x", addTags(mb, "new")))
	gone := a.Remove("k")
	require.Equal(t, "{1:1-2}", gone.Context().String())
	_, ok := a.Get("k")
	require.False(t, ok)
	a.Join(late)
	b.Join(gone)
	require.True(t, a.Equal(b))
	require.Equal(t, `[{"key":"other","value":[{"key":"x","value":["stays"]}]},{"key":"k","value":[{"key":"x","value":["new"]}]}]`, jsonOf(t, a))
	require.Equal(t, "OR"+`Map(2)[other:Map(1)[x:Set(1)[stays]] k:Map(1)[x:Set(1)[new]]]{1:1-3 2:1}`, a.String())
	requireSoundMap(t, a.Values())
}

// One context for all keys: a late delta of a key that was removed, and is unknown by now, stays dead.
// Contexts that live in the values forget with their key what they had seen.
func TestRemovedKeysStayRemoved(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	a, b := &tagMaps{}, &tagMaps{}
	add := a.Update("k", in("x", addTags(m, "e")))
	b.Join(add)
	b.Join(a.Remove("k"))
	require.Zero(t, b.Len())
	require.Nil(t, b.Join(add))
	require.Zero(t, b.Len())
	require.False(t, b.IsEmpty())
}

// Deltas of nested values out of order: a gap is no dot seen, whichever key the missing dot is of.
func TestNestedDeltasOutOfOrderLoseNothing(t *testing.T) {
	t.Parallel()
	m := &Minter{Actor: 1}
	a, b := &tagMap{}, &tagMap{}
	d1, d2, d3 := a.Update("x", addTags(m, "1")), a.Update("y", addTags(m, "2")), a.Update("x", addTags(m, "3"))
	b.Join(d3)
	require.Equal(t, "{1:3}", b.Context().String())
	c := b.Clone()
	c.Join(b)
	require.NotNil(t, c.Join(d1))
	require.NotNil(t, c.Join(d2))
	require.True(t, a.Equal(c))
}

// A delta of one key says nothing of others: with the whole context it would kill what it leaves out.
func TestDeltasOfKeysNameOnlyTheirDots(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := &tagMap{}, &tagMap{}
	b.Join(a.Update("x", addTags(ma, "1")))
	delta := b.Update("y", addTags(mb, "2"))
	require.Equal(t, "{2:1}", delta.Context().String())
	again := b.Update("y", addTags(mb, "2"))
	require.Equal(t, "{2:1-2}", again.Context().String(), "the new dot and the one replaced")
	a.Join(delta)
	require.Equal(t, 2, a.Len())
	digest := (&tagMap{}).Digest()
	answer, err := a.Since(digest)
	require.NoError(t, err)
	require.True(t, answer.Equal(a))
	b.Remove("x")
	answer, err = b.Since(a.Digest())
	require.NoError(t, err)
	require.Equal(t, "{1:1 2:1-2}", answer.Context().String(), "the dots that died and the one that is new")
	require.Equal(t, 1, answer.Size())
}

// A key on both sides is decided dot by dot, and a larger context is no licence.
func TestKeysRemovedByHalvesAreGone(t *testing.T) {
	t.Parallel()
	m1, m2 := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := &tagMap{}, &tagMap{}
	d1, d2 := a.Update("k", addTags(m1, "e")), b.Update("k", addTags(m2, "e"))
	c := d1.Clone()
	a.Join(&tagMap{}) // a holds 1.1 and has seen 2.1 removed; b the other way round
	d := d2.Clone()
	a.Join(d.Remove("k"))
	b.Join(c.Remove("k"))
	require.True(t, a.Len() == 1 && b.Len() == 1)
	a.Join(b)
	require.Zero(t, a.Len())
}

// A reset of a counter names the additions that it observed. Under a maximum of rows the increments made
// meanwhile are lost or what was reset comes back; under one dot for each actor's total, too.
func TestNestedResetsNameTheObservedAmounts(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	a, b := &ORMap[string, *CounterStore]{}, &ORMap[string, *CounterStore]{}
	b.Join(a.Update("k", count(ma, 10)))
	a.Join(b.Update("k", count(mb, 100)))
	more := a.Update("k", count(ma, 5)) // by the owner of the row, while b removes the key
	gone := b.Remove("k")
	a.Join(gone)
	v, ok := a.Get("k")
	require.True(t, ok)
	require.EqualValues(t, 5, v.Value(), "neither 0, nor 15")
	b.Join(more)
	require.True(t, a.Equal(b))
	v, _ = b.Get("k")
	require.EqualValues(t, 5, v.Value())
	b.Update("k", count(mb, -7))
	v, _ = b.Get("k")
	require.EqualValues(t, -2, v.Value())
	require.Equal(t, "Counter(-2)", v.String())
	require.Nil(t, b.Update("k", count(mb, 0)))
	b.Update("k", (*CounterStore).Reset)
	_, ok = b.Get("k")
	require.False(t, ok)
}

// Digests that compare contexts alone miss removed keys.
func TestDigestsSeeRemovedKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 20, 700} {
		m := &Minter{Actor: 1}
		a, b := &tagMap{}, &tagMap{}
		for i := range n {
			b.Join(a.Update(fmt.Sprint(i/2), addTags(m, fmt.Sprint(i))))
		}
		requireSoundMap(t, a.Values())
		for i := 0; i <= n/2; i += 2 {
			a.Remove(fmt.Sprint(i))
		}
		require.True(t, a.Context().Equal(b.Context()))
		answer, err := a.Since(b.Digest())
		require.NoError(t, err)
		require.Zero(t, answer.Size())
		b.Join(answer)
		require.True(t, a.Equal(b))
		requireSoundMap(t, b.Values())
		clone := b.Clone()
		requireSoundMap(t, clone.Values())
		b.Clear()
		require.Zero(t, b.Len())
		require.Equal(t, n == 1, clone.Equal(b), "all was removed before of one")
	}
}

// A dot that was minted before is noticed before anything changes.
func TestMapsNoticeReusedDots(t *testing.T) {
	t.Parallel()
	a, m := &tagMap{}, Minter{Actor: 1}
	first := m
	a.Update("x", addTags(&m, "1"))
	before := a.Clone()
	require.PanicsWithError(t, (&DotReused{Dot{1, 1}}).Error(), func() { a.Update("y", addTags(&first, "2")) })
	require.True(t, before.Equal(a))
}

// A block records the operation; its dots are those of who applies it.
func TestMapOperationsGetTheirDotsLater(t *testing.T) {
	t.Parallel()
	keys, values := stringCodec(), SetStoreCodec(stringCodec())
	a, m := &tagMap{}, &Minter{Actor: 1}
	a.Update("x", addTags(m, "1"))
	op := a.Prepare(func(v *MapStore[string, tags], m *Minter) Change[*MapStore[string, tags]] {
		return v.Update("x", addTags(m, "1", "2"))
	})
	decoded, err := DecodeORMapOp(AppendORMapOp(nil, op, keys, values), keys, values)
	require.NoError(t, err)
	delta := decoded.Effect(&Minter{Actor: 3, Next: 6})
	require.Equal(t, "{1:1 3:7-8}", delta.Context().String())
	a.Update("x", addTags(m, "3"))
	a.Join(delta)
	v, _ := a.Get("x")
	require.ElementsMatch(t, []string{"1", "2", "3"}, slices.Collect(v.All()))
	require.True(t, v.Contains("2"))
	none := a.Prepare(func(v *MapStore[string, tags], _ *Minter) Change[*MapStore[string, tags]] { return v.Remove("no") })
	require.True(t, none.IsZero())
	require.Nil(t, none.Effect(nil))
	for _, bad := range []*tagMap{a, delta} {
		_, err = DecodeORMapOp(bad.Append(nil, keys, values), keys, values)
		require.False(t, check(t, err))
	}
	stale := &tagMap{}
	stale.store.keys.ctx.Add(Dot{draftActor, 1})
	_, err = DecodeORMapOp(stale.Append(nil, keys, values), keys, values)
	require.ErrorContains(t, err, "drafts that are dead")
}

// The other stores under a key.
func TestStoresUnderKeys(t *testing.T) {
	t.Parallel()
	ma, mb := &Minter{Actor: 1}, &Minter{Actor: 2}
	type values = *ValueStore[string]
	set := func(m *Minter, v string) func(values) Change[values] {
		return func(s values) Change[values] { return s.Set(m, v) }
	}
	a, b := NewORMap[int, values](), NewORMap[int, values]()
	da, db := a.Update(1, set(ma, "a")), b.Update(1, set(mb, "b"))
	a.Join(db)
	b.Join(da)
	v, _ := a.Get(1)
	require.Equal(t, []string{"a", "b"}, slices.Collect(v.All()))
	require.Equal(t, `[{"key":1,"value":["a","b"]}]`, jsonOf(t, b))
	require.Equal(t, "Values[a b]", v.String())
	var touched []int
	a.JoinTrace(b.Update(1, set(mb, "c")), func(k int) { touched = append(touched, k) })
	v, _ = a.Get(1)
	require.Equal(t, []string{"c"}, slices.Collect(v.All()))
	require.Equal(t, []int{1, 1, 1}, touched)
	a.Update(1, values.Clear)
	require.Zero(t, a.Len())

	type flag = *FlagStore
	f, g := NewORMap[int, flag](), NewORMap[int, flag]()
	g.Join(f.Update(1, func(s flag) Change[flag] { return s.Enable(ma) }))
	again := g.Update(1, func(s flag) Change[flag] { return s.Enable(mb) })
	f.Update(1, flag.Disable)
	on, _ := f.Get(1)
	require.False(t, on.Enabled())
	require.Equal(t, "Flag(off)", on.String())
	require.Equal(t, "false", jsonOf(t, &FlagStore{}))
	f.Join(again)
	on, _ = f.Get(1)
	require.True(t, on.Enabled())
	require.Equal(t, "Flag(on)", on.String())
	s := &tagMap{}
	s.Update("k", addTags(ma, "x", "y"))
	s.Update("k", func(v tags) Change[tags] { return v.Remove("x") })
	require.Equal(t, `[{"key":"k","value":["y"]}]`, jsonOf(t, s))
	s.Update("k", tags.Clear)
	require.Zero(t, s.Len())
	require.Nil(t, s.Update("k", tags.Clear))
}

// seedTagMaps are maps of maps of several shapes.
func seedTagMaps() []*tagMaps {
	m, n := &Minter{Actor: 1}, &Minter{Actor: 1 << 63, Next: 1 << 62}
	small, large := &tagMaps{}, &tagMaps{}
	small.Update("a", in("x", addTags(m, "1", "2")))
	small.Update("", in("", addTags(m, "")))
	small.Update("a", func(s tagsOf) Change[tagsOf] {
		return s.Update("x", func(v tags) Change[tags] { return v.Remove("1") })
	})
	for i := range 100 {
		large.Update(fmt.Sprint(i%7), in(fmt.Sprint(i%3), addTags(n, fmt.Sprint(i))))
	}
	large.Remove("3")
	return []*tagMaps{nil, small, large}
}

func tagMapsCodec() (Codec[string], Codec[tagsOf]) {
	return stringCodec(), MapStoreCodec(stringCodec(), SetStoreCodec(stringCodec()))
}

func seedCounters() *ORMap[string, *CounterStore] {
	m := &Minter{Actor: 300}
	c := &ORMap[string, *CounterStore]{}
	for i := range int64(5) {
		c.Update("k", count(m, 100*i-200))
		c.Update(fmt.Sprint(i), count(m, i))
	}
	return c
}

func TestORMapGolden(t *testing.T) {
	t.Parallel()
	keys, values := tagMapsCodec()
	small := seedTagMaps()[1]
	requireGolden(t, "ORMap-sets", small.Append(nil, keys, values))
	requireGolden(t, "ORMap-digest", small.Digest())
	requireGolden(t, "ORMap-counters", seedCounters().Append(nil, keys, CounterStoreCodec()))
	m := &Minter{Actor: 2}
	v := &ORMap[string, *ValueStore[string]]{}
	v.Update("k", func(s *ValueStore[string]) Change[*ValueStore[string]] { return s.Set(m, "v") })
	requireGolden(t, "ORMap-values", v.Append(nil, keys, ValueStoreCodec(stringCodec())))
	f := &ORMap[string, *FlagStore]{}
	f.Update("k", func(s *FlagStore) Change[*FlagStore] { return s.Enable(m) })
	requireGolden(t, "ORMap-flags", f.Append(nil, keys, FlagStoreCodec()))
	require.Equal(t, len(f.Append(nil, keys, FlagStoreCodec())), f.EncodedSize(keys, FlagStoreCodec()))
	op := small.Prepare(func(s *MapStore[string, tagsOf], m *Minter) Change[*MapStore[string, tagsOf]] {
		return s.Update("a", in("x", addTags(m, "2")))
	})
	requireGolden(t, "ORMapOp", AppendORMapOp(nil, op, keys, values))
}

func FuzzDecodeORMap(f *testing.F) {
	keys, values := tagMapsCodec()
	maps := seedTagMaps()
	for _, s := range maps {
		f.Add(s.Append(nil, keys, values))
		f.Add(s.Digest())
	}
	f.Add(seedCounters().Append(nil, keys, CounterStoreCodec()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := DecodeORMap(b, keys, values); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, keys, values)))
			requireSoundMap(t, got.Values())
			other := maps[2].Clone()
			other.Join(got)
			requireSoundMap(t, other.Values())
			answer, err := got.Since(other.Digest())
			require.NoError(t, err)
			require.True(t, answer.LessOrEqual(other), "the other has all that is here")
			other.Clear()
			require.Zero(t, other.Len())
		}
		if got, err := DecodeORMap(b, keys, CounterStoreCodec()); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, keys, CounterStoreCodec())))
		}
		if got, err := DecodeORMap(b, keys, FlagStoreCodec()); check(t, err) {
			require.Equal(t, string(b), string(got.Append(nil, keys, FlagStoreCodec())))
		}
		if op, err := DecodeORMapOp(b, keys, values); check(t, err) {
			require.Equal(t, string(b), string(AppendORMapOp(nil, op, keys, values)))
			op.Effect(&Minter{Actor: 1})
		}
		if d, err := maps[2].Since(b); check(t, err) {
			require.True(t, d.LessOrEqual(maps[2]))
		}
	})
}

func TestHostileMapsAreRefused(t *testing.T) {
	t.Parallel()
	keys, values := stringCodec(), SetStoreCodec(stringCodec())
	m := &Minter{Actor: 1}
	a := &tagMap{}
	a.Update("k", addTags(m, "x"))
	other := a.Clone()
	other.store.values["l"] = a.store.values["k"]
	_, err := DecodeORMap(other.Append(nil, keys, values), keys, values)
	require.ErrorContains(t, err, "two places")
	other = a.Clone()
	other.store.values["k"] = &SetStore[string]{}
	_, err = DecodeORMap(other.Append(nil, keys, values), keys, values)
	require.ErrorContains(t, err, "without dots")
	other = a.Clone()
	other.store.keys.ctx = Context{runs: []Run{{2, 1, 1}}}
	_, err = DecodeORMap(other.Append(nil, keys, values), keys, values)
	require.ErrorContains(t, err, "not in the context")
}

// Drafts that are dead would be as many as a stranger likes, up to all that an actor can mint.
func TestOperationsWithDeadDraftsAreRefused(t *testing.T) {
	t.Parallel()
	keys, values := stringCodec(), SetStoreCodec(stringCodec())
	m := &tagMap{}
	live := m.Prepare(func(v *MapStore[string, *SetStore[string]], m *Minter) Change[*MapStore[string, *SetStore[string]]] {
		return v.Update("k", addTags(m, "x"))
	}).draft
	for _, run := range []Run{{draftActor, 2, 2}, {draftActor, 1, math.MaxUint64}, {draftActor, 2, math.MaxUint64}} {
		for _, draft := range []*tagMap{{}, live.Clone()} {
			draft.store.keys.ctx.AddRun(run)
			_, err := DecodeORMapOp(draft.Append(nil, keys, values), keys, values)
			require.ErrorContains(t, err, "drafts that are dead", "%v", run)
		}
	}
}
