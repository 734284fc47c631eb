package actor

import (
	"sync"
	"time"
)

// burst is how long pace lets pass at once what it held back before.
const burst = 2 * time.Millisecond

// pace spreads bytes over time, so that large transfers leave processors and
// wires to others.
type pace struct {
	rate float64 // bytes a second; 0: no bound

	mu   sync.Mutex
	next time.Time // when what was taken so far has passed
}

// take reserves n bytes and says how long to wait before sending them.
func (p *pace) take(n int, now time.Time) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-burst); p.next.Before(earliest) {
		p.next = earliest
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return wait
}
