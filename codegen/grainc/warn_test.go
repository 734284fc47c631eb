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
}

// lockFiles are those of some of the packages.
var lockFiles = map[string]string{
	"latticegone": "lattice L\n\t2 A Counter\n\t3 B Counter\n",
	"changes":     "errors\n\t1 ErrBad struct\n\ninterface X\n\t1 F (S)\n\nstate x.X\n\t1 s int\n\nstruct S\n\t1 A int\n",
}
