package main

import (
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// stalls notes when this process did not run: on a machine that is too busy, what looks like a late answer
// may be a client that was not there to take it.
type stalls struct {
	mu   sync.Mutex
	all  []stall
	stop chan struct{}
	done chan struct{}
}

// stall is a time, by register.Now.
type stall struct{ from, to int64 }

const (
	// stallEvery is how often the process looks whether it runs.
	stallEvery = 10 * time.Millisecond
	// stallLeast is the delay that counts.
	stallLeast = 50 * time.Millisecond
)

// watchStalls begins to watch, until ended.
func watchStalls() *stalls {
	s := &stalls{stop: make(chan struct{}), done: make(chan struct{})}
	go s.watch()
	return s
}

func (s *stalls) watch() {
	defer close(s.done)
	for {
		due := register.Now() + int64(stallEvery)
		select {
		case <-s.stop:
			return
		case <-time.After(stallEvery):
		}
		if now := register.Now(); now-due > int64(stallLeast) {
			s.mu.Lock()
			s.all = append(s.all, stall{due, now})
			s.mu.Unlock()
		}
	}
}

// end ends the watch.
func (s *stalls) end() []stall {
	close(s.stop)
	<-s.done
	return s.all
}

// stalled is how long the process stood still between two moments.
func stalled(all []stall, from, to int64) (sum time.Duration) {
	for _, s := range all {
		sum += time.Duration(max(0, min(s.to, to)-max(s.from, from)))
	}
	return sum
}
