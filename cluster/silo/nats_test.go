package silo_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/silo"
)

// broker starts a NATS server in this process, at a port of its own where that is 0.
func broker(t *testing.T, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true})
	require.NoError(t, err)
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

// Silos that know of each other by NATS alone found one cluster in whatever order they are started, and the
// server with them; one that comes later joins it, and who has ended is not named any more.
func TestFoundingByNATS(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	ctx := within(t, 90*time.Second)
	first := broker(t, 0)
	port, join := first.Addr().(*net.TCPAddr).Port, first.ClientURL()+"/wine"
	source, err := discovery.Parse(join)
	require.NoError(t, err)
	first.Shutdown()
	first.WaitForShutdown()

	network := silo.NewNetwork()
	config := func(addr string, expect int) silo.Config {
		return silo.Config{Advertise: addr, Join: join, Expect: expect, Network: network, Memory: silo.NewMemory(), Logger: slog.New(slog.DiscardHandler)}
	}
	// Without the server nobody is found, and nobody founds.
	_, err = silo.Start(within(t, 200*time.Millisecond), config("early:1", 3))
	require.ErrorAs(t, err, new(*silo.NotResolved))
	require.ErrorAs(t, err, new(*discovery.SourceError))

	addrs := []string{"a:1", "b:1", "c:1"}
	var mu sync.Mutex
	silos := map[string]*silo.Silo{}
	var starts sync.WaitGroup
	start := func(addr string, expect int) {
		starts.Go(func() {
			s, err := silo.Start(ctx, config(addr, expect))
			if err != nil {
				t.Errorf("seed %d: silo %s: %v", seed, addr, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			silos[addr] = s
		})
	}
	t.Cleanup(func() {
		starts.Wait()
		ending, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var stops sync.WaitGroup
		for _, s := range silos {
			stops.Go(func() { _ = s.Stop(ending) })
		}
		stops.Wait()
	})
	announced := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			seeds, err := source.Seeds(ctx)
			return len(want) == 0 && errors.Is(err, discovery.ErrNone) || err == nil && slices.Equal(want, seeds)
		}, 30*time.Second, 10*time.Millisecond, "seed %d: %v announce themselves", seed, want)
	}
	order := random.Perm(len(addrs))
	start("late:1", 0) // it joins, and founds nothing: alone it waits
	start(addrs[order[0]], len(addrs))
	second := broker(t, port)
	announced(addrs[order[0]])
	for _, i := range order[1:] {
		start(addrs[i], len(addrs))
	}
	starts.Wait()
	require.Len(t, silos, 4, "seed %d", seed)
	announced("a:1", "b:1", "c:1", "late:1")

	// A server that restarts is told again.
	second.Shutdown()
	second.WaitForShutdown()
	broker(t, port)
	announced("a:1", "b:1", "c:1", "late:1")

	require.NoError(t, silos["b:1"].Stop(ctx))
	delete(silos, "b:1")
	announced("a:1", "c:1", "late:1")
}
