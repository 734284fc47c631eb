package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bench/shop"
	"github.com/martinelli-go/martinelli/integration/internal/child"
	"github.com/martinelli-go/martinelli/integration/internal/report"
	"github.com/martinelli-go/martinelli/txn"
)

const (
	silos   = 3
	wallets = 1000
	items   = 100
	deposit = 1_000_000_000 // a wallet's, and the pieces of an item: more than anybody can spend
	price   = 7
)

var purchaseClients = []int{1, 64}

// store is a running cluster with the shop in it.
type store struct {
	dir    string
	silos  []*child.Process
	client *cluster.Client
	bought int64 // purchases that are known to have committed, since it was opened
}

// openStore starts three silos with directories of their own, connects, and fills wallets and shelves.
func openStore(ctx context.Context, results string) (_ *store, err error) {
	s := &store{silos: make([]*child.Process, silos)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// Beside the results, not in the system's directory for temporary files: that may be memory.
	if s.dir, err = os.MkdirTemp(results, "data-"); err != nil {
		return nil, err
	}
	addrs, err := child.SiloAddrs(silos)
	if err != nil {
		return nil, err
	}
	join := strings.Join(addrs, ",")
	err = each(silos, func(i int) (err error) {
		s.silos[i], err = child.Spawn(ctx, serveCommand, roleSilo, addrs[i], join, filepath.Join(s.dir, fmt.Sprintf("silo-%d", i+1)), "")
		return err
	})
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, child.StartWithin)
	defer cancel()
	s.client, err = cluster.Connect(bounded, cluster.Config{Silos: join, Grains: shop.Shared(), Logger: quiet(io.Discard)})
	if err != nil {
		return nil, err
	}
	err = split(wallets, func(i int) error {
		return shop.GetWallet(s.client, shop.WalletID(i)).Deposit(bounded, deposit)
	})
	return s, errors.Join(err, split(items, func(i int) error {
		return shop.GetItem(s.client, shop.ItemID(i)).Put(bounded, deposit, price)
	}))
}

func (s *store) close() error {
	var errs []error
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	// All at once: those that are left have no majority to wait for.
	errs = append(errs, each(len(s.silos), func(i int) error {
		if s.silos[i] == nil {
			return nil
		}
		return s.silos[i].Stop()
	}))
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// cpu is the processor time of all silos.
func (s *store) cpu() (sum time.Duration, known bool) {
	for _, c := range s.silos {
		t, ok := c.CPU()
		if !ok {
			return 0, false
		}
		sum += t
	}
	return sum, true
}

// trade is what happened in one round.
type trade struct {
	sample
	commits int64         // with the first purchase of each client, which comes before the clock runs
	tries   int64         // of the commits: one each, and more where blocks got into each other's way
	refused int64         // answered with an error that says that nothing happened
	cpu     time.Duration // of the silos
}

func (t trade) aborts() float64 { return float64(t.tries)/float64(t.commits) - 1 }

// trade lets clients buy for a while, and counts what was committed.
func (s *store) trade(ctx context.Context, clients int, d time.Duration) (t trade, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+child.StartWithin)
	defer cancel()
	var tries, refused, committed atomic.Int64
	random := make([]*rand.Rand, clients)
	for i := range random {
		random[i] = rand.New(rand.NewPCG(uint64(i), uint64(clients)))
	}
	buy := func(ctx context.Context, client int) error {
		r := random[client]
		n, err := shop.GetWallet(s.client, shop.WalletID(r.IntN(wallets))).Buy(ctx, shop.ItemID(r.IntN(items)))
		if err == nil {
			tries.Add(n)
			committed.Add(1)
			return nil
		}
		if errors.Is(err, txn.ErrAborted) || errors.Is(err, grains.ErrNotExecuted) {
			refused.Add(1)
			return nil
		}
		id, ok := txn.IDOf(err)
		if !ok {
			return err
		}
		result, asked := txn.Outcome(ctx, s.client, id)
		switch {
		case asked != nil:
			return errors.Join(err, asked)
		case result == txn.Committed:
			tries.Add(1)
			committed.Add(1)
		case result == txn.Aborted:
			refused.Add(1)
		default:
			return fmt.Errorf("%w; asked, the answer is %v", err, result)
		}
		return nil
	}
	r := rival{name: "purchase", calls: func(ctx context.Context, client, n int) error {
		for range n {
			if err := buy(ctx, client); err != nil {
				return err
			}
		}
		return nil
	}}
	before, known := s.cpu()
	t.sample, err = r.turn(ctx, clients, 1, d)
	after, still := s.cpu()
	if err != nil {
		return t, err
	}
	t.commits, t.tries, t.refused = committed.Load(), tries.Load(), refused.Load()
	s.bought += t.commits
	if known && still {
		t.cpu = after - before
	}
	if t.calls = int(t.commits) - clients; t.calls <= 0 {
		return t, fmt.Errorf("%d of %d purchases were refused", t.refused, t.refused+t.commits)
	}
	return t, nil
}

// split runs f(0) to f(n-1) in 64 goroutines.
func split(n int, f func(i int) error) error {
	var next atomic.Int64
	return each(min(64, n), func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if err := f(i); err != nil {
				return err
			}
		}
	})
}

// purchases measures what an atomic block over two grains and a variable costs.
func (b *bench) purchases(ctx context.Context, r *report.Report) (err error) {
	b.progress("purchase: three silos start")
	open, err := openStore(ctx, b.results)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.close()) }()
	s := &report.Section{
		Title:   fmt.Sprintf("purchase: %d silo processes; debit one of %d wallets, take one of %d items, insert an order", silos, wallets, items),
		Columns: report.Row{"clients", "purchases/s", "spread", "p50", "p99", "p999", "aborts a commit", "refused", "silos' CPU a commit"},
		Notes: []string{
			"Isolation: strict serializable. Durability: fsync on most of three replicas before the answer, all on this machine's disk.",
			"Clients are goroutines of one client process, each with one purchase under way. Aborts are tries that were undone and made again.",
			"The silos' CPU holds what they do in the background too, of which one client's commits have to bear more.",
			"After each round money, stock and orders are compared; a run in which they differ is thrown away.",
		},
	}
	found := &report.Report{} // counts only once everything is known to be conserved
	for _, clients := range purchaseClients {
		var trades []trade
		for round := range b.plan.purchaseRounds {
			b.progress("purchase, clients: %d, round %d of %d", clients, round+1, b.plan.purchaseRounds)
			t, err := open.trade(ctx, clients, b.plan.purchase)
			if err != nil {
				return err
			}
			trades = append(trades, t)
			books, err := open.books(ctx)
			if err != nil {
				return fmt.Errorf("read the books: %w", err)
			}
			if err := books.check(); err != nil {
				r.Require(conservation, 0, report.None, false)
				return fmt.Errorf("the run is thrown away: %w", err)
			}
		}
		figures(found, s, clients, trades)
	}
	r.Bars = append(r.Bars, found.Bars...)
	r.Require(conservation, 1, report.None, true)
	r.Sections = append(r.Sections, s)
	return nil
}

// conservation is the bar that every run of purchases must meet for its figures to count.
const conservation = "purchases conserve money, stock and orders"

// figures adds what rounds with so many clients have shown.
func figures(r *report.Report, s *report.Section, clients int, trades []trade) {
	var all samples
	var aborts, cpu []float64
	var refused int64
	for _, t := range trades {
		all = append(all, t.sample)
		aborts = append(aborts, t.aborts())
		cpu = append(cpu, float64(t.cpu)/float64(t.commits))
		refused += t.refused
	}
	used := report.None
	if cost := report.Median(cpu); cost > 0 {
		used = report.Nanos(cost)
	}
	s.Rows = append(s.Rows, report.Row{
		clients, report.Number(all.median(sample.perSecond)), report.Percent(all.spread(sample.perSecond)),
		report.Nanos(all.median(p50)), report.Nanos(all.median(p99)), report.Nanos(all.median(p999)),
		report.Number(report.Median(aborts)), refused, used,
	})
	title := func(rest string) string { return fmt.Sprintf("purchase, clients %d: %s", clients, rest) }
	r.Figure(title("purchases/s"), all.median(sample.perSecond))
	r.Figure(title("p50, ms"), all.median(p50)/1e6)
	r.Figure(title("p99, ms"), all.median(p99)/1e6)
	r.Figure(title("p999, ms"), all.median(p999)/1e6)
	r.Figure(title("aborts a commit"), report.Median(aborts))
	if used != report.None {
		r.Figure(title("silos' CPU a commit, ms"), report.Median(cpu)/1e6)
	}
}
