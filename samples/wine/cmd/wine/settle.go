package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/crdt/flow"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/grains/dataflow"
	"github.com/martinelli-go/martinelli/samples/wine"
	"github.com/martinelli-go/martinelli/txn"
)

const (
	// settleWithin is how long what is derived may take to follow what it is derived from.
	settleWithin = 45 * time.Second
	// pollEvery is the pause between two looks.
	pollEvery = 100 * time.Millisecond
	// atOnce is how many calls are in flight where nothing else is said.
	atOnce = 64
	// tryWithin bounds one try of a call that may be repeated.
	tryWithin = 5 * time.Second
)

// pause waits for d, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// repeated makes a call that may be made more than once, until it is answered or ctx ends.
func repeated(ctx context.Context, call func(ctx context.Context) error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, tryWithin)
		err := call(try)
		cancel()
		if !passing(err) || ctx.Err() != nil {
			return err
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// passing says whether err may be gone at the next try.
func passing(err error) bool {
	return errors.Is(err, grains.ErrNotExecuted) || errors.Is(err, grains.ErrUnknown) || errors.Is(err, txn.ErrAborted) ||
		errors.Is(err, context.DeadlineExceeded)
}

// each calls f for all items, some at once, and returns the first error.
func each[T any](ctx context.Context, items []T, f func(ctx context.Context, item T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(ctx, item) })
	}
	return g.Wait()
}

// settleViews waits until the views are what they should be; the error says what still differs.
func settleViews(ctx context.Context, c grains.Caller, want *expectation) error {
	return settled(ctx, "the views", func(ctx context.Context) (string, error) { return compareViews(ctx, c, want) })
}

func compareViews(ctx context.Context, c grains.Caller, want *expectation) (string, error) {
	if diff, err := compareView(ctx, c, wine.Likes, want.likes); diff != "" || err != nil {
		return "likes: " + diff, err
	}
	if diff, err := compareView(ctx, c, wine.Together, want.together); diff != "" || err != nil {
		return "together: " + diff, err
	}
	return "", nil
}

func compareView[K comparable](ctx context.Context, c grains.Caller, n flow.Node[flow.Entry[K, int64]], want map[K]int64) (string, error) {
	view := dataflow.On(c, n)
	if size, err := view.Len(ctx); err != nil || size != len(want) {
		return fmt.Sprintf("it has %d elements, it should have %d", size, len(want)), err
	}
	all, err := view.All(ctx)
	if err != nil {
		return "", err
	}
	got := make(map[K]int64, len(want))
	for e := range all {
		got[e.Key] = e.Value
	}
	return differences(got, want), nil
}

// settled polls until differs says "", or settleWithin is over. An error may pass, too: of a silo that is
// coming back, say.
func settled(ctx context.Context, what string, differs func(ctx context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		diff, err := differs(ctx)
		if err == nil && diff == "" {
			return nil
		}
		if pause(ctx, pollEvery) != nil {
			return errors.Join(fmt.Errorf("%s did not settle within %v: %s", what, settleWithin, diff), err)
		}
	}
}

// settleRecs waits until the cluster recommends what it should to every user, and returns what it
// recommends; the error says what still differs.
func settleRecs(ctx context.Context, c grains.Caller, want *expectation, s *step) (map[string][]string, error) {
	waiting := slices.Sorted(maps.Keys(want.recs))
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	got := make(map[string][]string, len(waiting))
	err := settled(ctx, "the recommendations", func(ctx context.Context) (string, error) {
		// A few are asked first: there is no point in asking ten thousand before the round is over.
		var differ []string
		for _, part := range [][]string{waiting[:min(atOnce, len(waiting))], waiting[min(atOnce, len(waiting)):]} {
			diff, err := readRecs(ctx, c, part, want, got)
			if err != nil {
				return "", err
			}
			differ = append(differ, diff...)
			if len(diff) > 0 {
				break
			}
		}
		waiting = slices.DeleteFunc(waiting, func(user string) bool { return got[user] != nil })
		s.at(len(got))
		return firstOf(differ), nil
	})
	return got, err
}

// readRecs notes in got what is recommended to those users for whom it is what it should be, and returns
// how it differs for the rest.
func readRecs(ctx context.Context, c grains.Caller, users []string, want *expectation, got map[string][]string) (differ []string, err error) {
	var mu sync.Mutex
	err = each(ctx, users, func(ctx context.Context, user string) error {
		recs, err := wine.Recs.At(c, wine.UserID(user)).All(ctx)
		if err != nil {
			return err
		}
		have := make([]string, 0, wine.Recommended)
		for id := range recs {
			have = append(have, string(id))
		}
		slices.Sort(have)
		should := slices.Sorted(slices.Values(want.recs[user]))
		mu.Lock()
		defer mu.Unlock()
		if slices.Equal(have, should) {
			got[user] = have
		} else {
			differ = append(differ, fmt.Sprintf("user %s is recommended %v, it should be %v", user, have, should))
		}
		return nil
	})
	return differ, err
}

// settleReplicas waits until all silos hold the same variables with the same contents, and returns how
// many variables those are.
func settleReplicas(ctx context.Context, audit auditor) (variables int, err error) {
	err = settled(ctx, "the replicas", func(ctx context.Context) (diff string, err error) {
		variables, diff, err = compareReplicas(ctx, audit)
		return diff, err
	})
	return variables, err
}

// auditor is what a client has to tell of replicas: hashes by silo, kind and key.
type auditor interface {
	Audit(ctx context.Context) (map[string]map[string]map[string]uint64, error)
}

func compareReplicas(ctx context.Context, audit auditor) (variables int, diff string, err error) {
	all, err := audit.Audit(ctx)
	if err != nil {
		return 0, "", err
	}
	if len(all) != silos {
		return 0, fmt.Sprintf("%d silos answered, %d should", len(all), silos), nil
	}
	flat := map[string]map[string]uint64{} // by silo and variable
	for addr, kinds := range all {
		flat[addr] = map[string]uint64{}
		for kind, keys := range kinds {
			for key, hash := range keys {
				flat[addr][kind+"/"+key] = hash
			}
		}
	}
	addrs := slices.Sorted(maps.Keys(flat))
	for _, addr := range addrs[1:] {
		if d := differences(flat[addr], flat[addrs[0]]); d != "" {
			return 0, fmt.Sprintf("silo %s beside %s: %s", addr, addrs[0], d), nil
		}
	}
	return len(flat[addrs[0]]), "", nil
}
