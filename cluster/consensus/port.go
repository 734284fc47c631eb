package consensus

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Port is one listener that several groups share. A connection begins with one byte, before anything else,
// that names its group.
type Port struct {
	listener net.Listener
	closed   chan struct{}
	once     sync.Once
	tasks    sync.WaitGroup
	slots    chan struct{} // one for each connection that has not named its group

	mu     sync.Mutex
	groups map[byte]*groupListener
	open   int
	failed error
}

// NewPort takes over a listener; the last of its groups closes it.
func NewPort(l net.Listener) *Port {
	p := &Port{listener: l, closed: make(chan struct{}), slots: make(chan struct{}, handshakesAtOnce), groups: map[byte]*groupListener{}}
	p.tasks.Add(1)
	go p.serve()
	return p
}

// Group is the listener of one group, for its Config.Listener with the same Config.Group. A group may be
// taken once.
func (p *Port) Group(n byte) net.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &groupListener{port: p, n: n, conns: make(chan net.Conn), closed: make(chan struct{})}
	p.groups[n] = l
	p.open++
	return l
}

// Close ends the listener for all groups.
func (p *Port) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.failed = p.listener.Close()
	})
	p.tasks.Wait()
	return p.failed
}

func (p *Port) serve() {
	defer p.tasks.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-p.closed:
				return
			case <-time.After(20 * time.Millisecond): // out of descriptors, mostly
			}
			continue
		}
		select {
		case p.slots <- struct{}{}:
		case <-p.closed:
			_ = c.Close()
			return
		}
		p.tasks.Add(1)
		go p.sort(c)
	}
}

// sort hands a connection to the group that it names.
func (p *Port) sort(c net.Conn) {
	defer p.tasks.Done()
	n := make([]byte, 1)
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err := c.Read(n)
	<-p.slots
	p.mu.Lock()
	l := p.groups[n[0]]
	p.mu.Unlock()
	if err != nil || l == nil || c.SetDeadline(time.Time{}) != nil {
		_ = c.Close()
		return
	}
	select {
	case l.conns <- c:
	case <-l.closed:
		_ = c.Close()
	case <-p.closed:
		_ = c.Close()
	}
}

// groupListener is the share of one group.
type groupListener struct {
	port   *Port
	n      byte
	conns  chan net.Conn // unbuffered: who accepts takes them one by one
	closed chan struct{}
	once   sync.Once
}

func (l *groupListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
	case <-l.port.closed:
	}
	return nil, net.ErrClosed
}

func (l *groupListener) Addr() net.Addr { return l.port.listener.Addr() }

func (l *groupListener) Close() (err error) {
	l.once.Do(func() {
		close(l.closed)
		l.port.mu.Lock()
		delete(l.port.groups, l.n)
		l.port.open--
		last := l.port.open == 0
		l.port.mu.Unlock()
		if last {
			err = l.port.Close()
		}
	})
	return err
}
