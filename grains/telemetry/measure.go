package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/martinelli-go/martinelli/grains"
)

// bounds of durations, in seconds: those of OpenTelemetry's conventions, with finer ones below, because a call on
// one silo takes less than a microsecond.
var bounds = []float64{
	0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5,
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
}

// Measure returns an interceptor, for both sides, that counts and times calls.
func Measure(c Config) grains.Interceptor {
	meter := c.withDefaults().Meter.Meter(scope)
	histogram := func(name, what string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(bounds...))
		return told(h, err)
	}
	m := &meters{
		client: histogram("rpc.client.call.duration", "How long calls of grains take that are made here."),
		server: histogram("rpc.server.call.duration", "How long calls of grains take that run here."),
		active: told(meter.Int64UpDownCounter("grains.calls.active", metric.WithUnit("{call}"),
			metric.WithDescription("Calls of grains that are under way here."))),
	}
	return m.around
}

// told tells OpenTelemetry's own handler of an instrument that could not be made; it does nothing then.
func told[I any](instrument I, err error) I {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

type meters struct {
	client, server metric.Float64Histogram
	active         metric.Int64UpDownCounter
	// sets are the attributes of what has been seen, by of: as many as there are methods, times outcomes.
	sets sync.Map
}

// of is what measurements are told apart by: no key of a grain is among it.
type of struct {
	kind, method string
	incoming     bool
	outcome      Outcome // "" for active
	class        string
}

func (m *meters) around(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
	o := of{kind: c.Grain.Kind(), method: c.Method, incoming: c.Incoming}
	active := m.set(o)
	m.active.Add(ctx, 1, active)
	began := time.Now()
	o.outcome, o.class = Failed, "panic" // unless it returns
	defer func() {
		m.active.Add(ctx, -1, active)
		h := m.client
		if c.Incoming {
			h = m.server
		}
		h.Record(ctx, time.Since(began).Seconds(), m.set(o))
	}()
	err := next(ctx)
	o.outcome, o.class = OutcomeOf(c, err), ""
	if err != nil {
		o.class = classOf(err)
	}
	return err
}

// set is the option that says what a measurement is of.
func (m *meters) set(o of) metric.MeasurementOption {
	if s, ok := m.sets.Load(o); ok {
		return s.(metric.MeasurementOption)
	}
	side := "client"
	if o.incoming {
		side = "server"
	}
	attributes := []attribute.KeyValue{attribute.String("rpc.system.name", system), attribute.String("rpc.method", o.kind+"/"+o.method)}
	if o.outcome == "" {
		attributes = append(attributes, attribute.String("grains.side", side))
	} else {
		attributes = append(attributes, attribute.String("grains.outcome", string(o.outcome)))
	}
	if o.class != "" {
		attributes = append(attributes, attribute.String("error.type", o.class))
	}
	s, _ := m.sets.LoadOrStore(o, metric.WithAttributeSet(attribute.NewSet(attributes...)))
	return s.(metric.MeasurementOption)
}
