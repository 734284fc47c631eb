package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/club"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/crdt/crdttest"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/txn"
)

// A generated lattice obeys the laws of all.
func TestGeneratedLatticeObeysTheLaws(t *testing.T) {
	t.Parallel()
	crdttest.Laws(t, crdttest.Subject[*club.Member]{
		New: club.NewMember,
		Begin: func() func(*rapid.T, int, *club.Member) *club.Member {
			minters := make([]crdt.Minter, crdttest.Replicas)
			now := int64(0)
			return func(t *rapid.T, replica int, m *club.Member) *club.Member {
				as, d := &minters[replica], &club.Member{}
				as.Actor = crdt.Actor(replica + 1)
				now++
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
				n := rapid.IntRange(1, 4).Draw(t, "n")
				switch rapid.IntRange(0, 9).Draw(t, "field") {
				case 0:
					d.Name = m.Name.Set(now, as.Actor, name)
				case 1:
					d = m.Award(as, club.Badge{Name: name, Year: n})
				case 2:
					d.Visits = m.Visits.Add(as.Actor, int64(n))
				case 3:
					d.Homes = m.Homes.Set(as, club.Address{Street: name, Floors: []int{n}})
				case 4:
					d.Scores = m.Scores.Update(club.MemberID(name), func(s *crdt.MapStore[string, *crdt.CounterStore]) crdt.Change[*crdt.MapStore[string, *crdt.CounterStore]] {
						return s.Update(name, func(c *crdt.CounterStore) crdt.Change[*crdt.CounterStore] { return c.Add(as, int64(n)) })
					})
				case 5:
					d.Limits = m.Limits.Update(name, func(r *crdt.MaxRegister[int64]) *crdt.MaxRegister[int64] { return r.Set(int64(n)) })
				case 6:
					d.Season = m.Season.ChangeSecond(func(c *crdt.Counter) *crdt.Counter { return c.Add(as.Actor, 1) })
				case 7:
					d.Friends = &club.Circle{Known: m.Friends.Known.AddVertex(as, club.MemberID(name))}
				case 8:
					d.Banned = m.Banned.Enable(as)
				default:
					d.Season = m.Season.ChangeFirst(func(r *crdt.MaxRegister[uint32]) *crdt.MaxRegister[uint32] { return r.Set(uint32(n)) })
				}
				if d.IsEmpty() {
					return nil
				}
				return d
			}
		},
		Append:      func(b []byte, m *club.Member) []byte { return m.Append(b) },
		Decode:      club.DecodeMember,
		LooseDigest: true,
	})
}

// It is a variable like any other, in blocks too.
func TestGeneratedLatticeIsAVariable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := graintest.Start(t, 1, club.Grains())
	visit := func(m *club.Member, as *crdt.Minter) (*club.Member, error) {
		friends := &club.Circle{Known: m.Friends.Known.AddVertex(as, "bob")}
		best := m.Best.Clone()
		best.Join(mustPeak(t, "7"))
		return &club.Member{Name: m.Name.Set(crdt.DraftTime, as.Actor, "Ann"), Visits: m.Visits.Add(as.Actor, 1), Friends: friends, Best: best}, nil
	}
	ann := club.Members.At(c, "ann")
	require.NoError(t, ann.Mutate(ctx, visit))
	require.NoError(t, txn.Atomic(ctx, c, func(ctx context.Context) error { return ann.Mutate(ctx, visit) }))
	require.NoError(t, txn.Atomic(ctx, c, func(ctx context.Context) error { return club.Record.On(c).Join(ctx, mustPeak(t, "3")) }))
	require.NoError(t, club.Tabs.On(c).Update(ctx, "ann", func(n *crdt.CounterStore, as *crdt.Minter) crdt.Change[*crdt.CounterStore] { return n.Add(as, 4) }))
	require.Eventually(t, func() bool {
		m, err := ann.Value(ctx)
		require.NoError(t, err)
		name, _ := m.Name.Get()
		return fmt.Sprint(name, m.Visits.Value(), m.Best) == "Ann2 7" && m.Friends.Known.HasVertex("bob")
	}, 10*time.Second, 10*time.Millisecond)
	m, err := ann.Value(ctx)
	require.NoError(t, err)
	require.Contains(t, m.String(), "Member{Name: Register(Ann")
	require.Contains(t, m.String(), "Friends: a circle", "a method by hand is left alone")
	text, err := m.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(text), `"Visits":`)
}

func mustPeak(t *testing.T, text string) *club.Peak {
	p, err := club.DecodePeak([]byte(text))
	require.NoError(t, err)
	return p
}

// methods declares those of crdt.Lattice for a type that is written so.
func methods(of string) string {
	return strings.ReplaceAll(`func (*P) Join(*P) *P { return nil }
func (*P) LessOrEqual(*P) bool { return true }
func (*P) Equal(*P) bool { return true }
func (*P) Clone() *P { return nil }
func (*P) IsEmpty() bool { return true }
func (*P) Size() int { return 0 }
func (*P) Hash() uint64 { return 0 }
func (*P) Digest() []byte { return nil }
func (*P) Since([]byte) (*P, error) { return nil, nil }
func (*P) Parts() []*P { return nil }
func (*P) String() string { return "" }
`, "*P", "*"+of)
}

// own declares a lattice of one's own called name, which has no Effect.
func own(name string) string {
	return "type " + name + " struct{}\n" + methods(name) + "func (*" + name + ") Append(b []byte) []byte { return b }\n" +
		"func Decode" + name + "([]byte) (*" + name + ", error) { return nil, nil }\n"
}

// latticeRefusals holds a package for each thing that is refused of lattices.
var latticeRefusals = []refusal{
	{"latticefields", `import "github.com/martinelli-go/martinelli/crdt"
type T struct { A int }
//crdt:lattice
type S struct {
	A string
	B int64
	C []string
	D map[string]int64
	E crdt.Set[string]
	F *T
	G T
	H *crdt.Set[float64]
	K *crdt.MaxRegister[T]
	_ *crdt.Counter
	*crdt.Counter
	L *crdt.Register[chan int]
	M Q
}
//crdt:lattice
type Q struct { A *crdt.Counter }`,
		[]string{
			"field A of the lattice S (string) is no lattice: use *crdt.Register[string] for what is written as a whole, or another type of package crdt",
			"field B of the lattice S (int64) is no lattice: use *crdt.Counter for what is counted, or *crdt.Register[int64]",
			"field C of the lattice S ([]string) is no lattice: use a set, *crdt.Set[string], or *crdt.Register",
			"field D of the lattice S (map[string]int64) is no lattice: use *crdt.RegisterMap[string, int64], or *crdt.ORMap",
			"field E of the lattice S (crdt.Set[string]) is no lattice: a lattice is a pointer, so make it *crdt.Set[string]",
			"field F of the lattice S (*T) is no lattice: it lacks func (*T) Join(delta *T) (novelty *T); if all its fields are lattices, mark it //crdt:lattice",
			"field G of the lattice S (T) is no lattice: use *crdt.Register[T]",
			"field H of the lattice S, in crdt.Set[float64] (float64) contains a float64",
			"field K of the lattice S, in crdt.MaxRegister[T]: T has no order that replicas could share",
			"15:2: a field of the lattice S has no name of its own: give it one",
			"16:8: a field of the lattice S has no name of its own: give it one",
			"field L of the lattice S, in crdt.Register[chan int]: a channel (chan int) cannot be sent",
			"field M of the lattice S (Q) is no lattice: a lattice is a pointer, so make it *Q",
		}},
	{"latticeparts", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type S struct {
	I *crdt.GMap[string, *crdt.FlagStore]
	J *crdt.ORMap[string, *crdt.Counter]
}`,
		[]string{
			"field I of the lattice S, in crdt.GMap[string, *crdt.FlagStore] (*crdt.FlagStore) is no lattice: it lacks func (*crdt.FlagStore) Join",
			"field J of the lattice S, in crdt.ORMap[string, *crdt.Counter] (*crdt.Counter) is no dot store that grainc has a codec for: use *crdt.SetStore",
			"*crdt.FlagStore does not satisfy crdt.Lattice", "*crdt.Counter does not satisfy crdt.DotStore",
		}},
	{"latticemarks", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:latice
type A struct { C *crdt.Counter }
//crdt:lattice
type B map[string]int
//crdt:lattice
type C[T any] struct { C *crdt.Counter }
//crdt:lattice
type D struct { }
//crdt:lattice
func f() {}
//crdt:lattice
var v int
//grain:lattice
type E struct { C *crdt.Counter }`,
		[]string{
			"//crdt:latice is not known: did you mean //crdt:lattice?",
			"B is marked //crdt:lattice and is no struct: mark a struct whose fields are lattices, or write the methods of crdt.Lattice by hand",
			"C is marked //crdt:lattice and is generic: declare a struct for each instance",
			"D is marked //crdt:lattice and has no fields: give it some",
			"//crdt:lattice belongs directly above a struct whose fields are lattices",
			"13:1: //crdt:lattice belongs directly above a struct",
			"//grain:lattice is not known: did you mean //crdt:lattice?",
		}},
	{"latticespelling", `import "github.com/martinelli-go/martinelli/crdt"
// crdt:lattice
type A struct { C *crdt.Counter }
//crdt: lattice
type B struct { C *crdt.Counter }
//CRDT:Lattice
type D struct { C *crdt.Counter }
//crdt:lattice foo
type E struct { C *crdt.Counter }
// crdt: lattice joins what others would lock
type F struct { C *crdt.Counter }
//crdt: latice
type G struct { C *crdt.Counter }
//crdt:lattice
type H struct {
	// grain:was Old
	C *crdt.Counter
	//grain:was D or so
	E *crdt.Counter
}`,
		[]string{
			"// crdt:lattice is a plain comment to grainc: write //crdt:lattice",
			"//crdt: lattice is a plain comment to grainc: write //crdt:lattice",
			"//CRDT:Lattice is a plain comment to grainc: write //crdt:lattice",
			`//crdt:lattice takes nothing after it: remove "foo"`,
			"//crdt:latice is not known: did you mean //crdt:lattice?",
			"// grain:was Old is a plain comment to grainc: write //grain:was Old",
			"//grain:was needs the old name, and nothing else: //grain:was Old",
		}},
	{"latticetags", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct {
	C *crdt.Counter "json:\"c\""
	D *crdt.Counter "json:\"d\" crdt:\"2\""
}`,
		[]string{`6:2: the tag crdt:"2" of field D of the lattice A means nothing: remove it; fields have their numbers from the lock file`}},
	{"latticefieldnames", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct {
	Size, Join *crdt.Counter
	Effect *crdt.Counter
	String *crdt.Register[string]
	Kind *crdt.Register[string]
}`,
		[]string{
			"5:2: field Size of the lattice A has the name of a method that grainc writes for it: give the field another name",
			"5:8: field Join of the lattice A has the name of a method",
			"6:2: field Effect of the lattice A has the name of a method",
			"7:2: field String of the lattice A has the name of a method",
		}},
	{"latticenoeffect", `import "github.com/martinelli-go/martinelli/crdt"
import "github.com/martinelli-go/martinelli/grains/variable"
` + own("P") + own("Q") + own("R") + `
func (*Q) Effect(*crdt.Minter, *Q) *Q { return nil }
func (*R) Effect(*crdt.Minter, *R) (*R, error) { return nil, nil }
var Alone = variable.Of[*P]("alone")
var Each = variable.Of[*crdt.GMap[string, *P]]("each")
//crdt:lattice
type S struct { P *P; Q *Q; R *R; L *crdt.LexPair[*crdt.Counter, *P] }`,
		[]string{
			"the type of Each, in crdt.GMap[string, *P] (*P) does not say what its changes are in another's name",
			"field P of the lattice S (*P) does not say what its changes are in another's name, so it could not be changed: add func (*P) Effect(m *crdt.Minter, own *P) (*P, error), which may return the receiver if its deltas need no identity",
			"field Q of the lattice S (*Q) does not say what its changes are in another's name",
			"field L of the lattice S, in crdt.LexPair[*crdt.Counter, *P] (*P) does not say",
		}},
	{"generatednames", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct { G *crdt.Counter }
func (a *A) Foo() *A { return layoutA.Delta(&A{G: a.G.Add(1, 1)}) }
type X interface { grains.Keyed[string]; F(ctx context.Context, n int) error }
var ref = xRef{}
var codec = codecInt
var methods = XMethods
var other = appendix`,
		[]string{
			"undefined: layoutA: a name of grain_gen.go, which grainc does not read: do without it; a mutator returns &A{…} with the deltas of its fields",
			"undefined: xRef: a name of grain_gen.go, which grainc does not read: do without it, or declare what you need under another name",
			"undefined: codecInt: a name of grain_gen.go",
			"undefined: XMethods: a name of grain_gen.go",
			"undefined: appendix",
		}},
	{"replicas", `import "github.com/martinelli-go/martinelli/grains/variable"
const none = 0
var few = variable.Replicas(none)
var A = variable.Set[string]("a", variable.Replicas(-3))
var B = variable.Set[string]("b", few, variable.Replicas(1))`,
		[]string{
			"variable.Replicas(0) would keep a variable nowhere: say on how many silos it is, 1 or more, or variable.Everywhere",
			"variable.Replicas(-3) would keep a variable nowhere",
		}},
	{"latticecycle", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct { B *B; N *crdt.Counter }
//crdt:lattice
type B struct { More *crdt.GMap[string, *A] }`,
		[]string{"the lattice A contains itself, by A.B, B.More: nothing would ever be its empty state", "the lattice B contains itself, by B.More, A.B"}},
	{"latticemethods", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct { N *crdt.Counter }
func (a *A) Join(b *A) *A { return nil }
func (a *A) String() string { return "" }`,
		[]string{
			"method Join of A is one that grainc writes for a struct marked //crdt:lattice: remove it",
		}},
	{"latticenames", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type A struct { N *crdt.Counter }
func NewA() {}
var layoutA int`,
		[]string{"NewA is a name that grainc declares in grain_gen.go: rename this one", "layoutA is a name that grainc declares"}},
	{"ownlattices", `import "github.com/martinelli-go/martinelli/crdt"
import "github.com/martinelli-go/martinelli/grains/variable"
type P struct{}
` + methods("P") + `type Q struct { P }
func DecodeQ([]byte) *Q { return nil }
type X[T any] struct { crdt.GFlag }
var A = variable.Of[*P]("a")
//crdt:lattice
type S struct { P *P; X *X[int] }
var B = variable.ORMap[string, *own]("b")
type own struct { *crdt.FlagStore }
func (*own) New() *own { return nil }
func (*own) Take(from *own, d, as crdt.Dot) {}`,
		[]string{
			"the type of A (*P) is no lattice: it lacks func (*P) Append(b []byte) []byte",
			"field P of the lattice S (*P) is no lattice: it lacks func (*P) Append(b []byte) []byte",
			"field X of the lattice S (*X[int]) is no lattice: it lacks func (*X[int]) Join(delta *X) (novelty *X)",
			"a value of B (*own) is no dot store that grainc has a codec for",
		}},
	{"nodecoder", `import "github.com/martinelli-go/martinelli/grains/variable"
type P struct{}
` + methods("P") + `func (*P) Append(b []byte) []byte { return b }
func DecodeP([]byte) *P { return nil }
var A = variable.Of[*P]("a")
type V[T any] struct{}
` + methods("V[T]") + `func (*V[T]) Append(b []byte) []byte { return b }
var B = variable.Of[*V[int]]("b")`,
		[]string{
			"the type of A (*P) cannot be decoded: declare func DecodeP(b []byte) (*P, error) beside it",
			"the type of B (*V[int]) is a lattice with type parameters, whose codec cannot be found by name: declare a type without",
		}},
}

// Numbers of fields are for ever; a field may have another name, and may not go.
func TestLatticeLock(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	const before = `package x

import "github.com/martinelli-go/martinelli/crdt"

//crdt:lattice
type S struct {
	A *crdt.Counter
	B *crdt.Set[string]
}
`
	generates := func(source, lock string) {
		t.Helper()
		write(t, source, dir, "x.go")
		code, _, errs := command(t, dir, ".")
		require.Zero(t, code, errs)
		require.Contains(t, read(t, dir, "grain_gen.lock"), lock)
	}
	refuses := func(source, want string) {
		t.Helper()
		kept := read(t, dir, "grain_gen.lock")
		write(t, source, dir, "x.go")
		code, _, errs := command(t, dir, ".")
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
		require.Equal(t, kept, read(t, dir, "grain_gen.lock"))
	}
	generates(before, "lattice S\n\t2 A Counter\n\t3 B Set[string]\n")
	refuses(strings.Replace(before, "\tA *crdt.Counter\n", "", 1), "x.go:6:6: field A of the lattice S is gone, so states that hold it could not be read: keep it, or write //grain:was A above what it is called now")
	refuses(strings.Replace(before, "Set[string]", "RWSet[string]", 1), "x.go:8:2: field S.B was Set[string] and is now RWSet[string]")
	refuses(strings.Replace(before, "Set[string]", "Set[int]", 1), "field S.B was Set[string] and is now Set[int], so what was sent or stored before could not be read: leave it as it was and add a field under another name, say B2")
	// What is new comes last, wherever it stands, and the layout is in the order of the numbers.
	grown := strings.Replace(before, "\tA *crdt", "\tC *crdt.GFlag\n\t//grain:was A\n\tVisits *crdt", 1)
	generates(grown, "lattice S\n\t2 Visits Counter\n\t3 B Set[string]\n\t4 C GFlag\n")
	code := read(t, dir, "grain_gen.go")
	require.Less(t, strings.Index(code, `crdt.Field(2, "Visits"`), strings.Index(code, `crdt.Field(4, "C"`))
	generates(strings.Replace(grown, "type S struct", "//grain:was S\ntype Season struct", 1), "lattice Season\n\t2 Visits Counter\n")
}
