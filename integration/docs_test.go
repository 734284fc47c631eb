package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every exported name says what it means: packages, types, functions, methods, constants and variables. A group
// may say it for all of its names, a line's own comment for its name; what is generated, and methods whose
// meaning an interface of the standard library gives, need none.
func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	var missing []string
	err := filepath.WalkDir("..", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || name == "results" || name == "bin" || strings.HasPrefix(name, ".") && name != ".." {
			return filepath.SkipDir
		}
		missing = append(missing, undocumented(t, dir)...)
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, missing, "exported, and nothing says what they mean:\n%s", strings.Join(missing, "\n"))
}

// wellKnown are methods that mean what they mean everywhere.
var wellKnown = map[string]bool{
	"String": true, "Error": true, "Unwrap": true, "Is": true, "As": true, "Len": true, "Less": true, "Swap": true, "Close": true,
	"GoString": true, "Format": true, "MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
}

// undocumented returns what lacks a comment in the package in dir.
func undocumented(t *testing.T, dir string) (missing []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset, described, some := token.NewFileSet(), false, false
	report := func(pos token.Pos, name string) {
		missing = append(missing, fset.Position(pos).String()+": "+name)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		require.NoError(t, err)
		some = true
		described = described || f.Doc != nil
		if ast.IsGenerated(f) {
			continue
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !(d.Recv != nil && wellKnown[d.Name.Name]) {
					report(d.Pos(), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					checkSpec(d, s, report)
				}
			}
		}
	}
	if some && !described {
		missing = append(missing, dir+": the package")
	}
	return missing
}

// exportedReceiver says whether d is a function, or the method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func checkSpec(d *ast.GenDecl, s ast.Spec, report func(token.Pos, string)) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		if d.Doc == nil && s.Doc == nil && s.Comment == nil {
			report(s.Pos(), s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				report(name.Pos(), name.Name)
			}
		}
	}
}
