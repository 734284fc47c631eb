package telemetry

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/martinelli-go/martinelli/grains"
)

// Config says where telemetry goes. Its zero value is what the process has set as OpenTelemetry's global
// providers, and slog.Default().
type Config struct {
	// Tracer and Meter make tracers and meters. Default: the global ones.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Propagator writes traces into calls and reads them. Default: the W3C's trace context.
	Propagator propagation.TextMapPropagator
	// Logger gets the calls that failed or were slow. Default slog.Default().
	Logger *slog.Logger
	// Slow is how long a call may take that is not logged as slow. Default 1 second; negative: none is slow.
	Slow time.Duration
	// Keys puts the keys of grains into spans and the log: with them one finds what happened to one grain, and
	// whatever keys say of people is in the traces. They are never in metrics. Default false.
	Keys bool
}

func (c Config) withDefaults() Config {
	if c.Tracer == nil {
		c.Tracer = otel.GetTracerProvider()
	}
	if c.Meter == nil {
		c.Meter = otel.GetMeterProvider()
	}
	if c.Propagator == nil {
		c.Propagator = propagation.TraceContext{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Slow == 0 {
		c.Slow = time.Second
	}
	return c
}

// Incoming returns all of this package for silo.Config.Incoming: [Trace], [Measure], [Log] and [Recover].
func (c Config) Incoming() []grains.Interceptor {
	return []grains.Interceptor{Trace(c), Measure(c), Log(c), Recover(c)}
}

// Outgoing returns what belongs into the Outgoing of silos and clients: [Trace], [Measure] and [Log].
func (c Config) Outgoing() []grains.Interceptor {
	return []grains.Interceptor{Trace(c), Measure(c), Log(c)}
}

// scope names this package to tracers and meters.
const scope = "github.com/martinelli-go/martinelli/grains/telemetry"
