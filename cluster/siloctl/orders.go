package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
)

// operator is the [cluster.Operator] that carries out orders.
type operator interface {
	Drain(ctx context.Context, name string, progress func(cluster.Progress)) error
	Remove(ctx context.Context, name string, force bool, progress func(cluster.Progress)) error
	Init(ctx context.Context, addrs []string) (cluster string, err error)
	Close() error
}

// order is a command that changes something.
type order struct {
	name, argument, about, more string
	give                        func(ctx context.Context, to operator, o orderOptions, tell func(cluster.Progress)) (done, error)
}

var orders = []order{
	{"drain", "ADDR|ID", "have a silo give everything to the others and end", drainHelp,
		func(ctx context.Context, to operator, o orderOptions, tell func(cluster.Progress)) (done, error) {
			return done{said: "silo " + o.argument + " has left the cluster, and holds nothing any more"}, to.Drain(ctx, o.argument, tell)
		}},
	{"remove", "ADDR|ID", "take a silo's store out of the cluster for good", removeHelp,
		func(ctx context.Context, to operator, o orderOptions, tell func(cluster.Progress)) (done, error) {
			return done{said: "store " + o.argument + " is removed from the cluster: its directory can never come back"}, to.Remove(ctx, o.argument, o.force, tell)
		}},
	{"init", "ADDR,ADDR,…", "found a cluster of silos that wait for one", initHelp,
		func(ctx context.Context, to operator, o orderOptions, _ func(cluster.Progress)) (done, error) {
			id, err := to.Init(ctx, o.list())
			return done{cluster: id, said: fmt.Sprintf("cluster %s is founded by %s", id, strings.Join(o.list(), ", "))}, err
		}},
}

const (
	drainHelp = `The silo, named by its address or its store id, gives its slots to the others, grain by grain as turns
end, and its process ends as it does when it is told to stop. Its directory keeps what it holds: started
again, it comes back. The command waits until it is dead in the view and holds nothing. It is refused
where no other active silo hosts what this one does.
`
	removeHelp = `The store, named by its id or by its silo's address, can never come back; what its directory holds is of no
use any more. Drain a silo first: one that lives is removed with --force only, which lets its lease run out
and cuts its calls off. The command waits until the view has no living run of it and the log has no part for
it. It is refused where most of the silos that vote in the log would be missing: start those that do not
answer again from their directories, or remove those first that are gone for good. A terminal is asked
before; elsewhere --yes is needed.
`
	initHelp = `The silos, each by the address that it advertises, were started with a Config.Join that names no list (dns:,
file:, nats:) and without Config.Expect, and wait. They found one cluster together, once: each is asked first,
and nothing happens unless all of them answer and can. Silos that are started later join that cluster. When the
command is cut off in between, give it again: they found only when all have been told the same list.
`
)

// done is what came of an order.
type done struct{ said, cluster string }

// orderDocument is what an order prints as JSON.
type orderDocument struct {
	Order   string            `json:"order"`
	Silo    string            `json:"silo"` // as it was named; the list, of init
	Done    bool              `json:"done"`
	Cluster string            `json:"cluster,omitempty"` // of init
	Problem string            `json:"problem,omitempty"`
	Last    *cluster.Progress `json:"last,omitempty"` // that was seen
}

// orderOptions are the flags and the argument of an order.
type orderOptions struct {
	options
	argument   string
	secretFile string
	yes, force bool
}

func (o orderOptions) list() []string {
	list := strings.Split(o.argument, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return slices.DeleteFunc(list, func(addr string) bool { return addr == "" })
}

// orderTimeout is how long an order is waited for by default.
const orderTimeout = time.Minute

func newOrderFlags(name string, o *orderOptions) *flag.FlagSet {
	f := newFlags(name, &o.options, orderTimeout)
	f.StringVar(&o.secretFile, "secret-file", "", "`file` of the cluster's secret, by which this command shows that an operator gives it; with\ncertificates it is of use with a silo's only (default: the value of $"+secretVariable+")")
	if name == "remove" {
		f.BoolVar(&o.yes, "yes", false, "do not ask")
		f.BoolVar(&o.force, "force", false, "remove a silo that lives, too")
	}
	return f
}

// secretVariable stands in for the flag --secret-file.
const secretVariable = "MARTINELLI_SECRET"

// parse reads the flags of an order, and its argument wherever it stands.
func (o *orderOptions) parse(f *flag.FlagSet, args []string) (extra string, err error) {
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return "", err
		}
		if args = f.Args(); len(args) == 0 {
			break
		}
		if o.argument != "" {
			return args[0], nil
		}
		o.argument, args = args[0], args[1:]
	}
	return "", nil
}

func (p program) order(ctx context.Context, c order, args []string) int {
	var o orderOptions
	f := newOrderFlags(c.name, &o)
	switch extra, err := o.parse(f, args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, "siloctl %s %s: %s.\n\n%s\n%s%s", c.name, c.argument, c.about, c.more, flagUsage(f), codes)
		return exitHealthy
	case err != nil:
		return p.misused("%v", err)
	case extra != "":
		return p.misused("%s takes one argument, and no %.50q", c.name, extra)
	case strings.TrimSpace(o.argument) == "":
		return p.misused("%s what? It takes %s", c.name, c.argument)
	case o.timeout <= 0:
		return p.misused("--timeout %v is no time to wait", o.timeout)
	}
	if c.name == "init" {
		o.silos = o.argument
	}
	if code := p.whichSilos(&o.options); code != exitHealthy {
		return code
	}
	secret, err := p.secret(o)
	if err != nil {
		return p.misused("--secret-file: %v", err)
	}
	if c.name == "remove" && !o.yes {
		if !p.interactive {
			return p.misused("remove is for good, and there is no terminal to ask at: give --yes")
		}
		if !p.confirmed(o.argument) {
			fmt.Fprintln(p.stderr, "siloctl: nothing was done")
			return exitUnhealthy
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	to, err := p.operate(ctx, cluster.Config{Silos: o.silos, Listen: o.listen, TLS: o.tls, TrustNetwork: o.trust, Logger: slog.New(slog.DiscardHandler)}, secret)
	if wrong := new(*cluster.ConfigError); errors.As(err, wrong) {
		return p.misused("%s: %s", flagsOf[(*wrong).Field], (*wrong).Reason)
	}
	if err != nil {
		return p.ordered(c, o, done{}, nil, err)
	}
	defer func() {
		if err := to.Close(); err != nil {
			fmt.Fprintln(p.stderr, "siloctl:", printable(err.Error()))
		}
	}()
	var last *cluster.Progress
	came, err := c.give(ctx, to, o, func(now cluster.Progress) {
		if last == nil || *last != now {
			last = &now
			p.progress(o.argument, now)
		}
	})
	if p.interactive && last != nil {
		fmt.Fprint(p.stderr, clearLine)
	}
	return p.ordered(c, o, came, last, err)
}

// secret is what operators show, without the end of the line that it is on.
func (p program) secret(o orderOptions) (string, error) {
	if o.secretFile == "" {
		return p.getenv(secretVariable), nil
	}
	b, err := os.ReadFile(o.secretFile)
	if err == nil && len(bytes.TrimRight(b, "\r\n")) == 0 {
		err = errors.New("it is empty")
	}
	return string(bytes.TrimRight(b, "\r\n")), err
}

// confirmed asks at the terminal.
func (p program) confirmed(name string) bool {
	fmt.Fprintf(p.stderr, "Remove %s from the cluster for good? Its directory can never come back. Type yes to do it: ", printable(name))
	lines := bufio.NewScanner(p.stdin)
	return lines.Scan() && strings.TrimSpace(lines.Text()) == "yes"
}

// clearLine goes back to the beginning of a terminal's line, and clears it.
const clearLine = "\r\x1b[K"

// progress says how far an order is: on one line of a terminal, on a line each elsewhere.
func (p program) progress(name string, now cluster.Progress) {
	text := fmt.Sprintf("siloctl: %s is %s, holds %d slots, log: %s", printable(name), printable(now.State), now.Held, printable(now.Log))
	if now.State == "" {
		text = fmt.Sprintf("siloctl: %s is in no view any more, and the log has no part for it", printable(name))
	}
	if p.interactive {
		fmt.Fprint(p.stderr, clearLine, text)
	} else {
		fmt.Fprintln(p.stderr, text)
	}
}

// ordered tells what came of an order.
func (p program) ordered(c order, o orderOptions, came done, last *cluster.Progress, err error) int {
	var out bytes.Buffer
	code, text := exitHealthy, ""
	if err != nil {
		code, text = exitUnhealthy, "siloctl: "+printable(strings.TrimPrefix(err.Error(), "cluster: "))
		if errors.As(err, new(*cluster.NoSilo)) {
			code, text = exitUnreachable, unreachable(err)
		}
	}
	switch {
	case o.json:
		d := orderDocument{Order: c.name, Silo: o.argument, Done: err == nil, Cluster: came.cluster, Last: last}
		if err != nil {
			d.Problem = err.Error()
		}
		e := json.NewEncoder(&out)
		e.SetIndent("", "  ")
		if err := e.Encode(d); err != nil {
			fmt.Fprintln(p.stderr, "siloctl:", err)
			return exitUnreachable
		}
	case err == nil:
		fmt.Fprintln(&out, printable(came.said))
	}
	if _, err := p.stdout.Write(out.Bytes()); err != nil {
		fmt.Fprintln(p.stderr, "siloctl: standard output:", err)
		return exitUnreachable
	}
	if text != "" {
		fmt.Fprintln(p.stderr, text)
	}
	return code
}
