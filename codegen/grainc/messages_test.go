package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// prose are texts of package check that are no messages.
var prose = map[string]string{
	"%s cannot be encoded":  "a type that the compiler refuses too",
	"const %s.%s = %s":      "part of what is hashed",
	"(delta L) (novelty L)": "part of a signature", "(o L) bool": "part of a signature", "(digest []byte) (L, error)": "part of a signature",
	"%s is a variable of a kind that grainc does not know (%s): declare it by a function of package variable, and run the grainc of the module's version": "a module newer than grainc",
}

// verb is one of package fmt's.
var verb = regexp.MustCompile(`%[+#]?[a-z]`)

// No message of package check is without a package that has it.
func TestEveryMessageHasACase(t *testing.T) {
	t.Parallel()
	said := read(t, "testdata", "refusals.txt")
	files, err := filepath.Glob("../internal/check/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var missing []string
	for _, file := range files {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			if len(strings.Fields(text)) < 3 || prose[text] != "" {
				return true
			}
			var parts []string
			for _, part := range verb.Split(text, -1) {
				parts = append(parts, regexp.QuoteMeta(part))
			}
			if !regexp.MustCompile(strings.Join(parts, `.*`)).MatchString(said) {
				missing = append(missing, fset.Position(lit.Pos()).String()+": "+text)
			}
			return true
		})
	}
	require.Empty(t, missing, "no package in the tables of refusals has these messages:\n%s", strings.Join(missing, "\n"))
}
