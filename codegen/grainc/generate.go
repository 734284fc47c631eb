package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
	"github.com/martinelli-go/martinelli/codegen/internal/emit"
	"github.com/martinelli-go/martinelli/codegen/internal/load"
	"github.com/martinelli-go/martinelli/codegen/internal/lock"
)

// file is what a file should hold; nil if it should not be there.
type file struct {
	name string
	text []byte
}

// write makes the file what it should be. A reader sees the old one or the new one.
func (f file) write() error {
	if f.text == nil {
		return os.Remove(f.name)
	}
	part, err := os.CreateTemp(filepath.Dir(f.name), ".grainc-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	_, err = part.Write(f.text)
	err = errors.Join(err, part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), f.name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.name, errors.Join(err, os.Remove(part.Name())))
	}
	return nil
}

// result is what became of the packages.
type result struct {
	files    []file
	problems []string
	warnings []string
	// proto is where the description for other languages goes, "" for nowhere.
	proto string
	// changes say what is different on the wire, or stored, from what the lock files have.
	changes []string
}

// stale returns the files that are not what they should be.
func (r *result) stale() []file {
	var all []file
	for _, f := range r.files {
		have, err := os.ReadFile(f.name)
		missing := errors.Is(err, fs.ErrNotExist)
		if missing == (f.text == nil) && bytes.Equal(have, f.text) {
			continue
		}
		all = append(all, f)
	}
	return all
}

// generate reads the packages and makes their files, without writing any.
//
// With proto, the name of a file, it also makes that: the description of the interfaces of the one package.
func generate(ctx context.Context, dir string, patterns []string, proto string) (*result, error) {
	program, err := load.Load(ctx, dir, patterns)
	if err != nil {
		return nil, err
	}
	if len(program.Targets) == 0 {
		return nil, fmt.Errorf("no packages match %s", strings.Join(patterns, " "))
	}
	r := &result{}
	if proto != "" {
		if len(program.Targets) != 1 {
			return nil, fmt.Errorf("-proto describes one package, and %s are %d: name one", strings.Join(patterns, " "), len(program.Targets))
		}
		if !filepath.IsAbs(proto) {
			proto = filepath.Join(dir, proto)
		}
		r.proto = proto
	}
	for _, p := range program.Targets {
		if err := r.add(program, p, dir); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// add makes the files of one package, or notes what is wrong with it.
func (r *result) add(program *load.Program, p *load.Package, dir string) error {
	m, problems := check.Check(program, p)
	r.report(dir, problems)
	if slices.ContainsFunc(problems, func(p load.Problem) bool { return !p.Warning }) {
		return nil
	}
	generated := filepath.Join(p.Dir, load.GeneratedFile)
	if m.Empty() {
		if have, err := os.ReadFile(generated); err == nil && bytes.HasPrefix(have, []byte(emit.Header)) {
			r.files = append(r.files, file{generated, nil})
		}
		return nil
	}
	name := filepath.Join(p.Dir, lock.Name)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.report(dir, deleted(name, generated, errors.Is(err, fs.ErrNotExist)))
	numbers, err := lock.Parse(string(text))
	if bad := (*lock.Error)(nil); errors.As(err, &bad) {
		r.report(dir, []load.Problem{{Pos: token.Position{Filename: name, Line: bad.Line, Column: 1}, Text: bad.Reason}})
		return nil
	}
	if err != nil {
		return err
	}
	problems = m.Number(numbers)
	for _, line := range numbers.Diff() {
		r.changes = append(r.changes, relative(dir, name)+": "+line)
	}
	r.report(dir, problems)
	if slices.ContainsFunc(problems, func(p load.Problem) bool { return !p.Warning }) {
		return nil
	}
	code, names, err := emit.File(m)
	if err != nil {
		return err
	}
	if problems := clashes(m, names); len(problems) > 0 {
		r.report(dir, problems)
		return nil
	}
	r.files = append(r.files, file{generated, code})
	if r.proto != "" {
		if len(m.Interfaces) == 0 {
			return fmt.Errorf("-proto: package %s has no grain interface to describe", p.Path)
		}
		r.files = append(r.files, file{r.proto, emit.Proto(m, numbers)})
	}
	if !numbers.Empty() {
		r.files = append(r.files, file{name, []byte(numbers.String())})
	}
	return nil
}

// deleted warns of a lock file that is missing though numbers were given once.
func deleted(name, generated string, missing bool) []load.Problem {
	have, err := os.ReadFile(generated)
	if !missing || err != nil || !bytes.HasPrefix(have, []byte(emit.Header)) || !bytes.Contains(have, []byte("Lineage: 0x")) {
		return nil
	}
	return []load.Problem{{Pos: token.Position{Filename: name, Line: 1, Column: 1}, Warning: true, Text: "there is no such file, but a " + load.GeneratedFile +
		" with numbers: all are given anew, and silos and callers that run will refuse what is built from it; restore the file from version control, unless none run and nothing is stored"}}
}

// clashes reports names that both the package and its generated file declare.
func clashes(m *check.Model, names []string) []load.Problem {
	var problems []load.Problem
	for _, name := range names {
		o := m.Package.Types.Scope().Lookup(name)
		if o == nil || filepath.Base(m.Fset.Position(o.Pos()).Filename) == load.GeneratedFile {
			continue
		}
		problems = append(problems, load.Problem{Pos: m.Fset.Position(o.Pos()), Text: name + " is a name that grainc declares in " + load.GeneratedFile + ": rename this one"})
	}
	return problems
}

func (r *result) report(dir string, problems []load.Problem) {
	for _, p := range problems {
		p.Pos.Filename = relative(dir, p.Pos.Filename)
		to := &r.problems
		if p.Warning {
			to = &r.warnings
		}
		if text := p.String(); !slices.Contains(*to, text) {
			*to = append(*to, text)
		}
	}
}

// relative shortens a file name for people who are in dir.
func relative(dir, name string) string {
	abs, err := filepath.Abs(dir)
	if err != nil || name == "" {
		return name
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	rel, err := filepath.Rel(abs, name)
	if err != nil || strings.HasPrefix(rel, "..") {
		return name
	}
	return rel
}
