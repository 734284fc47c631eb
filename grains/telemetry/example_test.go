package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains/telemetry"
	"github.com/martinelli-go/martinelli/integration/bank"
)

// A silo that tells OpenTelemetry of its calls. In an application the exporters are those of Prometheus, OTLP and
// so on; here they keep what they get, to be printed.
func Example() {
	ctx := context.Background()
	spans, metrics := tracetest.NewInMemoryExporter(), metric.NewManualReader()
	t := telemetry.Config{
		Tracer: sdk.NewTracerProvider(sdk.WithSyncer(spans)),
		Meter:  metric.NewMeterProvider(metric.WithReader(metrics)),
		Logger: slog.New(slog.DiscardHandler),
	}
	s, err := silo.Start(ctx, silo.Config{
		Grains: bank.Grains(), Incoming: t.Incoming(), Outgoing: t.Outgoing(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop(ctx)
	stop, err := t.Observe(s)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	if _, err := bank.GetAccount(s, "alice").Deposit(ctx, 100); err != nil {
		fmt.Println(err)
	}
	_, err = bank.GetAccount(s, "alice").Transfer(ctx, "bob", 500, "rent")
	fmt.Println(err)

	for _, span := range spans.GetSpans() { // those that ended first come first
		fmt.Println(span.SpanKind, span.Name, span.Status.Code)
	}
	var all metricdata.ResourceMetrics
	if err := metrics.Collect(ctx, &all); err != nil {
		fmt.Println(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "grains.activations" {
			kind, _ := gauge.DataPoints[0].Attributes.Value("grains.kind")
			fmt.Println(m.Name, kind.AsString(), gauge.DataPoints[0].Value)
		}
	}
	// Output:
	// account alice: not enough money
	// server bank.Account/Deposit Unset
	// client bank.Account/Deposit Unset
	// server bank.Account/Deposit Unset
	// client bank.Account/Deposit Unset
	// server bank.Account/Transfer Error
	// client bank.Account/Transfer Error
	// grains.activations bank.Account 2
}
