package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/martinelli-go/martinelli/grains"
)

// carrier is the values of a request, as a propagator writes and reads them.
type carrier struct{ ctx context.Context }

// header is the value in which a header of the trace travels.
func header(name string) grains.Value[string] { return grains.NewValue[string]("otel." + name) }

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(name string) string { return header(name).Of(c.ctx) }

// Set implements propagation.TextMapCarrier. What finds no room is left out: a trace that breaks off is better
// than a call that is not made.
func (c *carrier) Set(name, text string) {
	if header(name).Of(c.ctx) == text {
		return
	}
	if next := header(name).With(c.ctx, text); next.Err() == nil {
		c.ctx = next
	}
}

// Keys implements propagation.TextMapCarrier; propagators ask for those that they know.
func (c *carrier) Keys() []string { return nil }

// inject returns a context whose calls carry the span of ctx.
func (t tracing) inject(ctx context.Context) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx // what the request carries already goes on
	}
	c := &carrier{ctx}
	for _, name := range t.Propagator.Fields() { // of a trace before this one
		c.Set(name, "")
	}
	t.Propagator.Inject(ctx, c)
	return c.ctx
}

// extract returns a context in which the caller's span is the parent.
func (t tracing) extract(ctx context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx // the call was made on this silo
	}
	return t.Propagator.Extract(ctx, &carrier{ctx})
}
