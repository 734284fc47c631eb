package actor

import (
	"context"
	"encoding/binary"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor/certtest"
)

// A request to another process, 100 bytes each way. What allocates is the
// caller's process for allocs/op, the callee's for callee-allocs/op.
func BenchmarkRequestTCP(b *testing.B) {
	n, err := here()
	require.NoError(b, err)
	benchmarkRequests(b, n, spawn(b, "127.0.0.1:0").addr)
}

func BenchmarkRequestTLS(b *testing.B) {
	a, err := certtest.New(b.TempDir())
	require.NoError(b, err)
	files := func(name string) TLS {
		cert, key, err := a.Issue(name, DefaultSiloName)
		require.NoError(b, err)
		return TLS{Cert: cert, Key: key, CA: a.File}
	}
	n, err := Start(Config{Addr: "127.0.0.1:0", Silo: true, TLS: files("here")})
	require.NoError(b, err)
	defer func() { require.NoError(b, n.Stop(context.Background())) }()
	benchmarkRequests(b, n, spawnWith(b, "127.0.0.1:0", childConfig{Silo: true, TLS: files("there")}).addr)
}

func benchmarkRequests(b *testing.B, n *Node, peer string) {
	payload := make([]byte, 100)
	allocated := func() float64 {
		re, err := n.Request(context.Background(), peer, mallocs, nil)
		require.NoError(b, err)
		return float64(binary.BigEndian.Uint64(re))
	}
	for _, callers := range []int{1, 64, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			before := allocated()
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for c := range callers {
				all.Go(func() {
					for range (b.N + c) / callers {
						if _, err := n.Request(ctx, peer, echo, payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			b.ReportMetric((allocated()-before)/float64(b.N), "callee-allocs/op")
		})
	}
}
