package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusal is a package with something that grainc refuses, and what it says of it: the reason with the fix.
type refusal struct {
	name, source string
	want         []string
}

// refusals holds a package for each thing that grainc refuses.
var refusals = []refusal{
	{"nocontext", `type X interface { grains.Keyed[string]; F(n int) error }`,
		[]string{"method X.F must take a context first: F(ctx context.Context, …)"}},
	{"noerror", `type X interface { grains.Keyed[string]; F(ctx context.Context) int; G(ctx context.Context) }`,
		[]string{"method X.F must return an error last, since every call can fail: (int, error)", "method X.G must return an error last, since every call can fail: add the result error"}},
	{"tworesults", `type X interface { grains.Keyed[string]; F(ctx context.Context) (int, int, error) }`,
		[]string{"method X.F returns 2 values and an error: return one struct of them and an error"}},
	{"resultorder", `type X interface { grains.Keyed[string]; F(ctx context.Context) (error, int) }`,
		[]string{"method X.F must return an error last, since every call can fail: (int, error)"}},
	{"ownkey", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func (*a) F(context.Context) error { return nil }
func (*a) Key() string { return "" }
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
type b struct { grains.Implements[Y]; Key string }
func (*b) F(context.Context) error { return nil }
type Z interface { grains.Keyed[string]; Key(ctx context.Context) (string, error) }
type c struct { grains.Implements[Z] }
func (*c) Key(context.Context) (string, error) { return "", nil }`,
		[]string{
			"7:11: method Key of a has the name of the method Key, which grainc writes for it and which returns the key of the grain: remove it, or rename it",
			"field Key of b has the name of the method Key, which grainc writes for it and which returns the key of the grain: rename it",
			"method Z.Key has the name of the method Key, which grainc writes for implementations and which returns the key of the grain: rename it, say to ZKey",
		}},
	{"handsover", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func (*a) F(context.Context) error { return nil }
func (*a) HandOver(ctx context.Context) []byte { return nil }
func (*a) Takeover(ctx context.Context, memory []byte) error { return nil }
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
type b struct { grains.Implements[Y] }
func (*b) F(context.Context) error { return nil }
func (*b) HandOver(ctx context.Context) ([]byte, error) { return nil, nil }
type Z interface { grains.Keyed[string]; HandOver(ctx context.Context) error }
type c struct { grains.Implements[Z] }
func (*c) HandOver(context.Context) error { return nil }
type V interface { grains.Keyed[string]; F(ctx context.Context) error }
type d struct { grains.Implements[V] }
func (*d) F(context.Context) error { return nil }
func (d) TakeOver(ctx context.Context, memory []byte) error { return nil }`,
		[]string{
			"method HandOver(ctx context.Context) []byte of a would never be called: it should be func (*a) HandOver(ctx context.Context) ([]byte, error)",
			"method Takeover(ctx context.Context, memory []byte) error of a would never be called: it should be func (*a) TakeOver(ctx context.Context, memory []byte) error",
			"b has HandOver and no TakeOver, so neither would be called: add func (*b) TakeOver(ctx context.Context, memory []byte) error",
			"method TakeOver of d gets a copy of the grain: it should be func (*d) TakeOver(ctx context.Context, memory []byte) error",
			"d has TakeOver and no HandOver, so neither would be called: add func (*d) HandOver(ctx context.Context) ([]byte, error)",
		}},
	{"variadic", `type X interface { grains.Keyed[string]; F(ctx context.Context, a ...int) error }`,
		[]string{"method X.F is variadic: take a slice"}},
	{"unexportedmethod", `type X interface { grains.Keyed[string]; f(ctx context.Context) error }`,
		[]string{"method X.f is not exported, so no other package could implement it: rename it to F"}},
	{"channel", `type X interface { grains.Keyed[string]; F(ctx context.Context, a chan int) error }`,
		[]string{"argument a of X.F: a channel (chan int) cannot be sent: return a stream, iter.Seq2[T, error]"}},
	{"function", `type X interface { grains.Keyed[string]; F(ctx context.Context) (func(), error) }`,
		[]string{"the result of X.F: a function (func()) cannot be sent: send what it decides on as data"}},
	{"anything", `type X interface { grains.Keyed[string]; F(ctx context.Context, a any) error }`,
		[]string{"argument a of X.F: an interface (any) has no encoding, since what is in it is not known: use a struct with a field for each case"}},
	{"reference", `import "github.com/martinelli-go/martinelli/txn"
import "github.com/martinelli-go/martinelli/grains/variable"
type X interface { grains.Keyed[string]; F(ctx context.Context, a map[X]int, b interface { grains.Keyed[string] }) error }
type S struct { Of []X }
type E struct { Of *S }
func (*E) Error() string { return "" }
type a struct { grains.Implements[X]; s txn.State[S] }
func (*a) F(context.Context, map[X]int, interface { grains.Keyed[string] }) error { return nil }
var V = variable.Register[X]("v")`,
		[]string{
			"argument a of X.F: the key of map[X]int contains a reference to a grain, which is for whom it was given to: use its key (string)",
			"argument b of X.F: a reference to a grain is of a declared interface without type parameters, and interface{grains.Keyed[string]} is none: declare it under a name of its own",
			"the state s of a holds a reference to a grain (X), which is for whom it was given to, and for calls alone: keep its key (string), and call GetX with that",
			"error E holds a reference to a grain (X)",
			"the value of V (X) contains a reference to a grain, which is for whom it was given to: use its key (string)",
		}},
	{"streams", `import "iter"
type X interface {
	grains.Keyed[string]
	A(ctx context.Context) iter.Seq[int]
	B(ctx context.Context) iter.Seq2[int, string]
	C(ctx context.Context) (iter.Seq2[int, error], error)
	D(ctx context.Context, s iter.Seq2[int, error]) error
	E(ctx context.Context) iter.Seq2[chan int, error]
	//grain:oneway
	F(ctx context.Context) iter.Seq2[int, error]
	G(ctx context.Context) Sq
}
type Sq iter.Seq2[int, error]`,
		[]string{
			"method X.A returns an iter.Seq, which has no place for an error, and every call can fail: return an iter.Seq2[int, error]",
			"method X.B returns a stream whose second values are no errors: return an iter.Seq2[T, error], where T is a struct of the two, say",
			"method X.C returns more than a stream: return the iter.Seq2[int, error] alone, whose elements have errors",
			"argument s of X.D: a stream (iter.Seq2[int, error]) is what a method returns, alone: return it from a method, or send a slice",
			"an element of the stream of X.E: a channel (chan int) cannot be sent",
			"method X.F is //grain:oneway and returns a stream: nobody waits for it, so nobody could read it; remove the directive",
			"method X.G returns Sq, which is a stream by another name: write iter.Seq2[int, error] itself",
		}},
	{"directivesofmethods", `
//grain:version 0
type X interface {
	grains.Keyed[string]
	//grain:oneway
	A(ctx context.Context) (int, error)
	//grain:oneway
	//grain:readonly
	B(ctx context.Context) error
	//grain:readonly
	//grain:readonly
	C(ctx context.Context) error
	//grain:idle 5m
	D(ctx context.Context) error
	//grain:reentrant yes
	E(ctx context.Context) error
	//grain:oneway
	//grain:idempotent
	G(ctx context.Context) error
}
//grain:version two
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
//grain:version
type Z interface { grains.Keyed[string]; F(ctx context.Context) error }
//grain:idle 5 minutes
type a struct { grains.Implements[Y] }
func (*a) F(context.Context) error { return nil }
//grain:idle -5m
type b struct { grains.Implements[Z] }
func (*b) F(context.Context) error { return nil }
//grain:idempotent
type s struct{
	//grain:oneway
	n int
}`,
		[]string{
			"//grain:version 0: a version is a whole number from 1 on: //grain:version 2",
			"method X.A is //grain:oneway and returns a result (int): nobody waits for it, so nobody would get it; return an error alone, or remove the directive",
			"method X.B is both //grain:oneway and //grain:readonly: what nobody waits for and what changes nothing does nothing; remove one",
			"method X.G is both //grain:oneway and //grain:idempotent: what nobody waits for is sent once, and never again; remove one",
			"//grain:readonly is written twice: remove one",
			"//grain:idle belongs directly above a struct that embeds grains.Implements",
			"//grain:reentrant takes nothing after it: remove \"yes\"",
			"//grain:version two: a version is a whole number from 1 on",
			"//grain:version needs something after it: //grain:version 2",
			"//grain:idle 5 minutes: that is no duration: write one as 30s, 5m or 1h30m",
			"//grain:idle -5m: a grain is kept for a second at least, and for a year at most: write a duration between, as 5m",
			"//grain:idempotent belongs directly above a method of a grain interface",
			"//grain:oneway belongs directly above a method of a grain interface",
		}},
	{"spelling", `type X interface {
	grains.Keyed[string]
	//grain:one-way
	F(ctx context.Context) error
	// grain:idempotent
	G(ctx context.Context) error
	//Grain:Version 3
	H(ctx context.Context) error
	// grain:version is for people, this is prose.
	I(ctx context.Context) error
	//grains:readonly
	J(ctx context.Context) error
	/*grain:readonly*/
	K(ctx context.Context) error
	//grain:readOnly
	L(ctx context.Context) error
	//grain:foo
	M(ctx context.Context) error
}`,
		[]string{
			"//grains:readonly is a plain comment to grainc: write //grain:readonly",
			"/*grain:readonly*/ is a plain comment to grainc: write //grain:readonly",
			"//grain:readOnly is a plain comment to grainc: write //grain:readonly",
			"//grain:foo is not known: the words are readonly, reentrant, oneway, idempotent, version, idle, was",
			"//grain:one-way is not known: did you mean //grain:oneway?",
			"// grain:idempotent is a plain comment to grainc: write //grain:idempotent",
			"//Grain:Version 3 is a plain comment to grainc: write //grain:version 3",
		}},
	{"complexnumber", `type X interface { grains.Keyed[string]; F(ctx context.Context, a complex128) error }`,
		[]string{"complex numbers (complex128) have no encoding: use a struct of two floats"}},
	{"pointers", `import "unsafe"
type X interface { grains.Keyed[string]; F(ctx context.Context, a unsafe.Pointer, b uintptr) error }`,
		[]string{"argument a of X.F: unsafe.Pointer is an address", "argument b of X.F: uintptr is an address"}},
	{"lost", `type S struct { A int; b int }
type T struct { Many []S }
type X interface { grains.Keyed[string]; F(ctx context.Context, a map[string]T) error }`,
		[]string{"argument a of X.F, in Many: field b of S is not exported, so it would be lost: export it"}},
	{"foreignlost", `import "net/netip"
type X interface { grains.Keyed[string]; F(ctx context.Context, a netip.Addr) error }`,
		[]string{"of netip.Addr is not exported, so it would be lost"}},
	{"mutex", `import "sync"
type S struct { Mu sync.Mutex }
type X interface { grains.Keyed[string]; F(ctx context.Context, a *S) error }`,
		[]string{"argument a of X.F, in Mu: sync.Mutex holds a sync.Mutex, which must not be copied"}},
	{"anonymous", `type X interface { grains.Keyed[string]; F(ctx context.Context, a struct{ A int }) error }`,
		[]string{"a struct without a name has no place for its numbers in the lock file: declare a type for it"}},
	{"protovalue", `import "google.golang.org/protobuf/types/known/durationpb"
type X interface { grains.Keyed[string]; F(ctx context.Context, a durationpb.Duration) error }`,
		[]string{"durationpb.Duration is a protobuf message, which must not be copied: use *durationpb.Duration"}},
	{"floatkey", `type X interface { grains.Keyed[string]; F(ctx context.Context, a map[float64]int) error }`,
		[]string{"the key of map[float64]int contains a float64, and a NaN never equals itself: use an integer"}},
	{"generic", `type X[T any] interface { grains.Keyed[string]; F(ctx context.Context, a T) error }`,
		[]string{"grain interface X is generic: a kind of grains is one type"}},
	{"badkey", `type K struct { A string; F float64 }
type X interface { grains.Keyed[K]; F(ctx context.Context) error }
type Y interface { grains.Keyed[int32]; F(ctx context.Context) error }
type H struct { a string }
type Z interface { grains.Keyed[H]; F(ctx context.Context) error }`,
		[]string{"the key of X (K) contains a float64 (field F): a key is a string, an int64, a [16]byte", "the key of Y (int32) is a int32, not an int64", "the key of Z (H) has the field a, which is not exported"}},
	{"twoimpls", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func (*a) F(context.Context) error { return nil }
type b struct { grains.Implements[X] }
func (*b) F(context.Context) error { return nil }`,
		[]string{"X is implemented twice, by a and by b: a silo could not choose; remove one or move it to another package"}},
	{"lacking", `type X interface { grains.Keyed[string]; F(ctx context.Context) error; G(ctx context.Context, n int) (string, error) }
type a struct { grains.Implements[X] }
func (*a) F(context.Context, int) error { return nil }`,
		[]string{"a lacks method G of X: add func (*a) G(ctx context.Context, n int) (string, error)", "method F of a does not fit X: it should be func (*a) F(ctx context.Context) error"}},
	{"nograin", `type X interface { F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func (*a) F(context.Context) error { return nil }`,
		[]string{"a embeds grains.Implements[X], which is no grain interface: embed grains.Keyed[K] in X"}},
	{"pointertograin", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[*X] }
func (*a) F(context.Context) error { return nil }`,
		[]string{"a embeds grains.Implements[*X], of a pointer: write grains.Implements[X]"}},
	{"implements", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { *grains.Implements[X] }
type b struct { grain grains.Implements[X] }`,
		[]string{"a holds a grains.Implements that is not embedded by value, so it implements no grain: write grains.Implements[X], without a name", "b holds a grains.Implements"}},
	{"twokeys", `type X interface { grains.Keyed[string]; Y }
type Y interface { grains.Keyed[int64]; F(ctx context.Context) error }`,
		[]string{"grain interface X has keys of two types, string and int64: embed one grains.Keyed"}},
	{"notkeyed", `type X interface { F(ctx context.Context) error }
type Y interface { grains.Keyed[string] }
var _ = GetX(nil, "a")`,
		[]string{"undefined: GetX: X is no grain interface: embed grains.Keyed[K] in it"}},
	{"genericimpl", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a[T any] struct { grains.Implements[X]; t T }
func (*a[T]) F(context.Context) error { return nil }`,
		[]string{"a implements a grain and is generic: declare a struct for each instance"}},
	{"hiddenstate", `import "github.com/martinelli-go/martinelli/txn"
type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type inner struct { s txn.State[int] }
type a struct { grains.Implements[X]; in inner; all []txn.State[int] }
func (*a) F(context.Context) error { return nil }`,
		[]string{"field in of a holds a txn.State inside of another type, where no silo would find it: make the txn.State a field of a itself", "field all of a holds"}},
	{"badstate", `import "github.com/martinelli-go/martinelli/txn"
type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X]; s txn.State[func()] }
func (*a) F(context.Context) error { return nil }`,
		[]string{"the state s of a: a function (func()) cannot be sent"}},
	{"lifecycle", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func (*a) F(context.Context) error { return nil }
func (*a) OnActivate() error { return nil }
func (*a) Ondeactivate(context.Context) error { return nil }
type Y interface { grains.Keyed[string]; OnActive(ctx context.Context) error }
type b struct { grains.Implements[Y] }
func (*b) OnActive(context.Context) error { return nil }
func (*b) OnActivated(ctx context.Context) {}
func (b) OnDeactivate(ctx context.Context) error { return nil }
func (*b) Deactivate(ctx context.Context) error { return nil }
func (*b) OnDeactivation(ctx context.Context) error { return nil }
type Z interface { grains.Keyed[string]; F(ctx context.Context) error }
type c struct { grains.Implements[Z] }
func (*c) F(context.Context) error { return nil }
func (c *c) OnActivate(ctx context.Context) error { return nil }`,
		[]string{
			"method OnActivated(ctx context.Context) of b would never be called: it should be func (*b) OnActivate(ctx context.Context) error",
			"method OnDeactivate of b gets a copy of the grain, and what it sets there is lost: it should be func (*b) OnDeactivate(ctx context.Context) error",
			"method OnDeactivation(ctx context.Context) error of b would never be called",
			"method OnActivate() error of a would never be called: it should be func (*a) OnActivate(ctx context.Context) error",
			"method Ondeactivate(context.Context) error of a would never be called: it should be func (*a) OnDeactivate(ctx context.Context) error",
		}},
	{"constructor", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func newA() (*a, error) { return nil, nil }
func (*a) F(context.Context) error { return nil }`,
		[]string{"newA is taken for the constructor of a and must return *a alone: what can fail belongs into OnActivate(ctx) error"}},
	{"constructorparams", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
type b struct { grains.Implements[Y] }
func newA(n int, _ string) *a { return nil }
func newB(n string) *b { return nil }
func (*a) F(context.Context) error { return nil }
func (*b) F(context.Context) error { return nil }`,
		[]string{"a parameter of constructor newA has no name", "constructors take n both as int and as string"}},
	{"constructorvariadic", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func newA(n ...int) *a { return nil }
func (*a) F(context.Context) error { return nil }`,
		[]string{"constructor newA is variadic or generic"}},
	{"directive", `type X interface { grains.Keyed[string]
	//grain:readonyl
	F(ctx context.Context) error
}
//grain:readonly
type S struct{}
//grain:was Old
func f() {}
//grain:was
var v int`,
		[]string{"//grain:readonyl is not known: did you mean //grain:readonly?", "//grain:readonly belongs directly above a method of a grain interface", "//grain:was belongs directly above what has a number", "//grain:was needs the old name"}},
	{"typeerror", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
var _ = GetX(nil, 7)
func f() { undefinedThing() }`,
		[]string{"undefined: undefinedThing", "cannot use 7"}},
	{"taken", `type X interface { grains.Keyed[string]; F(ctx context.Context, n int) error }
func GetX() {}
type xRef int
func codecInt() {}`,
		[]string{"GetX is a name that grainc declares in grain_gen.go: rename this one", "xRef is a name", "codecInt is a name"}},
	{"errorstruct", `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type Bad struct { C chan int }
func (Bad) Error() string { return "" }`,
		[]string{"error Bad, in C: a channel (chan int) cannot be sent"}},
	{"elements", `import "time"
import "github.com/martinelli-go/martinelli/grains/variable"
type P struct { At time.Time }
var A = variable.Set[float64]("a")
var B = variable.By[string](variable.Set[P]("b"))
var C = variable.Register[*int]("c")
var D = variable.Set[any]("d")
var E = variable.By[bool](variable.Counter("e"))`,
		[]string{"an element of A (float64) contains a float64", "an element of B (P) contains a time.Time, whose == compares location and clock reading (At): use int64(t.UnixNano())", "the value of C (*int) contains a pointer, which compares by address: use the value", "an element of D (any) contains an interface", "the key of E (bool) is no key: a key is a string"}},
	{"names", `import "github.com/martinelli-go/martinelli/grains/variable"
var name = "x"
var A = variable.Counter("a")
var B = variable.Set[string]("a")
var C = variable.Counter(name)
var D = variable.Counter("")
var _ = variable.Counter("e")
var F variable.Var[*variable.CounterHandle]
var G = make()
func make() variable.Var[*variable.CounterHandle] { return A }`,
		[]string{"A and B both have the name \"a\": names are unique in a cluster", "the name of C must be a constant", "D has an empty name", "assigned to _ cannot be hosted: give it a name", "F is not declared by a call of its own", "G must be declared by a direct call of package variable, flow or dataflow"}},
	{"captures", `import "github.com/martinelli-go/martinelli/grains/variable"
import "github.com/martinelli-go/martinelli/crdt/flow"
var least = 3
var A = variable.Set[int]("a")
var B = flow.Filter("b", flow.From(A), func(n int) bool { return n > least })
var C = flow.Filter("c", B, big)
func big(n int) bool { return bigger(n) }
func bigger(n int) bool { return n > least }
var D = flow.Filter("d", flow.Filter("e", B, big), over(5))
func over(m int) func(int) bool { return func(n int) bool { return n > m } }
type T int
func (t T) less(n int) bool { return n < int(t) }
var F = flow.Filter("f", B, T(7).less)`,
		[]string{"a function of B uses the variable least: functions of a graph are pure", "a function of C (in bigger) uses the variable least", "this input of D is a node without a variable, so it could not be hosted: declare a package-level variable for it", "a function of D is neither a function literal nor a declared function", "a function of F is a method of a value, which it captures"}},
	{"floatnode", `import "github.com/martinelli-go/martinelli/grains/variable"
import "github.com/martinelli-go/martinelli/crdt/flow"
var A = variable.Set[int]("a")
var B = flow.Map("b", flow.From(A), func(n int) flow.Pair[int, float64] { return flow.Pair[int, float64]{A: n} })`,
		[]string{"an element of B (flow.Pair[int, float64]) contains a float64"}},
	{"elsewhere", `type hidden interface { grains.Keyed[string]; F(ctx context.Context) error }
type Open = hidden
type secret struct { A int }
type Secret = secret`, nil},
	{"hiddenelsewhere", `import e "SCRATCH/elsewhere"
type X interface { grains.Keyed[string]; F(ctx context.Context, s e.Secret) error }
type a struct { grains.Implements[e.Open] }
func (*a) F(ctx context.Context) error { return nil }`,
		[]string{
			"argument s of X.F: type x.secret of another package is not exported, so generated code cannot name it: export it, or use a type of your own",
			"a implements x.Open of another package, which is not exported: export it there",
		}},
	{"instance", `import "github.com/martinelli-go/martinelli/txn"
type X[T any] interface { grains.Keyed[string]; F(ctx context.Context, a T) error }
type a struct { grains.Implements[X[int]] }
func (*a) F(context.Context, int) error { return nil }
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
type b struct { grains.Implements[Y]; txn.State[int] }
func (*b) F(context.Context) error { return nil }
//grain:reentrant
type c struct{}`,
		[]string{
			"grain interface X is generic", "a implements X[int]: declare that interface under a name of its own, without type parameters",
			"the txn.State of b has no name of its own: give the field a name",
			"//grain:reentrant belongs directly above a method of a grain interface, or, for all its methods, a grain interface",
		}},
	{"families", `import "github.com/martinelli-go/martinelli/grains/variable"
import "github.com/martinelli-go/martinelli/crdt"
type S struct { A []string }
var A = variable.Set[string]("a")
var B = variable.By[string](A)
var C = variable.Map[float64, string]("c")
var D = variable.ORMap[float64, *crdt.CounterStore]("d")
var E = variable.Set[chan int]("e")
var F = variable.Set[S]("f")`,
		[]string{
			"B must be declared in one go, variable.By[K](variable.Set[E](\"name\")), so that its name can be read",
			"a key of C (float64) contains a float64", "a key of D (float64) contains a float64",
			"an element of E (chan int) contains a channel: use a value",
			"an element of F (S) contains a []string, which cannot be compared (A): use a string, an array or a struct of such", "S does not satisfy comparable",
		}},
	{"latticegone", `import "github.com/martinelli-go/martinelli/crdt"
//crdt:lattice
type L struct { B *crdt.Counter }`,
		[]string{"field A of the lattice L is gone, so states that hold it could not be read: keep it, or write //grain:was A above what it is called now (or, if nothing was ever stored or sent, delete its line in grain_gen.lock)"}},
	{"unknown", `type X interface { grains.Keyed[string]; F(ctx context.Context, a []grains.Unknown, s S) error }
type S struct { grains.Unknown; Rest grains.Unknown }`,
		[]string{
			"argument a of X.F: a grains.Unknown keeps what is unknown of the struct that it is a field of: embed it in a struct",
			"argument s of X.F: S has two fields for what is unknown, Unknown and Rest: one keeps all",
		}},
	{"syntax", `
//grain:version 2
type X interface {
	//grain:readonly`, []string{"expected '}'"}},
}

// rewrite writes the transcript of all refusals anew.
var rewrite = flag.Bool("rewrite", false, "write testdata/refusals.txt anew")

// What is refused is refused in the words, and at the positions, of the transcript.
func TestRefusals(t *testing.T) {
	t.Parallel()
	got := refuses(t, slices.Concat(refusals, latticeRefusals, warnings, changes))
	const transcript = "testdata/refusals.txt"
	if *rewrite {
		require.NoError(t, os.WriteFile(transcript, []byte(got), 0o644))
	}
	require.Equal(t, read(t, transcript), got, "run go test ./codegen/grainc -run TestRefusals -rewrite and look at the difference")
}

// refuses runs grainc over all the packages, and returns what it says of each.
func refuses(t *testing.T, refusals []refusal) string {
	t.Helper()
	dir, path := scratch(t)
	var args []string
	for _, r := range refusals {
		imports, body := "", strings.ReplaceAll(r.source, "SCRATCH", path)
		for strings.HasPrefix(body, "import") {
			line, rest, _ := strings.Cut(body, "\n")
			imports, body = imports+line+"\n", rest
		}
		for _, always := range []string{"context", "github.com/martinelli-go/martinelli/grains"} {
			if name := always[strings.LastIndexByte(always, '/')+1:]; strings.Contains(body, name+".") {
				imports += "import \"" + always + "\"\n"
			}
		}
		write(t, "package x\n"+imports+body+"\n", dir, r.name, "x.go")
		if text := lockFiles[r.name]; text != "" {
			write(t, text, dir, r.name, "grain_gen.lock")
		}
		args = append(args, "./"+r.name)
	}
	code, _, errs := command(t, dir, args...)
	require.Equal(t, 1, code)
	lines := map[string][]string{}
	for line := range strings.Lines(errs) {
		name, rest, _ := strings.Cut(line, "/x.go:")
		name = name[strings.LastIndexByte(name, '/')+1:]
		require.NotEmpty(t, rest, "a message without a position: %s", line)
		lines[name] = append(lines[name], strings.TrimSpace(rest))
	}
	var transcript strings.Builder
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			all := strings.Join(lines[r.name], "\n")
			for _, want := range r.want {
				require.Contains(t, all, want)
			}
			if r.name != "typeerror" {
				require.Len(t, lines[r.name], len(r.want), "no more than these:\n%s", all)
			}
		})
		fmt.Fprintf(&transcript, "%s\n", r.name)
		for _, line := range lines[r.name] {
			fmt.Fprintf(&transcript, "\t%s\n", strings.ReplaceAll(line, path, "SCRATCH"))
		}
	}
	return transcript.String()
}
