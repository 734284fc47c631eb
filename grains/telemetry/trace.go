package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/martinelli-go/martinelli/grains"
)

// Trace returns an interceptor, for both sides, that makes a span of each call.
func Trace(c Config) grains.Interceptor {
	c = c.withDefaults()
	t := tracing{c, c.Tracer.Tracer(scope)}
	return t.around
}

type tracing struct {
	Config
	tracer trace.Tracer
}

func (t tracing) around(ctx context.Context, c grains.CallInfo, next func(context.Context) error) error {
	method := c.Grain.Kind() + "/" + c.Method
	if c.Incoming {
		ctx = t.extract(ctx)
	}
	ctx, span := t.tracer.Start(ctx, spanName(method, c), trace.WithSpanKind(spanKind(c)))
	returned := false
	defer func() {
		if !returned { // it panics
			span.SetStatus(codes.Error, "panic")
			span.SetAttributes(attribute.String("grains.outcome", string(Failed)), attribute.String("error.type", "panic"))
		}
		span.End()
	}()
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("rpc.system.name", system), attribute.String("rpc.method", method), attribute.Bool("grains.in_block", c.InBlock),
		)
		if t.Keys {
			span.SetAttributes(attribute.String("grains.key", c.Grain.Key()))
		}
	}
	if !c.Incoming {
		ctx = t.inject(ctx)
	}
	err := next(ctx)
	returned = true
	span.SetAttributes(attribute.String("grains.outcome", string(OutcomeOf(c, err))))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String("error.type", classOf(err)))
	}
	return err
}

// system is the value of rpc.system.name.
const system = "martinelli"

func spanName(method string, c grains.CallInfo) string {
	if c.Traits.Stream {
		return method + " next batch"
	}
	return method
}

func spanKind(c grains.CallInfo) trace.SpanKind {
	switch {
	case c.Incoming && c.Traits.OneWay:
		return trace.SpanKindConsumer
	case c.Incoming:
		return trace.SpanKindServer
	case c.Traits.OneWay:
		return trace.SpanKindProducer
	}
	return trace.SpanKindClient
}
