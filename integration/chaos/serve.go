package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// serveCommand, as the first argument, makes the program one of the silos; it is not for people.
const serveCommand = "serve"

// What a silo and the process that started it say to each other, a line each.
const (
	saysServing  = "serving"
	saysStopping = "stopping in a turn"
	tellStop     = "stop in a turn: " // and its kind
)

// serve is one run of one silo, until stdin ends or ctx does.
func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet(serveCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	number := flags.Int("silo", 0, "which of the silos, from 1")
	listen := flags.String("listen", "", "host:port")
	advertise := flags.String("advertise", "", "host:port, by name")
	join := flags.String("join", "", "what all advertise")
	dir := flags.String("dir", "", "its data")
	file := flags.String("journal", "", "where turns are noted")
	fault := flags.String("mutate", "", "the safety check that is switched off")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := switchOff(*fault); err != nil {
		return err
	}
	net.DefaultResolver = resolver(*number)
	journal, err := register.Create(*file, int64(*number), register.Now())
	if err != nil {
		return err
	}
	stop := &stopper{stdout: stdout}
	journal.Middle = stop.inTurn

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with stdin, hence with the process at the latest
		defer cancel()
		for in := bufio.NewScanner(stdin); in.Scan(); {
			if kind, ok := strings.CutPrefix(in.Text(), tellStop); ok {
				stop.arm(register.Kind(kind))
			}
		}
	}()
	starting, started := context.WithTimeout(ctx, startWithin)
	defer started()
	s, err := silo.Start(starting, silo.Config{
		Grains: hosted(journal), Listen: *listen, Advertise: *advertise, Join: *join, DataDir: *dir,
		Logger: slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, saysServing)
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, stopped := context.WithTimeout(context.WithoutCancel(ctx), turnsWithin)
	defer stopped()
	if stopErr := s.Stop(bounded); err == nil {
		err = stopErr
	}
	return err
}

// hosted is everything that the silos host; j is nil where only its outlines matter.
func hosted(j *register.Journal) []grains.Kind { return append(register.Grains(j), bank.Grains()...) }

// stopper stops its process in the middle of a turn.
type stopper struct {
	stdout io.Writer
	order  atomic.Pointer[order] // nil while there is none
}

// order says in which turn to stop.
type order struct {
	kind  register.Kind
	until int64 // by register.Now
}

// arm waits for a turn, but not for ever: nobody would let a process go on that stops later.
func (s *stopper) arm(kind register.Kind) {
	s.order.Store(&order{kind, register.Now() + int64(turnWithin)})
}

// inTurn is called in the middle of each turn. It returns, where it stops the process, when somebody
// else lets that go on.
func (s *stopper) inTurn(kind register.Kind) {
	o := s.order.Load()
	if o == nil || o.kind != kind || register.Now() > o.until || !s.order.CompareAndSwap(o, nil) {
		return
	}
	fmt.Fprintln(s.stdout, saysStopping)
	if err := stopSelf(); err != nil {
		panic(fmt.Errorf("this process cannot stop itself: %w", err))
	}
	time.Sleep(time.Millisecond) // the other threads are stopped by now; this one too, before it goes on
}
