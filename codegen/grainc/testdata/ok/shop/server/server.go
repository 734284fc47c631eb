// Package server implements the till.
package server

import (
	"context"

	"github.com/martinelli-go/martinelli/codegen/grainc/testdata/ok/shop"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/txn"
)

type till struct {
	grains.Implements[shop.Till]
	sum txn.State[int64]
}

func (t *till) Pay(ctx context.Context, cents int64, text string) error {
	if cents < 0 {
		return &shop.Short{Cents: -cents}
	}
	if text == "pass on" {
		return shop.GetTill(t, t.Key()+1).Pay(ctx, cents, text)
	}
	return t.sum.Update(ctx, func(sum *int64) error { *sum += cents; return nil })
}

func (t *till) Receipt(ctx context.Context) (shop.Receipt, error) {
	sum, err := t.sum.Read(ctx)
	return shop.Receipt{Sum: sum}, err
}
