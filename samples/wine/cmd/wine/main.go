// Command wine runs the wine shop of package samples/wine on three silos of this machine, drives it with
// real ratings, photographs and purchases, kills a silo in the middle, checks everything against a
// recomputation in plain Go, and exits non-zero if anything differs.
//
//	wine [flags]        the demonstration: three silo processes, which it starts and stops
//	wine silo [flags]   one silo
//
// See the flags with wine -h and wine silo -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "silo" {
		o, code := parseSilo(args[1:], stderr)
		if o == nil {
			return code
		}
		return said(stderr, runSilo(ctx, *o, stdin, stdout, stderr))
	}
	o, code := parseDemo(args, stderr)
	if o == nil {
		return code
	}
	return said(stderr, demonstrate(ctx, *o, stdout, stderr))
}

// errReported is the error of a run that has already said what went wrong.
var errReported = errors.New("reported")

func said(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return exitOK
	case !errors.Is(err, errReported):
		fmt.Fprintln(stderr, "wine:", err)
	}
	return exitFailed
}

// demoOptions are the flags of the demonstration.
type demoOptions struct {
	data      string
	seed      uint64
	port      int
	users     int
	buyers    int
	purchases int
	json      bool
	keep      bool
}

func parseDemo(args []string, stderr io.Writer) (*demoOptions, int) {
	var o demoOptions
	f := newFlags("wine", "wine [flags]\n       wine silo [flags]   (one silo; wine silo -h lists its flags)", stderr)
	f.StringVar(&o.data, "data", "", dataUsage)
	f.Uint64Var(&o.seed, "seed", 1, "what is held out, photographed, bought and killed follows from this `number`")
	f.IntVar(&o.port, "port", 0, "the silos listen on this `port` of 127.0.0.1 and the five after it (default: any that are free)")
	f.IntVar(&o.users, "users", 0, "take the ratings of only so many users (default: all)")
	f.IntVar(&o.buyers, "buyers", 64, "how many buy at the same time")
	f.IntVar(&o.purchases, "purchases", 2000, "how many purchases are tried")
	f.BoolVar(&o.json, "json", false, "print the report as JSON, and progress on standard error")
	f.BoolVar(&o.keep, "keep", false, "keep the silos' directories and logs")
	if code, ok := parse(f, args, stderr); !ok {
		return nil, code
	}
	for name, wrong := range map[string]bool{
		"port": o.port < 0 || o.port > 65530, "users": o.users < 0, "buyers": o.buyers < 1, "purchases": o.purchases < 1,
	} {
		if wrong {
			fmt.Fprintf(stderr, "wine: --%s %s is out of range\n", name, f.Lookup(name).Value)
			f.Usage()
			return nil, exitUsage
		}
	}
	return &o, exitOK
}

// siloOptions are the flags of one silo.
type siloOptions struct {
	listen, join, dir string
	data              string
	seed              uint64
	child             bool
}

func parseSilo(args []string, stderr io.Writer) (*siloOptions, int) {
	var o siloOptions
	f := newFlags("wine silo", "wine silo [flags]", stderr)
	f.StringVar(&o.listen, "listen", "127.0.0.1:7000", "`host:port` where others reach the silo; its log has the next port")
	f.StringVar(&o.join, "join", "", "the --listen of all silos, this one's too, separated by commas (default: a cluster of one)")
	f.StringVar(&o.dir, "dir", "", "`directory` that belongs to this silo alone (default: in memory)")
	f.StringVar(&o.data, "data", "", dataUsage)
	f.Uint64Var(&o.seed, "seed", 1, "which of the photographs the silo knows follows from this `number`")
	f.BoolVar(&o.child, "child", false, "stop when standard input ends, as it does when the parent dies")
	if code, ok := parse(f, args, stderr); !ok {
		return nil, code
	}
	return &o, exitOK
}

func newFlags(name, usage string, stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s\n\n", usage)
		f.PrintDefaults()
	}
	return f
}

// parse reports what is wrong with the arguments; then, or after -h, ok is false.
func parse(f *flag.FlagSet, args []string, stderr io.Writer) (code int, ok bool) {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK, false
	case err != nil:
		return exitUsage, false // which Parse has reported, with the usage
	case f.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", f.Name(), f.Arg(0))
		f.Usage()
		return exitUsage, false
	}
	return exitOK, true
}
