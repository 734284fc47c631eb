package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/host"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// idler is a grain that does nothing.
type idler struct{ grains.Implements[contract] }

var idle = wire.Method[int64, int64]{
	Number: 1, Name: "Idle", Args: wire.IntCodec[int64](), Result: wire.IntCodec[int64](),
	Do: func(_ context.Context, _ any, n int64) (int64, error) { return n, nil },
}

// A call from outside to a grain of the same silo, with all that a silo checks.
func BenchmarkLocalCall(b *testing.B) {
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *idler { return &idler{} }, &idle)
	start := time.Now()
	n.host = host.New(host.Config{
		Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: func() time.Duration { return time.Since(start) },
		Kinds: map[string]wire.Kind{kindName: kind}, Logger: slog.New(slog.DiscardHandler),
	})
	at := wire.NewRef(wire.NewCaller(plain{call: n.host.Call}), kindName, "a")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Call(ctx, at, &idle, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := n.host.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// Grains that are activated by their first call and idle from then on: what each costs, in time and in heap.
func BenchmarkIdleGrains(b *testing.B) {
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	kind := wire.NewKind(kindName, wire.KindOptions{}, func(at *wire.Grain) *idler { return &idler{} }, &idle)
	start := time.Now()
	n.host = host.New(host.Config{
		Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: func() time.Duration { return time.Since(start) },
		Kinds: map[string]wire.Kind{kindName: kind}, Logger: slog.New(slog.DiscardHandler),
	})
	caller := wire.NewCaller(plain{call: n.host.Call})
	keys := make([]string, b.N)
	for i := range keys {
		keys[i] = fmt.Sprintf("grain-%d", i)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ctx := b.Context()
	before := heap()
	b.ReportAllocs()
	b.ResetTimer()
	for _, key := range keys {
		if _, err := wire.Call(ctx, wire.NewRef(caller, kindName, key), &idle, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(b.N), "heap-B/grain")
	if err := n.host.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
