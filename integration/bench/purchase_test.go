package main

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// TestMain lets the test's program be the child of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveCommand {
		main()
	}
	os.Exit(m.Run())
}

// A round on three silo processes: what clients were told is what the books say.
func TestPurchasesAreConserved(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	t.Parallel()
	b := &bench{plan: plan{purchaseRounds: 1, purchase: 200 * time.Millisecond}, results: t.TempDir(), stderr: io.Discard}
	r := &report.Report{}
	require.NoError(t, b.purchases(t.Context(), r))
	require.Contains(t, r.Bars, report.Bar{Bar: conservation, Value: 1, Required: report.None, OK: true})
	left, err := os.ReadDir(b.results)
	require.NoError(t, err)
	require.Empty(t, left, "the silos' directories are removed")
}
