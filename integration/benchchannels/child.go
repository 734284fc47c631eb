package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/actor"
)

// childEnv makes this program one of the processes.
const childEnv = "MARTINELLI_BENCHCHANNELS_CHILD"

const (
	echo       = actor.OnCalls | 1
	takeShared = actor.OnCalls | 2
	takeBulk   = actor.OnBulk | 2

	callBytes     = 100
	transferBytes = 64 << 20
	callPause     = time.Millisecond
)

// order is what a process is told to do, and done what it answers, both as a line of JSON.
type order struct {
	Phase string
	For   time.Duration
	Peers []string
}

type done struct {
	Addr  string
	Times []float64 // of calls, nanoseconds
	Bytes int64     // sent in transfers, each of which has arrived
	Took  time.Duration
	Error string
}

// child is one of the processes: it says where it is, and does what it is told until its input ends.
func child(in io.Reader, out io.Writer) int {
	n, err := actor.Start(actor.Config{Addr: "127.0.0.1:0", Limit: transferBytes, PeerQueueBytes: 4 * transferBytes, Silo: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	n.Handle(echo, func(_ context.Context, _ actor.Peer, b []byte) ([]byte, error) { return b, nil })
	for _, s := range []actor.Service{takeShared, takeBulk} {
		n.Handle(s, func(context.Context, actor.Peer, []byte) ([]byte, error) { return nil, nil })
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(done{Addr: n.Addr()}); err != nil {
		return 1
	}
	payload := make([]byte, transferBytes)
	for orders := json.NewDecoder(in); ; {
		var o order
		if orders.Decode(&o) != nil {
			return 0
		}
		d, err := o.do(n, payload)
		if err != nil {
			d.Error = err.Error()
		}
		if answers.Encode(d) != nil {
			return 1
		}
	}
}

func (o order) do(n *actor.Node, payload []byte) (d done, err error) {
	began := time.Now()
	over := began.Add(o.For)
	service := takeBulk
	if o.Phase == shared {
		service = takeShared
	}
	var mu sync.Mutex
	var transfers, calls sync.WaitGroup
	fail := func(e error) {
		mu.Lock()
		defer mu.Unlock()
		err = errors.Join(err, e)
	}
	var moved atomic.Bool // all transfers have ended
	for _, peer := range o.Peers {
		if o.Phase != quiet {
			transfers.Go(func() {
				for time.Now().Before(over) {
					if _, err := n.Request(context.Background(), peer, service, payload); err != nil {
						fail(err)
						return
					}
					mu.Lock()
					d.Bytes += int64(len(payload))
					mu.Unlock()
				}
			})
		}
		calls.Go(func() {
			var times []float64
			small := make([]byte, callBytes)
			for time.Now().Before(over) || !moved.Load() {
				began := time.Now()
				if _, err := n.Request(context.Background(), peer, echo, small); err != nil {
					fail(err)
					return
				}
				times = append(times, float64(time.Since(began)))
				time.Sleep(callPause)
			}
			mu.Lock()
			defer mu.Unlock()
			d.Times = append(d.Times, times...)
		})
	}
	transfers.Wait()
	d.Took = time.Since(began)
	moved.Store(true)
	calls.Wait()
	return d, err
}

// process is a child as its parent sees it.
type process struct {
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *json.Decoder
	addr string
}

func spawn(ctx context.Context, stderr io.Writer) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: json.NewEncoder(in), out: json.NewDecoder(bufio.NewReader(out))}
	var d done
	if err := p.out.Decode(&d); err != nil {
		p.end()
		return nil, fmt.Errorf("a process did not start: %w", err)
	}
	p.addr = d.Addr
	return p, nil
}

func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// run makes the rounds.
func run(ctx context.Context, p plan, stderr io.Writer, rounds map[string][]figures) error {
	var all []*process
	for range p.processes {
		one, err := spawn(ctx, stderr)
		if err != nil {
			return err
		}
		defer one.end()
		all = append(all, one)
	}
	for round := range p.rounds + 1 { // the first warms up
		for _, phase := range phases {
			fmt.Fprintf(stderr, "round %d of %d: %s\n", round, p.rounds, phase)
			f, err := together(all, phase, p.phase)
			if err != nil {
				return fmt.Errorf("%s: %w", phase, err)
			}
			if round > 0 {
				rounds[phase] = append(rounds[phase], f)
			}
		}
	}
	return nil
}

// together has all processes do a phase at the same time.
func together(all []*process, phase string, d time.Duration) (f figures, err error) {
	answers := make([]done, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		var peers []string
		for _, other := range all {
			if other != one {
				peers = append(peers, other.addr)
			}
		}
		wg.Go(func() {
			if errs[i] = one.in.Encode(order{phase, d, peers}); errs[i] == nil {
				errs[i] = one.out.Decode(&answers[i])
			}
		})
	}
	wg.Wait()
	var times []float64
	for i, a := range answers {
		if a.Error != "" {
			errs[i] = errors.Join(errs[i], errors.New(a.Error))
		}
		times = append(times, a.Times...)
		if a.Bytes > 0 {
			f.rate += float64(a.Bytes) / a.Took.Seconds() / (1 << 20)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	if len(times) == 0 {
		return f, errors.New("no call was answered")
	}
	f.p50, f.p99 = percentile(times, 0.5), percentile(times, 0.99)
	return f, nil
}
