package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/integration/chaos/register"
	"github.com/martinelli-go/martinelli/txn"
)

// perform does what an operation says, through a client. What an inquiry finds is left in the operation.
func perform(ctx context.Context, c *cluster.Client, o *operation) (seen register.Seen, err error) {
	if !o.Own {
		return act(ctx, c, o)
	}
	return txn.AtomicValue(ctx, c, func(ctx context.Context) (register.Seen, error) { return act(ctx, c, o) })
}

// act does it in the block of ctx, if it has one.
func act(ctx context.Context, c *cluster.Client, o *operation) (seen register.Seen, err error) {
	switch o.Kind {
	case register.Read, register.Write, register.CompareAndSet, register.Touch, register.Relay:
		return turn(ctx, c, o)
	case transfer:
		_, err = bank.GetAccount(c, bank.AccountID(o.Key)).Transfer(ctx, bank.AccountID(o.To), o.Amount, noteOf(o))
	case addToSet:
		err = register.Added.At(c, register.Key(o.Key)).Add(ctx, o.Item)
	case removeOfSet:
		err = register.Added.At(c, register.Key(o.Key)).Remove(ctx, o.Item)
	case readSet:
		all, err := register.Added.At(c, register.Key(o.Key)).All(ctx)
		if err != nil {
			return seen, err
		}
		items := slices.Collect(all)
		return register.Seen{Value: int64(len(items)), Swapped: slices.Contains(items, o.Item)}, nil
	case count:
		err = register.Counted.At(c, register.Key(o.Key)).Add(ctx, o.Amount)
	case inquiry:
		o.Result, err = txn.Outcome(ctx, c, o.Block)
	default:
		err = fmt.Errorf("no operation %q", o.Kind)
	}
	return seen, err
}

// turn calls a register, from anywhere.
func turn(ctx context.Context, c grains.Caller, o *operation) (register.Seen, error) {
	r := register.GetRegister(c, register.Key(o.Key))
	switch o.Kind {
	case register.Read:
		return r.Read(ctx, o.ID)
	case register.Write:
		return r.Write(ctx, o.ID)
	case register.CompareAndSet:
		return r.CompareAndSet(ctx, o.ID, o.Old)
	case register.Relay:
		return r.Relay(ctx, o.ID, register.Key(o.To))
	}
	return r.Touch(ctx, o.ID)
}
