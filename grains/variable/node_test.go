package variable_test

import (
	"context"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// The variables of these tests, one of each type, and of each a family.
var (
	tags    = variable.Set[string]("test.tags")
	hits    = variable.Counter("test.hits")
	title   = variable.Register[string]("test.title")
	prices  = variable.Map[string, int64]("test.prices")
	tagsBy  = variable.By[int64](variable.Set[string]("test.tags-by"))
	hitsBy  = variable.By[int64](variable.Counter("test.hits-by"))
	titleBy = variable.By[int64](variable.Register[string]("test.title-by"))

	text   = wire.StringCodec[string]()
	number = wire.IntCodec[int64]()
)

func kinds() map[string]wire.Kind {
	all := map[string]wire.Kind{}
	for _, k := range []wire.Kind{
		variable.SetKind(tags, text), variable.CounterKind(hits), variable.RegisterKind(title, text), variable.MapKind(prices, text, number),
		variable.SetKindBy(tagsBy, text), variable.CounterKindBy(hitsBy), variable.RegisterKindBy(titleBy, text),
	} {
		all[k.Name()] = k
	}
	return all
}

// node is an engine that holds variables, and nothing else.
type node struct {
	wire.Engine
	kinds   map[string]wire.Kind
	objects map[wire.ID]wire.Object
	own     map[wire.ID][]byte
	actor   crdt.Actor
	now     int64
	reads   int
	made    []made
	refuse  error // of the next Mutate
}

// made is a delta that a node has made.
type made struct {
	id    wire.ID
	delta []byte
}

func newNode(actor crdt.Actor) *node {
	return &node{kinds: kinds(), objects: map[wire.ID]wire.Object{}, own: map[wire.ID][]byte{}, actor: actor}
}

func (n *node) place() variable.Place { return wire.NewPlace(n) }

func (n *node) object(id wire.ID) wire.Object {
	if n.objects[id] == nil {
		n.objects[id] = n.kinds[id.Kind()].Variable().Lattice.New()
	}
	return n.objects[id]
}

func (n *node) Hosted(name string) (wire.Kind, bool) {
	k, ok := n.kinds[name]
	return k, ok
}

func (n *node) Read(_ context.Context, id wire.ID, use func(wire.Object)) error {
	n.reads++
	use(n.object(id))
	return nil
}

func (n *node) Keys(_ context.Context, family string) (keys []string, err error) {
	for id, o := range n.objects {
		if id.Kind() == family && !o.Empty() {
			keys = append(keys, id.Key())
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Mutate does what a replica does.
func (n *node) Mutate(_ context.Context, id wire.ID, op []byte) error {
	if n.refuse != nil {
		return n.refuse
	}
	o := n.object(id)
	before := o.State()
	prepared, err := o.Prepare(n.now, op)
	if err != nil {
		return err
	}
	if !slices.Equal(before, o.State()) {
		panic("Prepare has changed the state")
	}
	delta, own, err := n.kinds[id.Kind()].Variable().Lattice.Effect(n.actor, n.own[id], prepared)
	if err != nil {
		return err
	}
	n.own[id] = own
	if delta == nil {
		return nil
	}
	n.made = append(n.made, made{id, delta})
	_, err = o.Join(delta)
	return err
}

// write makes a random change of a random variable.
func (n *node) write(t *rapid.T) {
	ctx := context.Background()
	n.now = rapid.Int64Range(0, 20).Draw(t, "now")
	word := rapid.SampledFrom([]string{"", "a", "b", "c"})
	key := rapid.Int64Range(1, 2).Draw(t, "key")
	set, counter, register := tags.On(n.place()), hits.On(n.place()), title.On(n.place())
	if rapid.Bool().Draw(t, "family") {
		set, counter, register = tagsBy.At(n.place(), key), hitsBy.At(n.place(), key), titleBy.At(n.place(), key)
	}
	var err error
	switch rapid.IntRange(0, 6).Draw(t, "what") {
	case 0:
		err = set.Add(ctx, rapid.SliceOfN(word, 0, 3).Draw(t, "add")...)
	case 1:
		err = set.Remove(ctx, rapid.SliceOfN(word, 0, 3).Draw(t, "remove")...)
	case 2:
		err = set.Change(ctx, rapid.SliceOfN(word, 0, 2).Draw(t, "add"), rapid.SliceOfN(word, 0, 2).Draw(t, "remove"))
	case 3:
		err = counter.Add(ctx, rapid.Int64Range(-3, 3).Draw(t, "n"))
	case 4:
		err = register.Set(ctx, word.Draw(t, "value"))
	case 5:
		err = prices.On(n.place()).Set(ctx, word.Draw(t, "k"), rapid.Int64Range(0, 3).Draw(t, "v"))
	case 6:
		err = prices.On(n.place()).Remove(ctx, rapid.SliceOfN(word, 0, 2).Draw(t, "keys")...)
	}
	require.NoError(t, err)
}

// history is what some nodes have made that wrote and heard of each other at random.
func history(t *rapid.T, nodes ...*node) (all []made) {
	for range rapid.IntRange(1, 30).Draw(t, "writes") {
		n := rapid.SampledFrom(nodes).Draw(t, "writer")
		before := len(n.made)
		n.write(t)
		all = append(all, n.made[before:]...)
		if len(all) > 0 && rapid.Bool().Draw(t, "told") {
			m := rapid.SampledFrom(all).Draw(t, "of")
			_, err := rapid.SampledFrom(nodes).Draw(t, "who").object(m.id).Join(m.delta)
			require.NoError(t, err)
		}
	}
	return all
}

// shuffled is all of it in any order, some of it twice.
func shuffled(t *rapid.T, all []made) []made {
	if len(all) == 0 {
		return nil
	}
	twice := rapid.SliceOfN(rapid.SampledFrom(all), 0, len(all)).Draw(t, "again")
	return rapid.Permutation(append(slices.Clone(all), twice...)).Draw(t, "order")
}

// sum is the sum of batches, by element.
func sum[E comparable](t require.TestingT, c wire.Codec[E], batches ...[]byte) map[E]int64 {
	total := map[E]int64{}
	for _, b := range batches {
		items, err := flow.DecodeBatch(b, c)
		require.NoError(t, err)
		for _, i := range items {
			if total[i.Elem] += i.Weight; total[i.Elem] == 0 {
				delete(total, i.Elem)
			}
		}
	}
	return total
}
