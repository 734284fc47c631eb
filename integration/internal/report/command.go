package report

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Exit codes of a command.
const (
	ExitMeasured = 0 // also when a bar is missed, and for --help
	ExitFailed   = 1 // something could not be measured
	ExitUsage    = 2 // flags or arguments that it does not know
)

// Command is a program that measures.
type Command struct {
	Name    string // of its directory under integration
	About   string // for --help: what it measures and how long that takes
	Results string // the file's name under integration/results
	// Measure measures, or sees in a few seconds that it could when short is set. It says on stderr what
	// it is doing, and may leave files in the directory results.
	Measure func(ctx context.Context, short bool, results string, stderr io.Writer) *Report
}

// Run reads the flags, measures, prints and writes the report, and returns an exit code.
func (c *Command) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: go run ./integration/%s [flags]\n\n%s\n", c.Name, c.About)
		flags.PrintDefaults()
	}
	short := flags.Bool("short", false, "a few seconds: to see that it works; its figures mean little")
	asJSON := flags.Bool("json", false, "print the rows as JSON instead of tables")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitMeasured
	case err != nil:
		return ExitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q: it takes flags alone\n", c.Name, flags.Arg(0))
		flags.Usage()
		return ExitUsage
	}
	root, err := ModuleRoot()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
		return ExitFailed
	}
	results := filepath.Join(root, "integration", "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
		return ExitFailed
	}
	r := c.Measure(ctx, *short, results, stderr)
	if err := r.Write(filepath.Join(results, c.Results)); err != nil {
		r.Failures = append(r.Failures, err)
	}
	if *asJSON {
		r.PrintJSON(stdout)
	} else {
		r.Print(stdout)
	}
	for _, err := range r.Failures {
		fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
	}
	if len(r.Failures) > 0 {
		return ExitFailed
	}
	return ExitMeasured
}

// Machine says where figures come from.
func Machine() string {
	return fmt.Sprintf("%d CPUs, GOMAXPROCS %d, %s %s/%s", runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// ModuleRoot is the directory of the module that the working directory is in.
func ModuleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %s or above it: run it inside of the repository", start)
		}
	}
}
