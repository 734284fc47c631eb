package main

import (
	"context"
	"errors"
	"io"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/integration/bench/shop"
	"github.com/martinelli-go/martinelli/integration/internal/child"
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

// serveSilo is one silo; args are Listen, Join, DataDir, and the directory of certificates, "" for none.
func serveSilo(ctx context.Context, p parent, args []string) error {
	if len(args) != 4 {
		return errors.New("the role takes Listen, Join, DataDir and the directory of certificates")
	}
	s, err := silo.Start(ctx, silo.Config{
		Grains: shop.Grains(), Listen: args[0], Join: args[1], DataDir: args[2], TLS: certificates(args[3]).files(siloCert), Logger: p.log,
	})
	if err != nil {
		return err
	}
	p.tell(s.Addr())
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), child.StopWithin/2)
	defer cancel()
	return errors.Join(err, s.Stop(bounded))
}

// remoteSilo is a silo in another process, and a client of it.
type remoteSilo struct {
	server *child.Process
	client *cluster.Client
}

// newRemoteSilo starts both, with TLS where certs is not "".
func newRemoteSilo(ctx context.Context, certs certificates) (*remoteSilo, error) {
	addrs, err := child.SiloAddrs(1)
	if err != nil {
		return nil, err
	}
	server, err := child.Spawn(ctx, serveCommand, roleSilo, addrs[0], addrs[0], "", string(certs))
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, server.Ready, certs)
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &remoteSilo{server, client}, nil
}

func connect(ctx context.Context, addr string, certs certificates) (*cluster.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, child.StartWithin)
	defer cancel()
	return cluster.Connect(ctx, cluster.Config{Silos: addr, Grains: shop.Shared(), TLS: certs.files(clientCert), Logger: quiet(io.Discard)})
}

func (r *remoteSilo) stop() error { return errors.Join(r.client.Close(), r.server.Stop()) }

// newGrainRemoteRival calls grains of one silo in another process as a client.
func newGrainRemoteRival(ctx context.Context, payload []byte, certs certificates) (*rival, error) {
	at, err := newRemoteSilo(ctx, certs)
	if err != nil {
		return nil, err
	}
	counters := make([]shop.Counter, mostCallers)
	for i := range counters {
		counters[i] = shop.GetCounter(at.client, targetName(i))
	}
	name := "grain, from a client"
	if certs != "" {
		name += ", TLS"
	}
	return &rival{
		name: name,
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
		stop: at.stop,
	}, nil
}
