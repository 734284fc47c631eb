//go:build !race

// Starting several nodes over TCP in one process races inside of remote, over the logger of gRPC.

package silo_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/silo"
)

// twoPorts are free, one after the other.
func twoPorts(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port+1))
		_ = l.Close()
		if err == nil {
			_ = next.Close()
			return l.Addr().String()
		}
	}
	require.Fail(t, "no two ports")
	return ""
}

// real starts silos over TCP, which have founded a cluster and serve.
func real(t *testing.T, n int) []*silo.Silo {
	var addrs []string
	for range n {
		addrs = append(addrs, twoPorts(t))
	}
	silos := make([]*silo.Silo, n)
	ctx := within(t, 60*time.Second)
	var starts sync.WaitGroup
	for i, addr := range addrs {
		starts.Go(func() {
			var err error
			silos[i], err = silo.Start(ctx, silo.Config{
				Listen: addr, Join: strings.Join(addrs, ","), DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
			})
			assert.NoError(t, err)
		})
	}
	starts.Wait()
	for _, s := range silos {
		require.NotNil(t, s)
	}
	return silos
}

// All silos of a cluster that are stopped at once leave at once: none waits for others that have gone before it.
func TestAllSilosStopAtOnce(t *testing.T) {
	t.Parallel()
	for range 6 {
		silos := real(t, 3)
		took := make([]time.Duration, len(silos))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		var stops sync.WaitGroup
		for i, s := range silos {
			stops.Go(func() {
				assert.NoError(t, s.Stop(ctx))
				took[i] = time.Since(began)
			})
		}
		stops.Wait()
		cancel()
		for _, d := range took {
			require.Less(t, d, 3*time.Second, "%v", took)
		}
	}
}
