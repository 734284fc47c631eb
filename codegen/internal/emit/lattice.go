package emit

import (
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/check"
	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

func (e *emitter) crdt() string { return e.use(crdtPath, "crdt") }

// lattice writes the methods of a struct of lattices.
func (e *emitter) lattice(l *check.LatticeStruct) {
	crdt, name := e.crdt(), load.Upper(l.Name)
	layout, make, decode := e.declare("layout"+name), e.declare("New"+name), e.declare("Decode"+name)
	e.p("var %s = %s.NewLayout(%q,", layout, crdt, l.Name)
	for _, f := range l.Fields {
		e.p("%s.Field(%d, %q, func(s *%s) *%s { return &s.%s }, %s),", crdt, f.Number, f.Name, l.Name, e.typ(f.Var.Type()), f.Name, e.latticeCodec(f.Lattice))
	}
	e.p(")\n")
	e.p("var _ %s.Lattice[*%s] = (*%s)(nil)\n", crdt, l.Name, l.Name)
	e.p("// %s returns an empty %s, whose fields are not nil.", make, l.Name)
	e.p("func %s() *%s { return %s.New() }\n", make, l.Name, layout)
	e.p("// %s reads a %s that fills b. Other bytes give a *crdt.DecodeError.", decode, l.Name)
	e.p("func %s(b []byte) (*%s, error) { return %s.Decode(b) }\n", decode, l.Name, layout)
	for _, m := range load.LatticeMethods(l.Name, crdt) {
		if l.Handwritten[m.Name] {
			continue
		}
		work := m.Name
		if work == "MarshalJSON" {
			work = "JSON"
		}
		doc := m.Doc
		if doc == "" {
			doc = "implements crdt.Lattice."
			switch m.Name {
			case "Observe":
				doc = "implements crdt.Observer."
			case "Effect":
				doc = "implements crdt.Operation."
			case "EncodedSize":
				doc = "returns the length of the encoding in bytes. It encodes."
			}
		}
		e.p("// %s %s", m.Name, doc)
		e.p("func (s *%s) %s%s { return %s.%s(%s) }\n", l.Name, m.Name, m.Signature, layout, work, m.Args)
	}
}

// latticeCodec writes the codec of a lattice, or of a dot store.
func (e *emitter) latticeCodec(l *check.Lattice) string {
	if l.Maker == "" {
		decoder := l.Decoder
		if l.From != e.m.Package.Types {
			decoder = e.use(l.From.Path(), l.From.Name()) + "." + decoder
		}
		return e.crdt() + ".CodecOf(" + decoder + ")"
	}
	var args []string
	for _, a := range l.Args {
		switch a := a.(type) {
		case *check.Type:
			args = append(args, e.codec(a))
		case *check.Lattice:
			args = append(args, e.latticeCodec(a))
		}
	}
	return e.crdt() + "." + l.Maker + "(" + strings.Join(args, ", ") + ")"
}
