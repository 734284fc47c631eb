package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/samples/wine"
)

// serving is what a silo prints when it serves.
const serving = "serving"

// runSilo is one silo, until ctx ends or, for a child, standard input does.
func runSilo(ctx context.Context, o siloOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	c, err := loadCatalogue(dataDir(o.data), o.seed)
	if err != nil {
		return err
	}
	index, err := labels(c, o.seed)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if o.child {
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // the end is what matters, not how it came
			stop()
		}()
	}
	s, err := silo.Start(ctx, silo.Config{
		Grains: wine.Grains(index), Listen: o.listen, Join: o.join, DataDir: o.dir,
		Logger: slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if taken := (*actor.PortInUse)(nil); errors.As(err, &taken) {
		return fmt.Errorf("--listen %s: %w (a silo uses that port and the next: give --listen another)", o.listen, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s on %s\n", serving, s.Addr())
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(err, s.Stop(bounded))
}
