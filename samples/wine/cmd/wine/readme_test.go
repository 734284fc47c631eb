package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commands returns the arguments of each command in the README that runs this program.
func commands(t *testing.T) (all [][]string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(readme)) {
		if args, ok := strings.CutPrefix(line, "go run ./samples/wine/cmd/wine"); ok {
			all = append(all, strings.Fields(args))
		}
	}
	return all
}

func TestCommandsOfTheReadme(t *testing.T) {
	all := commands(t)
	require.Len(t, all, 3)
	for _, args := range all {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			stdout := &watched{at: serving, then: stop} // a silo by itself serves until it is interrupted
			var stderr bytes.Buffer
			code := run(ctx, args, strings.NewReader(""), stdout, &stderr)
			require.Equal(t, exitOK, code, "%s\n%s", stdout, &stderr)
			if args[0] == "silo" {
				return
			}
			if slices.Contains(args, "--json") {
				var r report
				require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
				require.True(t, r.OK)
				require.NotEmpty(t, r.Checks)
				return
			}
			lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
			require.Regexp(t, `^ok hit@10=[0-9.]+ popularity@10=[0-9.]+ photos=\d+/\d+ unknown=\d+/\d+ purchases=\d+ aborted=\d+ indoubt-resolved=\d+ outage=[0-9.]+s replicas-equal=true$`, lines[len(lines)-1])
		})
	}
}
