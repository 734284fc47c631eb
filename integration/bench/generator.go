package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// generator measures how long grainc takes for samples/wine when everything that it loads has been built.
func (b *bench) generator(ctx context.Context, r *report.Report, c callsPlan) error {
	root, err := report.ModuleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-grainc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	grainc := filepath.Join(dir, "grainc")
	run := func(name string, args ...string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		var out bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, &out, &out
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, &out)
		}
		return time.Since(began), nil
	}
	if _, err := run("go", "build", "-o", grainc, "./codegen/grainc"); err != nil {
		return err
	}
	var took []float64
	for round := range c.rounds + 1 { // the first warms up
		b.progress("generator, round %d of %d", round, c.rounds)
		d, err := run(grainc, "./samples/wine")
		if err != nil {
			return err
		}
		if round > 0 {
			took = append(took, d.Seconds())
		}
	}
	r.AtMost("grainc on samples/wine, warm, s", report.Median(took), 2)
	return nil
}
