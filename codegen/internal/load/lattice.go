package load

import (
	"fmt"
	"go/ast"
	"go/types"
	"strings"
)

const crdtPath = Module + "/crdt"

// LatticeDirective stands above a struct of lattices that is to be one.
const LatticeDirective = "//crdt:lattice"

// latticeStructs returns the names of the structs that are marked as lattices, in the order of the source.
func latticeStructs(files []*ast.File) (names []string) {
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				t, ok := s.(*ast.TypeSpec)
				if !ok || t.TypeParams != nil || t.Assign.IsValid() {
					continue
				}
				_, isStruct := t.Type.(*ast.StructType)
				if isStruct && (marked(t.Doc) || len(g.Specs) == 1 && marked(g.Doc)) {
					names = append(names, t.Name.Name)
				}
			}
		}
	}
	return names
}

func marked(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, line := range doc.List {
		if strings.TrimSpace(line.Text) == LatticeDirective {
			return true
		}
	}
	return false
}

// LatticeMethod is a method that is written for a struct of lattices S: what follows its name, and the call
// of a crdt.Layout that does its work, l.Name(args).
type LatticeMethod struct {
	Name, Signature, Args string
	Doc                   string
	// Own says that people may write it themselves.
	Own bool
}

// LatticeMethods are those of a struct called s; crdt is the name of the package where they are written.
func LatticeMethods(s, crdt string) []LatticeMethod {
	of := func(signature string) string {
		return strings.NewReplacer("$S", "*"+s, "$crdt", crdt).Replace(signature)
	}
	return []LatticeMethod{
		{Name: "Join", Signature: of("(delta $S) $S"), Args: "s, delta", Doc: "joins delta into s and returns the novelty."},
		{Name: "LessOrEqual", Signature: of("(o $S) bool"), Args: "s, o"},
		{Name: "Equal", Signature: of("(o $S) bool"), Args: "s, o"},
		{Name: "Clone", Signature: of("() $S"), Args: "s"},
		{Name: "IsEmpty", Signature: "() bool", Args: "s", Doc: "says whether all fields are empty."},
		{Name: "Size", Signature: "() int", Args: "s", Doc: "returns the sum of the fields' sizes."},
		{Name: "Hash", Signature: "() uint64", Args: "s"},
		{Name: "Digest", Signature: "() []byte", Args: "s"},
		{Name: "Since", Signature: of("(digest []byte) ($S, error)"), Args: "s, digest", Doc: "returns what a replica with that Digest lacks."},
		{Name: "Parts", Signature: of("() []$S"), Args: "s"},
		{Name: "String", Signature: "() string", Args: "s", Own: true},
		{Name: "MarshalJSON", Signature: "() ([]byte, error)", Args: "s", Own: true, Doc: "is for reading, there is no way back."},
		{Name: "Append", Signature: "(b []byte) []byte", Args: "b, s", Doc: "appends the canonical encoding."},
		{Name: "EncodedSize", Signature: "() int", Args: "s"},
		{Name: "Observe", Signature: of("(draft $S, now int64) $S"), Args: "s, draft, now"},
		{Name: "Effect", Signature: of("(m *$crdt.Minter, own $S) ($S, error)"), Args: "s, m, own"},
	}
}

// latticeStub declares what is generated for the marked structs.
func latticeStub(p *Package, sketch *types.Package, qualify func(string) string, declare func(name, rest string)) string {
	var b strings.Builder
	for _, name := range latticeStructs(p.Files) {
		t, ok := sketch.Scope().Lookup(name).(*types.TypeName)
		if !ok {
			continue
		}
		for _, m := range LatticeMethods(name, qualify(crdtPath)) {
			if !hasMethod(t, m.Name) {
				fmt.Fprintf(&b, "func (s *%s) %s%s { panic(0) }\n", name, m.Name, m.Signature)
			}
		}
		declare("New"+Upper(name), fmt.Sprintf("() *%s { panic(0) }", name))
		declare("Decode"+Upper(name), fmt.Sprintf("(b []byte) (*%s, error) { panic(0) }", name))
	}
	return b.String()
}
