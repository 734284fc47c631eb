// Package load reads and type-checks the packages that grainc looks at, as if what it is about to write
// were there already.
//
// The generated file of a package is never read: it may be absent, old or broken. In its place stands a
// stub that declares the names which people may refer to (GetX, Key, Grains, Shared), derived from a
// first, tolerant type-check. A second type-check then reports what is really wrong. All packages of the
// main module are checked from source, since they may depend on each other's generated names; all others
// come from export data.
package load

import (
	"context"
	"fmt"
	"go/ast"
	gc "go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

const (
	// GeneratedFile is the name of what grainc writes into a package.
	GeneratedFile = "grain_gen.go"
	// Module is the path of the module that generated code is written against.
	Module = "github.com/martinelli-go/martinelli"

	grainsPath   = Module + "/grains"
	variablePath = Module + "/grains/variable"
	dataflowPath = Module + "/grains/dataflow"
	flowPath     = Module + "/crdt/flow"
)

// Problem is one thing that is wrong, and where. The text says what to do.
type Problem struct {
	Pos  token.Position
	Text string
	// Warning says that code can be generated nonetheless.
	Warning bool
}

func (p Problem) String() string {
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	if !p.Pos.IsValid() {
		return text
	}
	return fmt.Sprintf("%s: %s", p.Pos, text)
}

// Package is a package of the main module, type-checked from source.
type Package struct {
	Path, Name, Dir string
	// Target says that the package was asked for.
	Target   bool
	Files    []*ast.File // without the generated one
	Types    *types.Package
	Info     *types.Info
	Problems []Problem
	// Unparsed says that a file is no Go.
	Unparsed bool
	// TypeErrors are what the type-checker said. In a package that has nothing to do with grains they
	// are the compiler's business.
	TypeErrors []Problem
}

// Program is what was loaded.
type Program struct {
	Fset *token.FileSet
	// Targets are the packages that were asked for, sorted by path.
	Targets []*Package
	// Source holds every package that was type-checked from source, by path.
	Source map[string]*Package
}

type loader struct {
	ctx   context.Context
	dir   string
	fset  *token.FileSet
	files map[string]string // of export data, by package path
	// exports imports packages of other modules.
	exports types.Importer
	listed  map[string]*packages.Package
	program *Program
}

// Load lists the packages that match the patterns, seen from dir, and type-checks them. What is wrong
// with them is in their Problems; the error is about the listing itself.
func Load(ctx context.Context, dir string, patterns []string) (*Program, error) {
	fset := token.NewFileSet()
	cfg := &packages.Config{
		Context: ctx, Dir: dir, Fset: fset,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedModule,
	}
	// The root packages are those that match the patterns, and the one whose names the stubs use.
	roots, err := packages.Load(cfg, append(slices.Clone(patterns), grainsPath)...)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", strings.Join(patterns, " "), err)
	}
	asked := map[string]bool{}
	for _, p := range roots {
		asked[p.PkgPath] = p.PkgPath != grainsPath
	}
	l := &loader{
		ctx: ctx, dir: dir, fset: fset,
		files:   map[string]string{},
		listed:  map[string]*packages.Package{},
		program: &Program{Fset: fset, Source: map[string]*Package{}},
	}
	l.exports = gc.ForCompiler(fset, "gc", l.exportFile)
	packages.Visit(roots, nil, func(p *packages.Package) { l.listed[p.PkgPath] = p })
	if err := l.exportFiles(asked); err != nil {
		return nil, err
	}
	packages.Visit(roots, nil, func(p *packages.Package) {
		if err == nil && (fromSource(p) || asked[p.PkgPath]) {
			err = l.check(p, asked[p.PkgPath])
		}
	})
	if err != nil {
		return nil, err
	}
	for _, p := range l.program.Source {
		if p.Target {
			l.program.Targets = append(l.program.Targets, p)
		}
	}
	slices.SortFunc(l.program.Targets, func(a, b *Package) int { return strings.Compare(a.Path, b.Path) })
	return l.program, nil
}

// exportFiles finds the export data of the packages of other modules that are imported directly; those
// of the main module, which may not compile yet, are not built.
func (l *loader) exportFiles(asked map[string]bool) error {
	var paths []string
	for _, p := range l.listed {
		if !fromSource(p) && !asked[p.PkgPath] {
			continue
		}
		for _, i := range p.Imports {
			if !fromSource(i) && !asked[i.PkgPath] && i.PkgPath != "unsafe" && len(i.CompiledGoFiles) > 0 {
				paths = append(paths, i.PkgPath)
			}
		}
	}
	if p := l.listed[grainsPath]; p != nil && !fromSource(p) {
		paths = append(paths, grainsPath)
	}
	if len(paths) == 0 {
		return nil
	}
	slices.Sort(paths)
	return l.listExports(slices.Compact(paths))
}

func (l *loader) listExports(paths []string) error {
	cfg := &packages.Config{Context: l.ctx, Dir: l.dir, Mode: packages.NeedName | packages.NeedExportFile}
	found, err := packages.Load(cfg, paths...)
	if err != nil {
		return fmt.Errorf("export data of imported packages: %w", err)
	}
	for _, p := range found {
		l.files[p.PkgPath] = p.ExportFile
	}
	return nil
}

func fromSource(p *packages.Package) bool { return p.Module != nil && p.Module.Main }

// check parses and type-checks one package, whose dependencies have been.
func (l *loader) check(listed *packages.Package, target bool) error {
	p := &Package{Path: listed.PkgPath, Name: listed.Name, Target: target}
	l.program.Source[p.Path] = p
	l.listingErrors(listed, p)
	if len(listed.CompiledGoFiles) == 0 {
		return nil
	}
	p.Dir = filepath.Dir(listed.CompiledGoFiles[0])
	if len(listed.GoFiles) > 0 {
		p.Dir = filepath.Dir(listed.GoFiles[0])
	}
	for _, name := range listed.CompiledGoFiles {
		if filepath.Base(name) == GeneratedFile {
			continue
		}
		f, err := parser.ParseFile(l.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			p.Problems, p.Unparsed = append(p.Problems, Problem{Text: err.Error()}), true
		}
		if f != nil {
			p.Files = append(p.Files, f)
		}
	}
	if len(p.Problems) > 0 && target {
		p.Types = types.NewPackage(p.Path, p.Name)
		p.Info = newInfo()
		return nil
	}
	sketch, _, _ := l.typeCheck(listed, p.Files, true)
	files := p.Files
	stub, err := l.stub(p, sketch)
	if err != nil {
		return err
	}
	if stub != nil {
		files = append(slices.Clip(files), stub)
	}
	var problems []Problem
	p.Types, p.Info, problems = l.typeCheck(listed, files, false)
	generated := false
	for _, problem := range problems {
		// What goes on with an error before it, indented, goes where that went.
		generated = filepath.Base(problem.Pos.Filename) == GeneratedFile || generated && strings.HasPrefix(problem.Text, "\t")
		if !generated {
			p.TypeErrors = append(p.TypeErrors, problem)
		}
	}
	return nil
}

// listingErrors keeps what go list said, except about what type-checking will say better, and about the
// generated file.
func (l *loader) listingErrors(listed *packages.Package, p *Package) {
	for _, e := range listed.Errors {
		compiling := e.Kind == packages.TypeError || strings.HasPrefix(e.Msg, "# ") ||
			strings.Contains(e.Msg, "build failed") || strings.Contains(e.Msg, "could not import")
		if compiling || strings.Contains(e.Pos, GeneratedFile) || strings.Contains(e.Msg, GeneratedFile) {
			continue
		}
		text := e.Msg
		if e.Pos != "" && e.Pos != "-" {
			text = e.Pos + ": " + e.Msg
		}
		p.Problems = append(p.Problems, Problem{Text: text})
	}
}

func newInfo() *types.Info {
	return &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}, Instances: map[*ast.Ident]types.Instance{},
	}
}

func (l *loader) typeCheck(listed *packages.Package, files []*ast.File, tolerant bool) (*types.Package, *types.Info, []Problem) {
	var problems []Problem
	info := newInfo()
	cfg := &types.Config{
		Importer:         importer{l, listed},
		Sizes:            types.SizesFor("gc", "amd64"),
		IgnoreFuncBodies: tolerant,
		Error: func(err error) {
			e, ok := err.(types.Error)
			if !ok {
				problems = append(problems, Problem{Text: err.Error()})
				return
			}
			problems = append(problems, Problem{Pos: e.Fset.Position(e.Pos), Text: e.Msg})
		},
	}
	if m := listed.Module; m != nil && m.GoVersion != "" {
		cfg.GoVersion = "go" + m.GoVersion
	}
	pkg, _ := cfg.Check(listed.PkgPath, l.fset, files, info) // the error is the first of problems
	return pkg, info, problems
}

// importer gives a package its imports.
type importer struct {
	l  *loader
	of *packages.Package
}

func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := i.of.Imports[path]
	if p == nil {
		// An import of the stub.
		if p = i.l.listed[path]; p == nil {
			return nil, fmt.Errorf("package %s was not found", path)
		}
	}
	if s, ok := i.l.program.Source[p.PkgPath]; ok {
		if s.Types == nil {
			return nil, fmt.Errorf("package %s has no Go files", path)
		}
		return s.Types, nil
	}
	return i.l.exports.Import(p.PkgPath)
}

// exportFile opens the export data of a package of another module, for the importer of the standard
// library.
func (l *loader) exportFile(path string) (io.ReadCloser, error) {
	if _, listed := l.files[path]; !listed {
		// No package of the main module imports it, but a stub does.
		if err := l.listExports([]string{path}); err != nil {
			return nil, err
		}
	}
	if l.files[path] == "" {
		text := "it does not compile"
		if p := l.listed[path]; p != nil && len(p.Errors) > 0 {
			text = p.Errors[0].Msg
		}
		return nil, fmt.Errorf("package %s cannot be used: %s", path, text)
	}
	return os.Open(l.files[path])
}
