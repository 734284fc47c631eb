package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/martinelli-go/martinelli/grains"
)

// Log returns an interceptor, for both sides, that logs calls: at Warn those that were refused, whose fate is
// unknown or that were slow, at Info those whose method returned an error. The logger gets the call's context, by
// which handlers add the trace.
func Log(c Config) grains.Interceptor {
	c = c.withDefaults()
	return func(ctx context.Context, call grains.CallInfo, next func(context.Context) error) error {
		began := time.Now()
		err := next(ctx)
		took := time.Since(began)
		outcome := OutcomeOf(call, err)
		level, what := slog.LevelWarn, "a call was slow"
		switch {
		case outcome == Failed:
			level, what = slog.LevelInfo, "a call failed"
		case err != nil:
			what = "a call failed"
		case c.Slow < 0 || took <= c.Slow:
			return nil
		}
		attributes := append(c.attributes(call), slog.Duration("took", took), slog.String("outcome", string(outcome)))
		if err != nil {
			attributes = append(attributes, slog.Any("error", err))
		}
		c.Logger.LogAttrs(ctx, level, what, attributes...)
		return err
	}
}

// attributes name a call in the log.
func (c Config) attributes(call grains.CallInfo) []slog.Attr {
	grain := call.Grain.Kind()
	if c.Keys {
		grain = call.Grain.String()
	}
	return []slog.Attr{slog.String("grain", grain), slog.String("method", call.Method), slog.Bool("incoming", call.Incoming)}
}

// Recover returns an incoming interceptor that makes an error of a panic, as silos do in any case, but counts it,
// and logs it with the stack in the call's context. It belongs behind the others, which then see the error.
func Recover(c Config) grains.Interceptor {
	c = c.withDefaults()
	panics := told(c.Meter.Meter(scope).Int64Counter("grains.panics", metric.WithUnit("{call}"),
		metric.WithDescription("Calls of grains that panicked here.")))
	return func(ctx context.Context, call grains.CallInfo, next func(context.Context) error) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			panics.Add(ctx, 1, metric.WithAttributes(attribute.String("rpc.method", call.Grain.Kind()+"/"+call.Method)))
			c.Logger.LogAttrs(ctx, slog.LevelError, "a grain panicked",
				append(c.attributes(call), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))...)
			err = &grains.CallError{To: call.Grain, Method: call.Method, Cause: grains.ErrPanic, Detail: fmt.Sprint(p)}
		}()
		return next(ctx)
	}
}
