package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/bench/shop"
	"github.com/martinelli-go/martinelli/integration/internal/child"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// Many idle grains: what one costs in memory, how long its activation takes, and what others notice while all
// are collected. The silo is in a process of its own, whose heap holds nothing else.

const (
	roleIdle = "idle"
	// idleCallers call other grains, one call each idlePause, while the idle ones are collected: a silo at work,
	// and not one that has no processor to spare.
	idleCallers = 16
	idlePause   = 2 * time.Millisecond
)

// serveIdle is that process; args are Listen, the number of grains, and after how many milliseconds without
// calls they are collected. When it serves it waits for a line, activates them, prints bytes of heap a
// grain and nanoseconds an activation, says "collecting" when the first has been deactivated, and
// "collected" when all have been.
func serveIdle(ctx context.Context, p parent, args []string) error {
	if len(args) != 3 {
		return errors.New("the role takes Listen, the number of grains and milliseconds")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	after, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	s, err := silo.Start(ctx, silo.Config{
		Grains: shop.Grains(), Listen: args[0], Join: args[0], IdleAfter: time.Duration(after) * time.Millisecond, Logger: p.log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(context.WithoutCancel(ctx))) }()
	p.tell(s.Addr())
	if _, err := p.hear(ctx); err != nil {
		return nil // it is to end
	}
	took, bytes, err := activate(ctx, s, n)
	if err != nil {
		return err
	}
	p.tell(fmt.Sprintf("%f %f", bytes, float64(took)/float64(n)))
	for _, step := range []struct {
		ended int
		says  string
	}{{1, "collecting"}, {n, "collected"}} {
		for int(shop.Ended.Load()) < step.ended {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
		p.tell(step.says)
	}
	<-ctx.Done()
	return nil
}

// activate calls n grains once, one after the other, and returns how long that took and what they hold.
func activate(ctx context.Context, s *silo.Silo, n int) (took time.Duration, bytes float64, err error) {
	if err := shop.GetIdler(s, -1).Touch(ctx); err != nil {
		return 0, 0, err
	}
	shop.Ended.Store(0)
	_, all := report.Held(func() struct{} {
		began := time.Now()
		for i := range n {
			if err = shop.GetIdler(s, int64(i)).Touch(ctx); err != nil {
				return struct{}{}
			}
		}
		took = time.Since(began)
		return struct{}{}
	})
	runtime.KeepAlive(s)
	return took, all / float64(n), err
}

// idle measures it from another process.
func (b *bench) idle(ctx context.Context, r *report.Report, c callsPlan) error {
	var bytes, nanos, tails, quiet, spans []float64
	for round := range c.rounds {
		b.progress("idle, %d grains, round %d of %d", c.idle, round+1, c.rounds)
		one, err := measureIdle(ctx, c.idle)
		if err != nil {
			return err
		}
		bytes, nanos = append(bytes, one.bytes), append(nanos, one.nanos)
		quiet = append(quiet, float64(one.before.quantile(0.999))/1e6)
		tails, spans = append(tails, float64(one.calls.quantile(0.999))/1e6), append(spans, one.calls.took.Seconds())
	}
	r.AtMost(fmt.Sprintf("%d idle grains: bytes of heap each", c.idle), report.Median(bytes), 800)
	r.AtMost(fmt.Sprintf("%d idle grains: µs an activation", c.idle), report.Median(nanos)/1e3, 4)
	r.AtMost(fmt.Sprintf("%d idle grains: p99.9 of other calls while all are collected, ms", c.idle), report.Median(tails), 10)
	r.Figure(fmt.Sprintf("%d idle grains: p99.9 of the same calls before, ms", c.idle), report.Median(quiet))
	r.Figure(fmt.Sprintf("%d idle grains: seconds that collecting them takes", c.idle), report.Median(spans))
	return nil
}

type idleFigures struct {
	bytes, nanos float64
	calls        sample // of others, while the grains were collected
	before       sample // and while they were idle
}

func measureIdle(ctx context.Context, n int) (figures idleFigures, err error) {
	addrs, err := child.SiloAddrs(1)
	if err != nil {
		return figures, err
	}
	server, err := child.Spawn(ctx, serveCommand, roleIdle, addrs[0], strconv.Itoa(n), strconv.Itoa(3000+n/200)) // none before all are active
	if err != nil {
		return figures, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	client, err := connect(ctx, server.Ready, "")
	if err != nil {
		return figures, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := server.Tell("go"); err != nil {
		return figures, err
	}
	line, err := server.Hear(ctx, time.Minute)
	if err != nil {
		return figures, err
	}
	if _, err := fmt.Sscan(line, &figures.bytes, &figures.nanos); err != nil {
		return figures, fmt.Errorf("%q: %w", line, err)
	}
	// Other grains are called all the time; what counts is from the first that is collected to the last.
	var mu sync.Mutex
	var calls []timed
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	var callers sync.WaitGroup
	errs := make([]error, idleCallers)
	for i := range idleCallers {
		callers.Go(func() {
			to, own := shop.GetCounter(client, targetName(i)), []timed(nil)
			pause := time.NewTicker(idlePause)
			defer pause.Stop()
			for over.Err() == nil {
				began := <-pause.C
				if _, err := to.Add(ctx, 1); err != nil {
					errs[i] = err
					return
				}
				own = append(own, timed{began, time.Since(began)})
			}
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, own...)
		})
	}
	var at [2]time.Time
	for i, expected := range []string{"collecting", "collected"} {
		line, err := server.Hear(ctx, 2*time.Minute)
		if err == nil && line != expected {
			err = fmt.Errorf("the silo says %q instead of %q", line, expected)
		}
		if err != nil {
			cancel()
			callers.Wait()
			return figures, err
		}
		at[i] = time.Now()
	}
	cancel()
	callers.Wait()
	figures.calls.took = at[1].Sub(at[0])
	for _, c := range calls {
		switch {
		case c.began.Add(c.took).Before(at[0]):
			figures.before.latencies = append(figures.before.latencies, c.took)
		case c.began.Before(at[1]):
			figures.calls.latencies = append(figures.calls.latencies, c.took)
		}
	}
	slices.Sort(figures.before.latencies)
	slices.Sort(figures.calls.latencies)
	if len(figures.calls.latencies) == 0 {
		errs = append(errs, errors.New("no call was made while grains were collected"))
	}
	return figures, errors.Join(errs...)
}

// timed is one call.
type timed struct {
	began time.Time
	took  time.Duration
}
