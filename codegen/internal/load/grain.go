package load

import (
	"go/token"
	"go/types"
	"path"
	"slices"
)

// named returns the origin's package path and name of a named type, and its type arguments.
func named(t types.Type) (pkg, name string, args *types.TypeList) {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return "", "", nil
	}
	return n.Obj().Pkg().Path(), n.Obj().Name(), n.TypeArgs()
}

// Is says whether t is an instance of the named type of that package, and returns its type arguments.
func Is(t types.Type, pkg, name string) ([]types.Type, bool) {
	p, n, args := named(t)
	if p != pkg || n != name {
		return nil, false
	}
	return slices.Collect(args.Types()), true
}

// KeyOf returns K if t is an interface that embeds grains.Keyed[K].
func KeyOf(t types.Type) (types.Type, bool) {
	iface, ok := t.Underlying().(*types.Interface)
	if !ok {
		return nil, false
	}
	for e := range iface.EmbeddedTypes() {
		if args, ok := Is(e, grainsPath, "Keyed"); ok && len(args) == 1 {
			return args[0], true
		}
		if k, ok := KeyOf(e); ok {
			return k, true
		}
	}
	return nil, false
}

// Implemented returns T if t is a struct that embeds grains.Implements[T].
func Implemented(t types.Type) (types.Type, bool) {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return nil, false
	}
	for f := range s.Fields() {
		if !f.Embedded() {
			continue
		}
		if args, ok := Is(f.Type(), grainsPath, "Implements"); ok && len(args) == 1 {
			return args[0], true
		}
	}
	return nil, false
}

// TypeNames returns the package's own type names in the order of the source, aliases left out.
func TypeNames(fset *token.FileSet, pkg *types.Package) []*types.TypeName {
	var found []*types.TypeName
	for _, name := range pkg.Scope().Names() {
		if t, ok := pkg.Scope().Lookup(name).(*types.TypeName); ok && !t.IsAlias() && t.Pos().IsValid() {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *types.TypeName) int { return InSource(fset, a.Pos(), b.Pos()) })
	return found
}

// InSource orders positions by file name, then offset.
func InSource(fset *token.FileSet, a, b token.Pos) int {
	x, y := fset.Position(a), fset.Position(b)
	if x.Filename != y.Filename {
		if x.Filename < y.Filename {
			return -1
		}
		return 1
	}
	return x.Offset - y.Offset
}

// Prefix is what kinds of a package are qualified with: its name, or for a command the last element of
// its path.
func Prefix(pkg *types.Package) string {
	if pkg.Name() == "main" {
		return path.Base(pkg.Path())
	}
	return pkg.Name()
}

// Dependency is a parameter of Grains.
type Dependency struct {
	Name string
	Type types.Type
}

// Constructor returns the function that makes an implementation, newUser for user; nil for none.
func Constructor(impl *types.TypeName) *types.Func {
	name := impl.Name()
	f, _ := impl.Pkg().Scope().Lookup("new" + Upper(name)).(*types.Func)
	return f
}

// Upper is s with its first letter in upper case.
func Upper(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// Lower is s with its first letter in lower case.
func Lower(s string) string {
	if s != "" && 'A' <= s[0] && s[0] <= 'Z' {
		return string(s[0]-'A'+'a') + s[1:]
	}
	return s
}

// IsShared says whether a package-level variable of that type belongs in Shared.
func IsShared(t types.Type) bool {
	p, n, _ := named(t)
	return p == variablePath && (n == "Var" || n == "Family") || p == flowPath && n == "Node"
}

// IsRule says whether a package-level variable of that type is a process.
func IsRule(t types.Type) bool {
	_, ok := Is(t, dataflowPath, "Rule")
	return ok
}

// HasLists says whether the generated file of a package has the functions Grains and Shared.
func HasLists(pkg *types.Package) bool {
	for _, name := range pkg.Scope().Names() {
		switch o := pkg.Scope().Lookup(name).(type) {
		case *types.Var:
			if IsShared(o.Type()) || IsRule(o.Type()) {
				return true
			}
		case *types.TypeName:
			if _, ok := Implemented(o.Type()); ok && !o.IsAlias() {
				return true
			}
		}
	}
	return false
}
