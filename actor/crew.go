package actor

import "sync"

// keptWorkers bounds the goroutines that a node keeps for requests to come. One
// costs a stack of a few KiB.
const keptWorkers = 1024

// crew runs handlers, each on a goroutine of its own, since any may take long.
// A goroutine that is done waits for the next request, whose handler then finds
// a stack that has grown already.
type crew struct {
	most int // that are kept; 0: none

	mu      sync.Mutex
	idle    []chan *served // capacity 1 each; the last to be done is the first to go on
	stopped bool
}

// run starts serving s and returns.
func (c *crew) run(n *Node, s *served) {
	c.mu.Lock()
	if last := len(c.idle) - 1; last >= 0 {
		next := c.idle[last]
		c.idle = c.idle[:last]
		c.mu.Unlock()
		next <- s // has room
		return
	}
	c.mu.Unlock()
	go c.work(n, s)
}

// work serves s, and what comes after it.
func (c *crew) work(n *Node, s *served) {
	// The collector halves a stack of which less than a quarter is in use, so
	// that a goroutine that waits would find its own too small for most handlers
	// each time: a sixth of the work of small calls. Beyond this frame there is
	// room for them.
	var frame [2304]byte
	occupy(&frame)
	n.do(s)
	if c.most == 0 {
		return
	}
	for next := make(chan *served, 1); c.rest(next); {
		if s = <-next; s == nil {
			return
		}
		n.do(s)
	}
}

// rest reports whether who waits at next is kept.
func (c *crew) rest(next chan *served) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || len(c.idle) >= c.most {
		return false
	}
	c.idle = append(c.idle, next)
	return true
}

// stop ends those that wait.
func (c *crew) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
}

//go:noinline
func occupy(*[2304]byte) {}
