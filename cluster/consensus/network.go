package consensus

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Network connects groups of one process in memory, for tests, and breaks the
// connections on request. The zero value is ready. Addresses are any strings.
//
// What is cut is refused at once, and what was open is closed, as by a reset.
type Network struct {
	mu    sync.Mutex
	nodes map[endpoint]*memoryListener
	cuts  map[[2]string]bool
	links map[*link]struct{}
}

// endpoint is a group at an address.
type endpoint struct {
	addr  string
	group byte
}

var errUnreachable = errors.New("unreachable")

// Cut severs every connection between two addresses, until Heal.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	if n.cuts == nil {
		n.cuts = map[[2]string]bool{}
	}
	n.cuts[pair(a, b)] = true
	n.mu.Unlock()
	n.sever(func(l *link) bool { return pair(l.from, l.to) == pair(a, b) })
}

// Isolate cuts an address from every other one that is connected now.
func (n *Network) Isolate(addr string) {
	for _, other := range n.others(addr) {
		n.Cut(addr, other)
	}
}

// Heal undoes every Cut that names the address.
func (n *Network) Heal(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.cuts {
		if p[0] == addr || p[1] == addr {
			delete(n.cuts, p)
		}
	}
}

// Kill makes an address vanish with its connections, as the death of its
// process does. The group there must still be closed; a new one may listen
// there then.
func (n *Network) Kill(addr string) {
	n.mu.Lock()
	var dead []*memoryListener
	for at, l := range n.nodes {
		if at.addr == addr {
			dead = append(dead, l)
			delete(n.nodes, at)
		}
	}
	n.mu.Unlock()
	for _, l := range dead {
		l.stop()
	}
	n.sever(func(l *link) bool { return l.from == addr || l.to == addr })
}

func (n *Network) others(addr string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for at := range n.nodes {
		if at.addr != addr {
			out = append(out, at.addr)
		}
	}
	return out
}

func (n *Network) sever(which func(*link) bool) {
	n.mu.Lock()
	var hit []*link
	for l := range n.links {
		if which(l) {
			hit = append(hit, l)
		}
	}
	n.mu.Unlock()
	for _, l := range hit {
		_ = l.Close()
	}
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

func (n *Network) listen(addr string, group byte) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nodes == nil {
		n.nodes = map[endpoint]*memoryListener{}
	}
	at := endpoint{addr, group}
	if n.nodes[at] != nil {
		return nil, fmt.Errorf("consensus: %s is in use on this network", addr)
	}
	l := &memoryListener{net: n, at: at, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.nodes[at] = l
	return l, nil
}

func (n *Network) dial(from, to string, group byte) (net.Conn, error) {
	n.mu.Lock()
	l := n.nodes[endpoint{to, group}]
	reachable := l != nil && n.nodes[endpoint{from, group}] != nil && !n.cuts[pair(from, to)]
	if !reachable {
		n.mu.Unlock()
		return nil, fmt.Errorf("%s from %s: %w", to, from, errUnreachable)
	}
	near, far := net.Pipe()
	out := &link{Conn: near, net: n, from: from, to: to}
	in := &link{Conn: far, net: n, from: from, to: to}
	if n.links == nil {
		n.links = map[*link]struct{}{}
	}
	n.links[out], n.links[in] = struct{}{}, struct{}{}
	n.mu.Unlock()
	select {
	case l.conns <- in:
		return out, nil
	case <-l.closed:
		_, _ = out.Close(), in.Close()
		return nil, fmt.Errorf("%s from %s: %w", to, from, errUnreachable)
	}
}

// link is one end of a connection.
type link struct {
	net.Conn
	net      *Network
	from, to string
}

func (l *link) Close() error {
	l.net.mu.Lock()
	delete(l.net.links, l)
	l.net.mu.Unlock()
	return l.Conn.Close()
}

type memoryListener struct {
	net    *Network
	at     endpoint
	conns  chan net.Conn // unbuffered: a dial meets an accept
	closed chan struct{}
	once   sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) stop() { l.once.Do(func() { close(l.closed) }) }

func (l *memoryListener) Close() error {
	l.net.mu.Lock()
	if l.net.nodes[l.at] == l {
		delete(l.net.nodes, l.at)
	}
	l.net.mu.Unlock()
	l.stop()
	return nil
}

func (l *memoryListener) Addr() net.Addr { return address(l.at.addr) }
