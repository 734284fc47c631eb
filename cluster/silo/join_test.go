package silo_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/discovery"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/silo"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, path string, addrs ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(strings.Join(addrs, "\n")), 0o644))
	require.NoError(t, os.Rename(path+".new", path))
}

// Silos whose addresses come from a file found one cluster, in whatever order they and their addresses
// arrive; one that sees a part of the addresses founds none. Founded silos ask no more.
func TestFoundingByAFile(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	path := filepath.Join(t.TempDir(), "silos")
	network := silo.NewNetwork()
	addrs := []string{"a:1", "b:1", "c:1"}
	memory := map[string]*silo.Memory{}
	for _, addr := range addrs {
		memory[addr] = silo.NewMemory()
	}
	start := func(ctx context.Context, addr string) (*silo.Silo, error) {
		return silo.Start(ctx, silo.Config{
			Advertise: addr, Join: "file:" + path, Expect: len(addrs), Network: network, Memory: memory[addr], Logger: slog.New(slog.DiscardHandler),
		})
	}

	put(t, path, "a:1")
	_, err := start(within(t, 200*time.Millisecond), "a:1")
	var partly *silo.NotResolved
	require.ErrorAs(t, err, &partly)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "yields 1: [a:1]")
	require.ErrorContains(t, err, "Config.Join")

	// The file names one that is long gone; whoever believed it looks again. They announce themselves, too.
	put(t, path, "a:1", "b:1", "gone:1")
	ctx := within(t, 60*time.Second)
	var starts sync.WaitGroup
	silos := make([]*silo.Silo, len(addrs))
	for _, i := range random.Perm(len(addrs)) {
		starts.Go(func() {
			var err error
			if silos[i], err = start(ctx, addrs[i]); err != nil {
				t.Errorf("seed %d: silo %d: %v", seed, i, err)
			}
		})
	}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), "c:1")
	}, 30*time.Second, time.Millisecond)
	starting := make(chan struct{})
	go func() { starts.Wait(); close(starting) }()
	select {
	case <-starting:
		require.Fail(t, "silos were founded by lists that were no list of them", "seed %d", seed)
	case <-time.After(300 * time.Millisecond):
	}
	put(t, path, "c:1", "b:1", "a:1")
	<-starting
	for _, s := range silos {
		require.NotNil(t, s)
	}

	put(t, path, "b:1")
	client, err := cluster.Connect(ctx, cluster.Config{Silos: "file:" + path, Network: network.Messages, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Len(t, client.View().Members, 3)
	require.NoError(t, client.Close())

	require.NoError(t, silos[0].Stop(ctx))
	silos[0], err = start(ctx, addrs[0])
	require.NoError(t, err, "a founded silo needs no list")
	for _, s := range silos {
		require.NoError(t, s.Stop(ctx))
	}
}

// One seed that can be reached is enough, whoever else is named: some are gone, others stand still.
func TestOneSeedOfManyIsEnough(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	network := silo.NewNetwork()
	path := filepath.Join(t.TempDir(), "silos")
	start := func(c silo.Config) *silo.Silo {
		c.Network, c.Memory, c.Logger = network, silo.NewMemory(), slog.New(slog.DiscardHandler)
		s, err := silo.Start(ctx, c)
		require.NoError(t, err)
		t.Cleanup(func() {
			ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = s.Stop(ending)
		})
		return s
	}
	start(silo.Config{Advertise: "m:1"})
	seeds := []string{"a:1", "b:1", "m:1"}
	for i := range 8 {
		still, err := actor.Start(actor.Config{
			Network: network.Messages, Addr: fmt.Sprintf("d-%d:1", i), Silo: true, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = still.Stop(t.Context()) })
		for _, service := range []actor.Service{link.ServiceFounding, link.ServiceAdmit} {
			still.Handle(service, func(ctx context.Context, _ actor.Peer, _ []byte) ([]byte, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
		}
		seeds = append(seeds, still.Addr())
	}
	slices.Sort(seeds)
	put(t, path, seeds...)
	joins := start(silo.Config{Advertise: "z:1", Join: "file:" + path})
	client, err := cluster.Connect(ctx, cluster.Config{Silos: "z:1", Network: network.Messages, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Len(t, client.View().Members, 2)
	require.NoError(t, client.Close())
	require.NoError(t, joins.Stop(ctx))
}

// What cannot tell how many silos there are is refused before anything is opened.
func TestJoinsThatCannotWork(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]silo.Config{
		"Config.Expect: is 3":                    {Join: "a:1,b:1", Expect: 3},
		"Config.Expect: is negative":             {Expect: -1},
		"Config.Expect: is 2, and Join is empty": {Expect: 2},
		"Config.Join: \"a;b\"":                   {Join: "a;b"},
	} {
		c.Network, c.Advertise = silo.NewNetwork(), "a:1"
		_, err := silo.Start(within(t, 10*time.Second), c)
		var wrong *silo.ConfigError
		require.ErrorAs(t, err, &wrong, want)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
	// The log's ports are looked at once addresses are known.
	path := filepath.Join(t.TempDir(), "silos")
	put(t, path, "127.0.0.1:7940", "127.0.0.1:7941")
	_, err := silo.Start(within(t, 30*time.Second), silo.Config{
		Listen: "127.0.0.1:7940", Join: "file:" + path, Expect: 2, DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
	})
	require.ErrorAs(t, err, new(*silo.ConfigError))
	require.ErrorContains(t, err, "keeps the log")
	put(t, path, "b:1", "c:1")
	_, err = silo.Start(within(t, 200*time.Millisecond), silo.Config{
		Advertise: "a:1", Join: "file:" + path, Expect: 2, Network: silo.NewNetwork(), Logger: slog.New(slog.DiscardHandler),
	})
	require.ErrorContains(t, err, "lacks this silo's own address a:1")
	_, err = silo.Start(within(t, 200*time.Millisecond), silo.Config{
		Advertise: "a:1", Join: "file:" + path + "-none", Expect: 2, Network: silo.NewNetwork(), Logger: slog.New(slog.DiscardHandler),
	})
	require.ErrorIs(t, err, discovery.ErrNone)
}
