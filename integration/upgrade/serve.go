package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/internal/child"
)

// serve runs a silo until ctx ends, and says on stdout when it serves.
func serve(ctx context.Context, args []string, stdout io.Writer, logger *slog.Logger) error {
	build, addr, join, dir := args[0], args[1], args[2], args[3]
	starting, started := context.WithTimeout(ctx, child.StartWithin)
	defer started()
	s, err := silo.Start(starting, silo.Config{Grains: kinds(build), Listen: addr, Join: join, DataDir: dir, Logger: logger})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "serving")
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, stopped := context.WithTimeout(context.WithoutCancel(ctx), child.StopWithin*2/3)
	defer stopped()
	return errors.Join(err, s.Stop(bounded))
}

// together calls f for 0 to n-1 at once.
func together(n int, f func(int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}
