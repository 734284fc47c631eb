package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

const usage = `usage: go tool grainc [flags] [packages]

grainc reads the grain interfaces (those that embed grains.Keyed), their implementations (structs that
embed grains.Implements), structs of lattices and the variables, graphs and processes of Go packages, and
writes into each:

  grain_gen.go    GetX for each interface, Key for each implementation, Grains and Shared, encoders,
                  the methods of lattices
  grain_gen.lock  the numbers of methods, fields, states and errors; keep it under version control

The packages are patterns as the go command takes them; the default is the current directory. What is
wrong with them is printed, all of it, as file:line:col: what and how to fix it.

flags:
  -check        write nothing; list the files that are not up to date, and fail if there are any
  -proto FILE   write FILE too: the interfaces of the one package as a .proto file, for other languages
  -strict       take warnings for errors

What changes in a lock file that was there (added, removed, renamed, refused) is printed, a line each.

In the packages:
  //go:generate go tool grainc .
  //grain:readonly    above a method: it changes nothing
  //grain:reentrant   above a method, or an interface: while it waits, other calls of its grain run
  //grain:oneway      above a method: nobody waits for it
  //grain:idempotent  above a method: twice does what once does; it is called again if need be
  //grain:version 2   above a grain interface: for people, in errors of what cannot talk
  //grain:idle 5m     above an implementation: how long its grains are kept without calls
  //grain:was Old     above what was called Old: it keeps the number of Old
  //crdt:lattice      above a struct whose fields are lattices: it is one

The exit code is 0, 1 when something is wrong or not up to date, and 2 when the command line is.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, ".", os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command, seen from dir; it returns the exit code.
func run(ctx context.Context, dir string, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("grainc", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	check := flags.Bool("check", false, "")
	proto := flags.String("proto", "", "")
	strict := flags.Bool("strict", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "grainc: %s\n\n%s", err, usage)
		return 2
	}
	patterns := flags.Args()
	for _, p := range patterns {
		if strings.HasPrefix(p, "-") {
			fmt.Fprintf(stderr, "grainc: flag %s stands after a package: put it first\n", p)
			return 2
		}
	}
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	result, err := generate(ctx, dir, patterns, *proto)
	if err != nil {
		fmt.Fprintln(stderr, "grainc:", err)
		return 1
	}
	for _, line := range result.changes {
		fmt.Fprintln(stdout, line)
	}
	for _, p := range slices.Concat(result.warnings, result.problems) {
		fmt.Fprintln(stderr, p)
	}
	if len(result.problems) > 0 || *strict && len(result.warnings) > 0 {
		return 1
	}
	stale := result.stale()
	if *check {
		for _, f := range stale {
			fmt.Fprintf(stderr, "%s is not up to date: run go generate\n", relative(dir, f.name))
		}
		if len(stale) > 0 {
			return 1
		}
		return 0
	}
	for _, f := range stale {
		if err := f.write(); err != nil {
			fmt.Fprintln(stderr, "grainc:", err)
			return 1
		}
	}
	return 0
}
