package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/guild"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/graintest"
	"github.com/martinelli-go/martinelli/grains/telemetry"
	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// gathered is what a cluster has told.
type gathered struct {
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
	log    *lines
	config telemetry.Config
}

func gather() *gathered {
	g := &gathered{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader(), log: &lines{}}
	g.config = telemetry.Config{
		Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(g.spans)),
		Meter:  metric.NewMeterProvider(metric.WithReader(g.reader)),
		Logger: slog.New(slog.NewJSONHandler(g.log, nil)),
		Keys:   true,
	}
	return g
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the lines whose message is that.
func (l *lines) with(t *testing.T, msg string) (found []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		if m["msg"] == msg {
			found = append(found, m)
		}
	}
	return found
}

func (g *gathered) start(t *testing.T, silos int) *graintest.Cluster {
	return graintest.StartWith(t, graintest.Config{
		Silos: silos, Grains: bank.Grains(), Incoming: g.config.Incoming(), Outgoing: g.config.Outgoing(),
	})
}

// metric returns the data of a metric, nil for none.
func (g *gathered) metric(t *testing.T, name string) metricdata.Aggregation {
	var all metricdata.ResourceMetrics
	require.NoError(t, g.reader.Collect(context.Background(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	return nil
}

func value(set []attribute.KeyValue, key attribute.Key) string {
	for _, a := range set {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// A trace goes from the client through all silos that its calls come to, each span below that of its caller.
func TestATraceFollowsTheCalls(t *testing.T) {
	t.Parallel()
	g := gather()
	c := g.start(t, 3)
	ctx, root := g.config.Tracer.Tracer("test").Start(t.Context(), "a customer")
	path := make([]bank.AccountID, 6) // over so many that some are on other silos
	for i := range path {
		path[i] = bank.AccountID(fmt.Sprint("trace-", i))
	}
	require.NoError(t, bank.GetAccount(c, path[0]).Call(ctx, path[1:]))
	root.End()

	parents := map[trace.SpanID]sdk.ReadOnlySpan{}
	var last sdk.ReadOnlySpan
	for _, s := range g.spans.Ended() {
		require.Equal(t, root.SpanContext().TraceID(), s.SpanContext().TraceID(), s.Name())
		parents[s.SpanContext().SpanID()] = s
		if s.SpanKind() == trace.SpanKindServer && value(s.Attributes(), "grains.key") == "trace-5" {
			last = s
		}
	}
	require.Len(t, parents, 1+2*len(path))
	require.NotNil(t, last)
	var way []string
	for s := last; s != nil; s = parents[s.Parent().SpanID()] {
		way = append(way, s.SpanKind().String()+" "+value(s.Attributes(), "grains.key"))
		if s.SpanContext().SpanID() != root.SpanContext().SpanID() {
			require.Equal(t, "bank.Account/Call", s.Name())
			require.Equal(t, "bank.Account/Call", value(s.Attributes(), "rpc.method"))
			require.Equal(t, "ok", value(s.Attributes(), "grains.outcome"))
		}
	}
	require.Equal(t, []string{
		"server trace-5", "client trace-5", "server trace-4", "client trace-4", "server trace-3", "client trace-3",
		"server trace-2", "client trace-2", "server trace-1", "client trace-1", "server trace-0", "client trace-0", "internal ",
	}, way)
}

func TestSpansSayWhatBecameOfCalls(t *testing.T) {
	t.Parallel()
	g := gather()
	c := g.start(t, 1)
	ctx := t.Context()
	account := bank.GetAccount(c, "poor")
	_, err := account.Transfer(ctx, "rich", 5, "tea")
	require.ErrorIs(t, err, bank.ErrNoMoney)
	require.ErrorIs(t, account.Panic(ctx), grains.ErrPanic)
	require.ErrorIs(t, account.Call(ctx, []bank.AccountID{"poor"}), grains.ErrCycle)
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err = account.Balance(over)
	require.ErrorIs(t, err, grains.ErrNotExecuted)

	got := map[string]bool{}
	for _, s := range g.spans.Ended() {
		require.Equal(t, value(s.Attributes(), "grains.outcome") != "ok", s.Status().Code == codes.Error, s.Name())
		got[fmt.Sprintf("%v %s by %s: %s %s", s.SpanKind(), s.Name(), value(s.Attributes(), "grains.key"),
			value(s.Attributes(), "grains.outcome"), value(s.Attributes(), "error.type"))] = true
	}
	for _, want := range []string{
		"client bank.Account/Transfer by poor: failed method", "server bank.Account/Transfer by poor: failed method",
		"client bank.Account/Panic by poor: failed panic", "server bank.Account/Panic by poor: failed panic",
		"client bank.Account/Call by poor: refused cycle", // the inner one, that was not executed
		"client bank.Account/Call by poor: failed cycle",  // the outer one passes its error on, and has run
		"client bank.Account/Balance by poor: refused not_executed",
	} {
		require.Contains(t, got, want)
	}

	require.Len(t, g.log.with(t, "a grain panicked"), 1)
	require.Contains(t, g.log.with(t, "a grain panicked")[0]["stack"], "bank.(*account).Panic")
	panics := g.metric(t, "grains.panics").(metricdata.Sum[int64])
	require.EqualValues(t, 1, panics.DataPoints[0].Value)
	levels := map[any]any{}
	for _, l := range g.log.with(t, "a call failed") {
		levels[fmt.Sprint(l["method"], " ", l["outcome"])] = l["level"]
	}
	require.Equal(t, "INFO", levels["Transfer failed"])
	require.Equal(t, "WARN", levels["Balance refused"])
}

// Metrics tell kinds, methods and outcomes apart, and nothing that grows with the grains.
func TestMetricsHaveNoKeys(t *testing.T) {
	t.Parallel()
	g := gather()
	c := g.start(t, 2)
	const accounts = 20
	for i := range accounts {
		_, err := bank.GetAccount(c, bank.AccountID(fmt.Sprint("measured-", i))).Deposit(t.Context(), 5)
		require.NoError(t, err)
	}
	_, err := bank.GetAccount(c, "measured-0").Deposit(t.Context(), -50)
	require.ErrorIs(t, err, bank.ErrNoMoney)
	for _, name := range []string{"rpc.client.call.duration", "rpc.server.call.duration"} {
		h := g.metric(t, name).(metricdata.Histogram[float64])
		counts := map[string]uint64{}
		for _, p := range h.DataPoints {
			for _, a := range p.Attributes.ToSlice() {
				require.NotContains(t, a.Value.String(), "measured-")
			}
			require.Equal(t, "bank.Account/Deposit", value(p.Attributes.ToSlice(), "rpc.method"))
			require.Positive(t, p.Sum)
			require.Less(t, p.Sum, 30.0, "it is in seconds")
			counts[value(p.Attributes.ToSlice(), "grains.outcome")] = p.Count
		}
		require.Equal(t, map[string]uint64{"ok": accounts, "failed": 1}, counts)
	}
	for _, p := range g.metric(t, "grains.calls.active").(metricdata.Sum[int64]).DataPoints {
		require.Zero(t, p.Value, "calls that are over are not under way")
	}

	stop, err := g.config.Observe(c.Silo(0))
	require.NoError(t, err)
	active := g.metric(t, "grains.activations").(metricdata.Gauge[int64])
	require.Len(t, active.DataPoints, 1)
	require.Equal(t, "bank.Account", value(active.DataPoints[0].Attributes.ToSlice(), "grains.kind"))
	require.EqualValues(t, c.Silo(0).Stats().Activations["bank.Account"], active.DataPoints[0].Value)
	require.Positive(t, active.DataPoints[0].Value)
	require.Len(t, g.metric(t, "grains.oneway.calls").(metricdata.Sum[int64]).DataPoints, 5, "what became of one-way calls")
	require.NoError(t, stop())
	require.Nil(t, g.metric(t, "grains.activations"))
}

func TestSlowCallsAreLogged(t *testing.T) {
	t.Parallel()
	log := &lines{}
	logged := func(slow time.Duration) int {
		i := telemetry.Log(telemetry.Config{Logger: slog.New(slog.NewJSONHandler(log, nil)), Slow: slow})
		c := grains.CallInfo{Grain: wire.NewID("bank.Account", "a"), Method: "Balance"}
		began := time.Now()
		require.NoError(t, i(t.Context(), c, func(context.Context) error {
			for time.Since(began) < time.Microsecond { // a clock may be coarse
			}
			return nil
		}))
		return len(log.with(t, "a call was slow"))
	}
	require.Equal(t, 0, logged(-1))
	require.Equal(t, 0, logged(0), "a second is slow by default")
	require.Equal(t, 1, logged(1))
	require.NotContains(t, log.buf.String(), `bank.Account/a`, "keys are not told unless they may be")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	id := func(key string) grains.ID { return wire.NewID("bank.Account", key) }
	call := grains.CallInfo{Grain: id("a")}
	of := func(cause error) error { return &grains.CallError{To: id("a"), Cause: cause} }
	for want, errs := range map[telemetry.Outcome][]error{
		telemetry.OK:      {nil},
		telemetry.Unknown: {of(grains.ErrUnknown)},
		telemetry.Refused: {of(grains.ErrNotExecuted), of(grains.ErrNoLease), of(grains.ErrOverloaded), of(grains.ErrNoSuchMethod),
			of(grains.ErrNoSuchKind), of(grains.ErrDenied), of(grains.ErrCycle), of(grains.ErrIncompatible), of(grains.ErrFenced)},
		telemetry.Failed: {errors.New("x"), of(grains.ErrPanic), bank.ErrNoMoney,
			&grains.CallError{To: id("b"), Cause: grains.ErrNotExecuted}, &grains.CallError{To: id("b"), Cause: grains.ErrUnknown}},
	} {
		for _, err := range errs {
			require.Equal(t, want, telemetry.OutcomeOf(call, err), "%v", err)
		}
	}
}

// One-way calls and streams are in the trace of whoever makes them, and named for what they are.
func TestTracesOfOneWayCallsAndStreams(t *testing.T) {
	t.Parallel()
	g := gather()
	c := graintest.StartWith(t, graintest.Config{Grains: guild.Grains(), Incoming: g.config.Incoming(), Outgoing: g.config.Outgoing()})
	ctx, root := g.config.Tracer.Tracer("test").Start(t.Context(), "a visit")
	master := guild.GetMaster(c, "guild")
	require.NoError(t, master.Tell(ctx, "hello"))
	for _, err := range master.Count(ctx, 1, 5) {
		require.NoError(t, err)
	}
	root.End()
	want := []string{
		"producer guild.Master/Tell", "consumer guild.Master/Tell",
		"client guild.Master/Count next batch", "server guild.Master/Count next batch",
	}
	require.Eventually(t, func() bool {
		got := map[string]bool{}
		for _, s := range g.spans.Ended() {
			if s.SpanContext().TraceID() == root.SpanContext().TraceID() {
				got[s.SpanKind().String()+" "+s.Name()] = true
			}
		}
		for _, w := range want {
			if !got[w] {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}
