package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/martinelli-go/martinelli/"

// house lists the packages from the ground floor up: a package may import those before it in the list,
// and no others of the module. ARCHITECTURE.md says what each is for.
var house = []struct {
	path string
	not  []string // packages before it that it must not reach, directly or otherwise
	wasm bool     // applications import it: it must build for the browser
}{
	// Applications import these.
	{path: "crdt/internal/seeds"}, // for tests
	{path: "crdt", wasm: true},
	{path: "crdt/flow", wasm: true},
	{path: "crdt/crdttest"}, // for tests: testify comes with it
	{path: "grains/wire", wasm: true},
	{path: "grains", wasm: true},
	{path: "grains/variable", wasm: true},
	{path: "grains/dataflow", wasm: true},
	{path: "txn", wasm: true},
	// Machines: no I/O, no clock, no goroutine.
	{path: "cluster/machine", wasm: true},
	{path: "cluster/machine/sim"},    // for tests
	{path: "cluster/machine/faults"}, // switches, for the program chaos
	{path: "cluster/view", wasm: true},
	{path: "cluster/replica", wasm: true},
	{path: "txn/commit", wasm: true},
	// Engines.
	{path: "actor/certtest"}, // for tests
	{path: "actor"},
	{path: "cluster/discovery", not: []string{"actor", "grains/wire"}},
	{path: "cluster/link"},
	{path: "cluster/consensus", not: []string{"actor", "grains/wire"}},
	{path: "grains/telemetry", not: []string{"actor", "cluster/link"}},
	{path: "grains/host"},
	{path: "grains/variable/host", not: []string{"actor", "cluster/link"}},
	{path: "grains/dataflow/host", not: []string{"actor", "cluster/link"}},
	{path: "txn/host"},
	{path: "cluster"},
	// Roots.
	{path: "cluster/silo"},
	{path: "grains/graintest"},
	{path: "cluster/siloctl"},
	// The generator and the samples stand beside each other.
	{path: "codegen/internal/load", not: []string{"actor", "cluster"}},
	{path: "codegen/internal/lock", not: []string{"actor", "cluster"}},
	{path: "codegen/internal/check", not: []string{"actor", "cluster"}},
	{path: "codegen/internal/emit", not: []string{"actor", "cluster"}},
	{path: "codegen/internal/roundtrip"}, // for tests
	{path: "codegen/grainc", not: []string{"actor", "cluster"}},
	{path: "samples/hello"},
	{path: "samples/wine/internal/catalogue", not: []string{"grains", "cluster"}},
	{path: "samples/wine/internal/label", not: []string{"grains", "cluster"}},
	{path: "samples/wine/internal/walk", not: []string{"grains", "cluster"}},
	{path: "samples/wine"},
	{path: "samples/wine/cmd/wine"},
	{path: "integration/bank"},
	{path: "integration"},
	{path: "integration/internal/report"},
	{path: "integration/internal/child"},
	{path: "integration/internal/encoders/mixed"},
	{path: "integration/internal/encoders"},
	{path: "integration/upgrade/v1"},
	{path: "integration/upgrade/v2"},
	{path: "integration/upgrade"},
	{path: "integration/benchcrdt"},
	{path: "integration/benchflow"},
	{path: "integration/bench/shop"},
	{path: "integration/bench"},
	{path: "integration/benchchannels"},
	{path: "integration/chaos/register"},
	{path: "integration/chaos"},
}

// soleImporters names the packages that alone may import a library, tests and benchmarks apart.
var soleImporters = map[string][]string{
	"github.com/asynkron/protoactor-go": {"actor", "integration/bench"},
	"google.golang.org/grpc":            {"integration/bench"},
	"github.com/hashicorp/raft":         {"cluster/consensus"},
	"github.com/hashicorp/raft-wal":     {"cluster/consensus"},
	"github.com/cockroachdb/pebble/v2":  {"grains/variable/host", "cluster/silo"},
	module + "cluster/machine/faults":   {"cluster/view", "grains/host", "txn/host", "integration/chaos"},
	"github.com/nats-io":                {"cluster/discovery"},
	"go.opentelemetry.io":               {"grains/telemetry"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, env ...string) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps=false", "-json=ImportPath,Imports,Deps", "../...")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	all := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all[strings.TrimPrefix(l.ImportPath, module)] = l
	}
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	packages := list(t)
	stands := map[string]int{}
	for i, p := range house {
		stands[p.path] = i
	}
	for path := range packages {
		if !strings.Contains(path, "testdata") {
			require.Contains(t, stands, path, "a package that the table of this test does not name: give it its place there and in ARCHITECTURE.md")
		}
	}
	for i, p := range house {
		l, ok := packages[p.path]
		if !ok {
			continue
		}
		for _, imported := range l.Imports {
			if rest, ours := strings.CutPrefix(imported, module); ours {
				require.Less(t, stands[rest], i, "%s imports %s, which does not stand before it", p.path, rest)
			}
		}
		for _, dep := range l.Deps {
			rest, ours := strings.CutPrefix(dep, module)
			require.False(t, ours && slices.Contains(p.not, rest), "%s reaches %s", p.path, rest)
		}
		for _, imported := range l.Imports {
			for library, importers := range soleImporters {
				if imported == library || strings.HasPrefix(imported, library+"/") {
					require.Contains(t, importers, p.path, "%s imports %s", p.path, imported)
				}
			}
		}
	}
}

// What applications import must build for the browser, where there are no sockets and no files: nothing
// that reaches for them may creep in.
func TestWhatTheBrowserMayHave(t *testing.T) {
	t.Parallel()
	packages := list(t, "GOOS=js", "GOARCH=wasm")
	for _, p := range house {
		if !p.wasm {
			continue
		}
		for _, dep := range packages[p.path].Deps {
			for _, heavy := range []string{"net", "net/http", "os/exec", "google.golang.org/grpc", "github.com/asynkron/protoactor-go/actor", "github.com/cockroachdb/pebble/v2", "github.com/hashicorp/raft"} {
				require.NotEqual(t, heavy, dep, "%s reaches %s", p.path, dep)
			}
		}
	}
}

// The top level is what ARCHITECTURE.md says, and no more.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-C", "..", "ls-tree", "--name-only", "HEAD").Output()
	if err != nil {
		t.Skip("no git checkout: the top level cannot be listed")
	}
	allowed := strings.Fields("actor cluster codegen crdt grains integration samples txn go.mod go.sum README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE Makefile .ci .gitignore")
	for _, name := range strings.Fields(string(out)) {
		require.Contains(t, allowed, name)
	}
}
