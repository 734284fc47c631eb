package crdt

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// requireGolden compares an encoding with testdata/golden/<name>.hex, which earlier releases wrote: what
// differs from it they cannot read. With -update it writes the file.
func requireGolden(t *testing.T, name string, enc []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".hex")
	if *update {
		var b strings.Builder
		for rest := enc; ; rest = rest[32:] {
			if len(rest) <= 32 {
				b.WriteString(hex.EncodeToString(rest) + "\n")
				break
			}
			b.WriteString(hex.EncodeToString(rest[:32]) + "\n")
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
		return
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to write it")
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err, path)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(enc), "%s: the encoding has changed", path)
}
