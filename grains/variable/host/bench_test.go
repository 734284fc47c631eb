package host

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/martinelli-go/martinelli/cluster/view"
	"github.com/martinelli-go/martinelli/crdt"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// BenchmarkWrites is 64 writers at one silo, on the disk: each waits until its write is durable.
func BenchmarkWrites(b *testing.B) {
	for name, keys := range map[string]int{"same": 1, "different": 1000} {
		for _, disk := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/disk=%v", name, disk), func(b *testing.B) {
				views := &view.Holder{}
				views.Set(view.Frozen(1, nil, view.Member{Run: view.Run{ID: "a", Incarnation: 1}, Addr: "a"}))
				cfg := Config{Self: "a", Incarnation: 1, Actor: 1, Views: views, Kinds: kinds(), Requests: wires{}, Replicas: wires{}}
				if disk {
					cfg.Dir = b.TempDir()
				}
				h, err := Open(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer h.Close()
				ids := make([]wire.ID, keys)
				for i := range ids {
					ids[i] = wire.NewID("test.Count", fmt.Sprint(i))
				}
				op := crdt.CounterOp{N: 1}.Append(nil)
				var n atomic.Int64
				b.SetParallelism(32) // of two cores
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if err := h.Mutate(context.Background(), ids[n.Add(1)%int64(keys)], op); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}
