package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
)

const silos = 3

// result is what one seed has shown.
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

// run is one run of the silos with one seed.
type run struct {
	seed     uint64
	duration time.Duration
	fault    string // the safety check that the silos run without
	dir      string
	say      func(format string, args ...any)

	fabric  *fabric
	silos   []*member
	addrs   []string // by name
	history *history
	load    *load
	began   time.Time

	faulting sync.WaitGroup
	mu       sync.Mutex
	result   result
	spans    []span
	still    []stall
}

// runSeed starts silos, disturbs them under load, and checks. The error is that it could not.
func runSeed(ctx context.Context, r *run) (*result, error) {
	r.history = newHistory()
	r.result = result{Seed: r.seed, Faults: map[kind]int{}, Outcomes: map[outcome]int{}, Takeover: map[string][]time.Duration{}}
	// The clock on the wall orders what processes note; the other one tells whether it was set meanwhile.
	wall, mono := time.Now().Round(0), time.Now()
	err := r.start(ctx)
	if err == nil {
		err = r.disturb(ctx)
	}
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
		r.say("seed %d: VIOLATION: %s: %s", r.seed, v.Check, v.Detail)
	}
	return &r.result, r.writeResult()
}

// check checks what the load has left behind.
func (r *run) check(ctx context.Context) error {
	ops := r.history.close()
	r.count(ops)
	if err := writeHistory(filepath.Join(r.dir, "history.jsonl"), ops); err != nil {
		return err
	}
	r.say("seed %d: check %d operations", r.seed, len(ops))
	turns, err := r.turns()
	if err != nil {
		return err
	}
	rest := &remains{}
	if err := rest.read(ctx, r.load.clients[0]); err != nil {
		r.violate(found(checkConvergence, "what is there cannot be read after everything was mended: %v", err))
	} else {
		r.violate(rest.check(ops, silos)...)
	}
	r.violate(answered(ops, r.still)...)
	r.violate(linear(ops)...)
	r.violate(activations(turns, ops, r.began.UnixNano())...)
	r.violate(commits(turns)...)
	return context.Cause(ctx)
}

func (r *run) violate(all ...violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Violations = append(r.result.Violations, all...)
}

// start starts proxies, silos and clients.
func (r *run) start(ctx context.Context) error {
	ports, err := freePorts(silos)
	if err != nil {
		return err
	}
	if r.fabric, err = newFabric(r.seed, ports); err != nil {
		return err
	}
	for i := range silos {
		r.addrs = append(r.addrs, net.JoinHostPort(nameOf(i+1), strconv.Itoa(ports[i][0])))
	}
	join := strings.Join(r.addrs, ",")
	for i := range silos {
		n := i + 1
		s := &member{number: n, log: filepath.Join(r.dir, fmt.Sprintf("silo-%d.log", n))}
		s.args = []string{
			"--silo", strconv.Itoa(n), "--listen", net.JoinHostPort(direct.String(), strconv.Itoa(ports[i][0])),
			"--advertise", r.addrs[i], "--join", join, "--dir", filepath.Join(r.dir, fmt.Sprintf("silo-%d", n)), "--fault", r.fault,
		}
		r.silos = append(r.silos, s)
	}
	r.say("seed %d: start %d silos", r.seed, silos)
	errs := make([]error, silos)
	each(silos, func(i int) { errs[i] = r.silos[i].start(ctx) })
	if err := errors.Join(errs...); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if r.load, err = connect(bounded, join, r.history); err != nil {
		return err
	}
	return r.load.open(bounded)
}

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

// close ends everything that start has started. The errors are those of silos.
func (r *run) close() (errs []error) {
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

// disturb runs the load, and the faults of the plan at their times.
func (r *run) disturb(ctx context.Context) error {
	schedule := plan(r.seed, r.duration, silos)
	r.locate(ctx)
	watch := watchStalls()
	defer func() { r.still = watch.end() }()
	r.began = time.Now()
	r.load.begin(r.seed)
	r.say("seed %d: load for %v, %d faults", r.seed, r.duration, len(schedule))
	end := time.NewTimer(r.duration)
	defer end.Stop()
	for _, f := range schedule {
		wait := time.NewTimer(time.Until(r.began.Add(f.At)))
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			break
		}
		r.faulting.Go(func() { r.inject(ctx, f) })
	}
	select {
	case <-end.C:
	case <-ctx.Done():
	}
	r.load.end()
	r.faulting.Wait()
	for _, s := range r.silos {
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

// inject makes one fault, and ends it.
func (r *run) inject(ctx context.Context, f fault) {
	if f.Kind == killedLead {
		leader, err := r.leader(ctx)
		if err != nil {
			r.missed(f, err)
			return
		}
		f.Silo = leader
	}
	begin := time.Since(r.began)
	r.say("seed %d: %v", r.seed, f)
	err := r.make(ctx, f)
	switch {
	case ctx.Err() != nil:
		return
	case errors.As(err, new(*misbehaved)):
		r.violate(found(checkSilosStand, "%v", err))
	case err != nil:
		r.missed(f, err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Faults[f.Kind]++
	r.spans = append(r.spans, span{begin, time.Since(r.began), f.what()})
}

func (r *run) missed(f fault, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	r.spans = append(r.spans, span{now, now, f.what()})
	r.result.Missed = append(r.result.Missed, fmt.Sprintf("%v: %v", f, err))
}

// make makes one fault. It returns when it is over.
func (r *run) make(ctx context.Context, f fault) error {
	switch f.Kind {
	case cutBoth, cutOne:
		for _, w := range f.Ways {
			r.fabric.cut(w)
		}
		hold(ctx, f.For)
		for _, w := range f.Ways {
			r.fabric.mend(w, f.Lose)
		}
		return nil
	case delayed:
		for _, w := range f.Ways {
			r.fabric.slow(w, f.Delay, f.Jitter)
		}
		hold(ctx, f.For)
		for _, w := range f.Ways {
			r.fabric.slow(w, 0, 0)
		}
		return nil
	}
	s := r.silos[f.Silo-1]
	s.fault.Lock()
	defer s.fault.Unlock()
	switch f.Kind {
	case killed, killedLead:
		return r.kill(ctx, s, f)
	case restarted:
		err := s.stop()
		hold(ctx, f.For)
		r.revive(ctx, s)
		return err
	case pausedTurn:
		err := s.stopInTurn(f.Turn)
		for range 2 { // it may have been taken as down, and have no grain for a moment
			if errors.Is(err, errNoTurn) {
				err = s.stopInTurn(f.Turn)
			}
		}
		if err != nil {
			return err
		}
	default:
		if err := s.signal(sigStop); err != nil {
			return err
		}
	}
	hold(ctx, f.For)
	return s.signal(sigCont)
}

// hold waits.
func hold(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// takeoverWithin is how long grains of a killed silo are looked for elsewhere; what takes longer counts as
// this.
const takeoverWithin = takeoverAtMost + time.Second

// kill kills a silo, measures how soon others take its grains over, and starts it again: when they have,
// else its grains would answer where they were.
func (r *run) kill(ctx context.Context, s *member, f fault) error {
	at := r.locate(ctx)
	who := "silo"
	if f.Kind == killedLead {
		who = "leader"
	}
	if err := s.kill(); err != nil {
		r.revive(ctx, s)
		return err
	}
	now := time.Now()
	took := r.load.takeover(at, s.number, now, takeoverWithin)
	hold(ctx, f.For-time.Since(now))
	r.revive(ctx, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Takeover[who] = append(r.result.Takeover[who], took...)
	return nil
}

// revive starts a silo that is down.
func (r *run) revive(ctx context.Context, s *member) {
	if err := s.start(ctx); err != nil && ctx.Err() == nil {
		r.violate(found(checkSilosStand, "%v", err))
	}
}

// locate finds out, within a second or so, which silos have the bystanders.
func (r *run) locate(ctx context.Context) map[register.Key]int64 {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return r.load.locate(bounded)
}

// leader asks the silos who leads the log.
func (r *run) leader(ctx context.Context) (int, error) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for bounded.Err() == nil {
		if report, err := r.load.clients[0].Inspect(bounded, cluster.Inspection{}); err == nil {
			if i := slices.Index(r.addrs, report.Leader); i >= 0 {
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
		if o.Client < 0 || o.Kind == inquiry {
			continue
		}
		res.Operations++
		res.Outcomes[o.Outcome]++
		if o.Outcome == done {
			res.Checked++
		}
	}
	res.Goodput = measureGoodput(ops, r.began.UnixNano(), r.spans, r.duration)
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
