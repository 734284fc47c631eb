package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/cluster/discovery"
)

// NoSilo is the error of [Connect] and [Inspect] when no silo answered. It wraps the context's error, or an
// *actor.Foreign for each silo that does not take the client for one of the cluster's, or is none itself.
type NoSilo struct {
	// Reasons are by address; under the name of the source, why no addresses, or no new ones, came from it.
	Reasons map[string]string
	Cause   error
}

func (e *NoSilo) Error() string {
	var parts []string
	for addr, reason := range e.Reasons {
		parts = append(parts, addr+": "+reason)
	}
	slices.Sort(parts)
	if more := len(parts) - maxReasons; more > 0 {
		parts = append(parts[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("cluster: no silo answered (%s): start one, or mend Config.Silos: %v", strings.Join(parts, "; "), e.Cause)
}

func (e *NoSilo) Unwrap() error { return e.Cause }

// maxReasons is how many addresses an error tells of.
const maxReasons = 8

// seeds remembers for a moment what a source said. It is for one goroutine at a time.
type seeds struct {
	source  discovery.Source
	trusted func([]string) error // nil: all are
	addrs   []string
	err     error
	asked   time.Time
}

// seedsEvery is how often a source is asked while nobody answers.
const seedsEvery = time.Second

// get returns the newest addresses that there are, and the error of asking for newer ones.
func (s *seeds) get(ctx context.Context) ([]string, error) {
	if s.asked.IsZero() || time.Since(s.asked) >= seedsEvery {
		addrs, err := s.source.Seeds(ctx)
		if err == nil && s.trusted != nil {
			err = s.trusted(addrs)
		}
		if err == nil {
			s.addrs = addrs
		}
		s.err, s.asked = err, time.Now()
	}
	return s.addrs, s.err
}

// asksAtOnce is how many addresses are asked at the same time: those that do not even refuse cost a second.
const asksAtOnce = 8

// askAny asks addresses in any order until one of them has given what was asked for: then it returns nil,
// else what each said.
func askAny(ctx context.Context, addrs []string, ask func(ctx context.Context, addr string) error) map[string]error {
	ctx, found := context.WithCancel(ctx)
	defer found()
	var mu sync.Mutex
	given, reasons := false, map[string]error{}
	var asks errgroup.Group
	asks.SetLimit(asksAtOnce)
	for _, i := range rand.Perm(len(addrs)) {
		asks.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			err := ask(ctx, addrs[i])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				given = true
				found()
			} else {
				reasons[addrs[i]] = err
			}
			return nil
		})
	}
	_ = asks.Wait() // what they say is in reasons
	if given {
		return nil
	}
	return reasons
}

// foreigners are those of the errors that say that two nodes do not belong together.
func foreigners(refused map[string]error) (all []error) {
	for _, err := range refused {
		if foreign := (*actor.Foreign)(nil); errors.As(err, &foreign) {
			all = append(all, foreign)
		}
	}
	return all
}

func texts(errs map[string]error) map[string]string {
	all := map[string]string{}
	for addr, err := range errs {
		all[addr] = err.Error()
	}
	return all
}
