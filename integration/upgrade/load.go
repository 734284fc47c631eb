package upgrade

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains"
	v1 "github.com/martinelli-go/martinelli/integration/upgrade/v1"
	v2 "github.com/martinelli-go/martinelli/integration/upgrade/v2"
)

const (
	// answerWithin is the deadline of calls: the client makes those again meanwhile that were not executed.
	answerWithin = 20 * time.Second
	// moreWithin is how long all guests together may take to order as much as the plan wants.
	moreWithin = 60 * time.Second
	price      = 7
)

// load is clients of both builds, and what they order.
type load struct {
	plan     Plan
	old, new *cluster.Client
	guests   []*guest

	life    context.Context // until stop
	end     context.CancelFunc
	callers sync.WaitGroup

	calls, refused, served atomic.Int64

	mu      sync.Mutex
	failed  []error
	longest time.Duration
}

// guest has a tab, which one caller orders on.
type guest struct {
	name    string
	ordered atomic.Int64
	calls   tab
}

// tab is what both builds can do, by either build's code.
type tab interface {
	order(ctx context.Context) (items, sum int64, err error)
	// treated orders by way of another grain.
	treated(ctx context.Context, by string) (items, sum int64, err error)
	total(ctx context.Context) (items, sum int64, err error)
}

// newLoad lets guests order until stop.
func newLoad(p Plan, old, new *cluster.Client) *load {
	l := &load{plan: p, old: old, new: new}
	l.life, l.end = context.WithCancel(context.Background())
	for i := range p.Guests {
		o, n := fmt.Sprintf("guest-%d-old", i), fmt.Sprintf("guest-%d-new", i)
		l.guests = append(l.guests, &guest{name: o, calls: oldTab{old, o}}, &guest{name: n, calls: newTab{new, n}})
	}
	for _, g := range l.guests {
		l.callers.Go(func() { l.sit(g) })
	}
	l.callers.Go(l.tip)
	return l
}

// sit orders, is treated and asks for the total, in turn, until stop.
func (l *load) sit(g *guest) {
	for n := 0; l.life.Err() == nil; n++ {
		do, more := g.calls.order, int64(1)
		switch n % 4 {
		case 1:
			do = func(ctx context.Context) (int64, int64, error) { return g.calls.treated(ctx, "host of "+g.name) }
		case 3:
			do, more = g.calls.total, 0
		}
		want := g.ordered.Load() + more
		ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
		began := time.Now()
		items, sum, err := do(ctx)
		took := time.Since(began)
		cancel()
		l.calls.Add(1)
		if err == nil && (items != want || sum != want*price) {
			err = fmt.Errorf("%s has %d items for %d on the tab, and ordered %d", g.name, items, sum, want)
		}
		l.mu.Lock()
		l.longest = max(l.longest, took)
		if err != nil {
			l.failed = append(l.failed, err)
		}
		l.mu.Unlock()
		if err != nil {
			return // whether it was ordered is not known any more
		}
		g.ordered.Store(want)
	}
}

// tip calls the method that old silos lack, at all kinds of tabs: it runs, or is refused by type.
func (l *load) tip() {
	pace := time.NewTicker(2 * time.Millisecond) // refusals cost next to nothing, and are not what is looked at
	defer pace.Stop()
	for n := 0; l.life.Err() == nil; n++ {
		select {
		case <-pace.C:
		case <-l.life.Done():
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
		_, err := v2.GetTab(l.new, fmt.Sprint("tipped-", n%16)).Tip(ctx, 1)
		cancel()
		switch {
		case err == nil:
			l.served.Add(1)
		case errors.Is(err, grains.ErrNoSuchMethod) && errors.Is(err, grains.ErrNotExecuted):
			l.refused.Add(1)
		default:
			l.mu.Lock()
			l.failed = append(l.failed, fmt.Errorf("a new method: %w", err))
			l.mu.Unlock()
		}
	}
}

// more waits until each guest has ordered so much more.
func (l *load) more(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, moreWithin)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for _, g := range l.guests {
		for until := g.ordered.Load() + l.plan.Between; g.ordered.Load() < until; {
			select {
			case <-look.C:
			case <-ctx.Done():
				return fmt.Errorf("%s has ordered %d of %d: %w", g.name, g.ordered.Load(), until, errors.Join(append(l.figures().Failed, ctx.Err())...))
			}
		}
	}
	return nil
}

// stop ends the load.
func (l *load) stop() {
	l.end()
	l.callers.Wait()
}

func (l *load) figures() *Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Figures{
		Calls: l.calls.Load(), Failed: l.failed, Longest: l.longest, Refused: l.refused.Load(), Served: l.served.Load(),
	}
}

// check reads all tabs by the code of both builds, and calls the new method on each.
func (l *load) check(ctx context.Context) (wrong []error) {
	ctx, cancel := context.WithTimeout(ctx, moreWithin)
	defer cancel()
	for _, g := range l.guests {
		want := v2.Bill{Items: g.ordered.Load(), Sum: g.ordered.Load() * price, Tip: 5}
		tipped, err := v2.GetTab(l.new, g.name).Tip(ctx, 5)
		if err != nil || tipped != want {
			wrong = append(wrong, fmt.Errorf("%s: a tip at the end: %+v, want %+v: %w", g.name, tipped, want, err))
			continue
		}
		if b, err := v1.GetTab(l.old, g.name).Sum(ctx); err != nil || b.Items != want.Items || b.Sum != want.Sum {
			wrong = append(wrong, fmt.Errorf("%s: the sum by old code: %+v, want %+v: %w", g.name, b, want, err))
		}
		if b, err := v2.GetTab(l.new, g.name).Total(ctx); err != nil || b != want {
			wrong = append(wrong, fmt.Errorf("%s: the total by new code: %+v, want %+v: %w", g.name, b, want, err))
		}
	}
	return wrong
}

type oldTab struct {
	at   grains.Caller
	name string
}

func (o oldTab) order(ctx context.Context) (int64, int64, error) {
	b, err := v1.GetTab(o.at, o.name).Order(ctx, v1.Item{Name: "wine", Price: price})
	return b.Items, b.Sum, err
}

func (o oldTab) treated(ctx context.Context, by string) (int64, int64, error) {
	b, err := v1.GetTab(o.at, by).Treat(ctx, o.name, v1.Item{Name: "cheese", Price: price})
	return b.Items, b.Sum, err
}

func (o oldTab) total(ctx context.Context) (int64, int64, error) {
	b, err := v1.GetTab(o.at, o.name).Sum(ctx)
	return b.Items, b.Sum, err
}

type newTab struct {
	at   grains.Caller
	name string
}

func (n newTab) order(ctx context.Context) (int64, int64, error) {
	b, err := v2.GetTab(n.at, n.name).Order(ctx, v2.Item{Name: "wine", Price: price, Table: "4"})
	return b.Items, b.Sum, err
}

func (n newTab) treated(ctx context.Context, by string) (int64, int64, error) {
	b, err := v2.GetTab(n.at, by).Treat(ctx, n.name, v2.Item{Name: "cheese", Price: price, Table: "4"})
	return b.Items, b.Sum, err
}

func (n newTab) total(ctx context.Context) (int64, int64, error) {
	b, err := v2.GetTab(n.at, n.name).Total(ctx)
	return b.Items, b.Sum, err
}
