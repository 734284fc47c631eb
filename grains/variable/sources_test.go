package variable_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

var (
	pricesBy = variable.By[int64](variable.Map[string, int64]("test.prices-by"))
	seenBy   = variable.By[int64](variable.GSet[string]("test.seen-by"))
	cartsBy  = variable.By[int64](variable.ORMap[string, *crdt.CounterStore]("test.carts-by"))
)

// What graphs read, as flow.From and flow.Each see it; the compiler refuses the rest.
var (
	_ flow.Node[string]                                       = flow.From(tags)
	_ flow.Node[string]                                       = flow.From(seen)
	_ flow.Node[string]                                       = flow.From(banned)
	_ flow.Node[flow.Entry[string, int64]]                    = flow.From(prices)
	_ flow.Node[string]                                       = flow.From(carts)
	_ flow.Node[flow.Entry[int64, string]]                    = flow.Each(seenBy)
	_ flow.Node[flow.Entry[int64, string]]                    = flow.Each(bannedBy)
	_ flow.Node[flow.Entry[int64, string]]                    = flow.Each(cartsBy)
	_ flow.Node[flow.Entry[int64, flow.Entry[string, int64]]] = flow.Each(pricesBy)
)

func TestWhatIsNoSourceIsNoCollection(t *testing.T) {
	t.Parallel()
	for _, handle := range []any{
		&variable.EWFlagHandle{}, &variable.DWFlagHandle{}, &variable.MVRegisterHandle[bool]{}, &variable.BoundedCounterHandle{},
		&variable.Handle[*crdt.Counter]{}, &variable.Handle[*crdt.GSet[bool]]{},
	} {
		_, ok := handle.(flow.Collection[bool])
		require.False(t, ok, "%T", handle)
		_, ok = handle.(flow.Collection[int64])
		require.False(t, ok, "%T", handle)
	}
	for _, k := range moreKinds() {
		v := k.Variable()
		require.Equal(t, v.Source == nil, v.NewFeed == nil, k.Name())
	}
	_, ok := any(&variable.GSetHandle[bool]{}).(flow.Collection[bool])
	require.True(t, ok)
}

// Maps, grow-only and remove-wins sets feed graphs with what their handles write.
func TestMapsAndSetsAreSources(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(1), t.Context()
	for _, k := range append(moreKinds(), variable.MapKindBy(pricesBy, text, number), variable.GSetKindBy(seenBy, text),
		variable.ORMapKindBy(cartsBy, text, crdt.CounterStoreCodec())) {
		n.kinds[k.Name()] = k
	}
	p := n.place()
	require.NoError(t, prices.On(p).Set(ctx, "rioja", 4))
	require.NoError(t, prices.On(p).Set(ctx, "barolo", 12))
	require.NoError(t, prices.On(p).Set(ctx, "rioja", 5))
	require.NoError(t, prices.On(p).Remove(ctx, "barolo"))
	require.NoError(t, pricesBy.At(p, 3).Set(ctx, "rioja", 6))
	require.NoError(t, seen.On(p).Add(ctx, "a", "b"))
	require.NoError(t, seen.On(p).Add(ctx, "b", "c"))
	require.NoError(t, seenBy.At(p, 3).Add(ctx, "a"))
	require.NoError(t, banned.On(p).Add(ctx, "a", "b"))
	require.NoError(t, banned.On(p).Remove(ctx, "a"))
	require.NoError(t, bannedBy.At(p, 3).Add(ctx, "a"))
	add := func(c *crdt.CounterStore, as *crdt.Minter) crdt.Change[*crdt.CounterStore] { return c.Add(as, 1) }
	require.NoError(t, carts.On(p).Update(ctx, "a", add))
	require.NoError(t, carts.On(p).Update(ctx, "b", add))
	require.NoError(t, carts.On(p).Update(ctx, "b", add))
	require.NoError(t, carts.On(p).Remove(ctx, "a"))
	require.NoError(t, cartsBy.At(p, 3).Update(ctx, "a", add))

	type price = flow.Entry[string, int64]
	under := func(e string) map[flow.Entry[int64, string]]int64 {
		return map[flow.Entry[int64, string]]int64{{Key: 3, Value: e}: 1}
	}
	families := flow.EntryCodec(decimal, text)
	priced := flow.EntryCodec(text, number)
	fed(t, n, prices.Name, priced, map[price]int64{{Key: "rioja", Value: 5}: 1})
	fed(t, n, pricesBy.Name, flow.EntryCodec(decimal, priced), map[flow.Entry[int64, price]]int64{{Key: 3, Value: price{Key: "rioja", Value: 6}}: 1})
	fed(t, n, seen.Name, text, map[string]int64{"a": 1, "b": 1, "c": 1})
	fed(t, n, seenBy.Name, families, under("a"))
	fed(t, n, banned.Name, text, map[string]int64{"b": 1})
	fed(t, n, bannedBy.Name, families, under("a"))
	fed(t, n, carts.Name, text, map[string]int64{"b": 1})
	fed(t, n, cartsBy.Name, families, under("a"))
}

// fed checks what the feed of a kind tells of all that n has made, and that its source takes that.
func fed[E comparable](t *testing.T, n *node, kind string, c wire.Codec[E], want map[E]int64) {
	t.Helper()
	v := n.kinds[kind].Variable()
	feed := v.NewFeed()
	var told [][]byte
	for _, m := range n.made {
		if m.id.Kind() == kind {
			batch, err := feed.Join(m.id.Key(), m.delta)
			require.NoError(t, err)
			told = append(told, batch)
		}
	}
	require.Equal(t, want, sum(t, c, told...))
	require.Equal(t, want, sum(t, c, slices.Collect(feed.Snapshot(1))...))
	g, err := flow.Compile([]flow.Bound{v.Source.Bound})
	require.NoError(t, err)
	op, err := g.New(kind)
	require.NoError(t, err)
	for _, batch := range told {
		_, err := op.Apply(0, batch)
		require.NoError(t, err)
	}
	require.Equal(t, len(want), op.Len(), strconv.Quote(kind))
}
