package load

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// stub returns a file that declares what people may refer to of the generated code, nil where there is
// nothing to generate. Names that the package declares itself are left out, for the check to report.
func (l *loader) stub(p *Package, sketch *types.Package) (*ast.File, error) {
	imports := map[string]string{} // path to name
	qualify := func(o *types.Package) string {
		if o == sketch {
			return ""
		}
		if imports[o.Path()] == "" {
			imports[o.Path()] = fmt.Sprintf("p%d_", len(imports))
		}
		return imports[o.Path()]
	}
	grains := l.listed[grainsPath]
	if grains == nil || p.Path == grainsPath {
		return nil, nil
	}
	imports[grainsPath] = "grains_"
	var b strings.Builder
	declare := func(name, rest string) {
		if sketch.Scope().Lookup(name) == nil {
			fmt.Fprintf(&b, "func %s%s\n", name, rest)
		}
	}
	for _, t := range TypeNames(l.fset, sketch) {
		if k, ok := KeyOf(t.Type()); ok && types.IsInterface(t.Type()) && !generic(t) {
			declare("Get"+Upper(t.Name()), fmt.Sprintf("(grains_.Caller, %s) %s { panic(0) }", types.TypeString(k, qualify), t.Name()))
			declare("Parse"+Upper(t.Name()), fmt.Sprintf("(grains_.Caller, string) (%s, error) { panic(0) }", t.Name()))
		}
		iface, ok := Implemented(t.Type())
		if !ok || generic(t) {
			continue
		}
		if k, ok := KeyOf(iface); ok && !hasMethod(t, "Key") {
			fmt.Fprintf(&b, "func (*%s) Key() %s { panic(0) }\n", t.Name(), types.TypeString(k, qualify))
		}
	}
	methods := latticeStub(p, sketch, func(path string) string { return qualify(types.NewPackage(path, "")) }, declare)
	b.WriteString(methods)
	if HasLists(sketch) {
		var params []string
		for _, d := range dependencies(l, sketch) {
			params = append(params, types.TypeString(d.Type, qualify))
		}
		declare("Grains", fmt.Sprintf("(%s) []grains_.Kind { panic(0) }", strings.Join(params, ", ")))
		declare("Shared", "() []grains_.Kind { panic(0) }")
	}
	if b.Len() == 0 {
		return nil, nil
	}
	var head strings.Builder
	fmt.Fprintf(&head, "package %s\n", sketch.Name())
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		fmt.Fprintf(&head, "import %s %q\n", imports[path], path)
	}
	head.WriteString("type _ = grains_.Kind\n")
	text := head.String() + b.String()
	f, err := parser.ParseFile(l.fset, filepath.Join(p.Dir, GeneratedFile), text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("%s: the stub of generated code is no Go; please report this with the package: %w\n%s", p.Path, err, text)
	}
	return f, nil
}

func generic(t *types.TypeName) bool {
	n, ok := t.Type().(*types.Named)
	return ok && n.TypeParams().Len() > 0
}

func hasMethod(t *types.TypeName, name string) bool {
	n, ok := t.Type().(*types.Named)
	if !ok {
		return false
	}
	for m := range n.Methods() {
		if m.Name() == name {
			return true
		}
	}
	return false
}

// dependencies returns the parameters of Grains as far as they can be told.
func dependencies(l *loader, pkg *types.Package) []Dependency {
	var constructors []*types.Func
	for _, t := range TypeNames(l.fset, pkg) {
		if _, ok := Implemented(t.Type()); !ok {
			continue
		}
		if f := Constructor(t); f != nil {
			constructors = append(constructors, f)
		}
	}
	return Dependencies(constructors)
}

// Dependencies merges the parameters of constructors: those of one name and type are one.
func Dependencies(constructors []*types.Func) []Dependency {
	var all []Dependency
	for _, f := range constructors {
		for v := range f.Signature().Params().Variables() {
			d := Dependency{v.Name(), v.Type()}
			if !slices.ContainsFunc(all, func(o Dependency) bool { return o.Name == d.Name && types.Identical(o.Type, d.Type) }) {
				all = append(all, d)
			}
		}
	}
	return all
}
