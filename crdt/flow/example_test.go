package flow_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// A like says that a user likes a wine.
type like = flow.Entry[string, string]

var likeCodec = flow.EntryCodec(textCodec, textCodec)

var (
	likes     = flow.Input[like]("likes")
	reds      = flow.Filter("reds", likes, func(l like) bool { return strings.HasPrefix(l.Value, "red ") })
	redWines  = flow.Map("red-wines", reds, func(l like) string { return l.Value })
	popular   = flow.CountBy("popular", likes, func(l like) string { return l.Value })
	together  = flow.CountTogether("together", likes, user, wine, strings.Compare)
	favourite = flow.TopBy("favourite", likes, user, 1, func(a, b like) int { return cmp.Compare(len(a.Value), len(b.Value)) })
)

func user(l like) string { return l.Key }
func wine(l like) string { return l.Value }

// Generated code makes this list.
func exampleGraph() *flow.Graph {
	countCodec := flow.EntryCodec(textCodec, numberCodec)
	g, err := flow.Compile([]flow.Bound{
		flow.Bind(likes, likeCodec, 1),
		flow.Bind(reds, likeCodec, 2),
		flow.Bind(redWines, textCodec, 3),
		flow.Bind(popular, countCodec, 4),
		flow.Bind(together, flow.EntryCodec(flow.PairCodec(textCodec, textCodec), numberCodec), 5),
		flow.Bind(favourite, flow.EntryCodec(textCodec, likeCodec), 6),
	})
	if err != nil {
		panic(err)
	}
	return g
}

func change[E any](c crdt.Codec[E], weight int64, elems ...E) []byte {
	var items []flow.Weighted[E]
	for _, e := range elems {
		items = append(items, flow.Weighted[E]{Elem: e, Weight: weight})
	}
	return flow.AppendBatch(nil, items, c)
}

// A host moves changes from operator to operator; a follower keeps the view.
func Example() {
	g := exampleGraph()
	filter, _ := g.New("reds")
	project, _ := g.New("red-wines")
	view := flow.NewMaterialized(textCodec)
	push := func(batch []byte) {
		batch, _ = filter.Apply(0, batch)
		batch, _ = project.Apply(0, batch)
		born, died, _ := view.Apply(batch)
		fmt.Println("born", born, "died", died)
	}
	push(change(likeCodec, +1, like{"ann", "red barolo"}, like{"bob", "red barolo"}, like{"bob", "white riesling"}))
	push(change(likeCodec, -1, like{"ann", "red barolo"})) // bob still likes it
	push(change(likeCodec, -1, like{"bob", "red barolo"}))
	// Output:
	// born [red barolo] died []
	// born [] died []
	// born [] died [red barolo]
}

func ExampleCountBy() {
	op, _ := exampleGraph().New("popular")
	view := flow.NewMaterialized(flow.EntryCodec(textCodec, numberCodec))
	for _, batch := range [][]byte{
		change(likeCodec, +1, like{"ann", "barolo"}, like{"bob", "barolo"}, like{"bob", "riesling"}),
		change(likeCodec, -1, like{"ann", "barolo"}),
	} {
		out, _ := op.Apply(0, batch)
		born, died, _ := view.Apply(out)
		fmt.Println("born", born, "died", died)
	}
	// Output:
	// born [{barolo 2} {riesling 1}] died []
	// born [{barolo 1}] died [{barolo 2}]
}

func ExampleCountTogether() {
	op, _ := exampleGraph().New("together")
	_, _ = op.Apply(0, change(likeCodec, +1,
		like{"ann", "barolo"}, like{"ann", "riesling"},
		like{"bob", "barolo"}, like{"bob", "riesling"}, like{"bob", "chianti"}))
	view := flow.NewMaterialized(flow.EntryCodec(flow.PairCodec(textCodec, textCodec), numberCodec))
	born, _, _ := view.Reset(slices.Collect(op.Snapshot(1 << 16)))
	for _, e := range born {
		fmt.Println(e.Key.A, "and", e.Key.B, e.Value)
	}
	// Output:
	// barolo and chianti 1
	// barolo and riesling 2
	// chianti and riesling 1
}

func ExampleTopBy() {
	op, _ := exampleGraph().New("favourite") // the longest name, for want of a better measure
	view := flow.NewMaterialized(flow.EntryCodec(textCodec, likeCodec))
	for _, batch := range [][]byte{
		change(likeCodec, +1, like{"ann", "barolo"}, like{"ann", "riesling"}, like{"bob", "chianti"}),
		change(likeCodec, -1, like{"ann", "riesling"}),
	} {
		out, _ := op.Apply(0, batch)
		born, died, _ := view.Apply(out)
		fmt.Println("born", born, "died", died)
	}
	// Output:
	// born [{ann {ann riesling}} {bob {bob chianti}}] died []
	// born [{ann {ann barolo}}] died [{ann {ann riesling}}]
}
