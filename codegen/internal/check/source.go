package check

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/printer"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// source gathers the normal form of a function of a graph and of what it calls in the module. Comments
// and layout are not part of it.
type source struct {
	c       *checker
	node    string
	within  string // the called function that is being read
	at      token.Pos
	seen    map[*types.Func]bool
	pending []*types.Func
	texts   []string
}

func (s *source) literal(p *load.Package, lit *ast.FuncLit) string {
	s.captures(p, lit, token.NoPos)
	return s.print(lit)
}

// call notes a function that is called.
func (s *source) call(f *types.Func) {
	f = f.Origin()
	if f.Pkg() == nil || s.seen[f] || s.c.program.Source[f.Pkg().Path()] == nil {
		return
	}
	s.seen[f] = true
	s.pending = append(s.pending, f)
}

// rest reads what is called, transitively, and returns all texts sorted.
func (s *source) rest() []string {
	for len(s.pending) > 0 {
		f := s.pending[0]
		s.pending = s.pending[1:]
		p := s.c.program.Source[f.Pkg().Path()]
		decl := declarationOf(p, f)
		if decl == nil || decl.Body == nil {
			continue // a method of an interface, or not written in Go
		}
		s.within = f.Name()
		at := s.at
		if !at.IsValid() {
			at = decl.Pos()
		}
		s.captures(p, decl, at)
		bare := *decl
		bare.Doc = nil
		s.texts = append(s.texts, f.FullName()+" "+s.print(&bare))
	}
	slices.Sort(s.texts)
	return slices.Compact(s.texts)
}

func declarationOf(p *load.Package, f *types.Func) *ast.FuncDecl {
	if p.Info == nil {
		return nil
	}
	for _, file := range p.Files {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && p.Info.Defs[d.Name] == f {
				return d
			}
		}
	}
	return nil
}

func (s *source) print(n ast.Node) string {
	var b strings.Builder
	// An empty file set takes the line breaks of the source away.
	if err := (&printer.Config{Mode: printer.RawFormat}).Fprint(&b, token.NewFileSet(), n); err != nil {
		return fmt.Sprint(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// fingerprints computes those of all nodes: of their functions and of the shape of their elements. What
// is upstream is added where graphs are compiled.
func (c *checker) fingerprints() {
	for _, n := range c.m.Nodes {
		h := sha256.New()
		for _, f := range n.functions {
			fmt.Fprintf(h, "%q\n", f)
		}
		if n.Elem != nil {
			fmt.Fprintf(h, "%s\n", c.m.Types.deepShape(n.Elem, map[*Type]bool{}))
		}
		n.Fingerprint = binary.BigEndian.Uint64(h.Sum(nil))
	}
}

// deepShape is Shape with the fields of structs.
func (ts *Types) deepShape(t *Type, seen map[*Type]bool) string {
	text := ts.Shape(t)
	if seen[t] {
		return text
	}
	seen[t] = true
	var b strings.Builder
	b.WriteString(text)
	for _, f := range t.Fields {
		fmt.Fprintf(&b, ";%s %s", f.Name, ts.deepShape(f.Type, seen))
	}
	for _, part := range []*Type{t.Key, t.Elem} {
		if part != nil {
			fmt.Fprintf(&b, ";%s", ts.deepShape(part, seen))
		}
	}
	return b.String()
}
