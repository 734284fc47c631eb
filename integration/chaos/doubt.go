package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

// doubtWithin is the deadline of a block that is to end in doubt: long enough for it to be submitted, and so
// short that a connection that says nothing is not given up meanwhile, with what is held on it.
const doubtWithin = 500 * time.Millisecond

// doubtful is a block that a client has begun and submitted, and whose decision is held in the network on its
// way to the leader of the blocks' log.
type doubtful struct {
	*operation
	r    *run
	from *outsider // who has begun it
	by   *outsider // who reaches everybody
	cuts []pair
}

var (
	errNoDoubt    = errors.New("no block that was submitted ended in doubt: the script needs one")
	errNotAborted = errors.New("who asked was not told that the block is aborted: the script needs that")
)

// doubt makes the block of an operation end in doubt. The client that begins it reaches one silo alone by then,
// of which opAt is told, and calls nothing else; nil: nothing can be done there.
func (r *run) doubt(ctx context.Context, opAt func(silo int) *operation) (*doubtful, error) {
	d := &doubtful{r: r}
	var err error
	if d.from, err = r.outside(ctx, silos+1); err != nil {
		return nil, err
	}
	if d.by, err = r.outside(ctx, silos+2); err != nil {
		return nil, err
	}
	// Nobody says who leads that log: the block of a client that reaches the leader commits, and the next one
	// reaches another silo. Twice, because a machine that is busy may be too slow to submit one.
	for try := range 2 * silos {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		silo := try%silos + 1
		if d.operation = opAt(silo); d.operation == nil {
			continue
		}
		if err := d.arrive(); err != nil {
			return nil, err
		}
		d.cut(silo)
		err := d.from.call(d.operation, doubtWithin)
		if d.Outcome == unknown && !d.Block.IsZero() {
			return d, nil
		}
		d.mend()
		if err != nil {
			r.say("%s: a block that was to end in doubt: %v", r.name, err)
		}
	}
	return nil, errNoDoubt
}

// cut holds what the client sends to other silos than one.
func (d *doubtful) cut(silo int) {
	for s := range d.r.silos {
		if p := (pair{d.from.place, s + 1}); p.To != silo {
			d.cuts = append(d.cuts, p)
			d.r.fabric.cut(p)
		}
	}
}

func (d *doubtful) mend() {
	for _, p := range d.cuts {
		d.r.fabric.mend(p, false)
	}
	d.cuts = nil
}

// arrive commits a block of the client's. Before the cut that says that the client knows the leader and has a
// connection to it, which is not idle; after it, that what was held has arrived, since that went before.
func (d *doubtful) arrive() error {
	o := &operation{Client: -1, Kind: register.Read, Key: string(bystanderKey(0)), Own: true}
	if err := d.from.call(o, answerWithin); err != nil {
		return fmt.Errorf("a block of client %d, which reaches all silos: %w", d.from.place, err)
	}
	return nil
}

// ask asks what became of the block, which is aborted by that.
func (d *doubtful) ask() error {
	o := &operation{Client: -1, Kind: inquiry, Key: d.Key, Block: d.Block}
	if err := d.by.call(o, askWithin); err != nil {
		return fmt.Errorf("ask what became of block %v: %w", d.Block, err)
	}
	d.r.history.settle(d.operation, o.Result)
	if o.Result != txn.Aborted {
		return fmt.Errorf("block %v: %w: %v", d.Block, errNotAborted, o.Result)
	}
	return nil
}

// misread reads, in a block of the register's own, what a block has written that is called aborted by then.
func (r *run) misread(ctx context.Context) error {
	d, err := r.doubt(ctx, func(silo int) *operation {
		for i := range registers {
			if key := string(registerKey(i)); r.has(silo, "register.Register", key) {
				return &operation{Client: -1, Kind: register.Write, Key: key, Own: true}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = d.ask()
	if err == nil {
		// The register has been told that the block is submitted, and hears from nobody else than who has begun
		// it what became of it.
		err = d.by.call(&operation{Client: -1, Kind: register.Read, Key: d.Key}, answerWithin)
	}
	d.mend()
	return errors.Join(err, d.arrive())
}

// misled asks what became of a block whose decision arrives after that.
func (r *run) misled(ctx context.Context) error {
	d, err := r.doubt(ctx, func(silo int) *operation {
		for i := range accounts {
			if key := string(accountKey(i)); r.has(silo, "bank.Account", key) {
				return &operation{Client: -1, Kind: transfer, Key: key, To: string(accountKey((i + 1) % accounts)), Amount: 1, Own: true}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = d.ask()
	d.mend()
	err = errors.Join(err, d.arrive())
	hold(ctx, time.Second) // for what has arrived to be done
	return err
}

// has reports whether a silo has a grain.
func (r *run) has(silo int, kind, key string) bool {
	owner, ok := r.load.clients[0].View().Owner(wire.NewID(kind, key))
	return ok && owner.Addr == r.addrs[silo-1]
}
