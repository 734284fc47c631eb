package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/martinelli-go/martinelli/grains"
)

// Observed is a silo.
type Observed interface{ Stats() grains.Stats }

// Observe makes metrics of a silo's own counters, which are read whenever the metrics are. It costs the silo a
// look at each of its grains then. Stop ends it.
func (c Config) Observe(s Observed) (stop func() error, err error) {
	meter := c.withDefaults().Meter.Meter(scope)
	var errs []error
	var all []metric.Observable
	gauge := func(name, unit, what string) metric.Int64ObservableGauge {
		g, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs, all = append(errs, err), append(all, g)
		return g
	}
	counter := func(name, unit, what string) metric.Int64ObservableCounter {
		n, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs, all = append(errs, err), append(all, n)
		return n
	}
	activations := gauge("grains.activations", "{grain}", "Grains in memory.")
	collected := counter("grains.collected", "{grain}", "Grains that left memory though they did not move.")
	waiting := gauge("grains.calls.waiting", "{call}", "Calls that wait for their turn.")
	held := gauge("grains.calls.arguments", "By", "Arguments of calls from elsewhere that run or wait.")
	refused := counter("grains.calls.refused", "{call}", "Calls that were not executed.")
	pending := gauge("grains.oneway.pending", "{call}", "One-way calls on their way, or waiting for their turn.")
	oneWay := counter("grains.oneway.calls", "{call}", "What became of one-way calls.")
	dropped := counter("grains.messages.dropped", "{message}", "Messages between nodes that found no room, or nobody to take them.")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := s.Stats()
		by := func(of metric.Int64Observable, key string, counts map[string]uint64) {
			for value, n := range counts {
				o.ObserveInt64(of, int64(n), metric.WithAttributes(attribute.String(key, value)))
			}
		}
		for kind, n := range stats.Activations {
			o.ObserveInt64(activations, int64(n), metric.WithAttributes(attribute.String("grains.kind", kind)))
		}
		by(collected, "grains.reason", map[string]uint64{
			"idle": stats.Collected.Idle, "memory": stats.Collected.Memory, "requested": stats.Collected.Requested,
		})
		o.ObserveInt64(waiting, stats.Waiting)
		o.ObserveInt64(held, stats.ArgumentBytes)
		by(refused, "grains.reason", map[string]uint64{
			"grain": stats.Refused.Grain, "silo": stats.Refused.Calls, "bytes": stats.Refused.Bytes, "node": stats.Refused.Node, "expired": stats.Refused.Expired,
		})
		o.ObserveInt64(pending, int64(stats.OneWay.Pending))
		by(oneWay, "grains.became", map[string]uint64{
			"delivered": stats.OneWay.Delivered, "failed": stats.OneWay.Failed, "undelivered": stats.OneWay.Undelivered,
			"unknown": stats.OneWay.Unknown, "refused": stats.OneWay.Refused,
		})
		o.ObserveInt64(dropped, int64(stats.Dropped))
		return nil
	}, all...)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
