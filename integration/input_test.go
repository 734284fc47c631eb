package integration

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/consensus"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn"
)

// A port in use is an error that says which port and which setting.
func TestPortInUse(t *testing.T) {
	ctx := within(t, 30*time.Second)
	// Two neighbouring ports, of which one is taken each time.
	var addr string
	var ports [2]net.Listener
	require.Eventually(t, func() bool {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return false
		}
		n := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n+1))
		if err != nil {
			l.Close()
			return false
		}
		addr, ports = l.Addr().String(), [2]net.Listener{l, next}
		return true
	}, 10*time.Second, time.Millisecond)
	defer ports[1].Close()

	for _, taken := range []string{addr, ports[1].Addr().String()} {
		_, err := silo.Start(ctx, silo.Config{Grains: bank.Grains(), Listen: addr})
		var inUse *actor.PortInUse
		require.ErrorAs(t, err, &inUse)
		require.Equal(t, taken, inUse.Addr)
		require.ErrorContains(t, err, "Config.Listen")
		ports[0].Close() // now the log's port alone is taken
	}
}

func TestAListThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]silo.Config{
		"one twice": {Advertise: "a:1", Join: "a:1,a:1", Network: silo.NewNetwork()},
	} {
		_, err := silo.Start(within(t, 10*time.Second), c)
		var wrong *consensus.WrongList
		require.ErrorAs(t, err, &wrong, name)
		require.ErrorContains(t, err, "Config.Join", name)
	}
	// Nobody is there to join; the error says who did not answer.
	alone, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	_, err := silo.Start(alone, silo.Config{Join: "other:1,another:1", Network: silo.NewNetwork()})
	var nobody *consensus.NotJoined
	require.ErrorAs(t, err, &nobody)
	require.ErrorContains(t, err, "other:1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	// The others never come: the error says who.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = silo.Start(ctx, silo.Config{Advertise: "a:1", Join: "a:1,b:1", Network: silo.NewNetwork()})
	var missing *consensus.NotFounded
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "b:1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestKindsThatDoNotFit(t *testing.T) {
	t.Parallel()
	ctx := within(t, 30*time.Second)
	_, err := silo.Start(ctx, silo.Config{Grains: append(bank.Grains(), bank.Shared()...)})
	var wrong *silo.ConfigError
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, `"bank.journal" is there twice`)
	_, err = cluster.Connect(ctx, cluster.Config{Silos: "127.0.0.1:1", Grains: append(bank.Shared(), bank.Shared()...)})
	require.ErrorContains(t, err, `"bank.journal" is there twice`)

	// A grain, a variable and a view that nobody was given.
	c := graintest.Start(t, 2, bank.Shared())
	for _, at := range []grains.Caller{c, c.Silo(0)} {
		_, err = bank.GetAccount(at, "a").Balance(ctx)
		require.ErrorIs(t, err, grains.ErrNoSuchKind)
		require.ErrorContains(t, err, "bank.Account/a.Balance")
		require.ErrorContains(t, err, "Config.Grains")
		err = variable.By[string](variable.Set[string]("nobody's")).At(at, "x").Add(ctx, "y")
		require.ErrorIs(t, err, grains.ErrNoSuchKind)
		require.ErrorContains(t, err, "nobody's/x")
		_, err = dataflow.On(at, flow.Input[string]("nobody's-view")).All(ctx)
		require.ErrorIs(t, err, grains.ErrNoSuchKind)
		require.ErrorContains(t, err, "nobody's-view")
	}
}

// What is over the limit is refused by type, and nothing of it is done.
func TestOverTheLimit(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 3, bank.Grains())
	ctx := within(t, 60*time.Second)
	_, err := bank.GetAccount(c, "a").Deposit(ctx, 10)
	require.NoError(t, err)
	huge := strings.Repeat("x", 2<<20)
	_, err = bank.GetAccount(c, "a").Transfer(ctx, "b", 1, huge)
	require.ErrorIs(t, err, grains.ErrTooLarge)
	for i := range 3 { // in a grain's own process the arguments are no message; the block's entry is one
		_, err = bank.GetAccount(c.Silo(i), "a").Transfer(ctx, "b", 1, strings.Repeat("x", 6<<20))
		require.Error(t, err)
	}
	for id, want := range map[bank.AccountID]int64{"a": 10, "b": 0} {
		b, err := bank.GetAccount(c, id).Balance(ctx)
		require.NoError(t, err)
		require.Equal(t, want, b)
	}
	n, err := bank.Sent.At(c, "a").Value(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	err = bank.Journal.At(c, "a").Add(ctx, huge)
	require.ErrorIs(t, err, grains.ErrTooLarge)
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := cluster.Connect(ctx, cluster.Config{Silos: "nobody:1", Network: &actor.Network{}})
	var none *cluster.NoSilo
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "nobody:1")
	_, err = cluster.Connect(ctx, cluster.Config{})
	require.ErrorContains(t, err, "Config.Silos")
}

func TestConfigsThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]silo.Config{
		"MaxMessage": {MaxMessage: -1},
		"Silence":    {Silence: -1},
		"Listen":     {Join: "a:1,b:1"},
		"Advertise":  {Listen: ":7930"},
		"Join":       {Listen: "127.0.0.1:7930", Join: "127.0.0.1:7930,127.0.0.1:7931"},
		"TLS":        {Listen: "10.0.0.1:7930"},
		"Authorize":  {Listen: "127.0.0.1:7930", Authorize: func(context.Context, grains.Call) error { return nil }},
	} {
		_, err := silo.Start(within(t, 10*time.Second), c)
		var wrong *silo.ConfigError
		require.ErrorAs(t, err, &wrong, name)
		require.Equal(t, name, wrong.Field)
	}
	for _, c := range []cluster.Config{{Silos: "10.0.0.1:7930"}, {Silos: "127.0.0.1:7930", Listen: ":0"}} {
		_, err := cluster.Connect(within(t, 10*time.Second), c)
		var wrong *cluster.ConfigError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, "TLS", wrong.Field)
		require.ErrorContains(t, err, "TrustNetwork")
	}
	_, err := cluster.Connect(within(t, 10*time.Second), cluster.Config{Silos: "http://10.0.0.1"})
	require.ErrorContains(t, err, "Config.Silos")
}

// What has been stopped says so at once.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	c := graintest.Start(t, 1, bank.Grains())
	ctx := within(t, 30*time.Second)
	s := c.Silo(0)
	require.NoError(t, c.Close())
	require.NoError(t, s.Stop(ctx))
	for _, at := range []grains.Caller{c, s} {
		began := time.Now()
		_, err := bank.GetAccount(at, "a").Deposit(ctx, 1)
		require.ErrorIs(t, err, grains.ErrNotExecuted)
		require.ErrorContains(t, err, "has been stopped")
		require.ErrorIs(t, bank.Journal.At(at, "a").Add(ctx, "x"), grains.ErrNotExecuted)
		require.ErrorIs(t, txn.Atomic(ctx, at, func(context.Context) error { return nil }), txn.ErrAborted)
		require.Less(t, time.Since(began), time.Second)
	}
}
