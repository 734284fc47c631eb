package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
)

var (
	randomSeed = flag.Uint64("random.seed", 0, "the seed of the random interfaces; 0 takes one that was not there before")
	randomKeep = flag.Bool("random.keep", false, "keep the random packages, in testdata/random-…")
)

var (
	plainStruct = regexp.MustCompile(`(?m)^type \w+ struct \{$`)
	newerField  = regexp.MustCompile(`(?m)^\t\d+ Newer string\n`)
)

// A hundred random interfaces are all generated, twice alike; the numbers in the lock file last; and what is
// generated carries random values as the documentation says.
func TestRandomInterfaces(t *testing.T) {
	if testing.Short() {
		t.Skip("generating for a hundred random interfaces, and compiling that, takes half a minute: run without -short")
	}
	t.Parallel()
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	dir, path := scratch(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat this: go test ./codegen/grainc -run TestRandomInterfaces -random.seed %d", seed)
		}
		if *randomKeep {
			require.NoError(t, os.CopyFS(filepath.Join("testdata", "random-"+filepath.Base(dir)), os.DirFS(dir)))
		}
	})
	w := newWorld(seed, path, 16, 17, 17, 17, 17, 16)
	for _, p := range w.pkgs {
		p.write(t, dir, p.inOrder())
	}
	generate := func() {
		t.Helper()
		code, _, errs := command(t, dir, "./...")
		require.Empty(t, errs)
		require.Zero(t, code)
	}
	generate()
	code, lock := w.generated(t, dir, "grain_gen.go"), w.generated(t, dir, "grain_gen.lock")
	write(t, w.driver(seed, 40), dir, "random_test.go")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-count=1", path).CombinedOutput()
	require.NoError(t, err, string(out))

	status, _, errs := command(t, dir, "-check", "./...")
	require.Empty(t, errs)
	require.Zero(t, status)
	for _, p := range w.pkgs {
		require.NoError(t, os.Remove(filepath.Join(dir, p.name, "grain_gen.go")))
		w.described(t, dir, p)
	}
	require.Equal(t, code, w.generated(t, dir, "grain_gen.go"))
	require.Equal(t, lock, w.generated(t, dir, "grain_gen.lock"))

	// Neither the order of declarations nor new fields change a number.
	for _, p := range w.pkgs {
		p.write(t, dir, w.r.Perm(len(p.decls)))
	}
	generate()
	require.Equal(t, lock, w.generated(t, dir, "grain_gen.lock"))
	for _, p := range w.pkgs {
		for n, d := range p.decls {
			p.decls[n] = plainStruct.ReplaceAllString(d, "$0\n\tNewer string")
		}
		p.write(t, dir, p.inOrder())
	}
	generate()
	grown := w.generated(t, dir, "grain_gen.lock")
	for _, p := range w.pkgs {
		require.NotEqual(t, lock[p.name], grown[p.name])
		require.Equal(t, lock[p.name], newerField.ReplaceAllString(grown[p.name], ""))
	}
}

// described writes the description of a package for other languages, which has to be one.
func (w *world) described(t *testing.T, dir string, p *randomPackage) {
	file := p.name + ".proto"
	code, _, errs := command(t, filepath.Join(dir, p.name), "-proto", file)
	require.Empty(t, errs)
	require.Zero(t, code)
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{filepath.Join(dir, p.name)}})}
	_, err := c.Compile(t.Context(), file)
	require.NoError(t, err)
}

func (p *randomPackage) inOrder() []int {
	order := make([]int, len(p.decls))
	for n := range order {
		order[n] = n
	}
	return order
}

func (p *randomPackage) write(t *testing.T, dir string, order []int) {
	write(t, p.source(order), dir, p.name, "source.go")
}

// generated is what was generated of all packages.
func (w *world) generated(t *testing.T, dir, name string) map[string]string {
	all := map[string]string{}
	for _, p := range w.pkgs {
		all[p.name] = read(t, dir, p.name, name)
	}
	return all
}
