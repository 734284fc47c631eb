package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
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

// Idle grains that are all collected at once: what each costs, and how long other calls take meanwhile, to a
// grain that is there and to grains that are activated.
func BenchmarkCollectGrains(b *testing.B) {
	const busy = "test.Busy"
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName, busy}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	build := func(*wire.Grain) *idler { return &idler{} }
	start := time.Now()
	n.host = host.New(host.Config{
		Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: func() time.Duration { return time.Since(start) },
		Kinds: map[string]wire.Kind{
			kindName: wire.NewKind(kindName, wire.KindOptions{}, build, &idle),
			busy:     wire.NewKind(busy, wire.KindOptions{IdleAfter: time.Hour}, build, &idle),
		},
		IdleAfter: time.Hour, MemoryLimit: -1, Logger: slog.New(slog.DiscardHandler),
	})
	caller := wire.NewCaller(plain{call: n.host.Call})
	ctx := b.Context()
	call := func(kind, key string) {
		if _, err := wire.Call(ctx, wire.NewRef(caller, kind, key), &idle, 1); err != nil {
			b.Error(err)
		}
	}
	for i := range b.N {
		call(kindName, fmt.Sprintf("grain-%d", i))
	}
	runtime.GC()
	var over atomic.Bool
	took := make(chan []time.Duration, 1) // one: the only send never waits
	go func() {
		var all []time.Duration
		for i := 0; !over.Load(); i++ {
			began := time.Now()
			if i%8 == 0 {
				call(busy, fmt.Sprint(i))
			} else {
				call(busy, "a")
			}
			all = append(all, time.Since(began))
		}
		took <- all
	}()
	b.ResetTimer()
	n.host.CollectIdle()
	b.StopTimer()
	over.Store(true)
	all := <-took
	if left := n.host.Activations(kindName); left > 0 {
		b.Errorf("%d grains are left", left)
	}
	slices.Sort(all)
	b.ReportMetric(float64(len(all)), "calls")
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)*999/1000])/1e6, "p99.9-ms")
		b.ReportMetric(float64(all[len(all)-1])/1e6, "max-ms")
	}
	if err := n.host.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// Calls of a method that only reads, to one grain, on as many goroutines as there are processors.
func BenchmarkLocalReads(b *testing.B) {
	n := &node{id: "store", addr: "silo", views: &view.Holder{}}
	n.see(view.Frozen(1, []string{kindName}, view.Member{Run: view.Run{ID: "store", Incarnation: 1}, Addr: "silo"}))
	reads := idle
	reads.ReadOnly = true
	kind := wire.NewKind(kindName, wire.KindOptions{}, func(*wire.Grain) *idler { return &idler{} }, &reads)
	start := time.Now()
	n.host = host.New(host.Config{
		Self: n.id, Addr: n.addr, Views: n.views, Standing: n.stands.Load, Now: func() time.Duration { return time.Since(start) },
		Kinds: map[string]wire.Kind{kindName: kind}, Logger: slog.New(slog.DiscardHandler),
	})
	at := wire.NewRef(wire.NewCaller(plain{call: n.host.Call}), kindName, "a")
	ctx := b.Context()
	b.ReportAllocs()
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.Call(ctx, at, &reads, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := wire.Call(ctx, at, &reads, 1); err != nil {
					b.Error(err)
				}
			}
		})
	})
	if err := n.host.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
