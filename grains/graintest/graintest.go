// Package graintest runs whole clusters inside of tests: silos and a client in one process, in memory.
//
//	func TestPurchase(t *testing.T) {
//		c := graintest.Start(t, 3, wine.Grains(labels))
//		c.Kill(0)
//		_, err := wine.GetUser(c, "alice").Purchase(t.Context(), "100062")
//		require.ErrorIs(t, err, wine.ErrNoMoney)
//	}
package graintest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
)

// Cluster is a cluster in memory. It is a client of itself: a grains.Caller. It is stopped when the test
// ends. What it logs, from warnings on, is in the output of a test that has failed, the last 256 KiB of it.
type Cluster struct {
	*cluster.Client
	t       testing.TB
	network *silo.Network
	silos   []*member
	logger  *slog.Logger
}

type member struct {
	config silo.Config
	silo   *silo.Silo // nil while it is down
}

// timeout bounds every step, so that a cluster that hangs fails its test.
const timeout = 30 * time.Second

// Start starts a cluster of that many silos, each given kinds, and fails the test if it does not serve.
func Start(t testing.TB, silos int, kinds []grains.Kind) *Cluster {
	t.Helper()
	return StartWith(t, Config{Silos: silos, Grains: kinds})
}

// Config is what a cluster is to have beyond silos and kinds.
type Config struct {
	// Silos is how many there are; 0 stands for 1.
	Silos int
	// Grains is what each of them is given, and the client.
	Grains []grains.Kind
	// Incoming and Outgoing are those of every silo, and Outgoing also those of the client; see
	// [grains.Interceptor].
	Incoming, Outgoing []grains.Interceptor
	// The rest is what the Config of package silo has by these names, for every silo, with its defaults; MaxMessage
	// is the client's too. The client has no certificate: Authorize is told of no Principal.
	MaxMessage, Queue, Calls, CallBytes int
	IdleAfter, ReaderPause              time.Duration
	Authorize                           func(ctx context.Context, c grains.Call) error
}

// StartWith is Start with more to choose.
func StartWith(t testing.TB, config Config) *Cluster {
	t.Helper()
	silos, kinds := max(config.Silos, 1), config.Grains
	out := &output{of: t}
	t.Cleanup(out.end) // runs after stop
	c := &Cluster{t: t, network: silo.NewNetwork(), logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	var addrs []string
	for i := range silos {
		addrs = append(addrs, fmt.Sprintf("silo-%d:%d", i, 7000+10*i))
	}
	for i := range silos {
		c.silos = append(c.silos, &member{config: silo.Config{
			Grains: kinds, Advertise: addrs[i], Join: strings.Join(addrs, ","),
			Network: c.network, Memory: silo.NewMemory(), Logger: c.logger,
			Incoming: config.Incoming, Outgoing: config.Outgoing,
			MaxMessage: config.MaxMessage, Queue: config.Queue, Calls: config.Calls, CallBytes: config.CallBytes,
			IdleAfter: config.IdleAfter, ReaderPause: config.ReaderPause, Authorize: config.Authorize,
		}})
	}
	t.Cleanup(c.stop)
	c.each(func(m *member) { c.start(m) })
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	client, err := cluster.Connect(ctx, cluster.Config{Silos: strings.Join(addrs, ","), Grains: kinds, Network: c.network.Messages, Logger: c.logger, Outgoing: config.Outgoing, MaxMessage: config.MaxMessage})
	require.NoError(t, err)
	c.Client = client
	c.await(silos)
	return c
}

// each calls f for all silos at once: a cluster is founded by all together.
func (c *Cluster) each(f func(*member)) {
	var wg sync.WaitGroup
	for _, m := range c.silos {
		wg.Go(func() { f(m) })
	}
	wg.Wait()
	for _, m := range c.silos {
		require.NotNil(c.t, m.silo, "a silo did not start")
	}
}

func (c *Cluster) start(m *member) {
	ctx, cancel := context.WithTimeout(c.t.Context(), timeout)
	defer cancel()
	s, err := silo.Start(ctx, m.config)
	if err != nil {
		c.t.Errorf("starting silo %s: %v", m.config.Advertise, err)
		return
	}
	m.silo = s
}

// await waits until the client knows that so many silos are up, and nothing moves between them.
func (c *Cluster) await(up int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.active() == up && c.View().Settled() }, timeout, 10*time.Millisecond, "waiting for %d silos to share the slots", up)
}

func (c *Cluster) active() (n int) {
	for _, m := range c.View().Members {
		if m.State == view.Active {
			n++
		}
	}
	return n
}

// Silo returns the i-th silo, for calls from there; nil while it is down.
func (c *Cluster) Silo(i int) *silo.Silo { return c.silos[i].silo }

// Kill ends the i-th silo as SIGKILL would: nothing that it has not said by now is ever heard. What it
// had made durable is there for Restart. Kill does not wait until the others have noticed.
func (c *Cluster) Kill(i int) {
	c.t.Helper()
	m := c.silos[i]
	require.NotNil(c.t, m.silo, "silo %d is down already", i)
	c.network.Kill(m.config.Advertise)
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.silo.Stop(dead) // it cannot say anything to anybody, and nobody waits for it
	m.silo = nil
}

func (c *Cluster) halt(m *member) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := m.silo.Stop(ctx); err != nil {
		c.t.Errorf("stopping silo %s: %v", m.config.Advertise, err)
	}
	m.silo = nil
}

// Restart starts the i-th silo again, with what it had made durable, and waits until it serves.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	m := c.silos[i]
	require.Nil(c.t, m.silo, "silo %d is up", i)
	c.start(m)
	require.NotNil(c.t, m.silo)
}

func (c *Cluster) stop() {
	if c.Client != nil {
		if err := c.Client.Close(); err != nil {
			c.t.Errorf("closing the client: %v", err)
		}
	}
	for _, m := range c.silos {
		if m.silo != nil {
			c.halt(m)
		}
	}
}

// output keeps the end of what is logged until the test ends, when a test that has failed shows it. Connections of
// the log may end later, with a line in their log, and a test panics when something is written to it then.
type output struct {
	mu   sync.Mutex
	of   testing.TB // nil at the end
	kept [][]byte   // lines
	size int
}

// mostOutput is how many bytes of output are kept.
const mostOutput = 256 << 10

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		return len(b), nil
	}
	o.kept, o.size = append(o.kept, bytes.Clone(b)), o.size+len(b)
	for o.size > mostOutput {
		o.size -= len(o.kept[0])
		o.kept = o.kept[1:]
	}
	return len(b), nil
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of.Failed() {
		_, _ = o.of.Output().Write(bytes.Join(o.kept, nil))
	}
	o.of, o.kept = nil, nil
}
