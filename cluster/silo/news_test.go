package silo

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// The log says once who serves, leaves, and is gone, and how; of those that were there before, nothing.
func TestTheLogTellsOfMembers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &run{id: "a", incarnation: 1, log: slog.New(slog.NewTextHandler(&out, nil))}
	table := func(number uint64, states ...view.State) *view.Table {
		t := &view.Table{Number: number}
		for i, state := range states {
			id := string(rune('a' + i))
			t.Members = append(t.Members, view.Member{Run: view.Run{ID: view.SiloID(id), Incarnation: 1}, State: state, Addr: id + ":1"})
		}
		return t
	}
	var before *view.Table
	for _, step := range []struct {
		now  *view.Table
		says string
	}{
		{table(1, view.Joining, view.Active, view.Active), ""},
		{table(2, view.Active, view.Active, view.Active), "this silo serves"},
		{table(3, view.Active, view.Leaving, view.Active, view.Joining), "another silo leaves: it gives its grains to the others b:1"},
		{table(4, view.Active, view.Dead, view.Dead, view.Active), "another silo is gone: the others serve its grains b:1\n" +
			"another silo was not heard for longer than its lease, and is removed: the others serve its grains c:1\n" +
			"another silo serves d:1"},
		{table(5, view.Active, view.Dead, view.Dead, view.Active), ""},
	} {
		out.Reset()
		s.tellOfMembers(before, step.now)
		said := regexp.MustCompile(`(?m)^.*msg="([^"]*)"(?: other=(\S+))?.*$`).ReplaceAllString(out.String(), "$1 $2")
		require.Equal(t, step.says, strings.ReplaceAll(strings.TrimSpace(said), " \n", "\n"), "view %d", step.now.Number)
		before = step.now
	}
}
