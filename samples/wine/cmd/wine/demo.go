package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/samples/wine/internal/walk"
)

// demo is one run of the demonstration.
type demo struct {
	options  demoOptions
	in       *input
	dir      string
	fleet    *fleet
	client   *cluster.Client
	progress *progress
	report   *report
	market   *market
	// settled is what everything should be after all ratings, and before the first purchase.
	settled *expectation
}

// demonstrate runs the demonstration and prints its report. The error is errReported if a check failed.
func demonstrate(ctx context.Context, o demoOptions, stdout, stderr io.Writer) (err error) {
	shown := stdout
	if o.json {
		shown = stderr
	}
	d := &demo{options: o, progress: newProgress(shown)}
	if d.in, err = d.load(); err != nil {
		d.progress.close()
		return err
	}
	if d.dir, err = os.MkdirTemp("", "wine-"); err != nil {
		d.progress.close()
		return err
	}
	if d.fleet, err = newFleet(d.dir, o.port, "--data", d.in.dir, "--seed", strconv.FormatUint(o.seed, 10)); err != nil {
		d.progress.close()
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	d.report = &report{Data: d.in.dir, Seed: o.seed, Dir: d.dir, bars: d.in.real() && o.users == 0}
	if err := d.drive(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("it was interrupted by a signal; start it again")
		}
		d.report.check("the demonstration came to its end", err)
	}
	d.progress.close()
	d.report.Steps = d.progress.steps
	d.report.Seconds = time.Since(d.progress.begin).Seconds()
	if d.report.ok() && !o.keep {
		d.report.Dir = ""
		if err := os.RemoveAll(d.dir); err != nil {
			d.report.check("the silos' directories are removed", err)
		}
	}
	if err := d.report.print(stdout, o.json); err != nil {
		return err
	}
	if !d.report.ok() {
		return errReported
	}
	return nil
}

func (d *demo) load() (*input, error) {
	s := d.progress.begins("read the catalogue", 1)
	dir := dataDir(d.options.data)
	if dir != builtin {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		dir = abs
	}
	in, err := load(dir, d.options.seed, d.options.users)
	if err == nil {
		s.ends("%d wines, %d users, seed %d, from %s", len(in.catalogue.Wines), len(in.users), d.options.seed, in.dir)
	}
	return in, err
}

// drive starts the silos, takes them through everything, and stops them.
func (d *demo) drive(ctx context.Context) (err error) {
	defer func() {
		err = errors.Join(err, d.fleet.died())
		s := d.progress.begins("stop the silos", 1)
		err = errors.Join(err, d.fleet.stop())
		s.ends("none is left")
	}()
	s := d.progress.begins("start three silos", 1)
	if err := d.fleet.startAll(ctx); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "client.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	connect, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	d.client, err = cluster.Connect(connect, cluster.Config{
		Silos: d.fleet.list(), Grains: wine.Shared(), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return err
	}
	defer d.client.Close()
	s.ends("%s; logs in %s", d.fleet.list(), d.dir)

	for _, part := range []func(context.Context) error{d.measure, d.photographs, d.rateRest, d.buy, d.checkAll} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rate loads ratings, all of a user in one call.
func (d *demo) rate(ctx context.Context, name string, ratings map[string][]wine.Rating) error {
	s := d.progress.begins(name, len(ratings))
	users, n := make([]string, 0, len(ratings)), 0
	for _, user := range d.in.users {
		if len(ratings[user]) > 0 {
			users, n = append(users, user), n+len(ratings[user])
		}
	}
	err := each(ctx, users, func(ctx context.Context, user string) error {
		defer s.add(1)
		// A rating that is given twice is given once, so the call may be repeated whatever became of it.
		err := repeated(ctx, func(ctx context.Context) error {
			return wine.GetUser(d.client, wine.UserID(user)).Rate(ctx, ratings[user])
		})
		if err != nil {
			return fmt.Errorf("ratings of user %s: %w", user, err)
		}
		return nil
	})
	if err == nil {
		s.ends("%d ratings by %d users", n, len(users))
	}
	return err
}

// settle waits until the views and the recommendations have followed.
func (d *demo) settle(ctx context.Context, name string, want *expectation) (map[string][]string, error) {
	s := d.progress.begins(name, len(want.recs))
	if err := settleViews(ctx, d.client, want); err != nil {
		return nil, err
	}
	views := time.Since(s.begin)
	recs, err := settleRecs(ctx, d.client, want, s)
	if err == nil {
		s.ends("%d wines, %d pairs after %.1f s; %d users' recommendations", len(want.likes), len(want.together), views.Seconds(), len(recs))
	}
	return recs, err
}

// measure loads all ratings but those that are held out, and measures how many of those are recommended.
func (d *demo) measure(ctx context.Context) error {
	expected := make(chan *expectation, 1)
	go func() { expected <- expect(d.in.kept, nil) }() // while the cluster computes the same
	if err := d.rate(ctx, "load ratings but those held out", d.in.first); err != nil {
		return err
	}
	want := <-expected
	recs, err := d.settle(ctx, "recommend", want)
	if err != nil {
		return err
	}
	hits := walk.HitRate(d.in.kept, d.in.held, func(user string, _ []string) []string { return recs[user] })
	popular := walk.HitRate(d.in.kept, d.in.held, func(_ string, favorites []string) []string {
		return want.graph.Popular(favorites, nil, wine.Recommended)
	})
	d.report.measured(hits, popular)
	return nil
}

// rateRest loads what was held out; views and recommendations follow.
func (d *demo) rateRest(ctx context.Context) error {
	expected := make(chan *expectation, 1)
	go func() { expected <- expect(d.in.favorites, nil) }()
	if err := d.rate(ctx, "load the rest", d.in.rest); err != nil {
		return err
	}
	d.settled = <-expected
	_, err := d.settle(ctx, "recommend again", d.settled)
	return err
}

func (d *demo) photographs(ctx context.Context) error {
	all, err := d.in.uploads(d.options.seed)
	if err != nil {
		return err
	}
	s := d.progress.begins("upload photographs", len(all))
	result, err := uploadAll(ctx, d.client, all, s)
	if err != nil {
		return err
	}
	d.report.photographed(result)
	s.ends("%d uploads", len(all))
	return nil
}

// buy makes the purchases, kills a silo a third of the way, and starts it again after two thirds.
func (d *demo) buy(ctx context.Context) error {
	m := newMarket(d.in, d.client, d.options.seed, d.options.buyers, d.options.purchases)
	d.market = m
	s := d.progress.begins("fill cellars and wallets", len(m.stock)+len(m.accounts))
	if err := m.open(ctx, s); err != nil {
		return err
	}
	s.ends("%d cellars, %d accounts", len(m.stock), len(m.accounts))

	victim := rand.New(rand.NewPCG(d.options.seed, 0x6b696c6c)).IntN(silos)
	killed, restarted := make(chan error, 1), make(chan error, 1)
	var died, back time.Time
	m.atThird = func() {
		died = time.Now()
		killed <- d.fleet.kill(victim)
	}
	m.atTwoThirds = func() {
		err := <-killed
		if err == nil {
			err = d.fleet.start(ctx, victim)
		}
		back = time.Now()
		restarted <- err
	}
	m.progress = d.progress.begins("purchases, and a silo killed", m.total)
	if err := m.run(ctx); err != nil {
		return err
	}
	took := time.Since(m.progress.begin)
	if err := <-restarted; err != nil {
		return err
	}
	d.report.bought(m, died, victim)
	m.progress.ends("%d done, %d refused, %.0f a second; silo %d was away %.1f s",
		m.counts.Done, m.counts.refused(), float64(m.total)/took.Seconds(), victim+1, back.Sub(died).Seconds())
	return nil
}
