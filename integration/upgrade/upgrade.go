// Package upgrade replaces the silos of an old build by those of a new one, one after the other, while old and
// new clients call: what a rolling upgrade is in production. The builds are packages v1 and v2, which know one
// kind of grains: the new one has another method, a method by another name, and structs with another field.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/internal/child"
	"github.com/martinelli-go/martinelli/integration/internal/report"
	v1 "github.com/martinelli-go/martinelli/integration/upgrade/v1"
	v2 "github.com/martinelli-go/martinelli/integration/upgrade/v2"
)

// Plan is how much is done.
type Plan struct {
	// Guests is how many tabs each client orders on, one after the other on each.
	Guests int
	// Between is how many orders each guest gives before the first silo is replaced, between two, and after the
	// last.
	Between int64
}

// Full is what a measurement does, Short what a test does.
var (
	Full  = Plan{Guests: 16, Between: 100}
	Short = Plan{Guests: 8, Between: 25}
)

// Figures are what an upgrade has shown.
type Figures struct {
	Calls   int64         // of methods that both builds have
	Failed  []error       // those of them that failed, for whatever reason
	Longest time.Duration // of them
	Took    time.Duration // from the order to stop the first silo to the last one's serving
	// Refused counts calls of the method that old silos lack, by type and before they ran; Served those that
	// reached a new one.
	Refused, Served int64
	// Wrong lists tabs that do not say what was ordered, and new methods that fail in the end.
	Wrong []error
}

// Report adds the figures to a report.
func (f *Figures) Report(r *report.Report) {
	r.Require("rolling upgrade: failed calls", float64(len(f.Failed)), "0", f.Calls > 0 && len(f.Failed) == 0)
	r.Require("rolling upgrade: tabs that are wrong afterwards", float64(len(f.Wrong)), "0", len(f.Wrong) == 0)
	r.Figure("rolling upgrade: calls", float64(f.Calls))
	r.Figure("rolling upgrade: the longest call, s", f.Longest.Seconds())
	r.Figure("rolling upgrade: calls of a new method that old silos refused", float64(f.Refused))
	r.Figure("rolling upgrade: it took, s", f.Took.Seconds())
}

// ServeCommand, as the first argument, is for [Serve].
const ServeCommand = "upgrade-silo"

// Serve is one run of one silo, until stdin ends. A program that calls Run must call it when it is started with
// ServeCommand as its first argument, with the arguments after that.
func Serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) != 4 {
		return fmt.Errorf("%s takes build, address, addresses and directory, not %q", ServeCommand, args)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with stdin, hence with the process at the latest
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	return serve(ctx, args, stdout, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// kinds are those of a build.
func kinds(build string) []grains.Kind {
	if build == newBuild {
		return v2.Grains()
	}
	return v1.Grains()
}

const (
	oldBuild, newBuild = "old", "new"
	silos              = 3
)

// Run runs an upgrade, of processes with directories, and returns when its silos have ended. The error says
// that it could not be done; what calls and tabs had to say is in the figures. Says are lines about where it is.
func Run(ctx context.Context, p Plan, says io.Writer) (_ *Figures, err error) {
	dir, err := os.MkdirTemp("", "upgrade")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addrs, err := child.SiloAddrs(silos)
	if err != nil {
		return nil, err
	}
	join := strings.Join(addrs, ",")
	start := func(i int, build string) (*child.Process, error) {
		return child.Spawn(ctx, ServeCommand, build, addrs[i], join, filepath.Join(dir, fmt.Sprintf("silo-%d", i+1)))
	}
	running := make([]*child.Process, silos)
	defer func() {
		for _, s := range running {
			if s != nil {
				err = errors.Join(err, s.Stop())
			}
		}
	}()
	if err := together(silos, func(i int) (err error) {
		running[i], err = start(i, oldBuild)
		return err
	}); err != nil {
		return nil, err
	}
	var clients [2]*cluster.Client
	for i := range clients {
		c, err := cluster.Connect(ctx, cluster.Config{Silos: join, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		clients[i] = c
	}
	l := newLoad(p, clients[0], clients[1])
	defer l.stop()
	if err := l.more(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	for i := range running {
		s := running[i]
		running[i] = nil
		if err := s.Stop(); err != nil {
			return nil, err
		}
		if running[i], err = start(i, newBuild); err != nil {
			return nil, err
		}
		fmt.Fprintf(says, "silo %d is of the new build: %d calls so far\n", i+1, l.calls.Load())
		if err := l.more(ctx); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	l.stop()
	f := l.figures()
	f.Took = took
	f.Wrong = append(f.Wrong, l.check(ctx)...)
	return f, nil
}
