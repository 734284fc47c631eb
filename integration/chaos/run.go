package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

// silos is how many found the cluster.
const silos = 3

// result is what one run has shown.
type result struct {
	Seed       uint64                     `json:"seed"`
	Operations int                        `json:"operations"` // by the callers
	Checked    int                        `json:"checked"`    // of these the successful ones
	Outcomes   map[outcome]int            `json:"outcomes"`
	Faults     map[kind]int               `json:"faults"`
	Missed     []string                   `json:"missed,omitempty"` // faults that could not be made, and why
	Violations []violation                `json:"violations,omitempty"`
	Goodput    goodput                    `json:"goodput"`
	Takeover   map[string][]time.Duration `json:"takeover"` // by "silo" and "leader"
	Slowest    time.Duration              `json:"slowest"`  // operation
	Stalled    time.Duration              `json:"stalled"`  // how long the clients' process stood still
	Dir        string                     `json:"dir,omitempty"`
}

// strange says whether somebody will want to know why: a fault could not be made, or a takeover took too long.
func (r *result) strange() bool {
	for _, took := range r.Takeover {
		if len(took) > 0 && slices.Max(took) > takeoverAtMost {
			return true
		}
	}
	return len(r.Missed) > 0
}

// run is one cluster, from its founding to its end, and what is done with it.
type run struct {
	name     string // for people
	seed     uint64
	duration time.Duration // of the load, where the script does not say
	mutate   string        // the safety check that the silos run without
	spare    int           // silos that have a place and are started by the script
	places   int           // of clients beyond those
	dir      string
	say      func(format string, args ...any)

	fabric    *fabric
	silos     []*member
	addrs     []string // by name
	history   *history
	load      *load
	outsiders []*outsider
	began     time.Time
	ops       []*operation // all, once the script is over

	faulting sync.WaitGroup
	asked    atomic.Uint64 // how often a leader to be killed was asked for
	mu       sync.Mutex
	result   result
	spans    []span
	still    []stall
}

// perform starts silos, does what the script says, and checks. The error is that it could not.
func (r *run) perform(ctx context.Context, script func(context.Context) error) (*result, error) {
	r.history = newHistory()
	r.result = result{Seed: r.seed, Faults: map[kind]int{}, Outcomes: map[outcome]int{}, Takeover: map[string][]time.Duration{}}
	// The clock on the wall orders what processes note; the other one tells whether it was set meanwhile.
	wall, mono := time.Now().Round(0), time.Now()
	watch := watchStalls()
	err := r.start(ctx)
	if err == nil {
		err = script(ctx)
	}
	r.still = watch.end()
	if err == nil {
		err = r.check(ctx)
	}
	for _, failed := range r.close() {
		r.violate(found(checkSilosStand, "%v", failed))
	}
	if err != nil {
		return nil, err
	}
	if off := (time.Now().Round(0).Sub(wall) - time.Since(mono)).Abs(); off > 5*time.Millisecond {
		r.violate(found(checkClockIsSound, "it moved by %v against the monotonic one: the run proves nothing, run it again", off))
	}
	blame(r.result.Violations, r.began.UnixNano(), r.spans)
	for _, v := range r.result.Violations {
		r.say("%s: VIOLATION: %s: %s", r.name, v.Check, v.Detail)
	}
	return &r.result, r.writeResult()
}

// check checks what was done and what is left behind.
func (r *run) check(ctx context.Context) error {
	r.ops = r.history.close()
	r.count(r.ops)
	if err := writeHistory(filepath.Join(r.dir, "history.jsonl"), r.ops); err != nil {
		return err
	}
	r.say("%s: check %d operations", r.name, len(r.ops))
	turns, err := r.turns()
	if err != nil {
		return err
	}
	rest := &remains{}
	if err := rest.read(ctx, r.load.clients[0]); err != nil {
		r.violate(found(checkConvergence, "what is there cannot be read after everything was mended: %v", err))
	} else {
		r.violate(rest.check(r.ops, r.running())...)
	}
	r.violate(answered(r.ops, r.still)...)
	r.violate(linear(r.ops)...)
	r.violate(activations(turns, r.ops, r.began.UnixNano())...)
	r.violate(commits(turns)...)
	r.violate(relays(turns)...)
	return context.Cause(ctx)
}

// running counts the silos that run.
func (r *run) running() (n int) {
	for _, s := range r.silos {
		if s.current() != nil {
			n++
		}
	}
	return n
}

func (r *run) violate(all ...violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Violations = append(r.result.Violations, all...)
}

// start starts proxies, silos and clients.
func (r *run) start(ctx context.Context) error {
	ports, err := freePorts(silos + r.spare)
	if err != nil {
		return err
	}
	if r.fabric, err = newFabric(r.seed, append(slices.Clone(ports), make([][]int, r.places)...)); err != nil {
		return err
	}
	for i := range ports {
		r.addrs = append(r.addrs, net.JoinHostPort(nameOf(i+1), strconv.Itoa(ports[i][0])))
	}
	for i := range ports {
		n := i + 1
		s := &member{number: n, log: filepath.Join(r.dir, fmt.Sprintf("silo-%d.log", n))}
		s.args = []string{
			"--silo", strconv.Itoa(n), "--listen", net.JoinHostPort(direct.String(), strconv.Itoa(ports[i][0])),
			"--advertise", r.addrs[i], "--join", r.join(), "--dir", filepath.Join(r.dir, fmt.Sprintf("silo-%d", n)), "--mutate", r.mutate,
		}
		r.silos = append(r.silos, s)
	}
	r.say("%s: start %d silos", r.name, silos)
	errs := make([]error, silos)
	each(silos, func(i int) { errs[i] = r.silos[i].start(ctx) })
	if err := errors.Join(errs...); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if r.load, err = connect(bounded, r.join(), r.history); err != nil {
		return err
	}
	return r.load.open(bounded, silos)
}

// join is the list of those who found the cluster. One that comes later is not in it.
func (r *run) join() string { return strings.Join(r.addrs[:silos], ",") }

// freePorts returns, for each silo, a port and the next one, which are free on loopback a moment ago.
func freePorts(n int) (ports [][]int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	hold := func(port int) (int, error) {
		l, err := net.Listen("tcp", net.JoinHostPort(direct.String(), strconv.Itoa(port)))
		if err != nil {
			return 0, err
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	for tries := 0; len(ports) < n; tries++ {
		port, err := hold(0)
		if err != nil {
			return nil, fmt.Errorf("find a free port on %v: %w", direct, err)
		}
		if _, err := hold(port + 1); err == nil {
			ports = append(ports, []int{port, port + 1})
		} else if tries > 100 {
			return nil, fmt.Errorf("find two free ports in a row on %v: %w", direct, err)
		}
	}
	return ports, nil
}

// close ends everything that start and the script have started. The errors are those of silos.
func (r *run) close() (errs []error) {
	for _, o := range r.outsiders {
		o.close()
	}
	if r.load != nil {
		r.load.close()
	}
	// All at once: those that are left have no majority to wait for.
	var mu sync.Mutex
	each(len(r.silos), func(i int) {
		if r.silos[i].current() == nil {
			return
		}
		if err := r.silos[i].stop(); err != nil {
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		}
	})
	if r.fabric != nil {
		_ = r.fabric.close() // nobody listens any more
	}
	return errs
}

// underLoad does f while callers call, and sees that all founders run when it is over.
func (r *run) underLoad(ctx context.Context, f func(context.Context) error) error {
	r.began = time.Now()
	r.load.begin(r.seed)
	err := f(ctx)
	r.load.end()
	r.faulting.Wait()
	if err != nil {
		return err
	}
	for _, s := range r.silos[:silos] {
		if err := s.alive(); err != nil {
			r.violate(found(checkSilosStand, "%v", err))
		}
		if s.current() == nil || s.alive() != nil { // the rest is checked all the same
			if err := s.start(ctx); err != nil {
				r.violate(found(checkSilosStand, "%v", err))
			}
		}
	}
	return context.Cause(ctx)
}

// hold waits.
func hold(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// revive starts a silo that is down.
func (r *run) revive(ctx context.Context, s *member) {
	if err := s.start(ctx); err != nil && ctx.Err() == nil {
		r.violate(found(checkSilosStand, "%v", err))
	}
}

// locate finds out, within two seconds, which silos have the first n bystanders.
func (r *run) locate(ctx context.Context, n int) map[int]int64 {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return r.load.locate(bounded, n)
}

// settledWithin is how long silos may take until each has its share of the grains again.
const settledWithin = 30 * time.Second

// settled waits until each silo that runs answers for its share of n bystanders, and none of them has moved for
// a while, and says who has them.
func (r *run) settled(ctx context.Context, n int) (map[int]int64, error) {
	bounded, cancel := context.WithTimeout(ctx, settledWithin)
	defer cancel()
	for at := r.locate(bounded, n); ; {
		hold(bounded, time.Second)
		before := at
		at = r.locate(bounded, n)
		had := map[int64]int{}
		for _, silo := range at {
			had[silo]++
		}
		even := maps.Equal(at, before) && len(at) == n
		for _, s := range r.silos {
			even = even && (s.current() == nil || 5*had[int64(s.number)]*r.running() >= 4*n)
		}
		if even {
			return at, nil
		}
		if bounded.Err() != nil {
			return nil, fmt.Errorf("not each of %d silos has its share of %d grains after %v: %v", r.running(), n, settledWithin, had)
		}
	}
}

// leader asks the silos who leads the log of the views.
func (r *run) leader(ctx context.Context) (int, error) {
	return r.leaderOf(ctx, func(report *cluster.Report) string { return report.Leader })
}

// eitherLeader asks who leads one of the two logs: that of the views, or, every second time, that of blocks.
func (r *run) eitherLeader(ctx context.Context) (int, error) {
	if r.asked.Add(1)%2 == 1 {
		return r.leader(ctx)
	}
	return r.ledgerLeader(ctx)
}

// ledgerLeader asks the silos who leads the log of blocks.
func (r *run) ledgerLeader(ctx context.Context) (int, error) {
	return r.leaderOf(ctx, func(report *cluster.Report) string { return report.LedgerLeader })
}

func (r *run) leaderOf(ctx context.Context, of func(*cluster.Report) string) (int, error) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for bounded.Err() == nil {
		if report, err := r.load.clients[0].Inspect(bounded, cluster.Inspection{}); err == nil {
			if i := slices.Index(r.addrs, of(report)); i >= 0 {
				return i + 1, nil
			}
		}
		hold(bounded, 50*time.Millisecond)
	}
	return 0, errors.New("no silo says that it leads the log")
}

// count sums the history up.
func (r *run) count(ops []*operation) {
	res := &r.result
	for _, s := range r.still {
		res.Stalled += time.Duration(s.to - s.from)
	}
	for _, o := range ops {
		res.Slowest = max(res.Slowest, time.Duration(o.Return-o.Invoke))
		if !o.ofLoad() {
			continue
		}
		res.Operations++
		res.Outcomes[o.Outcome]++
		if o.Outcome == done {
			res.Checked++
		}
	}
}

// turns reads the journals of all runs of all silos.
func (r *run) turns() (all []register.Turn, err error) {
	for _, s := range r.silos {
		for _, file := range s.journals() {
			turns, err := register.Turns(file)
			if err != nil {
				return nil, err
			}
			all = append(all, turns...)
		}
	}
	return all, nil
}

// writeResult puts what was found beside the histories.
func (r *run) writeResult() error {
	b, err := json.MarshalIndent(r.result, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, "result.json"), append(b, '\n'), 0o644)
}
