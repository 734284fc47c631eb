package flow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/flow"
)

// What a package of variables looks like to this one.
type (
	declared[H any]     = flow.Declared[H]
	family[K, H any]    = flow.Family[K, H]
	variable[H any]     struct{ declared[H] }
	variables[K, H any] struct{ family[K, H] }
	set[E comparable]   struct{ flow.Of[E] }
)

func setOf[E comparable](name string) variable[*set[E]] {
	return variable[*set[E]]{declared[*set[E]]{Name: name}}
}

func setsOf[K, E comparable](name string) variables[K, *set[E]] {
	return variables[K, *set[E]]{family[K, *set[E]]{Name: name}}
}

var (
	ads       = setOf[string]("ads")
	favorites = setsOf[string, string]("favorites")

	upper     = flow.Map("upper", flow.From(ads), strings.ToUpper)
	lower     = flow.Map("lower", flow.From(ads), strings.ToLower)
	favorite  = flow.CountBy("favorite", flow.Each(favorites), func(e flow.Entry[string, string]) string { return e.Value })
	adsByName = flow.Union("ads-by-name", upper, lower)
)

func sample(favorites uint64) []flow.Bound {
	return []flow.Bound{
		flow.Bind(adsByName, textCodec, 1),
		flow.Bind(favorite, countCodec, 2),
		flow.Bind(lower, textCodec, 3),
		flow.Bind(upper, textCodec, 4),
		flow.Bind(flow.From(ads), textCodec, 5),
		flow.Bind(flow.Each(flowFavorites()), likeCodec, favorites),
	}
}

func flowFavorites() variables[string, *set[string]] { return favorites }

func TestCompileOrdersNodesAndMergesSources(t *testing.T) {
	t.Parallel()
	bound := sample(6)
	g, err := flow.Compile(bound)
	require.NoError(t, err)
	var names []string
	for _, n := range g.Nodes() {
		names = append(names, fmt.Sprintf("%s %s %v %q %v", n.Op, n.Name, n.Inputs, n.Source, n.Keyed))
		require.Contains(t, n.Place, "graph_test.go:")
	}
	require.Equal(t, []string{
		`from ads [] "ads" false`,
		`map upper [ads] "" false`,
		`map lower [ads] "" false`,
		`union ads-by-name [upper lower] "" false`,
		`each favorites [] "favorites" true`,
		`count-by favorite [favorites] "" false`,
	}, names)

	// The order of the list is of no matter, nor is repetition.
	reversed := make([]flow.Bound, 0, 2*len(bound))
	for i := range bound {
		reversed = append(reversed, bound[len(bound)-1-i], bound[0])
	}
	again, err := flow.Compile(reversed)
	require.NoError(t, err)
	for i, n := range again.Nodes() {
		want := g.Nodes()[i]
		n.Place, want.Place = "", "" // which of the places of a source is of no matter either
		require.Equal(t, want, n)
	}

	op, err := g.New("upper")
	require.NoError(t, err)
	require.Equal(t, "upper", op.Node().Name)
	out, err := op.Apply(0, change(textCodec, 1, "a"))
	require.NoError(t, err)
	require.Equal(t, change(textCodec, 1, "A"), out)
	_, err = g.New("nobody")
	require.ErrorContains(t, err, `no node "nobody"; it has ads, ads-by-name, favorite, favorites, lower, upper`)
}

func TestFingerprintCoversWhatComesBefore(t *testing.T) {
	t.Parallel()
	of := func(bound []flow.Bound, name string) uint64 {
		g, err := flow.Compile(bound)
		require.NoError(t, err)
		n, ok := g.Node(name)
		require.True(t, ok)
		return n.Fingerprint
	}
	require.Equal(t, of(sample(6), "favorite"), of(sample(6), "favorite"))
	require.NotEqual(t, of(sample(6), "favorite"), of(sample(7), "favorite"), "the source's element changed")
	require.Equal(t, of(sample(6), "upper"), of(sample(7), "upper"))
	top := func(n int) uint64 {
		l := topOf(n)
		return of(append(l.graph, l.node), "longest")
	}
	require.NotEqual(t, top(1), top(2), "a parameter changed")
}

func TestCompileReportsAllProblemsWithTheirPlaces(t *testing.T) {
	t.Parallel()
	src := flow.Input[string]("src")
	_, file, line, _ := runtime.Caller(0)
	one := flow.Map("twice", src, strings.ToUpper)
	two := flow.Map("twice", src, strings.ToLower)
	nameless := flow.Filter("", src, func(string) bool { return true })
	mute := flow.Map[string, string]("mute", src, nil)
	top := flow.TopBy("top", src, strings.ToUpper, 0, nil)
	nothing := flow.From[*set[string]](nil)
	nobody := flow.Each[string, *set[string]](nil)
	onAir := flow.Map("on-air", flow.Node[string]{}, strings.ToUpper)
	alone := flow.Union[string]("alone")
	open := flow.Map("open", flow.Map("hidden", src, strings.ToUpper), strings.ToUpper)
	_, err := flow.Compile([]flow.Bound{
		flow.Bind(src, textCodec, 1), flow.Bind(one, textCodec, 2), flow.Bind(two, textCodec, 3),
		flow.Bind(nameless, textCodec, 4), flow.Bind(mute, textCodec, 5),
		flow.Bind(top, flow.EntryCodec(textCodec, textCodec), 6),
		flow.Bind(onAir, textCodec, 7), flow.Bind(alone, textCodec, 8), flow.Bind(open, textCodec, 9),
		flow.Bind(flow.Node[string]{}, textCodec, 10),
		flow.Bind(flow.Input[string]("dumb"), crdt.Codec[string]{}, 11),
		flow.Bind(src, textCodec, 12),
		flow.Bind(nothing, textCodec, 13), flow.Bind(nobody, likeCodec, 14),
	})
	var all *flow.GraphError
	require.ErrorAs(t, err, &all)
	at := func(n int) string { return fmt.Sprintf("%s:%d", file, line+n) }
	for _, want := range []string{
		fmt.Sprintf(`node "twice" at %s: its name is taken by the map at %s`, at(2), at(1)),
		fmt.Sprintf(`node "" at %s: it has no name`, at(3)),
		fmt.Sprintf(`node "mute" at %s: its function is nil`, at(4)),
		fmt.Sprintf(`node "top" at %s: one of its functions is nil`, at(5)),
		fmt.Sprintf(`node "top" at %s: it keeps the 0 greatest`, at(5)),
		fmt.Sprintf(`node "" at %s: it reads no variable`, at(6)),
		fmt.Sprintf(`node "" at %s: it reads no family`, at(7)),
		fmt.Sprintf(`node "on-air" at %s: its input 0 is the zero Node`, at(8)),
		fmt.Sprintf(`node "alone" at %s: it has no input`, at(9)),
		fmt.Sprintf(`node "hidden" at %s: it has no codec`, at(10)),
		`bound node 9 is the zero Node`,
		`node "dumb"`,
		`it is bound with the zero Codec`,
		`it is bound twice with different fingerprints (0x1, 0xc)`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, all.Problems, 15) // those without a name are told so too
}

func TestCompileRefusesOneNameForDifferentSources(t *testing.T) {
	t.Parallel()
	_, err := flow.Compile([]flow.Bound{
		flow.Bind(flow.From(setOf[string]("x")), textCodec, 1),
		flow.Bind(flow.Each(setsOf[string, string]("x")), likeCodec, 1),
	})
	require.ErrorContains(t, err, "its name is taken by the from at ")

	// The same variable, declared with two types of element.
	numbers := flow.Map("numbers", flow.From(setOf[int64]("x")), func(n int64) int64 { return n })
	_, err = flow.Compile([]flow.Bound{
		flow.Bind(flow.From(setOf[string]("x")), textCodec, 1),
		flow.Bind(numbers, numberCodec, 2),
	})
	require.ErrorContains(t, err, `node "numbers"`)
	require.ErrorContains(t, err, "input 0: it is bound with a crdt.Codec[string], not a crdt.Codec[int64]")

	_, err = flow.Compile([]flow.Bound{
		flow.Bind(flow.From(setOf[string]("x")), textCodec, 1),
		flow.Bind(flow.From(setOf[int64]("x")), numberCodec, 1),
	})
	require.ErrorContains(t, err, "different types of element")
}

func TestCodecOf(t *testing.T) {
	t.Parallel()
	g, err := flow.Compile(sample(6))
	require.NoError(t, err)
	for _, n := range []flow.Node[string]{upper, adsByName, flow.From(ads)} {
		c, err := flow.CodecOf(g, n)
		require.NoError(t, err)
		require.Equal(t, "x", string(c.Append(nil, "x")))
	}
	_, err = flow.CodecOf(g, flow.Map("upper", flow.From(ads), strings.ToUpper))
	require.ErrorContains(t, err, `node "upper" at `, "another node of that name")
	require.ErrorContains(t, err, "is not in the graph; it has ads, ads-by-name")
	_, err = flow.CodecOf(g, flow.Input[string]("new"))
	require.ErrorContains(t, err, "is not in the graph")
	_, err = flow.CodecOf(g, flow.From(setOf[int64]("ads")))
	require.ErrorContains(t, err, "not a crdt.Codec[int64]")
	_, err = flow.CodecOf(g, flow.Node[string]{})
	require.ErrorContains(t, err, "zero Node")
}

func TestEmptyGraph(t *testing.T) {
	t.Parallel()
	g, err := flow.Compile(nil)
	require.NoError(t, err)
	require.Empty(t, g.Nodes())
	_, err = g.New("x")
	require.ErrorContains(t, err, "it has none")
}
