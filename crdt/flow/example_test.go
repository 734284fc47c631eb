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

func ExampleJoin() {
	stock := flow.Input[flow.Entry[string, int64]]("stock")
	wanted := flow.Join("wanted", likes, wine, stock, func(s flow.Entry[string, int64]) string { return s.Key })
	stockCodec := flow.EntryCodec(textCodec, numberCodec)
	wantedCodec := flow.PairCodec(likeCodec, stockCodec)
	g, _ := flow.Compile([]flow.Bound{
		flow.Bind(likes, likeCodec, 1), flow.Bind(stock, stockCodec, 2), flow.Bind(wanted, wantedCodec, 3),
	})
	op, _ := g.New("wanted")
	view := flow.NewMaterialized(wantedCodec)
	push := func(port int, batch []byte) {
		out, _ := op.Apply(port, batch)
		born, died, _ := view.Apply(out)
		fmt.Println("born", born, "died", died)
	}
	push(0, change(likeCodec, +1, like{"ann", "barolo"})) // nothing in stock yet
	push(1, change(stockCodec, +1, flow.Entry[string, int64]{Key: "barolo", Value: 12}))
	push(0, change(likeCodec, -1, like{"ann", "barolo"}))
	// Output:
	// born [] died []
	// born [{{ann barolo} {barolo 12}}] died []
	// born [] died [{{ann barolo} {barolo 12}}]
}

// Any commutative and associative function folds: here the union of the initials.
func ExampleFoldBy() {
	initials := flow.FoldBy("initials", likes, user,
		func(l like) string { return l.Value[:1] },
		func(a, b string) string {
			letters := append(strings.Split(a, ""), strings.Split(b, "")...)
			slices.Sort(letters)
			return strings.Join(slices.Compact(letters), "")
		})
	initialsCodec := flow.EntryCodec(textCodec, textCodec)
	g, _ := flow.Compile([]flow.Bound{flow.Bind(likes, likeCodec, 1), flow.Bind(initials, initialsCodec, 2)})
	op, _ := g.New("initials")
	out, _ := op.Apply(0, change(likeCodec, +1, like{"ann", "riesling"}, like{"ann", "barolo"}, like{"ann", "rioja"}))
	view := flow.NewMaterialized(initialsCodec)
	born, _, _ := view.Apply(out)
	fmt.Println(born)
	// Output: [{ann br}]
}

// The likes that are not red are those that the red ones do not hold. Without a common frontier every
// red one would show for a moment.
func ExampleNetwork() {
	others := flow.DifferenceNonMonotone("others", likes, reds)
	g, _ := flow.Compile([]flow.Bound{
		flow.Bind(likes, likeCodec, 1), flow.Bind(reds, likeCodec, 2), flow.Bind(others, likeCodec, 3),
	})
	n, _ := g.NewNetwork()
	_ = n.Push("likes", 1, change(likeCodec, +1, like{"ann", "red barolo"}))
	_ = n.Push("likes", 2, change(likeCodec, +1, like{"bob", "white riesling"}))
	fired, _ := n.Run()
	for _, f := range fired {
		if f.Node == "others" {
			items, _ := flow.DecodeBatch(f.Change.Batch, likeCodec)
			fmt.Println("from", f.Change.From, "to", f.Change.To, items)
		}
	}
	// Output:
	// from [likes:0] to [likes:1] []
	// from [likes:1] to [likes:2] [{{bob white riesling} 1}]
}
