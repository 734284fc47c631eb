package actor

import (
	"fmt"
	"sync"
)

// work counts the requests being served, so that they can be bounded and
// waited for.
type work struct {
	mu       sync.Mutex
	requests [channels]int
	bytes    [channels]int
	all      int
	stopping bool
	idle     chan struct{} // closed when stopping and all is 0
}

func (w *work) init() { w.idle = make(chan struct{}) }

// refused says why a request was not begun: Limit is 0 where no bound was met.
type refused struct {
	text  string
	limit int
}

// begin admits a request of size bytes from p, or says why not.
func (w *work) begin(cfg *Config, p *peer, ch Channel, size int) *refused {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopping:
		return &refused{text: "the node is stopping: ask another"}
	case w.requests[ch] >= cfg.InFlight:
		return &refused{fmt.Sprintf("requests being served on %v", ch), cfg.InFlight}
	case w.bytes[ch]+size > cfg.servedBytes(ch):
		return &refused{fmt.Sprintf("bytes of the requests being served on %v", ch), cfg.servedBytes(ch)}
	case p.on[ch].serving.Load() >= int64(cfg.PeerServing):
		return &refused{fmt.Sprintf("requests of one peer being served on %v", ch), cfg.PeerServing}
	}
	p.on[ch].serving.Add(1)
	w.requests[ch]++
	w.bytes[ch] += size
	w.all++
	return nil
}

func (w *work) end(p *peer, ch Channel, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.on[ch].serving.Add(-1)
	w.requests[ch]--
	w.bytes[ch] -= size
	w.all--
	if w.stopping && w.all == 0 {
		close(w.idle)
	}
}

// stop reports whether it is the first.
func (w *work) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return false
	}
	w.stopping = true
	if w.all == 0 {
		close(w.idle)
	}
	return true
}

// arrivals counts the payloads that are arriving on the bulk channel: memory is
// set aside for the whole of each before its first byte.
type arrivals struct {
	mu      sync.Mutex
	bytes   uint64
	clients uint64 // of all clients
	peers   map[string]uint64
}

// reserve makes room for the payload of env, which is to come, or ends env: a
// request is refused, the request that a reply is for ends.
func (n *Node) reserve(env *Envelope, from origin, size uint64) bool {
	limit := uint64(n.cfg.BulkLimit)
	if size > limit {
		switch env.Kind {
		case Kind_KIND_REQUEST:
			n.answer(env, &Envelope{Status: Status_STATUS_REQUEST_TOO_LARGE, Size: size, Limit: limit})
		case Kind_KIND_REPLY:
			n.end(env, from, &TooLarge{Size: int(min(size, 1<<62)), Limit: n.cfg.BulkLimit, Reply: true})
		default:
			n.garbage("a notification over the limit", env)
		}
		return false
	}
	a, room := &n.arrives, uint64(n.cfg.BulkBytes)
	a.mu.Lock()
	// A peer has room for one payload, whatever its size, and for half of all.
	// So have all clients together, so that they do not keep silos out.
	whole := a.bytes+size > room || !from.silo && a.clients > 0 && a.clients+size > room/2
	own := a.peers[env.Sender] > 0 && a.peers[env.Sender]+size > room/2
	if !whole && !own {
		if a.peers == nil {
			a.peers = map[string]uint64{}
		}
		a.bytes += size
		a.peers[env.Sender] += size
		if !from.silo {
			a.clients += size
		}
	}
	a.mu.Unlock()
	if !whole && !own {
		return true
	}
	reached := &LimitReached{What: "bytes arriving on bulk at " + n.addr, Limit: n.cfg.BulkBytes}
	if !whole {
		reached = &LimitReached{What: "bytes of one peer arriving on bulk at " + n.addr, Limit: n.cfg.BulkBytes / 2}
	}
	switch env.Kind {
	case Kind_KIND_REQUEST:
		n.answer(env, &Envelope{Status: Status_STATUS_NOT_EXECUTED, Text: reached.What, Limit: uint64(reached.Limit)})
	case Kind_KIND_REPLY:
		n.end(env, from, &replyLost{reached})
	default:
		n.garbage("a notification: "+reached.What, env)
	}
	return false
}

func (n *Node) unreserve(sender string, from origin, size uint64) {
	a := &n.arrives
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= size
	if !from.silo {
		a.clients -= size
	}
	if a.peers[sender] -= size; a.peers[sender] == 0 {
		delete(a.peers, sender)
	}
}

// end ends the request that env, which came from there, would have answered.
func (n *Node) end(env *Envelope, from origin, why error) {
	if c := n.asked(env, from); c != nil {
		if lost, ok := why.(*replyLost); ok {
			why = c.error(ErrUnknown, "the handler ran, and there is no room for its answer: "+lost.why.Error(), nil)
		}
		c.answer <- answer{err: why}
	}
}

// replyLost says why an answer cannot be taken in.
type replyLost struct{ why *LimitReached }

func (e *replyLost) Error() string { return e.why.Error() }
