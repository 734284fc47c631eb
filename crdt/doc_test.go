package crdt

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tables of known wrong turns name tests that there are.
func TestDocumentationNamesTests(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	for _, dir := range []string{".", "flow", "crdttest"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, declared := range regexp.MustCompile(`(?m)^func (\w+)\(`).FindAllStringSubmatch(string(source), -1) {
				tests[declared[1]] = true
			}
		}
	}
	for _, file := range []string{"doc.go", "flow/doc.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		whole := regexp.MustCompile(`(\w)-\n//\t.*?  +(\w+)`).ReplaceAllString(string(text), "$1$2") // names that a line's end divides
		named := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(whole, -1)
		require.Greater(t, len(named), 10)
		for _, name := range named {
			require.True(t, tests[name], "%s names %s", file, name)
		}
	}
}
