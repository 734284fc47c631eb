package check

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

const (
	grainsPath   = load.Module + "/grains"
	variablePath = load.Module + "/grains/variable"
	dataflowPath = load.Module + "/grains/dataflow"
	flowPath     = load.Module + "/crdt/flow"
	wirePath     = load.Module + "/grains/wire"
	txnPath      = load.Module + "/txn"
)

type checker struct {
	program *load.Program
	p       *load.Package
	m       *Model
	notes   *directives
	// problems in the order in which they were found; sorted at the end.
	problems []load.Problem
	inits    map[types.Object]ast.Expr // of package-level variables
	structs  map[*types.Named]*LatticeStruct
}

// Check makes the model of a target. If there are problems the model is not to be used.
func Check(program *load.Program, p *load.Package) (*Model, []load.Problem) {
	c := &checker{program: program, p: p, inits: map[types.Object]ast.Expr{}, structs: map[*types.Named]*LatticeStruct{}}
	if p.Types == nil {
		return &Model{Package: p, Fset: program.Fset}, p.Problems
	}
	c.problems = append(c.problems, p.Problems...)
	if p.Unparsed {
		// What was not read is not declared, and directives would stand above nothing.
		return &Model{Package: p, Fset: program.Fset}, c.problems
	}
	c.notes = c.readDirectives()
	c.m = &Model{
		Package: p, Fset: program.Fset, Prefix: load.Prefix(p.Types),
		Types: &Types{pkg: p.Types, names: map[string]string{}, entries: map[string]*Type{}, was: c.notes.was},
	}
	c.readInits()
	for _, t := range load.TypeNames(program.Fset, p.Types) {
		c.iface(t)
	}
	for _, t := range load.TypeNames(program.Fset, p.Types) {
		c.impl(t)
	}
	if len(c.m.Interfaces) > 0 {
		c.errors()
	}
	c.latticeStructs()
	c.variables()
	c.replicas()
	c.constructors()
	c.m.Types.finish()
	c.fingerprints()
	c.contexts()
	c.notes.unused(c)
	if !c.m.Empty() || len(c.problems) > 0 {
		for _, e := range p.TypeErrors {
			c.problems = append(c.problems, c.explained(e))
		}
	}
	c.sort()
	return c.m, c.problems
}

// explained adds to the type-checker's error about a name that is not declared why it is not, where the name is
// one that grainc writes for generated code alone.
func (c *checker) explained(e load.Problem) load.Problem {
	name, undefined := strings.CutPrefix(e.Text, "undefined: ")
	if !undefined {
		return e
	}
	if of, get := strings.CutPrefix(name, "Get"); get {
		for _, iface := range []string{of, load.Lower(of)} {
			if o, ok := c.p.Types.Scope().Lookup(iface).(*types.TypeName); ok && types.IsInterface(o.Type()) {
				e.Text += fmt.Sprintf(": %s is no grain interface: embed grains.Keyed[K] in it", iface)
				return e
			}
		}
	}
	for _, l := range c.m.Lattices {
		if name == "layout"+load.Upper(l.Name) {
			e.Text += fmt.Sprintf(": a name of %s, which grainc does not read: do without it; a mutator returns &%s{…} with the deltas of its fields, and one that says nothing is as good as nil", load.GeneratedFile, l.Name)
			return e
		}
	}
	if c.ownName(name) {
		e.Text += fmt.Sprintf(": a name of %s, which grainc does not read: do without it, or declare what you need under another name", load.GeneratedFile)
	}
	return e
}

// ownName says whether the generated file declares that name, and its stub does not.
func (c *checker) ownName(name string) bool {
	for _, i := range c.m.Interfaces {
		if name == load.Lower(i.Name)+"Ref" || name == i.Name+"Methods" {
			return true
		}
	}
	for _, t := range c.m.Types.All {
		if prefix, ok := strings.CutSuffix(name, t.Name); ok && slices.Contains([]string{"append", "decode", "clone", "codec"}, prefix) {
			return true
		}
	}
	return name == "errorTable" && len(c.m.Errors) > 0
}

func (c *checker) report(pos token.Pos, format string, args ...any) {
	c.problems = append(c.problems, load.Problem{Pos: c.program.Fset.Position(pos), Text: fmt.Sprintf(format, args...)})
}

// warn notes what is most likely a mistake, and no reason not to generate.
func (c *checker) warn(pos token.Pos, format string, args ...any) {
	c.problems = append(c.problems, load.Problem{Pos: c.program.Fset.Position(pos), Text: fmt.Sprintf(format, args...), Warning: true})
}

func (c *checker) sort() {
	slices.SortStableFunc(c.problems, func(a, b load.Problem) int {
		if n := strings.Compare(a.Pos.Filename, b.Pos.Filename); n != 0 {
			return n
		}
		return a.Pos.Offset - b.Pos.Offset
	})
	c.problems = slices.CompactFunc(c.problems, func(a, b load.Problem) bool { return a.String() == b.String() })
}

func (c *checker) readInits() {
	for _, f := range c.p.Files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, name := range v.Names {
					o := c.p.Info.Defs[name]
					switch {
					case name.Name == "_" && i < len(v.Values):
						c.blank(name, v.Values[i])
					case o != nil && i < len(v.Values):
						c.inits[o] = v.Values[i]
					}
				}
			}
		}
	}
}

// blank refuses declarations that generated code could not name.
func (c *checker) blank(name *ast.Ident, value ast.Expr) {
	t := c.p.Info.TypeOf(value)
	if t != nil && (load.IsShared(t) || load.IsRule(t)) {
		c.report(name.Pos(), "a variable, node or process that is assigned to _ cannot be hosted: give it a name")
	}
}

func (c *checker) show(t types.Type) string { return c.m.Types.show(t) }

// iface reads one grain interface.
func (c *checker) iface(t *types.TypeName) {
	if !types.IsInterface(t.Type()) {
		return
	}
	key, ok := load.KeyOf(t.Type())
	if !ok {
		return
	}
	named := t.Type().(*types.Named)
	if named.TypeParams().Len() > 0 {
		c.report(t.Pos(), "grain interface %s is generic: a kind of grains is one type, so declare an interface for each instance", t.Name())
		return
	}
	c.keys(t, key)
	i := &Interface{Name: t.Name(), Was: c.notes.was(t.Pos()), Kind: c.m.Prefix + "." + t.Name(), Type: t.Type(), Key: key, Pos: t.Pos(), Version: c.version(t.Pos())}
	i.Reentrant = c.notes.has(t.Pos(), "//grain:", "reentrant")
	c.keyType(t.Pos(), "the key of "+t.Name(), key)
	for _, f := range c.methods(named) {
		if m := c.method(i, f); m != nil {
			i.Methods = append(i.Methods, m)
		}
	}
	c.m.Interfaces = append(c.m.Interfaces, i)
}

// methods returns the methods of a grain interface: its own in the order of the source, then those of
// embedded interfaces.
func (c *checker) methods(named *types.Named) []*types.Func {
	var all []*types.Func
	iface := named.Underlying().(*types.Interface)
	for f := range iface.ExplicitMethods() {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *types.Func) int { return load.InSource(c.program.Fset, a.Pos(), b.Pos()) })
	var inherited []*types.Func
	for f := range iface.Methods() {
		if f.Name() == "GrainID" || slices.Contains(all, f) {
			continue
		}
		inherited = append(inherited, f)
	}
	slices.SortFunc(inherited, func(a, b *types.Func) int { return strings.Compare(a.Name(), b.Name()) })
	return append(all, inherited...)
}

func (c *checker) method(i *Interface, f *types.Func) *Method {
	sig := f.Signature()
	full := i.Name + "." + f.Name()
	pos := f.Pos()
	if f.Pkg() != c.p.Types {
		pos = i.Pos // an interface of another package, whose source is not here
	}
	before := len(c.problems)
	traits, was := c.traits(i, f), c.notes.was(f.Pos())
	if !f.Exported() {
		c.report(pos, "method %s is not exported, so no other package could implement it: rename it to %s", full, load.Upper(f.Name()))
	}
	if f.Name() == "Key" {
		c.report(pos, "method %s has the name of the method Key, which grainc writes for implementations and which returns the key of the grain: rename it, say to %sKey", full, i.Name)
	}
	params, results := sig.Params(), sig.Results()
	if params.Len() == 0 || !isContext(params.At(0).Type()) {
		c.report(pos, "method %s must take a context first: %s(ctx context.Context, …)", full, f.Name())
	}
	element := c.stream(pos, full, results)
	if element != nil || len(c.problems) > before && hasStream(results) {
		traits.Stream = true
	} else if results.Len() == 0 || !isError(results.At(results.Len()-1).Type()) {
		c.report(pos, "method %s must return an error last, since every call can fail: %s", full, wantResults(c, results))
	} else if results.Len() > 2 {
		c.report(pos, "method %s returns %d values and an error: return one struct of them and an error", full, results.Len()-1)
	}
	if sig.Variadic() {
		c.report(pos, "method %s is variadic: take a slice", full)
	}
	if len(c.problems) > before {
		return nil
	}
	m := &Method{Name: f.Name(), Pos: pos, Traits: traits, Was: was}
	for n := 1; n < params.Len(); n++ {
		v := params.At(n)
		m.Params = append(m.Params, Param{v.Name(), c.typeOf(pos, fmt.Sprintf("argument %s of %s", argName(v, n), full), v.Type())})
	}
	if element != nil {
		m.Result = c.typeOf(pos, "an element of the stream of "+full, element)
	} else if results.Len() == 2 {
		m.Result = c.typeOf(pos, "the result of "+full, results.At(0).Type())
	}
	if len(c.problems) == before {
		c.conflicts(pos, full, m)
	}
	if len(c.problems) > before {
		return nil
	}
	return m
}

func argName(v *types.Var, n int) string {
	if v.Name() == "" || v.Name() == "_" {
		return fmt.Sprint(n)
	}
	return v.Name()
}

func wantResults(c *checker, results *types.Tuple) string {
	if results.Len() == 0 {
		return "add the result error"
	}
	if results.Len() == 2 && isError(results.At(0).Type()) {
		return fmt.Sprintf("(%s, error)", c.show(results.At(1).Type()))
	}
	return fmt.Sprintf("(%s, error)", c.show(results.At(0).Type()))
}

func isContext(t types.Type) bool {
	_, ok := load.Is(t, "context", "Context")
	return ok
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// typeOf returns how t is encoded; what cannot be is reported as that of what.
func (c *checker) typeOf(pos token.Pos, what string, t types.Type) *Type {
	k, r := c.m.Types.Of(t)
	if r != nil {
		c.refuse(pos, what, r)
	}
	return k
}

// stored is typeOf for what is kept, or is not an argument or a result: it holds no references.
func (c *checker) stored(pos token.Pos, what string, t types.Type) *Type {
	k := c.typeOf(pos, what, t)
	if k != nil && !c.noReferences(pos, what, k) {
		return nil
	}
	return k
}

func (c *checker) refuse(pos token.Pos, what string, r *refusal) {
	if strings.Contains(r.text, "invalid type") {
		return // which the type-checker has reported
	}
	if r.path != "" {
		what += ", in " + r.path
	}
	c.report(pos, "%s: %s", what, r.text)
}

// element is typeOf for elements of sets and graphs and keys of maps.
func (c *checker) element(pos token.Pos, what string, t types.Type) *Type {
	if reason, fix := notAnElement(t, nil); reason != "" {
		c.report(pos, "%s (%s) %s: %s", what, c.show(t), reason, fix)
		return nil
	}
	k, r := c.m.Types.Element(t)
	if r != nil {
		c.refuse(pos, what, r)
	}
	return k
}

// keyType checks the key of a grain or family.
func (c *checker) keyType(pos token.Pos, what string, t types.Type) {
	if reason := notAKey(t, false); reason != "" {
		c.report(pos, "%s (%s) %s: a key is a string, an int64, a [16]byte, a type made of one of them, or a struct of them with exported fields", what, c.show(t), reason)
	}
}

func notAKey(t types.Type, inside bool) string {
	if _, ok := load.Is(t, "time", "Time"); ok {
		return "contains a time.Time"
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.String || u.Kind() == types.Int64 || u.Kind() == types.Invalid {
			return ""
		}
		if u.Info()&types.IsInteger != 0 {
			return "is a " + u.Name() + ", not an int64"
		}
	case *types.Array:
		if b, ok := u.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Byte && u.Len() == 16 {
			return ""
		}
	case *types.Struct:
		for f := range u.Fields() {
			if !f.Exported() {
				return "has the field " + f.Name() + ", which is not exported"
			}
			if reason := notAKey(f.Type(), true); reason != "" {
				return reason + " (field " + f.Name() + ")"
			}
		}
		if u.NumFields() > 0 {
			return ""
		}
		return "has no field"
	}
	if inside {
		return "contains a " + t.String()
	}
	return "is no key"
}

// errors reads the errors that keep their identity.
func (c *checker) errors() {
	scope := c.p.Types.Scope()
	errorType := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	for _, name := range scope.Names() {
		o := scope.Lookup(name)
		switch o := o.(type) {
		case *types.Var:
			if o.Exported() && strings.HasPrefix(name, "Err") && isError(o.Type()) {
				c.m.Errors = append(c.m.Errors, &ErrorDef{Name: name, Was: c.notes.was(o.Pos()), Pos: o.Pos()})
			}
		case *types.TypeName:
			n, ok := o.Type().(*types.Named)
			if !ok || o.IsAlias() || !o.Exported() || n.TypeParams().Len() > 0 {
				continue
			}
			if _, ok := n.Underlying().(*types.Struct); !ok {
				continue
			}
			// A value is an error too if the methods are on the struct; both forms then travel as they are.
			var forms []types.Type
			if types.Implements(n, errorType) {
				forms = append(forms, n)
			}
			if ptr := types.NewPointer(n); types.Implements(ptr, errorType) {
				forms = append(forms, ptr)
			}
			for _, form := range forms {
				def := &ErrorDef{Name: c.show(form), Pos: o.Pos()}
				if was := c.notes.was(o.Pos()); was != "" {
					def.Was = strings.TrimSuffix(def.Name, name) + was
				}
				def.Type = c.stored(o.Pos(), "error "+name, form)
				c.m.Errors = append(c.m.Errors, def)
			}
		}
	}
	slices.SortStableFunc(c.m.Errors, func(a, b *ErrorDef) int { return load.InSource(c.program.Fset, a.Pos, b.Pos) })
}
