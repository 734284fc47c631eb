// Command siloctl tells people and programs how a cluster of silos is, and changes which silos it has.
//
//	siloctl status  --silos 10.0.0.1:7000      is it healthy, and if not, why
//	siloctl members --silos dns:silos:7000     who belongs to it
//	siloctl grains  --silos file:/etc/silos    where how many grains of which kind are active
//	siloctl slots   --silos nats://n:4222/wine who holds how much of the key space, and what is moving
//
// --silos takes what cluster.Config.Silos takes; the environment variable MARTINELLI_SILOS stands in for it.
// One silo that answers is enough, and no majority is needed. With --json each of these commands prints one
// document, the [cluster.Report], in which the counts of grains are those that the command grains asked for.
//
// Three commands change something. Silos take them from operators alone: from who shows the cluster's secret
// (--secret-file, or the environment variable MARTINELLI_SECRET) or a certificate with a name in the silos'
// Config.Operators, and, where there is neither TLS nor a secret, from their own machine.
//
//	siloctl drain ADDR|ID        has a silo give everything to the others, and end as if told to stop
//	siloctl remove ADDR|ID       takes a silo's store out for good: its directory can never come back
//	siloctl init ADDR,ADDR,…     founds a cluster of silos that were started without a list, and wait
//
// To take a machine away, drain its silo and then remove it. A silo that is only started anew needs neither. One
// whose directory was lost comes back as another store: remove the old one, by its id. What each refuses, and
// what to do then, its --help says. They wait until what they were told is done, say how far it is on standard
// error, and with --json print a document of their own: order, silo, done and, if there is one, problem.
//
// Every command ends with the code 0 where the cluster is healthy, or what was ordered is done; 1 where it is not
// (what is wrong is said on standard error, and in the document); 2 where the command line is wrong; and 3 where
// no silo answered.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/martinelli-go/martinelli/cluster"
)

// Exit codes.
const (
	exitHealthy     = 0
	exitUnhealthy   = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, inspect: cluster.Inspect,
		interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		operate: func(ctx context.Context, c cluster.Config, secret string) (operator, error) {
			return cluster.Operate(ctx, c, secret)
		},
	}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// program is the command with its surroundings passed in.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	interactive    bool // stdin and stderr are a terminal
	getenv         func(string) string
	inspect        func(context.Context, cluster.Config, cluster.Inspection) (*cluster.Report, error)
	operate        func(ctx context.Context, c cluster.Config, secret string) (operator, error)
}

// silosVariable stands in for the flag --silos.
const silosVariable = "MARTINELLI_SILOS"

// command is one of those that siloctl has.
type command struct {
	name, about string
	what        cluster.Inspection
	print       func(io.Writer, *cluster.Report)
}

var commands = []command{
	{"status", "is the cluster healthy, and if not, why", cluster.Inspection{}, printStatus},
	{"members", "who belongs to the cluster", cluster.Inspection{}, printMembers},
	{"grains", "where how many grains of which kind are active", cluster.Inspection{Grains: true}, printGrains},
	{"slots", "who holds how much of the key space, and what is moving", cluster.Inspection{}, printSlots},
}

// options are the flags, the same for all commands.
type options struct {
	silos, listen string
	tls           cluster.TLS
	trust         bool
	timeout       time.Duration
	json          bool
}

func (p program) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprintf(p.stderr, "siloctl: no command\n\n%s", usage())
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.stdout, usage())
		return exitHealthy
	}
	for _, c := range commands {
		if c.name == args[0] {
			return p.command(ctx, c, args[1:])
		}
	}
	for _, c := range orders {
		if c.name == args[0] {
			return p.order(ctx, c, args[1:])
		}
	}
	return p.misused("there is no command %.50q: it is one of %s", args[0], strings.Join(commandNames(), ", "))
}

func commandNames() (names []string) {
	for _, c := range commands {
		names = append(names, c.name)
	}
	for _, c := range orders {
		names = append(names, c.name)
	}
	return names
}

func (p program) command(ctx context.Context, c command, args []string) int {
	var o options
	f := newFlags(c.name, &o, readTimeout)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, "siloctl %s: %s.\n\n%s%s", c.name, c.about, flagUsage(f), codes)
		return exitHealthy
	case err != nil:
		return p.misused("%v", err)
	case f.NArg() > 0:
		return p.misused("%s takes no argument %.50q", c.name, f.Arg(0))
	case o.timeout <= 0:
		return p.misused("--timeout %v is no time to wait", o.timeout)
	}
	if code := p.whichSilos(&o); code != exitHealthy {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	r, err := p.inspect(ctx, cluster.Config{Silos: o.silos, Listen: o.listen, TLS: o.tls, TrustNetwork: o.trust, Logger: slog.New(slog.DiscardHandler)}, c.what)
	if wrong := new(*cluster.ConfigError); errors.As(err, wrong) {
		return p.misused("%s: %s", flagsOf[(*wrong).Field], (*wrong).Reason)
	}
	if err != nil {
		fmt.Fprintln(p.stderr, unreachable(err))
		return exitUnreachable
	}
	return p.tell(c, o, r)
}

// whichSilos makes sure that it is said where silos are.
func (p program) whichSilos(o *options) int {
	if o.silos == "" {
		o.silos = p.getenv(silosVariable)
	}
	if o.silos == "" {
		return p.misused("which silos? Give --silos, or set %s, to the address of one or to where they are found", silosVariable)
	}
	return exitHealthy
}

// flagsOf are the flags by the field of a Config that they set.
var flagsOf = map[string]string{"Silos": "--silos", "Listen": "--listen", "TLS": "--cert, --key, --ca (or --trust-network)"}

// tell prints the report, and what is wrong.
func (p program) tell(c command, o options, r *cluster.Report) int {
	var out bytes.Buffer
	if o.json {
		e := json.NewEncoder(&out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			fmt.Fprintln(p.stderr, "siloctl:", err)
			return exitUnreachable
		}
	} else {
		c.print(&out, r)
	}
	if _, err := p.stdout.Write(out.Bytes()); err != nil {
		fmt.Fprintln(p.stderr, "siloctl: standard output:", err)
		return exitUnreachable
	}
	if r.Healthy() {
		return exitHealthy
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(p.stderr, "siloctl:", printable(problem))
	}
	return exitUnhealthy
}

func (p program) misused(format string, args ...any) int {
	fmt.Fprintf(p.stderr, "siloctl: %s\n(siloctl help says more)\n", printable(fmt.Sprintf(format, args...)))
	return exitUsage
}

// unreachable says who did not answer, and what to look at.
func unreachable(err error) string {
	none := new(*cluster.NoSilo)
	if !errors.As(err, none) {
		return "siloctl: " + printable(err.Error())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "siloctl: no silo answered (%v):", (*none).Cause)
	for _, addr := range sorted((*none).Reasons) {
		fmt.Fprintf(&b, "\n  %s: %s", printable(addr), printable((*none).Reasons[addr]))
	}
	b.WriteString("\nCheck that a silo runs there, and that --silos has the address that it advertises. Silos connect back to this command: give --listen an address of this machine that they reach, if it has several.")
	return b.String()
}

// readTimeout is how long answers are waited for by default.
const readTimeout = 10 * time.Second

func newFlags(name string, o *options, timeout time.Duration) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors and help are printed by who parses
	f.StringVar(&o.silos, "silos", "", "`where` silos are found, one that answers is enough: host:port,host:port or dns:name:port,\ndns+srv:_service._tcp.name, file:/path, nats://host:port/name (default $"+silosVariable+")")
	f.StringVar(&o.listen, "listen", "", "`host:port` of this machine where silos reach this command (default: the address that faces\nthem, any free port)")
	f.StringVar(&o.tls.Cert, "cert", "", "`file` of the certificate by which this command shows who it is, in PEM")
	f.StringVar(&o.tls.Key, "key", "", "`file` of its private key")
	f.StringVar(&o.tls.CA, "ca", "", "`file` of the certificates that those of all nodes derive from")
	f.StringVar(&o.tls.SiloName, "silo-name", "", "the DNS `name` in the certificates of silos, where it is not the usual one")
	f.BoolVar(&o.trust, "trust-network", false, "do without certificates although silos are on other machines")
	o.timeout = timeout
	f.Func("timeout", fmt.Sprintf("`duration` to wait for answers, in all: 5s, 2m (default %v)", timeout), func(text string) (err error) {
		if o.timeout, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("a number with a unit is needed: 5s, 2m")
		}
		return nil
	})
	f.BoolVar(&o.json, "json", false, "print one JSON document in place of text")
	return f
}

func flagUsage(f *flag.FlagSet) string {
	var b strings.Builder
	b.WriteString("Flags:\n")
	f.SetOutput(&b)
	f.PrintDefaults()
	return strings.ReplaceAll(b.String(), "\n  -", "\n  --")
}

const codes = `
Exit codes:
  0  the cluster is healthy, or what was ordered is done
  1  it is not; standard error says why
  2  the command line is wrong
  3  no silo answered
`

func usage() string {
	var b strings.Builder
	b.WriteString("siloctl tells how a cluster of silos is, and changes which silos it has.\n\n  siloctl COMMAND --silos WHERE [flags]\n\nCommands that only read:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-20s %s\n", c.name, c.about)
	}
	b.WriteString("\nCommands for operators (siloctl COMMAND --help says more):\n")
	for _, c := range orders {
		fmt.Fprintf(&b, "  %-20s %s\n", c.name+" "+c.argument, c.about)
	}
	return b.String() + "\n" + flagUsage(newFlags("siloctl", new(options), readTimeout)) + codes
}
