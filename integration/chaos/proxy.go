package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// pair names a direction: what from sends to to, on whichever of their connections, whoever dialled it.
type pair struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// pairs lists the directions between silos from 1 to n.
func pairs(n int) (all []pair) {
	for from := 1; from <= n; from++ {
		for to := 1; to <= n; to++ {
			if from != to {
				all = append(all, pair{from, to})
			}
		}
	}
	return all
}

// fabric is the network between silos: a proxy for each ordered pair of them, which passes on the
// connections that the first dials to the second. What it does to the bytes it does by direction, so that
// a cut of one direction is one for requests and for answers alike.
type fabric struct {
	seed uint64
	ways map[pair]*way

	mu     sync.Mutex
	relays map[*relay]struct{}
	dialed uint64
	closed bool

	listeners []net.Listener
	tasks     sync.WaitGroup
}

// way is one direction between two silos.
type way struct {
	mu     sync.Mutex
	open   chan struct{} // closed while bytes pass
	passes bool
	shut   bool // who dials in this direction is refused
	delay  time.Duration
	jitter time.Duration
}

// newFabric listens for each pair of nodes at the ports given for each, from silo 1 on. A client of its own
// place has none: nobody dials it through here.
func newFabric(seed uint64, ports [][]int) (*fabric, error) {
	f := &fabric{seed: seed, ways: map[pair]*way{}, relays: map[*relay]struct{}{}}
	for _, p := range pairs(len(ports)) { // all before the first connection
		open := make(chan struct{})
		close(open)
		f.ways[p] = &way{open: open, passes: true}
	}
	for _, p := range pairs(len(ports)) {
		for _, port := range ports[p.To-1] {
			l, err := net.Listen("tcp", net.JoinHostPort(proxied(p.From, p.To).String(), strconv.Itoa(port)))
			if err != nil {
				return nil, errors.Join(fmt.Errorf("the proxy from silo %d to silo %d: %w (it needs all of 127.0.0.0/8 on loopback, which Linux has)", p.From, p.To, err), f.close())
			}
			f.listeners = append(f.listeners, l)
			f.tasks.Go(func() { f.serve(l, p.From, p.To, net.JoinHostPort(direct.String(), strconv.Itoa(port))) })
		}
	}
	return f, nil
}

// close ends all connections and waits for what served them.
func (f *fabric) close() error {
	var errs []error
	for _, l := range f.listeners {
		errs = append(errs, l.Close())
	}
	f.mu.Lock()
	f.closed = true
	for r := range f.relays {
		r.end()
	}
	f.mu.Unlock()
	f.tasks.Wait()
	return errors.Join(errs...)
}

// cut holds what goes in a direction, from now on.
func (f *fabric) cut(p pair) {
	w := f.ways[p]
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.passes {
		w.passes, w.open = false, make(chan struct{})
	}
}

// mend lets a direction pass again. What was held arrives late, as it does where TCP has sent it again;
// or never, where lose is said: then the connections between the two are broken.
func (f *fabric) mend(p pair, lose bool) {
	if lose {
		f.lose(p)
	}
	w := f.ways[p]
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.passes {
		w.passes = true
		close(w.open)
	}
}

// shut lets nothing that from dials reach to, from now on: what is open between the two is broken, what is
// dialled is refused at once, as by a network that knows no way there.
func (f *fabric) shut(from, to int) { f.setShut(from, to, true) }

// unshut lets from dial again.
func (f *fabric) unshut(from, to int) { f.setShut(from, to, false) }

func (f *fabric) setShut(from, to int, shut bool) {
	p := pair{from, to}
	w := f.ways[p]
	w.mu.Lock()
	w.shut = shut
	w.mu.Unlock()
	if shut {
		f.lose(p)
	}
}

// lose breaks the connections between two nodes.
func (f *fabric) lose(p pair) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.relays {
		if r.between(p) {
			r.end()
		}
	}
}

func (w *way) isShut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut
}

// slow delays each piece of what goes in a direction, by up to jitter more than delay; order is kept.
func (f *fabric) slow(p pair, delay, jitter time.Duration) {
	w := f.ways[p]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.jitter = delay, jitter
}

// lag is how long a piece is under way.
func (w *way) lag(r *rand.Rand) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.delay
	if w.jitter > 0 {
		d += time.Duration(r.Int64N(int64(w.jitter)))
	}
	return d
}

// await returns when bytes pass, or when ended is closed: then false.
func (w *way) await(ended <-chan struct{}) bool {
	for {
		w.mu.Lock()
		passes, open := w.passes, w.open
		w.mu.Unlock()
		if passes {
			return true
		}
		select {
		case <-open:
		case <-ended:
			return false
		}
	}
}

// serve passes on what from dials, until the listener is closed.
func (f *fabric) serve(l net.Listener, from, to int, addr string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed: what is accepted fails for no other reason that another try would mend
		}
		f.tasks.Go(func() { f.relay(conn, from, to, addr) })
	}
}

// relay is one connection, of two halves.
type relay struct {
	from, to int
	dialing  net.Conn
	serving  net.Conn
	once     sync.Once
	ended    chan struct{}
}

func (r *relay) between(p pair) bool {
	return r.from == p.From && r.to == p.To || r.from == p.To && r.to == p.From
}

func (r *relay) end() {
	r.once.Do(func() {
		close(r.ended)
		for _, c := range []net.Conn{r.dialing, r.serving} {
			if c != nil {
				if tcp, ok := c.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // a reset, as after a lost connection; the connection may be gone already
				}
				_ = c.Close()
			}
		}
	})
}

func (f *fabric) relay(conn net.Conn, from, to int, addr string) {
	r := &relay{from: from, to: to, dialing: conn, ended: make(chan struct{})}
	// The first packets cross too: nobody is reached through a cut, in either direction.
	there, back := f.ways[pair{from, to}], f.ways[pair{to, from}]
	f.mu.Lock()
	number := f.dialed
	f.dialed++
	if !f.closed {
		f.relays[r] = struct{}{}
	}
	closed := f.closed
	f.mu.Unlock()
	defer func() {
		r.end()
		f.mu.Lock()
		delete(f.relays, r)
		f.mu.Unlock()
	}()
	if closed || there.isShut() || !there.await(r.ended) || !back.await(r.ended) {
		return
	}
	serving, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	f.mu.Lock() // against end, which may run at any time
	select {
	case <-r.ended:
		f.mu.Unlock()
		serving.Close()
		return
	default:
		r.serving = serving
	}
	f.mu.Unlock()
	var halves sync.WaitGroup
	halves.Go(func() { r.pump(there, serving, conn, rand.New(rand.NewPCG(f.seed, 2*number))) })
	halves.Go(func() { r.pump(back, conn, serving, rand.New(rand.NewPCG(f.seed, 2*number+1))) })
	halves.Wait()
}

// piece is what was read at a time.
type piece struct {
	bytes []byte
	due   time.Time
}

const (
	pieceSize = 16 << 10
	// inWay is how many pieces are under way in a direction of a connection; more are not read, so that
	// the sender feels it as a full window.
	inWay = 128
)

// pump passes src's bytes on to dst, then its end.
func (r *relay) pump(w *way, dst, src net.Conn, random *rand.Rand) {
	pieces := make(chan piece, inWay)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			b := make([]byte, pieceSize)
			n, err := src.Read(b)
			if n > 0 {
				select {
				case pieces <- piece{b[:n], time.Now().Add(w.lag(random))}:
				case <-r.ended:
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) { // a reset is one for both, once what came before it has crossed
					select {
					case pieces <- piece{}:
					case <-r.ended:
					}
				}
				return
			}
		}
	})
	defer reading.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range pieces {
		timer.Reset(time.Until(p.due))
		select {
		case <-timer.C:
		case <-r.ended:
			return
		}
		if !w.await(r.ended) {
			return
		}
		if p.bytes == nil {
			r.end()
			return
		}
		if _, err := dst.Write(p.bytes); err != nil {
			r.end()
			return
		}
	}
	if !w.await(r.ended) {
		return
	}
	if tcp, ok := dst.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // whose reader may be gone
	}
}
