package main

import (
	"context"
	"sync"
)

// guarded is the least that exclusion costs: a method that holds a mutex.
type guarded struct {
	mu    sync.Mutex
	value int64
}

//go:noinline
func (g *guarded) add(n int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.value += n
	return g.value
}

func newMutexRival(callers int) *rival {
	// Each has a cache line of its own, and more.
	targets := make([]*struct {
		guarded
		_ [128]byte
	}, callers)
	for i := range targets {
		targets[i] = new(struct {
			guarded
			_ [128]byte
		})
	}
	return &rival{name: "mutex-guarded method", calls: func(_ context.Context, caller, n int) error {
		g := &targets[caller].guarded
		for range n {
			g.add(1)
		}
		return nil
	}}
}
