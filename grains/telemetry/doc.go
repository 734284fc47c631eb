// Package telemetry tells OpenTelemetry and log/slog what calls of grains do: traces, metrics, and a log of those
// that failed or were slow. It is written with [grains.Interceptor] alone, and shows how to write one's own.
//
//	t := telemetry.Config{Tracer: tracerProvider, Meter: meterProvider}
//	s, err := silo.Start(ctx, silo.Config{Grains: wine.Grains(mail), Incoming: t.Incoming(), Outgoing: t.Outgoing()})
//	c, err := cluster.Connect(ctx, cluster.Config{Silos: seeds, Outgoing: t.Outgoing()})
//	stop, err := t.Observe(s) // the silo's own counters
//
// # Traces
//
// A call has a span where it is made, and one below it where it runs, both named by kind and method
// ("wine.User/Purchase"); the trace travels with the call in the form of the W3C (traceparent, tracestate). A
// stream has a span for each batch ("wine.User/Orders next batch"). Attributes: rpc.system.name "martinelli",
// rpc.method; grains.outcome as below; error.type, the class of the error; grains.in_block; and, if Config.Keys
// says so, grains.key.
//
// # Metrics
//
// All of them are by kind and method, and never by key.
//
//	rpc.client.call.duration   histogram, s   calls that are made here; its count is their number
//	rpc.server.call.duration   histogram, s   calls that run here, without the wait for their turn
//	grains.calls.active        calls under way, by grains.side
//	grains.panics              calls that panicked here
//
// Both histograms have the attribute grains.outcome:
//
//	ok        it ran
//	failed    it ran, and its method returned an error, or panicked
//	refused   it did not run, and will not
//	unknown   nobody can say whether it ran
//
// A silo that is observed has also
//
//	grains.activations          grains in memory, by kind
//	grains.collected            grains that left memory (grains.reason): idle, memory, requested
//	grains.calls.waiting        calls that wait for their turn
//	grains.calls.arguments      bytes of arguments of calls from elsewhere that run or wait
//	grains.calls.refused        calls not executed (grains.reason): grain, silo, bytes, expired
//	grains.oneway.pending       one-way calls on their way, or waiting for their turn
//	grains.oneway.calls         what became of them (grains.became): delivered, failed, undelivered, unknown, refused
//	grains.messages.dropped     messages between nodes that found no room or nobody to take them
//
// # What may happen several times
//
// The calls of an atomic block are made again when the block is tried again, and each has its spans and counts;
// see [grains.Interceptor]. Whether the block has committed is what the span of the call that began it says.
package telemetry
