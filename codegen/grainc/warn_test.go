package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// warnings holds packages with what grainc takes for mistakes.
var warnings = []refusal{
	{name: "contexts", source: `import "github.com/martinelli-go/martinelli/txn"
type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type holder struct { ctx context.Context }
type key struct{}
var root = context.Background()
func all(outer context.Context, c grains.Caller, h holder) error {
	later := func(ctx context.Context) error { return GetX(c, "f").F(outer) }
	return txn.Atomic(outer, c, func(ctx context.Context) error {
		_ = GetX(c, "a").F(outer)
		_ = GetX(c, "b").F(h.ctx)
		_ = GetX(c, "c").F(root)
		_ = GetX(c, "d").F(context.Background())
		inner, cancel := context.WithCancel(context.WithValue((outer), key{}, 1))
		defer cancel()
		_ = GetX(c, "e").F(inner)
		_ = GetX(c, "e").F(ctx)
		func(ctx context.Context) { _ = GetX(c, "g").F(ctx) }(ctx)
		_, err := txn.AtomicValue(ctx, c, func(context.Context) (int, error) { return 1, GetX(c, "h").F(ctx) })
		_ = err
		return txn.Atomic(ctx, c, later)
	})
}`, want: []string{
		"10:67: warning: outer comes from outside of the block of txn.Atomic in which it is passed on, so what gets it is no part of the block: pass ctx, which the block's function is given",
		"warning: outer comes from", "warning: h.ctx comes from", "warning: root comes from", "warning: context.Background() comes from",
		"16:58: warning: outer comes from",
		"warning: ctx comes from outside of the block of txn.AtomicValue in which it is passed on, so what gets it is no part of the block: give the parameter of the block's function a name, and pass that",
	}},
	{name: "exportedconstructor", source: `type X interface { grains.Keyed[string]; F(ctx context.Context) error }
type a struct { grains.Implements[X] }
func NewA(n int) (*a, error) { return nil, nil }
func (*a) F(context.Context) error { return nil }
type Y interface { grains.Keyed[string]; F(ctx context.Context) error }
type b struct { grains.Implements[Y] }
func newB() *b { return NewB(1) }
func NewB(int) *b { return nil }
func (*b) F(context.Context) error { return nil }
type c struct{}
func NewC() *c { return nil }`, want: []string{
		"warning: NewA is not called for grains: they are made by new(a), since there is no newA; call it newA, or write that",
	}},
}

// A warning stops nothing, unless it is asked to.
func TestWarnings(t *testing.T) {
	t.Parallel()
	dir, _ := scratch(t)
	write(t, `package x

import (
	"context"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/txn"
)

type X interface {
	grains.Keyed[string]
	F(ctx context.Context) error
}

func buy(outer context.Context, c grains.Caller) error {
	return txn.Atomic(outer, c, func(ctx context.Context) error { return GetX(c, "a").F(outer) })
}
`, dir, "x.go")
	const warning = "x.go:16:86: warning: outer comes from outside of the block of txn.Atomic"
	code, _, errs := command(t, dir, "-strict")
	require.Equal(t, 1, code)
	require.Contains(t, errs, warning)
	require.NoFileExists(t, dir+"/grain_gen.go")
	code, _, errs = command(t, dir)
	require.Zero(t, code)
	require.Contains(t, errs, warning)
	code, _, errs = command(t, dir, "-check")
	require.Zero(t, code)
	require.Contains(t, errs, warning)
}

// changes holds packages that differ from their lock files.
var changes = []refusal{
	{name: "changes", source: `import "github.com/martinelli-go/martinelli/txn"
import "errors"
type X interface { grains.Keyed[string]
	F(ctx context.Context, s S) (int, error)
	//grain:was Gone
	G(ctx context.Context) error
}
type S struct { A string }
type a struct { grains.Implements[X]; s txn.State[string] }
func (*a) F(context.Context, S) (int, error) { return 0, nil }
func (*a) G(context.Context) error { return nil }
var ErrBad = errors.New("bad")`,
		want: []string{
			"method X.F was (S) and is now (S) int, so what was sent or stored before could not be read: leave it as it was and add a method under another name, say F2 (or, if nothing ever was, delete its line in grain_gen.lock)",
			"method X.G: //grain:was Gone, but grain_gen.lock has no Gone there: correct the old name, or remove the comment",
			"field S.A was int and is now string", "state a.s was int and is now string", "error ErrBad was struct and is now variable",
		}},
	{name: "renames", source: `import "errors"
type X interface { grains.Keyed[string]
	//grain:was B
	A(ctx context.Context) error
	//grain:was A
	B(ctx context.Context) error
}
type Y interface { grains.Keyed[string]
	A(ctx context.Context) error
	//grain:was A
	B(ctx context.Context) error
}
type V interface { grains.Keyed[string]
	//grain:was A
	B(ctx context.Context) error
}
//grain:was Gone
type Z interface { grains.Keyed[string]
	F(ctx context.Context, s S) error
}
//grain:was T
type S struct {
	//grain:was B
	C int
	//grain:was B
	D int
}
//grain:was ErrOld
var ErrA = errors.New("a")
var ErrOld = errors.New("old")`,
		want: []string{
			"method X.A: the //grain:was of A and B go round in a ring, which reads the same before and after: give one of them a third name, run grainc, and rename it once more",
			"method X.B: the //grain:was of B and A go round in a ring",
			"method Y.B: //grain:was A, but A is still there, and a number has one name: remove the comment; or, if this A is something new, leave it out, run grainc, and add it then",
			"method V.B: //grain:was A, but grain_gen.lock has both: if the comment is done with, remove it; if this is A, and the old B is gone, remove that first, without renaming, run grainc, and rename then",
			"interface Z: //grain:was Gone, but grain_gen.lock has no Gone there",
			"field S.D: //grain:was B, as above C, and a number has one name: remove the comment from one of them",
			"error ErrA: //grain:was ErrOld, but ErrOld is still there",
		}},
	{name: "keys", source: `type X interface { grains.Keyed[int64]; F(ctx context.Context) error }`,
		want: []string{"the key of X was string and is now int64, so neither callers nor what is stored would find its grains: keep the key, and declare another interface for grains with the new one (or, if there never were any, delete the section of X in grain_gen.lock)"}},
	{name: "renamedtypes", source: `type X interface { grains.Keyed[string]; F(ctx context.Context, y Z, a New) (Two, error) }
type Z interface { grains.Keyed[string]; G(ctx context.Context) error }
type New struct { A int; Next []New }
type Two struct { A, B int }`,
		want: []string{"method X.F was (&Y, Old) One and is now (&Z, New) Two, so what was sent or stored before could not be read: leave it as it was and add a method under another name, say F2"}},
	{name: "renamedtype", source: `type X interface { grains.Keyed[string]; F(ctx context.Context, y Z, a *New) error }
type Z interface { grains.Keyed[string]; G(ctx context.Context) error }
type New struct { A int; Next []New }`,
		want: []string{"method X.F was (&Y, *Old) and is now (&Z, *New), so what was sent or stored before could not be read: if New is what was called Old, write //grain:was Old directly above it, if Z is what was called Y, write //grain:was Y directly above it; else leave it as it was and add a method under another name, say F2"}},
	{name: "renamedinterface", source: `//grain:was Y
type X interface { grains.Keyed[string]; F(ctx context.Context, x X) error }`,
		want: []string{"warning: grains of X are of the kind x.X now, and no more of x.Y: they are other grains, and what is stored of those stays with the old kind; call it Y again if that is to be found"}},
}

// lockFiles are those of some of the packages.
var lockFiles = map[string]string{
	"renames":          "errors\n\t1 ErrOld variable\n\ninterface X\n\t1 A ()\n\t2 B ()\n\ninterface Y\n\t1 A ()\n\ninterface V\n\t1 A ()\n\t2 B ()\n\nstruct S\n\t1 B int\n",
	"keys":             "interface X\n\tkey string\n\t1 F ()\n",
	"renamedtypes":     "interface X\n\tkey string\n\t1 F (&Y, Old) One\n\ninterface Y\n\t1 G ()\n\nstruct Old\n\t1 A int\n\t2 Next []Old\n\nstruct One\n\t1 A int\n\t2 B int\n\nstruct Other\n\t1 A int\n\t2 B int\n",
	"renamedtype":      "interface X\n\tkey string\n\t1 F (&Y, *Old)\n\ninterface Y\n\t1 G ()\n\nstruct Old\n\t1 A int\n\t2 Next []Old\n",
	"renamedinterface": "interface Y\n\tkey string\n\t1 F (&Y)\n",
	"latticegone":      "lattice L\n\t2 A Counter\n\t3 B Counter\n",
	"changes":          "errors\n\t1 ErrBad struct\n\ninterface X\n\t1 F (S)\n\nstate x.X\n\t1 s int\n\nstruct S\n\t1 A int\n",
}
