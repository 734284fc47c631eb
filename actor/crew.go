package actor

import (
	"runtime"
	"sync"
)

const (
	// keptWorkers bounds the goroutines that a node keeps for requests to come.
	// One costs a stack of 8 KiB.
	keptWorkers = 1024
	// atATime is how many requests a worker serves before it lets others run:
	// those who write the replies above all.
	atATime = 16
)

// crew runs handlers, any of which may take long, on goroutines that serve one
// request after the other: the next finds a stack that has grown and is in the
// caches. That no request waits behind a handler that waits for something is the
// scheduler's doing: while there are requests one more worker stands by, ready
// to run as soon as a processor is free, and the first thing that it does is to
// have another take its place. So there are as many as are blocked, one for each
// processor, and one.
//
// Connections take turns, so that none waits for another's flood.
type crew struct {
	most int // goroutines that are kept; 0: each request has one that ends with it

	mu          sync.Mutex
	first, last *row            // those that have requests, in the order of their turns
	standby     bool            // a worker is about to take a request
	idle        []chan struct{} // capacity 1 each; the last to be done is the first to go on
	stopped     bool
	own         row // of requests to oneself
}

// row holds the requests of one connection that wait for a worker. What bounds
// the requests being served bounds it.
type row struct {
	first, last *served
	next        *row
}

// run has s served, and returns.
func (c *crew) run(n *Node, s *served) {
	if c.most == 0 {
		go n.do(s)
		return
	}
	r := s.from.row
	if r == nil {
		r = &c.own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.first == nil {
		r.first, r.last = s, s
		c.push(r)
	} else {
		r.last.next, r.last = s, s
	}
	c.call(n)
}

// push gives r the last turn. c.mu is held.
func (c *crew) push(r *row) {
	if c.first == nil {
		c.first, c.last = r, r
	} else {
		c.last.next, c.last = r, r
	}
}

// call sees to it that somebody takes the next request. c.mu is held.
func (c *crew) call(n *Node) {
	if c.standby || c.first == nil {
		return
	}
	c.standby = true
	if last := len(c.idle) - 1; last >= 0 {
		c.idle[last] <- struct{}{} // has room
		c.idle = c.idle[:last]
		return
	}
	go c.work(n)
}

// take is the next request; nil: there is none. Who is new was standing by.
func (c *crew) take(n *Node, isNew bool) *served {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isNew {
		c.standby = false
	}
	r := c.first
	if r == nil {
		return nil
	}
	c.first, r.next = r.next, nil
	s := r.first
	r.first, s.next = s.next, nil
	if r.first != nil {
		c.push(r)
	}
	c.call(n)
	return s
}

// work serves requests until there are none, and whenever it is called again.
func (c *crew) work(n *Node) {
	// The collector halves a stack of which less than a quarter is in use, so
	// that a goroutine that waits would find its own too small for most handlers
	// each time: a sixth of the work of small calls. Beyond this frame there is
	// room for them.
	var frame [2304]byte
	occupy(&frame)
	called := make(chan struct{}, 1)
	for {
		s := c.take(n, true)
		for served := 1; s != nil; served++ {
			n.do(s)
			if served%atATime == 0 {
				runtime.Gosched()
			}
			s = c.take(n, false)
		}
		if !c.rest(called) {
			return
		}
		if _, ok := <-called; !ok {
			return
		}
	}
}

//go:noinline
func occupy(*[2304]byte) {}

// rest reports whether who waits to be called is kept.
func (c *crew) rest(called chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || len(c.idle) >= c.most {
		return false
	}
	c.idle = append(c.idle, called)
	return true
}

// stop ends those that wait.
func (c *crew) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, called := range c.idle {
		close(called)
	}
	c.idle = nil
}
