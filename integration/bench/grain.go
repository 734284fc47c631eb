package main

import (
	"context"
	"errors"
	"io"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/bench/shop"
)

// Typed calls of grains: on the silo of the caller, which is the silo itself or a grain, and from a
// client to a silo in another process.

const roleSilo = "silo"

// newGrainLocalRivals starts one silo and returns two ways to call its grains.
func newGrainLocalRivals(ctx context.Context, callers int) (fromSilo, fromGrain *rival, err error) {
	s, err := silo.Start(ctx, silo.Config{Grains: shop.Grains(), Logger: quiet(io.Discard)})
	if err != nil {
		return nil, nil, err
	}
	counters := make([]shop.Counter, callers)
	drivers := make([]shop.Driver, callers)
	for i := range callers {
		counters[i] = shop.GetCounter(s, targetName(i))
		drivers[i] = shop.GetDriver(s, targetName(i))
	}
	fromSilo = &rival{
		name: "grain, from its silo",
		calls: func(ctx context.Context, caller, n int) error {
			c := counters[caller]
			for range n {
				if _, err := c.Add(ctx, 1); err != nil {
					return err
				}
			}
			return nil
		},
	}
	fromGrain = &rival{
		name: "grain, from a grain",
		calls: func(ctx context.Context, caller, n int) error {
			return drivers[caller].Run(ctx, targetName(caller), int64(n))
		},
		stop: func() error { return s.Stop(context.WithoutCancel(ctx)) },
	}
	return fromSilo, fromGrain, nil
}

// serveSilo is one silo; args are Listen, Join and DataDir.
func serveSilo(ctx context.Context, p parent, args []string) error {
	if len(args) != 3 {
		return errors.New("the role takes Listen, Join and DataDir")
	}
	s, err := silo.Start(ctx, silo.Config{Grains: shop.Grains(), Listen: args[0], Join: args[1], DataDir: args[2], Logger: p.log})
	if err != nil {
		return err
	}
	p.tell(s.Addr())
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin/2)
	defer cancel()
	return errors.Join(err, s.Stop(bounded))
}

// newGrainRemoteRival calls grains of one silo in another process as a client.
func newGrainRemoteRival(ctx context.Context, payload []byte) (_ *rival, err error) {
	addrs, err := siloAddrs(1)
	if err != nil {
		return nil, err
	}
	server, err := spawn(ctx, roleSilo, addrs[0], addrs[0], "")
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	client, err := cluster.Connect(bounded, cluster.Config{Silos: server.ready, Grains: shop.Shared(), Logger: quiet(io.Discard)})
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	counters := make([]shop.Counter, mostCallers)
	for i := range counters {
		counters[i] = shop.GetCounter(client, targetName(i))
	}
	return &rival{
		name: "grain, from a client",
		calls: func(ctx context.Context, caller, n int) error {
			for range n {
				out, err := counters[caller].Echo(ctx, payload)
				if err != nil {
					return err
				}
				if len(out) != len(payload) {
					return errShortEcho
				}
			}
			return nil
		},
		stop: func() error { return errors.Join(client.Close(), server.stop()) },
	}, nil
}
