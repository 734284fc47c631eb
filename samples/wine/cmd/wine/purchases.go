package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/txn"
)

const (
	// purchaseTryWithin bounds one try of a purchase.
	purchaseTryWithin = 2 * time.Second
	// purchaseWithin bounds a purchase with all its tries and questions.
	purchaseWithin = 30 * time.Second
	// perAccount is about how many purchases each account makes.
	perAccount = 10
)

// account is a customer who buys, and what the driver knows of that.
type account struct {
	user      wine.UserID
	deposited wine.Money
	rng       *rand.Rand
	orders    []wine.Order // that were acknowledged
	bought    map[wine.WineID]bool
	gone      map[wine.WineID]bool // that there was no bottle of
}

// market is the driver of the purchases.
type market struct {
	c        grains.Caller
	accounts []*account
	stock    map[wine.WineID]int64 // put into each cellar
	prices   map[wine.WineID]wine.Money
	total    int
	buyers   int

	// atThird and atTwoThirds are called once, when so much is done, from goroutines of their own; the
	// purchases go on.
	atThird, atTwoThirds func()
	progress             *step

	mu       sync.Mutex
	begun    int
	ended    int
	resolved resolutions
	counts   purchaseCounts
	times    []time.Time // of each purchase that was done
}

// purchaseCounts is how purchases ended.
type purchaseCounts struct {
	Done     int `json:"done"`
	NoMoney  int `json:"no_money"`
	NoBottle int `json:"no_bottle"`
}

func (c purchaseCounts) refused() int { return c.NoMoney + c.NoBottle }

// resolutions is how purchases of unknown fate were cleared up.
type resolutions struct {
	ByOutcome int `json:"by_outcome"` // txn.Outcome said
	ByRetry   int `json:"by_retry"`   // txn.Retry was answered
}

// newMarket decides who buys, with what money, and what there is to buy: most wines are in stock and most
// wallets full, one of sixteen accounts and one of twenty cellars is nearly empty.
func newMarket(in *input, c grains.Caller, seed uint64, buyers, total int) *market {
	rng := rand.New(rand.NewPCG(seed, 0x6d61726b6574))
	m := &market{
		c: c, total: total, buyers: buyers,
		stock: map[wine.WineID]int64{}, prices: map[wine.WineID]wine.Money{},
	}
	for _, w := range in.catalogue.Wines {
		id := wine.WineID(w.ID)
		m.prices[id] = wine.Money(800 + 50*rng.IntN(64))
		m.stock[id] = int64(40 + 4*total/len(in.catalogue.Wines))
		if rng.IntN(20) == 0 {
			m.stock[id] = int64(rng.IntN(3))
		}
	}
	users := slices.DeleteFunc(slices.Clone(in.users), func(user string) bool { return len(in.favorites[user]) == 0 })
	rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	for i, user := range users[:min(len(users), max(buyers, total/perAccount))] {
		a := &account{
			user: wine.UserID(user), rng: rand.New(rand.NewPCG(seed, uint64(i))), bought: map[wine.WineID]bool{}, gone: map[wine.WineID]bool{},
			deposited: 4000 * perAccount * 2,
		}
		if i%16 == 3 {
			a.deposited = 4000
		}
		m.accounts = append(m.accounts, a)
	}
	return m
}

// open fills cellars and wallets. Each call begins a block, so that it can be repeated under its id.
func (m *market) open(ctx context.Context, s *step) error {
	type fill func(ctx context.Context) error
	var fills []fill
	for id, bottles := range m.stock {
		fills = append(fills, func(ctx context.Context) error { return wine.GetCellar(m.c, id).Put(ctx, bottles, m.prices[id]) })
	}
	for _, a := range m.accounts {
		fills = append(fills, func(ctx context.Context) error { return wine.GetUser(m.c, a.user).Deposit(ctx, a.deposited) })
	}
	return each(ctx, fills, func(ctx context.Context, f fill) error {
		defer s.add(1)
		return once(ctx, f)
	})
}

// once makes a call that begins a block until it is answered, under the same id once its fate is unknown.
func once(ctx context.Context, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, purchaseWithin)
	defer cancel()
	under := ctx
	for {
		try, cancel := context.WithTimeout(under, purchaseTryWithin)
		err := call(try)
		cancel()
		if !passing(err) {
			return err
		}
		if id, unknown := txn.IDOf(err); unknown {
			under = txn.Retry(ctx, id)
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}

// run lets the buyers buy, until as many purchases are answered as there are to be.
func (m *market) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for n := range m.buyers {
		g.Go(func() error {
			for turn := 0; ; turn++ {
				// Buyers have accounts of their own: number n, n + buyers, and so on.
				mine := (len(m.accounts) - n + m.buyers - 1) / m.buyers
				if mine <= 0 || !m.next() {
					return nil
				}
				a := m.accounts[n+turn%mine*m.buyers]
				if err := m.buy(ctx, a); err != nil {
					return fmt.Errorf("purchase of %s: %w", a.user, err)
				}
				m.answered()
			}
		})
	}
	return g.Wait()
}

// next takes one of the purchases that are to be made.
func (m *market) next() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun == m.total {
		return false
	}
	m.begun++
	return true
}

func (m *market) answered() {
	m.progress.add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended++
	switch m.ended {
	case max(1, m.total/3):
		go m.atThird()
	case max(2, m.total*2/3):
		go m.atTwoThirds()
	}
}

// buy makes one purchase of a wine that is recommended, and follows it until its fate is known.
func (m *market) buy(ctx context.Context, a *account) error {
	ctx, cancel := context.WithTimeout(ctx, purchaseWithin)
	defer cancel()
	id, err := m.choose(ctx, a)
	if err != nil {
		return err
	}
	order, err := m.purchase(ctx, a, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.counts.Done++
		m.times = append(m.times, time.Now())
		a.orders = append(a.orders, order)
		a.bought[id] = true
	case errors.Is(err, wine.ErrNoMoney):
		m.counts.NoMoney++
	case errors.Is(err, wine.ErrNoBottle):
		m.counts.NoBottle++
		a.gone[id] = true
	default:
		return err
	}
	return nil
}

// choose picks one of the account's recommendations, rather one that there was a bottle of; it waits for one that was not bought, because the
// replica that answers may not have heard of the last purchase yet.
func (m *market) choose(ctx context.Context, a *account) (wine.WineID, error) {
	for {
		var recs []wine.WineID
		err := repeated(ctx, func(ctx context.Context) error {
			all, err := wine.Recs.At(m.c, a.user).All(ctx)
			if err == nil {
				recs = slices.Collect(all)
			}
			return err
		})
		if err != nil {
			return "", fmt.Errorf("read the recommendations: %w", err)
		}
		recs = slices.DeleteFunc(recs, func(id wine.WineID) bool { return a.bought[id] })
		left := slices.DeleteFunc(slices.Clone(recs), func(id wine.WineID) bool { return a.gone[id] })
		if len(left) == 0 {
			left = recs // there may be a bottle now
		}
		if len(left) > 0 {
			return left[a.rng.IntN(len(left))], nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return "", fmt.Errorf("nothing is recommended that was not bought: %w", err)
		}
	}
}

// purchase buys the wine: nil error and the order, or that of the shop. A call that was not executed is
// made again; one whose fate is unknown is cleared up, in one of two ways.
func (m *market) purchase(ctx context.Context, a *account, id wine.WineID) (wine.Order, error) {
	call := func(ctx context.Context) (wine.Order, error) {
		ctx, cancel := context.WithTimeout(ctx, purchaseTryWithin)
		defer cancel()
		return wine.GetUser(m.c, a.user).Purchase(ctx, id)
	}
	order, err := call(ctx)
	for passing(err) {
		if block, unknown := txn.IDOf(err); unknown {
			var clear bool
			if order, clear, err = m.resolve(ctx, a, block, call, err); clear {
				return order, err
			}
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return order, err
		}
		order, err = call(ctx)
	}
	return order, err
}

// resolve finds out what became of a purchase whose fate was unknown. clear is false if it was aborted, or
// not executed under its id: buying again is safe then.
func (m *market) resolve(ctx context.Context, a *account, block txn.ID, call func(context.Context) (wine.Order, error), unknown error) (order wine.Order, clear bool, err error) {
	asks := a.rng.IntN(2) == 0
	for err = unknown; ; {
		if pause(ctx, 20*time.Millisecond) != nil {
			return order, true, fmt.Errorf("not cleared up in time: %w", err)
		}
		if asks {
			var result txn.Result
			result, err = m.outcome(ctx, block)
			switch {
			case err != nil && passing(err):
				continue
			case err != nil:
				return order, true, err
			case result == txn.Aborted:
				m.clearedUp(func(r *resolutions) { r.ByOutcome++ })
				return order, false, unknown
			case result != txn.Committed:
				return order, true, fmt.Errorf("its outcome is %v: %w", result, unknown)
			}
			m.clearedUp(func(r *resolutions) { r.ByOutcome++ })
			asks = false
			order, err = m.replyOf(ctx, block, call)
			return order, true, err
		}
		order, err = call(txn.Retry(ctx, block))
		if passing(err) && !errors.Is(err, txn.ErrAborted) {
			continue
		}
		m.clearedUp(func(r *resolutions) { r.ByRetry++ })
		return order, !errors.Is(err, txn.ErrAborted), err
	}
}

func (m *market) outcome(ctx context.Context, block txn.ID) (txn.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, purchaseTryWithin)
	defer cancel()
	return txn.Outcome(ctx, m.c, block)
}

// replyOf gets the order of a purchase that is known to be committed.
func (m *market) replyOf(ctx context.Context, block txn.ID, call func(context.Context) (wine.Order, error)) (order wine.Order, err error) {
	err = repeated(ctx, func(ctx context.Context) error {
		order, err = call(txn.Retry(ctx, block))
		return err
	})
	return order, err
}

func (m *market) clearedUp(count func(*resolutions)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count(&m.resolved)
}

// outage is the longest time after from in which no purchase was done.
func (m *market) outage(from time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	times := slices.Clone(m.times)
	slices.SortFunc(times, time.Time.Compare)
	var longest time.Duration
	for _, t := range times {
		if t.After(from) {
			longest = max(longest, t.Sub(from))
			from = t
		}
	}
	return longest
}

// bought is what every account has bought, as the driver knows it.
func (m *market) bought() map[string][]string {
	all := map[string][]string{}
	for _, a := range m.accounts {
		for _, o := range a.orders {
			all[string(a.user)] = append(all[string(a.user)], string(o.Wine))
		}
	}
	return all
}
