package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/link"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn/commit"
)

// services are those that a silo has.
var services = []actor.Service{
	link.ServiceFounding, link.ServiceView, link.ServiceProbe, link.ServicePropose, link.ServiceCalls, link.ServiceBlocks,
	link.ServiceStatus, link.ServiceVariables, link.ServiceReplicas, link.ServiceRepairs, link.ServiceDataflow, link.ServiceSnapshots,
	link.ServiceReport, link.ServiceHandover, link.ServiceAsk, link.ServiceVote, link.ServiceAdmit, link.ServiceAdmin,
}

// write is a request by which a client changes something.
type write struct {
	service actor.Service
	payload []byte
}

// writes are all the ways to change what account and variable x hold, as a client may ask for them.
func writes(id view.SiloID) (all []write) {
	deposit := wire.AppendInt(nil, 1, int64(7))
	count := crdt.CounterOp{N: 7}.Append(nil)
	account, sent := wire.NewID("bank.Account", "x"), wire.NewID("bank.sent", "x")
	for _, call := range []link.CallRequest{
		{}, {Forwarded: true}, {OneWay: true}, {Of: wire.Interface{Fingerprint: 1, Lineage: 2}}, {By: view.Grant{Kind: "bank.Account", Slot: 1, Token: 1}}, {Chain: []link.Link{{Grain: wire.NewID("bank.Account", "y")}}},
	} {
		call.To, call.Method, call.Args = account, 1, deposit
		all = append(all, write{link.ServiceCalls, call.Append(nil)})
	}
	mutate := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	for number, text := range []string{sent.Kind(), sent.Key(), string(count)} {
		mutate = protowire.AppendString(protowire.AppendTag(mutate, protowire.Number(2+number), protowire.BytesType), text)
	}
	all = append(all, write{link.ServiceVariables, mutate})
	for client := range uint64(4) {
		next := commit.Attempt{ID: commit.ID{Client: 1 + client, Seq: 100}, N: 1}
		for _, decision := range []commit.Decision{
			{Attempt: next, Ops: []commit.Operation{{Variable: sent, Op: count}}},
			{Attempt: next, Writes: []commit.Write{{Key: commit.StateKey{Grain: account, State: 1}, Value: deposit}}},
		} {
			entry := commit.EncodeEntry(commit.Register{}, decision)
			all = append(all, write{link.ServicePropose, (&link.LeaderRequest{Op: link.OpPropose, Entry: entry}).Append(nil)})
		}
	}
	for op := link.AdminAsk; op <= link.AdminInit; op++ {
		all = append(all, write{link.ServiceAdmin, (&link.AdminRequest{Op: op, Silo: id, Force: true, Addrs: []string{"silo:1"}}).Append(nil)})
	}
	return all
}

// What Authorize refuses changes nothing, in whatever form a client asks for it, and what is no request at all
// harms nobody, on every service.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	ctx := within(t, 90*time.Second)
	var denies atomic.Bool
	var asked atomic.Int64
	f := newFleet(t)
	c := f.config("silo:1")
	c.Secret = "s"
	c.Authorize = func(context.Context, grains.Call) error {
		asked.Add(1)
		if denies.Load() {
			return errors.New("nobody may")
		}
		return nil
	}
	s, err := silo.Start(ctx, c)
	require.NoError(t, err)
	f.silos["silo:1"] = s
	f.deposit(ctx, "silo:1", "x")
	client, err := actor.Start(actor.Config{Network: f.network.Messages, Addr: "client:1", Timeout: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Stop(ctx)) }()
	held := func() (all [2]int64) {
		all[0], err = bank.GetAccount(s, "x").Balance(ctx)
		require.NoError(t, err)
		all[1], err = bank.Sent.At(s, "x").Value(ctx)
		require.NoError(t, err)
		return all
	}
	shown, err := client.Request(ctx, "silo:1", link.ServiceReport, nil)
	require.NoError(t, err)
	report, err := link.DecodeReport(shown)
	require.NoError(t, err)
	corpus := writes(report.Silo)

	// These are writes where they are allowed.
	changed := map[actor.Service]bool{}
	for _, w := range corpus {
		before := held()
		_, _ = client.Request(ctx, "silo:1", w.service, w.payload)
		if held() != before {
			changed[w.service] = true
		}
	}
	for _, service := range []actor.Service{link.ServiceCalls, link.ServiceVariables, link.ServicePropose} {
		require.True(t, changed[service], "service %v", service)
	}

	// What a decision does to a variable is done after its answer: one by itself, four by decisions.
	require.Eventually(t, func() bool { return held()[1] == 5*7 }, 20*time.Second, time.Millisecond)
	denies.Store(true)
	before, already := held(), asked.Load()
	for range 4000 {
		w := corpus[random.IntN(len(corpus))]
		b := slices.Clone(w.payload)
		for range random.IntN(4) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		switch random.IntN(8) {
		case 0:
			b = append(b, corpus[random.IntN(len(corpus))].payload...)
		case 1:
			b = b[:random.IntN(len(b)+1)]
		}
		if random.IntN(2) == 0 {
			w.service = services[random.IntN(len(services))]
		}
		if random.IntN(4) == 0 {
			require.NoError(t, client.Notify("silo:1", w.service, b))
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_, _ = client.Request(bounded, "silo:1", w.service, b)
		cancel()
	}
	require.Greater(t, asked.Load(), already, "seed %d", seed)
	require.Equal(t, before, held(), "seed %d", seed)
	select {
	case err := <-s.Failed():
		require.NoError(t, err, "seed %d", seed)
	default:
	}
	require.Equal(t, before[0]+1, f.deposit(ctx, "silo:1", "x"), "seed %d", seed)
}
