package check

import (
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

const crdtPath = load.Module + "/crdt"

// Lattice is a lattice, or a dot store in a map, as its codec is made.
type Lattice struct {
	Go types.Type
	// Maker is the function of package crdt that makes the codec; "" for one with a decoder alone.
	Maker string
	// Decoder is the name of the function that decodes it, in the package From.
	Decoder string
	From    *types.Package
	// Args are those of Maker, each a *Type or a *Lattice.
	Args []any
	name string // in the lock file
	// Struct is set for a struct of this package that is marked as a lattice.
	Struct *LatticeStruct
}

// LatticeStruct is a struct that is marked //crdt:lattice.
type LatticeStruct struct {
	Name, Was string
	Type      *types.TypeName
	Fields    []*LatticeField
	// Handwritten are the methods of load.LatticeMethods that the package has itself.
	Handwritten map[string]bool
}

// LatticeField is a field of such a struct.
type LatticeField struct {
	Name, Was string
	Var       *types.Var
	Lattice   *Lattice
	Number    uint32
}

// What the arguments of a type of package crdt are: e an element or key, v a value, o a value that has an
// order, l a lattice, s a dot store.
var (
	crdtLattices = map[string]string{
		"Counter": "", "GCounter": "", "LexCounter": "", "BoundedCounter": "", "ResetCounter": "",
		"EWFlag": "", "DWFlag": "", "GFlag": "",
		"Register": "v", "MVRegister": "v", "IVar": "v", "MaxRegister": "o", "MinRegister": "o",
		"Set": "e", "RWSet": "e", "GSet": "e", "TwoPhaseSet": "e",
		"RegisterMap": "ev", "ORMap": "es", "GMap": "el",
		"Graph": "e", "TwoPhaseGraph": "e", "PartialOrder": "e",
		"Pair": "ll", "LexPair": "ll",
	}
	crdtStores = map[string]string{"SetStore": "e", "ValueStore": "v", "CounterStore": "", "FlagStore": "", "MapStore": "es"}
)

// latticeStructs reads the structs that are marked as lattices.
func (c *checker) latticeStructs() {
	for _, t := range load.TypeNames(c.program.Fset, c.p.Types) {
		if !c.notes.lattice(t.Pos()) {
			continue
		}
		s, isStruct := t.Type().Underlying().(*types.Struct)
		named, _ := t.Type().(*types.Named)
		switch {
		case !isStruct:
			c.report(t.Pos(), "%s is marked //crdt:lattice and is no struct: mark a struct whose fields are lattices, or write the methods of crdt.Lattice by hand", t.Name())
			continue
		case named.TypeParams().Len() > 0:
			c.report(t.Pos(), "%s is marked //crdt:lattice and is generic: declare a struct for each instance", t.Name())
			continue
		case s.NumFields() == 0:
			c.report(t.Pos(), "%s is marked //crdt:lattice and has no fields: give it some, such as Name *crdt.Register[string]", t.Name())
			continue
		}
		m := &LatticeStruct{Name: t.Name(), Was: c.notes.was(t.Pos()), Type: t, Handwritten: map[string]bool{}}
		c.handwritten(m, named)
		c.m.Lattices = append(c.m.Lattices, m)
		c.structs[named] = m
	}
	for _, m := range c.m.Lattices {
		c.latticeFields(m, m.Type.Type().Underlying().(*types.Struct))
	}
	for _, m := range c.m.Lattices {
		if path := m.cycle(m, map[*LatticeStruct]bool{}); path != "" {
			c.report(m.Type.Pos(), "the lattice %s contains itself, by %s: nothing would ever be its empty state; hold the keys of others, and a family of variables for them", m.Name, path)
		}
	}
}

// latticeFields reads the fields of a marked struct.
func (c *checker) latticeFields(m *LatticeStruct, s *types.Struct) {
	for i := range s.NumFields() {
		f := s.Field(i)
		if f.Name() == "_" || f.Embedded() {
			c.report(f.Pos(), "a field of the lattice %s has no name of its own: give it one, by which it keeps its number", m.Name)
			continue
		}
		for _, method := range load.LatticeMethods(m.Name, "crdt") {
			if method.Name == f.Name() {
				c.report(f.Pos(), "field %s of the lattice %s has the name of a method that grainc writes for it: give the field another name", f.Name(), m.Name)
			}
		}
		if tag, ok := reflect.StructTag(s.Tag(i)).Lookup("crdt"); ok {
			c.report(f.Pos(), "the tag crdt:%q of field %s of the lattice %s means nothing: remove it; fields have their numbers from the lock file, and keep them over a rename by //grain:was", tag, f.Name(), m.Name)
		}
		if l := c.part(f.Pos(), fmt.Sprintf("field %s of the lattice %s", f.Name(), m.Name), f.Type()); l != nil {
			m.Fields = append(m.Fields, &LatticeField{Name: f.Name(), Was: c.notes.was(f.Pos()), Var: f, Lattice: l})
		}
	}
}

// part is lattice for what is inside of another. A change of that is made in the name of whoever makes the
// other's, so it has to say what it is there; one that is a variable by itself is changed as it stands.
func (c *checker) part(pos token.Pos, what string, t types.Type) *Lattice {
	l := c.lattice(pos, what, t)
	if l == nil || l.Struct != nil || hasEffect(types.Unalias(t)) {
		return l
	}
	own := c.show(t)
	c.report(pos, "%s (%s) does not say what its changes are in another's name, so it could not be changed: add func (%s) Effect(m *crdt.Minter, own %s) (%s, error), which may return the receiver if its deltas need no identity", what, own, own, own, own)
	return nil
}

// hasEffect says whether t is a crdt.Operation[t].
func hasEffect(t types.Type) bool {
	o, _, _ := types.LookupFieldOrMethod(t, false, nil, "Effect")
	f, ok := o.(*types.Func)
	if !ok || f.Signature().Params().Len() != 2 {
		return false
	}
	_, minter := pointed(types.Unalias(f.Signature().Params().At(0).Type()))
	if minter == nil || minter.Obj().Pkg().Path() != crdtPath || minter.Obj().Name() != "Minter" {
		return false
	}
	return types.Identical(f.Signature().Params().At(1).Type(), t) &&
		same(f.Signature().Results(), []types.Type{t, types.Universe.Lookup("error").Type()})
}

// handwritten notes, or reports, methods that would be written.
func (c *checker) handwritten(m *LatticeStruct, named *types.Named) {
	for _, method := range load.LatticeMethods(m.Name, "crdt") {
		for f := range named.Methods() {
			if f.Name() != method.Name || c.generated(f.Pos()) {
				continue
			}
			if m.Handwritten[method.Name] = true; !method.Own {
				c.report(f.Pos(), "method %s of %s is one that grainc writes for a struct marked //crdt:lattice: remove it, or the mark and write all of crdt.Lattice by hand", f.Name(), m.Name)
			}
		}
	}
}

// generated says whether a position is in the file that grainc writes.
func (c *checker) generated(pos token.Pos) bool {
	return filepath.Base(c.program.Fset.Position(pos).Filename) == load.GeneratedFile
}

// cycle returns the way from a struct to another, "" if there is none.
func (m *LatticeStruct) cycle(to *LatticeStruct, seen map[*LatticeStruct]bool) string {
	if seen[m] {
		return ""
	}
	seen[m] = true
	for _, f := range m.Fields {
		for _, next := range f.Lattice.structs(nil) {
			if next == to {
				return m.Name + "." + f.Name
			}
			if path := next.cycle(to, seen); path != "" {
				return m.Name + "." + f.Name + ", " + path
			}
		}
	}
	return ""
}

// structs appends the marked structs in a lattice.
func (l *Lattice) structs(all []*LatticeStruct) []*LatticeStruct {
	if l.Struct != nil {
		all = append(all, l.Struct)
	}
	for _, a := range l.Args {
		if part, ok := a.(*Lattice); ok {
			all = part.structs(all)
		}
	}
	return all
}

// lattice returns how the codec of a lattice is made, one of package crdt or one's own; nil after a report.
func (c *checker) lattice(pos token.Pos, what string, t types.Type) *Lattice {
	t = types.Unalias(t)
	if b, ok := t.Underlying().(*types.Basic); ok && b.Kind() == types.Invalid {
		return nil // which the type-checker has reported
	}
	p, n := pointed(t)
	if n == nil {
		c.report(pos, "%s (%s) is no lattice: %s", what, c.show(t), c.latticeFix(t))
		return nil
	}
	if args, known := crdtLattices[n.Obj().Name()]; known && n.Obj().Pkg().Path() == crdtPath {
		return c.crdtLattice(pos, what, t, n, args)
	}
	return c.ownLattice(pos, what, p, n)
}

// store does it for a dot store, which is what an ORMap holds.
func (c *checker) store(pos token.Pos, what string, t types.Type) *Lattice {
	t = types.Unalias(t)
	if _, n := pointed(t); n != nil && n.Obj().Pkg().Path() == crdtPath {
		if args, known := crdtStores[n.Obj().Name()]; known {
			return c.crdtLattice(pos, what, t, n, args)
		}
	}
	c.report(pos, "%s (%s) is no dot store that grainc has a codec for: use *crdt.SetStore, *crdt.ValueStore, *crdt.CounterStore, *crdt.FlagStore or a *crdt.MapStore of them", what, c.show(t))
	return nil
}

// pointed returns the named type that t is a pointer to, nil if it is none.
func pointed(t types.Type) (*types.Pointer, *types.Named) {
	p, ok := t.(*types.Pointer)
	if !ok {
		return nil, nil
	}
	n, ok := types.Unalias(p.Elem()).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return nil, nil
	}
	return p, n
}

// latticeFix says what to use in place of a type that is no lattice.
func (c *checker) latticeFix(t types.Type) string {
	if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil {
		_, ofCRDT := crdtLattices[n.Obj().Name()]
		if ofCRDT && n.Obj().Pkg().Path() == crdtPath || c.structs[n] != nil {
			return "a lattice is a pointer, so make it *" + c.show(t)
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Slice:
		return fmt.Sprintf("use a set, *crdt.Set[%s], or *crdt.Register of what is always written as a whole", c.show(u.Elem()))
	case *types.Map:
		return fmt.Sprintf("use *crdt.RegisterMap[%s, %s], or *crdt.ORMap for values that are changed in part", c.show(u.Key()), c.show(u.Elem()))
	case *types.Basic:
		if u.Info()&types.IsInteger != 0 {
			return fmt.Sprintf("use *crdt.Counter for what is counted, or *crdt.Register[%s] for what is written as a whole", c.show(t))
		}
	}
	return fmt.Sprintf("use *crdt.Register[%s] for what is written as a whole, or another type of package crdt", c.show(t))
}

func (c *checker) crdtLattice(pos token.Pos, what string, t types.Type, n *types.Named, args string) *Lattice {
	name := n.Obj().Name()
	l := &Lattice{Go: t, Maker: name + "Codec", name: name}
	if _, isLattice := crdtLattices[name]; args == "" && isLattice {
		l.Maker, l.Decoder, l.From = "", "Decode"+name, n.Obj().Pkg()
		return l
	}
	for i, kind := range args {
		of := n.TypeArgs().At(i)
		in := fmt.Sprintf("%s, in %s", what, c.show(n))
		switch kind {
		case 'l', 's':
			read := c.part
			if kind == 's' {
				read = c.store
			}
			part := read(pos, in, of)
			if part == nil {
				return nil
			}
			l.Args = append(l.Args, part)
			continue
		case 'o':
			if b, ok := of.Underlying().(*types.Basic); !ok || b.Info()&types.IsOrdered == 0 {
				c.report(pos, "%s: %s has no order that replicas could share by cmp.Compare: use an integer or a string, or a lattice of your own that holds the register and its order", in, c.show(of))
				return nil
			}
		}
		var part *Type
		if kind == 'e' {
			part = c.element(pos, in, of)
		} else {
			part = c.stored(pos, in, of)
		}
		if part == nil {
			return nil
		}
		l.Args = append(l.Args, part)
	}
	return l
}

// LatticeShape is what is locked of a lattice, as Shape is of a type.
func (ts *Types) LatticeShape(l *Lattice) string {
	var shapes []string
	for _, a := range l.Args {
		switch a := a.(type) {
		case *Type:
			shapes = append(shapes, ts.Shape(a))
		case *Lattice:
			shapes = append(shapes, ts.LatticeShape(a))
		}
	}
	if len(shapes) == 0 {
		return l.name
	}
	return l.name + "[" + strings.Join(shapes, ",") + "]"
}

// ownLattice is one of somebody's own: it has the methods of crdt.Lattice, and beside it stands its decoder.
func (c *checker) ownLattice(pos token.Pos, what string, t *types.Pointer, n *types.Named) *Lattice {
	l := &Lattice{Go: t, Decoder: "Decode" + load.Upper(n.Obj().Name()), From: n.Obj().Pkg(), Struct: c.structs[n]}
	l.name = strings.ReplaceAll(types.TypeString(n, func(p *types.Package) string {
		if p == c.p.Types {
			return ""
		}
		return p.Path()
	}), " ", "")
	if l.Struct != nil {
		return l
	}
	if lacking := missingMethod(t); lacking != "" {
		fix := fmt.Sprintf("it lacks func (%s) %s", c.show(t), lacking)
		_, isStruct := n.Underlying().(*types.Struct)
		if isStruct && n.Obj().Pkg() == c.p.Types && n.TypeArgs().Len() == 0 && strings.HasPrefix(lacking, "Join(") {
			fix += "; if all its fields are lattices, mark it //crdt:lattice"
		}
		c.report(pos, "%s (%s) is no lattice: %s", what, c.show(t), fix)
		return nil
	}
	if n.TypeArgs().Len() > 0 {
		c.report(pos, "%s (%s) is a lattice with type parameters, whose codec cannot be found by name: declare a type without", what, c.show(t))
		return nil
	}
	if f, ok := n.Obj().Pkg().Scope().Lookup(l.Decoder).(*types.Func); !ok || !decodes(f.Signature(), t) {
		c.report(pos, "%s (%s) cannot be decoded: declare func %s(b []byte) (%s, error) beside it", what, c.show(t), l.Decoder, c.show(t))
		return nil
	}
	return l
}

// missingMethod returns a method of crdt.Lattice, or Append, that a type lacks, with its signature.
func missingMethod(t *types.Pointer) string {
	bytes, errorType := types.NewSlice(types.Typ[types.Byte]), types.Universe.Lookup("error").Type()
	basic := func(k types.BasicKind) types.Type { return types.Typ[k] }
	for _, m := range []struct {
		name            string
		params, results []types.Type
		text            string
	}{
		{"Join", []types.Type{t}, []types.Type{t}, "(delta L) (novelty L)"},
		{"LessOrEqual", []types.Type{t}, []types.Type{basic(types.Bool)}, "(o L) bool"},
		{"Equal", []types.Type{t}, []types.Type{basic(types.Bool)}, "(o L) bool"},
		{"Clone", nil, []types.Type{t}, "() L"},
		{"IsEmpty", nil, []types.Type{basic(types.Bool)}, "() bool"},
		{"Size", nil, []types.Type{basic(types.Int)}, "() int"},
		{"Hash", nil, []types.Type{basic(types.Uint64)}, "() uint64"},
		{"Digest", nil, []types.Type{bytes}, "() []byte"},
		{"Since", []types.Type{bytes}, []types.Type{t, errorType}, "(digest []byte) (L, error)"},
		{"Parts", nil, []types.Type{types.NewSlice(t)}, "() []L"},
		{"String", nil, []types.Type{basic(types.String)}, "() string"},
		{"Append", []types.Type{bytes}, []types.Type{bytes}, "(b []byte) []byte"},
	} {
		o, _, _ := types.LookupFieldOrMethod(t, false, nil, m.name)
		f, ok := o.(*types.Func)
		if !ok || !same(f.Signature().Params(), m.params) || !same(f.Signature().Results(), m.results) {
			return m.name + strings.ReplaceAll(m.text, "L", "*"+t.Elem().(*types.Named).Obj().Name())
		}
	}
	return ""
}

func same(tuple *types.Tuple, want []types.Type) bool {
	if tuple.Len() != len(want) {
		return false
	}
	for i, t := range want {
		if !types.Identical(tuple.At(i).Type(), t) {
			return false
		}
	}
	return true
}

// decodes says whether s is func([]byte) (t, error).
func decodes(s *types.Signature, t types.Type) bool {
	return s.TypeParams().Len() == 0 && same(s.Params(), []types.Type{types.NewSlice(types.Typ[types.Byte])}) &&
		same(s.Results(), []types.Type{t, types.Universe.Lookup("error").Type()})
}
